//! The content of one package database.

use serde::{Deserialize, Serialize};

use super::package::Package;
use crate::config_files::byte_size::ByteSize;

/// The longest problem, in characters. A problem can quote a damaged file.
const LONGEST_PROBLEM: usize = 500;

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
        self.problem
            .get_or_insert_with(|| shortened(problem.into()));
    }

    /// The content of a database that cannot be read at all.
    pub(super) fn unread(problem: impl Into<String>) -> Self {
        let problem = Some(shortened(problem.into()));
        Self {
            packages: Vec::new(),
            problem,
        }
    }

    /// The approximate memory of the texts, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let problem = self.problem.as_ref().map_or(0, String::len) as u64;
        let packages: u64 = self.packages.iter().map(Package::weight).sum();
        packages + problem
    }
}

/// A problem without the characters after the limit.
fn shortened(mut problem: String) -> String {
    if let Some((at, _)) = problem.char_indices().nth(LONGEST_PROBLEM) {
        problem.truncate(at);
        problem.push('…');
        problem.shrink_to_fit();
    }
    problem
}

/// The problem of a file that is larger than a limit. Both are in bytes.
pub(super) fn too_large(size: u64, limit: u64) -> String {
    let (size, limit) = (ByteSize(size).exact(), ByteSize(limit).exact());
    format!("it has {size}; golden reads at most {limit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_problem_is_shortened_and_counted() {
        let mut list = PackageList::default();
        assert_eq!(list.weight(), 0);
        list.problem("ä".repeat(LONGEST_PROBLEM));
        assert_eq!(list.weight(), 2 * LONGEST_PROBLEM as u64);
        let long = PackageList::unread("ä".repeat(LONGEST_PROBLEM + 1));
        let expected = format!("{}…", "ä".repeat(LONGEST_PROBLEM));
        assert_eq!(long.problem, Some(expected));
    }
}
