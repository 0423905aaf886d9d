//! The header of a package, as rpm stores it: a list of tags, and the data that they point to
//! (<https://rpm-software-management.github.io/rpm/manual/format_header.html>).

use crate::inventory::byte_order::ByteOrder;
use crate::inventory::package::{Package, PackageKind, SourcePackage};

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const VENDOR: u32 = 1011;
const LICENSE: u32 = 1014;
const ARCHITECTURE: u32 = 1022;
const SOURCE: u32 = 1044;

/// The types of tags: a number of 32 bits, a text, a list of texts, and texts by language.
const INT32: u32 = 4;
const TEXTS: [u32; 3] = [6, 8, 9];

/// The size of a tag's entry.
const ENTRY: usize = 16;

/// A header whose tags are looked up.
struct RpmHeader<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

/// The package that a header describes.
pub(super) fn package(bytes: &[u8]) -> Result<Package, String> {
    let header = RpmHeader::parse(bytes).ok_or("the header of a package is damaged")?;
    let required = |tag, what: &str| {
        let missing = || format!("the header of a package has no {what}");
        header.text(tag).ok_or_else(missing)
    };
    let (version, release) = (required(VERSION, "version")?, required(RELEASE, "release")?);
    Ok(Package {
        kind: PackageKind::Rpm,
        name: required(NAME, "name")?,
        version: format!("{version}-{release}"),
        epoch: header.number(EPOCH),
        architecture: header.text(ARCHITECTURE),
        source: header.text(SOURCE).map(|name| SourcePackage {
            name,
            version: None,
        }),
        license: header.text(LICENSE),
        supplier: header.text(VENDOR),
    })
}

impl<'a> RpmHeader<'a> {
    /// Splits a header at the lengths that it starts with.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let count = usize::try_from(word(bytes, 0)?).ok()?;
        let length = usize::try_from(word(bytes, 4)?).ok()?;
        let rest = bytes.get(8..)?;
        let (entries, data) = rest.split_at_checked(count.checked_mul(ENTRY)?)?;
        let data = data.get(..length)?;
        Some(Self { entries, data })
    }

    /// The data of a tag with one of these types.
    fn find(&self, tag: u32, types: &[u32]) -> Option<&'a [u8]> {
        let mut entries = self.entries.chunks_exact(ENTRY);
        let entry = entries.find(|entry| word(entry, 0) == Some(tag))?;
        if !types.contains(&word(entry, 4)?) {
            return None;
        }
        self.data.get(usize::try_from(word(entry, 8)?).ok()?..)
    }

    /// The text of a tag; the first one, if it has several.
    fn text(&self, tag: u32) -> Option<String> {
        let data = self.find(tag, &TEXTS)?;
        let end = data.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8_lossy(&data[..end]).into_owned();
        (!text.is_empty()).then_some(text)
    }

    fn number(&self, tag: u32) -> Option<u32> {
        word(self.find(tag, &[INT32])?, 0)
    }
}

/// The number in network byte order at this position.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    ByteOrder::Big.word(bytes, at)
}
