//! Reads the hash table of a Berkeley DB file, the format of `Packages` before rpm 4.16
//! (<https://github.com/berkeleydb/libdb/blob/master/src/dbinc/db_page.h>): a page that describes
//! the table, a chain of pages for each bucket, and overflow pages for long values. The file is not
//! trusted: each page is read at most once.

use super::HeaderReceiver;
use crate::inventory::byte_order::ByteOrder;

/// The number that marks a hash table, in the byte order of the file.
const MAGIC: u32 = 0x0006_1561;
/// The versions of the format since Berkeley DB 4.1.
const VERSIONS: std::ops::RangeInclusive<u32> = 8..=10;
/// The types of pages: the description, buckets with sorted and with unsorted keys, and a part of a
/// long value.
const DESCRIPTION: u8 = 8;
const BUCKET: [u8; 2] = [2, 13];
const OVERFLOW: u8 = 7;
/// The size of the header of a page.
const HEADER: usize = 26;
/// The types of items: one in the page, and one in overflow pages.
const INLINE: u8 = 1;
const LONG: u8 = 3;
/// The length of an item that points to overflow pages.
const POINTER: usize = 12;
/// The possible sizes of a page, in bytes.
const PAGES: std::ops::RangeInclusive<usize> = 512..=65536;
/// The number of entries in the list of the positions of bucket groups.
const SPARES: usize = 32;
/// The key of rpm's counter of packages. The value of the counter has the same length as its key.
const COUNTER: [u8; 4] = [0; 4];

/// Passes every package header to `blobs`. Pages and items that cannot be read are reported.
pub(super) fn read(bytes: &[u8], blobs: &mut HeaderReceiver<'_>) {
    match Table::open(bytes) {
        Ok(mut table) => {
            if table.count < table.expected {
                let (count, expected) = (table.count, table.expected);
                blobs.problem(format!(
                    "it has {count} pages, but its header says {expected}"
                ));
            }
            table.buckets(blobs);
        }
        Err(problem) => blobs.problem(problem),
    }
}

/// The hash table of a file, with a mark for each page that was read.
struct Table<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
    /// The size of a page.
    page: usize,
    /// The number of pages in the file.
    count: usize,
    /// The number of pages in the description.
    expected: usize,
    /// For each page, true if it was read.
    visited: Vec<bool>,
}

/// A page of a bucket or of a long value.
struct BerkeleyPage<'a> {
    bytes: &'a [u8],
    previous: usize,
    next: usize,
    /// The number of items.
    items: usize,
    /// The offset of the first byte in use; in an overflow page, the number of bytes of the value.
    offset: usize,
}

