//! rpm's database of installed packages, and the list that it leaves in images without rpm.

mod header;
mod sqlite;

use super::package::{Package, PackageKind, SourcePackage};
use super::package_list::PackageList;

/// The table with the headers of the packages.
const TABLE: &str = "Packages";

/// Reads `rpmdb.sqlite`. Pages and headers that cannot be read are reported.
pub(super) fn read(bytes: &[u8]) -> PackageList {
    let mut packages = PackageList::default();
    let table = sqlite::blobs(bytes, TABLE);
    for problem in table.problems {
        packages.problem(problem);
    }
    for blob in table.blobs {
        match header::package(&blob) {
            Ok(package) => packages.packages.push(package),
            Err(problem) => packages.problem(problem),
        }
    }
    packages
}

/// Reads `container-manifest-2`, which images of Azure Linux have instead of the database. A line
/// has the name, version-release, two times, vendor, size, size, architecture, epoch and source,
/// separated by tabs.
pub(super) fn read_manifest(bytes: &[u8]) -> PackageList {
    let mut packages = PackageList::default();
    for (number, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let [
            name,
            version,
            _,
            _,
            vendor,
            _,
            _,
            architecture,
            epoch,
            source,
        ] = fields[..]
        else {
            packages.problem(format!("line {} does not have ten fields", number + 1));
            continue;
        };
        let known = |text: &str| {
            let is_known = !matches!(text, "" | "(none)");
            is_known.then(|| text.to_owned())
        };
        packages.packages.push(Package {
            kind: PackageKind::Rpm,
            name: name.to_owned(),
            version: version.to_owned(),
            epoch: epoch.parse().ok(),
            architecture: known(architecture),
            source: known(source).map(|name| SourcePackage {
                name,
                version: None,
            }),
            license: None,
            supplier: known(vendor),
        });
    }
    packages
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// A database that rpm 4.18 wrote: `big-tool` with an epoch and a description of 20,000 bytes,
    /// `bash-tool`, and 40 small packages.
    fn database() -> Vec<u8> {
        let packed = include_bytes!("../../tests/hermetic/data/rpmdb.sqlite.gz");
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    }

    #[test]
    fn a_database_of_rpm_is_read() {
        let read = read(&database());
        assert_eq!(read.problem, None);
        assert_eq!(read.packages.len(), 42);
        let mut purls: Vec<String> = read.packages.iter().map(|one| one.purl(None)).collect();
        purls.sort();
        assert_eq!(
            purls[..3],
            [
                "pkg:rpm/bash-tool@5.1.8-6.el9?arch=noarch&upstream=bash-tool-5.1.8-6.el9.src.rpm",
                "pkg:rpm/big-tool@1.0-1?arch=noarch&epoch=2&upstream=big-tool-1.0-1.src.rpm",
                "pkg:rpm/many-10@1.10-1.el9?arch=noarch&upstream=many-10-1.10-1.el9.src.rpm"
            ]
        );
        let big = read.packages.iter().find(|one| one.name == "big-tool");
        let big = big.unwrap();
        assert_eq!(big.license.as_deref(), Some("MIT AND BSD-3-Clause"));
        assert_eq!(big.supplier.as_deref(), Some("Example Team"));
    }

    #[test]
    fn a_truncated_database_is_reported_with_the_packages_that_were_read() {
        let whole = database();
        let cut = read(&whole[..60 * 4096]);
        assert!(
            (1..42).contains(&cut.packages.len()),
            "{}",
            cut.packages.len()
        );
        let problem = cut.problem.unwrap();
        assert!(problem.contains("its header says"), "{problem}");
        for length in [0, 50, 100, 4096] {
            let read = read(&whole[..length]);
            assert!(read.problem.is_some(), "{length}");
        }
    }

    #[test]
    fn the_list_of_an_image_without_rpm_is_read() {
        let line = "bash\t5.1.8-4.cm2\t1690000000\t1690000001\tMicrosoft Corporation\t(none)\t3715867\tx86_64\t0\tbash-5.1.8-4.cm2.src.rpm\n";
        let read = read_manifest(format!("{line}short\tline\n").as_bytes());
        assert_eq!(
            read.packages[0].purl(None),
            "pkg:rpm/bash@5.1.8-4.cm2?arch=x86_64&epoch=0&upstream=bash-5.1.8-4.cm2.src.rpm"
        );
        assert_eq!(
            read.problem.as_deref(),
            Some("line 2 does not have ten fields")
        );
    }

    proptest::proptest! {
        #[test]
        fn reading_a_damaged_database_ends(
            damage in proptest::collection::vec((0..1_usize << 19, proptest::num::u8::ANY), 1..40),
        ) {
            let mut bytes = database();
            for (at, byte) in damage {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let read = read(&bytes);
            proptest::prop_assert!(read.packages.len() <= 1000);
        }
    }
}
