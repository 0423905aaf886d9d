//! The known part of a base's file tree: one index per layer, read from the top down (OCI image
//! spec, layer.md: whiteouts, opaque whiteouts). Further layers are requested only if the answer
//! depends on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{AssembleStop, Error};
use crate::oci::Bytes;

/// A part of the base that must be read before an answer is possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// The next layer below the known ones.
    Layer,
    /// All layers below the known ones, because any of them may add names to a directory.
    Layers,
    /// The content of this file, which indexes do not keep by default.
    Content(String),
}

/// The owner and permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The permission bits with set-id and sticky.
    pub mode: u32,
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

impl Attributes {
    /// The attributes that Docker gives to implicitly created directories: mode 0755, owner root.
    pub const DIRECTORY: Self = Self {
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeNode {
    /// A directory with an entry of its own.
    Directory(Attributes),
    /// A directory without an entry of its own: the layer only has entries in it. A layer below has
    /// its attributes.
    Implied,
    /// A regular file.
    File {
        /// The owner and mode.
        attributes: Attributes,
        /// The bytes, if the index keeps them.
        content: Option<Bytes>,
    },
    /// A symbolic link and its target.
    Symlink(String),
    /// A device, a pipe or a removed entry, which golden does not read.
    Other,
}

impl TreeNode {
    /// True if the node is a directory, with or without an entry of its own.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_) | Self::Implied)
    }
}

/// The changes of one layer to the tree. Paths are relative, without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerIndex {
    /// The entries of the layer, by path.
    pub entries: BTreeMap<String, TreeNode>,
    /// The paths that the layer removes from the layers below.
    pub whiteouts: BTreeSet<String>,
    /// Directories whose content in the layers below is hidden.
    pub opaque: BTreeSet<String>,
    /// Hard links to files whose content was not kept: link path to file path.
    pub links: BTreeMap<String, String>,
}

impl LayerIndex {
    /// The approximate memory of the index in bytes.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let node = |node: &TreeNode| match node {
            TreeNode::File {
                content: Some(content),
                ..
            } => content.len(),
            TreeNode::Symlink(target) => target.len(),
            _ => 0,
        };
        let entries = self
            .entries
            .iter()
            .map(|(path, entry)| path.len() + node(entry));
        let names = self.whiteouts.iter().chain(&self.opaque).map(String::len);
        let links = self
            .links
            .iter()
            .map(|(path, target)| path.len() + target.len());
        entries
            .chain(names)
            .chain(links)
            .map(|bytes| bytes as u64 + 128)
            .sum()
    }

    /// True if the layer hides `path` of the layers below.
    fn hides(&self, path: &str) -> bool {
        let is_hidden_by = |above: &str| {
            self.whiteouts.contains(above)
                || self.opaque.contains(above)
                || self
                    .entries
                    .get(above)
                    .is_some_and(|node| !node.is_directory())
        };
        self.whiteouts.contains(path)
            || self.opaque.contains("")
            || ancestors(path).any(is_hidden_by)
    }
}

/// The parent directories of a path, the deepest first, without the root.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(|(at, _)| &path[..at])
}

/// A base's file tree, as far as it was read.
#[derive(Debug, Clone, Copy)]
pub struct FileTree<'a> {
    /// The layers that were read, the top one first.
    pub layers: &'a [Arc<LayerIndex>],
    /// True if there is no further layer below.
    pub complete: bool,
}

