//! The difference between two images.

use serde_json::{Value, json};

use crate::support::layout::{Base, index};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

const STATUS: &str = "var/lib/dpkg/status";

/// The lowest layer of both images.
const LOWEST: &[(&str, char, &str)] = &[
    (
        STATUS,
        'f',
        "Package: openssl\nVersion: 3.0.1\n\nPackage: gone\nVersion: 1\n",
    ),
    ("etc/a`b", 'f', "1"),
    ("etc/removed", 'f', "1"),
    ("bin", 's', "usr/bin"),
];

/// A layout with the images `a` and `b`.
fn images(a: &Base, b: &Base) -> Golden {
    let golden = Golden::new();
    let directory = golden.path().join("l");
    let (a, b) = (a.blobs(&directory), b.blobs(&directory));
    index(&directory, &[(&a, Some("a")), (&b, Some("b"))]);
    golden
}

fn first() -> Base {
    Base::new("linux/amd64")
        .runtime(
            "Labels",
            json!({
                "org.opencontainers.image.base.name": "docker.io/library/debian:12",
                "org.opencontainers.image.base.digest": "sha256:1",
                "old": "1",
            }),
        )
        .layer(LOWEST)
}

fn second() -> Base {
    Base::new("linux/amd64")
        .runtime(
            "Labels",
            json!({
                "org.opencontainers.image.base.name": "docker.io/library/debian:12",
                "org.opencontainers.image.base.digest": "sha256:2",
            }),
        )
        .runtime("User", json!("10001"))
        .runtime("Env", json!(["PATH=/bin:/opt/bin"]))
        .layer(LOWEST)
        .layer(&[
            (
                STATUS,
                'f',
                "Package: openssl\nVersion: 3.0.2\n\nPackage: new\nVersion: 1\n",
            ),
            ("etc/a`b", 'f', "23"),
            ("etc/.wh.removed", 'f', ""),
            ("bin", 'd', ""),
            ("opt/tool", 'f', "x"),
        ])
}

#[test]
fn a_version_that_golden_lock_records_as_a_security_update_is_marked() {
    let golden = images(&first(), &second()).workspace("");
    let diff = |format: &str| {
        let args = ["diff", "oci:l:a", "oci:l:b", "--format", format];
        golden.run(&args).exit(0).stdout
    };
    let lock = |version: &str, security: &str| {
        let text = format!(
            "version = 1\nbase = []\n[[packages]]\nimage = \"app\"\n{security}\
             [packages.versions]\nopenssl = \"{version}\"\n"
        );
        golden.write("golden.lock", text);
    };
    let mark = "security = [\"openssl\"]\n";
    for (version, security, is_marked) in [
        ("3.0.2", mark, true),
        ("3.0.2", "", false),
        ("3.0.3", mark, false),
    ] {
        lock(version, security);
        for format in ["text", "markdown"] {
            let text = diff(format);
            let is_shown = text.contains("3.0.1 → 3.0.2 (security)");
            assert_eq!(is_shown, is_marked, "{text}");
        }
        let json: Value = serde_json::from_str(&diff("json")).unwrap();
        let mut expected =
            json!({ "name": "openssl", "type": "deb", "from": "3.0.1", "to": "3.0.2" });
        if is_marked {
            expected["security"] = true.into();
        }
        assert_eq!(json["packages"]["changed"], json!([expected]));
    }
}

