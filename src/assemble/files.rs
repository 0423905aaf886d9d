//! Places `[[files]]` and the directory of `workdir` on a base. Every engine uses this function to
//! find the path and owner of a file. Existing directories and links of the base are not changed;
//! only files are replaced.

use std::collections::BTreeMap;

use super::overlay::Overlay;
use super::owners;
use super::tree::{Attributes, FileTree, TreeNode};
use super::{AssembleStop, Error};
use crate::oci::tar::{Entry, EntryKind};
use crate::render::FilesOnBase;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{FileEntry, FileKind};

/// The files of an image on a base: paths without links, numeric owners, and no
/// entry for a directory that the base has. If no entry remains, one such directory is described
/// unchanged, so that the archive is not empty. A missing working directory is included, because
/// Podman's builder loses the one that `WORKDIR` creates; but not if the image installs packages,
/// because they may create it with another owner.
pub fn placed(image: &ResolvedImage, tree: FileTree<'_>) -> Result<FilesOnBase, AssembleStop> {
    let mut overlay = Overlay::new(tree);
    let mut entries = place(image, tree, &mut overlay)?;
    if let Some(workdir) = image
        .config
        .workdir
        .as_deref()
        .filter(|_| image.packages.install.is_empty())
    {
        let path = overlay.resolve(workdir)?;
        if !path.is_empty() && overlay.entry(&path)?.is_none() {
            let Attributes { mode, uid, gid } = Attributes::DIRECTORY;
            entries.push(Entry {
                path,
                mode,
                uid,
                gid,
                kind: EntryKind::Directory,
            });
        }
    }
    let missing = entries
        .iter()
        .flat_map(|entry| super::tree::ancestors(&entry.path))
        .filter(|path| overlay.is_implied(path))
        .map(str::to_owned)
        .collect();
    Ok(FilesOnBase { entries, missing })
}

/// Places the files of an image in the order of the spec, and returns their entries.
pub fn place(
    image: &ResolvedImage,
    base: FileTree<'_>,
    overlay: &mut Overlay<'_>,
) -> Result<Vec<Entry>, AssembleStop> {
    let mut placing = Placing {
        overlay,
        sources: BTreeMap::new(),
        entries: Vec::new(),
        existing: None,
    };
    for file in image.files.iter().filter(|file| file.path != "/") {
        let (uid, gid) = owners::resolve(&file.owner, base, &file.path)?;
        match &file.kind {
            FileKind::Directory => placing.directory(
                file,
                Attributes {
                    mode: file.mode,
                    uid,
                    gid,
                },
            )?,
            FileKind::File(content) => {
                let path = placing.target_of_file(file)?;
                let kind = EntryKind::File(content.clone());
                placing.add(
                    file,
                    Entry {
                        path,
                        mode: file.mode,
                        uid,
                        gid,
                        kind,
                    },
                )?;
            }
            FileKind::Symlink(target) => {
                let path = placing.target_of_link(file)?;
                // The mode of a link has no effect; Linux always shows 0777.
                let kind = EntryKind::Symlink(target.clone());
                placing.add(
                    file,
                    Entry {
                        path,
                        mode: 0o777,
                        uid,
                        gid,
                        kind,
                    },
                )?;
            }
        }
    }
    if placing.entries.is_empty() {
        placing.entries.extend(placing.existing);
    }
    Ok(placing.entries)
}

/// The state while files are placed.
struct Placing<'o, 'b, 'i> {
    overlay: &'o mut Overlay<'b>,
    /// The source of each placed entry, by path.
    sources: BTreeMap<String, &'i FileEntry>,
    entries: Vec<Entry>,
    /// A requested directory that the base already has, unchanged.
    existing: Option<Entry>,
}

impl<'i> Placing<'_, '_, 'i> {
    /// Creates a directory if it does not exist.
    fn directory(
        &mut self,
        file: &'i FileEntry,
        attributes: Attributes,
    ) -> Result<(), AssembleStop> {
        let path = self.overlay.resolve(file.path.trim_start_matches('/'))?;
        if path.is_empty() {
            return Ok(());
        }
        let entry = |path: String, Attributes { mode, uid, gid }| Entry {
            path,
            mode,
            uid,
            gid,
            kind: EntryKind::Directory,
        };
        let found = match self.overlay.entry(&path)? {
            None => None,
            Some(TreeNode::Directory(_)) if self.overlay.is_implied(&path) => None,
            Some(TreeNode::Directory(attributes)) => Some(*attributes),
            Some(TreeNode::Implied) => Some(Attributes::DIRECTORY),
            Some(_) => return Err(self.not_a_directory(file, &path).into()),
        };
        if let Some(attributes) = found {
            self.existing.get_or_insert_with(|| entry(path, attributes));
            return Ok(());
        }
        let entry = entry(path, attributes);
        self.overlay.place(entry.clone())?;
        self.entries.push(entry);
        Ok(())
    }

