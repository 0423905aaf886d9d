//! golden.lock: the digest of every external base, so that builds on different days start from the
//! same bytes, and the versions of packages that make a new build.
//!
//! ```toml
//! version = 1
//!
//! [[base]]
//! base = "docker.io/library/debian ^12"
//! reference = "docker.io/library/debian:12.8"
//! digest = "sha256:…"
//!
//! [base.platforms]
//! "linux/amd64" = "sha256:…"
//!
//! [[packages]]
//! image = "app"
//! security = ["libssl3"]
//!
//! [packages.versions]
//! libssl3 = "3.0.15-1~deb12u1"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fs;
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::resolve::image::Base;

/// The file name; the file is next to golden.toml.
pub const FILE: &str = "golden.lock";

/// The version of the file format.
const VERSION: u32 = 1;

/// The content of the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// The locked bases, by [`key`].
    pub bases: BTreeMap<String, LockedBase>,
    /// The versions of packages, by the key of their image.
    pub packages: BTreeMap<String, LockedPackages>,
}

/// The versions of the packages of one image that `golden update --packages` found. A new version
/// changes the inputs of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackages {
    /// The name of the image, and its matrix row or variant.
    pub image: String,
    /// The packages whose version is a security update, as the index of their repository marks it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub security: BTreeSet<String>,
    /// The version of each package.
    pub versions: BTreeMap<String, String>,
}

impl LockedPackages {
    /// An entry without versions.
    #[must_use]
    pub const fn new(image: String) -> Self {
        Self {
            image,
            security: BTreeSet::new(),
            versions: BTreeMap::new(),
        }
    }

    /// Records the version of a package.
    pub fn record(&mut self, name: &str, version: &str, is_security: bool) {
        self.versions.insert(name.to_owned(), version.to_owned());
        if is_security {
            self.security.insert(name.to_owned());
        } else {
            self.security.remove(name);
        }
    }

    /// The first name or version that no package manager accepts. They become a comment in a
    /// script.
    fn invalid(&self) -> Option<&str> {
        let is_word =
            |text: &&String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let mut words = self
            .versions
            .iter()
            .flat_map(|(name, version)| [name, version]);
        words.find(|text| !is_word(text)).map(String::as_str)
    }
}

/// One locked base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBase {
    /// The base as requested: a reference, or a repository with a requirement.
    pub base: String,
    /// The reference that is locked: as requested, or with the tag that the requirement selects.
    pub reference: Reference,
    /// The digest of the index, or of the manifest if there is no index.
    pub digest: Digest,
    /// The creation time of the base in RFC 3339, for information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The name of the `[[trust]]` table that verified the base, if the policy requires a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The digest of each platform's manifest. For a single image, its own digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub platforms: BTreeMap<Platform, Digest>,
}

impl LockedBase {
    /// True if `reference` fits `base`: it is the same, or a tag of the repository that has the
    /// requirement.
    fn is_consistent(&self) -> bool {
        match self.base.split_once(' ') {
            Some((repository, _)) => {
                self.reference.repository.to_string() == repository && self.reference.tag.is_some()
            }
            None => self.reference.to_string() == self.base,
        }
    }
}

/// The longest file that is read, in bytes; enough for ten thousand bases.
const MAX_FILE: u64 = 16 << 20;

/// The line of the entry at this position. Positions start at 0, lines at 1.
fn line_of(text: &str, header: &str, number: usize) -> usize {
    let headers = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim_start().starts_with(header));
    headers.map(|(line, _)| line + 1).nth(number).unwrap_or(1)
}

/// The serialised form of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockDocument {
    version: u32,
    #[serde(default)]
    base: Vec<LockedBase>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    packages: Vec<LockedPackages>,
}

/// The reason why golden.lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] super::state::Error),
    /// The file is not valid TOML, or has unknown keys.
    #[error("cannot parse golden.lock: {0}")]
    Parse(String),
    /// An entry contradicts itself or another one, for example after a wrong merge.
    #[error("golden.lock:{line}: {what}")]
    Entry {
        /// The line of the entry's header.
        line: usize,
        /// The problem.
        what: String,
    },
    /// One reference has two digests, for example after a wrong merge.
    #[error("{FILE}: {what}")]
    TwoDigests {
        /// The reference with its entries.
        what: String,
        /// The base to update.
        base: String,
    },
    /// A newer golden wrote the file.
    #[error("golden.lock has version {0}; this golden reads version {VERSION}")]
    Version(u32),
}

