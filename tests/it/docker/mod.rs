//! The Docker engine on real Docker Engines.

mod bases;
mod build;
mod cancel;
mod connect;
mod failure;
mod push;
mod recipe;
mod secrets;
