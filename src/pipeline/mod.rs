//! The way of an image from recipe to receipt: choosing an engine, building, and handing over to `publish`.

pub mod choose;
pub mod engines;
pub mod local;
pub mod outcome;
pub mod proxies;
pub mod secrets;

pub use choose::{Choice, Goal, choose};
pub use engines::Engines;
pub use outcome::{Fate, Report};
