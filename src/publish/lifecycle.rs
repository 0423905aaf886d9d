//! Announces the lifecycle of an image on its index and on the image of each platform.

use super::superseded::remove_superseded;
use crate::oci::RawManifest;
use crate::oci::lifecycle::Announcement;
use crate::registry::Repo;
use crate::signing::{self, Error, Signer};
use crate::trust::PublicKey;

/// Announces a status of an image. `trusted` has the keys whose announcements count for it. `now` is in
/// seconds since 1970. Returns the number of manifests that got a new announcement.
pub async fn announce(
    repo: &Repo,
    raw: &RawManifest,
    announcement: &Announcement,
    signer: Option<&Signer>,
    trusted: &[PublicKey],
    now: i64,
) -> Result<usize, Error> {
    let mut number = 0;
    for subject in signing::subjects(repo, raw).await? {
        let subject = subject.descriptor();
        let announced =
            signing::announce(repo, &subject, announcement, signer, trusted, now).await?;
        if let Some(superseded) = announced {
            number += 1;
            remove_superseded(repo, &superseded).await;
        }
    }
    Ok(number)
}
