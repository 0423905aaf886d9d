//! Installed packages, and their names as package URLs
//! (<https://github.com/package-url/purl-spec>).

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::release::Release;

/// The package manager that installed a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// Alpine's apk.
    Apk,
    /// Debian's dpkg.
    Deb,
    /// rpm.
    Rpm,
    /// npm.
    Npm,
    /// pip, or another installer that writes `dist-info`.
    Pypi,
    /// Go's modules.
    Golang,
    /// Cargo.
    Cargo,
    /// Maven, and other builders of Java archives.
    Maven,
    /// `NuGet`.
    Nuget,
}

impl PackageKind {
    /// All package managers.
    const ALL: [Self; 9] = [
        Self::Apk,
        Self::Deb,
        Self::Rpm,
        Self::Npm,
        Self::Pypi,
        Self::Golang,
        Self::Cargo,
        Self::Maven,
        Self::Nuget,
    ];

    /// The kind in a package URL; `None` if it is another one.
    pub(super) fn of_purl(purl: &str) -> Option<Self> {
        let (kind, _) = purl.strip_prefix("pkg:")?.split_once('/')?;
        Self::ALL
            .into_iter()
            .find(|known| known.to_string() == kind)
    }

    /// True if a package with the name `name` is meant by `wanted`. Names of Python packages have
    /// several spellings. A package of Maven is also meant by its artifact without the group.
    #[must_use]
    pub fn is_meant(self, name: &str, wanted: &str) -> bool {
        match self {
            Self::Pypi => normalized(name) == normalized(wanted),
            Self::Maven => {
                let artifact = name.split_once(':').map(|(_, artifact)| artifact);
                name == wanted || artifact == Some(wanted)
            }
            _ => name == wanted,
        }
    }

    /// True if the packages belong to the distribution, so that its release is a part of their
    /// names.
    #[must_use]
    pub const fn is_of_distribution(self) -> bool {
        matches!(self, Self::Apk | Self::Deb | Self::Rpm)
    }
}

/// The name of a Python package in the form that identifies it (PEP 503).
pub(super) fn normalized(name: &str) -> String {
    let mut normalized = String::new();
    for character in name.to_lowercase().chars() {
        match character {
            '-' | '_' | '.' if normalized.ends_with('-') => {}
            '-' | '_' | '.' => normalized.push('-'),
            other => normalized.push(other),
        }
    }
    normalized
}

impl fmt::Display for PackageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apk => "apk",
            Self::Deb => "deb",
            Self::Rpm => "rpm",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::Golang => "golang",
            Self::Cargo => "cargo",
            Self::Maven => "maven",
            Self::Nuget => "nuget",
        })
    }
}

/// The source package that a package was built from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourcePackage {
    /// The name. For rpm, the file name of the source package.
    pub name: String,
    /// The version, if it is known and differs from the package's own version.
    pub version: Option<String>,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// The package manager.
    pub kind: PackageKind,
    /// The name, for npm with its scope, for Go the path of the module, and for Maven
    /// `GROUP:ARTIFACT`.
    pub name: String,
    /// The version without the epoch of rpm. dpkg's epoch is part of the version.
    pub version: String,
    /// The epoch of rpm.
    pub epoch: Option<u32>,
    /// The architecture in the words of the package manager.
    pub architecture: Option<String>,
    /// The source package.
    pub source: Option<SourcePackage>,
    /// The licence as the database writes it.
    pub license: Option<String>,
    /// The maintainer or the vendor.
    pub supplier: Option<String>,
}

impl Package {
    /// A package of which only the name and the version are known.
    #[must_use]
    pub const fn new(kind: PackageKind, name: String, version: String) -> Self {
        Self {
            kind,
            name,
            version,
            epoch: None,
            architecture: None,
            source: None,
            license: None,
            supplier: None,
        }
    }

    /// The version with the epoch, as the package manager shows it.
    #[must_use]
    pub fn full_version(&self) -> String {
        match self.epoch {
            Some(epoch) => format!("{epoch}:{}", self.version),
            None => self.version.clone(),
        }
    }

