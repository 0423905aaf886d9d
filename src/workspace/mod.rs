//! The folder that the user works in: found, read, hashed. The only place that opens the user's files.

pub mod assets;
pub mod certificates;
pub mod discover;
pub mod fs;
pub mod git;
pub mod links;
pub mod load;
pub mod lock;
mod pem;
pub mod state;
pub mod user_cache;

use std::path::PathBuf;

use crate::spec::WorkspaceSpec;

/// A workspace that was found and read.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The folder that holds golden.toml, absolute and without symbolic links.
    pub root: PathBuf,
    /// golden.toml, with templates filled in; the default when there is none.
    pub spec: WorkspaceSpec,
    /// golden.lock; empty when there is none.
    pub lock: lock::Lock,
}