    /// The path of a file: its target with links followed, or a path in the directory that exists
    /// there.
    fn target_of_file(&self, file: &'i FileEntry) -> Result<String, AssembleStop> {
        self.refuse_replaced(file, &self.unfollowed(&file.path)?)?;
        let path = self.overlay.resolve(file.path.trim_start_matches('/'))?;
        if !self.is_directory(&path)? {
            return Ok(path);
        }
        let Some(name) = &file.name_inside else {
            return Err(is_a_directory(file, &file.path).into());
        };
        let inside = format!("{path}/{name}");
        self.refuse_replaced(file, &self.unfollowed(&inside)?)?;
        let path = self.overlay.resolve(&inside)?;
        if self.is_directory(&path)? {
            return Err(
                is_a_directory(file, &format!("/{}", inside.trim_start_matches('/'))).into(),
            );
        }
        Ok(path)
    }

    /// The path of a symbolic link. It replaces a file or another link.
    fn target_of_link(&self, file: &'i FileEntry) -> Result<String, AssembleStop> {
        let path = self.unfollowed(&file.path)?;
        if self
            .overlay
            .entry(&path)?
            .is_some_and(TreeNode::is_directory)
        {
            return Err(is_a_directory(file, &file.path).into());
        }
        Ok(path)
    }

    /// Places a file or a link at its final path.
    fn add(&mut self, file: &'i FileEntry, entry: Entry) -> Result<(), AssembleStop> {
        self.refuse_replaced(file, &entry.path)?;
        let above: Option<&FileEntry> =
            super::tree::ancestors(&entry.path).find_map(|above| self.sources.get(above).copied());
        if let Some(other) = above {
            return Err(same_target(other, file, &entry.path).into());
        }
        self.overlay.place(entry.clone())?;
        self.sources.insert(entry.path.clone(), file);
        self.entries.push(entry);
        Ok(())
    }

    /// The path with every link followed except the last component.
    fn unfollowed(&self, path: &str) -> Result<String, AssembleStop> {
        let path = path.trim_start_matches('/');
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.overlay.resolve(above)?;
        Ok(if above.is_empty() {
            name.to_owned()
        } else {
            format!("{above}/{name}")
        })
    }

    fn is_directory(&self, path: &str) -> Result<bool, AssembleStop> {
        Ok(path.is_empty()
            || self
                .overlay
                .entry(path)?
                .is_some_and(TreeNode::is_directory))
    }

    /// Refuses a file that replaces another file of the same image.
    fn refuse_replaced(&self, file: &FileEntry, path: &str) -> Result<(), Error> {
        self.sources
            .get(path)
            .map_or(Ok(()), |other| Err(same_target(other, file, path)))
    }

    /// The reason why a directory cannot be created at a path.
    fn not_a_directory(&self, file: &FileEntry, path: &str) -> Error {
        match self.sources.get(path) {
            Some(other) => same_target(other, file, path),
            None => Error::NotADirectory {
                path: file.path.clone(),
                above: format!("/{path}"),
            },
        }
    }
}

fn same_target(first: &FileEntry, second: &FileEntry, path: &str) -> Error {
    let (first, second) = (first.origin.clone(), second.origin.clone());
    Error::SameTarget {
        first,
        second,
        path: format!("/{path}"),
    }
}

fn is_a_directory(file: &FileEntry, path: &str) -> Error {
    Error::IsADirectory {
        origin: file.origin.clone(),
        path: path.to_owned(),
    }
}

/// Creates the working directory if it does not exist, as `WORKDIR` does. The base's own already
/// exists.
pub fn workdir(
    image: &ResolvedImage,
    inherited: &str,
    overlay: &mut Overlay<'_>,
) -> Result<(), AssembleStop> {
    let Some(workdir) = image
        .config
        .workdir
        .as_deref()
        .filter(|workdir| *workdir != inherited)
    else {
        return Ok(());
    };
    let path = overlay.resolve(workdir)?;
    // If the path is not a directory, containers cannot start there.
    if path.is_empty() || overlay.entry(&path)?.is_some_and(TreeNode::is_directory) {
        return Ok(());
    }
    overlay.ensure_directory(&path, &path)
}

#[cfg(test)]
mod tests;
