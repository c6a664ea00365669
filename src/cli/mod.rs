//! Decides nothing; names the commands.
//! Must never hold logic that a library user would miss.
