//! Limits the extended headers of an archive. The tar crate reads an extended header into memory as
//! a whole, with any length that the archive claims.

use std::io::{self, Read};

/// The size of a header.
const BLOCK: usize = 512;
/// The longest extended header, in bytes. Names have at most 4 KiB, and a header has few other
/// records.
const MAX_LENGTH: u64 = 1 << 20;
/// The longest name and the longest link target, in bytes: Linux's `PATH_MAX`.
pub(crate) const LONGEST_NAME: usize = 4096;

/// The longest header with one name and its final NUL, in bytes.
const LONGEST_NAME_HEADER: u64 = LONGEST_NAME as u64 + 1;
/// The longest map of a sparse file, in blocks of 21 entries.
const SPARSE: u32 = 4096;

/// A reader that returns the bytes of an archive, and fails at an extended header that is too long.
pub(crate) struct HeaderLimiter<R> {
    inner: R,
    /// The bytes read so far of the current header.
    header: Vec<u8>,
    /// Bytes until the next header.
    skip: u64,
    /// The bytes read so far of the current records, and the number of missing bytes.
    records: Option<(Vec<u8>, u64)>,
    /// The size of the next entry, if a record defines it.
    size: Option<u64>,
    /// The size of the sparse file whose map is being read, and the blocks of the map so far.
    sparse: Option<(u64, u32)>,
}

impl<R> HeaderLimiter<R> {
    pub(crate) const fn new(inner: R) -> Self {
        Self {
            inner,
            header: Vec::new(),
            skip: 0,
            records: None,
            size: None,
            sparse: None,
        }
    }

    fn watch(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = bytes
                    .len()
                    .min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                self.skip -= passed as u64;
                self.record(&bytes[..passed]);
                bytes = &bytes[passed..];
            } else {
                let passed = bytes.len().min(BLOCK - self.header.len());
                self.header.extend_from_slice(&bytes[..passed]);
                bytes = &bytes[passed..];
                if self.header.len() == BLOCK {
                    let block = std::mem::take(&mut self.header);
                    self.block(&block)?;
                }
            }
        }
        Ok(())
    }

    /// Collects the bytes of records, and parses the records when they are complete.
    fn record(&mut self, bytes: &[u8]) {
        let Some((records, left)) = &mut self.records else {
            return;
        };
        let take = bytes
            .len()
            .min(usize::try_from(*left).unwrap_or(usize::MAX));
        records.extend_from_slice(&bytes[..take]);
        *left -= take as u64;
        if self.skip == 0 {
            let found = tar::PaxExtensions::new(records)
                .flatten()
                .find(|record| record.key_bytes() == b"size");
            self.size = found.and_then(|record| record.value().ok()?.parse().ok());
            self.records = None;
        }
    }

    /// Processes a header, or a block of a sparse file's map.
    fn block(&mut self, block: &[u8]) -> io::Result<()> {
        if let Some((size, blocks)) = self.sparse.take() {
            if blocks > SPARSE {
                return Err(invalid("it has a sparse file in too many pieces"));
            }
            // The last field of the block is 1 if another block follows.
            if block[BLOCK - 8] == 1 {
                self.sparse = Some((size, blocks + 1));
            } else {
                self.pass(size);
            }
            return Ok(());
        }
        let header = tar::Header::from_byte_slice(block);
        // The tar crate reports an invalid header.
        let Ok(size) = header.entry_size() else {
            return Ok(());
        };
        let kind = header.entry_type();
        if kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions() {
            let longest = if kind.is_pax_local_extensions() {
                MAX_LENGTH
            } else {
                LONGEST_NAME_HEADER
            };
            if size > longest {
                let what = if kind.is_gnu_longlink() {
                    "link to a name"
                } else {
                    "name"
                };
                // GNU names end with a NUL.
                let bytes = if kind.is_pax_local_extensions() {
                    size
                } else {
                    size - 1
                };
                return Err(invalid(format!("it has a {what} of {bytes} bytes")));
            }
            if kind.is_pax_local_extensions() {
                self.records = Some((Vec::new(), size));
            }
            self.pass(size);
            return Ok(());
        }
        let size = self.size.take().unwrap_or(size);
        match header.as_gnu() {
            Some(gnu) if kind.is_gnu_sparse() && gnu.is_extended() => self.sparse = Some((size, 0)),
            _ => self.pass(size),
        }
        Ok(())
    }

    /// Skips content, which is padded to whole blocks.
    const fn pass(&mut self, size: u64) {
        self.skip = size.saturating_add(BLOCK as u64 - 1) / BLOCK as u64 * BLOCK as u64;
    }
}

impl<R: Read> Read for HeaderLimiter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.watch(&buffer[..read])?;
        Ok(read)
    }
}

/// The error for an invalid layer.
pub(crate) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a whole archive, `step` bytes at a time.
    fn pass(archive: &[u8], step: usize) -> io::Result<u64> {
        let mut watched = HeaderLimiter::new(archive);
        let (mut buffer, mut all) = (vec![0; step], 0);
        loop {
            match watched.read(&mut buffer)? {
                0 => return Ok(all),
                read => all += read as u64,
            }
        }
    }

    fn header(kind: tar::EntryType, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    #[test]
    fn a_valid_archive_passes_unchanged() {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in [
            ("a/".repeat(200) + "long", "x".repeat(5000)),
            ("b".to_owned(), String::new()),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder
                .append_data(&mut header, path, content.as_bytes())
                .unwrap();
        }
        let mut archive = builder.into_inner().unwrap();
        // Content that looks like a malicious header. Only a record defines its length.
        let malicious = header(tar::EntryType::GNULongName, MAX_LENGTH + 1);
        let end = archive.split_off(archive.len() - 1024);
        let record = b"12 size=512\n";
        archive.extend(header(tar::EntryType::XHeader, record.len() as u64));
        archive.extend(record.iter().chain(&[0; 500]));
        archive.extend(header(tar::EntryType::Regular, 0));
        archive.extend(&malicious);
        archive.extend(end);
        for step in [1, 100, 512, 4096] {
            assert_eq!(
                pass(&archive, step).unwrap(),
                archive.len() as u64,
                "{step}"
            );
        }
    }

    #[test]
    fn headers_that_would_fill_the_memory_are_refused() {
        use tar::EntryType::{GNULongLink, GNULongName, XHeader};
        for (kind, longest, expected) in [
            (
                GNULongName,
                LONGEST_NAME_HEADER,
                "it has a name of 4097 bytes".to_owned(),
            ),
            (
                GNULongLink,
                LONGEST_NAME_HEADER,
                "it has a link to a name of 4097 bytes".to_owned(),
            ),
            (
                XHeader,
                MAX_LENGTH,
                format!("it has a name of {} bytes", MAX_LENGTH + 1),
            ),
        ] {
            let error = pass(&header(kind, longest + 1), 512).unwrap_err();
            assert_eq!(error.to_string(), expected);
            pass(&header(kind, longest), 512).unwrap();
        }
        let mut sparse = header(tar::EntryType::GNUSparse, 0);
        sparse[482] = 1;
        let mut piece = [0; BLOCK];
        piece[BLOCK - 8] = 1;
        sparse.extend(piece.repeat(usize::try_from(SPARSE).unwrap() + 2));
        let error = pass(&sparse, 512).unwrap_err();
        assert!(error.to_string().contains("too many pieces"), "{error}");
    }
}
