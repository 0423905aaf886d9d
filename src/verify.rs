//! Verifies published images: every tag exists, and points to the expected digest.
//!
//! The content is not judged; `audit` applies the policy. Signatures are verified on request.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use crate::config_files::SignatureFormat;
use crate::image::{self, Damage, VERSION, describe};
use crate::observe;
use crate::oci::RawManifest;
use crate::oci::artifact::ArtifactKind;
use crate::plan::current;
use crate::publish::Error;
use crate::reference::{Digest, Repository, Tag, Target};
use crate::registry::{self, Repo};
use crate::signing::{self, FoundSignature};
use crate::tags::{self, Action, PublishedContent, TagList, TagRole, TagRules, Variant};
use crate::trust::{PublicKey, Refusal};

/// The number of tags or blobs that are read concurrently.
const CONCURRENT: usize = 8;

/// The image to verify, and the expected tags and labels.
#[derive(Debug, Clone)]
pub struct VerifySubject {
    /// The repository that is verified.
    pub repository: Repository,
    /// The version in the spec.
    pub version: semver::Version,
    /// The variant in the spec, if the image has one.
    pub variant: Option<Variant>,
    /// The tag rules of the image.
    pub rules: TagRules,
    /// The labels that the image must have.
    pub labels: BTreeMap<String, String>,
    /// True if a missing moving tag of the fan-out is a difference.
    pub complete: bool,
}

/// The finding about one tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyFinding {
    /// The repository that was read.
    pub repository: Repository,
    /// The tag or the digest, as text.
    pub target: String,
    /// The digest that it points to; `None` if it does not exist.
    pub digest: Option<Digest>,
    /// The kind of the content: an image, or an artifact of another tool.
    pub kind: Option<ArtifactKind>,
    /// The signer whose signature was verified, if signatures were requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The differences; empty if everything is as expected.
    pub differences: Vec<Difference>,
}

/// A signature that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedSignature {
    /// The format of the signature.
    pub format: SignatureFormat,
    /// The digest of the bundle or of the signed payload.
    pub digest: Digest,
    /// The reason.
    pub because: Refusal,
}

/// A difference between the registry and the expectation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Difference {
    /// The tag or digest does not exist.
    #[error("does not exist")]
    Missing,
    /// The tag points to another image.
    #[error("should point to {expected}, like {}", like)]
    Digest {
        /// The digest that it should point to.
        expected: Digest,
        /// The tag or receipt that this digest comes from.
        like: String,
    },
    /// A label has another value, or is missing.
    #[error("label {key} is {} instead of {expected:?}", found.as_ref().map_or_else(|| "missing".to_owned(), |found| format!("{found:?}")))]
    Label {
        /// The key of the label.
        key: String,
        /// The value in the spec.
        expected: String,
        /// The value in the image; `None` if the label is missing.
        found: Option<String>,
    },
    /// A blob or manifest below the manifest is missing or damaged.
    #[error("{digest}: {problem}")]
    Content {
        /// The digest of the blob or manifest.
        digest: Digest,
        /// The problem, as a clause.
        problem: String,
    },
    /// An artifact that the policy requires is missing.
    #[error("{problem}")]
    Required {
        /// The problem, as the end of a sentence about the image.
        problem: String,
    },
    /// The image has no signature by a trusted key.
    #[error("{}", unsigned(refused))]
    Signature {
        /// The signatures that do not count.
        refused: Vec<RefusedSignature>,
    },
}

/// The message about an image without a valid signature.
fn unsigned(refused: &[RefusedSignature]) -> String {
    if refused.is_empty() {
        return "is not signed".to_owned();
    }
    let reasons: Vec<String> = refused
        .iter()
        .map(|one| {
            format!(
                "the {} signature {} {}",
                one.format, one.digest, one.because
            )
        })
        .collect();
    format!("has no valid signature: {}", reasons.join("; "))
}

