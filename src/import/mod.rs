//! Converts a Dockerfile into the spec of an image: it declares what a spec can declare, and turns
//! the rest into steps.
//!
//! A spec has a fixed order: certificates, packages, files, working directory, steps. The importer
//! declares an instruction only if that order gives the same image. Otherwise the instruction
//! becomes a step at its place among the other steps.

pub mod bake;
mod context;
mod copies;
mod draft;
mod existing;
mod ignore;
mod importer;
mod metadata;
mod mounts;
mod owners;
mod packages;
mod pending;
mod reach;
mod scripts;
mod shell;
mod state;
mod steps;

pub use context::{BuildContext, ContextContent, ContextEntry, ContextKind};
pub use existing::on_image;
pub use ignore::IgnoreRules;
pub use importer::{Error, Import, import};
pub use state::{ImportOptions, ImportedLine, InstructionOutcome};

#[cfg(test)]
mod tests;
