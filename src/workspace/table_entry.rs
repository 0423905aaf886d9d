//! Findings about the keys of a table in golden.toml.

use std::path::Path;

use crate::diagnostic::{Diagnostic, Diagnostics, KeyFinder};
use crate::glob::Glob;

/// A table of an array such as `[[registry]]`, for findings about its keys.
pub(super) struct TableEntry<'a> {
    array: &'static str,
    position: String,
    file: &'a Path,
    places: &'a dyn KeyFinder,
}

impl<'a> TableEntry<'a> {
    pub(super) fn new(
        array: &'static str,
        position: usize,
        file: &'a Path,
        places: &'a dyn KeyFinder,
    ) -> Self {
        Self {
            array,
            position: position.to_string(),
            file,
            places,
        }
    }

    /// True if the table has `key`, with any value.
    pub(super) fn has(&self, key: &str) -> bool {
        let path = [self.array, &self.position, key];
        self.places.key(self.file, &path).is_some()
    }

    /// Errors at the key `images` for the globs that are invalid.
    pub(super) fn globs<'g>(&self, globs: impl IntoIterator<Item = &'g String>) -> Diagnostics {
        let mut found = Diagnostics::new();
        for glob in globs {
            if let Err(error) = Glob::new(glob) {
                found.push(self.error("images", "spec.value", error.to_string()));
            }
        }
        found
    }

    /// An error at the value of `key`, or at the table if it has no such key.
    pub(super) fn error(&self, key: &str, rule: &'static str, message: String) -> Diagnostic {
        let value = self
            .places
            .value(self.file, &[self.array, &self.position, key]);
        let table = || self.places.key(self.file, &[self.array, &self.position]);
        let at = value.or_else(table).unwrap_or(0..0);
        Diagnostic::error(rule, message).at(self.file, at, "")
    }
}
