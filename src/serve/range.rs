//! Parses the byte range of a request (RFC 9110, section 14).

use std::ops::Range;

/// The part of the content that a `Range` header requests.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// The whole content: no header, another unit, several ranges, or an invalid header.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// A range that contains no byte of the content.
    Outside,
}

/// Parses a `Range` header for content of `length` bytes. For several ranges the registry sends the
/// whole content, as the RFC allows.
pub(super) fn part(header: Option<&str>, length: u64) -> ByteRange {
    let Some((first, last)) = header
        .and_then(|header| header.trim().strip_prefix("bytes="))
        .filter(|ranges| !ranges.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return ByteRange::Whole;
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(count)) if first.is_empty() => length.saturating_sub(count)..length,
        _ => return ByteRange::Whole,
    };
    if range.is_empty() {
        ByteRange::Outside
    } else {
        ByteRange::Bytes(range)
    }
}

/// The first and the last byte of an upload's chunk, from `Content-Range: FIRST-LAST` (OCI
/// distribution spec, "Pushing a blob in chunks"). `None` if the header is invalid.
pub(super) fn chunk(header: &str) -> Option<(u64, u64)> {
    let range = header.trim().trim_start_matches("bytes").trim();
    let (first, last) = range.split('/').next()?.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed() {
        for (header, expected) in [
            ("bytes=0-0", ByteRange::Bytes(0..1)),
            ("bytes=2-4", ByteRange::Bytes(2..5)),
            ("bytes=2-", ByteRange::Bytes(2..10)),
            ("bytes=-3", ByteRange::Bytes(7..10)),
            ("bytes=-30", ByteRange::Bytes(0..10)),
            ("bytes=5-99999999999999999999", ByteRange::Whole),
            ("bytes=5-18446744073709551615", ByteRange::Bytes(5..10)),
            ("bytes=10-", ByteRange::Outside),
            ("bytes=-0", ByteRange::Outside),
            ("bytes=4-2", ByteRange::Whole),
            ("bytes=0-1,3-4", ByteRange::Whole),
            ("lines=0-1", ByteRange::Whole),
            ("bytes=-", ByteRange::Whole),
        ] {
            assert_eq!(part(Some(header), 10), expected, "{header}");
        }
        assert_eq!(part(None, 10), ByteRange::Whole);
        assert_eq!(part(Some("bytes=0-"), 0), ByteRange::Outside);
    }

    #[test]
    fn chunks_are_parsed() {
        for (header, expected) in [
            ("0-4", Some((0, 4))),
            ("5-9", Some((5, 9))),
            ("bytes 5-9/10", Some((5, 9))),
            ("5", None),
            ("9-5", None),
            ("a-b", None),
        ] {
            assert_eq!(chunk(header), expected, "{header}");
        }
    }
}
