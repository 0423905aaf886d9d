//! Modes, owners and sticky bits survive on both builders.

use golden::resolve::image::{Base, Family, FileKind};

use crate::docker::recipe::BUILDERS;
use crate::support::built::{File, built};
use crate::support::images::{base, entry, image, named, numeric, text};

fn expected(kind: char, mode: u32, owner: (u64, u64), content: &str) -> File {
    File {
        kind,
        mode,
        owner,
        content: content.as_bytes().to_vec(),
        attributes: std::collections::BTreeMap::new(),
    }
}

#[tokio::test]
async fn modes_and_numeric_owners_are_kept() {
    let long = format!("{}/{}", "d".repeat(120), "é".repeat(100));
    for builder in BUILDERS {
        let mut image = image(Family::Static, Base::Scratch);
        image.files = vec![
            entry("/tmp", 0o1777, numeric(0, 0), FileKind::Directory),
            entry("/bin/su", 0o4755, numeric(0, 0), text("su")),
            entry("/srv", 0o2750, numeric(1234, 5678), FileKind::Directory),
            entry(
                "/srv/secret",
                0o600,
                numeric(3_000_000, 4_000_000_000),
                text(""),
            ),
            entry(
                "/srv/link",
                0o777,
                numeric(1, 2),
                FileKind::Symlink("../bin/su".to_owned()),
            ),
            entry("/a b $x \"q\" é 🦀", 0o640, numeric(0, 7), text("odd name")),
            entry(&format!("/{long}"), 0o444, numeric(0, 0), text("long name")),
        ];
        let files = built(builder, &image).await.files();
        let table = [
            ("tmp", expected('d', 0o1777, (0, 0), "")),
            ("bin/su", expected('f', 0o4755, (0, 0), "su")),
            ("srv", expected('d', 0o2750, (1234, 5678), "")),
            (
                "srv/secret",
                expected('f', 0o600, (3_000_000, 4_000_000_000), ""),
            ),
            ("srv/link", expected('l', 0o777, (1, 2), "../bin/su")),
            (
                "a b $x \"q\" é 🦀",
                expected('f', 0o640, (0, 7), "odd name"),
            ),
            (&long, expected('f', 0o444, (0, 0), "long name")),
            ("bin", expected('d', 0o755, (0, 0), "")),
        ];
        for (path, file) in table {
            assert_eq!(files.get(path), Some(&file), "{builder:?}: {path}");
        }
    }
}

#[tokio::test]
async fn owners_by_name_are_resolved_in_the_base() {
    for builder in BUILDERS {
        let mut image = image(Family::Alpine, base("busybox:1.36"));
        image.files = vec![
            entry("/etc/plain", 0o644, numeric(0, 0), text("plain")),
            entry(
                "/srv/app",
                0o1750,
                named("nobody", "0"),
                FileKind::Directory,
            ),
            entry("/srv/app/file", 0o600, named("nobody", "0"), text("file")),
            entry(
                "/srv/app/below/deep",
                0o755,
                named("nobody", "0"),
                text("deep"),
            ),
            entry(
                "/srv/app/link",
                0o777,
                named("nobody", "0"),
                FileKind::Symlink("file".to_owned()),
            ),
            entry("/srv/app/root", 0o640, named("root", "65534"), text("root")),
        ];
        let before = built(builder, &super::image(Family::Alpine, base("busybox:1.36")))
            .await
            .files();
        let files = built(builder, &image).await.files();
        let table = [
            ("etc/plain", expected('f', 0o644, (0, 0), "plain")),
            ("srv/app", expected('d', 0o1750, (65534, 0), "")),
            ("srv/app/file", expected('f', 0o600, (65534, 0), "file")),
            (
                "srv/app/below/deep",
                expected('f', 0o755, (65534, 0), "deep"),
            ),
            ("srv/app/link", expected('l', 0o777, (65534, 0), "file")),
            ("srv/app/root", expected('f', 0o640, (0, 65534), "root")),
        ];
        for (path, file) in table {
            assert_eq!(files.get(path), Some(&file), "{builder:?}: {path}");
        }
        // The base's own files are unchanged.
        for (path, file) in &before {
            assert_eq!(files.get(path), Some(file), "{builder:?}: {path}");
        }
    }
}
