//! The artifacts that published images must have, and those that are missing.

use super::check;
use crate::config_files::policy::RequiredArtifact;
use crate::config_files::workspace::SbomTable;
use crate::config_files::{SbomFormat, SignatureFormat, WorkspaceSpec};
use crate::inventory::sbom_media_type;
use crate::oci::{Manifest, RawManifest};
use crate::registry::referrers::Referrer;
use crate::registry::{Error, Repo};
use crate::trust::artifact::IN_TOTO_TYPE;
use crate::trust::{PublicKey, bundle, statement};

/// The artifacts that published images must have.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The signatures; `None` if images are not signed.
    pub signatures: Option<ExpectedSignatures>,
    /// The formats of bills of materials.
    pub sbom: Vec<SbomFormat>,
    /// True if a provenance statement is required.
    pub provenance: bool,
}

/// The signatures that published images must have.
#[derive(Debug, Clone)]
pub struct ExpectedSignatures {
    /// The key; `None` if a signature by any key counts.
    pub key: Option<PublicKey>,
    /// The required formats.
    pub formats: Vec<SignatureFormat>,
}

/// The expected artifacts that a manifest lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// The formats of signatures.
    pub signatures: Vec<SignatureFormat>,
    /// The formats of statements with a bill of materials.
    pub sbom: Vec<SbomFormat>,
    /// The format of the bill of materials outside a statement, which scanners read.
    pub document: Option<SbomFormat>,
    /// True if the provenance statement is missing.
    pub provenance: bool,
}

impl Expected {
    /// The artifacts that a workspace attaches to the images that it publishes. `key` is the key of
    /// the signatures, if it is known.
    #[must_use]
    pub fn of(spec: &WorkspaceSpec, key: Option<PublicKey>) -> Self {
        let is_signed = spec.signing.key.is_some();
        Self {
            signatures: is_signed.then(|| ExpectedSignatures {
                key,
                formats: spec.signing.formats(),
            }),
            sbom: spec
                .sbom
                .as_ref()
                .map(SbomTable::formats)
                .unwrap_or_default(),
            provenance: spec.provenance.is_some(),
        }
    }

    /// The kinds of the artifacts.
    pub fn kinds(&self) -> impl Iterator<Item = RequiredArtifact> {
        let all = [
            (self.signatures.is_some(), RequiredArtifact::Signature),
            (!self.sbom.is_empty(), RequiredArtifact::Sbom),
            (self.provenance, RequiredArtifact::Provenance),
        ];
        all.into_iter()
            .filter_map(|(is_expected, kind)| is_expected.then_some(kind))
    }

    /// True if nothing is required.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.signatures.is_none() && self.sbom.is_empty() && !self.provenance
    }

    /// The public key of the signatures, if it is known.
    fn key(&self) -> Option<&PublicKey> {
        self.signatures.as_ref()?.key.as_ref()
    }
}

impl Missing {
    /// True if nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The kinds of the missing artifacts.
    pub fn kinds(&self) -> impl Iterator<Item = RequiredArtifact> {
        let sbom = !self.sbom.is_empty() || self.document.is_some();
        let all = [
            (!self.signatures.is_empty(), RequiredArtifact::Signature),
            (sbom, RequiredArtifact::Sbom),
            (self.provenance, RequiredArtifact::Provenance),
        ];
        all.into_iter()
            .filter_map(|(is_missing, kind)| is_missing.then_some(kind))
    }
}

/// The predicate type of a bill of materials.
#[must_use]
pub const fn predicate_of(format: SbomFormat) -> &'static str {
    match format {
        SbomFormat::CycloneDx => statement::CYCLONEDX,
        SbomFormat::Spdx => statement::SPDX,
    }
}

