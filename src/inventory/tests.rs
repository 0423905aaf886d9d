//! Layers on top of each other, and the packages that are visible at the top.

use std::io::Write as _;

use super::*;

/// A layer of files with a content, of directories (`path/`), and of links (`path -> target` and
/// `path => target`).
fn layer(entries: &[(&str, &str)]) -> LayerFiles {
    let bytes = tar_of(entries);
    LayerFiles::read(bytes.as_slice(), bytes.len() as u64, HashedFiles::All).unwrap()
}

fn tar_of(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        let link = |separator| path.split_once(separator);
        if let Some((path, target)) = link(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, path, target).unwrap();
        } else if let Some((path, target)) = link(" => ") {
            header.set_entry_type(tar::EntryType::Link);
            builder.append_link(&mut header, path, target).unwrap();
        } else if path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
            builder
                .append_data(&mut header, path, std::io::empty())
                .unwrap();
        } else {
            header.set_size(content.len() as u64);
            builder
                .append_data(&mut header, path, content.as_bytes())
                .unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn merged(layers: &[&[(&str, &str)]]) -> Merged {
    let mut merged = Merged::default();
    for entries in layers {
        merged.add(layer(entries), LayerOwner::Base);
    }
    merged
}

fn paths(merged: &Merged) -> Vec<&str> {
    merged.files().keys().map(String::as_str).collect()
}

fn names(merged: &Merged) -> Vec<String> {
    let packages = merged.inventory().packages.into_iter();
    packages
        .map(|package| format!("{} {}", package.name, package.full_version()))
        .collect()
}

const STATUS: &str = "var/lib/dpkg/status";

#[test]
fn the_database_of_the_top_layer_counts() {
    let (old, new) = ("Package: a\nVersion: 1\n", "Package: a\nVersion: 2\n");
    assert_eq!(
        names(&merged(&[&[(STATUS, old)], &[(STATUS, new)]])),
        ["a 2"]
    );
    for removal in [
        "var/lib/dpkg/.wh.status",
        "var/.wh.lib",
        "var/lib/.wh..wh..opq",
        ".wh..wh..opq",
        "var",
        "var -> srv",
    ] {
        let merged = merged(&[&[(STATUS, old)], &[(removal, "")]]);
        assert_eq!(names(&merged), [""; 0], "{removal}");
    }
    // An opaque directory hides only the layers below.
    let rewritten = merged(&[
        &[(STATUS, old), ("var/lib/x", "")],
        &[("var/lib/.wh..wh..opq", ""), (STATUS, new)],
    ]);
    assert_eq!(names(&rewritten), ["a 2"]);
    assert_eq!(paths(&rewritten), [STATUS]);
    // The database is a link to that of a lower layer.
    let linked = merged(&[
        &[("srv/x", "")],
        &[("usr/lib/apk/db/installed", "P:a\nV:1\n\n")],
        &[("lib/apk/db/installed => usr/lib/apk/db/installed", "")],
    ]);
    assert_eq!(names(&linked), ["a 1"]);
}

#[test]
fn upper_layers_replace_and_hide_files() {
    let merged = merged(&[
        &[
            ("a/", ""),
            ("a/b", "1"),
            ("a/c", "1"),
            ("a0", "1"),
            ("d", "1"),
            ("e/f", "1"),
        ],
        &[
            ("a/b", "2"),
            ("a/.wh.c", ""),
            ("d/g", "2"),
            ("e -> a", ""),
            ("h => a/b", ""),
        ],
    ]);
    assert_eq!(paths(&merged), ["a", "a/b", "a0", "d/g", "e", "h"]);
    assert_eq!(merged.files()["h"].kind, merged.files()["a/b"].kind);
}

#[test]
fn the_files_of_own_layers_are_known() {
    let mut merged = Merged::default();
    merged.add(layer(&[("a", "1"), ("b", "1")]), LayerOwner::Base);
    merged.add(
        layer(&[("b", "2"), ("c", "2"), ("d/", ""), ("e", "2")]),
        LayerOwner::Image,
    );
    merged.add(layer(&[(".wh.c", ""), ("e", "3")]), LayerOwner::Base);
    let listed: Vec<_> = merged.listed_files().collect();
    assert_eq!(listed, [("b", Some(&crate::reference::Digest::of(b"2")))]);
}

#[test]
fn only_certificates_are_hashed_for_a_bill_of_materials() {
    let certificate = "usr/local/share/ca-certificates/a.crt";
    let read = |entries: &[(&str, &str)]| {
        let bytes = tar_of(entries);
        let length = bytes.len() as u64;
        LayerFiles::read(bytes.as_slice(), length, HashedFiles::Certificates).unwrap()
    };
    let mut merged = Merged::default();
    merged.add(
        read(&[
            ("b", "1"),
            (certificate, "2"),
            (STATUS, "Package: a\nVersion: 1\n"),
        ]),
        LayerOwner::Base,
    );
    assert_eq!(names(&merged), ["a 1"]);
    let file = |size: u64, digest| FileKind::File { size, digest };
    assert_eq!(merged.files()["b"].kind, file(1, None));
    let digest = crate::reference::Digest::of(b"2");
    assert_eq!(merged.files()[certificate].kind, file(1, Some(digest)));
    assert!(merged.has_listed_digests());
    let link = format!("{certificate} => b");
    merged.add(read(&[(&link, "")]), LayerOwner::Base);
    assert!(!merged.has_listed_digests());
}

#[test]
fn the_release_in_etc_overrides_that_in_usr() {
    let (usr, etc) = (
        ("usr/lib/os-release", "ID=debian\n"),
        ("etc/os-release", "ID=mine\n"),
    );
    let release = |layers: &[&[(&str, &str)]]| merged(layers).inventory().release.unwrap().id;
    assert_eq!(release(&[&[usr, etc]]), "mine");
    assert_eq!(
        release(&[&[("etc/os-release -> ../usr/lib/os-release", ""), usr]]),
        "debian"
    );
}

#[test]
fn the_databases_of_several_package_managers_are_read() {
    let merged = merged(&[&[
        (STATUS, "Package: a\nVersion: 1\n"),
        ("var/lib/dpkg/status.d/b", "Package: b\nVersion: 2"),
        ("lib/apk/db/installed", "P:c\nV:3\n\n"),
        (
            "var/lib/db/sbom/c.spdx.json",
            r#"{"packages": [
                {"name": "c", "versionInfo": "3", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:apk/wolfi/c@3"}]},
                {"name": "d", "versionInfo": "4", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:apk/wolfi/d@4"}]}
            ]}"#,
        ),
    ]]);
    assert_eq!(names(&merged), ["c 3", "d 4", "a 1", "b 2"]);
    assert_eq!(merged.inventory().gaps, []);
}

#[test]
fn a_damaged_database_is_a_gap() {
    let merged = merged(&[&[
        ("var/lib/rpm/rpmdb.sqlite", "nonsense"),
        ("usr/lib/sysimage/rpm/Packages.db", "x"),
        (STATUS, "Package: a\nVersion: 1\n\nPackage: b\n\n"),
    ]]);
    assert_eq!(names(&merged), ["a 1"]);
    let gaps = merged.inventory().gaps;
    assert!(gaps.iter().all(Gap::is_of_distribution));
    let gaps: Vec<String> = gaps
        .iter()
        .map(|gap| format!("{}: {}", gap.path, gap.problem))
        .collect();
    assert_eq!(
        gaps,
        [
            "usr/lib/sysimage/rpm/Packages.db: it is not a database in rpm's format ndb",
            "var/lib/dpkg/status: the package b in line 4 has no version",
            "var/lib/rpm/rpmdb.sqlite: it is not a SQLite database",
        ]
    );
}

#[test]
fn a_damaged_package_of_a_language_is_not_a_gap_of_the_distribution() {
    let merged = merged(&[&[("app/a.jar", "x"), ("app/A.deps.json", "x")]]);
    let gaps = merged.inventory().gaps;
    assert_eq!(gaps.len(), 2);
    assert!(!gaps.iter().any(Gap::is_of_distribution));
}

#[test]
fn a_layer_is_read_with_every_compression_and_a_damaged_one_is_refused() {
    let plain = tar_of(&[
        (STATUS, "Package: a\nVersion: 1\n"),
        ("x", &"y".repeat(9999)),
    ]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(&plain).unwrap();
    let gzip = encoder.finish().unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
    let read = |bytes: &[u8]| LayerFiles::read(bytes, bytes.len() as u64, HashedFiles::All);
    let expected = read(&plain).unwrap();
    assert_eq!(read(&gzip).unwrap(), expected);
    assert_eq!(read(&zstd).unwrap(), expected);
    for bytes in [&plain[..2000], &gzip[..gzip.len() - 9], b"no archive"] {
        assert!(read(bytes).is_err());
    }
    let outside = tar_of(&[("x => ../../etc/shadow", "")]);
    let error = read(&outside).unwrap_err().to_string();
    assert!(error.contains("leads out of the image's root"), "{error}");
}

#[test]
fn the_files_of_a_layer_are_read_back_from_the_cache() {
    let files = layer(&[
        (STATUS, "Package: a\nVersion: 1\n"),
        ("a/", ""),
        ("b -> a", ""),
        ("c => d", ""),
        (".wh.e", ""),
        ("f/.wh..wh..opq", ""),
        ("etc/os-release", "ID=debian\n"),
    ]);
    let bytes = serde_json::to_vec(&files).unwrap();
    assert_eq!(serde_json::from_slice::<LayerFiles>(&bytes).unwrap(), files);
}
