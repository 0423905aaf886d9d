//! Zip archives in memory (<https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>).

use std::borrow::Cow;
use std::io::Read as _;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::byte_order::ByteOrder;

/// The record at the end of an archive: its signature, its length and its longest comment.
const END: (&[u8], usize, usize) = (b"PK\x05\x06", 22, 0xffff);
/// The record of large archives before [`END`], and the record that it points to.
const LOCATOR: (&[u8], usize) = (b"PK\x06\x07", 20);
const LARGE_END: (&[u8], usize) = (b"PK\x06\x06", 56);
/// The record of a file in the directory, and the one before its content.
const ENTRY: (&[u8], usize) = (b"PK\x01\x02", 46);
const LOCAL: (&[u8], usize) = (b"PK\x03\x04", 30);
/// A number that is in an extra field, and the identifier of that field.
const ELSEWHERE: u64 = 0xffff_ffff;
const LARGE: u64 = 1;
/// The maximum number of selected files of an archive.
const MOST: usize = 10_000;

/// A zip archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zip<'a> {
    bytes: &'a [u8],
    directory: &'a [u8],
    /// The number of bytes before the archive. Executable archives begin with a script.
    before: u64,
}

/// A file in an archive.
#[derive(Debug, Clone)]
pub(super) struct ZipEntry {
    /// The name.
    pub(super) name: String,
    method: u64,
    is_encrypted: bool,
    checksum: u64,
    packed: u64,
    /// The unpacked size in bytes, from the directory.
    pub(super) size: u64,
    offset: u64,
}

impl ZipEntry {
    /// The problem of this file, as a clause about the archive.
    pub(super) fn failed(&self, problem: &str) -> String {
        format!("{}: {problem}", self.name)
    }
}

/// A number with the lowest byte first.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    ByteOrder::Little.number(bytes, at, width)
}

fn size(number: u64) -> Option<usize> {
    usize::try_from(number).ok()
}

