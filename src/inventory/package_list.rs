//! The content of one package database.

use serde::{Deserialize, Serialize};

use super::package::Package;
use crate::config_files::byte_size::ByteSize;

/// The installed packages in a database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct PackageList {
    /// The packages that were read.
    pub(super) packages: Vec<Package>,
    /// The first reason why others are missing.
    pub(super) problem: Option<String>,
}

impl PackageList {
    /// Records that packages are missing. Only the first problem is kept.
    pub(super) fn problem(&mut self, problem: impl Into<String>) {
        self.problem.get_or_insert_with(|| problem.into());
    }

    /// The content of a database that cannot be read at all.
    pub(super) fn unread(problem: impl Into<String>) -> Self {
        let problem = Some(problem.into());
        Self {
            packages: Vec::new(),
            problem,
        }
    }
}

/// The problem of a file that is larger than a limit. Both are in bytes.
pub(super) fn too_large(size: u64, limit: u64) -> String {
    let (size, limit) = (ByteSize(size).exact(), ByteSize(limit).exact());
    format!("it has {size}; golden reads at most {limit}")
}
