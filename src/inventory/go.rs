//! The build information in executables of Go (<https://pkg.go.dev/debug/buildinfo>).

use super::byte_order::ByteOrder;
use super::package::{Package, PackageKind};
use super::package_list::PackageList;

/// The first bytes of the build information.
pub(super) const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The length of the header, in which only the magic bytes and the flags are used.
const HEADER: usize = 32;
/// The place of the size of pointers in the header.
const POINTER: usize = 14;
/// The place of the flags in the header.
const FLAGS: usize = 15;
/// The flag of texts that follow the header. Go before 1.18 has pointers instead.
const INLINE: u8 = 2;
/// The flag of pointers with the highest byte first.
const BIG_ENDIAN: u8 = 1;
/// The place of the pointers in the header.
const POINTERS: usize = 16;
/// The first bytes of a version.
pub(super) const VERSION: &[u8] = b"go1.";
/// The mark before the list of modules.
pub(super) const MODULES: &[u8] =
    b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6";
/// The length of the marks before and after the list of modules.
const MARK: usize = 16;
/// The version of a module that was built in its own directory.
const DEVELOPMENT: &str = "(devel)";

/// The pointers in the build information of Go before 1.18. Each of them has the address of a text,
/// which is a second pointer and a length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pointers {
    addresses: [u64; 2],
    size: usize,
    order: ByteOrder,
}

impl Pointers {
    /// Reads the header of the build information. `None` if the texts follow it.
    pub(super) fn parse(information: &[u8]) -> Option<Self> {
        let (flags, size) = (*information.get(FLAGS)?, *information.get(POINTER)?);
        if flags & INLINE != 0 || !matches!(size, 4 | 8) {
            return None;
        }
        let pointers = Self {
            addresses: [0; 2],
            size: size.into(),
            order: if flags & BIG_ENDIAN == 0 {
                ByteOrder::Little
            } else {
                ByteOrder::Big
            },
        };
        let (version, modules) = pointers.pair(information.get(POINTERS..HEADER)?)?;
        let addresses = [version, modules];
        Some(Self {
            addresses,
            ..pointers
        })
    }

    /// The addresses of the version of Go and of the list of modules.
    pub(super) const fn addresses(&self) -> [u64; 2] {
        self.addresses
    }

    /// The number of bytes at each address.
    pub(super) const fn text_length(self) -> u64 {
        2 * self.size as u64
    }

    /// Two numbers: the addresses of the texts in the header, or the address and the length of a
    /// text at one of these addresses.
    pub(super) fn pair(self, bytes: &[u8]) -> Option<(u64, u64)> {
        let number = |at| self.order.number(bytes, at, self.size);
        Some((number(0)?, number(self.size)?))
    }
}

/// The length of the build information, as far as its first bytes show it.
pub(super) fn length(start: &[u8]) -> u64 {
    if Pointers::parse(start).is_some() {
        return HEADER as u64;
    }
    let after_version = || {
        let (_, rest) = text(start.get(HEADER..)?)?;
        let (length, rest) = varint(rest)?;
        let read = (start.len() - rest.len()) as u64;
        Some(read.saturating_add(length))
    };
    after_version().unwrap_or(HEADER as u64)
}

/// Reads the build information of Go since 1.18. Fails if it is damaged.
pub(super) fn read(bytes: &[u8]) -> Result<PackageList, String> {
    let flags = *bytes
        .get(FLAGS)
        .ok_or("its build information of Go is cut off")?;
    let texts = || {
        let (version, rest) = text(bytes.get(HEADER..)?)?;
        let (modules, _) = text(rest)?;
        (flags & INLINE != 0).then_some((version, modules))
    };
    let (version, modules) = texts().ok_or_else(damaged)?;
    listed(version, modules)
}

