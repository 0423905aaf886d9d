//! Times as the image specification writes them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Formats seconds since 1970 as RFC 3339; a value out of range becomes 1970-01-01.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339)
        .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}
