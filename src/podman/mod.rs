//! Decides how rpub speaks with podman: which socket, which calls.
//! Must never import relay, registry or store; push anywhere but to the address it is given.
