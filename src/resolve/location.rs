//! Locations in spec files.

use std::ops::Range;
use std::path::PathBuf;

/// A location in a spec file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecLocation {
    /// The path of the file, relative to the workspace.
    pub file: PathBuf,
    /// The byte range in the file.
    pub span: Range<usize>,
}
