//! Attaches the artifacts that golden.toml requires to a published image: signatures, bills of
//! materials and provenance statements.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::superseded::remove_superseded;
use super::{Error, PublishJob};
use crate::assemble::{Assembled, Layer, LayerSource};
use crate::config_files::SbomFormat;
use crate::config_files::policy::RequiredArtifact;
use crate::engine::BuildOutput;
use crate::image::{self, FileReader};
use crate::inventory::{BillOfMaterials, Gap, SbomSubject, layer_owners, sbom_media_type};
use crate::oci::{ImageConfig, ImageManifest, Manifest, RawManifest};
use crate::platform::Platform;
use crate::reference::Digest;
use crate::registry::Repo;
use crate::registry::referrers::Superseded;
use crate::signing::{
    self, Expected, ExpectedSignatures, Missing, NewArtifacts, Signing, predicate_of,
};
use crate::trust::provenance::{BuildFacts, BuiltFacts, Resource};
use crate::trust::statement;

/// The number of manifests that artifacts are attached to concurrently.
const CONCURRENT: usize = 4;
/// The creation time of an image that has none.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// The artifacts that published images of a run must have.
#[derive(Debug, Clone, Copy)]
pub struct Attachments<'a> {
    /// The key that signs images and statements; `None` if nothing is signed.
    pub signing: Option<&'a Signing>,
    /// The formats of bills of materials.
    pub sbom: &'a [SbomFormat],
    /// The facts for the provenance statement; `None` if none is attached.
    pub provenance: Option<&'a BuildFacts>,
    /// Reads the files of images.
    pub files: &'a FileReader,
}

impl Attachments<'_> {
    /// True if nothing is attached to published images.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.signing.is_none() && self.sbom.is_empty() && self.provenance.is_none()
    }

    /// The artifacts that are required.
    pub(super) fn expected(&self) -> Expected {
        Expected {
            signatures: self.signing.map(|signing| ExpectedSignatures {
                key: Some(signing.signer.public().clone()),
                formats: signing.formats.clone(),
            }),
            sbom: self.sbom.to_vec(),
            provenance: self.provenance.is_some(),
        }
    }
}

/// The image of one platform, with its bills of materials.
#[derive(Debug)]
struct ImageDocuments {
    platform: Platform,
    config: ImageConfig,
    documents: Vec<(SbomFormat, Value)>,
}

/// Attaches the required artifacts that an image in a repository lacks, before a tag points to it.
/// Returns their kinds.
pub(super) async fn attach(
    job: &PublishJob<'_>,
    repo: &Repo,
    raw: &RawManifest,
) -> Result<BTreeSet<RequiredArtifact>, Error> {
    if job.attachments.is_empty() {
        return Ok(BTreeSet::new());
    }
    let expected = job.attachments.expected();
    let subjects = signing::subjects(repo, raw).await?;
    let missing: Vec<Missing> = stream::iter(&subjects)
        .map(|subject| signing::missing(repo, subject, &expected))
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    let kinds: BTreeSet<RequiredArtifact> = missing.iter().flat_map(Missing::kinds).collect();
    if kinds.is_empty() {
        return Ok(kinds);
    }
    let documented = if kinds
        .iter()
        .any(|kind| *kind != RequiredArtifact::Signature)
    {
        documented(job, repo, &subjects).await?
    } else {
        BTreeMap::new()
    };
    let provenance = if kinds.contains(&RequiredArtifact::Provenance) {
        predicate(job, &documented)
    } else {
        None
    };
    let signer = job.attachments.signing.map(|signing| &signing.signer);
    let attached = stream::iter(subjects.iter().zip(missing)).map(async |(subject, missing)| {
        let new = artifacts(
            missing,
            documented.get(&subject.digest),
            provenance.as_ref(),
        );
        signing::attach(repo, &subject.descriptor(), signer, new, job.now).await
    });
    let superseded: Vec<Vec<Superseded>> = attached.buffered(CONCURRENT).try_collect().await?;
    remove_superseded(repo, &superseded.concat()).await;
    Ok(kinds)
}

/// The artifacts that one manifest lacks. `image` is its image, if it is not an index.
fn artifacts(
    missing: Missing,
    image: Option<&ImageDocuments>,
    provenance: Option<&(Value, String)>,
) -> NewArtifacts {
    let mut new = NewArtifacts {
        signatures: missing.signatures,
        ..NewArtifacts::default()
    };
    if let Some(image) = image {
        for (format, document) in &image.documents {
            if missing.document == Some(*format) {
                let content = document.to_string().into_bytes();
                new.documents.push((sbom_media_type(*format), content));
            }
            if missing.sbom.contains(format) {
                new.statements
                    .push((predicate_of(*format), document.clone()));
            }
        }
        created(&image.config).clone_into(&mut new.created);
    }
    if let Some((predicate, created)) = provenance.filter(|_| missing.provenance) {
        new.statements
            .push((statement::PROVENANCE, predicate.clone()));
        new.created.clone_from(created);
    }
    new
}

