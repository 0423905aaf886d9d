//! The workspace: finds, reads and hashes the user's files. No other module opens them.

pub mod assets;
pub mod build_context;
pub mod certificates;
pub mod discover;
mod file_error;
pub mod fs;
mod gate_tables;
pub mod git;
pub mod links;
pub mod load;
pub mod lock;
mod notify_tables;
pub mod outline;
pub mod state;
mod table_entry;
pub mod user_cache;

use std::path::PathBuf;

use crate::config_files::WorkspaceSpec;

/// A workspace that was found and read.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The directory that contains golden.toml, absolute and without symbolic links.
    pub root: PathBuf,
    /// golden.toml with its templates filled in; the default if the file does not exist.
    pub spec: WorkspaceSpec,
    /// golden.lock; empty if the file does not exist.
    pub lock: lock::Lock,
}
