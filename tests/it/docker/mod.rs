//! The Docker engine on real Docker Engines.

mod bases;
mod build;
mod buildkit;
pub(crate) mod cancel;
mod command;
mod conditions;
mod connect;
mod cut;
mod failure;
mod fleet;
mod push;
pub(crate) mod recipe;
mod secrets;
mod sizes;
mod ssh;
