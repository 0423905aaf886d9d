//! Verifying: every tag is there, and what it names is what it should be.
//!
//! What this is not: a judgement of the content. `audit` applies the policy.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use crate::observe;
use crate::oci::{Descriptor, Manifest, RawManifest};
use crate::plan::current;
use crate::publish::Error;
use crate::reference::{Digest, Repository, Tag, Target};
use crate::registry::Registry;
use crate::tags::{self, Action, PublishedContent, TagList, TagRole, TagRules, Variant};

/// How many tags or blobs are read at once.
const CONCURRENT: usize = 8;
/// The label that tells an image's version.
const VERSION: &str = "org.opencontainers.image.version";

/// What is verified.
#[derive(Debug, Clone)]
pub struct VerifySubject {
    /// The repository.
    pub repository: Repository,
    /// The version of the spec.
    pub version: semver::Version,
    /// The variant.
    pub variant: Option<Variant>,
    /// Rules for tags.
    pub rules: TagRules,
    /// Labels that the image must have.
    pub labels: BTreeMap<String, String>,
    /// Whether a moving tag of the fan-out that is not there is a difference.
    pub complete: bool,
}

/// What was found about one tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyFinding {
    /// The repository.
    pub repository: Repository,
    /// The tag or the digest.
    pub target: String,
    /// What it names; none when it is not there.
    pub digest: Option<Digest>,
    /// What is wrong; empty when nothing is.
    pub differences: Vec<Difference>,
}

/// A difference between what is and what should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Difference {
    /// The tag is not there.
    #[error("is not there")]
    Missing,
    /// The tag names another image.
    #[error("should name {expected}, as {} does", like)]
    Digest {
        /// What it should name.
        expected: Digest,
        /// Which tag or receipt says so.
        like: String,
    },
    /// A label has another value.
    #[error("label {key} is {} instead of {expected:?}", found.as_ref().map_or_else(|| "missing".to_owned(), |found| format!("{found:?}")))]
    Label {
        /// The key.
        key: String,
        /// What the spec says.
        expected: String,
        /// What the image has.
        found: Option<String>,
    },
    /// Something below the manifest is missing or damaged.
    #[error("{digest}: {problem}")]
    Content {
        /// The digest of the blob or manifest.
        digest: Digest,
        /// What is wrong with it.
        problem: String,
    },
}

/// Verifies an image: its version's own tag against the receipt and the spec's labels, and every other tag against
/// the version that should hold it. `receipt` tells the digest of a tag's receipt, when there is one. `deep` reads and hashes configs and layers too.
pub async fn image(
    registry: &Registry,
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
    let list = registry.complete_tags(&repository.path, probes).await?;
    let all = TagList::new(&list, variant, &[]);
    let counted = TagList::new(&list, variant, &rules.withdrawn);
    let held = current(&subject.version, &counted).or_else(|| current(&subject.version, &all));
    let version = held.map_or_else(|| subject.version.clone(), |held| held.version.clone());
    let out = tags::fan_out(&version, variant, rules)?;
    let gone = tags::is_withdrawn(&version, &rules.withdrawn);
    let moves = tags::decide(&out, &counted, rules, PublishedContent::Same);
    let wanted = moves
        .iter()
        .filter(|decided| {
            // What stays with a higher version may never have been made.
            let may_lack = !subject.complete || matches!(decided.action, Action::Keep { .. });
            (decided.role == TagRole::Full && !gone) || !may_lack || all.has(&decided.tag)
        })
        // Extra tags follow whatever is published, and a withdrawn version is not.
        .filter(|decided| decided.role != TagRole::Extra || !gone);
    let read = stream::iter(wanted).map(async |decided| {
        Ok::<_, Error>((
            decided,
            registry
                .get_manifest(&repository.path, &Target::from(&decided.tag))
                .await?,
        ))
    });
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
                let held = registry
                    .head_manifest(&repository.path, &Target::from(tag))
                    .await?;
                held.map(|descriptor| (descriptor.digest, tag.to_string()))
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
            // The spec may describe a later revision, which is withdrawn.
            let is_last = held == current(&subject.version, &all);
            let labels = if is_last {
                subject.labels.clone()
            } else {
                BTreeMap::new()
            };
            let subject = VerifySubject {
                labels,
                ..subject.clone()
            };
            differences.extend(content(registry, &subject, raw, deep).await?);
        }
        findings.push(VerifyFinding {
            repository: repository.clone(),
            target: decided.tag.to_string(),
            digest,
            differences,
        });
    }
    Ok(findings)
}

