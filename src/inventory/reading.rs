//! The files of an image that describe its packages, and their parsed content.

use serde::{Deserialize, Serialize};

use super::package_list::{PackageList, too_large};
use super::release::Release;
use super::{apk, dotnet, dpkg, java, node, python, rpm, spdx_packages};

/// The largest database that is read, in bytes.
const LARGEST: u64 = 64 << 20;
/// The largest archive that is read, in bytes.
const LARGEST_ARCHIVE: u64 = 128 << 20;

/// The parsed content of a file that describes packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reading {
    /// Installed packages.
    Packages(PackageList),
    /// Documents about packages that are also in a database, if the image has one.
    Documents(PackageList),
    /// The distribution.
    Release(Release),
}

/// A file that describes packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Database {
    Dpkg,
    /// One package of an image without dpkg.
    DpkgPart,
    Apk,
    RpmSqlite,
    /// Changes that are not in `rpmdb.sqlite` yet.
    RpmJournal,
    /// Berkeley DB, which rpm wrote before version 4.16.
    RpmBerkeley,
    /// The format ndb of SUSE.
    RpmNdb,
    RpmManifest,
    /// One package of an image of Chainguard.
    Spdx,
    Release,
    PythonMetadata,
    /// An installed package of npm.
    NodePackage,
    /// The `package.json` of an application, which may be a template.
    NodeApplication,
    /// Classes of Java, or other archives.
    JavaArchive,
    /// The dependencies of an application of .NET.
    DotnetDependencies,
}

impl Reading {
    /// The approximate memory of the texts, in bytes.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Packages(list) | Self::Documents(list) => list.weight(),
            Self::Release(release) => release.weight(),
        }
    }
}

impl Database {
    /// The kind of a file by its path.
    pub(super) fn at(path: &str) -> Option<Self> {
        if let Some(name) = path.strip_prefix("var/lib/dpkg/status.d/") {
            return (!name.ends_with(".md5sums") && !name.contains('/')).then_some(Self::DpkgPart);
        }
        if let Some(name) = path.strip_prefix("var/lib/db/sbom/") {
            return name.ends_with(".spdx.json").then_some(Self::Spdx);
        }
        let rpm = ["var/lib/rpm/", "usr/lib/sysimage/rpm/"];
        if let Some(name) = rpm.iter().find_map(|prefix| path.strip_prefix(prefix)) {
            return match name {
                "rpmdb.sqlite" => Some(Self::RpmSqlite),
                "rpmdb.sqlite-wal" => Some(Self::RpmJournal),
                "Packages" => Some(Self::RpmBerkeley),
                "Packages.db" => Some(Self::RpmNdb),
                _ => None,
            };
        }
        match path {
            "var/lib/dpkg/status" => Some(Self::Dpkg),
            "lib/apk/db/installed" | "usr/lib/apk/db/installed" => Some(Self::Apk),
            "var/lib/rpmmanifest/container-manifest-2" => Some(Self::RpmManifest),
            "etc/os-release" | "usr/lib/os-release" => Some(Self::Release),
            _ if python::is_metadata(path) => Some(Self::PythonMetadata),
            _ if node::is_installed(path) => Some(Self::NodePackage),
            _ if node::is_package(path) => Some(Self::NodeApplication),
            _ if java::is_archive(path) => Some(Self::JavaArchive),
            _ if path.ends_with(".deps.json") => Some(Self::DotnetDependencies),
            _ => None,
        }
    }

