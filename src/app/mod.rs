//! The work of each command. It takes resolved settings, returns values and errors, and sends
//! events. It knows nothing about the command line, exit codes or output.

pub mod bases;
pub mod build;
mod changed;
pub mod destinations;
pub mod doctor;
pub mod error;
mod findings;
pub mod names;
pub mod pipeline;
pub mod plan;
pub mod prepare;
mod provenance;
mod readiness;
pub mod registries;
pub mod render;
pub mod rendered;
pub mod rollback;
pub mod session;
pub mod settings;
pub mod survey;
mod trust;
pub mod unready;
pub mod verify;
pub mod work;

pub use error::Error;
pub use session::{CheckedSession, CheckedWorkspace, Session};
pub use settings::{Selection, Settings};
