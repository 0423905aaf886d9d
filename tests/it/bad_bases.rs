//! Broken, hostile or unusable bases: each is refused with the cause, and nothing is written.

use std::io::Write as _;
use std::time::{Duration, Instant};

use golden::oci::media;
use golden::reference::Digest;

use crate::support::layout::{Base, gzip, tar};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::services;
use crate::support::workspace::{Golden, Run};

/// Builds an image on `base` that needs the layers of the base.
fn build_on(base: &Base) -> (Golden, Run) {
    let golden = Golden::new().workspace("").image(
        "image",
        "[image]\nname = \"bad\"\nversion = \"1.0.0\"\nbase = \"oci:../base\"\n\
         [[files]]\ncontent = \"x\"\ntarget = \"/srv/x\"\nowner = \"app\"\n",
    );
    base.write(&golden.path().join("base"), "any");
    let run = golden.run(&["build", "--engine", "embedded"]);
    (golden, run)
}

/// Asserts that such a build fails with this message and leaves no files.
#[track_caller]
fn assert_refused(base: &Base, message: &str) -> Run {
    let (golden, run) = build_on(base);
    let run = run.exit(1);
    assert!(run.stderr.contains(message), "{message}:\n{}", run.stderr);
    assert!(
        !golden.path().join(".golden/oci").exists(),
        "something was written"
    );
    run
}

fn valid_base() -> Base {
    Base::here().layer(&[("etc/passwd", 'f', "app:x:7:8::/:\n")])
}

#[test]
fn a_valid_base_is_accepted() {
    build_on(&valid_base()).1.exit(0);
}

#[test]
fn names_outside_the_root_are_refused() {
    let out = "leads out of the image's root";
    for entry in [
        ("../etc/passwd", 'f', "app:x:0:0::/:\n"),
        ("a/../../x", 'd', ""),
        ("..", 'd', ""),
    ] {
        assert_refused(
            &valid_base().layer(&[entry]),
            &format!("the entry {:?} {out}", entry.0),
        );
    }
    assert_refused(
        &valid_base().layer(&[("passwd", 'l', "../../etc/shadow")]),
        out,
    );
    // A symbolic link may have any target: it is followed within the root, as in a container.
    let base = Base::here().layer(&[
        ("real/passwd", 'f', "app:x:7:8::/:\n"),
        ("etc", 's', "../../../../real"),
    ]);
    build_on(&base).1.exit(0);
    // An absolute name means the root of the image, for every engine.
    build_on(&Base::here().layer(&[("/etc/passwd", 'f', "app:x:7:8::/:\n")]))
        .1
        .exit(0);
}

#[test]
fn circular_links_are_an_error() {
    assert_refused(
        &Base::here().layer(&[("etc", 's', "a"), ("a", 's', "etc")]),
        "leads through too many symbolic links in the base",
    );
}

#[test]
fn a_decompression_bomb_is_refused() {
    // Twenty gzip members of 64 MiB: 1.3 GB of zeros in about as many kilobytes.
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_size(20 * (64 << 20));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    let zeros = gzip(&vec![0; 64 << 20]);
    let mut bomb = gzip(header.as_bytes());
    for _ in 0..20 {
        bomb.write_all(&zeros).unwrap();
    }
    let base = valid_base().layer_as(media::OCI_LAYER_GZIP, bomb, Digest::of(b"never reached"));
    let start = Instant::now();
    assert_refused(
        &base,
        "it unpacks to far more than its size: a decompression bomb?",
    );
    assert!(
        start.elapsed() < Duration::from_mins(1),
        "{:?}",
        start.elapsed()
    );
}

