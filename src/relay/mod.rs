//! Decides how the loopback registry that podman pushes to behaves.
//! Must never listen beyond loopback, or answer for content whose digest was not checked.
