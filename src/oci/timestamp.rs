//! Times as the image specification writes them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last second that RFC 3339 can express, 9999-12-31T23:59:59Z, in seconds since 1970.
pub const LAST_TIME: i64 = 253_402_300_799;

/// Formats seconds since 1970 as RFC 3339; a value out of range becomes 1970-01-01.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339)
        .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}
