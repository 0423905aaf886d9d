//! The manifests below an index. An index can name other indexes, and the same manifest any number of times, so that a
//! walk without memory needs as many requests as there are ways through them.

use std::collections::BTreeSet;

use super::inventory::children;
use super::{Error, FailureKind, Registry};
use crate::oci::{Descriptor, RawManifest};
use crate::reference::{Digest, RepositoryPath, Target};

/// The number of levels below the first manifest.
const DEEPEST: usize = 8;

/// The manifests below one, all levels, each digest once.
#[derive(Debug, Default)]
pub struct Below {
    /// Those that the registry has. A manifest comes after everything that it names.
    pub manifests: Vec<RawManifest>,
    /// Those that it does not have.
    pub missing: Vec<Digest>,
}

impl Registry {
    /// Reads the manifests below `top`, as far as `follow` accepts their descriptors.
    pub async fn below(
        &self,
        repository: &RepositoryPath,
        top: &RawManifest,
        follow: impl Fn(&Descriptor) -> bool,
    ) -> Result<Below, Error> {
        let mut below = Below::default();
        let mut seen = BTreeSet::from([top.digest.clone()]);
        let mut open = vec![(top.clone(), children(top).into_iter())];
        while let Some((_, left)) = open.last_mut() {
            let Some(child) = left.next() else {
                below
                    .manifests
                    .extend(open.pop().map(|(manifest, _)| manifest));
                continue;
            };
            if !follow(&child) || !seen.insert(child.digest.clone()) {
                continue;
            }
            if open.len() > DEEPEST {
                let url = format!("{}/v2/{repository}/manifests/{}", self.host(), top.digest);
                let message =
                    format!("the index has indexes in it that are nested more than {DEEPEST} deep");
                return Err(Error::new(FailureKind::Unsupported, "GET", &url, message));
            }
            match self
                .get_manifest(repository, &Target::from(&child.digest))
                .await?
            {
                None => below.missing.push(child.digest),
                Some(manifest) => {
                    let below_it = children(&manifest).into_iter();
                    open.push((manifest, below_it));
                }
            }
        }
        // The last one is `top` itself.
        below.manifests.pop();
        Ok(below)
    }
}
