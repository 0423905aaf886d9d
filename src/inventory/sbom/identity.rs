//! The identifiers and the time of a document.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::BillOfMaterials;
use crate::reference::Digest;

/// The namespace of names that are URLs (RFC 9562, section 6.6).
const URL_NAMESPACE: [u8; 16] = [
    0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
];

/// The name-based UUID of a document (RFC 9562, section 5.5).
pub(super) fn uuid(format: &str, digest: &Digest) -> String {
    let mut hash = Sha1::new();
    hash.update(URL_NAMESPACE);
    hash.update(format!("{format}:{digest}"));
    let mut bytes = hash.finalize();
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut uuid = String::new();
    for (at, byte) in bytes.iter().take(16).enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            uuid.push('-');
        }
        // Writing into a String cannot fail.
        let _ = write!(uuid, "{byte:02x}");
    }
    uuid
}

/// The creation time of an image in UTC without fractions; `None` if it is unknown. Go writes an
/// unknown time as year 1.
pub(super) fn created(bill: &BillOfMaterials) -> Option<String> {
    let time = OffsetDateTime::parse(bill.created.as_deref()?, &Rfc3339).ok()?;
    let time = time.to_offset(UtcOffset::UTC);
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let is_known = time.year() > 1;
    time.format(format).ok().filter(|_| is_known)
}

/// The package URL of the image.
pub(super) fn purl(bill: &BillOfMaterials) -> String {
    let digest = bill.digest.to_string().replace(':', "%3A");
    let name = bill.name.to_lowercase();
    format!(
        "pkg:oci/{name}@{digest}?arch={}",
        bill.platform.architecture
    )
}
