//! `golden bump` writes the next version into the spec, and changes nothing else.

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

fn spec(name: &str, version: &str, label: &str) -> String {
    format!(
        "# {name}\n[image]\nname = \"{name}\"\nversion = \"{version}\" # the version\nbase = \"scratch\"\n\n\
         [labels]\nteam = \"{label}\"\n"
    )
}

fn read(golden: &Golden, path: &str) -> String {
    std::fs::read_to_string(golden.path().join(path)).unwrap()
}

#[test]
fn the_version_of_the_named_images_is_written() {
    let golden = Golden::new()
        .workspace("")
        .image("one", &spec("team/one", "1.2.3", "a"))
        .image("two", &spec("team/two", "0.1.0", "a"))
        .image("three", &spec("three", "1.0.0", "a"));
    let run = golden.run(&["bump", "team/*", "minor"]).exit(0);
    assert_eq!(
        run.stdout,
        "team/one  1.2.3 → 1.3.0  one/image.toml\nteam/two  0.1.0 → 0.2.0  two/image.toml\n"
    );
    assert_eq!(
        read(&golden, "one/image.toml"),
        spec("team/one", "1.3.0", "a")
    );
    assert_eq!(
        read(&golden, "two/image.toml"),
        spec("team/two", "0.2.0", "a")
    );
    assert_eq!(
        read(&golden, "three/image.toml"),
        spec("three", "1.0.0", "a")
    );
    golden.run(&["bump", "three", "2.0.0-rc.1"]).exit(0);
    assert_eq!(
        read(&golden, "three/image.toml"),
        spec("three", "2.0.0-rc.1", "a")
    );
}

#[test]
fn a_version_that_cannot_be_written_changes_no_file() {
    let matrix = "[image]\nname = \"m\"\nversion = \"{{ matrix.v }}\"\nbase = \"scratch\"\n[matrix]\nv = [\"1.0.0\", \"2.0.0\"]\n";
    let golden = Golden::new()
        .workspace("")
        .image("a", &spec("a", "1.2.3", "x"))
        .image("m", matrix);
    for (args, expected) in [
        (
            &["bump", "a", "m", "patch"][..],
            "m/image.toml: the version is not written as",
        ),
        (&["bump", "a", "1.2.3"], "a: 1.2.3 is not higher than 1.2.3"),
        (&["bump", "a", "1.2"], "version `1.2` has only two numbers"),
        (&["bump", "a"], "golden bump a patch"),
        (&["bump", "a", "1.2.4+r4"], "golden bump a patch"),
        (&["bump", "a", "01.2.4"], "golden bump a patch"),
        (&["bump", "a", "Minor"], "golden bump a minor"),
        (&["bump", "1.2.4+r4"], "golden bump IMAGE patch"),
        (&["bump", "patch"], "golden bump --stale patch"),
        (&["bump", "--stale", "1.2"], ": golden bump --stale patch\n"),
        (
            &["bump", "--stale", "Minor"],
            ": golden bump --stale minor\n",
        ),
        (
            &["bump", "--stale", "a", "1.2"],
            ": golden bump --stale a patch\n",
        ),
        (&["bump", "b", "patch"], "`b`"),
        (&["bump", "--stale", "patch"], "no registry is configured"),
    ] {
        let run = golden.run(args).exit(2);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
        assert_eq!(read(&golden, "a/image.toml"), spec("a", "1.2.3", "x"));
    }
}

#[test]
fn no_file_changes_if_one_of_them_cannot_be_written() {
    let golden = Golden::new()
        .workspace("")
        .image("a", &spec("a", "1.2.3", "x").replace(" = \"a\"", "=\"a\""))
        .image("b", &spec("b", "1.2.3", "x").replace(" = \"b\"", "=\"b\""));
    let before = ["a", "b"].map(|name| read(&golden, &format!("{name}/image.toml")));
    golden.set_mode("", 0o777);
    golden.set_mode("a", 0o777);
    golden.set_mode("b", 0o555);
    for args in [&["bump", "*", "patch"][..], &["fmt"]] {
        let run = golden.run_without_root(args).exit(1);
        let stderr = run
            .stderr
            .replace(golden.path().to_str().unwrap(), "WORKSPACE");
        assert_eq!(
            stderr,
            "error: cannot write WORKSPACE/b/image.toml: Permission denied (os error 13)\n"
        );
        let after = ["a", "b"].map(|name| read(&golden, &format!("{name}/image.toml")));
        assert_eq!(after, before);
        let files = std::fs::read_dir(golden.path().join("a")).unwrap().count();
        assert_eq!(files, 1, "a temporary file is left");
    }
    golden.set_mode("b", 0o755);
}

#[test]
fn only_images_that_differ_from_what_is_published_are_stale() {
    let registry = FakeRegistry::start(Behaviour::default());
    let table = format!(
        "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
        registry.host()
    );
    let child = "[image]\nname = \"child\"\nversion = \"3.0.0\"\nbase = { image = \"one\" }\n";
    let golden = Golden::new()
        .env("SOURCE_DATE_EPOCH", "0")
        .workspace(&table)
        .image("one", &spec("one", "1.2.3", "a"))
        .image("two", &spec("two", "1.2.3", "a"))
        .image("child", child);
    golden.run(&["build", "--push"]).exit(0);
    golden.write("new/image.toml", spec("new", "1.0.0", "a"));
    let run = golden.run(&["bump", "--stale", "patch"]).exit(0);
    assert_eq!(run.stdout, "");
    golden.write("one/image.toml", spec("one", "1.2.3", "b"));
    let run = golden
        .run(&["bump", "--stale", "patch", "--format", "json"])
        .exit(0);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let images = document["images"].as_array().unwrap();
    let names: Vec<&str> = images
        .iter()
        .map(|image| image["image"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["one", "child"], "{document:#}");
    assert_eq!(read(&golden, "one/image.toml"), spec("one", "1.2.4", "b"));
    assert!(read(&golden, "child/image.toml").contains("\"3.0.1\""));
    golden.run(&["build", "--push"]).exit(0);
    let run = golden.run(&["bump", "--stale", "patch"]).exit(0);
    assert_eq!(run.stdout, "");
}

#[test]
fn variants_of_one_version_are_told_apart() {
    let registry = FakeRegistry::start(Behaviour::default());
    let table = format!(
        "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
        registry.host()
    );
    let variant = |name: &str, label: &str| {
        spec("app", "1.2.3", label).replace(
            "base = \"scratch\"",
            &format!("base = \"scratch\"\nvariant = \"{name}\""),
        )
    };
    let golden = Golden::new()
        .env("SOURCE_DATE_EPOCH", "0")
        .workspace(&table)
        .image("slim", &variant("slim", "a"))
        .image("full", &variant("full", "a"));
    golden.run(&["build", "--push"]).exit(0);
    golden.write("slim/image.toml", variant("slim", "b"));
    let run = golden.run(&["bump", "--stale", "patch"]).exit(0);
    assert_eq!(run.stdout, "app  1.2.3 → 1.2.4  slim/image.toml\n");
    assert_eq!(read(&golden, "full/image.toml"), variant("full", "a"));
}