/// Names are kept in memory, so a name of a gigabyte is refused.
#[test]
fn a_decompression_bomb_in_a_name_is_refused() {
    // GNU long names end with a NUL byte.
    for (kind, found) in [
        ('L', "a name of 943718399"),
        ('K', "a link to a name of 943718399"),
        ('x', "a name of 943718400"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_path("name").unwrap();
        header.set_entry_type(tar::EntryType::new(u8::try_from(kind).unwrap()));
        header.set_size(900 << 20);
        header.set_cksum();
        let mut bomb = gzip(header.as_bytes());
        let zeros = gzip(&vec![0; 100 << 20]);
        for _ in 0..9 {
            bomb.write_all(&zeros).unwrap();
        }
        let base = valid_base().layer_as(media::OCI_LAYER_GZIP, bomb, Digest::of(b"never reached"));
        assert_refused(
            &base,
            &format!("of the base cannot be read: it has {found} bytes"),
        );
    }
}

#[test]
fn a_truncated_layer_is_named() {
    let plain = tar(&[("etc/passwd", 'f', &"app:x:7:8::/:\n".repeat(1000))]);
    let packed = gzip(&plain);
    let torn = packed[..packed.len() - 20].to_vec();
    let base = Base::here().layer_as(media::OCI_LAYER_GZIP, torn.clone(), Digest::of(&plain));
    assert_refused(
        &base,
        &format!("layer {} of the base cannot be read: ", Digest::of(&torn)),
    );
    let nothing = b"this text is not an archive, but it is long enough to look like one".repeat(20);
    let base = Base::here().layer_as(media::OCI_LAYER_GZIP, gzip(&nothing), Digest::of(&nothing));
    assert_refused(&base, "of the base cannot be read: ");
}

#[test]
fn a_layer_that_contradicts_the_config_is_refused() {
    let plain = tar(&[("etc/passwd", 'f', "app:x:7:8::/:\n")]);
    let (found, expected) = (Digest::of(&plain), Digest::of(b"something else"));
    let base = Base::here().layer_as(media::OCI_LAYER_GZIP, gzip(&plain), expected.clone());
    assert_refused(
        &base,
        &format!("its content has the digest {found}, but the base's config says {expected}"),
    );
}

#[test]
fn layers_of_unknown_or_foreign_media_types_are_refused() {
    let plain = tar(&[("etc/passwd", 'f', "app:x:7:8::/:\n")]);
    let base_with =
        |media_type: &str| Base::here().layer_as(media_type, gzip(&plain), Digest::of(&plain));
    let table = [
        (
            base_with("application/vnd.example.layer"),
            "the media type application/vnd.example.layer, which golden does not support",
        ),
        (
            base_with("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
            "a foreign layer: its content is stored at other URLs, and registries refuse it",
        ),
        (
            base_with("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            "a foreign layer: its content is stored at other URLs, and registries refuse it",
        ),
        (
            base_with(media::OCI_LAYER_GZIP).foreign(),
            "a foreign layer: its content is stored at other URLs, and registries refuse it",
        ),
    ];
    for (base, message) in table {
        assert_refused(&base, message);
    }
}

/// Docker refuses it too: the container would not start.
#[test]
fn a_working_directory_that_is_a_file_is_refused() {
    let text = "[image]\nname = \"bad\"\nversion = \"1.0.0\"\nbase = \"oci:../base\"\n[config]\nworkdir = \"/etc/passwd\"\n";
    let golden = Golden::new().workspace("").image("image", text);
    valid_base().write(&golden.path().join("base"), "any");
    let run = golden.run(&["build", "--engine", "embedded"]).exit(1);
    assert!(
        run.stderr
            .contains("/etc/passwd is not a directory in the base"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_base_for_another_platform_is_refused() {
    let run = assert_refused(
        &Base::new("linux/s390x"),
        "the base oci:../base is not for linux/",
    );
    assert!(
        run.stderr.contains("; it is for linux/s390x"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("to build for linux/s390x, set platforms = "),
        "{}",
        run.stderr
    );
}

#[test]
fn a_missing_base_is_named() {
    let base = format!("{}/nowhere/nothing:1", services::registry());
    let text = format!("[image]\nname = \"bad\"\nversion = \"1.0.0\"\nbase = \"{base}\"\n");
    let golden = Golden::new()
        .workspace("")
        .image("image", &text)
        .env("DOCKER_HOST", "unix:///nowhere");
    let run = golden.run(&["build", "--engine", "embedded"]).exit(1);
    assert!(
        run.stderr.contains(&base)
            && run
                .stderr
                .contains("not found: the registry answered 404 NAME_UNKNOWN; no Docker Engine answers at unix:///nowhere"),
        "{}",
        run.stderr
    );
}

#[cfg(unix)]
#[test]
fn a_link_does_not_replace_a_file_that_was_placed_before() {
    let before = "[[files]]\ncontent = \"x\"\ntarget = \"/link/x\"\n";
    let links = "[[files]]\nsource = \"tree\"\ntarget = \"/\"\n";
    let head = "[image]\nname = \"bad\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n";
    let golden = Golden::new()
        .workspace("")
        .image("image", &format!("{head}{before}{links}"));
    golden.write("image/tree/real/y", "y");
    std::os::unix::fs::symlink("real", golden.path().join("image/tree/link")).unwrap();
    let run = golden.run(&["build", "--engine", "embedded"]).exit(2);
    let message =
        "`/link/x` cannot be placed in `/link`, which is replaced by a symbolic link later";
    assert!(run.stderr.contains(message), "{}", run.stderr);
    // In the other order, the file is written to the target of the link.
    golden.write("image/image.toml", format!("{head}{links}{before}"));
    golden.run(&["build", "--engine", "embedded"]).exit(0);
}

#[test]
fn a_source_that_is_neither_file_nor_directory_is_refused() {
    let golden = Golden::new().workspace("").image(
        "image",
        "[image]\nname = \"bad\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n[[files]]\nsource = \"tree\"\ntarget = \"/tree\"\n",
    );
    golden.write("image/tree/file", "x");
    let tree = golden.path().join("image/tree");
    let make: [&dyn Fn(); 3] = [
        &|| mknod(&tree.join("odd"), &["p"]),
        &|| drop(std::os::unix::net::UnixListener::bind(tree.join("odd")).unwrap()),
        &|| mknod(&tree.join("odd"), &["c", "1", "3"]),
    ];
    for make in make {
        make();
        let run = golden.run(&["build", "--engine", "embedded"]).exit(2);
        let message = "`image/tree/odd` cannot be read: it is neither a file nor a directory nor a symbolic link";
        assert!(run.stderr.contains(message), "{}", run.stderr);
        std::fs::remove_file(tree.join("odd")).unwrap();
    }
}

fn mknod(path: &std::path::Path, kind: &[&str]) {
    let status = std::process::Command::new("mknod")
        .arg(path)
        .args(kind)
        .status()
        .unwrap();
    assert!(status.success());
}

/// A failure is reported once with its help, in addition to the line in the summary.
#[test]
fn a_base_that_is_refused_is_reported_once() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image_for("base", "arm64", "a=b", &["1"]);
    let image = format!(
        "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"{}/base:1\"\nplatforms = [\"linux/amd64\"]\n",
        registry.host()
    );
    let golden = Golden::new().workspace("").image("app", &image);
    let run = golden.run(&["build", "--engine", "embedded"]).exit(1);
    let reports = run
        .stderr
        .lines()
        .filter(|line| line.contains("is not for linux/amd64"));
    assert_eq!(reports.count(), 1, "{}", run.stderr);
    let failed = run
        .stderr
        .lines()
        .filter(|line| line.contains("app:1.0.0: failed"));
    assert_eq!(failed.count(), 1, "{}", run.stderr);
    let quiet = golden.run(&["-q", "build", "--engine", "embedded"]).exit(1);
    assert!(
        quiet.stderr.starts_with("error: app:1.0.0: the base"),
        "{}",
        quiet.stderr
    );
}
