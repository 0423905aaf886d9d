//! Reads one table of a SQLite database (<https://www.sqlite.org/fileformat2.html>): the pages of
//! its tree, and the pages that long rows overflow to. The file is not trusted: each page is read
//! once at most.

/// The text that each database starts with.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The size of the header of the file.
const HEADER: usize = 100;
/// The type of a page that lists other pages of the tree.
const INTERIOR: u8 = 5;
/// The type of a page with rows.
const LEAF: u8 = 13;
/// The largest row that is read, in bytes.
const LONGEST_ROW: usize = 16 << 20;

/// The blobs of a table, and the reasons why others are missing.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    pub(super) blobs: Vec<Vec<u8>>,
    pub(super) problems: Vec<String>,
}

/// The first blob of each row of a table.
pub(super) fn blobs(bytes: &[u8], table: &str) -> Blobs {
    let mut found = Blobs::default();
    let Some(mut database) = Database::open(bytes) else {
        let problem = "it is not a SQLite database";
        found.problems.push(problem.to_owned());
        return found;
    };
    let mut root = None;
    for row in database.rows(1) {
        let columns = columns(&row).unwrap_or_default();
        if let [
            Column::Text(kind),
            Column::Text(name),
            _,
            Column::Number(page),
            ..,
        ] = columns[..]
            && (kind, name) == (b"table".as_slice(), table.as_bytes())
        {
            root = usize::try_from(page).ok();
        }
    }
    let rows = root.map(|root| database.rows(root));
    if rows.is_none() {
        database.problems.push(format!("it has no table {table}"));
    }
    for row in rows.into_iter().flatten() {
        let columns = columns(&row).unwrap_or_default();
        let blob = columns.iter().find_map(|column| match column {
            Column::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        });
        match blob {
            Some(blob) => found.blobs.push(blob),
            None => database.problems.push("a row is damaged".to_owned()),
        }
    }
    found.problems = database.problems;
    found
}

/// A value of a row.
enum Column<'a> {
    Number(i64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
    /// NULL or a floating-point number.
    Other,
}

/// A database whose pages are read.
struct Database<'a> {
    bytes: &'a [u8],
    page: usize,
    /// The bytes of a page that SQLite uses.
    usable: usize,
    visited: Vec<bool>,
    problems: Vec<String>,
}

impl<'a> Database<'a> {
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
        let mut problems = Vec::new();
        if pages < expected {
            problems.push(format!(
                "it has {pages} pages, but its header says {expected}"
            ));
        }
        (usable >= 480).then(|| Self {
            bytes,
            page,
            usable,
            visited: vec![false; pages + 1],
            problems,
        })
    }

    /// The bytes of a page, which is marked as read. `None` if it does not exist or was read
    /// before.
    fn visit(&mut self, number: usize) -> Option<&'a [u8]> {
        let visited = self.visited.get_mut(number).filter(|_| number > 0);
        match visited {
            Some(visited) if !*visited => *visited = true,
            _ => {
                self.problems
                    .push(format!("page {number} is missing or used twice"));
                return None;
            }
        }
        let start = (number - 1) * self.page;
        self.bytes.get(start..start + self.usable)
    }

    /// The rows of the tree with this root, in their order.
    fn rows(&mut self, root: usize) -> Vec<Vec<u8>> {
        let (mut rows, mut waiting) = (Vec::new(), vec![root]);
        while let Some(number) = waiting.pop() {
            let Some(page) = self.visit(number) else {
                continue;
            };
            if self
                .page_rows(number, page, &mut rows, &mut waiting)
                .is_none()
            {
                self.problems.push(format!("page {number} is damaged"));
            }
        }
        rows
    }

    /// Adds the rows of a page, or the pages below it. `None` if it is damaged.
    fn page_rows(
        &mut self,
        page_number: usize,
        page: &'a [u8],
        rows: &mut Vec<Vec<u8>>,
        waiting: &mut Vec<usize>,
    ) -> Option<()> {
        let start = if page_number == 1 { HEADER } else { 0 };
        let kind = *page.get(start)?;
        let cells = number(page, start + 3, 2)?;
        let pointers = start + if kind == INTERIOR { 12 } else { 8 };
        let cell = |index: usize| number(page, pointers + 2 * index, 2);
        match kind {
            INTERIOR => {
                waiting.push(number(page, start + 8, 4)?);
                for index in (0..cells).rev() {
                    waiting.push(number(page, cell(index)?, 4)?);
                }
                Some(())
            }
            LEAF => {
                let mut is_sound = Some(());
                for index in 0..cells {
                    match cell(index).and_then(|at| self.row(page, at)) {
                        Some(row) => rows.push(row),
                        None => is_sound = None,
                    }
                }
                is_sound
            }
            _ => None,
        }
    }

    /// The payload of the cell at `at`, with its overflow pages.
    fn row(&mut self, page: &'a [u8], at: usize) -> Option<Vec<u8>> {
        let mut cell = page.get(at..)?;
        let length = usize::try_from(varint(&mut cell)?).ok()?;
        varint(&mut cell)?;
        if length > LONGEST_ROW.min(self.bytes.len()) {
            return None;
        }
        let local = self.local(length);
        let mut row = cell.get(..local)?.to_vec();
        if local == length {
            return Some(row);
        }
        let mut next = number(cell, local, 4)?;
        while row.len() < length {
            let page = self.visit(next)?;
            let content = page.get(4..)?;
            let taken = content.len().min(length - row.len());
            row.extend_from_slice(&content[..taken]);
            next = number(page, 0, 4)?;
        }
        Some(row)
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
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    let value = bytes
        .iter()
        .fold(0, |value, byte| value << 8 | usize::from(*byte));
    Some(value)
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
