//! The build as waves of CI jobs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::session::Session;
use crate::resolve::{ResolvedImage, graph, select};

/// The CI job of one image.
#[derive(Debug, Clone, Serialize)]
pub struct MatrixJob {
    /// The argument for `golden build`.
    pub image: String,
    /// The name of the image.
    pub name: String,
    /// The version in the spec.
    pub version: String,
    /// The variant, if the spec has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The platforms to build for.
    pub platforms: Vec<String>,
    /// The jobs of earlier waves that must finish first.
    pub needs: Vec<String>,
}

/// The jobs, in waves. With `selected_alone`, only selected images get jobs, because their base
/// images are published already.
#[must_use]
pub fn waves(session: &Session, selected_alone: bool) -> Vec<Vec<MatrixJob>> {
    let images: Vec<&ResolvedImage> = session
        .images
        .iter()
        .filter(|one| !selected_alone || one.selected)
        .map(|one| &one.image)
        .collect();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for image in session.resolved() {
        *versions.entry(image.name.as_str()).or_default() += 1;
    }
    let build_argument = |image: &ResolvedImage| match versions.get(image.name.as_str()) {
        Some(1) => image.name.to_string(),
        _ => image.display(),
    };
    let parents = select::parents(images.iter().copied());
    let job = |n: usize| {
        let image = images[n];
        MatrixJob {
            image: build_argument(image),
            name: image.name.to_string(),
            version: image.version.to_string(),
            variant: image.variant.as_ref().map(ToString::to_string),
            platforms: image.platforms.iter().map(ToString::to_string).collect(),
            needs: parents[n]
                .map(|parent| build_argument(images[parent]))
                .into_iter()
                .collect(),
        }
    };
    graph::waves(&parents)
        .into_iter()
        .map(|wave| wave.into_iter().map(job).collect())
        .collect()
}