    /// Parses the content. `None` if it names no package and no distribution.
    pub(super) fn read(self, path: &str, bytes: &[u8]) -> Option<Reading> {
        let packages = match self {
            Self::Dpkg => dpkg::read(bytes, false),
            Self::DpkgPart => dpkg::read(bytes, true),
            Self::Apk => apk::read(bytes),
            Self::RpmSqlite => rpm::read(bytes),
            Self::RpmManifest => rpm::read_manifest(bytes),
            Self::Spdx => return Some(Reading::Documents(spdx_packages::read(bytes))),
            Self::Release => {
                let release = Release::parse(&String::from_utf8_lossy(bytes));
                return release.map(Reading::Release);
            }
            Self::PythonMetadata => python::read(bytes),
            Self::NodePackage => node::read(bytes),
            Self::NodeApplication => PackageList {
                problem: None,
                ..node::read(bytes)
            },
            Self::DotnetDependencies => dotnet::read(bytes),
            Self::RpmJournal | Self::RpmBerkeley | Self::RpmNdb | Self::JavaArchive
                if bytes.is_empty() =>
            {
                return None;
            }
            Self::JavaArchive => java::read(path, bytes),
            Self::RpmJournal => {
                PackageList::unread("it has changes that rpm has not yet written into rpmdb.sqlite")
            }
            Self::RpmBerkeley => rpm::read_berkeley(bytes),
            Self::RpmNdb => rpm::read_ndb(bytes),
        };
        Some(Reading::Packages(packages))
    }

    /// True if the first bytes of a file show that only its name is that of such a file.
    pub(super) fn is_of_other_program(self, path: &str, start: &[u8]) -> bool {
        self == Self::JavaArchive && java::is_of_other_program(path, start)
    }

    /// The largest file that is read, in bytes.
    pub(super) const fn largest(self) -> u64 {
        match self {
            Self::JavaArchive => LARGEST_ARCHIVE,
            _ => LARGEST,
        }
    }

    /// The reading of a file that is larger than [`Self::largest`].
    pub(super) fn too_large(self, size: u64) -> Reading {
        Reading::Packages(PackageList::unread(too_large(size, self.largest())))
    }

    /// True if the packages belong to the distribution.
    pub(super) const fn is_of_distribution(self) -> bool {
        !matches!(
            self,
            Self::PythonMetadata
                | Self::NodePackage
                | Self::NodeApplication
                | Self::JavaArchive
                | Self::DotnetDependencies
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_known_by_their_paths() {
        for (path, kind) in [
            ("var/lib/dpkg/status", Some(Database::Dpkg)),
            ("var/lib/dpkg/status-old", None),
            ("var/lib/dpkg/status.d/base-files", Some(Database::DpkgPart)),
            ("var/lib/dpkg/status.d/base-files.md5sums", None),
            ("usr/lib/apk/db/installed", Some(Database::Apk)),
            ("usr/lib/sysimage/rpm/Packages.db", Some(Database::RpmNdb)),
            ("var/lib/rpm/rpmdb.sqlite", Some(Database::RpmSqlite)),
            ("srv/var/lib/rpm/rpmdb.sqlite", None),
            ("var/lib/db/sbom/a-1.spdx.json", Some(Database::Spdx)),
            ("etc/os-release", Some(Database::Release)),
            ("app/a.JAR", Some(Database::JavaArchive)),
            ("app/a.war", Some(Database::JavaArchive)),
            ("app/a.jar.txt", None),
            ("app/a.kar", Some(Database::JavaArchive)),
            ("app/A.deps.json", Some(Database::DotnetDependencies)),
        ] {
            assert_eq!(Database::at(path), kind, "{path}");
        }
    }

    #[test]
    fn a_database_that_cannot_be_read_is_reported_and_not_ignored() {
        for kind in [
            Database::RpmJournal,
            Database::RpmBerkeley,
            Database::RpmNdb,
        ] {
            assert_eq!(kind.read("", b""), None);
            let Some(Reading::Packages(packages)) = kind.read("", b"x") else {
                panic!("{kind:?} is ignored");
            };
            assert!(packages.problem.is_some());
        }
        for (path, start, is_other) in [
            ("a.par", b"mu", true),
            ("a.par", b"PK", false),
            ("a.jar", b"xx", false),
        ] {
            let found = Database::JavaArchive.is_of_other_program(path, start);
            assert_eq!(found, is_other, "{path}");
        }
    }
}