impl<'a> FileTree<'a> {
    /// The file that a hard link without content refers to.
    #[must_use]
    pub fn hard_link(&self, path: &str) -> Option<&'a str> {
        let layer = self
            .layers
            .iter()
            .find(|layer| layer.entries.contains_key(path))?;
        layer.links.get(path).map(String::as_str)
    }

    /// The node at `path`; links are not followed. Fails if a further layer must be read.
    pub fn entry(&self, path: &str) -> Result<Option<&'a TreeNode>, Unread> {
        let mut implied = None;
        for layer in self.layers {
            match layer.entries.get(path) {
                Some(node @ TreeNode::Implied) => implied = Some(node),
                // A directory in a lower layer gives the implied directory its attributes. Any
                // other entry there is hidden.
                Some(node) if implied.is_none() || matches!(node, TreeNode::Directory(_)) => {
                    return Ok(Some(node));
                }
                Some(_) => return Ok(implied),
                None => {}
            }
            if layer.hides(path) || (layer.opaque.contains(path) && implied.is_some()) {
                return Ok(implied);
            }
        }
        if self.complete {
            Ok(implied)
        } else {
            Err(Unread::Layer)
        }
    }

    /// The names in a directory, sorted; empty if it does not exist. Fails if further layers must
    /// be read.
    pub fn list(&self, path: &str) -> Result<BTreeSet<&'a str>, Unread> {
        let (mut names, mut removed) = (BTreeSet::new(), BTreeSet::new());
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let name_of = |full: &'a str| full[prefix.len()..].split('/').next().unwrap_or_default();
        for layer in self.layers {
            let below = layer
                .entries
                .range(prefix.clone()..)
                .map(|(path, _)| path.as_str());
            for full in below.take_while(|full| full.starts_with(&prefix)) {
                let name = name_of(full);
                if !removed.contains(name) {
                    names.insert(name);
                }
            }
            let whiteouts = layer.whiteouts.range(prefix.clone()..).map(String::as_str);
            removed.extend(
                whiteouts
                    .take_while(|full| full.starts_with(&prefix))
                    .map(direct_child_name(&prefix)),
            );
            let is_not_directory = layer
                .entries
                .get(path)
                .is_some_and(|node| !node.is_directory());
            if layer.opaque.contains(path) || layer.hides(path) || is_not_directory {
                return Ok(names);
            }
        }
        if self.complete {
            Ok(names)
        } else {
            Err(Unread::Layers)
        }
    }
}

/// The name of a whiteout directly below `prefix`; empty for a deeper one, which removes no name of
/// this directory.
fn direct_child_name<'a>(prefix: &str) -> impl Fn(&'a str) -> &'a str {
    let length = prefix.len();
    move |full| {
        if full[length..].contains('/') {
            ""
        } else {
            &full[length..]
        }
    }
}

/// The limit of path components per lookup. A link of 4,096 bytes can have 2,048 components.
const MAX_STEPS: usize = 8192;
/// The longest path that is looked up, in bytes: Linux's `PATH_MAX`.
const PATH_MAX: usize = 4096;

