//! Decides how rpub speaks with remote registries.
//! Must never let a credential into a log, an error or a Debug print.
