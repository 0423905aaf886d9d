//! The way of an image from recipe to receipt: choosing an engine, building, and handing over to `publish`.

pub mod choose;
pub mod engines;
pub mod failed;
pub mod families;
mod load;
pub mod local;
mod make;
pub mod outcome;
pub mod proxies;
pub mod run;
pub mod secrets;
pub mod standalone;

pub use choose::{EngineChoice, Goal, choose};
pub use engines::Engines;
pub use failed::Failed;
pub use outcome::{ImageOutcome, ImageReport};
pub use run::{Ended, Options, Run};