#[test]
fn two_images_are_compared_in_each_format() {
    let golden = images(&first(), &second());
    for format in ["text", "markdown"] {
        let run = golden
            .run(&["diff", "oci:l:a", "oci:l:b", "--format", format])
            .exit(0);
        insta::with_settings!({filters => vec![(r"\d+ B( \(\+\d+ B\))", "SIZE"), (r"\d+ B →", "SIZE →")]}, {
            insta::assert_snapshot!(format, run.stdout);
        });
    }
    let run = golden
        .run(&["diff", "oci:l:a", "oci:l:b", "--format", "json"])
        .exit(0);
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(found["schema"], 1);
    assert_eq!(
        found["packages"],
        json!({
            "added": [{"name": "new", "type": "deb", "version": "1"}],
            "removed": [{"name": "gone", "type": "deb", "version": "1"}],
            "changed": [{"name": "openssl", "type": "deb", "from": "3.0.1", "to": "3.0.2"}],
        })
    );
    let paths = |kind: &str| -> Vec<&str> {
        let files = found["files"][kind].as_array().unwrap().iter();
        files.map(|file| file["path"].as_str().unwrap()).collect()
    };
    assert_eq!(paths("added"), ["/opt/tool"]);
    assert_eq!(paths("removed"), ["/etc/removed"]);
    assert_eq!(
        paths("changed"),
        ["/bin", "/etc/a`b", "/var/lib/dpkg/status"]
    );
    let size = &found["size"];
    let number = |key: &str| size[key].as_i64().unwrap();
    assert_eq!(number("to") - number("from"), number("change"));
    let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["schema", "base", "config", "packages", "files", "size"]
    );
}

#[test]
fn the_exit_code_tells_whether_images_differ_only_on_request() {
    let golden = images(&first(), &second());
    golden.run(&["diff", "oci:l:a", "oci:l:b"]).exit(0);
    golden
        .run(&["diff", "oci:l:a", "oci:l:b", "--exit-code"])
        .exit(5);
    let same = golden
        .run(&["diff", "oci:l:a", "oci:l:a", "--exit-code"])
        .exit(0);
    assert!(
        same.stdout
            .contains("The images have the same base, config, packages and files.")
    );
}

#[test]
fn a_damaged_database_is_reported() {
    let damaged = Base::new("linux/amd64").layer(&[(STATUS, 'f', "Package: a\n\n")]);
    let golden = images(&first(), &damaged);
    let run = golden.run(&["diff", "oci:l:a", "oci:l:b"]).exit(1);
    assert!(
        run.stderr.contains("packages of oci:l:b are missing"),
        "{}",
        run.stderr
    );
}

#[test]
fn versions_of_a_workspace_image_are_compared_by_name() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = Golden::new().workspace(&format!(
        "[[registry]]\nname = \"r\"\nhost = \"{}\"\n",
        registry.host()
    ));
    let build = |version: &str, value: &str| {
        let text = format!(
            "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\n[env]\nA = \"{value}\"\n"
        );
        golden.write("app/image.toml", text);
        golden
            .run(&["build", "--push", "--engine", "embedded"])
            .exit(0);
    };
    build("1.0.0", "1");
    build("1.1.0", "2");
    let run = golden.run(&["diff", "app:1.0.0", "app:1.1.0"]).exit(0);
    assert!(run.stdout.contains("env A"), "{}", run.stdout);
    let run = golden.run(&["diff", "app:1.0.0", "app:9"]).exit(1);
    assert!(run.stderr.contains("has no tag `9`"), "{}", run.stderr);
}

#[test]
fn the_bases_of_two_images_are_compared_on_request() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden =
        Golden::new().workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"));
    let bases = ["BASE=1", "BASE=2"].map(|env| registry.image_for("base", "amd64", env, &[env]));
    for (base, version) in bases.iter().zip(["1.0.0", "1.1.0"]) {
        let spec = format!(
            "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"{host}/base@{base}\"\n\
             platforms = [\"linux/amd64\"]\n"
        );
        golden.write("app/image.toml", spec);
        golden.run(&["build", "--push"]).exit(0);
    }
    let json = |args: &[&str]| -> Value {
        let args = [
            &["diff", "app:1.0.0", "app:1.1.0", "--format", "json"],
            args,
        ]
        .concat();
        serde_json::from_str(&golden.run(&args).exit(0).stdout).unwrap()
    };
    assert_eq!(json(&[])["base"]["diff"], Value::Null);
    let env = json(&["--base"])["base"]["diff"]["config"]["env"]["changed"].clone();
    assert_eq!(env, json!([{ "name": "BASE", "from": "1", "to": "2" }]));
    for format in ["text", "markdown"] {
        let args = [
            "diff",
            "app:1.0.0",
            "app:1.1.0",
            "--base",
            "--format",
            format,
        ];
        let run = golden.run(&args).exit(0);
        assert!(run.stdout.contains(&bases[1]), "{}", run.stdout);
        assert_eq!(run.stdout.matches("BASE").count(), 2, "{}", run.stdout);
    }
}

