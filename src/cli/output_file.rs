//! The files that options name for results of a command.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::Failure;
use crate::workspace::fs;

/// The file of an option, if it is given. Fails if it cannot be written, before the command starts
/// its work.
pub(super) fn checked(
    given: Option<PathBuf>,
    context: &Context,
) -> Result<Option<PathBuf>, Failure> {
    let file = given.map(|file| context.cwd.join(file));
    file.as_deref().map(fs::output).transpose()?;
    Ok(file)
}

/// Writes a text to the file of an option, if it is given.
pub(super) fn write(file: Option<&Path>, text: impl FnOnce() -> String) -> Result<(), Failure> {
    if let Some(file) = file {
        fs::write_atomic(&fs::output(file)?, text().as_bytes())?;
    }
    Ok(())
}
