//! The Maven coordinates of Java archives: from `pom.properties`
//! (<https://maven.apache.org/shared/maven-archiver/#pom-properties>), or from the manifest
//! (<https://docs.oracle.com/en/java/javase/21/docs/specs/jar/jar.html#jar-manifest>).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::package::{Package, PackageKind};
use super::package_list::{PackageList, too_large};
use super::zip::{Zip, ZipEntry};
use crate::config_files::byte_size::ByteSize;

/// The extensions of archives that contain classes or other archives.
const EXTENSIONS: [&str; 5] = [".jar", ".war", ".ear", ".hpi", ".jpi"];
/// The extensions of archives of other containers. Files of other programs have them too.
const OTHER_EXTENSIONS: [&str; 5] = [".kar", ".lpkg", ".nar", ".par", ".sar"];
/// The first bytes of an archive.
const MAGIC: &[u8] = b"PK";
/// The name of the manifest.
const MANIFEST: &str = "META-INF/MANIFEST.MF";
/// The levels of archives in archives: a library in a web application in an enterprise application.
const LEVELS: u8 = 3;
/// The largest manifest or properties file, in bytes.
const LONGEST: u64 = 1 << 20;
/// The limit for the unpacked size of everything that is read in an archive, in bytes.
const UNPACKED: u64 = 256 << 20;
/// The beginnings of names that contain a group.
const DOMAINS: [&str; 5] = ["be.", "com.", "io.", "net.", "org."];
/// The fields of the manifest that can name the group, best first.
const GROUPS: [&[&str]; 2] = [
    &[
        "Bundle-SymbolicName",
        "Extension-Name",
        "Specification-Vendor",
        "Implementation-Vendor",
        "Implementation-Vendor-Id",
        "Implementation-Title",
        "Bundle-Activator",
    ],
    &["Automatic-Module-Name", "Main-Class", "Package"],
];
/// The fields of the manifest that can have the version, best first.
const VERSIONS: [&str; 4] = [
    "Implementation-Version",
    "Specification-Version",
    "Plugin-Version",
    "Bundle-Version",
];
/// Groups of archives that do not name them, by the beginning of their names, longest first.
const KNOWN: [(&str, &str); 5] = [
    ("spring-boot", "org.springframework.boot"),
    ("spring-cloud", "org.springframework.cloud"),
    ("spring-data", "org.springframework.data"),
    ("spring-security", "org.springframework.security"),
    ("spring-", "org.springframework"),
];

/// True if the extension of the path is that of a Java archive.
pub(super) fn is_archive(path: &str) -> bool {
    has_extension(path, &EXTENSIONS) || has_extension(path, &OTHER_EXTENSIONS)
}

/// True if the file has one of [`OTHER_EXTENSIONS`], but does not start like an archive.
pub(super) fn is_of_other_program(path: &str, start: &[u8]) -> bool {
    has_extension(path, &OTHER_EXTENSIONS) && !start.starts_with(MAGIC)
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    extensions.iter().any(|extension| {
        let start = path.len().checked_sub(extension.len());
        let end = start.and_then(|start| path.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(extension))
    })
}

/// Reads an archive and the archives in it.
pub(super) fn read(path: &str, bytes: &[u8]) -> PackageList {
    let mut reader = JarReader {
        packages: PackageList::default(),
        left: UNPACKED,
    };
    if let Err(problem) = reader.archive(path, bytes, LEVELS) {
        reader.packages.problem(problem);
    }
    reader.packages
}

struct JarReader {
    packages: PackageList,
    /// The number of bytes that may still be unpacked.
    left: u64,
}