/// The expected artifacts that a manifest lacks. Bills of materials belong to images, not to
/// indexes. Fails if the registry fails.
pub async fn missing(
    repo: &Repo,
    raw: &RawManifest,
    expected: &Expected,
) -> Result<Missing, Error> {
    let is_image = matches!(raw.parse(), Ok(Manifest::Image(_)));
    let sbom: &[SbomFormat] = if is_image { &expected.sbom } else { &[] };
    let required = Missing {
        signatures: Vec::new(),
        sbom: sbom.to_vec(),
        document: sbom.first().copied(),
        provenance: expected.provenance,
    };
    let listed = |referrers: &[Referrer]| {
        let mut open = required.clone();
        for listed in referrers.iter().filter_map(ListedArtifact::of_entry) {
            open.remove(&listed, expected);
        }
        open
    };
    let is_complete = |referrers: &[Referrer]| {
        let lacks_bundle = expected.signatures.as_ref().is_some_and(|signatures| {
            signatures.formats.contains(&SignatureFormat::Bundle)
                && !check::lists_bundle(referrers, signatures.key.as_ref())
        });
        !lacks_bundle && listed(referrers).is_empty()
    };
    let referrers = repo.referrers_until(&raw.digest, is_complete).await?;
    let mut open = listed(&referrers);
    let unknown = referrers
        .iter()
        .filter(|one| ListedArtifact::of_entry(one).is_none());
    let unknown = unknown.map(|one| &one.descriptor.digest);
    // Some tools list artifacts without their type and annotations.
    for digest in unknown.take(check::MOST_SIGNATURES) {
        if open.is_empty() {
            break;
        }
        if let Some(raw) = repo.manifest(digest).await? {
            open.remove(&ListedArtifact::of_manifest(&raw), expected);
        }
    }
    if let Some(ExpectedSignatures { key, formats }) = &expected.signatures {
        let present = check::present(repo, &raw.digest, &referrers, key.as_ref(), formats).await?;
        let is_absent = |format: &&SignatureFormat| !present.contains(format);
        open.signatures = formats.iter().filter(is_absent).copied().collect();
    }
    Ok(open)
}

impl Missing {
    /// Removes an artifact that exists.
    fn remove(&mut self, listed: &ListedArtifact, expected: &Expected) {
        let ListedArtifact {
            media_type,
            predicate,
            key,
        } = listed;
        let is_document = |format: &SbomFormat| *media_type == sbom_media_type(*format);
        self.document = self.document.filter(|format| !is_document(format));
        let counts = expected.signatures.is_none()
            || media_type.starts_with(bundle::BUNDLES)
                && expected
                    .key()
                    .is_none_or(|expected| *key == Some(expected.hint()));
        let Some(predicate) = predicate.as_deref().filter(|_| counts) else {
            return;
        };
        self.sbom
            .retain(|format| predicate_of(*format) != predicate);
        self.provenance = self.provenance && predicate != statement::PROVENANCE;
    }
}

/// The properties of an artifact that show its kind.
struct ListedArtifact {
    media_type: String,
    predicate: Option<String>,
    /// The hint of the key of a bundle by golden.
    key: Option<String>,
}

impl ListedArtifact {
    /// The properties in the list of referrers; `None` if the list does not show them.
    fn of_entry(entry: &Referrer) -> Option<Self> {
        let media_type = entry.descriptor.artifact_type.clone()?;
        let annotation = |key: &str| entry.descriptor.annotations.get(key).cloned();
        let predicate = annotation(bundle::PREDICATE_TYPE).or_else(|| annotation(IN_TOTO_TYPE));
        let documents = [SbomFormat::CycloneDx, SbomFormat::Spdx].map(sbom_media_type);
        let is_known = predicate.is_some() || documents.contains(&media_type.as_str());
        is_known.then_some(Self {
            media_type,
            predicate,
            key: annotation(bundle::KEY_HINT),
        })
    }

    fn of_manifest(raw: &RawManifest) -> Self {
        let value: serde_json::Value = serde_json::from_slice(&raw.bytes).unwrap_or_default();
        let annotations = &value["annotations"];
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Self {
            media_type: text(&value["artifactType"])
                .or_else(|| text(&value["config"]["mediaType"]))
                .unwrap_or_default(),
            predicate: text(&annotations[bundle::PREDICATE_TYPE])
                .or_else(|| text(&annotations[IN_TOTO_TYPE])),
            key: text(&annotations[bundle::KEY_HINT]),
        }
    }
}
