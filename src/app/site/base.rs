//! The freshness of bases: that of an external base from its registry, and that of a workspace image
//! from its published versions.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};

use super::data::{Freshness, ImageKey, SiteBase, SiteRepository};
use crate::app::Session;
use crate::app::bases::{self, ComparedBase, LockedBaseChange};
use crate::reference::{Digest, Reference, Tag};
use crate::registry::Registries;
use crate::resolve::ResolvedImage;
use crate::resolve::image::Base;
use crate::tags::{has_patch, newest_patch};
use crate::workspace::lock::key;

/// The number of repositories of bases whose tags are read concurrently.
const CONCURRENT: usize = 8;

/// The state of the external bases, by the base as the specs write it.
#[derive(Debug, Default)]
pub(super) struct Bases {
    compared: BTreeMap<String, ComparedBase>,
    /// The reasons why bases cannot be read.
    lost: BTreeMap<String, String>,
    /// The newest patches.
    newer: BTreeMap<String, Tag>,
}

impl Bases {
    /// Reads the external bases of a session. A base that cannot be read does not stop the others.
    pub(super) async fn read(session: &Session, registries: &Registries) -> Self {
        let mut found = Self::default();
        match bases::compare(session, &[]).await {
            Ok((compared, lost)) => {
                let compared = compared.into_iter().map(|one| (one.base.clone(), one));
                found.compared = compared.collect();
                found.lost = lost.into_iter().map(|one| (one.base, one.error)).collect();
            }
            Err(error) => {
                let external = bases::external(session).into_keys();
                found.lost = external.map(|base| (base, error.to_string())).collect();
            }
        }
        let tagged = found.compared.values().map(|one| {
            let reference = &one.current.reference;
            (one.base.clone(), reference.clone())
        });
        let tagged: Vec<(String, Reference)> = tagged.collect();
        let newer = stream::iter(tagged).map(|(base, reference)| async move {
            let tag = reference.tag.as_ref().filter(|tag| has_patch(tag))?;
            // The tags only add the newest patch, so an error is ignored.
            let tags = registries.repo(&reference.repository).tags().await.ok()?;
            Some((base, newest_patch(tag, &tags)?.clone()))
        });
        let newer: Vec<_> = newer.buffered(CONCURRENT).collect().await;
        found.newer = newer.into_iter().flatten().collect();
        found
    }

    /// The locked bases, each with `true` if it has moved.
    pub(super) fn moved(&self) -> BTreeMap<String, bool> {
        let locked = self.compared.values();
        let locked = locked.filter(|one| one.change != LockedBaseChange::New && !one.pinned);
        locked
            .map(|one| (one.base.clone(), one.change == LockedBaseChange::Moved))
            .collect()
    }

    /// The reason why the base of an image cannot be read.
    pub(super) fn problem(&self, base: &Base) -> Option<String> {
        let name = name_of(base)?;
        let error = self.lost.get(&name)?;
        Some(format!("the base {name} cannot be read: {error}"))
    }

    /// The base of an image, whose newest version is built on the digest `used`.
    pub(super) fn of(
        &self,
        image: &ResolvedImage,
        used: Option<Digest>,
        parent: Option<(&ImageKey, Option<&SiteRepository>)>,
    ) -> SiteBase {
        let fixed = |name: String, digest| SiteBase {
            name,
            digest,
            freshness: Freshness::Fixed,
        };
        match (&image.base, parent) {
            (Base::Scratch, _) => fixed("scratch".to_owned(), None),
            (Base::Layout(layout), _) => fixed(layout.written.clone(), Some(layout.digest.clone())),
            (Base::Workspace { name, .. }, None) => SiteBase {
                name: name.to_string(),
                digest: used,
                freshness: Freshness::Unknown("its versions are unknown".to_owned()),
            },
            (_, Some((key, place))) => SiteBase {
                name: key.to_string(),
                freshness: of_parent(used.as_ref(), place),
                digest: used,
            },
            (external, None) => self.external(external, used),
        }
    }

    fn external(&self, base: &Base, used: Option<Digest>) -> SiteBase {
        let name = name_of(base).unwrap_or_default();
        let compared = self.compared.get(&name);
        let locked = compared.and_then(|one| one.locked.as_ref());
        let digest = used.or_else(|| locked.map(|locked| locked.digest.clone()));
        let freshness = match (compared, self.lost.get(&name)) {
            (Some(one), _) => self.compare(one, digest.as_ref()),
            (None, Some(error)) => Freshness::Unknown(error.clone()),
            // The base is a digest without a tag.
            (None, None) => Freshness::Fixed,
        };
        SiteBase {
            name,
            digest,
            freshness,
        }
    }

    fn compare(&self, one: &ComparedBase, digest: Option<&Digest>) -> Freshness {
        if let Some(tag) = self.newer.get(&one.base) {
            return Freshness::Newer(tag.to_string());
        }
        let current = &one.current;
        let Some(digest) = digest else {
            return Freshness::Unknown("no version is published, and it is not locked".to_owned());
        };
        if *digest == current.digest || current.platforms.values().any(|one| one == digest) {
            return Freshness::Current;
        }
        let tag = |reference: &Reference| reference.tag.clone();
        let locked = one.locked.as_ref().and_then(|one| tag(&one.reference));
        match tag(&current.reference) {
            Some(now) if locked.is_some_and(|locked| locked != now) => {
                Freshness::Newer(now.to_string())
            }
            _ => Freshness::Moved(current.digest.clone()),
        }
    }
}

/// The base as the specs and golden.lock write it; `None` if it is not external.
fn name_of(base: &Base) -> Option<String> {
    match base {
        Base::Reference(reference) => Some(reference.to_string()),
        other => key(other),
    }
}

/// The freshness of an image that is built on a digest of another image of the workspace.
fn of_parent(used: Option<&Digest>, place: Option<&SiteRepository>) -> Freshness {
    let newest = place.and_then(|place| place.versions.first());
    let (Some(used), Some(newest)) = (used, newest) else {
        let reason = "the image or its base is not published";
        return Freshness::Unknown(reason.to_owned());
    };
    if newest.digest == *used || newest.manifests.contains(used) {
        Freshness::Current
    } else {
        Freshness::Newer(newest.version.clone())
    }
}