impl JarReader {
    fn archive(&mut self, path: &str, bytes: &[u8], levels: u8) -> Result<(), String> {
        let zip = Zip::open(bytes)?;
        let wanted = |name: &str| name == MANIFEST || is_properties(name) || is_archive(name);
        let entries = zip.entries(wanted)?;
        let mut manifest = None;
        let mut is_known = false;
        for entry in &entries {
            if is_archive(&entry.name) {
                self.inner(&zip, entry, levels);
                continue;
            }
            let content = match self.content(&zip, entry, LONGEST) {
                Ok(content) => content,
                Err(problem) => {
                    self.packages.problem(problem);
                    continue;
                }
            };
            let text = String::from_utf8_lossy(&content);
            if entry.name == MANIFEST {
                manifest = Some(fields(&text));
            } else if let Some(package) = maven(&text) {
                is_known = true;
                self.packages.packages.push(package);
            }
        }
        let described = manifest.filter(|_| !is_known);
        let package = described.and_then(|manifest| described_by(path, &manifest));
        self.packages.packages.extend(package);
        Ok(())
    }

    /// The content of a file with at most `limit` bytes. The size counts before the file is
    /// unpacked, so a file that cannot be read counts too.
    fn content<'z>(
        &mut self,
        zip: &Zip<'z>,
        entry: &ZipEntry,
        limit: u64,
    ) -> Result<Cow<'z, [u8]>, String> {
        if entry.size > limit {
            return Err(entry.failed(&too_large(entry.size, limit)));
        }
        self.left = self.left.checked_sub(entry.size).ok_or_else(|| {
            let limit = ByteSize(UNPACKED);
            entry.failed(&format!(
                "it is not read, because the archive unpacks to more than {limit}"
            ))
        })?;
        zip.content(entry)
    }

    /// Reads an archive in an archive.
    fn inner(&mut self, zip: &Zip<'_>, entry: &ZipEntry, levels: u8) {
        // A file that cannot be read here fails below, too.
        let start = zip.start(entry, MAGIC.len() as u64);
        if start.is_ok_and(|start| is_of_other_program(&entry.name, &start)) {
            return;
        }
        if levels == 0 {
            let problem =
                format!("it is in more than {LEVELS} other archives, which golden does not read");
            self.packages.problem(entry.failed(&problem));
            return;
        }
        let read = self.content(zip, entry, UNPACKED).and_then(|content| {
            let read = self.archive(&entry.name, &content, levels - 1);
            read.map_err(|problem| entry.failed(&problem))
        });
        if let Err(problem) = read {
            self.packages.problem(problem);
        }
    }
}

/// True if the name is `META-INF/maven/GROUP/ARTIFACT/pom.properties`, also below other
/// directories.
fn is_properties(name: &str) -> bool {
    name.ends_with("/pom.properties") && name.contains("META-INF/maven/")
}

/// The package of a `pom.properties`.
fn maven(text: &str) -> Option<Package> {
    let field = |key: &str| {
        let value = text.lines().find_map(|line| {
            let (found, value) = line.split_once(['=', ':'])?;
            (found.trim() == key).then(|| value.trim())
        });
        value.filter(|value| !value.is_empty() && !value.contains("${"))
    };
    let (artifact, version) = (field("artifactId")?, field("version")?);
    Some(package(
        field("groupId").unwrap_or(artifact),
        artifact,
        version,
    ))
}

fn package(group: &str, artifact: &str, version: &str) -> Package {
    let name = format!("{group}:{artifact}");
    Package::new(PackageKind::Maven, name, version.to_owned())
}

/// The fields of the main section of a manifest. A line that begins with a space continues the line
/// before it.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut current: Option<(String, String)> = None;
    for line in text.lines().take_while(|line| !line.trim().is_empty()) {
        if let (Some(rest), Some((_, value))) = (line.strip_prefix(' '), &mut current) {
            value.push_str(rest);
        } else {
            fields.extend(current.take());
            let field = line.split_once(':');
            current = field.map(|(key, value)| (key.to_owned(), value.trim_start().to_owned()));
        }
    }
    fields.extend(current);
    fields
}

