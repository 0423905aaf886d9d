//! Plans the announcements about the images that are built on a revoked or restored image.

use super::inherited::{self, RevokedTree};
use super::{PlannedRevocation, RevokeRequest, RevokeScope, RevokedImage};
use crate::app::error::Error;
use crate::app::impact::{ImpactQuery, ImpactedImage, impact};
use crate::app::lifecycle::current_revocation;
use crate::image::{self, LabelledBase};
use crate::oci::RawManifest;
use crate::oci::lifecycle::{Announcement, LifecycleStatus};
use crate::reference::{Digest, Reference, Repository};

/// The longest chain of bases that is followed by labels.
const MOST_BASES: usize = 16;

/// An image that the user names.
#[derive(Debug)]
pub(super) struct RequestedImage {
    pub(super) reference: Reference,
    pub(super) raw: RawManifest,
}

/// The request as it applies to descendants.
#[derive(Debug, Clone, Copy)]
pub(super) struct DescendantPlan<'a> {
    pub(super) request: &'a RevokeRequest,
    /// The images that the user names; they inherit nothing.
    pub(super) named: &'a [RequestedImage],
    pub(super) scope: RevokeScope<'a>,
}

impl DescendantPlan<'_> {
    fn names(&self, repository: &Repository, digest: &Digest) -> bool {
        let mut named = self.named.iter();
        named.any(|one| one.raw.digest == *digest && one.reference.repository == *repository)
    }

    fn names_text(&self, written: &str) -> bool {
        let mut named = self.named.iter();
        named.any(|one| one.reference.to_string() == written)
    }
}

impl PlannedRevocation {
    /// Adds the images that are built on an image. Only those that were revoked because of it are
    /// restored.
    pub(super) async fn add_descendants(
        &mut self,
        plan: DescendantPlan<'_>,
        base: &RequestedImage,
    ) -> Result<(), Error> {
        let DescendantPlan { request, scope, .. } = plan;
        let reference = base.reference.clone().at(base.raw.digest.clone());
        let query = ImpactQuery {
            base: Some(reference.to_string()),
            package: None,
            repositories: request.repositories.clone(),
        };
        let events = &scope.command.settings.events;
        let found = impact(&query, scope.command).await?;
        self.is_incomplete |= found.is_incomplete();
        for problem in &found.problems {
            let text = format!("{} cannot be read: {}", problem.reference, problem.problem);
            events.warn(None, text);
        }
        let below = match request.announcement.status {
            LifecycleStatus::Revoked => None,
            _ => self.revoked_below(plan, base).await?,
        };
        let new = Announcement {
            // The replacement is a version of the base, and not of its descendants.
            replacement: None,
            inherited_from: Some(base.reference.to_string()),
            ..request.announcement.clone()
        };
        let mut tree = RevokedTree::default();
        for image in found.images {
            let announced = if plan.names(&image.repository, &image.digest) {
                // Its own announcement counts.
                Some(request.announcement.clone())
            } else if let Some(planned) = self.planned(&image) {
                Some(planned.announcement.clone())
            } else {
                let inherited = tree.inherited(image.parent.as_ref());
                let remaining = inherited.or_else(|| below.clone());
                self.add_descendant(plan, &image, &new, remaining).await?
            };
            tree.add(image.reference, image.parent, announced);
        }
        Ok(())
    }

    /// The planned announcement of an image that was found before.
    fn planned(&self, image: &ImpactedImage) -> Option<&RevokedImage> {
        let mut planned = self.images.iter();
        planned
            .find(|one| one.digest == image.digest && one.reference.repository == image.repository)
    }