impl<'a> Zip<'a> {
    /// Finds the directory of an archive.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        Self::found(bytes).ok_or_else(|| "it is not a complete zip archive".to_owned())
    }

    fn found(bytes: &'a [u8]) -> Option<Self> {
        let last = bytes.len().checked_sub(END.1)?;
        let first = last.saturating_sub(END.2);
        let tail = &bytes[first..];
        let end = memchr::memmem::rfind(&tail[..tail.len() - END.1 + END.0.len()], END.0)? + first;
        let (mut length, mut offset) = (number(bytes, end + 12, 4)?, number(bytes, end + 16, 4)?);
        let mut after = end;
        let locator = end.checked_sub(LOCATOR.1);
        if let Some(locator) = locator.filter(|at| bytes[*at..].starts_with(LOCATOR.0)) {
            after = locator.checked_sub(LARGE_END.1)?;
            if !bytes[after..].starts_with(LARGE_END.0) {
                return None;
            }
            (length, offset) = (number(bytes, after + 40, 8)?, number(bytes, after + 48, 8)?);
        }
        let start = after.checked_sub(size(length)?)?;
        Some(Self {
            bytes,
            directory: &bytes[start..after],
            before: (start as u64).checked_sub(offset)?,
        })
    }

    /// The files whose names are selected. Fails if the directory is damaged, or too many are.
    pub(super) fn entries(&self, select: impl Fn(&str) -> bool) -> Result<Vec<ZipEntry>, String> {
        let (mut rest, mut selected) = (self.directory, Vec::new());
        while !rest.is_empty() {
            let (entry, length) =
                parse(rest).ok_or_else(|| "its directory of files is damaged".to_owned())?;
            if select(&entry.name) {
                selected.push(entry);
            }
            if selected.len() > MOST {
                return Err(format!(
                    "more than {MOST} of its files may describe packages, and golden reads none of them"
                ));
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(selected)
    }

    /// The first bytes of a file, at most `count`. They are not verified.
    pub(super) fn start(&self, entry: &ZipEntry, count: u64) -> Result<Cow<'a, [u8]>, String> {
        let failed = |problem: &str| entry.failed(problem);
        let packed = self
            .packed(entry)
            .ok_or_else(|| failed("it is not in the archive"))?;
        if entry.is_encrypted {
            return Err(failed("it is encrypted"));
        }
        match entry.method {
            0 => {
                let length = usize::try_from(count).unwrap_or(usize::MAX);
                Ok(Cow::Borrowed(&packed[..length.min(packed.len())]))
            }
            8 => {
                let mut plain = Vec::new();
                DeflateDecoder::new(packed)
                    .take(count)
                    .read_to_end(&mut plain)
                    .map_err(|error| failed(&error.to_string()))?;
                Ok(Cow::Owned(plain))
            }
            method => Err(failed(&format!("it has an unknown compression, {method}"))),
        }
    }

    /// The content of a file. At most [`ZipEntry::size`] bytes are unpacked; more are an error.
    pub(super) fn content(&self, entry: &ZipEntry) -> Result<Cow<'a, [u8]>, String> {
        let failed = |problem: &str| entry.failed(problem);
        let content = self.start(entry, entry.size.saturating_add(1))?;
        if content.len() as u64 != entry.size {
            return Err(failed(
                "it does not have the size in the directory of the archive",
            ));
        }
        let mut checksum = Crc::new();
        checksum.update(&content);
        if u64::from(checksum.sum()) == entry.checksum {
            Ok(content)
        } else {
            Err(failed("it is damaged"))
        }
    }

    fn packed(&self, entry: &ZipEntry) -> Option<&'a [u8]> {
        let start = size(entry.offset.checked_add(self.before)?)?;
        let local = self.bytes.get(start..)?;
        if !local.starts_with(LOCAL.0) {
            return None;
        }
        let skipped = LOCAL.1 + size(number(local, 26, 2)? + number(local, 28, 2)?)?;
        local.get(skipped..)?.get(..size(entry.packed)?)
    }
}

/// The first entry of a directory, and the length of its record.
fn parse(record: &[u8]) -> Option<(ZipEntry, usize)> {
    if !record.starts_with(ENTRY.0) {
        return None;
    }
    let short = |at| number(record, at, 2);
    let (name, extra, comment) = (size(short(28)?)?, size(short(30)?)?, size(short(32)?)?);
    let fields = ENTRY.1 + name;
    let length = fields + extra + comment;
    let mut entry = ZipEntry {
        name: String::from_utf8_lossy(record.get(ENTRY.1..fields)?).into_owned(),
        method: short(10)?,
        is_encrypted: short(8)? & 1 != 0,
        checksum: number(record, 16, 4)?,
        packed: number(record, 20, 4)?,
        size: number(record, 24, 4)?,
        offset: number(record, 42, 4)?,
    };
    let large = large(record.get(fields..fields + extra)?).unwrap_or_default();
    let mut numbers = large.chunks_exact(8).map(|bytes| number(bytes, 0, 8));
    for field in [&mut entry.size, &mut entry.packed, &mut entry.offset] {
        if *field == ELSEWHERE {
            *field = numbers.next()??;
        }
    }
    record.get(..length).map(|_| (entry, length))
}

