//! Requires signatures and statements of published images: `[policy.published] require`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::error::Error;
use super::signatures::TrustedKeys;
use crate::config_files::policy::{RequiredArtifact, RuleLevel};
use crate::image::{Follow, Tree};
use crate::oci::RawManifest;
use crate::reference::{Digest, Repository};
use crate::registry::Repo;
use crate::trust::{PublicKey, bundle};
use crate::verify;
use crate::workspace::Workspace;

/// The maximum number of referrers of one image that are read.
const MOST_REFERRERS: usize = 200;

const RULE: &str = "published.require";

/// The artifact types of bills of materials that are attached without an envelope.
const SBOMS: [&str; 4] = [
    "application/vnd.cyclonedx+json",
    "application/spdx+json",
    "application/vnd.cyclonedx",
    "text/spdx+json",
];

/// The artifacts that the policy requires, and the keys whose signatures count.
#[derive(Debug)]
pub struct Requirements {
    required: Vec<RequiredArtifact>,
    trusted: Arc<TrustedKeys>,
    /// True if the policy only warns.
    pub only_warns: bool,
}

impl Requirements {
    /// The requirements of a workspace; `None` if it has none. Fails if a key cannot be read.
    pub fn of(workspace: &Workspace) -> Result<Option<Self>, Error> {
        let policy = &workspace.spec.policy;
        let required = policy.published.require.clone();
        if required.is_empty() || policy.severity.get(RULE) == Some(&RuleLevel::Off) {
            return Ok(None);
        }
        let trusted = Arc::new(TrustedKeys::of(&workspace.root, &workspace.spec)?);
        Ok(Some(Self {
            required,
            trusted,
            only_warns: policy.severity.get(RULE) == Some(&RuleLevel::Warn),
        }))
    }

    /// Requirements of the caller. Fails if a key cannot be read.
    pub fn with(workspace: &Workspace, required: &[RequiredArtifact]) -> Result<Self, Error> {
        Ok(Self {
            required: required.to_vec(),
            trusted: Arc::new(TrustedKeys::of(&workspace.root, &workspace.spec)?),
            only_warns: false,
        })
    }

    /// The same keys with other requirements.
    #[must_use]
    pub fn requiring(&self, required: Vec<RequiredArtifact>) -> Self {
        Self {
            required,
            trusted: self.trusted.clone(),
            only_warns: self.only_warns,
        }
    }

    /// True if `[[trust]]` has a key for the images of a repository.
    #[must_use]
    pub fn has_key(&self, repository: &Repository) -> bool {
        !self.trusted.for_repository(repository).is_empty()
    }

    /// The required artifacts that images lack, as predicates: one list for each of `images`. `top`
    /// is the index that contains them, or the only image itself. Fails if the registry fails.
    pub async fn lacking(
        &self,
        repo: &Repo,
        top: &Digest,
        images: &[&Digest],
    ) -> Result<Vec<Vec<String>>, Error> {
        let of_top = attached(repo, top).await?;
        let unsigned = if self.required.contains(&RequiredArtifact::Signature) {
            self.unsigned(repo, top).await?
        } else {
            None
        };
        let mut lists = Vec::with_capacity(images.len());
        for image in images {
            let mut attached = of_top.clone();
            if *image != top {
                attached.extend(self::attached(repo, image).await?);
            }
            let problem = |artifact: &RequiredArtifact| match artifact {
                RequiredArtifact::Signature => unsigned.clone(),
                found if attached.contains(found) => None,
                artifact => Some(problem(*artifact).to_owned()),
            };
            lists.push(self.required.iter().filter_map(problem).collect());
        }
        Ok(lists)
    }

    /// The required artifacts that an image of a repository lacks if only `attached` are attached to
    /// it, as predicates. A signature is assumed to be by a trusted key.
    #[must_use]
    pub fn lacking_with(
        &self,
        repository: &Repository,
        attached: &[RequiredArtifact],
    ) -> Vec<String> {
        let problem = |artifact: &RequiredArtifact| match artifact {
            RequiredArtifact::Signature if !self.has_key(repository) => Some(no_key(repository)),
            found if attached.contains(found) => None,
            artifact => Some(problem(*artifact).to_owned()),
        };
        self.required.iter().filter_map(problem).collect()
    }

    /// The required artifacts that any image of a digest lacks, as predicates, each once.
    pub async fn of_digest(&self, repo: &Repo, digest: &Digest) -> Result<Vec<String>, Error> {
        let Some(raw) = repo.manifest(digest).await? else {
            return Ok(Vec::new());
        };
        let tree = Tree::load(repo, raw, Follow::Images).await?;
        let mut images: Vec<&Digest> = tree.below.iter().map(|image| &image.digest).collect();
        if images.is_empty() {
            images.push(digest);
        }
        let mut all: Vec<String> = Vec::new();
        for problem in self.lacking(repo, digest, &images).await?.concat() {
            if !all.contains(&problem) {
                all.push(problem);
            }
        }
        Ok(all)
    }

    /// The reason why no signature counts; `None` if one does.
    async fn unsigned(&self, repo: &Repo, digest: &Digest) -> Result<Option<String>, Error> {
        let trusted = self.trusted.for_repository(repo.name());
        let keys: Vec<PublicKey> = trusted.into_iter().map(|key| key.key).collect();
        if keys.is_empty() {
            return Ok(Some(no_key(repo.name())));
        }
        let verdict = verify::signature(repo, digest, &keys).await?;
        Ok(verdict.err().map(|problem| problem.to_string()))
    }
}

/// The problem of an image that lacks an artifact, as the end of a sentence about the image.
const fn problem(artifact: RequiredArtifact) -> &'static str {
    match artifact {
        RequiredArtifact::Signature => "is not signed",
        RequiredArtifact::Sbom => "has no bill of materials",
        RequiredArtifact::Provenance => "has no provenance statement",
    }
}

/// The problem of an image in a repository for which no key is trusted, as the end of a sentence
/// about the image.
fn no_key(repository: &Repository) -> String {
    format!("cannot be verified: no [[trust]] table has a glob for {repository}")
}

/// The kinds of statements that are attached to a manifest.
async fn attached(repo: &Repo, digest: &Digest) -> Result<BTreeSet<RequiredArtifact>, Error> {
    let mut kinds = BTreeSet::new();
    for referrer in repo.referrers(digest).await?.iter().take(MOST_REFERRERS) {
        // Lists may contain entries without types and annotations, so every manifest is read.
        if let Some(raw) = repo.manifest(&referrer.descriptor.digest).await? {
            kinds.extend(kind_of(&raw));
        }
    }
    Ok(kinds)
}

/// The kind of the statement in the manifest of an artifact.
fn kind_of(raw: &RawManifest) -> Option<RequiredArtifact> {
    let manifest: Value = serde_json::from_slice(&raw.bytes).ok()?;
    let annotations = &manifest["annotations"];
    let predicate = [bundle::PREDICATE_TYPE, "in-toto.io/predicate-type"]
        .iter()
        .find_map(|key| annotations[*key].as_str())
        .unwrap_or_default();
    let artifact = manifest["artifactType"]
        .as_str()
        .or(manifest["config"]["mediaType"].as_str())
        .unwrap_or_default();
    if predicate.starts_with("https://slsa.dev/provenance/") {
        Some(RequiredArtifact::Provenance)
    } else if predicate.starts_with("https://cyclonedx.org/bom")
        || predicate.starts_with("https://spdx.dev/Document")
        || SBOMS.contains(&artifact)
    {
        Some(RequiredArtifact::Sbom)
    } else {
        None
    }
}
