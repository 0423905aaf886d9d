//! The file tree while a layer is written: the base, and the entries placed on it so far.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Attributes, FileTree, TreeNode, Unread, ancestors, resolve};
use super::{AssembleStop, Error};
use crate::oci::tar::{Entry, EntryKind};
use crate::oci::{Bytes, Content};

/// Directories that have mode 0755 and owner root in every distribution. The base is not read only
/// to confirm that; if its layers are read anyway, their values are used. Directories for local
/// additions are not in this list: busybox gives /home to nobody, and /opt, /srv and /usr/local are
/// links on ostree systems.
const CONVENTIONAL: &[&str] = &["etc", "usr", "usr/share", "var", "var/lib"];

const CONVENTIONAL_DIRECTORY: TreeNode = TreeNode::Directory(Attributes::DIRECTORY);

/// The layer of trusted certificates. It is the same for all images with the same base and
/// certificates.
#[derive(Debug)]
pub struct TrustLayer {
    /// The entries, sorted by path.
    pub entries: Vec<Entry>,
    placed: BTreeMap<String, TreeNode>,
}

/// A base and the layers that are being written on it.
#[derive(Debug)]
pub struct Overlay<'a> {
    base: FileTree<'a>,
    /// The nodes of all placed entries, by path.
    placed: BTreeMap<String, TreeNode>,
    /// The entries of the current layer, by path.
    layer: BTreeMap<String, Entry>,
    /// Directories that exist neither in the base nor as an entry of their own.
    implied: BTreeSet<String>,
}

impl<'a> Overlay<'a> {
    /// Creates an overlay without placed entries.
    #[must_use]
    pub const fn new(base: FileTree<'a>) -> Self {
        Self {
            base,
            placed: BTreeMap::new(),
            layer: BTreeMap::new(),
            implied: BTreeSet::new(),
        }
    }

    /// Creates an overlay on a base with its layer of trusted certificates.
    #[must_use]
    pub fn above(base: FileTree<'a>, trust: &TrustLayer) -> Self {
        Self {
            placed: trust.placed.clone(),
            ..Self::new(base)
        }
    }

    /// True if a directory was created only as a parent, so that an entry can still set its owner
    /// and mode.
    #[must_use]
    pub fn is_implied(&self, path: &str) -> bool {
        self.implied.contains(path)
    }

    /// Converts the placed entries to a layer that other layers can be placed on.
    #[must_use]
    pub fn into_trust(self) -> TrustLayer {
        TrustLayer {
            entries: self.layer.into_values().collect(),
            placed: self.placed,
        }
    }

    /// The node at `path`; links are not followed. Fails if the base must be read first.
    pub fn entry(&self, path: &str) -> Result<Option<&TreeNode>, AssembleStop> {
        if let Some(node) = self.placed.get(path) {
            return Ok(Some(node));
        }
        let hidden = |above: &str| {
            self.placed
                .get(above)
                .is_some_and(|node| !matches!(node, TreeNode::Directory(_)))
        };
        if ancestors(path).any(hidden) {
            return Ok(None);
        }
        match self.base.entry(path) {
            Err(Unread::Layer) if CONVENTIONAL.contains(&path) => Ok(Some(&CONVENTIONAL_DIRECTORY)),
            found => Ok(found?),
        }
    }

    /// The path that `path` leads to, every link followed.
    pub fn resolve(&self, path: &str) -> Result<String, AssembleStop> {
        resolve(path, true, |path| self.entry(path))
    }

    /// The bytes of a file, links followed. None if there is no such file.
    pub fn read(&self, path: &str) -> Result<Option<Bytes>, AssembleStop> {
        self.read_through(path, 0)
    }

    /// Like [`Self::read`], after `links` hard links.
    fn read_through(&self, path: &str, links: u32) -> Result<Option<Bytes>, AssembleStop> {
        let path = self.resolve(path)?;
        match self.entry(&path)? {
            Some(TreeNode::File {
                content: Some(content),
                ..
            }) => Ok(Some(content.clone())),
            Some(TreeNode::File { content: None, .. }) => match self.base.hard_link(&path) {
                Some(_) if links > 40 => Err(Error::LinkLoop(format!("/{path}")).into()),
                Some(target) => self.read_through(target, links + 1),
                None => Err(Unread::Content(path).into()),
            },
            _ => Ok(None),
        }
    }

    /// True if `path` is a regular file, links followed.
    pub fn is_file(&self, path: &str) -> Result<bool, AssembleStop> {
        Ok(matches!(
            self.entry(&self.resolve(path)?)?,
            Some(TreeNode::File { .. })
        ))
    }

