use std::sync::Arc;

use super::*;
use crate::assemble::tree::LayerIndex;
use crate::oci::Content;
use crate::resolve::image::{Base, Family, FileOwner};

/// A base with one layer: `d PATH` with mode 0755 and owner root, `d:MODE:UID:GID PATH`, `f PATH`,
/// `TARGET<-PATH` for a link.
fn base(lines: &[&str]) -> Vec<Arc<LayerIndex>> {
    let mut index = LayerIndex::default();
    for line in lines {
        if let Some((target, path)) = line.split_once("<-") {
            index
                .entries
                .insert(path.to_owned(), TreeNode::Symlink(target.to_owned()));
            continue;
        }
        let (kind, path) = line.split_once(' ').unwrap();
        let mut fields = kind.split(':');
        let node = match (fields.next(), fields.next()) {
            (Some("d"), Some(mode)) => {
                let mut number = || fields.next().unwrap().parse().unwrap();
                let mode = u32::from_str_radix(mode, 8).unwrap();
                TreeNode::Directory(Attributes {
                    mode,
                    uid: number(),
                    gid: number(),
                })
            }
            (Some("d"), None) => TreeNode::Directory(Attributes::DIRECTORY),
            (Some("i"), None) => TreeNode::Implied,
            _ => TreeNode::File {
                attributes: Attributes::DIRECTORY,
                content: None,
            },
        };
        index.entries.insert(path.to_owned(), node);
    }
    let passwd = b"root:x:0:0::/:\napp:x:1001:1002::/:\n";
    let group = b"root:x:0:\napp:x:1002:\nadm:x:4:\n";
    for (path, content) in [("etc/passwd", &passwd[..]), ("etc/group", &group[..])] {
        let content = Some(content.to_vec().into());
        index.entries.insert(
            path.to_owned(),
            TreeNode::File {
                attributes: Attributes::DIRECTORY,
                content,
            },
        );
    }
    let names: Vec<String> = index.entries.keys().cloned().collect();
    for above in names
        .iter()
        .flat_map(|name| crate::assemble::tree::ancestors(name))
    {
        index
            .entries
            .entry(above.to_owned())
            .or_insert(TreeNode::Implied);
    }
    vec![Arc::new(index)]
}

/// Files: `f PATH [NAME]`, `d PATH`, `TARGET<-PATH`, all with owner 7:8 and mode 0640 (directories
/// 0750).
fn files(lines: &[&str]) -> Vec<FileEntry> {
    let owner = FileOwner::Numeric { uid: 7, gid: 8 };
    let file = |line: &&str| {
        let origin = format!("from {line}");
        if let Some((target, path)) = line.split_once("<-") {
            return FileEntry::new(
                path,
                0o777,
                owner.clone(),
                FileKind::Symlink(target.to_owned()),
                origin,
            );
        }
        let mut words = line.split(' ');
        let (mode, kind) = match words.next() {
            Some("d") => (0o750, FileKind::Directory),
            _ => (0o640, FileKind::File(Content::inline(*b"x"))),
        };
        let mut file = FileEntry::new(words.next().unwrap(), mode, owner.clone(), kind, origin);
        file.name_inside = words.next().map(str::to_owned);
        file
    };
    lines.iter().map(file).collect()
}

fn image(files: Vec<FileEntry>) -> ResolvedImage {
    ResolvedImage {
        files,
        ..ResolvedImage::empty(Family::Static, Base::Scratch)
    }
}

/// The result of placing as `KIND PATH MODE UID:GID`, or the error.
fn placed_on(base: &[Arc<LayerIndex>], files: Vec<FileEntry>) -> Result<Vec<String>, String> {
    let show = |entry: &Entry| {
        let kind = match entry.kind {
            EntryKind::Directory => 'd',
            EntryKind::Symlink(_) => 'l',
            _ => 'f',
        };
        format!(
            "{kind} {} {:o} {}:{}",
            entry.path, entry.mode, entry.uid, entry.gid
        )
    };
    match placed(
        &image(files),
        FileTree {
            layers: base,
            complete: true,
        },
    ) {
        Ok(placed) => Ok(placed.entries.iter().map(show).collect()),
        Err(AssembleStop::Refused(error)) => Err(error.to_string()),
        Err(AssembleStop::Unread(unread)) => panic!("{unread:?}"),
    }
}