/// The packages of a version of Go, and of the list of modules between its marks.
pub(super) fn listed(version: &[u8], modules: &[u8]) -> Result<PackageList, String> {
    let version = std::str::from_utf8(version).ok();
    let is_version = |text: &&str| text.starts_with("go") || text.starts_with("devel");
    let version = version.filter(is_version).ok_or_else(damaged)?;
    let mut packages = PackageList::default();
    packages.packages.extend(library(version));
    if !modules.is_empty() {
        let length = modules.len();
        let inner = modules.get(MARK..length.saturating_sub(MARK));
        let inner = inner.and_then(|inner| std::str::from_utf8(inner).ok());
        let inner = inner.filter(|inner| inner.ends_with('\n'));
        add_modules(inner.ok_or_else(damaged)?, &mut packages.packages);
    }
    Ok(packages)
}

fn damaged() -> String {
    "its build information of Go is damaged".to_owned()
}

/// A text after its length, and the rest.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// A number with seven bits in each byte, the lowest first, and the rest.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

/// The standard library; `None` if the version is not known. The version of a toolchain can be
/// `go1.22.1 X:boringcrypto` or `devel go1.23-8c8adffd53 Mon …`.
fn library(version: &str) -> Option<Package> {
    let mut words = version.split_whitespace();
    let number = words.find_map(|word| {
        let number = word.strip_prefix("go")?;
        number
            .starts_with(|c: char| c.is_ascii_digit())
            .then_some(number)
    })?;
    Some(module("stdlib", number))
}

fn module(path: &str, version: &str) -> Package {
    Package::new(PackageKind::Golang, path.to_owned(), version.to_owned())
}

/// Adds the modules of the list. A line `=>` replaces the module before it.
fn add_modules(text: &str, packages: &mut Vec<Package>) {
    let (mut modules, mut main, mut program) = (Vec::<Package>::new(), None, None);
    let mut settings = BuildSettings::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            ["path", path] => program = Some(path),
            ["mod", path, version, ..] => {
                main = Some(modules.len());
                modules.push(module(path, version));
            }
            ["dep", path, version, ..] => modules.push(module(path, version)),
            ["=>", path, version, ..] => {
                if let Some(replaced) = modules.last_mut() {
                    *replaced = module(path, version);
                }
            }
            ["build", setting] => settings.add(setting),
            _ => {}
        }
    }
    if main.is_none()
        && let Some(path) = program
    {
        main = Some(modules.len());
        modules.push(module(path, DEVELOPMENT));
    }
    let main = main.and_then(|main| modules.get_mut(main));
    if let Some(main) = main.filter(|main| main.version == DEVELOPMENT)
        && let Some(version) = settings.version()
    {
        main.version = version;
    }
    let known = |module: &Package| !module.name.is_empty() && !module.version.is_empty();
    packages.extend(modules.into_iter().filter(known));
}

/// The settings of a build that identify its source.
#[derive(Default)]
struct BuildSettings {
    revision: Option<String>,
    time: Option<String>,
    linked: Option<String>,
}

impl BuildSettings {
    fn add(&mut self, setting: &str) {
        match setting.split_once('=') {
            Some(("vcs.revision", revision)) => self.revision = Some(revision.to_owned()),
            Some(("vcs.time", time)) => self.time = Some(time.to_owned()),
            Some(("-ldflags", flags)) => self.linked = linked(flags),
            _ => {}
        }
    }

    /// The version that the linker was given, or one as Go makes it for a commit without a tag:
    /// `v0.0.0-20240131120000-8c8adffd5312`.
    fn version(&self) -> Option<String> {
        if self.linked.is_some() {
            return self.linked.clone();
        }
        let (revision, time) = (self.revision.as_deref()?, self.time.as_deref()?);
        let time: String = time.chars().filter(char::is_ascii_digit).collect();
        let (time, revision) = (time.get(..14)?, revision.get(..12)?);
        Some(format!("v0.0.0-{time}-{revision}"))
    }
}