fn created(config: &ImageConfig) -> &str {
    let created = config.as_object().get("created");
    created.and_then(Value::as_str).unwrap_or(EPOCH)
}

/// The predicate of the provenance statement, and the time of the image.
fn predicate(
    job: &PublishJob<'_>,
    documented: &BTreeMap<Digest, ImageDocuments>,
) -> Option<(Value, String)> {
    let facts = job.attachments.provenance?;
    let mut images: Vec<&ImageDocuments> = documented.values().collect();
    images.sort_by(|one, other| one.platform.cmp(&other.platform));
    let first = images.first()?;
    let byproducts = images.iter().flat_map(|image| {
        let documents = image.documents.iter();
        documents.map(|(format, document)| {
            let digest = Digest::of(document.to_string().as_bytes());
            let platform = image.platform.to_string();
            Resource {
                media_type: Some(sbom_media_type(*format).to_owned()),
                ..Resource::named("sbom", &digest).with("platform", platform)
            }
        })
    });
    let built = BuiltFacts {
        engine: job.built.map(|built| built.engine.as_str()),
        config: &first.config,
        byproducts: byproducts.collect(),
    };
    Some((facts.predicate(&built), created(&first.config).to_owned()))
}

/// Makes the bills of materials of all images below a manifest, by the digest of the image. A
/// damaged package database is reported as a warning, and the document says what is missing.
async fn documented(
    job: &PublishJob<'_>,
    repo: &Repo,
    subjects: &[RawManifest],
) -> Result<BTreeMap<Digest, ImageDocuments>, Error> {
    let mut all = BTreeMap::new();
    for raw in subjects {
        let Ok(Manifest::Image(manifest)) = raw.parse() else {
            continue;
        };
        let (config, layers) = content(job, repo, raw, &manifest).await?;
        let mut image = ImageDocuments {
            platform: config.platform(),
            config,
            documents: Vec::new(),
        };
        if !job.attachments.sbom.is_empty() {
            let bill = bill(job, repo, raw, &manifest, &image.config, layers).await?;
            for Gap { path, problem } in &bill.inventory.gaps {
                let warning = format!(
                    "its bill of materials lacks packages: {path} cannot be read completely: {problem}"
                );
                job.events.warn(Some(job.image()), warning);
            }
            let formats = job.attachments.sbom.iter();
            image.documents = formats
                .map(|format| (*format, bill.document(*format)))
                .collect();
        }
        all.insert(raw.digest.clone(), image);
    }
    Ok(all)
}

/// The config and the layers of an image: of the build if this run built it, else of the registry.
async fn content(
    job: &PublishJob<'_>,
    repo: &Repo,
    raw: &RawManifest,
    manifest: &ImageManifest,
) -> Result<(ImageConfig, Vec<Layer>), Error> {
    if let Some(BuildOutput::Assembled(Assembled { images, .. })) =
        job.built.map(|built| &built.output)
        && let Some(own) = images.iter().find(|own| own.manifest.digest == raw.digest)
        && let Ok(config) = ImageConfig::parse(&own.config)
    {
        return Ok((config, own.layers.clone()));
    }
    let config = image::config(repo, raw, manifest).await?;
    let layers = manifest.layers.iter().map(|layer| Layer {
        descriptor: layer.clone(),
        source: LayerSource::Registry(repo.name().clone()),
    });
    Ok((config, layers.collect()))
}

async fn bill(
    job: &PublishJob<'_>,
    repo: &Repo,
    raw: &RawManifest,
    manifest: &ImageManifest,
    config: &ImageConfig,
    layers: Vec<Layer>,
) -> Result<BillOfMaterials, Error> {
    let files = job.attachments.files;
    // The files of an image take much memory.
    let _turn = files.turn().await;
    let owners = layer_owners(config, layers.len());
    let layers: Vec<_> = layers.into_iter().zip(owners).collect();
    let content = files.listed(&layers, job.image(), job.events).await?;
    let path = repo.path().as_str();
    let described = SbomSubject {
        name: path.rsplit('/').next().unwrap_or(path),
        digest: &raw.digest,
        config_digest: &manifest.config.digest,
        config,
    };
    Ok(BillOfMaterials::of(described, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_creation_time_has_the_epoch() {
        for (config, expected) in [
            (
                r#"{"created":"2024-05-06T07:08:09Z"}"#,
                "2024-05-06T07:08:09Z",
            ),
            (r#"{"created":null}"#, "1970-01-01T00:00:00Z"),
            ("{}", "1970-01-01T00:00:00Z"),
        ] {
            let config = ImageConfig::parse(config.as_bytes()).unwrap();
            assert_eq!(created(&config), expected);
        }
    }
}
