//! Decides that a directory store is what skopeo and podman call an OCI layout.
//! Must never pass where the real part is missing.
