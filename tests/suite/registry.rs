//! Decides that the client keeps the protocol against real registries and hostile ones.
//! Must never pass where the real part is missing.
