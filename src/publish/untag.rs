//! Removes one tag and nothing else: by its name if the registry supports it, else through a
//! stand-in manifest.
//!
//! distribution 2.8 deletes only by digest, which removes every tag of the digest. The tag is
//! therefore first moved to a manifest of its own, the stand-in, and the digest of the stand-in is
//! deleted.

use serde_json::{Value, json};

use super::removal::{DeleteSubject, Deleted, Error, prove_gone};
use crate::oci::RawManifest;
use crate::reference::Tag;
use crate::registry::{Repo, Untag};

/// Removes `tag` from a digest that remains. Verifies that the tag is gone and that the tags that
/// are not to be removed still exist. Fails if deletion is disabled, or if the registry removes other
/// tags.
pub async fn untag(repo: &Repo, subject: &DeleteSubject, tag: &Tag) -> Result<Deleted, Error> {
    // Nothing is changed until it is known that the registry allows deletion.
    repo.probe_deletion().await?;
    if repo.delete_tag(tag).await? == Untag::Unsupported {
        through_stand_in(repo, subject, tag).await?;
    }
    prove_gone(repo, &repo.name().tag(tag)).await?;
    keep_others(repo, subject).await?;
    Ok(subject.untagged(tag))
}

async fn through_stand_in(repo: &Repo, subject: &DeleteSubject, tag: &Tag) -> Result<(), Error> {
    let reference = repo.name().tag(tag);
    let now = repo.head(tag).await?;
    if now.is_none_or(|now| now.digest != subject.raw.digest) {
        return Err(Error::Moved(reference));
    }
    let stand_in = stand_in(&subject.raw, fastrand::u64(..));
    let mut guard = TagGuard {
        repo: repo.clone(),
        tag: tag.clone(),
        raw: Some(subject.raw.clone()),
    };
    let put = repo.put(tag, &stand_in).await;
    let deleted = match put {
        Ok(()) => repo.delete(&stand_in.digest).await.map(drop),
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
    repo: Repo,
    tag: Tag,
    raw: Option<RawManifest>,
}

impl TagGuard {
    async fn restore(&mut self) -> bool {
        let Some(raw) = self.raw.take() else {
            return true;
        };
        self.repo.put(&self.tag, &raw).await.is_ok()
    }
}

impl Drop for TagGuard {
    fn drop(&mut self) {
        let Some(raw) = self.raw.take() else { return };
        let (repo, tag) = (self.repo.clone(), self.tag.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let restore = async move {
                drop(repo.put(&tag, &raw).await);
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

/// Restores the tags that are not to be removed if the registry removed them too. Fails if any of
/// them was removed.
async fn keep_others(repo: &Repo, subject: &DeleteSubject) -> Result<(), Error> {
    let mut removed_tags = Vec::new();
    for other in subject
        .tags
        .iter()
        .filter(|other| !subject.named.contains(*other))
    {
        if repo.manifest(other).await?.is_none() {
            removed_tags.push(other.clone());
        }
    }
    if removed_tags.is_empty() {
        return Ok(());
    }
    let restored = repo.put_tags(&removed_tags, &subject.raw).await.is_ok();
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