    /// Adds an image that is built on a base, if it is to be announced. `new` names the base.
    /// `remaining` is the revocation that the image inherits from another image below it. Returns the
    /// announcement that the image has afterwards.
    async fn add_descendant(
        &mut self,
        plan: DescendantPlan<'_>,
        image: &ImpactedImage,
        new: &Announcement,
        remaining: Option<Announcement>,
    ) -> Result<Option<Announcement>, Error> {
        let scope = plan.scope;
        let repo = self.registries.repo(&image.repository);
        let trusted = self.trusted.public_keys(&image.repository);
        let current = current_revocation(&repo, &image.digest, &trusted, scope.signer).await?;
        let other = current.as_ref().and_then(|one| one.inherited_from.clone());
        let other = other.filter(|other| new.inherited_from.as_ref() != Some(other));
        let outcome = if new.status == LifecycleStatus::Revoked {
            let is_other_revoked = match &other {
                Some(other) => self.is_revoked(plan, other, &image.repository).await?,
                None => false,
            };
            inherited::revoked(
                current.as_ref(),
                new,
                is_other_revoked,
                scope.command.settings.now,
            )
        } else if other.is_some_and(|other| plan.names_text(&other)) {
            // It is restored with the base that is its reason.
            return Ok(None);
        } else {
            inherited::restored(current.as_ref(), new, remaining)
        };
        if outcome.is_noted() {
            let text = format!("{} {outcome}", image.reference);
            scope.command.settings.events.note(None, text);
        }
        let Some(announcement) = outcome.announcement() else {
            return Ok(current);
        };
        let Some(raw) = repo.manifest(&image.digest).await? else {
            return Ok(current);
        };
        self.images.push(RevokedImage {
            reference: image.reference.clone(),
            digest: image.digest.clone(),
            tags: image.tags.clone(),
            announcement: announcement.clone(),
            added: 0,
            raw,
        });
        Ok(Some(announcement.clone()))
    }

    /// True if an image that an announcement names is still revoked, as far as golden can know: an
    /// image in another registry, or one that was deleted, cannot be restored by this command.
    async fn is_revoked(
        &self,
        plan: DescendantPlan<'_>,
        written: &str,
        image: &Repository,
    ) -> Result<bool, Error> {
        let Ok(reference) = written.parse::<Reference>() else {
            return Ok(false);
        };
        // Anyone who may push can write the announcement, so it must not choose a host.
        if reference.repository.host != image.host || plan.names_text(written) {
            return Ok(true);
        }
        let repo = self.registries.repo(&reference.repository);
        let Some(raw) = repo.manifest(reference.target()).await? else {
            return Ok(true);
        };
        let trusted = self.trusted.public_keys(&reference.repository);
        let current = current_revocation(&repo, &raw.digest, &trusted, plan.scope.signer);
        Ok(current.await?.is_some())
    }

    /// The revocation of the nearest image that a base is built on, as the labels name them, in the
    /// same registry. Those that the command restores do not count.
    async fn revoked_below(
        &self,
        plan: DescendantPlan<'_>,
        base: &RequestedImage,
    ) -> Result<Option<Announcement>, Error> {
        let mut repository = base.reference.repository.clone();
        let mut raw = base.raw.clone();
        for _ in 0..MOST_BASES {
            let repo = self.registries.repo(&repository);
            let Some(config) = image::first_config(&repo, &raw).await? else {
                return Ok(None);
            };
            let LabelledBase { name, digest } = LabelledBase::of(&config);
            let (Some(name), Some(digest)) = (name, digest) else {
                return Ok(None);
            };
            if name.repository.host != repository.host {
                return Ok(None);
            }
            let repo = self.registries.repo(&name.repository);
            let Some(below) = repo.manifest(&digest).await? else {
                return Ok(None);
            };
            if !plan.names(&name.repository, &digest) {
                let trusted = self.trusted.public_keys(&name.repository);
                let current = current_revocation(&repo, &digest, &trusted, plan.scope.signer);
                if let Some(current) = current.await? {
                    return Ok(Some(inherited::passed_on(&current, &name)));
                }
            }
            (repository, raw) = (name.repository, below);
        }
        Ok(None)
    }
}