impl<'a> Table<'a> {
    /// Parses the description.
    fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let orders = [ByteOrder::Little, ByteOrder::Big];
        let mut orders = orders.into_iter();
        let order = orders.find(|order| order.word(bytes, 12) == Some(MAGIC));
        let order = order.ok_or("it is not a hash table of Berkeley DB")?;
        let described = || {
            let version = order.word(bytes, 16)?;
            let page = order.size(bytes, 20, 4)?;
            let is_known = VERSIONS.contains(&version)
                && PAGES.contains(&page)
                && page.is_power_of_two()
                && *bytes.get(25)? == DESCRIPTION;
            let count = bytes.len() / page.max(1);
            is_known.then_some(Self {
                bytes,
                order,
                page,
                count,
                expected: order.size(bytes, 32, 4)?.checked_add(1)?,
                visited: vec![false; count],
            })
        };
        let table = described().ok_or("the description of its hash table is damaged")?;
        // Encrypted pages and those with checksums have a longer header. Tables with several values
        // for a key, parts or other tables are not rpm's.
        let options = [bytes.get(24), bytes.get(26)].map(Option::<&u8>::copied);
        if options != [Some(0); 2] || order.word(bytes, 48) != Some(0) {
            return Err("it uses options of Berkeley DB that golden does not read".to_owned());
        }
        Ok(table)
    }

    /// Reads all buckets, then reports each used page that belongs to none of them.
    fn buckets(&mut self, blobs: &mut HeaderReceiver<'_>) {
        // A description is in one page, so it has all of these fields if the page exists.
        let buckets = self
            .order
            .size(self.bytes, 72, 4)
            .filter(|last| *last < self.count);
        let Some(last) = buckets else {
            blobs.problem("the description of its hash table is damaged");
            return;
        };
        for bucket in 0..=last {
            let group = usize::BITS - bucket.leading_zeros();
            let group = usize::try_from(group).unwrap_or(SPARES).min(SPARES - 1);
            let spare = self.order.size(self.bytes, 96 + 4 * group, 4);
            let first = spare.and_then(|spare| spare.checked_add(bucket));
            self.bucket(first.unwrap_or_default(), blobs);
        }
        for number in 1..self.count {
            if !self.visited[number] && self.has_content(number) {
                blobs.problem(format!("page {number} belongs to no bucket"));
            }
        }
    }

    /// Reads the pages of a bucket, from its first one.
    fn bucket(&mut self, first: usize, blobs: &mut HeaderReceiver<'_>) {
        let (mut previous, mut number) = (0, first);
        loop {
            let Some(page) = self.visit(number) else {
                blobs.problem(format!("page {number} is missing or used twice"));
                return;
            };
            // Berkeley DB allocates the pages of several buckets at once, and writes them later.
            if page.iter().all(|byte| *byte == 0) && previous == 0 {
                return;
            }
            let parsed = self.parse(number, page, &BUCKET);
            let Some(page) = parsed.filter(|page| page.previous == previous) else {
                blobs.problem(format!("page {number} is damaged"));
                return;
            };
            if self.items(&page, blobs).is_none() {
                blobs.problem(format!("page {number} is damaged"));
            }
            if page.next == 0 {
                return;
            }
            (previous, number) = (number, page.next);
        }
    }

    /// Passes the values in a page to `blobs`. `None` if at least one of them is damaged.
    fn items(&mut self, page: &BerkeleyPage<'a>, blobs: &mut HeaderReceiver<'_>) -> Option<()> {
        let mut items = Vec::new();
        let mut end = self.page;
        let first_free = HEADER + 2 * page.items;
        for index in 0..page.items {
            let start = self.order.size(page.bytes, HEADER + 2 * index, 2)?;
            let item = page.bytes.get(start..end).filter(|item| !item.is_empty())?;
            if start < first_free {
                return None;
            }
            items.push(item);
            end = start;
        }
        // The offset of an empty page of 64 KiB is stored as 0, because its field has two bytes.
        if page.offset % PAGES.end() != end % PAGES.end() || !items.len().is_multiple_of(2) {
            return None;
        }
        let mut all_valid = Some(());
        for pair in items.chunks_exact(2) {
            match self.value(pair[0], pair[1]) {
                Some(BerkeleyValue::Counter) => {}
                Some(BerkeleyValue::Inline(blob)) => blobs.add(blob),
                Some(BerkeleyValue::Long(blob)) => blobs.add(&blob),
                None => all_valid = None,
            }
        }
        all_valid
    }

    /// The value of a key.
    fn value(&mut self, key: &[u8], item: &'a [u8]) -> Option<BerkeleyValue<'a>> {
        let [INLINE, key @ ..] = key else {
            return None;
        };
        if key.len() != COUNTER.len() {
            return None;
        }
        match item {
            [INLINE, counter @ ..] if *key == COUNTER => {
                (counter.len() == COUNTER.len()).then_some(BerkeleyValue::Counter)
            }
            _ if *key == COUNTER => None,
            [INLINE, content @ ..] => Some(BerkeleyValue::Inline(content)),
            [LONG, ..] if item.len() == POINTER => {
                let first = self.order.size(item, 4, 4)?;
                let length = self.order.size(item, 8, 4)?;
                self.long(first, length).map(BerkeleyValue::Long)
            }
            _ => None,
        }
    }

    /// A value in overflow pages.
    fn long(&mut self, first: usize, length: usize) -> Option<Vec<u8>> {
        if length > self.bytes.len() {
            return None;
        }
        let mut value = Vec::with_capacity(length);
        let (mut previous, mut number) = (0, first);
        while number != 0 {
            let page = self.visit(number)?;
            let page = self.parse(number, page, &[OVERFLOW])?;
            let content = page.bytes.get(HEADER..HEADER.checked_add(page.offset)?)?;
            if page.previous != previous || value.len() + content.len() > length {
                return None;
            }
            value.extend_from_slice(content);
            (previous, number) = (number, page.next);
        }
        (value.len() == length).then_some(value)
    }

    /// The bytes of a page. Marks it as read. `None` if it does not exist or was already read.
    fn visit(&mut self, number: usize) -> Option<&'a [u8]> {
        let visited = self.visited.get_mut(number).filter(|_| number > 0)?;
        if std::mem::replace(visited, true) {
            return None;
        }
        self.bytes.get(number * self.page..(number + 1) * self.page)
    }

    /// The fields of a page. `None` if the page does not contain `number` and one of `types`.
    fn parse(&self, number: usize, bytes: &'a [u8], types: &[u8]) -> Option<BerkeleyPage<'a>> {
        let order = self.order;
        let is_expected = order.size(bytes, 8, 4)? == number && types.contains(bytes.get(25)?);
        is_expected.then_some(BerkeleyPage {
            bytes,
            previous: order.size(bytes, 12, 4)?,
            next: order.size(bytes, 16, 4)?,
            items: order.size(bytes, 20, 2)?,
            offset: order.size(bytes, 22, 2)?,
        })
    }

    /// True if a page has items or a part of a long value.
    fn has_content(&self, number: usize) -> bool {
        let bytes = self.bytes.get(number * self.page..(number + 1) * self.page);
        let bytes = bytes.unwrap_or_default();
        match bytes.get(25) {
            Some(kind) if BUCKET.contains(kind) => self.order.size(bytes, 20, 2) != Some(0),
            kind => kind == Some(&OVERFLOW),
        }
    }
}