/// Verifies the signatures of a digest. Returns the position of the key whose signature is valid, or
/// the difference if there is none. Fails if the registry fails.
pub async fn signature(
    repo: &Repo,
    digest: &Digest,
    keys: &[PublicKey],
) -> Result<Result<usize, Difference>, registry::Error> {
    let found = signing::signatures(repo, digest, keys).await?;
    if let Some(key) = found.iter().find_map(|one| one.verdict.as_ref().ok()) {
        return Ok(Ok(*key));
    }
    Ok(Err(Difference::Signature {
        refused: refused(found),
    }))
}

/// The signatures that do not count. Simple signatures with several keys have the same payload; they
/// are listed once for each reason.
fn refused(found: Vec<FoundSignature>) -> Vec<RefusedSignature> {
    let mut refused = Vec::new();
    for signature in found {
        let Err(because) = signature.verdict else {
            continue;
        };
        let one = RefusedSignature {
            format: signature.format,
            digest: signature.digest,
            because,
        };
        if !refused.contains(&one) {
            refused.push(one);
        }
    }
    refused
}

impl From<Damage> for Difference {
    fn from(Damage { digest, problem }: Damage) -> Self {
        Self::Content { digest, problem }
    }
}

/// Verifies an image: the version's own tag against the receipt and the labels of the spec, and
/// every other tag against the version that it belongs to. `receipt` returns the digest of a tag's
/// receipt, if there is one. `deep` also reads and hashes configs and layers. Fails if the registry
/// cannot be read; differences are not errors.
pub async fn image(
    repo: &Repo,
    subject: &VerifySubject,
    receipt: impl Fn(&Tag) -> Option<Digest>,
    deep: bool,
) -> Result<Vec<VerifyFinding>, Error> {
    let VerifySubject {
        repository, rules, ..
    } = subject;
    let variant = subject.variant.as_ref();
    let probes = tags::fan_out(&subject.version, variant, rules)?;
    let probes = probes.tags.iter().map(|planned| &planned.tag);
    let list = observe::complete_tags(repo, probes).await?;
    let all = TagList::new(&list, variant, &[]);
    let counted = TagList::new(&list, variant, &rules.withdrawn);
    let latest = current(&subject.version, &counted).or_else(|| current(&subject.version, &all));
    let version = latest.map_or_else(|| subject.version.clone(), |latest| latest.version.clone());
    let out = tags::fan_out(&version, variant, rules)?;
    let is_withdrawn = tags::is_withdrawn(&version, &rules.withdrawn);
    let moves = tags::decide(&out, &counted, rules, PublishedContent::Same);
    let checked = moves
        .iter()
        .filter(|decided| {
            // A moving tag held by a higher version may legitimately be missing.
            let may_lack = !subject.complete || matches!(decided.action, Action::Keep { .. });
            (decided.role == TagRole::Full && !is_withdrawn) || !may_lack || all.has(&decided.tag)
        })
        // Extra tags belong to the published version, and a withdrawn version is not published.
        .filter(|decided| decided.role != TagRole::Extra || !is_withdrawn);
    let read = stream::iter(checked)
        .map(async |decided| Ok::<_, Error>((decided, repo.manifest(&decided.tag).await?)));
    let read: Vec<_> = read.buffered(CONCURRENT).try_collect().await?;
    let full = read.first().and_then(|(_, raw)| raw.clone());
    let mut findings = Vec::new();
    for (decided, raw) in read {
        let mut differences = Vec::new();
        let digest = raw.as_ref().map(|raw| raw.digest.clone());
        let expected = match (&decided.action, decided.role) {
            (_, TagRole::Full) => {
                receipt(&decided.tag).map(|digest| (digest, "the receipt".to_owned()))
            }
            (Action::Keep { tag, .. }, _) => {
                let head = repo.head(tag).await?;
                head.map(|descriptor| (descriptor.digest, tag.to_string()))
            }
            _ => full
                .as_ref()
                .map(|full| (full.digest.clone(), out.full().to_string())),
        };
        match (&digest, expected) {
            (None, _) => differences.push(Difference::Missing),
            (Some(found), Some((expected, like))) if *found != expected => {
                differences.push(Difference::Digest { expected, like });
            }
            _ => {}
        }
        if let (TagRole::Full, Some(raw)) = (decided.role, &raw) {
            // The labels of the spec may describe a later revision that is withdrawn.
            let is_last = latest == current(&subject.version, &all);
            let labels = if is_last {
                subject.labels.clone()
            } else {
                BTreeMap::new()
            };
            let subject = VerifySubject {
                labels,
                ..subject.clone()
            };
            differences.extend(content(repo, &subject, raw, deep).await?);
        }
        findings.push(VerifyFinding {
            repository: repository.clone(),
            target: decided.tag.to_string(),
            digest,
            kind: raw.as_ref().map(ArtifactKind::of),
            signed_by: None,
            differences,
        });
    }
    Ok(findings)
}

