//! The files of an image: its layers on top of each other (OCI image spec, layer.md).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::certificates::is_certificate;
use super::layer::{LayerFile, LayerFileKind, LayerFiles};
use super::package::Package;
use super::reading::{Database, Reading};
use super::release::Release;
use crate::reference::Digest;

/// The files of an image.
#[derive(Debug, Clone, Default)]
pub struct ImageFiles {
    files: BTreeMap<String, LayerFile>,
    /// Hard links share one reading: a layer can have very many of them.
    pub(super) readings: BTreeMap<String, Arc<Reading>>,
    /// The paths that the image's own layers have written last.
    own: BTreeSet<String>,
    /// The content of each layer, the lowest first.
    layers: Vec<LayerContent>,
}

/// The content of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerContent {
    /// The total size of the regular files in bytes. A hard link counts nothing.
    pub size: u64,
    /// The largest files, with their sizes in bytes, the largest first.
    pub largest: Vec<(String, u64)>,
}

/// The number of largest files that are listed.
const LARGEST: usize = 5;

/// The largest regular files, with their sizes in bytes, the largest first.
fn largest(files: &BTreeMap<String, LayerFile>) -> Vec<(String, u64)> {
    let sizes = files.iter().filter_map(|(path, file)| match &file.kind {
        LayerFileKind::File { size, .. } => Some((path, *size)),
        _ => None,
    });
    let mut sizes: Vec<_> = sizes.map(|(path, size)| (Reverse(size), path)).collect();
    if sizes.len() > LARGEST {
        sizes.select_nth_unstable(LARGEST);
        sizes.truncate(LARGEST);
    }
    sizes.sort_unstable();
    let sizes = sizes.into_iter();
    sizes
        .map(|(Reverse(size), path)| (path.clone(), size))
        .collect()
}

/// The image that a layer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerOwner {
    /// The base, or an unknown image.
    Base,
    /// The image itself.
    Image,
}

/// A package database, or a file with a list of packages, of which a part is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The path of the database in the image.
    pub path: String,
    /// The problem, as a clause about the file.
    pub problem: String,
}

/// The packages of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The distribution.
    pub release: Option<Release>,
    /// The packages, sorted and each once.
    pub packages: Vec<Package>,
    /// The databases of which a part is missing.
    pub gaps: Vec<Gap>,
}

/// The content of an image that a bill of materials lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedContent {
    /// The packages.
    pub(crate) inventory: Inventory,
    /// The regular files that the image's own layers have written, and certificates, with their
    /// digests, by path.
    pub(crate) files: Vec<(String, Digest)>,
}

impl Gap {
    /// True if packages of the distribution are missing, and not those of a programming language.
    #[must_use]
    pub fn is_of_distribution(&self) -> bool {
        Database::at(&self.path).is_some_and(Database::is_of_distribution)
    }
}

impl ImageFiles {
    /// Adds a layer on top.
    pub fn add(&mut self, layer: LayerFiles, owner: LayerOwner) {
        self.layers.push(LayerContent {
            size: layer.size,
            largest: largest(&layer.files),
        });
        for directory in &layer.opaque {
            self.remove_below(directory);
        }
        for path in &layer.whiteouts {
            self.remove(path);
        }
        for (path, file) in layer.files {
            match owner {
                LayerOwner::Base => drop(self.own.remove(&path)),
                LayerOwner::Image => drop(self.own.insert(path.clone())),
            }
            self.insert(path, file);
        }
        let readings = layer.readings.into_iter();
        self.readings
            .extend(readings.map(|(path, reading)| (path, Arc::new(reading))));
    }

    fn insert(&mut self, path: String, mut file: LayerFile) {
        // A file above is replaced by the directory that the path needs.
        for (at, _) in path.match_indices('/') {
            let above = self.files.get(&path[..at]);
            if above.is_some_and(|above| above.kind != LayerFileKind::Directory) {
                self.remove(&path[..at]);
            }
        }
        if let LayerFileKind::Link { target } = &file.kind {
            let reading = self.readings.get(target).cloned();
            if let Some(linked) = self.files.get(target) {
                file.kind = linked.kind.clone();
            }
            self.readings.remove(&path);
            self.readings
                .extend(reading.map(|reading| (path.clone(), reading)));
        } else {
            self.readings.remove(&path);
        }
        if file.kind != LayerFileKind::Directory {
            self.remove_below(&path);
        }
        self.files.insert(path, file);
    }

    fn remove(&mut self, path: &str) {
        self.files.remove(path);
        self.readings.remove(path);
        self.remove_below(path);
    }

    /// Removes everything in a directory; the empty path is the root.
    fn remove_below(&mut self, directory: &str) {
        if directory.is_empty() {
            self.files.clear();
            self.readings.clear();
            return;
        }
        // The character after the slash ends the range of the paths in the directory.
        let (start, end) = (format!("{directory}/"), format!("{directory}0"));
        let below: Vec<String> = self
            .files
            .range(start..end)
            .map(|(path, _)| path.clone())
            .collect();
        for path in below {
            self.files.remove(&path);
            self.readings.remove(&path);
        }
    }

    /// The files, by path.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, LayerFile> {
        &self.files
    }

    /// The total size of the regular files of all layers in bytes, also of those that a higher layer
    /// replaces or removes. An engine needs this space.
    #[must_use]
    pub fn unpacked(&self) -> u64 {
        let sizes = self.layers.iter().map(|layer| layer.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// The content of each layer, the lowest first.
    #[must_use]
    pub fn layers(&self) -> &[LayerContent] {
        &self.layers
    }

    /// The largest regular files of the image, with their sizes in bytes, the largest first.
    #[must_use]
    pub fn largest(&self) -> Vec<(String, u64)> {
        largest(&self.files)
    }

    /// The content that a bill of materials lists. `None` if one of its files was not hashed, such as
    /// a hard link to a file that is not listed.
    #[must_use]
    pub fn listed(&self) -> Option<ListedContent> {
        let listed = self
            .files
            .iter()
            .filter(|(path, _)| self.own.contains(*path) || is_certificate(path));
        let files = listed.filter_map(|(path, file)| match &file.kind {
            LayerFileKind::File { digest, .. } => {
                Some(digest.clone().map(|one| (path.clone(), one)))
            }
            _ => None,
        });
        let files = files.collect::<Option<Vec<_>>>()?;
        let inventory = self.inventory();
        Some(ListedContent { inventory, files })
    }

    /// The packages that the databases of the image list.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::default();
        let mut documents = Vec::new();
        let mut seen = BTreeSet::new();
        for (path, reading) in &self.readings {
            let is_first = seen.insert(Arc::as_ptr(reading));
            let packages = match &**reading {
                Reading::Release(release) => {
                    // The file in etc, which comes first, overrides that in usr/lib.
                    inventory.release.get_or_insert_with(|| release.clone());
                    continue;
                }
                Reading::Packages(packages) | Reading::Documents(packages) => packages,
            };
            if is_first {
                let all = match &**reading {
                    Reading::Documents(_) => &mut documents,
                    _ => &mut inventory.packages,
                };
                all.extend(packages.packages.iter().cloned());
            }
            inventory
                .gaps
                .extend(packages.problem.iter().map(|problem| Gap {
                    path: path.clone(),
                    problem: problem.clone(),
                }));
        }
        for package in documents {
            let is_known = |other: &Package| {
                (other.kind, &other.name, &other.version)
                    == (package.kind, &package.name, &package.version)
            };
            if !inventory.packages.iter().any(is_known) {
                inventory.packages.push(package);
            }
        }
        inventory.packages.sort();
        inventory.packages.dedup();
        inventory
    }
}
