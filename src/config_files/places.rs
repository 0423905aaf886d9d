//! Finds the spans of keys and values. It parses the file again for each query, since only
//! diagnostics need spans.

use std::ops::Range;
use std::path::Path;

use super::document::{self, SourceKind};
use crate::diagnostic::{Diagnostics, Places, SourceMap};

/// Finds spans in the files of a source map.
#[derive(Debug, Clone, Copy)]
pub struct Parsed<'a>(pub &'a SourceMap);

impl Parsed<'_> {
    fn find(self, file: &Path, path: &[&str]) -> Option<(Range<usize>, Range<usize>)> {
        let table = document::parse(
            file,
            SourceKind::Image,
            self.0.text(file)?,
            &mut Diagnostics::new(),
        )?;
        let (key, value) = document::entry(&table, path)?;
        Some((key, value.span()))
    }
}

impl Places for Parsed<'_> {
    fn key(&self, file: &Path, path: &[&str]) -> Option<Range<usize>> {
        self.find(file, path).map(|(key, _)| key)
    }

    fn value(&self, file: &Path, path: &[&str]) -> Option<Range<usize>> {
        self.find(file, path).map(|(_, value)| value)
    }
}
