//! The same inputs give the same image: in another folder, time zone, locale and umask, with one job or eight.

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

/// The digests that the layout of a build names, by image.
fn digests(golden: &Golden) -> Vec<(String, String)> {
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    let text = std::fs::read(golden.path().join(".golden/oci/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let line = |line: &serde_json::Value| {
        (text(&line["annotations"]["org.opencontainers.image.ref.name"]), text(&line["digest"]))
    };
    index["manifests"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn builds_are_equal_wherever_and_however_they_run() {
    let one = workspace().env("TZ", "UTC").env("LC_ALL", "C");
    one.run(&["build", "--engine", "embedded", "--jobs", "1"]).exit(0);
    let two = workspace().env("TZ", "Asia/Tokyo").env("LC_ALL", "tr_TR.UTF-8");
    let command = two.command(&["build", "--engine", "embedded", "--jobs", "8"]);
    // Another umask, through a shell: the files of the workspace are there already, what golden writes is not.
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    shell.current_dir(two.path()).env_clear();
    shell.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    Run::of(shell.output().unwrap()).exit(0);
    let found = digests(&one);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found, digests(&two));
    one.run(&["build", "--engine", "embedded", "--force"]).exit(0);
    assert_eq!(found, digests(&two), "a second build with a warm cache differs");
}

#[test]
fn skopeo_and_umoci_read_the_layout() {
    let golden = workspace();
    golden.run(&["build", "--engine", "embedded"]).exit(0);
    let layout = golden.path().join(".golden/oci");
    let layout = layout.to_str().unwrap();
    let read = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for name in ["repro/one:1.2.3", "repro/two:1.2.3"] {
        let copy = golden.path().join("copy");
        let target = format!("dir:{}", copy.to_str().unwrap());
        read("skopeo", &["copy", "--insecure-policy", &format!("oci:{layout}:{name}"), &target]);
        let bundle = golden.path().join(name.replace(['/', ':'], "-"));
        read(
            "umoci",
            &["unpack", "--rootless", "--image", &format!("{layout}:{name}"), bundle.to_str().unwrap()],
        );
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        let text = std::fs::read_to_string(bundle.join("rootfs/opt/a/b")).unwrap();
        assert_eq!(text, "hello\n");
    }
}

#[test]
fn a_second_push_uploads_nothing_and_moves_nothing() {
    let golden = workspace();
    let registry = format!("{}/again-{}", services::registry(), std::process::id());
    let push = ["build", "--push", "--engine", "embedded", "--registry", registry.as_str()];
    golden.run(&push).exit(0);
    let before = golden.run(&["ls", &format!("{registry}/repro/two")]).exit(0).stdout;
    std::fs::remove_dir_all(golden.path().join(".golden")).unwrap();
    let again = golden.run(&push).exit(0);
    assert!(!again.stderr.contains("upload"), "{}", again.stderr);
    assert_eq!(before, golden.run(&["ls", &format!("{registry}/repro/two")]).exit(0).stdout);
}
