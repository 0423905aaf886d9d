//! The way of an image from recipe to receipt: choosing an engine, building, and handing over to `publish`.

pub mod choose;
pub mod local;
pub mod proxies;
pub mod secrets;
