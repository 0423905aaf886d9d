//! Reads one table of a SQLite database (<https://www.sqlite.org/fileformat2.html>): the pages of
//! its tree, and the pages that long rows overflow to. The file is not trusted: each page is read
//! once at most.

use super::HeaderReceiver;
use crate::inventory::byte_order::ByteOrder;

/// The text that each database starts with.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The size of the header of the file.
const HEADER: usize = 100;
/// The type of a page that lists other pages of the tree.
const INTERIOR: u8 = 5;
/// The type of a page with rows.
const LEAF: u8 = 13;
/// The bytes that the smallest cell takes in a page.
const SMALLEST_CELL: usize = 4;
/// The largest row that is read, in bytes.
const LONGEST_ROW: usize = 16 << 20;

/// Passes the first blob of each row of a table to `blobs`. Pages and rows that cannot be read are
/// reported.
pub(super) fn read(bytes: &[u8], table: &str, blobs: &mut HeaderReceiver<'_>) {
    let Some(mut database) = SqliteDatabase::open(bytes) else {
        blobs.problem("it is not a SQLite database");
        return;
    };
    let (mut root, mut roots) = (None, Vec::new());
    database.rows(1, &mut |row| {
        let columns = columns(row).unwrap_or_default();
        if let [
            Column::Text(kind),
            Column::Text(name),
            _,
            Column::Number(page),
            ..,
        ] = columns[..]
        {
            let page = usize::try_from(page).ok();
            roots.extend(page);
            if (kind, name) == (b"table".as_slice(), table.as_bytes()) {
                root = page;
            }
        }
    });
    database.report(blobs);
    let Some(root) = root else {
        blobs.problem(format!("it has no table {table}"));
        return;
    };
    if roots.iter().filter(|other| **other == root).count() > 1 {
        blobs.problem(format!("page {root} is used twice"));
    }
    database.rows(root, &mut |row| {
        let columns = columns(row).unwrap_or_default();
        let blob = columns.iter().find_map(|column| match column {
            Column::Blob(bytes) => Some(*bytes),
            _ => None,
        });
        match blob {
            Some(blob) => blobs.add(blob),
            None => blobs.problem("a row is damaged"),
        }
    });
    database.report(blobs);
}

/// A value of a row.
enum Column<'a> {
    Number(i64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
    /// NULL or a floating-point number.
    Other,
}

/// A row of a table.
struct Row {
    number: i64,
    payload: Vec<u8>,
    /// The bytes that its cell takes in its page.
    length: usize,
}

/// A page of the tree of a table, with the range of its row numbers.
#[derive(Clone, Copy)]
struct Branch {
    page: usize,
    /// The number before the first one; `None` if there is no limit.
    after: Option<i64>,
    /// The largest number; `None` if there is no limit.
    up_to: Option<i64>,
    /// True if the page is the root, the only page that can be empty.
    is_root: bool,
}

impl Branch {
    /// True if the number is in the range and above `last`.
    fn contains(&self, number: i64, last: Option<i64>) -> bool {
        last.or(self.after).is_none_or(|last| number > last)
            && self.up_to.is_none_or(|up_to| number <= up_to)
    }
}

/// A database whose pages are read.
struct SqliteDatabase<'a> {
    bytes: &'a [u8],
    page: usize,
    /// The bytes of a page that SQLite uses.
    usable: usize,
    visited: Vec<bool>,
    /// The first problem that was not reported yet.
    problem: Option<String>,
}

impl<'a> SqliteDatabase<'a> {
    /// Parses the header of the file. Also reports if pages are missing at the end.
    fn open(bytes: &'a [u8]) -> Option<Self> {
        if !bytes.starts_with(MAGIC) || bytes.len() < HEADER {
            return None;
        }
        let page = match number(bytes, 16, 2)? {
            1 => 65536,
            size => size,
        };
        if !page.is_power_of_two() || page < 512 {
            return None;
        }
        let usable = page - usize::from(bytes[20]);
        let pages = bytes.len() / page;
        let expected = number(bytes, 28, 4)?;
        let problem = (pages < expected)
            .then(|| format!("it has {pages} pages, but its header says {expected}"));
        (usable >= 480).then(|| Self {
            bytes,
            page,
            usable,
            visited: vec![false; pages + 1],
            problem,
        })
    }