#[test]
fn directories_and_links_of_the_base_are_kept() {
    let base = base(&[
        "d usr",
        "d usr/bin",
        "usr/bin<-bin",
        "d:1777:0:0 tmp",
        "d run",
        "../run<-var/run",
        "d var",
        "f usr/bin/sh",
        "busybox<-usr/bin/ash",
        "/etc/new<-etc/dangling",
        "i implied",
        "f implied/x",
    ]);
    for (given, expected) in [
        // Directories of the base, and links to them, at every level.
        (
            &["d /bin", "f /bin/tool", "d /tmp", "f /tmp/seed"][..],
            &["f usr/bin/tool 640 7:8", "f tmp/seed 640 7:8"][..],
        ),
        (
            &["d /var/run", "d /var/run/new", "f /var/run/new/pid"],
            &["d run/new 750 7:8", "f run/new/pid 640 7:8"],
        ),
        // A file whose target is a directory goes into it.
        (&["f /usr/bin tool"], &["f usr/bin/tool 640 7:8"]),
        (&["f /bin tool"], &["f usr/bin/tool 640 7:8"]),
        (&["f /implied tool"], &["f implied/tool 640 7:8"]),
        (
            &["d /opt/app", "f /opt/app tool"],
            &["d opt/app 750 7:8", "f opt/app/tool 640 7:8"],
        ),
        // A file replaces a file. Through a link it is written to the target of the link.
        (&["f /bin/sh"], &["f usr/bin/sh 640 7:8"]),
        (&["f /bin/ash"], &["f usr/bin/busybox 640 7:8"]),
        (&["f /etc/dangling"], &["f etc/new 640 7:8"]),
        (
            &["sh<-/bin/ash", "x<-/new"],
            &["l usr/bin/ash 777 7:8", "l new 777 7:8"],
        ),
        // A directory that a file implies still gets the owner and mode of its own entry.
        (
            &["f /srv/x", "d /srv"],
            &["f srv/x 640 7:8", "d srv 750 7:8"],
        ),
        (
            &["current<-/opt/now", "f /opt/now/x"],
            &["l opt/now 777 7:8", "f opt/current/x 640 7:8"],
        ),
        // An archive is never empty: nothing changes where a directory is described as it is.
        (&["d /tmp", "d /usr"], &["d tmp 1777 0:0"]),
        (&["d /implied"], &["d implied 755 0:0"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(placed_on(&base, files(given)), Ok(expected), "{given:?}");
    }
}

#[test]
fn the_error_names_the_obstacle() {
    let base = base(&[
        "d usr",
        "d usr/bin",
        "usr/bin<-bin",
        "f file",
        "d etc/conf.d",
        "loop<-loop",
    ]);
    for (given, expected) in [
        (
            &["f /bin"][..],
            "`from f /bin` cannot be placed at /bin: this is a directory of the image",
        ),
        (
            &["x<-/usr/bin"],
            "`from x<-/usr/bin` cannot be placed at /usr/bin: this is a directory of the image",
        ),
        (
            &["f /etc conf.d"],
            "`from f /etc conf.d` cannot be placed at /etc/conf.d: this is a directory of the image",
        ),
        (
            &["f /file/x"],
            "/file/x cannot be placed: /file is not a directory in the base",
        ),
        (
            &["d /file"],
            "/file cannot be placed: /file is not a directory in the base",
        ),
        (
            &["f /loop/x"],
            "/loop leads through too many symbolic links in the base",
        ),
        // Two sources that have the same target because of the base's links.
        (
            &["f /bin/x", "f /usr/bin/x"],
            "`from f /bin/x` and `from f /usr/bin/x` have the same target, `/usr/bin/x`",
        ),
        (
            &["f /bin x", "f /usr/bin/x"],
            "`from f /bin x` and `from f /usr/bin/x` have the same target, `/usr/bin/x`",
        ),
        (
            &["x<-/bin/y", "f /usr/bin/y"],
            "`from x<-/bin/y` and `from f /usr/bin/y` have the same target, `/usr/bin/y`",
        ),
        (
            &["f /new a", "f /new b"],
            "`from f /new a` and `from f /new b` have the same target, `/new`",
        ),
        (
            &["f /new a", "f /new/b"],
            "`from f /new a` and `from f /new/b` have the same target, `/new/b`",
        ),
        (
            &["f /new a", "d /new"],
            "`from f /new a` and `from d /new` have the same target, `/new`",
        ),
    ] {
        assert_eq!(
            placed_on(&base, files(given)),
            Err(expected.to_owned()),
            "{given:?}"
        );
    }
}

#[test]
fn owner_names_are_resolved_in_the_base() {
    let base = base(&["d srv"]);
    let owned = |user: &str, group: Option<&str>| {
        let owner = FileOwner::Named {
            user: user.to_owned(),
            group: group.map(str::to_owned),
        };
        vec![FileEntry {
            owner,
            mode: 0o6755,
            ..files(&["f /srv/x"]).remove(0)
        }]
    };
    for (user, group, expected) in [
        ("app", None, Ok("f srv/x 6755 1001:1002")),
        ("app", Some("adm"), Ok("f srv/x 6755 1001:4")),
        ("5", Some("adm"), Ok("f srv/x 6755 5:4")),
        ("app", Some("9"), Ok("f srv/x 6755 1001:9")),
        (
            "nosuch",
            None,
            Err("/etc/passwd of the base has no user `nosuch`, the owner of /srv/x"),
        ),
        (
            "app",
            Some("nosuch"),
            Err("/etc/group of the base has no group `nosuch`, the owner of /srv/x"),
        ),
        (
            "1000",
            Some("nosuch"),
            Err("/etc/group of the base has no group `nosuch`, the owner of /srv/x"),
        ),
    ] {
        let expected = expected
            .map(|line| vec![line.to_owned()])
            .map_err(str::to_owned);
        assert_eq!(
            placed_on(&base, owned(user, group)),
            expected,
            "{user}:{group:?}"
        );
    }
}