/// The path that `path` leads to with every link followed, including the last component if `last`
/// is true. Components that do not exist are kept. Fails if there are too many links.
pub fn resolve<'n>(
    path: &str,
    last: bool,
    entry: impl Fn(&str) -> Result<Option<&'n TreeNode>, AssembleStop>,
) -> Result<String, AssembleStop> {
    let mut todo: Vec<String> = path
        .split('/')
        .rev()
        .filter(|p| !p.is_empty())
        .map(str::to_owned)
        .collect();
    let (mut done, mut links, mut steps) = (Vec::<String>::new(), 0, 0);
    while let Some(part) = todo.pop() {
        steps += 1;
        match part.as_str() {
            "." => continue,
            ".." => {
                done.pop();
                continue;
            }
            _ => done.push(part),
        }
        let here = done.join("/");
        if steps > MAX_STEPS || here.len() > PATH_MAX {
            return Err(Error::LinkLoop(format!(
                "/{}",
                path.chars().take(100).collect::<String>()
            ))
            .into());
        }
        if todo.is_empty() && !last {
            break;
        }
        if let Some(TreeNode::Symlink(target)) = entry(&here)? {
            links += 1;
            if links > 40 {
                return Err(Error::LinkLoop(format!("/{path}")).into());
            }
            done.pop();
            if target.starts_with('/') {
                done.clear();
            }
            todo.extend(
                target
                    .split('/')
                    .rev()
                    .filter(|p| !p.is_empty())
                    .map(str::to_owned),
            );
        }
    }
    Ok(done.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(lines: &[&str]) -> Arc<LayerIndex> {
        let mut index = LayerIndex::default();
        for line in lines {
            match line.split_once(' ') {
                Some(("d", path)) => {
                    drop(
                        index
                            .entries
                            .insert(path.to_owned(), TreeNode::Directory(Attributes::DIRECTORY)),
                    );
                }
                Some(("f", path)) => {
                    let node = TreeNode::File {
                        attributes: Attributes::DIRECTORY,
                        content: None,
                    };
                    index.entries.insert(path.to_owned(), node);
                }
                Some(("i", path)) => drop(index.entries.insert(path.to_owned(), TreeNode::Implied)),
                Some(("w", path)) => drop(index.whiteouts.insert(path.to_owned())),
                Some(("o", path)) => drop(index.opaque.insert(path.to_owned())),
                Some((link, path)) => {
                    drop(
                        index
                            .entries
                            .insert(path.to_owned(), TreeNode::Symlink(link.to_owned())),
                    );
                }
                None => unreachable!("a line of the test has two words"),
            }
        }
        Arc::new(index)
    }

    #[test]
    fn upper_layers_override_and_hide_lower_ones() {
        let layers = [
            layer(&["f a/new", "i a", "w b", "o c", "d c", "f c/mine", "f d"]),
            layer(&[
                "d a",
                "f a/old",
                "d b",
                "f b/x",
                "d c",
                "f c/theirs",
                "d d",
                "f d/x",
                "w e",
            ]),
            layer(&["f e", "f g"]),
        ];
        let all = FileTree {
            layers: &layers,
            complete: true,
        };
        for (path, exists) in [
            ("a/new", true),
            ("a/old", true),
            ("b", false),
            ("b/x", false),
            ("c/mine", true),
            ("c/theirs", false),
            ("d", true),
            ("d/x", false),
            ("e", false),
            ("g", true),
            ("h", false),
        ] {
            assert_eq!(all.entry(path).unwrap().is_some(), exists, "{path}");
        }
        assert_eq!(
            all.entry("a").unwrap(),
            Some(&TreeNode::Directory(Attributes::DIRECTORY))
        );
        assert_eq!(all.list("a").unwrap(), BTreeSet::from(["new", "old"]));
        assert_eq!(all.list("c").unwrap(), BTreeSet::from(["mine"]));
        assert_eq!(all.list("").unwrap(), BTreeSet::from(["a", "c", "d", "g"]));
        let top = FileTree {
            layers: &layers[..1],
            complete: false,
        };
        assert_eq!(top.entry("g"), Err(Unread::Layer));
        assert_eq!(top.entry("b/x"), Ok(None));
        assert!(top.entry("a/new").unwrap().is_some());
        assert_eq!(top.list("a"), Err(Unread::Layers));
        assert_eq!(top.list("c").unwrap(), BTreeSet::from(["mine"]));
    }

    #[test]
    fn links_are_followed_within_the_root() {
        let layers = [layer(&[
            "usr/bin bin",
            "/x/../y abs",
            "../../up usr/up",
            "loop loop",
            "d usr",
            "d usr/bin",
        ])];
        let tree = FileTree {
            layers: &layers,
            complete: true,
        };
        let resolved = |path: &str, last| resolve(path, last, |p| Ok(tree.entry(p)?));
        for (from, last, to) in [
            ("bin/sh", true, "usr/bin/sh"),
            ("bin", false, "bin"),
            ("bin", true, "usr/bin"),
            ("abs/z", true, "y/z"),
            ("usr/up", true, "up"),
            ("new/../a", true, "a"),
            ("../..", true, ""),
        ] {
            assert_eq!(resolved(from, last).unwrap(), to);
        }
        assert!(matches!(
            resolved("loop/a", true),
            Err(AssembleStop::Refused(Error::LinkLoop(_)))
        ));
        // Each link leads through the next one twice.
        let links = (0..40)
            .map(|n| format!("l{0}/../l{0} l{n}", n + 1))
            .collect::<Vec<_>>();
        let links = [layer(&links.iter().map(String::as_str).collect::<Vec<_>>())];
        let tree = FileTree {
            layers: &links,
            complete: true,
        };
        let result = resolve("l0", true, |p| Ok(tree.entry(p)?));
        assert!(matches!(
            result,
            Err(AssembleStop::Refused(Error::LinkLoop(_)))
        ));
    }
}
