//! Reads rpm's own database `Packages.db`, the format ndb
//! (<https://github.com/rpm-software-management/rpm/blob/master/lib/backend/ndb/rpmpkg.c>): slots
//! that list the places of blobs, and the blobs with a checksum. All numbers have 32 bits, the
//! lowest byte first. The file is not trusted.

use super::HeaderReceiver;
use crate::inventory::byte_order::ByteOrder;

/// The first bytes of the file, and those of each slot, blob and end of a blob.
const FILE: &[u8] = b"RpmP";
const SLOT: &[u8] = b"Slot";
const BLOB: &[u8] = b"BlbS";
const BLOB_END: &[u8] = b"BlbE";
/// The only version of the format.
const VERSION: u32 = 0;
/// The size of a page of slots.
const PAGE: usize = 4096;
/// The size of a slot, and the unit of the places and lengths of blobs.
const BLOCK: usize = 16;
/// The header of the file has the size of this number of slots.
const HEADER_SLOTS: usize = 2;
/// The sizes of the parts before and after the content of a blob.
const HEAD: usize = 16;
const TAIL: usize = 12;

/// Passes every package header to `blobs`. Slots and blobs that cannot be read are reported.
pub(super) fn read(bytes: &[u8], blobs: &mut HeaderReceiver<'_>) {
    let version = number(bytes, 4).filter(|_| bytes.starts_with(FILE));
    if version != Some(VERSION) {
        blobs.problem("it is not a database in rpm's format ndb");
        return;
    }
    let slots = number(bytes, 12).and_then(|pages| usize::try_from(pages).ok());
    let slots = slots.and_then(|pages| bytes.get(..pages.checked_mul(PAGE)?));
    let Some(slots) = slots.filter(|slots| !slots.is_empty()) else {
        blobs.problem("its list of packages is cut off");
        return;
    };
    let mut used = vec![false; bytes.len() / BLOCK];
    used[..slots.len() / BLOCK].fill(true);
    for (index, slot) in slots.chunks_exact(BLOCK).enumerate().skip(HEADER_SLOTS) {
        match NdbSlot::parse(slot) {
            Some(NdbSlot {
                start: 0,
                id: 0,
                length: 0,
            }) => {}
            Some(slot) => match slot.blob(bytes, &mut used) {
                Some(blob) => blobs.add(blob),
                None => blobs.problem(format!("the package of its slot {index} is damaged")),
            },
            None => blobs.problem(format!("its slot {index} is damaged")),
        }
    }
    // rpm overwrites a removed package with zeros, so the start of another one shows that a slot is
    // lost.
    let mut free = bytes.chunks_exact(BLOCK).zip(&used);
    if free.any(|(block, used)| !used && block.starts_with(BLOB)) {
        blobs.problem("it has a package that no slot lists");
    }
    if !bytes.len().is_multiple_of(BLOCK) {
        blobs.problem("its end is cut off");
    }
}

/// The place of a blob, in blocks. A free slot has only zeros.
struct NdbSlot {
    id: u32,
    start: u32,
    length: u32,
}

impl NdbSlot {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.starts_with(SLOT).then_some(bytes)?;
        Some(Self {
            id: number(bytes, 4)?,
            start: number(bytes, 8)?,
            length: number(bytes, 12)?,
        })
    }

    /// The content of the blob, whose blocks are marked as used. `None` if it is damaged, or if
    /// another blob has a part of it. Its blocks before that part are then marked too, so that no
    /// block is looked at again for each slot.
    fn blob<'a>(&self, bytes: &'a [u8], used: &mut [bool]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.start).ok()?;
        let end = start.checked_add(usize::try_from(self.length).ok()?)?;
        let blocks = used.get_mut(start..end)?;
        let taken = blocks.iter().position(|used| *used);
        let end_of_free = taken.unwrap_or(blocks.len());
        blocks[..end_of_free].fill(true);
        if taken.is_some() {
            return None;
        }
        let whole = bytes.get(start.checked_mul(BLOCK)?..end.checked_mul(BLOCK)?)?;
        let (summed, tail) = whole.split_at_checked(whole.len().checked_sub(TAIL)?)?;
        let length = number(summed, 12)?;
        let content = summed.get(HEAD..HEAD.checked_add(usize::try_from(length).ok()?)?)?;
        let is_valid = summed.starts_with(BLOB)
            && number(summed, 4)? == self.id
            && number(tail, 0)? == adler32(summed)
            && number(tail, 4)? == length
            && tail.ends_with(BLOB_END);
        is_valid.then_some(content)
    }
}

/// The checksum Adler-32 (RFC 1950).
fn adler32(bytes: &[u8]) -> u32 {
    const BASE: u32 = 65521;
    // The longest piece whose sums fit in 32 bits.
    const PIECE: usize = 5552;
    let (mut low, mut high) = (1_u32, 0_u32);
    for piece in bytes.chunks(PIECE) {
        for byte in piece {
            low += u32::from(*byte);
            high += low;
        }
        low %= BASE;
        high %= BASE;
    }
    high << 16 | low
}

