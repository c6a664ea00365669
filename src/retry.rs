//! Decides when a failed request is tried again.
//! Must never sleep where a cancellation could not wake it.