    /// The bytes of a page, which is marked as read. `None` if it does not exist or was read
    /// before.
    fn visit(&mut self, number: usize) -> Option<&'a [u8]> {
        let visited = self.visited.get_mut(number).filter(|_| number > 0);
        match visited {
            Some(visited) if !*visited => *visited = true,
            _ => {
                self.problem(|| format!("page {number} is missing or used twice"));
                return None;
            }
        }
        let start = (number - 1) * self.page;
        self.bytes.get(start..start + self.usable)
    }

    /// Records a problem. Only the first one is kept: a file can have millions of them.
    fn problem(&mut self, problem: impl FnOnce() -> String) {
        self.problem.get_or_insert_with(problem);
    }

    /// Moves the first problem so far to the list of packages.
    fn report(&mut self, blobs: &mut HeaderReceiver<'_>) {
        if let Some(problem) = self.problem.take() {
            blobs.problem(problem);
        }
    }

    /// Passes the rows of the tree with this root to `each`, in their order.
    fn rows(&mut self, root: usize, each: &mut dyn FnMut(&[u8])) {
        let mut waiting = vec![Branch {
            page: root,
            after: None,
            up_to: None,
            is_root: true,
        }];
        while let Some(branch) = waiting.pop() {
            let Some(page) = self.visit(branch.page) else {
                continue;
            };
            if self.page_rows(branch, page, each, &mut waiting).is_none() {
                self.problem(|| format!("page {} is damaged", branch.page));
            }
        }
    }

    /// Passes the rows of a page to `each`, or adds the pages below it to `waiting`. `None` if the
    /// page is damaged. Cells that overlap need more bytes than the page has, so reading stops at
    /// the first cell that exceeds the page.
    fn page_rows(
        &mut self,
        branch: Branch,
        page: &'a [u8],
        each: &mut dyn FnMut(&[u8]),
        waiting: &mut Vec<Branch>,
    ) -> Option<()> {
        let start = if branch.page == 1 { HEADER } else { 0 };
        let kind = *page.get(start)?;
        let cells = number(page, start + 3, 2)?;
        let pointers = start + if kind == INTERIOR { 12 } else { 8 };
        let cell = |index: usize| number(page, pointers + 2 * index, 2);
        let occupied = self.occupied(page, start)?;
        let (mut used, mut is_valid) = (0, cells > 0 || branch.is_root);
        let mut last = None;
        match kind {
            INTERIOR => {
                let below = Branch {
                    is_root: false,
                    ..branch
                };
                let mut children = Vec::new();
                for index in 0..cells {
                    let at = cell(index)?;
                    let mut rest = page.get(at + 4..)?;
                    let key = varint(&mut rest)?.cast_signed();
                    used += page.len() - at - rest.len();
                    if used > occupied || !branch.contains(key, last) {
                        return None;
                    }
                    children.push(Branch {
                        page: number(page, at, 4)?,
                        after: last.or(branch.after),
                        up_to: Some(key),
                        ..below
                    });
                    last = Some(key);
                }
                children.push(Branch {
                    page: number(page, start + 8, 4)?,
                    after: last.or(branch.after),
                    ..below
                });
                waiting.extend(children.into_iter().rev());
            }
            LEAF => {
                for index in 0..cells {
                    let row = cell(index).and_then(|at| self.row(page, at));
                    let Some(row) = row.filter(|row| branch.contains(row.number, last)) else {
                        is_valid = false;
                        continue;
                    };
                    used += row.length;
                    if used > occupied {
                        return None;
                    }
                    last = Some(row.number);
                    each(&row.payload);
                }
            }
            _ => return None,
        }
        (is_valid && used == occupied).then_some(())
    }

    /// The number of bytes that the cells of a page take: the area of cells without its free parts.
    fn occupied(&self, page: &[u8], start: usize) -> Option<usize> {
        let mut free = usize::from(*page.get(start + 7)?);
        let (mut last, mut next) = (0, number(page, start + 1, 2)?);
        while next > last {
            free += number(page, next + 2, 2)?;
            (last, next) = (next, number(page, next, 2)?);
        }
        let area = match number(page, start + 5, 2)? {
            0 => 65536,
            area => area,
        };
        self.usable.checked_sub(area)?.checked_sub(free)
    }

    /// The row of the cell at `at`, with its overflow pages.
    fn row(&mut self, page: &'a [u8], at: usize) -> Option<Row> {
        let mut cell = page.get(at..)?;
        let length = usize::try_from(varint(&mut cell)?).ok()?;
        let row_number = varint(&mut cell)?.cast_signed();
        if length > LONGEST_ROW.min(self.bytes.len()) {
            return None;
        }
        let local = self.local(length);
        let mut payload = cell.get(..local)?.to_vec();
        let size = page.len() - at - cell.len() + local;
        if local == length {
            return Some(Row {
                number: row_number,
                payload,
                length: size.max(SMALLEST_CELL),
            });
        }
        let mut next = number(cell, local, 4)?;
        while payload.len() < length {
            let page = self.visit(next)?;
            let content = page.get(4..)?;
            let taken = content.len().min(length - payload.len());
            payload.extend_from_slice(&content[..taken]);
            next = number(page, 0, 4)?;
        }
        Some(Row {
            number: row_number,
            payload,
            length: size + 4,
        })
    }

    /// The bytes of a row of this length that are in its own page.
    const fn local(&self, length: usize) -> usize {
        if length <= self.usable - 35 {
            return length;
        }
        let smallest = (self.usable - 12) * 32 / 255 - 23;
        let best = smallest + (length - smallest) % (self.usable - 4);
        if best <= self.usable - 35 {
            best
        } else {
            smallest
        }
    }
}

