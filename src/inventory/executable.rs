//! Executables in ELF format (<https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html>) that
//! contain the list of the modules that they were built from. They can be large: while the bytes of
//! a file pass, only the lists are kept.

mod elf;
mod stream_part;
#[cfg(test)]
pub(super) mod tests;

use std::io::{self, Write};

use flate2::Decompress;
use memchr::memmem;

use self::elf::{ElfHeader, Section};
use self::stream_part::{ListStarts, MAX_STARTS, StreamPart};
use super::package_list::PackageList;
use super::{cargo, go};

/// The first bytes of an executable.
const MAGIC: &[u8] = b"\x7fELF";
/// The number of bytes that are searched at once. The headers at the start of a file are among the
/// first of them.
const WINDOW: usize = 256 << 10;
/// The number of bytes that show whether a list starts at a place.
const LOOKAHEAD: usize = 1 << 10;
/// The largest table of sections, in bytes.
const TABLE: u64 = 4 << 20;
/// The longest list, in bytes.
const LIST: u64 = 1 << 20;
/// The alignment of Go's build information.
const ALIGNMENT: u64 = 16;
/// The first two bytes of compressed data, with each level.
const ZLIB: [[u8; 2]; 4] = [[0x78, 0x01], [0x78, 0x5e], [0x78, 0x9c], [0x78, 0xda]];
/// The longest version of Go before 1.18, in bytes.
const VERSION: u64 = 64;
/// The maximum number of places that look like a version of Go.
const VERSIONS: usize = 1024;
/// The name of the section with Go's build information.
const GO: &[u8] = b".go.buildinfo\0";
/// The name of the section of `cargo auditable`.
const CARGO: &[u8] = b".dep-v0\0";

/// Reads the bytes of a file as they pass, and keeps the parts that list modules.
#[derive(Debug, Default)]
pub(super) struct Executable {
    is_other: bool,
    header: Option<ElfHeader>,
    /// The newest bytes, and the position of the first one.
    window: Vec<u8>,
    start: u64,
    table: StreamPart,
    go: ListStarts,
    /// The pointers to the texts of Go before 1.18, and the texts. These come before the pointers,
    /// so everything that looks like such a text is kept.
    go_pointers: ListStarts,
    go_versions: ListStarts,
    go_modules: ListStarts,
    cargo: ListStarts,
    /// The places of the names of sections.
    go_names: Vec<u64>,
    cargo_names: Vec<u64>,
    inflate: Option<Decompress>,
}

