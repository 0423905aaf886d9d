//! Looks up owners by name in the base's own `/etc/passwd` and `/etc/group`.

use super::overlay::Overlay;
use super::tree::FileTree;
use super::{AssembleStop, Error};
use crate::resolve::image::FileOwner;

/// The user id and group id of an owner. `path` is the file to own, for the error. Fails if the
/// base has no such name.
pub fn resolve(
    owner: &FileOwner,
    base: FileTree<'_>,
    path: &str,
) -> Result<(u32, u32), AssembleStop> {
    let (user, group) = match owner {
        FileOwner::Numeric { uid, gid } => return Ok((*uid, *gid)),
        FileOwner::Named { user, group } => (user, group.as_deref()),
    };
    let unknown = |file, kind, name: &str| Error::Owner {
        file,
        kind,
        name: name.to_owned(),
        path: path.to_owned(),
    };
    let (uid, own_group) = if let Ok(uid) = user.parse() {
        // A number without a group is also the group id, as with Docker's --chown.
        (uid, uid)
    } else {
        let line = find(base, "etc/passwd", user)?;
        let numbers = line
            .as_deref()
            .and_then(|line| Some((field(line, 2)?, field(line, 3)?)));
        numbers.ok_or_else(|| unknown("/etc/passwd", "user", user))?
    };
    let gid = match group {
        None => own_group,
        Some(group) => {
            number_of_group(group, base)?.ok_or_else(|| unknown("/etc/group", "group", group))?
        }
    };
    Ok((uid, gid))
}

/// The id of a user by name. None if `/etc/passwd` does not contain the name.
pub fn user_id(tree: FileTree<'_>, user: &str) -> Result<Option<u32>, AssembleStop> {
    Ok(find(tree, "etc/passwd", user)?
        .as_deref()
        .and_then(|line| field(line, 2)))
}

/// The id of a group by name or number.
fn number_of_group(group: &str, base: FileTree<'_>) -> Result<Option<u32>, AssembleStop> {
    if let Ok(gid) = group.parse() {
        return Ok(Some(gid));
    }
    Ok(find(base, "etc/group", group)?
        .as_deref()
        .and_then(|line| field(line, 2)))
}

/// The line that begins with a name.
fn find(base: FileTree<'_>, file: &str, name: &str) -> Result<Option<String>, AssembleStop> {
    let content = Overlay::new(base)
        .read(file)?
        .unwrap_or_else(|| Vec::new().into());
    let text = String::from_utf8_lossy(&content);
    Ok(text
        .lines()
        .find(|line| line.split(':').next() == Some(name))
        .map(str::to_owned))
}

/// A numeric field of a line.
fn field(line: &str, number: usize) -> Option<u32> {
    line.split(':').nth(number)?.trim().parse().ok()
}
