//! Removes one tag and nothing else: by its name if the registry supports it, else through a
//! stand-in manifest.
//!
//! distribution 2.8 deletes only by digest, which removes every tag of the digest. The tag is
//! therefore first moved to a manifest of its own, the stand-in, and the digest of the stand-in is
//! deleted.

use serde_json::{Value, json};

use super::delete::{DeleteSubject, Deleted, Error, prove_gone, tagged};
use crate::oci::RawManifest;
use crate::reference::{Repository, Tag, Target};
use crate::registry::{Registry, Untag};

/// Removes `tag` from a digest that remains, and verifies that the tag is gone and the others
/// exist. Fails if deletion is disabled, or if the registry removes other tags.
pub async fn untag(
    registry: &Registry,
    subject: &DeleteSubject,
    tag: &Tag,
) -> Result<Deleted, Error> {
    let repository = &subject.reference.repository;
    let path = &repository.path;
    // Nothing is changed until it is known that the registry allows deletion.
    registry.probe_deletion(path).await?;
    if registry.delete_tag(path, tag).await? == Untag::Unsupported {
        through_stand_in(registry, repository, subject, tag).await?;
    }
    prove_gone(registry, &tagged(repository, tag)).await?;
    keep_others(registry, subject, tag).await?;
    Ok(subject.untagged(tag))
}

async fn through_stand_in(
    registry: &Registry,
    repository: &Repository,
    subject: &DeleteSubject,
    tag: &Tag,
) -> Result<(), Error> {
    let target = Target::from(tag);
    let reference = tagged(repository, tag);
    let now = registry.head_manifest(&repository.path, &target).await?;
    if now.is_none_or(|now| now.digest != subject.raw.digest) {
        return Err(Error::Moved(reference));
    }
    let stand_in = stand_in(&subject.raw, fastrand::u64(..));
    let mut guard = TagGuard {
        registry: registry.clone(),
        repository: repository.clone(),
        tag: tag.clone(),
        raw: Some(subject.raw.clone()),
    };
    let put = registry
        .put_manifest(&repository.path, &target, &stand_in)
        .await;
    let deleted = match put {
        Ok(()) => registry
            .delete_manifest(&repository.path, &stand_in.digest)
            .await
            .map(drop),
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => {
            guard.raw = None;
            Ok(())
        }
        Err(source) => Err(Error::HalfWay {
            reference,
            restored: guard.restore().await,
            source,
        }),
    }
}

/// Restores the tag if the work fails or is interrupted between its two steps.
struct TagGuard {
    registry: Registry,
    repository: Repository,
    tag: Tag,
    raw: Option<RawManifest>,
}

impl TagGuard {
    async fn restore(&mut self) -> bool {
        let Some(raw) = self.raw.take() else {
            return true;
        };
        self.registry
            .put_manifest(&self.repository.path, &Target::from(&self.tag), &raw)
            .await
            .is_ok()
    }
}

impl Drop for TagGuard {
    fn drop(&mut self) {
        let Some(raw) = self.raw.take() else { return };
        let (registry, path, tag) = (
            self.registry.clone(),
            self.repository.path.clone(),
            self.tag.clone(),
        );
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let restore = async move {
                drop(
                    registry
                        .put_manifest(&path, &Target::from(&tag), &raw)
                        .await,
                );
            };
            drop(runtime.spawn(restore));
        }
    }
}

/// Builds a manifest of the same kind with the same, existing content and unique bytes. It has no
/// subject, so that no list of referrers changes.
fn stand_in(raw: &RawManifest, unique: u64) -> RawManifest {
    let mut value: Value = serde_json::from_slice(&raw.bytes).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.remove("subject");
        object.insert(
            "annotations".to_owned(),
            json!({ "dev.golden.untag": format!("{unique:016x}") }),
        );
    }
    RawManifest::new(raw.media_type.clone(), value.to_string().into_bytes())
}

/// Restores the other tags if the registry removed them too, except those that are also to be
/// removed. Fails if any tag was removed.
async fn keep_others(registry: &Registry, subject: &DeleteSubject, tag: &Tag) -> Result<(), Error> {
    let path = &subject.reference.repository.path;
    let mut removed_tags = Vec::new();
    for other in subject
        .tags
        .iter()
        .filter(|other| *other != tag && !subject.named.contains(*other))
    {
        if registry
            .get_manifest(path, &Target::from(other))
            .await?
            .is_none()
        {
            removed_tags.push(other.clone());
        }
    }
    if removed_tags.is_empty() {
        return Ok(());
    }
    let restored = registry
        .put_tags(path, &removed_tags, &subject.raw)
        .await
        .is_ok();
    Err(Error::Collateral {
        tags: removed_tags,
        restored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media;

    #[test]
    fn a_stand_in_has_the_same_kind_and_a_unique_digest() {
        let raw = RawManifest::new(
            media::OCI_MANIFEST,
            br#"{"schemaVersion":2,"subject":{"a":1},"layers":[]}"#.to_vec(),
        );
        let (one, two) = (stand_in(&raw, 1), stand_in(&raw, 2));
        assert_eq!(one.media_type, raw.media_type);
        assert!(one.digest != two.digest && one.digest != raw.digest);
        assert!(
            !String::from_utf8(one.bytes.to_vec())
                .unwrap()
                .contains("subject")
        );
    }
}
