//! Decides how events, results and errors look.
//! Must never decide anything about a release.