impl Error {
    /// Returns hints for the user.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Parse(_) | Self::Entry { .. } => {
                vec![
                    "restore it from version control, or delete it and run `golden update`"
                        .to_owned(),
                ]
            }
            Self::TwoDigests { base, .. } => vec![format!(
                "`golden update {base}` gives all of them the current digest"
            )],
            Self::Version(_) => vec!["use a newer golden".to_owned()],
        }
    }
}

impl Lock {
    /// Parses the text of the file. One reference may have two digests, because earlier versions of
    /// golden wrote such files. Fails if the text is invalid, has another version, or has a
    /// contradictory entry.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: LockDocument =
            toml::from_str(text).map_err(|error| Error::Parse(error.to_string()))?;
        if file.version != VERSION {
            return Err(Error::Version(file.version));
        }
        let mut bases: BTreeMap<String, LockedBase> = BTreeMap::new();
        for (number, base) in file.base.into_iter().enumerate() {
            let line = line_of(text, "[[base]]", number);
            let refuse = |what| Err(Error::Entry { line, what });
            if !base.is_consistent() {
                let what = format!(
                    "`{}` is locked as {}, which is another image",
                    base.base, base.reference
                );
                return refuse(what);
            }
            if bases.contains_key(&base.base) {
                return refuse(format!("`{}` is locked twice", base.base));
            }
            bases.insert(base.base.clone(), base);
        }
        let packages = packages(text, file.packages)?;
        Ok(Self { bases, packages })
    }

    /// Fails if one reference has two digests: images on the same base would differ.
    pub fn require_one_digest(&self) -> Result<(), Error> {
        let mut known: BTreeMap<&Reference, &LockedBase> = BTreeMap::new();
        for base in self.bases.values() {
            let first = *known.entry(&base.reference).or_insert(base);
            if first.digest != base.digest {
                return Err(two_digests(first, base));
            }
        }
        Ok(())
    }

    /// The text of the file. It is sorted, so that all machines write the same text.
    pub fn text(&self) -> Result<String, Error> {
        let file = LockDocument {
            version: VERSION,
            base: self.bases.values().cloned().collect(),
            packages: self.packages.values().cloned().collect(),
        };
        let body = toml::to_string(&file).map_err(|error| Error::Parse(error.to_string()))?;
        Ok(format!("# Written by `golden update`; commit it.\n{body}"))
    }

    /// Reads the lock of the workspace at `root`. Returns an empty lock if the file does not exist.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let bytes = match fs::read_in(root, &root.join(FILE), MAX_FILE) {
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            read => read?,
        };
        Self::parse(&String::from_utf8(bytes).map_err(|error| Error::Parse(error.to_string()))?)
    }

    /// Writes the lock of the workspace at `root` if its content has changed.
    pub fn write(&self, root: &Path) -> Result<(), Error> {
        let (path, text) = (root.join(FILE), self.text()?);
        // Git may have checked the file out with CRLF.
        let current = fs::read_if_exists(&path)?.and_then(|bytes| String::from_utf8(bytes).ok());
        if current.is_none_or(|current| current.replace("\r\n", "\n") != text) {
            fs::write_atomic(&path, text.as_bytes())?;
        }
        Ok(())
    }

    /// Adds a base. If another entry has the same reference, the new one gets its digest, because the
    /// file has one digest for each reference. Returns the added entry.
    pub fn add(&mut self, new: LockedBase) -> &LockedBase {
        let same = self
            .bases
            .values()
            .find(|one| one.reference == new.reference);
        let new = match same {
            Some(same) => LockedBase {
                base: new.base,
                ..same.clone()
            },
            None => new,
        };
        self.bases
            .entry(new.base.clone())
            .insert_entry(new)
            .into_mut()
    }

    /// Replaces the entry of a base, or adds it. Other entries with the same reference get its digest.
    /// Returns these other entries as they were.
    pub fn replace(&mut self, new: LockedBase) -> Vec<LockedBase> {
        let others = self.bases.values_mut().filter(|one| {
            one.reference == new.reference && one.digest != new.digest && one.base != new.base
        });
        let mut moved = Vec::new();
        for one in others {
            let moved_to = LockedBase {
                base: one.base.clone(),
                ..new.clone()
            };
            moved.push(std::mem::replace(one, moved_to));
        }
        self.bases.insert(new.base.clone(), new);
        moved
    }

    /// True if a version of a package is recorded as a security update of any image.
    #[must_use]
    pub fn is_security(&self, name: &str, version: &str) -> bool {
        let mut entries = self.packages.values();
        entries.any(|one| {
            let recorded = one.versions.get(name).map(String::as_str);
            one.security.contains(name) && recorded == Some(version)
        })
    }

    /// The entry of a base, if it is locked.
    #[must_use]
    pub fn get(&self, base: &Base) -> Option<&LockedBase> {
        self.bases.get(&key(base)?)
    }
}

