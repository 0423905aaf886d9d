//! The owners of files and directories.

use crate::config_files::values::{OwnerSpec, is_root};

/// The owner of `--chown` or `USER` in a spec; `None` for root. Fails if it is not an owner.
pub(super) fn owner(value: &str) -> Result<Option<String>, String> {
    let owner = OwnerSpec::try_from(value.to_owned())?;
    if is_root(value) {
        return Ok(None);
    }
    // A user id without a group is also the group id.
    let is_number = owner.user.chars().all(|c| c.is_ascii_digit());
    Ok(Some(match owner.group {
        None if is_number => format!("{value}:{value}"),
        _ => value.to_owned(),
    }))
}
