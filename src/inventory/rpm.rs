//! rpm's database of installed packages in its three formats, and the list that it leaves in images
//! without rpm.

mod berkeley;
mod header;
mod ndb;
mod sqlite;

use super::package::{Package, PackageKind, SourcePackage};
use super::package_list::PackageList;

/// The table with the headers of the packages.
const TABLE: &str = "Packages";

/// The memory for the packages of a database, in bytes. The texts of a header can overlap, so they
/// can be longer than the header.
const LARGEST: u64 = 64 << 20;

/// Receives the headers of packages from a database, one at a time.
struct HeaderReceiver<'a> {
    packages: &'a mut PackageList,
    /// The part of [`LARGEST`] that is not used yet.
    left: u64,
}

impl HeaderReceiver<'_> {
    /// Adds the package of a header.
    fn add(&mut self, header: &[u8]) {
        match header::package(header) {
            Ok(package) => match self.left.checked_sub(package.weight()) {
                Some(left) => {
                    self.left = left;
                    self.packages.packages.push(package);
                }
                None => self.problem("it has more packages than golden can hold"),
            },
            Err(problem) => self.problem(problem),
        }
    }

    /// Records that packages are missing.
    fn problem(&mut self, problem: impl Into<String>) {
        self.packages.problem(problem);
    }
}

/// Reads a database with the reader of its format.
fn read_with(format: impl FnOnce(&[u8], &mut HeaderReceiver<'_>), bytes: &[u8]) -> PackageList {
    let mut packages = PackageList::default();
    let mut blobs = HeaderReceiver {
        packages: &mut packages,
        left: LARGEST,
    };
    format(bytes, &mut blobs);
    packages
}

/// Reads `rpmdb.sqlite`. Pages and headers that cannot be read are reported.
pub(super) fn read(bytes: &[u8]) -> PackageList {
    read_with(|bytes, blobs| sqlite::read(bytes, TABLE, blobs), bytes)
}

/// Reads `Packages.db`. Slots and headers that cannot be read are reported.
pub(super) fn read_ndb(bytes: &[u8]) -> PackageList {
    read_with(ndb::read, bytes)
}

/// Reads `Packages`. Pages and headers that cannot be read are reported.
pub(super) fn read_berkeley(bytes: &[u8]) -> PackageList {
    read_with(berkeley::read, bytes)
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
pub(super) mod tests {
    use std::io::Read as _;

    use super::*;

    pub(in crate::inventory) fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed)
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    }

    /// The header of a package, with a licence of this length.
    pub(super) fn header(name: &str, license: usize) -> Vec<u8> {
        let license = "x".repeat(license);
        let tags = [(1000_u32, name), (1001, "1"), (1002, "2"), (1014, &license)];
        let (mut entries, mut data) = (Vec::new(), Vec::new());
        for (tag, text) in tags {
            let place = u32::try_from(data.len()).unwrap();
            entries.extend([tag, 6, place, 1].map(u32::to_be_bytes).concat());
            data.extend(text.as_bytes());
            data.push(0);
        }
        let lengths = [tags.len(), data.len()].map(|length| u32::try_from(length).unwrap());
        [&lengths.map(u32::to_be_bytes).concat()[..], &entries, &data].concat()
    }

    /// Damages each byte of a database in several ways, and cuts it at each place. The list must
    /// have all packages, or a problem.
    pub(super) fn assert_damage_is_reported(
        format: fn(&[u8], &mut HeaderReceiver<'_>),
        whole: &[u8],
        packages: usize,
    ) {
        let list = read_with(format, whole);
        assert_eq!((list.packages.len(), list.problem), (packages, None));
        let is_reported = |bytes: &[u8]| {
            let list = read_with(format, bytes);
            list.problem.is_some() || list.packages.len() == packages
        };
        for length in 0..whole.len() {
            assert!(is_reported(&whole[..length]), "cut at {length}");
        }
        let mut bytes = whole.to_vec();
        for at in 0..whole.len() {
            let right = whole[at];
            let flipped = (0..8).map(|bit| right ^ (1 << bit));
            for wrong in flipped.chain([0, 0xff]) {
                bytes[at] = wrong;
                assert!(is_reported(&bytes), "byte {at} is {wrong}, not {right}");
            }
            bytes[at] = right;
        }
    }

    /// A database that rpm 4.18 wrote: `big-tool` with an epoch and a description of 20,000 bytes,
    /// `bash-tool`, and 40 small packages.
    pub(in crate::inventory) fn database() -> Vec<u8> {
        unpacked(include_bytes!("../../tests/hermetic/data/rpmdb.sqlite.gz"))
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
    fn packages_without_bound_are_reported() {
        let one = header("a", 1 << 20);
        let read = read_with(|_, blobs| (0..100).for_each(|_| blobs.add(&one)), &[]);
        assert_eq!(read.packages.len(), 63);
        assert_eq!(
            read.problem.as_deref(),
            Some("it has more packages than golden can hold")
        );
    }

    #[test]
    fn a_page_of_sqlite_that_lacks_rows_is_reported() {
        let whole = database();
        let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
        let mut damaged = 0;
        // The number of cells, in pages that have some. Pages of indexes are not read.
        for start in (0..whole.len()).step_by(page) {
            let header = start + if start == 0 { 100 } else { 0 };
            if !matches!(whole[header], 5 | 13) || whole[header + 4] == 0 {
                continue;
            }
            let mut bytes = whole.clone();
            bytes[header + 4] -= 1;
            let list = read(&bytes);
            assert!(
                list.packages.len() == 42 || list.problem.is_some(),
                "{start}"
            );
            damaged += usize::from(list.problem.is_some());
        }
        assert!(damaged > 1, "{damaged}");
    }

    #[test]
    fn a_branch_of_sqlite_that_leads_to_another_page_is_reported() {
        let whole = database();
        let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
        let interior = (page..whole.len())
            .step_by(page)
            .filter(|start| whole[*start] == 5);
        let mut tried = 0;
        for start in interior {
            let cells = usize::from(u16::from_be_bytes([whole[start + 3], whole[start + 4]]));
            let pointer = |index: usize| {
                let at = start + 12 + 2 * index;
                start + usize::from(u16::from_be_bytes([whole[at], whole[at + 1]]))
            };
            for at in (0..cells).map(pointer).chain([start + 8]) {
                for other in 0..=u8::try_from(whole.len() / page).unwrap() {
                    let mut bytes = whole.clone();
                    bytes[at + 3] = other;
                    let list = read(&bytes);
                    assert!(
                        bytes == whole || list.problem.is_some(),
                        "{at} {other}: {}",
                        list.packages.len()
                    );
                    tried += 1;
                }
            }
        }
        assert!(tried > 100, "{tried}");
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
            let ndb = unpacked(include_bytes!("../../tests/hermetic/data/Packages.db.gz"));
            let berkeley = unpacked(include_bytes!("../../tests/hermetic/data/Packages.gz"));
            let readers: [fn(&[u8]) -> PackageList; 3] = [read, read_ndb, read_berkeley];
            for (read, mut bytes) in readers.into_iter().zip([database(), ndb, berkeley]) {
                for (at, byte) in &damage {
                    let at = at % bytes.len();
                    bytes[at] = *byte;
                }
                let read = read(&bytes);
                proptest::prop_assert!(read.packages.len() <= 1000);
                proptest::prop_assert!(read.packages.len() >= 42 || read.problem.is_some());
            }
        }
    }
}
