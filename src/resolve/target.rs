//! Target paths in an image.

use super::image::FileEntry;

/// Removes `.`, `//` and a trailing `/` from an absolute path. Also returns true if the path ended
/// in `/`, so that it is a directory to place files into. Fails if the path is relative or contains
/// `..`.
pub fn normalised(written: &str) -> Result<(String, bool), String> {
    if !written.starts_with('/') {
        return Err(format!("the target `{written}` is not an absolute path"));
    }
    let parts: Vec<&str> = written
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err(format!("the target `{written}` contains `..`"));
    }
    let into = written.ends_with('/') || written.ends_with("/.");
    Ok((format!("/{}", parts.join("/")), into || parts.is_empty()))
}

/// Returns the reason why an entry cannot be placed at its path, if there is one.
#[must_use]
pub fn refused(entry: &FileEntry) -> Option<String> {
    let path = &entry.path;
    path.split('/')
        .chain(entry.name_inside.as_deref())
        .find_map(|name| match () {
            () if name.starts_with(".wh.") => Some(format!(
                "the target `{path}`: image layers use names that begin with `.wh.` to delete files"
            )),
            () if name.len() > 255 => Some(format!(
                "the target `{path}` has a name of {} bytes; the limit is 255",
                name.len()
            )),
            () => None,
        })
}

/// The path of `name` in `directory`.
#[must_use]
pub fn below(directory: &str, name: &str) -> String {
    if directory == "/" {
        format!("/{name}")
    } else {
        format!("{directory}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::image::{FileKind, FileOwner};

    #[test]
    fn paths_are_normalised() {
        for (written, path, into) in [
            ("/etc/motd", "/etc/motd", false),
            ("/etc//./motd", "/etc/motd", false),
            ("/etc/", "/etc", true),
            ("/", "/", true),
            ("/etc/.", "/etc", true),
        ] {
            assert_eq!(normalised(written), Ok((path.to_owned(), into)));
        }
        for bad in ["", "etc", "./etc", "/a/../b", "/.."] {
            assert!(normalised(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn names_that_layers_cannot_contain_are_refused() {
        for (path, refusal) in [
            ("/etc/.wh.motd", true),
            ("/.wh..wh..opq/x", true),
            ("/etc/.whence", false),
            (&format!("/{}", "n".repeat(255)), false),
            (&format!("/a/{}/b", "é".repeat(128)), true),
        ] {
            let kind = FileKind::Directory;
            let mut entry = FileEntry::new(path, 0o755, FileOwner::ROOT, kind, "");
            assert_eq!(refused(&entry).is_some(), refusal, "{path}");
            entry = FileEntry {
                path: "/usr/bin".to_owned(),
                ..entry
            };
            entry.name_inside = path.rsplit('/').next().map(str::to_owned);
            let refusal = refusal && !path.ends_with("/b") && !path.ends_with("/x");
            assert_eq!(refused(&entry).is_some(), refusal, "{path}");
        }
    }
}
