//! Decides which paths a build context leaves out, by Docker's rules.
//! Must never touch the disk.
