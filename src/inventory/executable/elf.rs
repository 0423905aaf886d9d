//! The headers of a file in ELF format, with 32 and 64 bits and in both byte orders.

use std::ops::Range;

use super::super::byte_order::ByteOrder;

/// The class of files with 64 bits.
const WIDE: u8 = 2;
/// The byte order with the highest byte first.
const BIG_ENDIAN: u8 = 2;
/// The type of a segment that is loaded.
const LOAD: u64 = 1;
/// The flag of a segment that can be written.
const WRITABLE: u64 = 2;
/// The type of a section without bytes in the file.
const NO_BITS: u64 = 8;
/// The maximum number of segments that are read.
const SEGMENTS: u64 = 256;

/// The layout of a file.
#[derive(Debug)]
pub(super) struct ElfHeader {
    encoding: Encoding,
    /// The position and the length of the table of sections.
    pub(super) table: (u64, u64),
    /// The size of an entry of that table.
    entry: usize,
    /// The index of the section with the names of the sections.
    pub(super) names: usize,
    /// The segments that are loaded.
    pub(super) segments: Vec<Segment>,
}

/// A part of the file that is loaded into memory.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The positions of its bytes.
    pub(super) range: Range<u64>,
    /// The address of its first byte in memory.
    address: u64,
    /// The size in memory. The bytes that are not in the file are zeros.
    size: u64,
    /// True if the program can write to it.
    pub(super) is_writable: bool,
}

/// A section, from the header of the section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    /// The position of its name in the section of the names.
    pub(super) name: u64,
    /// False if it has no bytes in the file.
    pub(super) has_content: bool,
    /// The position of its bytes.
    pub(super) offset: u64,
    /// The number of its bytes.
    pub(super) size: u64,
}

/// The width and the byte order of numbers.
#[derive(Debug, Clone, Copy)]
struct Encoding {
    is_wide: bool,
    order: ByteOrder,
}

impl Encoding {
    /// A number of `width` bytes.
    fn number(self, bytes: &[u8], at: usize, width: usize) -> Option<u64> {
        self.order.number(bytes, at, width)
    }

    /// A position or a size. `wide` and `narrow` are its places in the two classes.
    fn address(self, bytes: &[u8], wide: usize, narrow: usize) -> Option<u64> {
        if self.is_wide {
            self.number(bytes, wide, 8)
        } else {
            self.number(bytes, narrow, 4)
        }
    }

    /// A number of `width` bytes at the place for the class.
    fn at(self, bytes: &[u8], wide: usize, narrow: usize, width: usize) -> Option<u64> {
        self.number(bytes, if self.is_wide { wide } else { narrow }, width)
    }
}

impl ElfHeader {
    /// Parses the header and the table of segments at the start of a file.
    pub(super) fn parse(start: &[u8]) -> Option<Self> {
        let encoding = Encoding {
            is_wide: *start.get(4)? == WIDE,
            order: match *start.get(5)? {
                BIG_ENDIAN => ByteOrder::Big,
                _ => ByteOrder::Little,
            },
        };
        let sections = encoding.address(start, 40, 32)?;
        let entry = encoding.at(start, 58, 46, 2)?;
        let count = encoding.at(start, 60, 48, 2)?;
        let names = encoding.at(start, 62, 50, 2)?;
        Some(Self {
            encoding,
            table: (sections, entry * count),
            entry: usize::try_from(entry).ok()?,
            names: usize::try_from(names).ok()?,
            segments: segments(encoding, start).unwrap_or_default(),
        })
    }

    /// The position of the byte that has an address in memory.
    pub(super) fn position(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let inside = address.checked_sub(segment.address)?;
            let position = segment.range.start.checked_add(inside)?;
            segment.range.contains(&position).then_some(position)
        })
    }

    /// True if the byte that has an address in memory is a zero that is not in the file.
    pub(super) fn is_zero(&self, address: u64) -> bool {
        let is_inside = |segment: &Segment| {
            let inside = address.checked_sub(segment.address);
            inside.is_some_and(|inside| inside < segment.size)
        };
        self.position(address).is_none() && self.segments.iter().any(is_inside)
    }

    /// The entries of the table of sections.
    pub(super) fn sections(&self, table: &[u8]) -> Vec<Section> {
        let section = |bytes: &[u8]| {
            let encoding = self.encoding;
            Some(Section {
                name: encoding.number(bytes, 0, 4)?,
                has_content: encoding.number(bytes, 4, 4)? != NO_BITS,
                offset: encoding.address(bytes, 24, 16)?,
                size: encoding.address(bytes, 32, 20)?,
            })
        };
        table
            .chunks_exact(self.entry.max(1))
            .map_while(section)
            .collect()
    }
}

/// The segments that are loaded.
fn segments(encoding: Encoding, start: &[u8]) -> Option<Vec<Segment>> {
    let table = encoding.address(start, 32, 28)?;
    let entry = encoding.at(start, 54, 42, 2)?;
    let count = encoding.at(start, 56, 44, 2)?;
    let mut segments = Vec::new();
    for index in 0..count.min(SEGMENTS) {
        let at = usize::try_from(table.checked_add(index * entry)?).ok()?;
        let bytes = start.get(at..)?;
        let kind = encoding.number(bytes, 0, 4)?;
        let flags = encoding.at(bytes, 4, 24, 4)?;
        let offset = encoding.address(bytes, 8, 4)?;
        let address = encoding.address(bytes, 16, 8)?;
        let size = encoding.address(bytes, 32, 16)?;
        if kind == LOAD {
            segments.push(Segment {
                range: offset..offset.saturating_add(size),
                address,
                size: encoding.address(bytes, 40, 20)?,
                is_writable: flags & WRITABLE != 0,
            });
        }
    }
    Some(segments)
}