    /// The names in a directory, links to it followed.
    pub fn list(&self, path: &str) -> Result<Vec<String>, AssembleStop> {
        let path = self.resolve(path)?;
        let mut names: BTreeSet<String> = self
            .base
            .list(&path)?
            .into_iter()
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let prefix = format!("{path}/");
        let placed = self
            .placed
            .range(prefix.clone()..)
            .take_while(|(full, _)| full.starts_with(&prefix));
        for (full, node) in placed {
            let name = &full[prefix.len()..];
            if !name.contains('/') && !matches!(node, TreeNode::Other) {
                names.insert(name.to_owned());
            } else if !name.contains('/') {
                names.remove(name);
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Places an entry as unpacking a layer does: links in the parent path are followed, the last
    /// component is not.
    pub fn place(&mut self, mut entry: Entry) -> Result<(), AssembleStop> {
        let requested = entry.path.clone();
        if let Some((above, name)) = requested.rsplit_once('/') {
            let above = self.resolve(above)?;
            self.ensure_directory(&above, &requested)?;
            entry.path = if above.is_empty() {
                name.to_owned()
            } else {
                format!("{above}/{name}")
            };
        }
        let attributes = Attributes {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
        };
        let node = match &entry.kind {
            EntryKind::Archive(_) => TreeNode::Other,
            EntryKind::Directory => TreeNode::Directory(attributes),
            EntryKind::Symlink(target) => TreeNode::Symlink(target.clone()),
            EntryKind::File(Content::Inline(bytes)) => TreeNode::File {
                attributes,
                content: Some(bytes.clone()),
            },
            EntryKind::File(Content::File { .. }) => TreeNode::File {
                attributes,
                content: None,
            },
        };
        if !matches!(node, TreeNode::Directory(_)) {
            let below = format!("{}/", entry.path);
            remove_below(&mut self.layer, &below);
            remove_below(&mut self.placed, &below);
        }
        self.layer.remove(&whiteout_of(&entry.path));
        self.implied.remove(&entry.path);
        self.placed.insert(entry.path.clone(), node);
        self.layer.insert(entry.path.clone(), entry);
        Ok(())
    }

    /// Removes a path, with a whiteout in the layer.
    pub fn remove(&mut self, path: &str) -> Result<(), AssembleStop> {
        let whiteout = whiteout_of(path);
        self.ensure_directory(path.rsplit_once('/').map_or("", |(above, _)| above), path)?;
        self.layer.remove(path);
        self.placed.insert(path.to_owned(), TreeNode::Other);
        let kind = EntryKind::File(Content::inline(Vec::new()));
        self.layer.insert(
            whiteout.clone(),
            Entry {
                path: whiteout,
                mode: 0,
                uid: 0,
                gid: 0,
                kind,
            },
        );
        Ok(())
    }

    /// Makes sure that a directory and its parents exist and have entries in the layer: as in the
    /// base, or with mode 0755 and owner root if new. Without the entry, mode and owner would
    /// depend on the unpacker.
    pub fn ensure_directory(&mut self, path: &str, needed_for: &str) -> Result<(), AssembleStop> {
        let above: Vec<&str> = ancestors(path).collect();
        for path in above
            .into_iter()
            .rev()
            .chain([path])
            .filter(|path| !path.is_empty())
        {
            if self.layer.contains_key(path) {
                continue;
            }
            let attributes = match self.entry(path)? {
                Some(TreeNode::Directory(attributes)) => *attributes,
                Some(TreeNode::Implied) => Attributes::DIRECTORY,
                None => {
                    self.implied.insert(path.to_owned());
                    Attributes::DIRECTORY
                }
                Some(_) => {
                    let (path, above) = (format!("/{needed_for}"), format!("/{path}"));
                    return Err(Error::NotADirectory { path, above }.into());
                }
            };
            let Attributes { mode, uid, gid } = attributes;
            let entry = Entry {
                path: path.to_owned(),
                mode,
                uid,
                gid,
                kind: EntryKind::Directory,
            };
            self.placed
                .insert(path.to_owned(), TreeNode::Directory(attributes));
            self.layer.insert(path.to_owned(), entry);
        }
        Ok(())
    }

    /// Ends the current layer and returns its entries, sorted by path.
    pub fn finish_layer(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.layer).into_values().collect()
    }
}

fn remove_below<T>(map: &mut BTreeMap<String, T>, below: &str) {
    let removed = map
        .range(below.to_owned()..)
        .map(|(path, _)| path)
        .take_while(|path| path.starts_with(below));
    for path in removed.cloned().collect::<Vec<_>>() {
        map.remove(&path);
    }
}

/// The path of the whiteout entry that removes `path` from the layers below.
fn whiteout_of(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((above, name)) => format!("{above}/.wh.{name}"),
        None => format!(".wh.{path}"),
    }
}
