//! Reads the manifests below an index. Indexes can be nested and can list a manifest several times;
//! each manifest is read once.

use std::collections::BTreeSet;

use super::inventory::children;
use super::{Error, FailureKind, Repo};
use crate::oci::{Descriptor, RawManifest};
use crate::reference::Digest;

/// The maximum number of levels below the first manifest.
const DEEPEST: usize = 8;

/// The manifests below an index at all levels, each digest once.
#[derive(Debug, Default)]
pub struct Below {
    /// The manifests that the registry has. A manifest comes after all manifests that it
    /// references.
    pub manifests: Vec<RawManifest>,
    /// The digests of the manifests that the registry does not have.
    pub missing: Vec<Digest>,
}

impl Repo {
    /// Reads the manifests below `top` whose descriptors `follow` accepts. Fails if the indexes are
    /// nested too deeply.
    pub async fn below(
        &self,
        top: &RawManifest,
        follow: impl Fn(&Descriptor) -> bool,
    ) -> Result<Below, Error> {
        let mut below = Below::default();
        let mut seen = BTreeSet::from([top.digest.clone()]);
        let mut open = vec![(top.clone(), children(top).into_iter())];
        while let Some((_, remaining)) = open.last_mut() {
            let Some(child) = remaining.next() else {
                below
                    .manifests
                    .extend(open.pop().map(|(manifest, _)| manifest));
                continue;
            };
            if !follow(&child) || !seen.insert(child.digest.clone()) {
                continue;
            }
            if open.len() > DEEPEST {
                let url = self.shown_url(&format!("manifests/{}", top.digest));
                let message = format!("the index has more than {DEEPEST} levels of nested indexes");
                return Err(Error::new(FailureKind::Unsupported, "GET", &url, message));
            }
            match self.manifest(&child.digest).await? {
                None => below.missing.push(child.digest),
                Some(manifest) => {
                    let below_it = children(&manifest).into_iter();
                    open.push((manifest, below_it));
                }
            }
        }
        // The last manifest is `top` itself.
        below.manifests.pop();
        Ok(below)
    }
}
