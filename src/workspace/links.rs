//! Follows symbolic links, because a change of a link's target is a change of the file that the
//! link names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Returns `paths` and the targets of symbolic links among and below them, all relative to `root`,
/// which must not contain links itself. Targets outside `root` are omitted.
#[must_use]
pub fn followed(root: &Path, paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut all: BTreeSet<PathBuf> = BTreeSet::new();
    let mut open = paths;
    while let Some(path) = open.pop() {
        if path.ancestors().any(|above| all.contains(above)) {
            continue;
        }
        let entries = WalkDir::new(root.join(&path)).into_iter().flatten();
        let links = entries.filter(|entry| entry.depth() == 0 || entry.path_is_symlink());
        let targets = links.filter_map(|link| link.path().canonicalize().ok());
        open.extend(targets.filter_map(|target| Some(target.strip_prefix(root).ok()?.to_owned())));
        all.insert(path);
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::workspace::fs::write_atomic;

    #[test]
    fn links_are_followed_at_every_depth() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for file in ["app/x", "shared/ca.crt", "more/deep/y", "plain/z"] {
            write_atomic(&root.join(file), b"").unwrap();
        }
        symlink("../shared/ca.crt", root.join("app/ca.crt")).unwrap();
        symlink("../more", root.join("shared/more")).unwrap();
        symlink("shared", root.join("alias")).unwrap();
        symlink("../app", root.join("app/circle")).unwrap();
        symlink("../gone", root.join("app/gone")).unwrap();
        symlink("/", root.join("app/outside")).unwrap();
        let all_of = |paths: &[&str]| -> Vec<String> {
            let all = followed(&root, paths.iter().map(PathBuf::from).collect());
            all.iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(all_of(&["plain"]), ["plain"]);
        assert_eq!(all_of(&["app"]), ["app", "shared/ca.crt"]);
        assert_eq!(all_of(&["alias/more"]), ["alias/more", "more"]);
        assert_eq!(all_of(&["alias"]), ["alias", "more", "shared"]);
        assert_eq!(all_of(&["app/not-there"]), ["app/not-there"]);
    }
}
