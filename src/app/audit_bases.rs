//! The announcements about the bases of audited images.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::base_lifecycle::{LifecycleProblem, LifecycleReader};
use crate::image::{DescribedImage, Lineage, describe};
use crate::reference::Reference;
use crate::registry::Registries;

/// The bases of the audited images. Each base is read once, because many images share it.
#[derive(Debug, Default)]
pub(super) struct AuditedBases(Mutex<BTreeMap<Reference, Arc<OnceCell<AuditedBase>>>>);

#[derive(Debug, Default)]
struct AuditedBase {
    problems: Vec<LifecycleProblem>,
    /// The images of the base; `None` if they cannot be read.
    images: Option<Vec<Lineage>>,
}

impl AuditedBases {
    /// The problems of `base`, which the labels of `image` name by digest. A build by Docker keeps
    /// the labels of its base, so a label counts only if the layers of the image begin with those
    /// that it names.
    pub(super) async fn problems(
        &self,
        image: &DescribedImage,
        base: &Reference,
        lifecycle: &LifecycleReader<'_>,
        registries: &Registries,
    ) -> Vec<LifecycleProblem> {
        let cell = {
            let mut bases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            bases.entry(base.clone()).or_default().clone()
        };
        let read = cell.get_or_init(|| AuditedBase::read(base, lifecycle, registries));
        let (read, own) = (read.await, image.lineage());
        let digests: Vec<_> = base.digest.iter().collect();
        let is_base = |one: &Lineage| {
            let own = own.as_ref();
            own.is_some_and(|own| own.is_built_on(one, &digests).is_some())
        };
        match &read.images {
            Some(images) if !images.iter().any(is_base) => Vec::new(),
            // A base whose layers cannot be compared may have been deleted after its revocation.
            Some(_) | None => read.problems.clone(),
        }
    }
}

impl AuditedBase {
    async fn read(
        base: &Reference,
        lifecycle: &LifecycleReader<'_>,
        registries: &Registries,
    ) -> Self {
        let Some(digest) = &base.digest else {
            return Self::default();
        };
        let problems = lifecycle.problems(&base.repository, digest).await;
        if problems.is_empty() {
            return Self::default();
        }
        let described = describe(&registries.repo(&base.repository), digest).await;
        let images = described.unwrap_or_else(|error| {
            tracing::debug!(%error, %base, "the layers of the base cannot be read");
            None
        });
        Self {
            problems,
            images: images.map(|found| {
                found
                    .images
                    .iter()
                    .filter_map(DescribedImage::lineage)
                    .collect()
            }),
        }
    }
}
