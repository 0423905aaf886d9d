//! The tree that a layer is being written onto: the base, and above it what was placed so far.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Attributes, Tree, TreeNode, Unread, ancestors, resolve};
use super::{AssembleStop, Error};
use crate::oci::tar::{Entry, EntryKind};
use crate::oci::{Bytes, Content};

/// Folders that are 0755 and root's in every distribution. For these alone a base is not read only to learn what
/// they are like; when its layers are read anyway, what they say counts. Those for what is added later are not among
/// them: busybox gives /home to nobody, and /opt, /srv and /usr/local are links where the system is an ostree.
const CONVENTIONAL: &[&str] = &["etc", "usr", "usr/share", "var", "var/lib"];

/// What one of them is like.
const CONVENTIONAL_FOLDER: TreeNode = TreeNode::Directory(Attributes::FOLDER);

/// The layer of trusted certificates: the same for every image on a base that trusts the same.
#[derive(Debug)]
pub struct TrustLayer {
    /// Its entries, sorted by path.
    pub entries: Vec<Entry>,
    placed: BTreeMap<String, TreeNode>,
}

/// A base with layers on it that are being made.
#[derive(Debug)]
pub struct Overlay<'a> {
    base: Tree<'a>,
    /// Everything that was placed, as the tree sees it.
    placed: BTreeMap<String, TreeNode>,
    /// The entries of the layer in the making, by path.
    layer: BTreeMap<String, Entry>,
    /// Directories that neither the base has nor an entry of its own describes.
    implied: BTreeSet<String>,
}

impl<'a> Overlay<'a> {
    /// Nothing placed yet.
    #[must_use]
    pub const fn new(base: Tree<'a>) -> Self {
        Self {
            base,
            placed: BTreeMap::new(),
            layer: BTreeMap::new(),
            implied: BTreeSet::new(),
        }
    }

    /// On a base onto which the trusted certificates were placed before.
    #[must_use]
    pub fn above(base: Tree<'a>, trust: &TrustLayer) -> Self {
        Self {
            placed: trust.placed.clone(),
            ..Self::new(base)
        }
    }

    /// Whether a directory was made for what lies in it, so that its owner and mode may still be given.
    #[must_use]
    pub fn is_implied(&self, path: &str) -> bool {
        self.implied.contains(path)
    }

    /// What was placed, as one layer that others can be put above.
    #[must_use]
    pub fn into_trust(self) -> TrustLayer {
        TrustLayer {
            entries: self.layer.into_values().collect(),
            placed: self.placed,
        }
    }

    /// What is at `path`; links are not followed.
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
            Err(Unread::Layer) if CONVENTIONAL.contains(&path) => Ok(Some(&CONVENTIONAL_FOLDER)),
            found => Ok(found?),
        }
    }

    /// Where a path leads, every link followed.
    pub fn resolve(&self, path: &str) -> Result<String, AssembleStop> {
        resolve(path, true, |path| self.entry(path))
    }

    /// The bytes of a file, links followed; none when there is no such file.
    pub fn read(&self, path: &str) -> Result<Option<Bytes>, AssembleStop> {
        self.read_through(path, 0)
    }

    /// The same, after so many hard links.
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

    /// Whether there is a regular file, links followed.
    pub fn is_file(&self, path: &str) -> Result<bool, AssembleStop> {
        Ok(matches!(
            self.entry(&self.resolve(path)?)?,
            Some(TreeNode::File { .. })
        ))
    }

    /// The names in a folder, links to it followed.
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

    /// Places an entry as unpacking it would: links above it are followed, the last name is not.
    pub fn place(&mut self, mut entry: Entry) -> Result<(), AssembleStop> {
        let asked = entry.path.clone();
        if let Some((above, name)) = asked.rsplit_once('/') {
            let above = self.resolve(above)?;
            self.folder(&above, &asked)?;
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

    /// Takes a path away.
    pub fn remove(&mut self, path: &str) -> Result<(), AssembleStop> {
        let whiteout = whiteout_of(path);
        self.folder(path.rsplit_once('/').map_or("", |(above, _)| above), path)?;
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

    /// Makes sure that there is a folder, and that the layer says what it is like: as it is in the base, or 0755 and
    /// root's where it is new. A layer that left it out would leave that to whoever unpacks it.
    pub fn folder(&mut self, path: &str, wanted_by: &str) -> Result<(), AssembleStop> {
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
                Some(TreeNode::Implied) => Attributes::FOLDER,
                None => {
                    self.implied.insert(path.to_owned());
                    Attributes::FOLDER
                }
                Some(_) => {
                    let (path, above) = (format!("/{wanted_by}"), format!("/{path}"));
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

    /// Ends a layer: its entries, sorted by path.
    pub fn finish_layer(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.layer).into_values().collect()
    }
}

/// Removes every key that starts with `below`.
fn remove_below<T>(map: &mut BTreeMap<String, T>, below: &str) {
    let gone = map
        .range(below.to_owned()..)
        .map(|(path, _)| path)
        .take_while(|path| path.starts_with(below));
    for path in gone.cloned().collect::<Vec<_>>() {
        map.remove(&path);
    }
}

/// The entry that takes a path away from the layers below.
fn whiteout_of(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((above, name)) => format!("{above}/.wh.{name}"),
        None => format!(".wh.{path}"),
    }
}
