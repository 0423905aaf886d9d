//! The same inputs give the same image: in another directory, time zone, locale and umask, and with
//! any number of jobs.

use std::process::Command;

use crate::support::services;
use crate::support::workspace::{Golden, Run};

/// A workspace of two images, one built on the other.
fn workspace() -> Golden {
    let base = services::base_busybox();
    Golden::new()
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .workspace("[defaults.labels]\nvendor = \"Example\"\n")
        .image(
            "one",
            &format!(
                "[image]\nname = \"repro/one\"\nversion = \"1.2.3\"\nbase = \"{base}\"\nfamily = \"static\"\n\
                 [env]\nA = \"ü \\\"$x\"\n[[files]]\nsource = \"files/\"\ntarget = \"/etc/one/\"\n\
                 [[files]]\ncontent = \"hello\\n\"\ntarget = \"/opt/a/b\"\nmode = \"4750\"\nowner = \"7:8\"\n"
            ),
        )
        .file("one/files/b", "b".repeat(100_000))
        .file("one/files/a/c", "c")
        .image(
            "two",
            "[image]\nname = \"repro/two\"\nversion = \"1.2.3\"\nbase = { image = \"repro/one\" }\n[labels]\ntwo = \"2\"\n",
        )
}

/// The digests in the layout of a build, by image.
fn digests(golden: &Golden) -> Vec<(String, String)> {
    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    let text = std::fs::read(golden.path().join(".golden/oci/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let line = |line: &serde_json::Value| {
        (
            text(&line["annotations"]["org.opencontainers.image.ref.name"]),
            text(&line["digest"]),
        )
    };
    index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .collect()
}

#[test]
fn builds_are_identical_in_every_environment() {
    let one = workspace().env("TZ", "UTC").env("LC_ALL", "C");
    one.run(&["build", "--engine", "embedded", "--jobs", "1"])
        .exit(0);
    let two = workspace()
        .env("TZ", "Asia/Tokyo")
        .env("LC_ALL", "tr_TR.UTF-8");
    let command = two.command(&["build", "--engine", "embedded", "--jobs", "8"]);
    // Another umask, set by a shell: it affects only the files that golden writes.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    shell.current_dir(two.path()).env_clear();
    shell.envs(
        command
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    Run::of(shell.output().unwrap()).exit(0);
    let found = digests(&one);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found, digests(&two));
    one.run(&["build", "--engine", "embedded", "--force"])
        .exit(0);
    assert_eq!(
        found,
        digests(&two),
        "a second build with a warm cache differs"
    );
}

/// Another user, who can neither read root's files nor write outside their own, builds the same
/// image.
#[test]
fn every_user_builds_the_same_image() {
    use std::os::unix::process::CommandExt as _;
    let (one, two) = (workspace(), workspace());
    one.run(&["build", "--engine", "embedded"]).exit(0);
    let program = two.path().join("golden");
    std::fs::copy(env!("CARGO_BIN_EXE_golden"), &program).unwrap();
    let owned = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(two.path())
        .status()
        .unwrap();
    assert!(owned.success());
    let wanted = two.command(&["build", "--engine", "embedded"]);
    let mut command = Command::new(program);
    command
        .args(wanted.get_args())
        .uid(65534)
        .gid(65534)
        .current_dir(two.path())
        .env_clear();
    command
        .envs(
            wanted
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .env("HOME", two.path());
    Run::of(command.output().unwrap()).exit(0);
    assert_eq!(digests(&one), digests(&two));
}

/// Without `SOURCE_DATE_EPOCH`, the time is that of the last commit that touched the image, in
/// every clone.
#[test]
fn the_time_of_the_image_is_that_of_its_commit() {
    let built = |at: &str, epoch: Option<&str>| {
        let golden = Golden::new().workspace("").image(
            "one",
            "[image]\nname = \"timed\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n\
             [[files]]\ncontent = \"x\"\ntarget = \"/x\"\n",
        );
        let golden = match epoch {
            Some(epoch) => golden.env("SOURCE_DATE_EPOCH", epoch),
            None => golden,
        };
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(golden.path()).args(args);
            for (key, value) in [
                ("GIT_AUTHOR_DATE", at),
                ("GIT_COMMITTER_DATE", at),
                ("GIT_AUTHOR_NAME", "a"),
                ("GIT_AUTHOR_EMAIL", "a@example.com"),
                ("GIT_COMMITTER_NAME", "a"),
                ("GIT_COMMITTER_EMAIL", "a@example.com"),
            ] {
                command.env(key, value);
            }
            assert!(command.output().unwrap().status.success(), "{args:?}");
        };
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "one"]);
        golden.run(&["build", "--engine", "embedded"]).exit(0);
        let shown = golden
            .run(&["inspect", "oci:.golden/oci:timed:1.0.0", "--format", "json"])
            .exit(0);
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
        (
            shown["created"].as_str().unwrap().to_owned(),
            digests(&golden),
        )
    };
    let first = built("2021-02-03T04:05:06Z", None);
    assert_eq!(first.0, "2021-02-03T04:05:06Z");
    assert_eq!(first, built("2021-02-03T04:05:06Z", None));
    assert_ne!(first.1, built("2022-02-03T04:05:06Z", None).1);
    assert_eq!(
        built("2021-02-03T04:05:06Z", Some("0")).0,
        "1970-01-01T00:00:00Z"
    );
}