/// A value of the table.
enum BerkeleyValue<'a> {
    Counter,
    Inline(&'a [u8]),
    Long(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::super::read_with;
    use super::super::tests::{assert_damage_is_reported, header, unpacked};
    use super::*;

    const PAGE: usize = 512;

    /// A table of two buckets. One has these blobs; a blob that does not fit in the page is in
    /// overflow pages. The other one has the counter.
    fn table(is_big_endian: bool, contents: &[Vec<u8>]) -> Vec<u8> {
        let word = |value: usize| {
            let value = u32::try_from(value).unwrap();
            if is_big_endian {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            }
        };
        let short = |value: usize| {
            let value = u16::try_from(value).unwrap();
            if is_big_endian {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            }
        };
        let put = |page: &mut [u8], at: usize, bytes: &[u8]| {
            page[at..at + bytes.len()].copy_from_slice(bytes);
        };
        let page =
            |number: usize, previous: usize, next: usize, items: usize, offset: usize, kind| {
                let mut page = vec![0; PAGE];
                put(
                    &mut page,
                    8,
                    &[word(number), word(previous), word(next)].concat(),
                );
                put(&mut page, 20, &[short(items), short(offset)].concat());
                page[25] = kind;
                page
            };
        let mut overflow = Vec::new();
        let mut items = Vec::new();
        for (index, content) in contents.iter().enumerate() {
            items.push([&[INLINE][..], &word(index + 1)].concat());
            if content.len() <= 200 {
                items.push([&[INLINE], content.as_slice()].concat());
                continue;
            }
            let first = 3 + overflow.len();
            items.push([&[LONG, 0, 0, 0][..], &word(first), &word(content.len())].concat());
            let pieces = content.chunks(PAGE - HEADER).collect::<Vec<_>>();
            for (index, piece) in pieces.iter().enumerate() {
                let number = first + index;
                let previous = if index == 0 { 0 } else { number - 1 };
                let next = if index + 1 == pieces.len() {
                    0
                } else {
                    number + 1
                };
                let mut page = page(number, previous, next, 1, piece.len(), OVERFLOW);
                put(&mut page, HEADER, piece);
                overflow.push(page);
            }
        }
        let bucket = |number: usize, items: &[Vec<u8>]| {
            let used = items.iter().map(Vec::len).sum::<usize>();
            let mut page = page(number, 0, 0, items.len(), PAGE - used, BUCKET[1]);
            let mut end = PAGE;
            for (index, item) in items.iter().enumerate() {
                end -= item.len();
                put(&mut page, end, item);
                put(&mut page, HEADER + 2 * index, &short(end));
            }
            page
        };
        let mut bytes = vec![0; PAGE];
        put(
            &mut bytes,
            12,
            &[word(0x0006_1561), word(9), word(PAGE)].concat(),
        );
        bytes[25] = DESCRIPTION;
        put(&mut bytes, 32, &word(2 + overflow.len()));
        // The last bucket, and the page of the first one of each group.
        put(&mut bytes, 72, &word(1));
        put(&mut bytes, 96, &[word(1), word(1)].concat());
        let counter = [COUNTER, [9, 0, 0, 0]];
        bytes.extend(bucket(
            1,
            &counter.map(|number| [&[INLINE][..], &number].concat()),
        ));
        bytes.extend(bucket(2, &items));
        bytes.extend(overflow.concat());
        bytes
    }

    #[test]
    fn a_database_of_rpm_is_read() {
        // Written by db_load of Berkeley DB 5.3 from the packages in rpmdb.sqlite.gz: two buckets
        // with pages of 4 KiB, and 16 buckets with pages of 512 bytes in the other byte order.
        let mut expected = super::super::read(&super::super::tests::database()).packages;
        expected.sort();
        for packed in [
            &include_bytes!("../../../tests/hermetic/data/Packages.gz")[..],
            include_bytes!("../../../tests/hermetic/data/Packages-big-endian.gz"),
        ] {
            let list = read_with(read, &unpacked(packed));
            assert_eq!(list.problem, None);
            let mut found = list.packages;
            found.sort();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn every_damaged_byte_is_reported() {
        for is_big_endian in [false, true] {
            let contents = [header("one", 0), header("two", 900), header("three", 0)];
            assert_damage_is_reported(read, &table(is_big_endian, &contents), 3);
        }
    }

    #[test]
    fn other_tables_are_refused() {
        let whole = table(false, &[header("one", 0)]);
        for (at, byte, problem) in [
            (12, 0, "it is not a hash table of Berkeley DB"),
            (16, 3, "the description of its hash table is damaged"),
            (21, 3, "the description of its hash table is damaged"),
            (
                24,
                1,
                "it uses options of Berkeley DB that golden does not read",
            ),
            (
                26,
                1,
                "it uses options of Berkeley DB that golden does not read",
            ),
            (
                48,
                2,
                "it uses options of Berkeley DB that golden does not read",
            ),
            (72, 200, "the description of its hash table is damaged"),
            (96, 0, "page 0 is missing or used twice"),
            (100, 0, "page 1 is missing or used twice"),
        ] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let list = read_with(read, &bytes);
            assert_eq!(list.problem.as_deref(), Some(problem), "{at}");
        }
        // A bucket that was never used.
        let mut bytes = whole;
        bytes[2 * PAGE..].fill(0);
        let list = read_with(read, &bytes);
        assert_eq!((list.packages, list.problem), (Vec::new(), None));
    }
}