/// The error about two entries of one reference. `golden update` finds an entry by its base; the
/// reference itself needs no quotes in a shell.
fn two_digests(first: &LockedBase, second: &LockedBase) -> Error {
    let reference = first.reference.to_string();
    let base = match [first, second].map(|one| one.base == reference) {
        [false, false] => format!("'{}'", first.base.replace('\'', r"'\''")),
        _ => reference.clone(),
    };
    Error::TwoDigests {
        what: format!(
            "{reference} has two digests: {} in the entry `{}`, and {} in the entry `{}`",
            first.digest, first.base, second.digest, second.base
        ),
        base,
    }
}

/// Checks the entries of packages.
fn packages(
    text: &str,
    entries: Vec<LockedPackages>,
) -> Result<BTreeMap<String, LockedPackages>, Error> {
    let mut packages = BTreeMap::new();
    for (number, entry) in entries.into_iter().enumerate() {
        let invalid = entry
            .invalid()
            .map(|word| format!("{word:?} is not the name or the version of a package"));
        let twice = packages
            .contains_key(&entry.image)
            .then(|| format!("the packages of `{}` are locked twice", entry.image));
        if let Some(what) = invalid.or(twice) {
            let line = line_of(text, "[[packages]]", number);
            return Err(Error::Entry { line, what });
        }
        packages.insert(entry.image.clone(), entry);
    }
    Ok(packages)
}

