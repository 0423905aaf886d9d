//! Signed announcements of the lifecycle of published images.

use super::{PublicKey, Refusal, bundle, statement};
use crate::oci::lifecycle::{FoundAnnouncement, seconds};
use crate::reference::Digest;

/// The predicate type of a signed announcement.
pub const PREDICATE: &str = "https://golden.dev/lifecycle/v1";

/// The announcement in a bundle about `subject` that one of `keys` signed. Fails if no key did, or if
/// it is another statement.
pub fn signed(
    bytes: &[u8],
    subject: &Digest,
    keys: &[PublicKey],
) -> Result<FoundAnnouncement, Refusal> {
    let mut payloads = keys.iter().filter_map(|key| bundle::signed_by(bytes, key));
    let payload = payloads.next().ok_or(Refusal::OtherKey)?;
    let (kind, predicate) = statement::predicate(&payload, subject)?;
    if kind != PREDICATE {
        return Err(Refusal::OtherPredicate(kind));
    }
    let time = predicate["time"].as_str().and_then(seconds);
    let malformed = Refusal::Malformed("its predicate is not an announcement");
    let (Some(time), Ok(content)) = (time, serde_json::from_value(predicate)) else {
        return Err(malformed);
    };
    Ok(FoundAnnouncement {
        time,
        content,
        is_signed: true,
    })
}
