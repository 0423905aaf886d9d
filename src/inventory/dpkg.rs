//! dpkg's database of installed packages, `var/lib/dpkg/status`, and the files of `status.d`, which
//! distroless images have instead
//! (<https://manpages.debian.org/bookworm/dpkg-dev/deb-control.5.en.html>).

use std::collections::BTreeMap;

use super::package::{Package, PackageKind, SourcePackage};
use super::package_list::PackageList;

/// Reads the paragraphs of a database. A paragraph that cannot be read is reported.
pub(super) fn read(bytes: &[u8], is_one_package: bool) -> PackageList {
    let text = String::from_utf8_lossy(bytes);
    let mut packages = PackageList::default();
    if bytes.contains(&0) {
        packages.problem("it contains bytes that are not text");
    }
    // dpkg ends each line; the files of status.d may lack the last line break.
    if !is_one_package && !text.is_empty() && !text.ends_with('\n') {
        packages.problem("it ends in the middle of a line");
    }
    let mut lines: Vec<(usize, &str)> = Vec::new();
    for (number, line) in text.lines().enumerate().chain([(usize::MAX, "")]) {
        if line.trim().is_empty() {
            paragraph(&std::mem::take(&mut lines), &mut packages);
        } else {
            lines.push((number + 1, line));
        }
    }
    packages
}

/// Adds the package of a paragraph, unless it is removed.
fn paragraph(lines: &[(usize, &str)], packages: &mut PackageList) {
    let Some((first, _)) = lines.first() else {
        return;
    };
    let mut fields = BTreeMap::new();
    for (number, line) in lines {
        if line.starts_with([' ', '\t']) {
            continue;
        }
        match line.split_once(':') {
            Some((key, value)) => drop(fields.insert(key, value.trim())),
            None => packages.problem(format!("line {number} is not a field")),
        }
    }
    let field = |key: &str| fields.get(key).copied().filter(|value| !value.is_empty());
    let is_absent = field("Status").is_some_and(|status| {
        let state = status.split_whitespace().last();
        matches!(state, Some("not-installed" | "config-files"))
    });
    if is_absent {
        return;
    }
    let (Some(name), Some(version)) = (field("Package"), field("Version")) else {
        let name = field("Package").unwrap_or("without a name");
        packages.problem(format!("the package {name} in line {first} has no version"));
        return;
    };
    packages.packages.push(Package {
        architecture: field("Architecture").map(str::to_owned),
        source: field("Source").map(source),
        supplier: field("Maintainer").map(str::to_owned),
        ..Package::new(PackageKind::Deb, name.to_owned(), version.to_owned())
    });
}

/// Parses `NAME` or `NAME (VERSION)`.
fn source(text: &str) -> SourcePackage {
    let (name, version) = text.split_once('(').unwrap_or((text, ""));
    let version = version.trim_end_matches(')').trim();
    SourcePackage {
        name: name.trim().to_owned(),
        version: (!version.is_empty()).then(|| version.to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::inventory) const STATUS: &str = "Package: libcap2\nStatus: install ok installed\nArchitecture: amd64\n\
        Source: libcap2-src (1:2.66-4)\nVersion: 1:2.66-4+b1\nDescription: x\n Version: 9\n .\n y: z\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: never\nStatus: unknown ok not-installed\n\n\
        Package: half\nStatus: install ok half-configured\nArchitecture: all\nVersion: 2\nSource: other\n\n";

    fn names(packages: &PackageList) -> Vec<String> {
        let packages = packages.packages.iter();
        packages.map(|package| package.purl(None)).collect()
    }

    #[test]
    fn packages_that_are_not_removed_are_read() {
        let read = read(STATUS.as_bytes(), false);
        assert_eq!(
            names(&read),
            [
                "pkg:deb/libcap2@1:2.66-4%2Bb1?arch=amd64&upstream=libcap2-src%401:2.66-4",
                "pkg:deb/half@2?arch=all&upstream=other"
            ]
        );
        assert_eq!(read.problem, None);
    }

    #[test]
    fn a_file_of_status_d_has_one_package_without_a_state() {
        let read = read(
            b"Package: tzdata\nVersion: 2024a-0\nArchitecture: all",
            true,
        );
        assert_eq!(names(&read), ["pkg:deb/tzdata@2024a-0?arch=all"]);
        assert_eq!(read.problem, None);
    }

    #[test]
    fn damage_is_reported_next_to_the_packages_that_were_read() {
        for (damaged, count, problem) in [
            (
                &STATUS[..STATUS.find("Version: 2").unwrap()],
                1,
                "the package half in line 18 has no version",
            ),
            (
                &STATUS[..STATUS.len() - 5],
                2,
                "it ends in the middle of a line",
            ),
            (
                &STATUS.replace("Source", "\0\0"),
                2,
                "it contains bytes that are not text",
            ),
            (
                &STATUS.replace("Version: 1:2", "garbage"),
                1,
                "line 5 is not a field",
            ),
        ] {
            let read = read(damaged.as_bytes(), false);
            assert_eq!(read.packages.len(), count, "{problem}");
            let found = read.problem.unwrap();
            assert!(found.contains(problem), "{found}");
        }
    }
}