/// The version in the flags of the linker: `-X main.version=1.2.3`.
fn linked(flags: &str) -> Option<String> {
    let words = flags.split(|c: char| c.is_whitespace() || "\"'\\".contains(c));
    words
        .filter_map(|word| word.split_once('='))
        .find_map(|(variable, value)| {
            let (_, variable) = variable.rsplit_once('.')?;
            let variable = variable.to_ascii_lowercase();
            if !matches!(
                variable.as_str(),
                "version" | "buildversion" | "gitversion" | "tag"
            ) {
                return None;
            }
            let value = value.rsplit('/').next()?;
            let version = value.strip_prefix('v').unwrap_or(value);
            let numbers: Vec<&str> = version.split(['-', '+']).next()?.split('.').collect();
            let is_number =
                |text: &&str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
            let is_version = numbers.len() == 3 && numbers.iter().all(is_number);
            is_version.then(|| format!("v{version}"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The build information with a version and a list of modules.
    fn information(version: &str, modules: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, INLINE]);
        bytes.resize(HEADER, 0);
        let marked = match modules {
            "" => String::new(),
            modules => format!("{:>MARK$}{modules}{:>MARK$}", "", ""),
        };
        for text in [version, &marked] {
            let mut length = text.len();
            while length >= 0x80 {
                bytes.push(u8::try_from(length % 0x80).unwrap() | 0x80);
                length /= 0x80;
            }
            bytes.push(u8::try_from(length).unwrap());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    fn purls(version: &str, modules: &str) -> Vec<String> {
        let read = read(&information(version, modules)).unwrap();
        read.packages.iter().map(|one| one.purl(None)).collect()
    }

    #[test]
    fn modules_replacements_and_the_standard_library_are_listed() {
        let modules = "path\texample.com/Team/app/cmd/x\nmod\texample.com/Team/app\t(devel)\t\n\
            dep\tgithub.com/a/b/v2\tv2.0.1+incompatible\th1:x=\n\
            dep\tgolang.org/x/net\tv0.1.0\n=>\tgithub.com/fork/net\tv0.2.0\th1:y=\n\
            dep\texample.com/dep\tv1.2.3\n=>\t../dep\t(devel)\t\nbuild\t-compiler=gc\n";
        assert_eq!(
            purls("go1.22.1 X:boringcrypto", modules),
            [
                "pkg:golang/stdlib@1.22.1",
                "pkg:golang/example.com/Team/app@(devel)",
                "pkg:golang/github.com/a/b@v2.0.1%2Bincompatible#v2",
                "pkg:golang/github.com/fork/net@v0.2.0",
                "pkg:golang/../dep@(devel)",
            ]
        );
    }

    #[test]
    fn the_main_module_has_the_version_of_its_commit() {
        let modules = "path\tcommand\nmod\texample.com/app\t(devel)\t\n\
            build\tvcs.revision=8c8adffd53128c8adffd5312\nbuild\tvcs.time=2024-01-31T12:00:00Z\n";
        assert_eq!(
            purls("devel go1.23-8c8adffd53 Mon", modules),
            [
                "pkg:golang/stdlib@1.23-8c8adffd53",
                "pkg:golang/example.com/app@v0.0.0-20240131120000-8c8adffd5312"
            ]
        );
        let linked = format!(
            "{modules}build\t-ldflags=\"-s -X main.date=2024.1.1 -X \\\"a/version.gitVersion=v1.2.3-rc.1\\\"\"\n"
        );
        assert_eq!(
            purls("go1.20", &linked)[1],
            "pkg:golang/example.com/app@v1.2.3-rc.1"
        );
        let without = "path\tcommand-line-arguments\ndep\ta\tv1.0.0\n";
        assert_eq!(
            purls("go1.20", without),
            [
                "pkg:golang/stdlib@1.20",
                "pkg:golang/a@v1.0.0",
                "pkg:golang/command-line-arguments@(devel)"
            ]
        );
        assert_eq!(purls("go1.20", ""), ["pkg:golang/stdlib@1.20"]);
    }

    #[test]
    fn damaged_information_is_an_error() {
        let whole = information("go1.22", "path\ta\nmod\ta\tv1.0.0\t\n");
        assert_eq!(length(&whole), whole.len() as u64);
        for length in [0, 16, 31, 33, 40, whole.len() - 1] {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        let mut other = whole.clone();
        other[FLAGS] = 0;
        assert!(read(&other).unwrap_err().contains("damaged"));
        let unmarked = information("nonsense", "");
        assert!(read(&unmarked).unwrap_err().contains("damaged"));
    }
}
