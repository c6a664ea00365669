//! Decides that rpub's calls do what they say on a real rootless podman.
//! Must never pass where the real part is missing.