/// The number at a position.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    ByteOrder::Little.word(bytes, at)
}

#[cfg(test)]
mod tests {
    use super::super::read_with;
    use super::super::tests::{assert_damage_is_reported, header, unpacked};
    use super::*;

    /// A database with these blobs, and a free slot after the first one.
    fn database(contents: &[Vec<u8>]) -> Vec<u8> {
        let numbers = |values: &[usize]| -> Vec<u8> {
            let words = values.iter().map(|value| u32::try_from(*value).unwrap());
            words.flat_map(u32::to_le_bytes).collect()
        };
        let mut bytes = FILE.to_vec();
        bytes.extend(numbers(&[0, 7, 1, contents.len() + 1, 0, 0, 0]));
        let mut blobs = Vec::new();
        let mut ids = (1..=contents.len()).collect::<Vec<_>>();
        ids.insert(ids.len().min(1), 0);
        for id in ids {
            bytes.extend(SLOT);
            let Some(content) = id.checked_sub(1).map(|index| &contents[index]) else {
                bytes.extend(numbers(&[0, 0, 0]));
                continue;
            };
            let start = (PAGE + blobs.len()) / BLOCK;
            let mut blob = BLOB.to_vec();
            blob.extend(numbers(&[id, 5, content.len()]));
            blob.extend(content);
            let whole = (blob.len() + TAIL).next_multiple_of(BLOCK);
            blob.resize(whole - TAIL, 0);
            let sum = usize::try_from(adler32(&blob)).unwrap();
            blob.extend(numbers(&[sum, content.len()]));
            blob.extend(BLOB_END);
            bytes.extend(numbers(&[id, start, whole / BLOCK]));
            blobs.extend(blob);
        }
        while bytes.len() < PAGE {
            bytes.extend(SLOT);
            bytes.extend(numbers(&[0, 0, 0]));
        }
        bytes.extend(blobs);
        bytes
    }

    #[test]
    fn a_database_of_rpm_is_read() {
        // Written by rpm's own code from the packages in rpmdb.sqlite.gz; one was removed again.
        let bytes = unpacked(include_bytes!(
            "../../../tests/hermetic/data/Packages.db.gz"
        ));
        let list = read_with(read, &bytes);
        let mut expected = super::super::read(&super::super::tests::database()).packages;
        let mut found = list.packages;
        expected.sort();
        found.sort();
        assert_eq!(list.problem, None);
        assert_eq!(found, expected);
    }

    #[test]
    fn every_damaged_byte_is_reported() {
        let contents = [header("one", 0), header("two", 300), header("three", 0)];
        assert_damage_is_reported(read, &database(&contents), 3);
        assert_eq!(read_with(read, &database(&[])).problem, None);
    }

    #[test]
    fn a_lost_slot_is_reported() {
        let whole = database(&[header("one", 0), header("two", 0)]);
        let mut bytes = whole.clone();
        bytes[36..48].fill(0);
        let list = read_with(read, &bytes);
        assert_eq!(list.packages.len(), 1);
        let problem = "it has a package that no slot lists";
        assert_eq!(list.problem.as_deref(), Some(problem));
        // Two slots with one blob.
        let mut bytes = whole;
        bytes.copy_within(64..80, 48);
        let list = read_with(read, &bytes);
        let problem = "the package of its slot 4 is damaged";
        assert_eq!(list.problem.as_deref(), Some(problem));
    }

    #[test]
    fn the_blocks_of_a_damaged_blob_are_looked_at_once() {
        // The length in the blob is larger than the blob.
        let bytes = [0xff; 4 * BLOCK];
        for (before, after) in [
            ([false; 4], [false, true, true, true]),
            ([false, false, false, true], [false, true, true, true]),
            ([false, false, true, false], [false, true, true, false]),
        ] {
            let mut used = before;
            let slot = NdbSlot {
                id: 1,
                start: 1,
                length: 3,
            };
            assert_eq!(slot.blob(&bytes, &mut used), None);
            assert_eq!(used, after);
        }
    }

    #[test]
    fn many_slots_with_the_same_damaged_blob_are_read_quickly() {
        // The same number of slots and of blocks.
        const PAGES: usize = 512;
        let word = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
        let slots = PAGES * PAGE / BLOCK;
        let slot = [SLOT, &word(1), &word(slots), &word(slots)].concat();
        let mut bytes = [FILE, &word(0), &word(7), &word(PAGES)].concat();
        bytes.resize(HEADER_SLOTS * BLOCK, 0);
        bytes.extend(slot.repeat(slots - HEADER_SLOTS));
        // The length in the blob is larger than the blob.
        bytes.resize(2 * PAGES * PAGE, 0xff);
        let start = std::time::Instant::now();
        let list = read_with(read, &bytes);
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
        let problem = "the package of its slot 2 is damaged";
        assert_eq!(list.problem.as_deref(), Some(problem));
    }
}
