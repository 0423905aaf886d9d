//! Attaches artifacts to images in a registry: signatures, statements and documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::check::simple_tag;
use super::cosign::{self, SignatureCopy};
use super::{Error, Signer};
use crate::config_files::SignatureFormat;
use crate::image::{Follow, Source, Tree};
use crate::oci::artifact::{EMPTY, empty_config};
use crate::oci::{Bytes, Descriptor, RawManifest, media, rfc3339};
use crate::reference::Digest;
use crate::registry::Repo;
use crate::registry::referrers::Superseded;
use crate::trust::artifact::ArtifactSubject;
use crate::trust::{Artifact, bundle, simple, statement};

/// The artifacts to attach to a manifest.
#[derive(Debug, Clone, Default)]
pub struct NewArtifacts {
    /// The formats of signatures.
    pub signatures: Vec<SignatureFormat>,
    /// The statements, each with its predicate type and its predicate.
    pub statements: Vec<(&'static str, Value)>,
    /// The documents outside statements, each with its media type.
    pub documents: Vec<(&'static str, Vec<u8>)>,
    /// The time of statements and documents in RFC 3339. It is that of the image, so that the same
    /// image has the same artifacts.
    pub created: String,
}

/// The manifests of an image that artifacts are attached to: the index and the image of each
/// platform.
pub async fn subjects<S: Source>(
    source: &S,
    top: &RawManifest,
) -> Result<Vec<RawManifest>, S::Error> {
    let tree = Tree::load(source, top.clone(), Follow::Images).await?;
    Ok(tree.children_first().cloned().collect())
}

/// Attaches artifacts to a manifest, all in one change of its list of referrers. Statements are
/// signed if there is a signer; signatures require one. `now` is in seconds since 1970. Returns the
/// lists and manifests that were replaced, once the registry lists all artifacts.
pub async fn attach(
    repo: &Repo,
    subject: &Descriptor,
    signer: Option<&Signer>,
    new: NewArtifacts,
    now: i64,
) -> Result<Vec<Superseded>, Error> {
    let created = new.created.as_str();
    let target = ArtifactSubject { subject, created };
    let mut artifacts = Vec::new();
    for (media_type, content) in new.documents {
        artifacts.push(Artifact::document(content, media_type, target));
    }
    for (predicate_type, predicate) in &new.statements {
        let text = statement::statement(&subject.digest, predicate_type, predicate);
        artifacts.push(match signer {
            Some(signer) => {
                let content = signed(signer, &text).await?;
                Artifact::bundle(content, predicate_type, Some(signer.public()), target)
            }
            None => Artifact::statement(text, predicate_type, target),
        });
    }
    let has = |format| new.signatures.contains(&format);
    if let Some(signer) = signer.filter(|_| has(SignatureFormat::Bundle)) {
        let created = rfc3339(now);
        let target = ArtifactSubject {
            subject,
            created: &created,
        };
        let content = signed(signer, &statement::signature(&subject.digest)).await?;
        let key = Some(signer.public());
        artifacts.push(Artifact::bundle(content, statement::SIGNATURE, key, target));
    }
    let mut superseded = put(repo, &subject.digest, artifacts).await?;
    if let Some(signer) = signer.filter(|_| has(SignatureFormat::Simple)) {
        superseded.extend(attach_simple(repo, &subject.digest, signer).await?);
    }
    Ok(superseded)
}

/// The bundle of a statement.
pub(super) async fn signed(signer: &Signer, statement: &[u8]) -> Result<Vec<u8>, Error> {
    let signature = signer.sign(&bundle::text_of(statement)).await?;
    Ok(bundle::bundle(statement, &signature, signer.public()))
}

/// Puts artifacts that refer to `subject`, and lists them in one write. Returns the lists that were
/// replaced.
pub(super) async fn put(
    repo: &Repo,
    subject: &Digest,
    artifacts: Vec<Artifact>,
) -> Result<Vec<Superseded>, Error> {
    if artifacts.is_empty() {
        return Ok(Vec::new());
    }
    push(repo, &empty_config(), EMPTY.to_vec()).await?;
    let mut manifests = Vec::with_capacity(artifacts.len());
    for artifact in artifacts {
        push(repo, &artifact.blob, artifact.content).await?;
        manifests.push((artifact.manifest, None));
    }
    Ok(repo.put_referrers(subject, &manifests).await?)
}

async fn attach_simple(
    repo: &Repo,
    digest: &Digest,
    signer: &Signer,
) -> Result<Vec<Superseded>, Error> {
    let payload = simple::payload(repo.name(), digest);
    let signature = STANDARD.encode(signer.sign(&payload).await?);
    let mut layer = Descriptor::of(simple::PAYLOAD, &payload);
    layer
        .annotations
        .insert(simple::SIGNATURE.to_owned(), signature);
    push(repo, &layer, payload).await?;
    let tag = simple_tag(digest)?;
    let added = json!({ "schemaVersion": 2, "layers": [layer] }).to_string();
    let added = RawManifest::new(media::OCI_MANIFEST, added.into_bytes());
    match cosign::add(repo, &added, &tag).await? {
        SignatureCopy::Complete(replaced) => Ok(replaced),
        SignatureCopy::Impossible => Err(Error::Occupied(repo.name().tag(&tag))),
        SignatureCopy::Unmerged => Err(Error::Unkept(repo.name().tag(&tag))),
    }
}

async fn push(repo: &Repo, descriptor: &Descriptor, bytes: Vec<u8>) -> Result<(), Error> {
    repo.push_blob(descriptor, &Bytes::from(bytes)).await?;
    Ok(())
}