/// Verifies what a reference points to, by the rules that an image of a workspace is verified by: a moving tag must point
/// to the highest version that claims it, and a version's own tag brings the moving tags that exist with it. Any other tag
/// whose labels say which version it is must point to the same image as that version's own tag.
pub async fn reference(
    registry: &Registry,
    repository: &Repository,
    target: &Target,
    rules: &TagRules,
    deep: bool,
) -> Result<Vec<VerifyFinding>, Error> {
    let found = registry.get_manifest(&repository.path, target).await?;
    let mut finding = VerifyFinding {
        repository: repository.clone(),
        target: target.to_string(),
        digest: found.as_ref().map(|raw| raw.digest.clone()),
        differences: Vec::new(),
    };
    let Some(raw) = found else {
        finding.differences.push(Difference::Missing);
        return Ok(vec![finding]);
    };
    if deep {
        finding
            .differences
            .extend(deep_content(registry, repository, &raw).await?);
    }
    let Target::Tag(tag) = target else {
        return Ok(vec![finding]);
    };
    let list = registry.tags(&repository.path).await?;
    let probes: BTreeSet<Tag> = tags::siblings(&list)
        .into_iter()
        .chain([tag.clone()])
        .collect();
    let list = registry.complete_tags(&repository.path, &probes).await?;
    let owner = tags::owner(tag, &list, rules);
    if let Some(owner) = owner.as_ref().filter(|owner| owner.held.tag != *tag) {
        finding
            .differences
            .extend(unlike(registry, repository, &raw, &owner.held.tag).await?);
        return Ok(vec![finding]);
    }
    let labels = match observe::labels_of(registry, repository, &raw).await {
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
                .extend(unlike(registry, repository, &raw, &held.tag).await?);
        }
        return Ok(vec![finding]);
    };
    let version = owner.held.version;
    // Other tools may leave the base's label; golden never does.
    let says_another = |text: &&String| {
        labels.contains_key(crate::render::INPUTS)
            && !text
                .parse::<semver::Version>()
                .is_ok_and(|said| said.cmp_precedence(&version).is_eq())
    };
    if let Some(found) = label.filter(says_another) {
        let (key, expected, found) = (VERSION.to_owned(), version.to_string(), Some(found.clone()));
        finding.differences.push(Difference::Label {
            key,
            expected,
            found,
        });
    }
    let subject = VerifySubject {
        repository: repository.clone(),
        version,
        variant: owner.variant,
        rules: rules.clone(),
        labels: BTreeMap::new(),
        complete: false,
    };
    let mut findings = image(registry, &subject, |_| None, false).await?;
    if let Some(first) = findings.first_mut() {
        first.differences.extend(finding.differences);
    }
    Ok(findings)
}

/// The difference when a tag does not point to what `like` does.
async fn unlike(
    registry: &Registry,
    repository: &Repository,
    raw: &RawManifest,
    like: &Tag,
) -> Result<Option<Difference>, Error> {
    let own = registry
        .head_manifest(&repository.path, &Target::from(like))
        .await?;
    let own = own.filter(|own| own.digest != raw.digest);
    Ok(own.map(|own| Difference::Digest {
        expected: own.digest,
        like: like.to_string(),
    }))
}

/// The version and the variant that a tag is of: the label tells the version, and the tag or its siblings the variant.
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
    registry: &Registry,
    subject: &VerifySubject,
    raw: &RawManifest,
    deep: bool,
) -> Result<Vec<Difference>, Error> {
    let mut differences = Vec::new();
    let mut unreadable = None;
    if !subject.labels.is_empty() {
        // Every image of an index has to have them; what is no image has none.
        let all = match registry
            .describe(&subject.repository.path, &Target::from(&raw.digest))
            .await
        {
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
        differences.extend(deep_content(registry, &subject.repository, raw).await?);
    } else if subject.complete {
        differences.extend(lost_children(registry, &subject.repository, raw).await?);
    }
    if let Some(problem) = unreadable {
        add_unreadable(&mut differences, raw, problem);
    }
    Ok(differences)
}

/// Says that what is below a manifest cannot be read, unless what is wrong there has been found already.
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

/// The images of an index that are not there. Who publishes an index publishes all of it; of somebody else's, a mirror
/// may hold a part.
async fn lost_children(
    registry: &Registry,
    repository: &Repository,
    raw: &RawManifest,
) -> Result<Vec<Difference>, Error> {
    let Ok(Manifest::Index(index)) = raw.parse() else {
        return Ok(Vec::new());
    };
    let children: BTreeSet<&Digest> = index.manifests.iter().map(|child| &child.digest).collect();
    let asked = stream::iter(children).map(async |child| {
        let found = registry
            .head_manifest(&repository.path, &Target::from(child))
            .await?;
        Ok::<_, Error>(found.is_none().then(|| lost_child(child)))
    });
    let lost: Vec<Option<Difference>> = asked.buffered(CONCURRENT).try_collect().await?;
    Ok(lost.into_iter().flatten().collect())
}

fn lost_child(digest: &Digest) -> Difference {
    Difference::Content {
        digest: digest.clone(),
        problem: "the image of the index is not there".to_owned(),
    }
}

/// Reads and hashes all that a manifest names.
async fn deep_content(
    registry: &Registry,
    repository: &Repository,
    raw: &RawManifest,
) -> Result<Vec<Difference>, Error> {
    let damaged = |digest: &Digest, problem: String| Difference::Content {
        digest: digest.clone(),
        problem,
    };
    let parse = |raw: &RawManifest| {
        raw.parse().map_err(|source| Error::Manifest {
            repository: repository.clone(),
            source,
        })
    };
    let mut differences = Vec::new();
    let mut blobs: Vec<Descriptor> = Vec::new();
    let below = registry.below(&repository.path, raw, |_| true).await?;
    differences.extend(below.missing.iter().map(lost_child));
    for manifest in below.manifests.iter().chain([raw]) {
        if let Manifest::Image(image) = parse(manifest)? {
            blobs.extend(image.layers.into_iter().chain([image.config]));
        }
    }
    blobs.retain(|blob| blob.urls.is_empty());
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    blobs.dedup_by(|a, b| a.digest == b.digest);
    let read = stream::iter(&blobs).map(async |blob| {
        read_through(registry, repository, blob)
            .await
            .err()
            .map(|problem| damaged(&blob.digest, problem))
    });
    let found: Vec<Option<Difference>> = read.buffered(CONCURRENT).collect().await;
    differences.extend(found.into_iter().flatten());
    Ok(differences)
}

async fn read_through(
    registry: &Registry,
    repository: &Repository,
    blob: &Descriptor,
) -> Result<(), String> {
    let mut reader = registry
        .read_blob(&repository.path, blob)
        .await
        .map_err(|error| error.to_string())?;
    let copied = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
    copied.map(drop).map_err(|error| error.to_string())
}
