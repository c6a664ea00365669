//! Decides that a repository which means harm gets neither logins nor files, runs nothing before a build, and cannot hang rpub.
//! Must never be a double of rpub: the real program runs, before a listener, real git and real podman.

mod files;
mod git;
mod listener;
mod origin;
mod paths;
mod terminal;
