//! Reads and attaches announcements of the lifecycle of an image.

use super::check::bundle_of;
use super::{Error, Signer, attach};
use crate::oci::lifecycle::{
    ANNOUNCEMENT, Announcement, END_OF_LIFE, FoundAnnouncement, LifecycleStatus, unsigned,
};
use crate::oci::{Descriptor, rfc3339};
use crate::reference::Digest;
use crate::registry::referrers::Referrer;
use crate::registry::{self, Repo};
use crate::trust::artifact::{EMPTY, Target, empty_config};
use crate::trust::lifecycle::{PREDICATE, signed};
use crate::trust::refusal::MOST_SIGNATURE_BYTES;
use crate::trust::{Artifact, PublicKey, bundle, statement};

/// The maximum number of artifacts of one image that are read.
const MOST_ARTIFACTS: usize = 200;

/// Reads the announcements about `subject`. A bundle counts only if one of `keys` signed it. Fails
/// if the registry fails.
pub async fn announcements(
    repo: &Repo,
    subject: &Digest,
    keys: &[PublicKey],
) -> Result<Vec<FoundAnnouncement>, registry::Error> {
    let mut found = Vec::new();
    let list = repo.referrers(subject).await?;
    for referrer in list
        .iter()
        .filter(|one| may_announce(one))
        .take(MOST_ARTIFACTS)
    {
        let Some(raw) = repo.manifest(&referrer.descriptor.digest).await? else {
            continue;
        };
        if registry::referrers::subject_of(&raw).as_ref() != Some(subject) {
            continue;
        }
        if let Some(announcement) = unsigned(&raw) {
            found.push(announcement);
            continue;
        }
        let Some(blob) = bundle_of(&raw, subject, PREDICATE) else {
            continue;
        };
        if blob.size > MOST_SIGNATURE_BYTES || keys.is_empty() {
            continue;
        }
        match repo.blob(&blob, MOST_SIGNATURE_BYTES).await {
            Ok(bytes) => found.extend(signed(&bytes, subject, keys)),
            // A damaged bundle announces nothing.
            Err(error) if error.is_about_content() || error.says_unknown() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// False if the list shows that an entry is another artifact. Lists may contain entries without
/// types, or with a type that clients write for every artifact.
fn may_announce(referrer: &Referrer) -> bool {
    let descriptor = &referrer.descriptor;
    match descriptor.artifact_type.as_deref() {
        None | Some("" | "application/vnd.oci.empty.v1+json" | ANNOUNCEMENT | END_OF_LIFE) => true,
        Some(kind) if kind.starts_with(bundle::BUNDLES) => {
            let declared = descriptor.annotations.get(bundle::PREDICATE_TYPE);
            declared.is_none_or(|kind| kind == PREDICATE)
        }
        Some(_) => false,
    }
}

/// Announces a status of `subject`: as an artifact with annotations, and as a signed statement if
/// there is a key. Does nothing if the newest announcement of each form says the same. `now` is in
/// seconds since 1970. Returns the lists of referrers that were replaced, or `None` if nothing was
/// attached.
pub async fn announce(
    repo: &Repo,
    subject: &Descriptor,
    announcement: &Announcement,
    signer: Option<&Signer>,
    now: i64,
) -> Result<Option<Vec<Digest>>, Error> {
    let keys: Vec<PublicKey> = signer.iter().map(|one| one.public().clone()).collect();
    let found = announcements(repo, &subject.digest, &keys).await?;
    let lacks = |is_signed: bool| {
        let same_kind = found.iter().filter(|one| {
            let ends = |one: &Announcement| one.status == LifecycleStatus::EndOfLife;
            one.is_signed == is_signed && ends(&one.content) == ends(announcement)
        });
        same_kind
            .max()
            .is_none_or(|one| one.content != *announcement)
    };
    // A newer announcement must have a later time, also within the same second.
    let newest = found.iter().map(|one| one.time).max();
    let time = newest.map_or(now, |newest| now.max(newest + 1));
    let mut artifacts = Vec::new();
    if lacks(false) {
        artifacts.push(Artifact {
            blob: empty_config(),
            content: EMPTY.to_vec(),
            manifest: announcement.manifest(subject, time),
        });
    }
    if let Some(signer) = signer.filter(|_| lacks(true)) {
        let predicate = announcement.predicate(time);
        let text = statement::statement(&subject.digest, PREDICATE, &predicate);
        let content = attach::signed(signer, &text).await?;
        let created = &rfc3339(time);
        let target = Target { subject, created };
        let key = Some(signer.public());
        artifacts.push(Artifact::bundle(content, PREDICATE, key, target));
    }
    if artifacts.is_empty() {
        return Ok(None);
    }
    attach::put(repo, &subject.digest, artifacts)
        .await
        .map(Some)
}