/// The package that a manifest and the name of its archive describe; `None` if it has no version.
fn described_by(path: &str, manifest: &BTreeMap<String, String>) -> Option<Package> {
    let field = |key: &str| {
        let value = manifest.get(key).map(|value| value.trim());
        value.filter(|value| !value.is_empty() && !value.contains("${"))
    };
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let (name, version) = split(stem);
    let version = version.or_else(|| VERSIONS.iter().find_map(|key| field(key)))?;
    let is_group = |text: &str| DOMAINS.iter().any(|domain| text.starts_with(domain));
    let artifact = match name.rsplit_once('.') {
        Some((_, artifact)) if is_group(name) => artifact,
        _ => name,
    };
    let known = KNOWN.iter().find(|(start, _)| artifact.starts_with(start));
    let group = known.map(|(_, group)| *group).or_else(|| {
        GROUPS.iter().find_map(|keys| {
            let values = keys.iter().filter_map(|key| field(key));
            let groups = values.filter(|value| is_group(value));
            groups
                .map(|value| value.split([';', '#']).next().unwrap_or(value).trim())
                .min()
        })
    });
    Some(package(group.unwrap_or(artifact), artifact, version))
}

/// The name and the version in the name of an archive, `NAME-VERSION` or `NAME_VERSION`.
fn split(stem: &str) -> (&str, Option<&str>) {
    let at = |separator: char| {
        stem.match_indices(separator).map(|(at, _)| at).find(|at| {
            let after = stem.as_bytes().get(at + 1);
            *at > 0 && after.is_some_and(u8::is_ascii_digit)
        })
    };
    match at('-').or_else(|| at('_')) {
        Some(at) => (&stem[..at], Some(&stem[at + 1..])),
        None => (stem, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::zip::tests::written;
    use super::*;

    fn purls(path: &str, files: &[(&str, &[u8])]) -> Vec<String> {
        let read = read(path, &written(files));
        assert_eq!(read.problem, None, "{path}");
        read.packages.iter().map(|one| one.purl(None)).collect()
    }

    const CORE: (&str, &[u8]) = (
        "META-INF/maven/com.fasterxml/jackson-core/pom.properties",
        b"#Generated\nversion=2.15.0\r\ngroupId = com.fasterxml\nartifactId=jackson-core\n",
    );

    #[test]
    fn the_properties_of_maven_name_the_archive() {
        let manifest: (&str, &[u8]) = (MANIFEST, b"Implementation-Version: 9\n");
        let purl = "pkg:maven/com.fasterxml/jackson-core@2.15.0";
        assert_eq!(purls("a.jar", &[manifest, CORE]), [purl]);
        let without: (&str, &[u8]) = ("META-INF/maven/a/b/pom.properties", b"artifactId=b\n");
        assert_eq!(purls("a.jar", &[without]), [""; 0]);
    }

    #[test]
    fn archives_in_archives_are_read() {
        let library = written(&[CORE]);
        let web = written(&[("WEB-INF/lib/core.jar", &library)]);
        let spring = written(&[(MANIFEST, b"Implementation-Version: 6.1.0\n")]);
        let purl = "pkg:maven/com.fasterxml/jackson-core@2.15.0";
        assert_eq!(purls("a.ear", &[("web.war", &web)]), [purl]);
        assert_eq!(
            purls(
                "app/boot.jar",
                &[
                    ("=BOOT-INF/lib/core.jar", &library),
                    ("BOOT-INF/lib/spring-core-6.1.0.jar", &spring)
                ]
            ),
            [purl, "pkg:maven/org.springframework/spring-core@6.1.0"]
        );
        let other: [(&str, &[u8]); 2] = [("a.sar", &library), ("b.sar", b"statistics")];
        assert_eq!(purls("a.jar", &other), [purl]);
        let mut deep = written(&[("a.sar", b"statistics")]);
        for _ in 1..LEVELS {
            deep = written(&[("a.jar", &deep)]);
        }
        assert_eq!(purls("a.jar", &[("a.jar", &deep)]), [""; 0]);
        let mut nested = library;
        for _ in 0..=LEVELS {
            nested = written(&[("a.jar", &nested)]);
        }
        let problem = read("a.jar", &nested).problem.unwrap();
        let expected = "it is in more than 3 other archives, which golden does not read";
        assert!(problem.ends_with(expected), "{problem}");
    }

    #[test]
    fn the_manifest_and_the_name_describe_other_archives() {
        for (path, manifest, purl) in [
            (
                "impl.jar",
                "Implementation-Version: 3.0.1\r\nImplementation-Vendor-Id: com.acme\r\n\r\nName: x\r\n",
                "pkg:maven/com.acme/impl@3.0.1",
            ),
            (
                "osgi.thing_4.5.6.jar",
                "Bundle-SymbolicName: org.osgi.th\n ing;singleton:=true\nBundle-Version: 4.5\n",
                "pkg:maven/org.osgi.thing/osgi.thing@4.5.6",
            ),
            (
                "lib/org.osgi.core-7.0.jar",
                "Bundle-Version: 4.5\n",
                "pkg:maven/core/core@7.0",
            ),
            (
                "auto-1.0.jar",
                "Automatic-Module-Name: com.auto.mod\n",
                "pkg:maven/com.auto.mod/auto@1.0",
            ),
            (
                "bare-2.3.jar",
                "Created-By: 17\n",
                "pkg:maven/bare/bare@2.3",
            ),
        ] {
            assert_eq!(
                purls(path, &[(MANIFEST, manifest.as_bytes())]),
                [purl],
                "{path}"
            );
        }
        assert_eq!(
            purls("bare.jar", &[(MANIFEST, b"Created-By: 17\n")]),
            [""; 0]
        );
        assert_eq!(purls("a-1.0.jar", &[("a/B.class", b"")]), [""; 0]);
    }

    #[test]
    fn the_size_of_everything_that_is_unpacked_is_limited() {
        let content = [0; 600];
        let files: [(&str, &[u8]); 3] = [
            ("a.jar", &content),
            (MANIFEST, &content),
            ("b.jar", &content),
        ];
        for (left, rest, problem) in [
            (1800, 0, "a.jar: it is not a complete zip archive"),
            (599, 599, "a.jar: it is not read, because"),
        ] {
            let packages = PackageList::default();
            let mut reader = JarReader { packages, left };
            reader.archive("c.jar", &written(&files), LEVELS).unwrap();
            assert_eq!(reader.left, rest);
            let found = reader.packages.problem.unwrap();
            assert!(found.starts_with(problem), "{found}");
        }
        // A file of another program is not unpacked.
        for (name, rest) in [("a.sar", 1800), ("=a.sar", 1800), ("a.jar", 1200)] {
            let packages = PackageList::default();
            let left = 1800;
            let mut reader = JarReader { packages, left };
            let archive = written(&[(name, &content)]);
            reader.archive("c.jar", &archive, LEVELS).unwrap();
            assert_eq!(reader.left, rest, "{name}");
        }
        let large = written(&[(MANIFEST, &vec![0; (1 << 20) + 1])]);
        assert_eq!(
            read("a.jar", &large).problem.unwrap(),
            "META-INF/MANIFEST.MF: it has 1.0 MB (1048577 bytes); \
             golden reads at most 1.0 MB (1048576 bytes)"
        );
    }

    #[test]
    fn damage_is_reported_next_to_the_packages_that_were_read() {
        let library = written(&[CORE]);
        let both = written(&[("a.jar", &library), ("b.jar", &library[..50])]);
        let read = read("c.war", &both);
        assert_eq!(read.packages.len(), 1);
        let problem = read.problem.unwrap();
        assert_eq!(problem, "b.jar: it is not a complete zip archive");
    }
}
