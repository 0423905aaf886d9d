//! Announces the lifecycle that the specs declare: the end of life of images, and revoked versions.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use semver::Version;
use serde::Serialize;

use super::error::Error;
use super::session::Session;
use super::signatures::TrustedKeys;
use crate::oci::lifecycle::{Announcement, LifecycleStatus, state};
use crate::publish;
use crate::reference::{Digest, Reference, RepositoryPath};
use crate::registry::{Registries, Repo};
use crate::resolve::lifecycle::LifecycleRules;
use crate::signing::{self, Signer};
use crate::tags::{TagList, Variant};
use crate::trust::PublicKey;

/// The number of images whose announcements are read concurrently.
const CONCURRENT: usize = 8;

/// The announcement of a status.
#[derive(Debug, Clone, Serialize)]
pub struct Announced {
    /// The published version.
    pub reference: Reference,
    /// The digest of the index or of the image.
    pub digest: Digest,
    /// The content.
    #[serde(flatten)]
    pub announcement: Announcement,
    /// The number of manifests that got a new announcement: the index and the images of its
    /// platforms. 0 if all of them had it, or if nothing is written.
    pub added: usize,
}

/// The versions of an image whose lifecycle is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnouncedImages {
    /// Every selected image; versions that the spec no longer revokes are restored.
    All,
    /// The selected images whose specs declare a lifecycle.
    Declared,
}

/// Announces the lifecycle of the published versions of the selected images, in each selected
/// registry. With `dry_run`, nothing is written. Fails if a registry fails, or an announcement
/// cannot be signed.
pub async fn apply(
    session: &Session,
    registries: &Registries,
    images: AnnouncedImages,
    dry_run: bool,
) -> Result<Vec<Announced>, Error> {
    let mut rules: BTreeMap<(&RepositoryPath, Option<&Variant>), LifecycleRules> = BTreeMap::new();
    for image in session.images.iter().filter(|one| one.selected) {
        let image = &image.image;
        if image.lifecycle.is_empty() && images == AnnouncedImages::Declared {
            continue;
        }
        let key = (&image.name, image.variant.as_ref());
        let known = rules.entry(key).or_default();
        known.end_of_life = known.end_of_life.or(image.lifecycle.end_of_life);
        known
            .revoked
            .extend(image.lifecycle.revoked.iter().cloned());
    }
    let mut announced = Vec::new();
    if rules.is_empty() {
        return Ok(announced);
    }
    let signer = session.signing.as_ref().map(|signing| &signing.signer);
    let trusted = TrustedKeys::of(&session.workspace.root, &session.workspace.spec)?;
    for ((name, variant), rules) in &rules {
        for destination in &session.destinations {
            let repository = destination.repository(name).map_err(Error::invalid)?;
            let repo = registries.repo(&repository);
            let tags = repo.tags().await?;
            let list = TagList::new(&tags, *variant, &[]);
            let keys = trusted.public_keys(&repository);
            let versions = stream::iter(list.versions()).map(|version| {
                let reference = repository.tag(&version.tag);
                let job = AnnounceJob {
                    registries,
                    signer,
                    trusted: &keys,
                    restores: images == AnnouncedImages::All,
                    dry_run,
                    now: session.settings.now,
                };
                async move { job.version(reference, &version.version, rules).await }
            });
            let versions: Vec<Vec<Announced>> = versions.buffered(CONCURRENT).try_collect().await?;
            announced.extend(versions.into_iter().flatten());
        }
    }
    Ok(announced)
}

/// The handles that write announcements.
#[derive(Clone, Copy)]
struct AnnounceJob<'a> {
    registries: &'a Registries,
    signer: Option<&'a Signer>,
    /// The keys that `[[trust]]` has for the image.
    trusted: &'a [PublicKey],
    /// True if versions that the spec does not revoke are restored.
    restores: bool,
    dry_run: bool,
    now: i64,
}

impl AnnounceJob<'_> {
    /// Announces the lifecycle of one version.
    async fn version(
        self,
        reference: Reference,
        version: &Version,
        rules: &LifecycleRules,
    ) -> Result<Vec<Announced>, Error> {
        let (revocation, end) = (rules.revocation(version), rules.end());
        if revocation.is_none() && end.is_none() && !self.restores {
            return Ok(Vec::new());
        }
        let repo = self.registries.repo(&reference.repository);
        let Some(raw) = repo.manifest(reference.target()).await? else {
            return Ok(Vec::new());
        };
        let revocation = match revocation {
            None if self.restores => self.restoration(&repo, &raw.digest).await?,
            revocation => revocation,
        };
        let mut announced = Vec::new();
        for announcement in revocation.into_iter().chain(end) {
            let added = if self.dry_run {
                0
            } else {
                let (signer, trusted) = (self.signer, self.trusted);
                publish::announce(&repo, &raw, &announcement, signer, trusted, self.now).await?
            };
            announced.push(Announced {
                reference: reference.clone(),
                digest: raw.digest.clone(),
                announcement,
                added,
            });
        }
        Ok(announced)
    }

    /// The announcement that restores a version which the spec no longer revokes. A revocation that
    /// comes from a base remains.
    async fn restoration(
        self,
        repo: &Repo,
        digest: &Digest,
    ) -> Result<Option<Announcement>, Error> {
        let current = current_revocation(repo, digest, self.trusted, self.signer).await?;
        let own = current.filter(|one| one.inherited_from.is_none());
        Ok(own.map(|_| Announcement::new(LifecycleStatus::Active)))
    }
}

/// The revocation of an image, unless it was restored. `trusted` has the keys that `[[trust]]` has
/// for the image. The same announcements count as for those who use the image: only signed ones if
/// there is a trusted key. Those by the signer count too.
pub(super) async fn current_revocation(
    repo: &Repo,
    digest: &Digest,
    trusted: &[PublicKey],
    signer: Option<&Signer>,
) -> Result<Option<Announcement>, Error> {
    let keys = signing::keys_with_own(trusted, signer);
    let found = signing::announcements(repo, digest, &keys).await?;
    Ok(state(&found, !trusted.is_empty()).revoked)
}
