//! Finds the spans of keys and values. Only diagnostics need spans, so a file is parsed for them at
//! the first question about it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::document::{self, SourceKind, SpecTable};
use crate::diagnostic::{Diagnostics, KeyFinder, SourceMap};

/// Finds the keys in the files of a source map.
#[derive(Debug)]
pub struct SourceKeys<'a> {
    sources: &'a SourceMap,
    /// The tables of the files that were needed; `None` for a file that does not parse.
    tables: Mutex<BTreeMap<&'a Path, Option<Arc<SpecTable<'a>>>>>,
}

impl<'a> SourceKeys<'a> {
    /// Parses no file yet.
    #[must_use]
    pub fn new(sources: &'a SourceMap) -> Self {
        Self {
            sources,
            tables: Mutex::default(),
        }
    }

    fn table(&self, file: &Path) -> Option<Arc<SpecTable<'a>>> {
        let (file, text) = self.sources.entry(file)?;
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let parse = || {
            let mut ignored = Diagnostics::new();
            document::parse(file, SourceKind::Image, text, &mut ignored).map(Arc::new)
        };
        tables.entry(file).or_insert_with(parse).clone()
    }

    fn find(&self, file: &Path, path: &[&str]) -> Option<(Range<usize>, Range<usize>)> {
        let table = self.table(file)?;
        let (key, value) = document::entry(&table, path)?;
        Some((key, value.span()))
    }
}

impl KeyFinder for SourceKeys<'_> {
    fn key(&self, file: &Path, path: &[&str]) -> Option<Range<usize>> {
        self.find(file, path).map(|(key, _)| key)
    }

    fn value(&self, file: &Path, path: &[&str]) -> Option<Range<usize>> {
        self.find(file, path).map(|(_, value)| value)
    }
}