/// The values of a row. `None` if its header is damaged.
fn columns(row: &[u8]) -> Option<Vec<Column<'_>>> {
    let mut rest = row;
    let length = usize::try_from(varint(&mut rest)?).ok()?;
    let mut types = row.get(row.len() - rest.len()..length)?;
    let mut values = row.get(length..)?;
    let mut columns = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        let (value, after) = values.split_at_checked(length)?;
        values = after;
        columns.push(match kind {
            1..=6 => Column::Number(signed(value)),
            8 | 9 => Column::Number(i64::from(kind == 9)),
            0 | 7 => Column::Other,
            _ if kind % 2 == 0 => Column::Blob(value),
            _ => Column::Text(value),
        });
    }
    Some(columns)
}

/// A number in network byte order with a sign.
fn signed(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    bytes
        .iter()
        .fold(start, |value, byte| value << 8 | i64::from(*byte))
}

/// The number of `length` bytes in network byte order at this position.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    ByteOrder::Big.size(bytes, at, length)
}

/// Takes a number of variable length.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..9 {
        let byte = *bytes.get(at)?;
        if at == 8 {
            value = value << 8 | u64::from(byte);
        } else {
            value = value << 7 | u64::from(byte & 0x7f);
        }
        if at == 8 || byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::header;
    use super::super::{TABLE, read_with};
    use super::*;

    const PAGE: usize = 4096;

    /// A row with these values, each the bytes of a text or of a blob.
    fn row(values: &[(bool, &[u8])]) -> Vec<u8> {
        let types = values.iter().flat_map(|(is_blob, bytes)| {
            let kind = 2 * bytes.len() + if *is_blob { 12 } else { 13 };
            [
                u8::try_from(kind >> 7).unwrap() | 0x80,
                u8::try_from(kind & 0x7f).unwrap(),
            ]
        });
        let mut row = vec![u8::try_from(2 * values.len() + 1).unwrap()];
        row.extend(types);
        row.extend(values.iter().flat_map(|(_, bytes)| *bytes));
        row
    }

    /// A page whose cells are all one row with this number. `start` is the place of its header.
    fn leaf(start: usize, cells: u16, number: u8, row: &[u8]) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        let length = row.len();
        let [high, low] =
            [(length >> 7) | 0x80, length & 0x7f].map(|byte| u8::try_from(byte).unwrap());
        let size = [high, low, number];
        let at = PAGE - length - size.len();
        page[at..at + size.len()].copy_from_slice(&size);
        page[at + size.len()..].copy_from_slice(row);
        let at = u16::try_from(at).unwrap().to_be_bytes();
        page[start] = LEAF;
        page[start + 3..start + 5].copy_from_slice(&cells.to_be_bytes());
        page[start + 5..start + 7].copy_from_slice(&at);
        for pointer in page[start + 8..][..2 * usize::from(cells)].chunks_exact_mut(2) {
            pointer.copy_from_slice(&at);
        }
        page
    }

    /// A page with two branches: page 3 has the rows up to number 1, and page 4 the other ones.
    fn interior() -> Vec<u8> {
        let mut page = vec![0; PAGE];
        let cell = [0, 0, 0, 3, 1];
        let at = PAGE - cell.len();
        page[at..].copy_from_slice(&cell);
        let at = u16::try_from(at).unwrap().to_be_bytes();
        page[0] = INTERIOR;
        page[4] = 1;
        page[5..7].copy_from_slice(&at);
        page[11] = 4;
        page[12..14].copy_from_slice(&at);
        page
    }

    /// The page of a package with this name.
    fn package(cells: u16, number: u8, name: &str) -> Vec<u8> {
        leaf(0, cells, number, &row(&[(true, &header(name, 900))]))
    }

    /// A database whose table has these pages, from page 2 on.
    fn database(pages: &[Vec<u8>]) -> Vec<u8> {
        let mut schema = row(&[
            (false, b"table"),
            (false, TABLE.as_bytes()),
            (false, TABLE.as_bytes()),
            (false, b""),
        ]);
        // The root is a number with one byte.
        schema[7..9].copy_from_slice(&[0x80, 1]);
        schema.push(2);
        let mut bytes = leaf(HEADER, 1, 1, &schema);
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[16..18].copy_from_slice(&u16::try_from(PAGE).unwrap().to_be_bytes());
        bytes[31] = u8::try_from(1 + pages.len()).unwrap();
        bytes.extend(pages.concat());
        bytes
    }

    #[test]
    fn a_row_to_which_many_pointers_point_is_read_once() {
        for (cells, problem) in [
            (1, None),
            (2, Some("page 2 is damaged")),
            (1000, Some("page 2 is damaged")),
        ] {
            let bytes = database(&[package(cells, 1, "one")]);
            let list = read_with(|bytes, blobs| read(bytes, TABLE, blobs), &bytes);
            assert_eq!(list.packages.len(), 1, "{cells}");
            assert_eq!(list.problem.as_deref(), problem, "{cells}");
        }
    }

    #[test]
    fn a_page_with_row_numbers_of_another_branch_is_reported() {
        for (first, second, count, problem) in [
            (1, 2, 2, None),
            // The row is above the range of page 3.
            (2, 3, 1, Some("page 3 is damaged")),
            // The row is not above the range of page 3.
            (1, 1, 1, Some("page 4 is damaged")),
        ] {
            let pages = [interior(), package(1, first, "a"), package(1, second, "b")];
            let bytes = database(&pages);
            let list = read_with(|bytes, blobs| read(bytes, TABLE, blobs), &bytes);
            assert_eq!(list.packages.len(), count, "{first} {second}");
            assert_eq!(list.problem.as_deref(), problem, "{first} {second}");
        }
        // Only the root of a table can be empty.
        let mut empty = vec![0; PAGE];
        empty[0] = LEAF;
        empty[5..7].copy_from_slice(&u16::try_from(PAGE).unwrap().to_be_bytes());
        let pages = [interior(), package(1, 1, "a"), empty];
        let list = read_with(|bytes, blobs| read(bytes, TABLE, blobs), &database(&pages));
        assert_eq!(list.problem.as_deref(), Some("page 4 is damaged"));
        let list = read_with(
            |bytes, blobs| read(bytes, TABLE, blobs),
            &database(&pages[2..]),
        );
        assert_eq!(list.problem, None);
    }

    #[test]
    fn only_the_first_problem_is_kept() {
        let bytes = database(&[package(1, 1, "one")]);
        let mut database = SqliteDatabase::open(&bytes).unwrap();
        for number in [7, 8, 9] {
            assert_eq!(database.visit(number), None);
        }
        let problem = "page 7 is missing or used twice";
        assert_eq!(database.problem.as_deref(), Some(problem));
    }
}
