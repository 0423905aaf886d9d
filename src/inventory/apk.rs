//! apk's database of installed packages, `lib/apk/db/installed`
//! (<https://wiki.alpinelinux.org/wiki/Apk_spec#Installed_Database_V2>).

use std::collections::BTreeMap;

use super::package::{Package, PackageKind, SourcePackage};
use super::package_list::PackageList;

/// Reads the records of a database. A record that cannot be read is reported.
pub(super) fn read(bytes: &[u8]) -> PackageList {
    let text = String::from_utf8_lossy(bytes);
    let mut packages = PackageList::default();
    if !text.is_empty() && !text.ends_with('\n') {
        packages.problem("it ends in the middle of a line");
    }
    let (mut fields, mut start) = (BTreeMap::new(), 0);
    for (number, line) in text.lines().enumerate().chain([(0, "")]) {
        if line.is_empty() {
            record(&std::mem::take(&mut fields), start, &mut packages);
        } else if let Some((key, value)) = line.split_once(':').filter(|(key, _)| key.len() == 1) {
            if fields.is_empty() {
                start = number + 1;
            }
            // The fields of files follow those of the package and use other letters.
            fields.entry(key).or_insert(value);
        } else {
            packages.problem(format!("line {} is not a field", number + 1));
        }
    }
    packages
}

fn record(fields: &BTreeMap<&str, &str>, line: usize, packages: &mut PackageList) {
    if fields.is_empty() {
        return;
    }
    let field = |key: &str| fields.get(key).copied().filter(|value| !value.is_empty());
    let (Some(name), Some(version)) = (field("P"), field("V")) else {
        let name = field("P").unwrap_or("without a name");
        packages.problem(format!("the package {name} in line {line} has no version"));
        return;
    };
    let origin = field("o").filter(|origin| *origin != name);
    packages.packages.push(Package {
        architecture: field("A").map(str::to_owned),
        source: origin.map(|origin| SourcePackage {
            name: origin.to_owned(),
            version: None,
        }),
        license: field("L").map(str::to_owned),
        supplier: field("m").map(str::to_owned),
        ..Package::new(PackageKind::Apk, name.to_owned(), version.to_owned())
    });
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::inventory) const INSTALLED: &str = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl\nF:lib\n\
        R:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1xyz=\n\nC:Q1def=\nP:libcrypto3\nV:3.1.4-r1\n\
        A:x86_64\nL:Apache-2.0\no:openssl\nm:A <a@example.com>\n\n";

    #[test]
    fn packages_are_read_with_licence_and_origin() {
        let read = read(INSTALLED.as_bytes());
        assert_eq!(read.problem, None);
        let purls: Vec<String> = read.packages.iter().map(|one| one.purl(None)).collect();
        assert_eq!(
            purls,
            [
                "pkg:apk/musl@1.2.4-r2?arch=x86_64",
                "pkg:apk/libcrypto3@3.1.4-r1?arch=x86_64&upstream=openssl"
            ]
        );
        assert_eq!(read.packages[1].license.as_deref(), Some("Apache-2.0"));
    }

    #[test]
    fn damage_is_reported_next_to_the_packages_that_were_read() {
        let cut = INSTALLED.find("V:3.1.4").unwrap();
        for (damaged, count, problem) in [
            (
                &INSTALLED[..cut],
                1,
                "the package libcrypto3 in line 12 has no version",
            ),
            (&INSTALLED[..cut + 4], 2, "it ends in the middle of a line"),
            (
                &INSTALLED.replace("L:MIT", "rubbish"),
                2,
                "line 5 is not a field",
            ),
        ] {
            let read = read(damaged.as_bytes());
            assert_eq!(read.packages.len(), count, "{problem}");
            let found = read.problem.unwrap();
            assert!(found.contains(problem), "{found}");
        }
    }
}
