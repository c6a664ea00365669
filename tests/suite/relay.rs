//! Decides that the relay keeps the OCI distribution specification.
//! Must never pass where the real part is missing.

mod ahead;
mod fanout;
mod guard;
mod origin;
mod pull;
mod push;
mod skopeo;
mod spool;
mod strangers;