/// The extra field with numbers that are too large for the record.
fn large(mut extra: &[u8]) -> Option<&[u8]> {
    loop {
        let length = size(number(extra, 2, 2)?)?;
        let (field, rest) = extra.get(4..)?.split_at_checked(length)?;
        if number(extra, 0, 2)? == LARGE {
            return Some(field);
        }
        extra = rest;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    use super::*;

    /// An archive of files. The name of a file that is not compressed begins with `=`.
    pub(in crate::inventory) fn written(files: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, content) in files {
            let mut checksum = Crc::new();
            checksum.update(content);
            let (method, packed) = if name.starts_with('=') {
                (0_u16, content.to_vec())
            } else {
                let level = flate2::Compression::new(6);
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(content).unwrap();
                (8, encoder.finish().unwrap())
            };
            let name = name.trim_start_matches('=');
            let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
            let mut fields = vec![20, 0, 0, 0];
            fields.extend(method.to_le_bytes());
            fields.extend([0; 4]);
            fields.extend(checksum.sum().to_le_bytes());
            fields.extend(length(&packed));
            fields.extend(length(content));
            fields.extend(&length(name.as_bytes())[..2]);
            fields.extend([0; 2]);
            directory.extend(b"PK\x01\x02\x14\x00");
            directory.extend(&fields);
            directory.extend([0; 10]);
            directory.extend(length(&bytes));
            directory.extend(name.as_bytes());
            bytes.extend(b"PK\x03\x04");
            bytes.extend(fields);
            bytes.extend(name.as_bytes());
            bytes.extend(packed);
        }
        let start = u32::try_from(bytes.len()).unwrap();
        let count = u16::try_from(files.len()).unwrap().to_le_bytes();
        let length = u32::try_from(directory.len()).unwrap();
        bytes.extend(directory);
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend(count);
        bytes.extend(count);
        bytes.extend(length.to_le_bytes());
        bytes.extend(start.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    fn contents(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let zip = Zip::open(bytes)?;
        let entries = zip.entries(|name| name != "c")?.into_iter();
        entries
            .map(|entry| Ok((entry.name.clone(), zip.content(&entry)?.into_owned())))
            .collect()
    }

    #[test]
    fn the_selected_files_of_an_archive_are_read() {
        let archive = written(&[("a", b"1"), ("=d/b", b"22"), ("c", b"3")]);
        let expected = vec![
            ("a".to_owned(), b"1".to_vec()),
            ("d/b".to_owned(), b"22".to_vec()),
        ];
        assert_eq!(contents(&archive), Ok(expected.clone()));
        let mut executable = b"#!/bin/sh\n".to_vec();
        executable.extend(&archive);
        assert_eq!(contents(&executable), Ok(expected));
        assert_eq!(contents(&written(&[])), Ok(Vec::new()));
    }

    #[test]
    fn damaged_encrypted_and_large_files_are_errors() {
        let archive = written(&[("=a", b"content")]);
        let at = archive
            .windows(7)
            .position(|part| part == b"content")
            .unwrap();
        let changed = |at: usize, byte: u8| {
            let mut changed = archive.clone();
            changed[at] = byte;
            contents(&changed).unwrap_err()
        };
        assert_eq!(changed(at, b'x'), "a: it is damaged");
        let directory = at + 7;
        assert_eq!(
            changed(directory, b'x'),
            "its directory of files is damaged"
        );
        assert_eq!(changed(directory + 8, 1), "a: it is encrypted");
        assert_eq!(
            changed(directory + 10, 9),
            "a: it has an unknown compression, 9"
        );
        assert_eq!(changed(directory + 42, 200), "a: it is not in the archive");
        let size = "a: it does not have the size in the directory of the archive";
        assert_eq!(changed(directory + 24, 6), size);
        assert_eq!(changed(directory + 24, 8), size);
        for length in [0, 10, archive.len() - 1] {
            let error = contents(&archive[..length]).unwrap_err();
            assert_eq!(error, "it is not a complete zip archive");
        }
    }

    proptest::proptest! {
        #[test]
        fn reading_a_damaged_archive_ends(
            damage in proptest::collection::vec((0..300_usize, proptest::num::u8::ANY), 1..8),
        ) {
            let mut archive = written(&[("a", b"1"), ("=d/b", b"22"), ("c", b"3")]);
            for (at, byte) in damage {
                let at = at % archive.len();
                archive[at] = byte;
            }
            drop(contents(&archive));
        }
    }
}