impl Write for Executable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_start = self.header.is_none() && self.window.is_empty();
        if is_start && bytes.len() >= MAGIC.len() && !bytes.starts_with(MAGIC) {
            self.is_other = true;
        }
        if !self.is_other {
            self.window.extend_from_slice(bytes);
            if self.window.len() >= WINDOW {
                self.search(false);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Executable {
    /// The modules that the file lists; `None` if it has no list.
    pub(super) fn finish(mut self) -> Option<PackageList> {
        if !self.is_other {
            self.search(true);
        }
        let header = self.header.as_ref()?;
        let sections = header.sections(self.table.bytes());
        let lists = [
            self.go_modules(header, &sections),
            self.crates(header, &sections),
        ];
        let lists = lists.into_iter().flatten();
        lists.reduce(|mut all, list| {
            all.packages.extend(list.packages);
            if let Some(problem) = list.problem {
                all.problem(problem);
            }
            all
        })
    }

    /// Searches the window, and drops the bytes that are not needed any more.
    fn search(&mut self, is_end: bool) {
        if self.header.is_none() {
            let header = ElfHeader::parse(&self.window).filter(|_| self.window.starts_with(MAGIC));
            let Some(header) = header else {
                self.is_other = true;
                self.window = Vec::new();
                return;
            };
            self.table = StreamPart::new(header.table.0, header.table.1.min(TABLE));
            self.header = Some(header);
        }
        let end = if is_end {
            self.window.len()
        } else {
            self.window.len().saturating_sub(LOOKAHEAD)
        };
        self.search_go(end);
        self.search_crates(end);
        for (name, places) in [(GO, &mut self.go_names), (CARGO, &mut self.cargo_names)] {
            let found = memmem::find_iter(&self.window, name).take_while(|at| *at < end);
            let free = MAX_STARTS.saturating_sub(places.len());
            places.extend(found.take(free).map(|at| self.start + at as u64));
        }
        self.table.feed(self.start, &self.window);
        let of_go = [
            &mut self.go,
            &mut self.go_pointers,
            &mut self.go_versions,
            &mut self.go_modules,
        ];
        for places in of_go {
            places.feed(self.start, &self.window);
        }
        self.cargo.feed(self.start, &self.window);
        self.window.drain(..end);
        self.start += end as u64;
    }

    fn search_go(&mut self, end: usize) {
        for at in memmem::find_iter(&self.window, go::MAGIC).take_while(|at| *at < end) {
            let place = self.start + at as u64;
            if place.is_multiple_of(ALIGNMENT) {
                let length = go::length(&self.window[at..]);
                self.go.add(place, length.min(LIST));
                let pointers = go::Pointers::parse(&self.window[at..]);
                for address in pointers.iter().flat_map(go::Pointers::addresses) {
                    let position = self.header.as_ref().and_then(|file| file.position(address));
                    let length = pointers.map_or(0, go::Pointers::text_length);
                    if let Some(position) = position {
                        self.go_pointers.add(position, length);
                    }
                }
            }
        }
        for at in memmem::find_iter(&self.window, go::MODULES).take_while(|at| *at < end) {
            self.go_modules.add(self.start + at as u64, LIST);
        }
        for at in memmem::find_iter(&self.window, go::VERSION).take_while(|at| *at < end) {
            self.go_versions
                .add_up_to(VERSIONS, self.start + at as u64, VERSION);
        }
    }

    fn search_crates(&mut self, end: usize) {
        for magic in ZLIB {
            for at in memmem::find_iter(&self.window, &magic).take_while(|at| *at < end) {
                let rest = &self.window[at..];
                let rest = &rest[..rest.len().min(LOOKAHEAD)];
                let inflate = self.inflate.get_or_insert_with(|| Decompress::new(true));
                if cargo::is_start(rest, inflate) {
                    self.cargo.add(self.start + at as u64, LIST);
                }
            }
        }
    }

    /// The section with a name, if its name was seen at `places` and it has a content.
    fn named(header: &ElfHeader, sections: &[Section], places: &[u64]) -> Option<Section> {
        let names = sections.get(header.names)?;
        let known = |section: &&Section| {
            let place = names.offset.saturating_add(section.name);
            section.has_content && places.contains(&place)
        };
        sections.iter().find(known).copied()
    }

    /// The modules of Go. Without a section, the information is in data that can be written.
    fn go_modules(&self, header: &ElfHeader, sections: &[Section]) -> Option<PackageList> {
        let Some(section) = Self::named(header, sections, &self.go_names) else {
            let mut places = self.go.iter().filter(|place| {
                let mut segments = header.segments.iter();
                segments
                    .any(|segment| segment.is_writable && segment.range.contains(&place.start()))
            });
            return places.find_map(|place| self.go_list(header, place.bytes()).ok());
        };
        let range = section.offset..section.offset.saturating_add(section.size);
        let mut places = self.go.iter();
        let read = match places.find(|place| range.contains(&place.start())) {
            Some(place) => {
                let left = usize::try_from(range.end - place.start()).unwrap_or(usize::MAX);
                let bytes = place.bytes();
                self.go_list(header, bytes.get(..left).unwrap_or(bytes))
            }
            None => Err("its section .go.buildinfo has no build information".to_owned()),
        };
        Some(read.unwrap_or_else(PackageList::unread))
    }

    /// The modules in build information of any version of Go.
    fn go_list(&self, header: &ElfHeader, information: &[u8]) -> Result<PackageList, String> {
        let Some(pointers) = go::Pointers::parse(information) else {
            return go::read(information);
        };
        let text = |address, among: &ListStarts| {
            // Programs that were built without modules have no list.
            if header.is_zero(address) {
                return Some(Vec::new());
            }
            let at = header.position(address)?;
            let text = self.go_pointers.iter().find(|text| text.start() == at)?;
            let (address, length) = pointers.pair(text.bytes())?;
            if length == 0 {
                return Some(Vec::new());
            }
            let at = header.position(address)?;
            let mut places = among.iter();
            let place = places.find(|place| place.start() == at)?;
            let length = usize::try_from(length).ok()?;
            place.bytes().get(..length).map(<[u8]>::to_vec)
        };
        let [version, modules] = pointers.addresses();
        let version = text(version, &self.go_versions);
        let modules = text(modules, &self.go_modules);
        let both = version.zip(modules);
        let (version, modules) = both.ok_or("its build information of Go is not found")?;
        go::listed(&version, &modules)
    }

    /// The crates that `cargo auditable` listed.
    fn crates(&self, header: &ElfHeader, sections: &[Section]) -> Option<PackageList> {
        let section = Self::named(header, sections, &self.cargo_names)?;
        let place = self
            .cargo
            .iter()
            .find(|place| place.start() == section.offset);
        let content = place.and_then(|place| {
            let length = usize::try_from(section.size).ok()?;
            place.bytes().get(..length)
        });
        let read = match content {
            Some(content) => cargo::read(content),
            None => {
                Err("its section .dep-v0 has no list of crates, or one that is too long".to_owned())
            }
        };
        Some(read.unwrap_or_else(PackageList::unread))
    }
}
