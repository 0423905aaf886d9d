//! Reads and attaches announcements of the lifecycle of an image.

use super::check::{MOST_SIGNATURES, bundle_of};
use super::{Error, Signer, attach};
use crate::oci::artifact::{EMPTY, EMPTY_TYPE, empty_config};
use crate::oci::lifecycle::{
    ANNOUNCEMENT, Announcement, END_OF_LIFE, FoundAnnouncement, LifecycleStatus, unsigned,
};
use crate::oci::{Descriptor, LAST_TIME, rfc3339};
use crate::reference::Digest;
use crate::registry::referrers::{Referrer, Superseded};
use crate::registry::{self, FailureKind, Repo};
use crate::trust::artifact::ArtifactSubject;
use crate::trust::lifecycle::{PREDICATE, signed};
use crate::trust::refusal::MOST_SIGNATURE_BYTES;
use crate::trust::{Artifact, PublicKey, bundle, statement};

/// Reads the announcements about `subject`. A bundle counts only if one of `keys` signed it. Fails
/// if the registry fails, or lists more artifacts than golden reads: one of the others may be a
/// revocation.
pub async fn announcements(
    repo: &Repo,
    subject: &Digest,
    keys: &[PublicKey],
) -> Result<Vec<FoundAnnouncement>, registry::Error> {
    let mut found = Vec::new();
    let list = repo.referrers(subject).await?;
    let listed: Vec<&Referrer> = list.iter().filter(|one| may_announce(one)).collect();
    if listed.len() > MOST_SIGNATURES {
        let message = format!(
            "{}@{subject} has more than {MOST_SIGNATURES} announcements",
            repo.name()
        );
        return Err(registry::Error::new(FailureKind::TooLarge, "", "", message));
    }
    for referrer in listed {
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
        None | Some("" | EMPTY_TYPE | ANNOUNCEMENT | END_OF_LIFE) => true,
        Some(kind) if kind.starts_with(bundle::BUNDLES) => {
            let declared = descriptor.annotations.get(bundle::PREDICATE_TYPE);
            declared.is_none_or(|kind| kind == PREDICATE)
        }
        Some(_) => false,
    }
}

/// The trusted keys, and the signer's own key: a publisher also accepts its own announcements.
#[must_use]
pub fn keys_with_own(trusted: &[PublicKey], signer: Option<&Signer>) -> Vec<PublicKey> {
    let own = signer.into_iter().map(Signer::public);
    trusted.iter().chain(own).cloned().collect()
}

/// Announces a status of `subject`: as an artifact with annotations, and as a signed statement if
/// there is a key. Does nothing if the newest announcement of each form says the same; a signed one
/// counts if `trusted` has its key, or the signer made it. `now` is in seconds since 1970. Returns the
/// lists of referrers that were replaced, or `None` if nothing was attached.
pub async fn announce(
    repo: &Repo,
    subject: &Descriptor,
    announcement: &Announcement,
    signer: Option<&Signer>,
    trusted: &[PublicKey],
    now: i64,
) -> Result<Option<Vec<Superseded>>, Error> {
    let keys = keys_with_own(trusted, signer);
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
    let mut artifacts = Vec::new();
    if lacks(false) {
        artifacts.push(Artifact {
            blob: empty_config(),
            content: EMPTY.to_vec(),
            manifest: announcement.manifest(subject, next_time(&found, false, now)),
        });
    }
    if let Some(signer) = signer.filter(|_| lacks(true)) {
        let time = next_time(&found, true, now);
        let predicate = announcement.predicate(time);
        let text = statement::statement(&subject.digest, PREDICATE, &predicate);
        let content = attach::signed(signer, &text).await?;
        let created = &rfc3339(time);
        let target = ArtifactSubject { subject, created };
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

/// The time of a new announcement: later than the others of its form, also within the same second.
/// The time of an unsigned one, which every pusher may choose, does not affect signed ones.
fn next_time(found: &[FoundAnnouncement], is_signed: bool, now: i64) -> i64 {
    let same_form = found.iter().filter(|one| one.is_signed == is_signed);
    let newest = same_form.map(|one| one.time).max();
    let next = newest.map_or(now, |newest| now.max(newest.saturating_add(1)));
    next.min(LAST_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_announcement_is_later_than_the_others_of_its_form() {
        let found = |announced: &[(i64, bool)]| -> Vec<FoundAnnouncement> {
            let one = |&(time, is_signed): &(i64, bool)| FoundAnnouncement {
                time,
                content: Announcement::new(LifecycleStatus::Revoked),
                is_signed,
            };
            announced.iter().map(one).collect()
        };
        for (announced, is_signed, expected) in [
            (&[][..], true, 100),
            (&[(99, true)], true, 100),
            (&[(100, true)], true, 101),
            (&[(100, false)], true, 100),
            (&[(100, false), (300, true)], false, 101),
            (&[(LAST_TIME, false)], true, 100),
            (&[(LAST_TIME, false)], false, LAST_TIME),
            (&[(i64::MAX, false)], false, LAST_TIME),
        ] {
            let time = next_time(&found(announced), is_signed, 100);
            assert_eq!(time, expected, "{announced:?}");
        }
        assert_eq!(rfc3339(LAST_TIME), "9999-12-31T23:59:59Z");
    }
}