/// Verifies a reference with the rules for workspace images. A moving tag must point to the highest
/// version that claims it; for a version's own tag, the existing moving tags are verified as well.
/// Any other tag with a version label must point to the same image as the own tag of that version.
/// Fails if the registry cannot be read; differences are not errors.
pub async fn reference(
    repo: &Repo,
    target: &Target,
    rules: &TagRules,
    deep: bool,
) -> Result<Vec<VerifyFinding>, Error> {
    let found = repo.manifest(target).await?;
    let mut finding = VerifyFinding {
        repository: repo.name().clone(),
        target: target.to_string(),
        digest: found.as_ref().map(|raw| raw.digest.clone()),
        kind: found.as_ref().map(ArtifactKind::of),
        signed_by: None,
        differences: Vec::new(),
    };
    let Some(raw) = found else {
        finding.differences.push(Difference::Missing);
        return Ok(vec![finding]);
    };
    if deep {
        finding.differences.extend(
            image::check(repo, &raw)
                .await?
                .into_iter()
                .map(Difference::from),
        );
    }
    let Target::Tag(tag) = target else {
        return Ok(vec![finding]);
    };
    let list = repo.tags().await?;
    let probes: BTreeSet<Tag> = tags::siblings(&list)
        .into_iter()
        .chain([tag.clone()])
        .collect();
    let list = observe::complete_tags(repo, &probes).await?;
    let owner = tags::owner(tag, &list, rules);
    if let Some(owner) = owner.as_ref().filter(|owner| owner.held.tag != *tag) {
        finding
            .differences
            .extend(compare(repo, &raw, &owner.held.tag).await?);
        return Ok(vec![finding]);
    }
    let labels = match observe::labels_of(repo, &raw).await {
        Ok(labels) => labels,
        Err(observe::Error::Registry(error)) if error.is_about_content() => {
            add_unreadable(&mut finding.differences, &raw, error.to_string());
            return Ok(vec![finding]);
        }
        Err(error) => return Err(error.into()),
    };
    let label = labels.get(VERSION);
    let Some(owner) = owner else {
        let release = label.and_then(|text| release_of(tag, text, &list));
        if let Some((version, variant)) = release
            && let Some(held) = current(&version, &TagList::new(&list, variant.as_ref(), &[]))
            && held.tag != *tag
        {
            finding
                .differences
                .extend(compare(repo, &raw, &held.tag).await?);
        }
        return Ok(vec![finding]);
    };
    let version = owner.held.version;
    // Other tools may keep the label of the base; golden always sets it.
    let is_another_version = |text: &&String| {
        labels.contains_key(crate::render::INPUTS)
            && !text
                .parse::<semver::Version>()
                .is_ok_and(|found| found.cmp_precedence(&version).is_eq())
    };
    if let Some(found) = label.filter(is_another_version) {
        let (key, expected, found) = (VERSION.to_owned(), version.to_string(), Some(found.clone()));
        finding.differences.push(Difference::Label {
            key,
            expected,
            found,
        });
    }
    let subject = VerifySubject {
        repository: repo.name().clone(),
        version,
        variant: owner.variant,
        rules: rules.clone(),
        labels: BTreeMap::new(),
        complete: false,
    };
    let mut findings = image(repo, &subject, |_| None, false).await?;
    if let Some(first) = findings.first_mut() {
        first.differences.extend(finding.differences);
    }
    Ok(findings)
}

