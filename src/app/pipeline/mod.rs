//! Processes each image of a run from recipe to receipt: chooses an engine, builds the image, and
//! publishes it with `publish`.

pub mod cache;
pub mod choose;
pub mod engines;
mod examine;
mod export;
pub mod failed;
pub mod families;
mod load;
pub mod local;
mod make;
pub mod outcome;
pub mod proxies;
mod releases;
pub mod run;
pub mod secrets;
mod sizes;
pub mod ssh;
pub mod standalone;

pub use choose::{EngineChoice, Goal, choose};
pub use engines::Engines;
pub use failed::Failed;
pub use outcome::{ImageOutcome, ImageReport, PublishedTags};
pub use run::{Run, RunOptions, RunResult};
