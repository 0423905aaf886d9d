//! Deterministic tar: the same entries give the same bytes on every machine. Headers are ustar. A
//! PAX record precedes an entry only if ustar cannot represent its path, link, owner or size
//! (POSIX.1-2017, pax).

use std::io::{self, Read, Write};
use std::path::Path;

use super::Content;
use crate::reference::{Digest, Hasher};

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path in the archive, relative, `/`-separated, without a leading or trailing `/`.
    pub path: String,
    /// The permission bits with set-id and sticky.
    pub mode: u32,
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The type and the content.
    pub kind: EntryKind,
}

/// The type and content of an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory,
    /// A symbolic link with its target.
    Symlink(String),
    /// A regular file that is itself an archive of these entries, with the same time.
    Archive(Vec<Entry>),
}

/// The block size of the format in bytes.
const BLOCK: usize = 512;
/// The largest number in a field of 7 octal digits.
const OCTAL_7: u64 = 0o777_7777;
/// The largest number in a field of 11 octal digits.
const OCTAL_11: u64 = 0o777_7777_7777;

/// Writes an archive of `entries` in their order. Every entry has the time `mtime` in seconds since
/// 1970. Files on disk are opened with `open`. Fails if the length or digest of a file has changed
/// since it was hashed.
pub fn write<W: Write, R: Read>(
    entries: &[Entry],
    mtime: u64,
    mut out: W,
    mut open: impl FnMut(&Path) -> io::Result<R>,
) -> io::Result<W> {
    write_all(entries, mtime, &mut out, &mut open)?;
    Ok(out)
}

/// Like [`write()`], without type parameters that would grow with each nested archive.
fn write_all<R: Read>(
    entries: &[Entry],
    mtime: u64,
    out: &mut dyn Write,
    open: &mut dyn FnMut(&Path) -> io::Result<R>,
) -> io::Result<()> {
    for entry in entries {
        let size = size_of_entry(entry, mtime)?;
        write_header(out, entry, size, mtime)?;
        match &entry.kind {
            EntryKind::File(Content::Inline(bytes)) => out.write_all(bytes)?,
            EntryKind::File(Content::File { path, len, digest }) => {
                copy_exactly(path, open(path)?, out, *len, digest)?;
            }
            EntryKind::Archive(inner) => write_all(inner, mtime, out, open)?,
            EntryKind::Directory | EntryKind::Symlink(_) => {}
        }
        pad(out, size)?;
    }
    out.write_all(&[0; 2 * BLOCK])
}

/// The length of an entry's content in bytes.
fn size_of_entry(entry: &Entry, mtime: u64) -> io::Result<u64> {
    match &entry.kind {
        EntryKind::File(content) => Ok(content.len()),
        EntryKind::Archive(entries) => size_of_archive(entries, mtime),
        EntryKind::Directory | EntryKind::Symlink(_) => Ok(0),
    }
}

/// The length of an archive in bytes. It is computed without opening files.
fn size_of_archive(entries: &[Entry], mtime: u64) -> io::Result<u64> {
    let mut total = 2 * BLOCK as u64;
    for entry in entries {
        let size = size_of_entry(entry, mtime)?;
        let mut headers = Vec::new();
        write_header(&mut headers, entry, size, mtime)?;
        total += headers.len() as u64 + size.next_multiple_of(BLOCK as u64);
    }
    Ok(total)
}

/// Writes zeros up to the next block boundary.
fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let rest = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    if rest == 0 {
        Ok(())
    } else {
        out.write_all(&[0; BLOCK][rest..])
    }
}

/// Copies a file. Fails if it does not have this length and digest.
pub(crate) fn copy_exactly(
    path: &Path,
    mut file: impl Read,
    out: &mut dyn Write,
    len: u64,
    digest: &Digest,
) -> io::Result<()> {
    let mut hasher = Hasher::sha256();
    let copied = hasher.copy((&mut file).take(len), out)?;
    let has_grown = io::copy(&mut file.take(1), &mut io::sink())? > 0;
    if copied == len && !has_grown && hasher.matches(digest) {
        return Ok(());
    }
    let changed = format!("{} changed while it was read", path.display());
    Err(io::Error::other(changed))
}