/// The difference if the image differs from the one that the tag `like` points to.
async fn compare(repo: &Repo, raw: &RawManifest, like: &Tag) -> Result<Option<Difference>, Error> {
    let own = repo.head(like).await?;
    let own = own.filter(|own| own.digest != raw.digest);
    Ok(own.map(|own| Difference::Digest {
        expected: own.digest,
        like: like.to_string(),
    }))
}

/// The version and the variant of a tag: the version comes from the label, the variant from the tag
/// or from other tags.
fn release_of(tag: &Tag, label: &str, list: &[Tag]) -> Option<(semver::Version, Option<Variant>)> {
    let version = semver::Version::parse(label).ok()?;
    let plain = tag.as_str() == "latest"
        || !tag.as_str().contains('-') && tag.as_str().starts_with(|c: char| c.is_ascii_digit());
    if plain || !version.pre.is_empty() {
        return Some((version, None));
    }
    let core = format!("{}.{}.{}", version.major, version.minor, version.patch);
    let variant = match tag.as_str().split_once('-') {
        Some((_, variant)) if tag.as_str().starts_with(|c: char| c.is_ascii_digit()) => variant,
        _ => tag.as_str(),
    };
    let variant: Variant = variant.parse().ok()?;
    let own: Tag = format!("{core}-{variant}").parse().ok()?;
    list.contains(&own).then_some((version, Some(variant)))
}

async fn content(
    repo: &Repo,
    subject: &VerifySubject,
    raw: &RawManifest,
    deep: bool,
) -> Result<Vec<Difference>, Error> {
    let mut differences = Vec::new();
    let mut unreadable = None;
    if !subject.labels.is_empty() {
        // Every image of the index must carry the labels; a non-image artifact counts as having
        // none.
        let all = match describe(repo, &raw.digest).await {
            Ok(described) => {
                let images = described
                    .map(|described| described.images)
                    .unwrap_or_default();
                let all: Vec<_> = images.iter().map(|image| image.config.labels()).collect();
                if all.is_empty() {
                    vec![BTreeMap::new()]
                } else {
                    all
                }
            }
            Err(error) if error.is_about_content() => {
                unreadable = Some(error.to_string());
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        for found in all {
            for (key, expected) in subject
                .labels
                .iter()
                .filter(|(key, expected)| found.get(*key) != Some(*expected))
            {
                let (key, expected, found) =
                    (key.clone(), expected.clone(), found.get(key).cloned());
                let difference = Difference::Label {
                    key,
                    expected,
                    found,
                };
                if !differences.contains(&difference) {
                    differences.push(difference);
                }
            }
        }
    }
    if deep {
        differences.extend(
            image::check(repo, raw)
                .await?
                .into_iter()
                .map(Difference::from),
        );
    } else if subject.complete {
        // This is checked only for indexes of the workspace, which are published as a whole; a
        // mirror may have a part of another index.
        differences.extend(
            image::missing(repo, raw)
                .await?
                .into_iter()
                .map(Difference::from),
        );
    }
    if let Some(problem) = unreadable {
        add_unreadable(&mut differences, raw, problem);
    }
    Ok(differences)
}

/// Adds a difference for unreadable content, unless a more specific one was found already.
fn add_unreadable(differences: &mut Vec<Difference>, raw: &RawManifest, problem: String) {
    if !differences
        .iter()
        .any(|difference| matches!(difference, Difference::Content { .. }))
    {
        differences.push(Difference::Content {
            digest: raw.digest.clone(),
            problem,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_signatures_are_listed_once() {
        let signature = |content: &[u8], verdict| FoundSignature {
            format: SignatureFormat::Simple,
            digest: Digest::of(content),
            verdict,
        };
        let found = vec![
            signature(b"a", Err(Refusal::OtherKey)),
            signature(b"a", Err(Refusal::OtherKey)),
            signature(b"a", Err(Refusal::Certificate)),
            signature(b"b", Err(Refusal::OtherKey)),
            signature(b"c", Ok(0)),
        ];
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(
            unsigned(&refused(found)),
            format!(
                "has no valid signature: the simple signature {a} is made with a key that is not trusted; \
                 the simple signature {a} is made with a certificate, not with a key; \
                 the simple signature {b} is made with a key that is not trusted"
            )
        );
    }
}
