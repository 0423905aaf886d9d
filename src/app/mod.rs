//! The work of each command. It takes resolved settings, returns values and errors, and sends
//! events. It knows nothing about the command line, exit codes or output.

pub mod audit;
pub mod bases;
pub mod build;
pub mod bump;
mod changed;
pub mod check;
pub mod delete;
pub mod destinations;
pub mod diff;
pub mod doctor;
pub mod error;
mod findings;
pub mod inspect;
pub mod list;
pub mod located;
pub mod names;
pub mod new;
pub mod package_updates;
pub mod pipeline;
pub mod plan;
pub mod prepare;
pub mod promote;
mod provenance;
pub mod prune;
mod readiness;
pub mod registries;
pub mod render;
pub mod rendered;
pub mod rollback;
pub mod sbom;
pub mod session;
pub mod settings;
pub mod survey;
pub mod tags;
mod trust;
pub mod unready;
pub mod verify;
pub mod waves;
pub mod work;

pub use error::Error;
pub use session::{CheckedSession, CheckedWorkspace, Session};
pub use settings::{Selection, Settings};