#[test]
fn security_updates_that_cannot_be_known_are_refused_before_layers_are_read() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let [a, b] = ["1", "2"].map(|tag| {
        registry.layered("app", "amd64", &[tag], &json!({}), &[tag]);
        format!("{host}/app:{tag}")
    });
    let golden = images(&first(), &second()).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    for (from, code, expected) in [
        ("oci:l:a", 2, "is not in a registry"),
        (&a, 1, "the indexes of packages are read by an engine"),
    ] {
        let run = golden.run(&["diff", from, &b, "--security"]).exit(code);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        let requests = registry.requests();
        let is_blob = |line: &&String| line.contains("/blobs/");
        assert_eq!(requests.iter().find(is_blob), None, "{from}");
    }
}

#[test]
fn a_plan_shows_the_difference_from_the_published_images() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden =
        Golden::new().workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"));
    let write = |name: &str, version: &str, more: &str| {
        let spec = format!(
            "[image]\nname = \"{name}\"\nversion = \"{version}\"\nplatforms = [\"linux/amd64\"]\n{more}"
        );
        golden.write(&format!("{name}/image.toml"), spec);
    };
    let file = |text: &str| format!("[[files]]\ncontent = \"{text}\"\ntarget = \"/x\"\n");
    let parent = |text: &str| format!("base = \"scratch\"\n{}", file(text));
    write("parent", "1.0.0", &parent("a"));
    write(
        "child",
        "1.0.0",
        "base = { image = \"parent\" }\n[env]\nA = \"1\"\n",
    );
    registry.image_for("base", "amd64", "BASE=1", &["1"]);
    let steps = format!("base = \"{host}/base:1\"\n[[run]]\nscript = \"true\"\n");
    write("steps", "1.0.0", &steps);
    let plan = |names: &[&str], format: &str| {
        let args = [&["plan", "--diff", "--format", format], names].concat();
        golden.run(&args).exit(0).stdout
    };
    let text = plan(&["parent", "steps"], "text");
    assert!(
        text.contains("parent:1.0.0 is not compared: no version of it is published"),
        "{text}"
    );
    assert!(
        text.contains("steps:1.0.0 is not compared: a Docker Engine has to build it"),
        "{text}"
    );
    golden.run(&["build", "parent", "child", "--push"]).exit(0);
    let unchanged = plan(&["child"], "text");
    assert!(!unchanged.contains("size:"), "{unchanged}");
    write("parent", "1.1.0", &parent("b"));
    write(
        "child",
        "1.1.0",
        "base = { image = \"parent\" }\n[env]\nA = \"2\"\n",
    );
    let before = registry.requests().len();
    let document: Value = serde_json::from_str(&plan(&["child"], "json")).unwrap();
    let diffs = document["diffs"].as_array().unwrap();
    assert_eq!(diffs.len(), 1, "only selected images are shown");
    assert_eq!(diffs[0]["image"], "child:1.1.0");
    assert_eq!(diffs[0]["published"], format!("{host}/child:1.0.0"));
    let diff = &diffs[0]["diff"];
    assert_eq!(diff["files"]["changed"][0]["path"], "/x");
    assert_eq!(
        diff["config"]["env"]["changed"],
        json!([{ "name": "A", "from": "1", "to": "2" }])
    );
    let text = plan(&["child"], "text");
    assert!(
        text.contains(&format!("\n- {host}/child:1.0.0\n+ child:1.1.0\n")),
        "{text}"
    );
    let requests = registry.requests().split_off(before);
    let is_read = |line: &String| line.starts_with("GET ") || line.starts_with("HEAD ");
    assert!(requests.iter().all(is_read), "{requests:?}");
}