#[test]
fn skopeo_and_umoci_read_the_layout() {
    let golden = workspace();
    golden.run(&["build", "--engine", "embedded"]).exit(0);
    let layout = golden.path().join(".golden/oci");
    let layout = layout.to_str().unwrap();
    let read = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    for name in ["repro/one:1.2.3", "repro/two:1.2.3"] {
        let copy = golden.path().join("copy");
        let target = format!("dir:{}", copy.to_str().unwrap());
        read(
            "skopeo",
            &[
                "copy",
                "--insecure-policy",
                &format!("oci:{layout}:{name}"),
                &target,
            ],
        );
        let bundle = golden.path().join(name.replace(['/', ':'], "-"));
        read(
            "umoci",
            &[
                "unpack",
                "--rootless",
                "--image",
                &format!("{layout}:{name}"),
                bundle.to_str().unwrap(),
            ],
        );
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        let text = std::fs::read_to_string(bundle.join("rootfs/opt/a/b")).unwrap();
        assert_eq!(text, "hello\n");
    }
}

#[test]
fn a_second_push_uploads_nothing_and_moves_nothing() {
    let golden = workspace();
    let registry = format!("{}/again-{}", services::registry(), std::process::id());
    let push = [
        "build",
        "--push",
        "--engine",
        "embedded",
        "--registry",
        registry.as_str(),
    ];
    golden.run(&push).exit(0);
    let before = golden
        .run(&["ls", &format!("{registry}/repro/two")])
        .exit(0)
        .stdout;
    golden.forget();
    let again = golden.run(&push).exit(0);
    assert!(!again.stderr.contains("upload"), "{}", again.stderr);
    assert_eq!(
        before,
        golden
            .run(&["ls", &format!("{registry}/repro/two")])
            .exit(0)
            .stdout
    );
}

/// Emulates a processor of 2004, without the instructions that compressors and hash functions
/// choose their algorithm by.
#[cfg(target_arch = "x86_64")]
#[test]
fn an_old_processor_makes_the_same_bytes() {
    let here = workspace();
    here.run(&["build", "--engine", "embedded"]).exit(0);
    let there = workspace();
    let command = there.command(&["build", "--engine", "embedded"]);
    let mut emulated = Command::new("qemu-x86_64");
    emulated
        .args(["-cpu", "qemu64"])
        .arg(command.get_program())
        .args(command.get_args());
    emulated.current_dir(there.path()).env_clear();
    emulated.envs(
        command
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    Run::of(emulated.output().unwrap()).exit(0);
    assert_eq!(digests(&here), digests(&there));
}