/// Writes the header of an entry, and before it a PAX record if one is needed.
fn write_header(out: &mut dyn Write, entry: &Entry, size: u64, mtime: u64) -> io::Result<()> {
    let mut path = entry.path.clone();
    let (flag, link) = match &entry.kind {
        EntryKind::File(_) | EntryKind::Archive(_) => (b'0', ""),
        EntryKind::Directory => (b'5', ""),
        EntryKind::Symlink(target) => (b'2', target.as_str()),
    };
    if flag == b'5' {
        path.push('/');
    }
    let (uid, gid) = (u64::from(entry.uid), u64::from(entry.gid));
    let place = split_path(&path);
    let mut records = Vec::new();
    let mut need = |holds: bool, key: &str, value: &str| {
        if !holds {
            records.extend(pax_record(key, value));
        }
    };
    need(gid <= OCTAL_7, "gid", &gid.to_string());
    need(link.len() <= 100 && link.is_ascii(), "linkpath", link);
    need(place.is_some(), "path", &path);
    need(size <= OCTAL_11, "size", &size.to_string());
    need(uid <= OCTAL_7, "uid", &uid.to_string());
    if !records.is_empty() {
        let header = UstarHeader {
            name: "PaxHeaders",
            flag: b'x',
            size: records.len() as u64,
            mtime,
            mode: 0o644,
            ..UstarHeader::default()
        };
        out.write_all(&header.bytes())?;
        out.write_all(&records)?;
        pad(out, records.len() as u64)?;
    }
    let fits = |number: u64, limit: u64| if number <= limit { number } else { 0 };
    // Readers of the PAX record ignore this value; the start of the path helps other readers.
    let (prefix, name) = place.unwrap_or(("", ascii_start(&path)));
    let (uid, gid, size) = (fits(uid, OCTAL_7), fits(gid, OCTAL_7), fits(size, OCTAL_11));
    let mode = entry.mode & 0o7777;
    let header = UstarHeader {
        prefix,
        name,
        link: ascii_start(link),
        flag,
        size,
        mtime,
        mode,
        uid,
        gid,
    };
    out.write_all(&header.bytes())
}

/// Splits a path into ustar's prefix and name. None if it does not fit or is not ASCII.
fn split_path(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some(("", path));
    }
    let slashes = path.match_indices('/').map(|(at, _)| at);
    let at = slashes
        .filter(|at| *at <= 155 && *at > 0 && *at + 1 < path.len())
        .find(|at| path.len() - at - 1 <= 100)?;
    Some((&path[..at], &path[at + 1..]))
}

/// The start of a text that fits in 100 bytes, up to the first character that is not ASCII.
fn ascii_start(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_ascii())
        .unwrap_or(text.len())
        .min(100);
    &text[..end]
}

/// Formats `LENGTH KEY=VALUE\n`. LENGTH counts the whole record, including its own digits.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let body = format!(" {key}={value}\n");
    let mut length = body.len();
    while length != body.len() + length.to_string().len() {
        length = body.len() + length.to_string().len();
    }
    format!("{length}{body}").into_bytes()
}

/// The fields of a ustar header. Every value must fit its field.
#[derive(Default)]
struct UstarHeader<'a> {
    prefix: &'a str,
    name: &'a str,
    link: &'a str,
    flag: u8,
    size: u64,
    mtime: u64,
    mode: u32,
    uid: u64,
    gid: u64,
}

impl UstarHeader<'_> {
    /// Encodes the header as one block.
    fn bytes(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        put(0, self.name.as_bytes());
        put(100, format!("{:07o}", self.mode).as_bytes());
        put(108, format!("{:07o}", self.uid).as_bytes());
        put(116, format!("{:07o}", self.gid).as_bytes());
        put(124, format!("{:011o}", self.size).as_bytes());
        put(136, format!("{:011o}", self.mtime.min(OCTAL_11)).as_bytes());
        put(148, b"        ");
        put(156, &[self.flag]);
        put(157, self.link.as_bytes());
        put(257, b"ustar\x0000");
        put(345, self.prefix.as_bytes());
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry {
            path: path.to_owned(),
            mode: 0o1755,
            uid: 0,
            gid: 3_000_000,
            kind,
        }
    }

    #[test]
    fn another_reader_reads_the_same_entries() {
        let long = format!("{}/{}", "d".repeat(150), "f".repeat(90));
        let longer = format!("{}/{}", "é".repeat(150), "f".repeat(190));
        let target = "t".repeat(120);
        let entries = [
            entry("etc", EntryKind::Directory),
            entry(&long, EntryKind::File(Content::inline(*b"hello"))),
            entry(&longer, EntryKind::Directory),
            entry("link", EntryKind::Symlink(target.clone())),
        ];
        let bytes = write(&entries, 7, Vec::new(), |_| Ok(io::empty())).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let read: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let path = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
                let link = entry
                    .link_name_bytes()
                    .map(|l| String::from_utf8(l.to_vec()).unwrap());
                assert_eq!(entry.header().mode().unwrap(), 0o1755);
                assert_eq!(entry.header().mtime().unwrap(), 7);
                (path, link, text)
            })
            .collect();
        let expected = [
            ("etc/".to_owned(), None, String::new()),
            (long, None, "hello".to_owned()),
            (format!("{longer}/"), None, String::new()),
            ("link".to_owned(), Some(target), String::new()),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_file_that_changed_is_an_error() {
        let content = Content::File {
            path: "/x".into(),
            len: 3,
            digest: Digest::of(b"abc"),
        };
        let entries = [entry("x", EntryKind::File(content))];
        for (now, good) in [
            ("abc", true),
            ("abd", false),
            ("abcd", false),
            ("ab", false),
        ] {
            let result = write(&entries, 0, Vec::new(), |_| Ok(now.as_bytes()));
            assert_eq!(result.is_ok(), good, "{now}");
        }
    }

    #[test]
    fn a_pax_record_counts_itself() {
        assert_eq!(pax_record("path", &"x".repeat(90)).len(), 99);
        assert!(pax_record("path", &"x".repeat(90)).starts_with(b"99 path="));
        assert!(pax_record("path", &"x".repeat(91)).starts_with(b"101 path="));
    }
}
