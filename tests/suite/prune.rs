//! Decides that `rpub prune`, and a release that prunes, take what is superseded and nothing that anyone needs.
//! Must never look at what is left through rpub: registries are asked without it.

/// Every request of a prune goes wrong in every way.
mod broken;
/// As somebody runs it.
mod by_hand;
/// A directory store.
mod directory;
/// Lists of tags that are not whole.
mod lists;
/// Somebody publishes while something is pruned.
mod races;
/// GHCR and Docker Hub.
mod services;
/// What a prune finds, made once and copied.
mod stock;
