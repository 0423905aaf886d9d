//! The metadata of an installed Python package
//! (<https://packaging.python.org/en/latest/specifications/core-metadata/>).

use super::package::{Package, PackageKind, normalized};
use super::package_list::PackageList;

/// True if the file contains the metadata of a package.
pub(super) fn is_metadata(path: &str) -> bool {
    path.ends_with(".dist-info/METADATA")
        || path.ends_with(".egg-info/PKG-INFO")
        || path.ends_with(".egg/EGG-INFO/PKG-INFO")
        || (path.ends_with(".egg-info") && path.contains("-packages/"))
}

/// Reads the header of the metadata, which ends at the first empty line.
pub(super) fn read(bytes: &[u8]) -> PackageList {
    let text = String::from_utf8_lossy(bytes);
    let header = || text.lines().take_while(|line| !line.is_empty());
    let field = |key: &str| {
        let value = header().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        value.map(str::trim).filter(|value| !value.is_empty())
    };
    let mut packages = PackageList::default();
    let (Some(name), Some(version)) = (field("Name"), field("Version")) else {
        packages.problem("it has no name and version");
        return packages;
    };
    let license = field("License-Expression").or_else(|| field("License"));
    packages.packages.push(Package {
        license: license.filter(|text| *text != "UNKNOWN").map(str::to_owned),
        supplier: field("Author").map(str::to_owned),
        ..Package::new(PackageKind::Pypi, normalized(name), version.to_owned())
    });
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_the_metadata_names_the_package() {
        let text = "Metadata-Version: 2.4\nName: Ruamel.yaml__clib\nVersion: 0.2.8\nLicense: MIT\n\nName: other\n";
        let read = read(text.as_bytes());
        assert_eq!(
            read.packages[0].purl(None),
            "pkg:pypi/ruamel-yaml-clib@0.2.8"
        );
        assert_eq!(read.packages[0].license.as_deref(), Some("MIT"));
        assert!(super::read(b"Name: a\n\nVersion: 1\n").problem.is_some());
    }

    #[test]
    fn metadata_is_known_by_its_path() {
        for (path, expected) in [
            ("usr/lib/python3/dist-packages/six-1.16.0.egg-info", true),
            (
                "opt/v/lib/python3.11/site-packages/a-1.dist-info/METADATA",
                true,
            ),
            ("a/b-1.egg-info/PKG-INFO", true),
            ("a/b-1-py3.11.egg/EGG-INFO/PKG-INFO", true),
            ("a/b-1.dist-info/RECORD", false),
            ("srv/x.egg-info", false),
        ] {
            assert_eq!(is_metadata(path), expected, "{path}");
        }
    }
}
