//! Decides how a directory holds images: an OCI image layout per repository.
//! Must never leave a half-written file under a name that a reader would open.