/// The name of a base in the lock: `docker.io/library/debian:12`, or `docker.io/library/debian ^12`
/// for a requirement. None if the base is not external or is written with its digest.
#[must_use]
pub fn key<L, V>(base: &Base<L, V>) -> Option<String> {
    match base {
        Base::Scratch | Base::Layout(_) | Base::Workspace { .. } => None,
        Base::Reference(reference) if reference.digest.is_some() => None,
        Base::Reference(reference) => Some(reference.to_string()),
        Base::Requirement {
            repository,
            requirement,
        } => Some(format!("{repository} {requirement}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(base: &str, reference: &str) -> LockedBase {
        let digest = Digest::of(base.as_bytes());
        LockedBase {
            base: base.to_owned(),
            reference: reference.parse().unwrap(),
            platforms: BTreeMap::from([("linux/amd64".parse().unwrap(), digest.clone())]),
            created: Some("2026-11-01T00:00:00Z".to_owned()),
            signed_by: None,
            digest,
        }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let bases = [
            locked("docker.io/library/debian ^12", "debian:12.8"),
            locked("a.example/b:1", "a.example/b:1"),
        ];
        let versions = BTreeMap::from([("libssl3".to_owned(), "3.0.15-1~deb12u1".to_owned())]);
        let packages = LockedPackages {
            image: "app alpine".to_owned(),
            security: BTreeSet::from(["libssl3".to_owned()]),
            versions,
        };
        let lock = Lock {
            packages: BTreeMap::from([(packages.image.clone(), packages)]),
            bases: bases
                .into_iter()
                .map(|base| (base.base.clone(), base))
                .collect(),
        };
        assert!(lock.is_security("libssl3", "3.0.15-1~deb12u1"));
        assert!(!lock.is_security("libssl3", "3.0.16-1~deb12u1"));
        let text = lock.text().unwrap();
        assert_eq!(Lock::parse(&text).unwrap(), lock);
        insta::assert_snapshot!(text);
        assert!(matches!(Lock::parse("version = 2"), Err(Error::Version(2))));
        assert!(matches!(Lock::parse("hello"), Err(Error::Parse(_))));
    }

    #[test]
    fn one_reference_has_one_digest() {
        let range = "docker.io/library/debian ^12";
        let exact = "docker.io/library/debian:12.8";
        let (old, new) = (locked(range, exact), locked(exact, exact));
        assert_ne!(old.digest, new.digest);
        let mut lock = Lock::default();
        lock.add(old.clone());
        assert_eq!(lock.add(new.clone()).digest, old.digest);
        let written = Lock::parse(&lock.text().unwrap()).unwrap();
        assert!(written.require_one_digest().is_ok());
        assert_eq!(lock.replace(new.clone()), [old]);
        let digests = lock.bases.values().map(|base| &base.digest);
        assert_eq!(digests.collect::<Vec<_>>(), [&new.digest, &new.digest]);
        let names: Vec<&str> = lock.bases.values().map(|base| base.base.as_str()).collect();
        assert_eq!(names, [range, exact]);
        // The range selects another tag now, so the entry of the tag itself remains.
        let later = locked(range, "docker.io/library/debian:12.9");
        assert_eq!(lock.replace(later.clone()), []);
        assert_eq!(lock.bases[range], later);
        assert_eq!(lock.bases[exact].digest, new.digest);
    }

    #[test]
    fn a_version_that_would_leave_its_comment_is_refused() {
        let refusal = |versions: &str, image: &str| {
            let entry =
                format!("[[packages]]\nimage = \"{image}\"\n[packages.versions]\n{versions}\n");
            let text =
                format!("version = 1\n[[packages]]\nimage = \"a\"\nversions = {{}}\n{entry}");
            Lock::parse(&text).map_err(|error| error.to_string())
        };
        assert!(refusal("b = \"1:2~3+4\"", "b").is_ok());
        assert_eq!(
            refusal("b = \"1\\nrm\"", "b").unwrap_err(),
            "golden.lock:5: \"1\\nrm\" is not the name or the version of a package"
        );
        assert_eq!(
            refusal("b = \"1\"", "a").unwrap_err(),
            "golden.lock:5: the packages of `a` are locked twice"
        );
    }

    #[test]
    fn a_contradictory_entry_is_reported_with_its_line() {
        let entry = |base: &str, reference: &str| {
            let digest = Digest::of(b"x");
            format!(
                "[[base]]\nbase = \"{base}\"\nreference = \"{reference}\"\ndigest = \"{digest}\"\n"
            )
        };
        let refusal = |entries: &[String]| {
            Lock::parse(&format!("version = 1\n{}", entries.concat()))
                .unwrap_err()
                .to_string()
        };
        let valid = entry("a.example/b:1", "a.example/b:1");
        assert_eq!(
            refusal(&[valid.clone(), valid.clone()]),
            "golden.lock:6: `a.example/b:1` is locked twice"
        );
        assert_eq!(
            refusal(&[valid, entry("a.example/c:1", "evil.example/c:1")]),
            "golden.lock:6: `a.example/c:1` is locked as evil.example/c:1, which is another image"
        );
        assert_eq!(
            refusal(&[entry("a.example/c ^1", "a.example/d:1")]),
            "golden.lock:2: `a.example/c ^1` is locked as a.example/d:1, which is another image"
        );
        let digest = |base: &str, reference: &str, content: &[u8]| {
            let text = entry(base, reference);
            text.replace(Digest::of(b"x").as_str(), Digest::of(content).as_str())
        };
        let conflict = |second: (&str, &[u8])| {
            let entries = [
                digest("a.example/b ^1", "a.example/b:1.2", b"x"),
                digest("a.example/c:1", "a.example/c:1", b"x"),
                digest(second.0, "a.example/b:1.2", second.1),
            ];
            let lock = Lock::parse(&format!("version = 1\n{}", entries.concat())).unwrap();
            let refused = lock.require_one_digest();
            refused.map_err(|error| (error.to_string(), error.hints()))
        };
        let (x, y) = (Digest::of(b"x"), Digest::of(b"y"));
        for (second, first_named, help) in [
            (
                "a.example/b:1.2",
                "a.example/b ^1",
                "`golden update a.example/b:1.2` gives all of them the current digest",
            ),
            (
                "a.example/b ~1.2",
                "a.example/b ^1",
                "`golden update 'a.example/b ^1'` gives all of them the current digest",
            ),
        ] {
            let message = format!(
                "golden.lock: a.example/b:1.2 has two digests: {x} in the entry `{first_named}`, \
                 and {y} in the entry `{second}`"
            );
            let expected = Err((message, vec![help.to_owned()]));
            assert_eq!(conflict((second, b"y")), expected);
        }
        assert_eq!(conflict(("a.example/b:1.2", b"x")), Ok(()));
        let invalid = "version = 1\n[[base]]\nbase = \"a.example/b:1\"\nreference = \"a.example/b:1\"\ndigest = \"sha256:12\"\n";
        let message = Lock::parse(invalid).unwrap_err().to_string();
        assert!(message.contains("line 5"), "{message}");
    }
}
