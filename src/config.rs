//! Decides what rpub.toml may say, and how a mistake in it is told.
//! Must never read any other file than the one it is given.