    /// The package URL.
    #[must_use]
    pub fn purl(&self, release: Option<&Release>) -> String {
        let release = release.filter(|_| self.kind.is_of_distribution());
        let mut purl = format!("pkg:{}/", self.kind);
        if let Some(release) = release {
            let namespace = match (self.kind, release.id.as_str()) {
                (PackageKind::Rpm, "rhel") => "redhat",
                (_, id) => id,
            };
            purl = format!("{purl}{}/", encoded(namespace));
        }
        let (name, subpath) = self.purl_name();
        purl = format!("{purl}{}@{}", encoded(&name), encoded(&self.version));
        for (at, (key, value)) in self.qualifiers(release).iter().enumerate() {
            let before = if at == 0 { '?' } else { '&' };
            // Writing into a String cannot fail.
            let _ = write!(purl, "{before}{key}={}", encoded(value));
        }
        if let Some(subpath) = subpath {
            purl = format!("{purl}#{}", encoded(subpath));
        }
        purl
    }

    /// The namespace and the name in the package URL, and its subpath. For Go, everything after the
    /// repository is the subpath.
    fn purl_name(&self) -> (Cow<'_, str>, Option<&str>) {
        let name = self.name.trim_start_matches('/');
        match self.kind {
            PackageKind::Maven => (name.replacen(':', "/", 1).into(), None),
            PackageKind::Golang => match name.match_indices('/').nth(2) {
                Some((at, _)) => (name[..at].into(), Some(&name[at + 1..])),
                None => (name.into(), None),
            },
            _ => (self.name.as_str().into(), None),
        }
    }

    /// The approximate memory of the package, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let source = self.source.as_ref();
        let texts = [
            Some(&self.name),
            Some(&self.version),
            self.license.as_ref(),
            self.supplier.as_ref(),
            self.architecture.as_ref(),
            source.map(|source| &source.name),
            source.and_then(|source| source.version.as_ref()),
        ];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        (size_of::<Self>() + texts) as u64
    }

    /// The qualifiers of the package URL, in alphabetical order.
    fn qualifiers(&self, release: Option<&Release>) -> Vec<(&'static str, String)> {
        let upstream = self.source.as_ref().map(|source| match &source.version {
            Some(version) => format!("{}@{version}", source.name),
            None => source.name.clone(),
        });
        let all = [
            ("arch", self.architecture.clone()),
            ("distro", release.map(Release::qualifier)),
            ("epoch", self.epoch.map(|epoch| epoch.to_string())),
            ("upstream", upstream),
        ];
        all.into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }
}

/// Percent-encodes a component of a package URL. Colons, parentheses and slashes are not encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:/()".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(kind: PackageKind, name: &str, version: &str) -> Package {
        Package::new(kind, name.to_owned(), version.to_owned())
    }

    #[test]
    fn a_package_url_names_the_distribution_the_architecture_and_the_source() {
        let release = |id: &str, version: Option<&str>| Release {
            id: id.to_owned(),
            version_id: version.map(str::to_owned),
            name: None,
        };
        let debian = release("debian", Some("12"));
        let with = |package: Package, source: &str, version: Option<&str>| Package {
            architecture: Some("amd64".to_owned()),
            source: Some(SourcePackage {
                name: source.to_owned(),
                version: version.map(str::to_owned),
            }),
            ..package
        };
        let cap = with(
            package(PackageKind::Deb, "libcap2", "1:2.66-4+b1"),
            "libcap2",
            Some("1:2.66-4"),
        );
        assert_eq!(
            cap.purl(Some(&debian)),
            "pkg:deb/debian/libcap2@1:2.66-4%2Bb1?arch=amd64&distro=debian-12&upstream=libcap2%401:2.66-4"
        );
        assert_eq!(
            cap.purl(None),
            "pkg:deb/libcap2@1:2.66-4%2Bb1?arch=amd64&upstream=libcap2%401:2.66-4"
        );
        let ssl = Package {
            epoch: Some(1),
            ..with(
                package(PackageKind::Rpm, "openssl", "3.0.7-24.el9"),
                "openssl-3.0.7-24.el9.src.rpm",
                None,
            )
        };
        assert_eq!(
            ssl.purl(Some(&release("rhel", Some("9.2")))),
            "pkg:rpm/redhat/openssl@3.0.7-24.el9?arch=amd64&distro=rhel-9.2&epoch=1&upstream=openssl-3.0.7-24.el9.src.rpm"
        );
        assert_eq!(ssl.full_version(), "1:3.0.7-24.el9");
        let cxx = package(PackageKind::Apk, "g++", "12.2.1_git20220924-r10");
        assert_eq!(
            cxx.purl(Some(&release("wolfi", None))),
            "pkg:apk/wolfi/g%2B%2B@12.2.1_git20220924-r10?distro=wolfi"
        );
    }
}
