//! Decides nothing: parse, tracing, cancellation, exit code.
//! Must never hold logic.

fn main() {}
