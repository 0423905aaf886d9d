//! `[[test]]`: the spec, `golden test`, and publishing.

use golden::oci::{Descriptor, media};
use serde_json::{Value, json};

use crate::support::layout::{Base, index};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

/// An image on scratch with a file, a label and a port.
const APP: &str = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n\
    [labels]\nowner = \"team@example.com\"\n[config]\nexpose = [8080]\nuser = \"10001\"\n\
    [[files]]\ncontent = \"hello\\nworld\\n\"\ntarget = \"/etc/motd\"\n";

fn app(tests: &str) -> Golden {
    let golden = Golden::new().workspace("").env("SOURCE_DATE_EPOCH", "0");
    golden.image("app", &format!("{APP}{tests}"))
}

/// A workspace that publishes to a registry.
fn published(registry: &FakeRegistry, tests: &str) -> Golden {
    let host = registry.host();
    app(tests).workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"))
}

#[test]
fn mistakes_in_tests_are_reported_with_their_position() {
    for (test, message, place) in [
        ("mode = \"0644\"", "a [[test]] needs a subject", "14:1"),
        (
            "file = \"/a\"\npackage = \"b\"",
            "this one has `file` and `package`",
            "16:11",
        ),
        ("fil = \"/a\"", "unknown key `fil` in `test`", "15:1"),
        (
            "file = \"/a\"\nversion = \">=1\"",
            "`version` is not an assertion about `file`",
            "16:11",
        ),
        (
            "package = \"a\"\nversion = \"newest!\"",
            "`newest!` is not a requirement",
            "16:11",
        ),
        ("file = \"a\"", "`a` is not an absolute path", "15:8"),
        (
            "file = \"/a\"\nmode = \"0999\"",
            "`0999` is not a mode",
            "16:8",
        ),
        (
            "file = \"/a\"\nmode = 644",
            "invalid type: integer `644`",
            "16:8",
        ),
        (
            "file = \"/a\"\nmatches = \"(\"",
            "`(` is not a regular expression",
            "16:11",
        ),
        (
            "file = \"/a\"\nsha256 = \"12\"",
            "`12` is not a SHA-256",
            "16:10",
        ),
        (
            "file = \"/a\"\ntype = \"socket\"",
            "\"socket\" is not one of",
            "16:8",
        ),
        (
            "file = \"/a\"\nexists = false\nmode = \"0644\"",
            "cannot both hold",
            "17:8",
        ),
        (
            "file = \"/a\"\ntype = \"dir\"\ncontains = \"x\"",
            "a directory has no content",
            "17:12",
        ),
        (
            "env = \"A\"\nequals = [\"x\"]",
            "the value is a string, not a list",
            "16:10",
        ),
        (
            "config = \"user\"",
            "a test of `config` needs `equals`",
            "15:10",
        ),
        (
            "config = \"users\"\nequals = \"x\"",
            "\"users\" is not one of",
            "15:10",
        ),
        ("port = \"0\"", "port 0 does not exist", "15:8"),
        (
            "certificate = \"none.crt\"",
            "`none.crt` does not exist",
            "15:15",
        ),
        ("size = \"packed\"", "a test of `size` needs `max`", "15:8"),
        (
            "size = \"packed\"\nmax = \"1 mile\"",
            "`1 mile` is not a size",
            "16:7",
        ),
        ("run = []", "`run` needs the name of a program", "15:7"),
        ("run = [\"\"]", "`run` needs the name of a program", "15:7"),
        ("run = \"true\"", "expected a list", "15:7"),
        (
            "run = [\"true\"]\nexit = 256",
            "`256` is not an exit status (0 to 255)",
            "16:8",
        ),
        (
            "run = [\"true\"]\nexit = -1",
            "`-1` is not an exit status (0 to 255)",
            "16:8",
        ),
        (
            "run = [\"true\"]\ncontains = \"a\"",
            "`contains` is not an assertion about `run`",
            "16:12",
        ),
        (
            "file = \"/a\"\nexit = 0",
            "`exit` is not an assertion about `file`",
            "16:8",
        ),
        (
            "file = \"/a\"\nenv = { A = \"1\" }",
            "`env` is not an assertion about `file`",
            "16:7",
        ),
        (
            "run = [\"true\"]\nenv = \"A\"",
            "`env` of a test of `run` is a table of variables",
            "16:7",
        ),
        (
            "run = [\"true\"]\nenv = { \"A=B\" = \"1\" }",
            "`A=B` is not the name of a variable",
            "16:7",
        ),
        (
            "run = [\"true\"]\nfile = \"/a\"",
            "this one has `file` and `run`",
            "15:7",
        ),
        (
            "run = [\"true\"]\nstdout = {}",
            "`stdout` needs `contains`, `matches` or `equals`",
            "16:10",
        ),
        (
            "run = [\"true\"]\nstdout = { contain = \"a\" }",
            "unknown key `contain`",
            "16:12",
        ),
        (
            "run = [\"true\"]\nstderr = { matches = \"(\" }",
            "`(` is not a regular expression",
            "16:22",
        ),
        (
            "run = [\"true\"]\nuser = \"\"",
            "`user` cannot be empty",
            "16:8",
        ),
        (
            "run = [\"true\"]\ntimeout = \"soon\"",
            "`soon` is not a duration",
            "16:11",
        ),
        (
            "run = [\"true\"]\ntimeout = \"0s\"",
            "the time limit must be longer than 0",
            "16:11",
        ),
        (
            "label = \"a\"\nequals = \"{{ vars.none }}\"",
            "`vars.none` is not defined",
            "16:10",
        ),
    ] {
        let run = app(&format!("[[test]]\n{test}\n")).run(&["check"]).exit(2);
        assert!(run.stderr.contains(message), "{test}: {}", run.stderr);
        let place = format!("app/image.toml:{place}");
        assert!(run.stderr.contains(&place), "{test}: {}", run.stderr);
    }
}

const TESTS: &str = r#"
[[test]]
file = "/etc/motd"
mode = "0644"
matches = "(?m)^world$"

[[test]]
name = "the owner is the team"
label = "owner"
equals = "operations@example.com"

[[test]]
config = "user"
equals = "10001"

[[test]]
file = "/etc/motd"
mode = "0600"
contains = "<hello>"
"#;

#[test]
fn all_results_are_shown_and_a_failure_exits_with_1() {
    let golden = app(TESTS).file(
        "golden.toml",
        "[[defaults.test]]\nport = 8080\n\n[[defaults.test]]\nlabel = \"org.opencontainers.image.title\"\nequals = \"{{ image.name }}\"\n",
    );
    let run = golden.run(&["test", "app", "--junit", "out.xml"]).exit(1);
    insta::assert_snapshot!(run.stdout, @r#"
    app:1.0.0 linux/amd64
      passed  port 8080/tcp
      passed  label org.opencontainers.image.title
      passed  file /etc/motd
      failed  the owner is the team (label owner), app/image.toml:20
              equals: expected "operations@example.com", found "team@example.com"
      passed  config user
      failed  file /etc/motd, app/image.toml:29
              mode: expected 0600, found 0644
              contains: expected <hello>, found "hello\nworld\n"
    6 tests: 4 passed, 2 failed
    "#);
    assert!(!golden.path().join(".golden/oci").exists());
    let junit = std::fs::read_to_string(golden.path().join("out.xml")).unwrap();
    let times = regex::Regex::new("time=\"[0-9.]+\"").unwrap();
    insta::assert_snapshot!(times.replace_all(&junit, "time=\"\""), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="golden" tests="6" failures="2" errors="0">
      <testsuite name="app:1.0.0 linux/amd64" tests="6" failures="2" errors="0" time="">
        <testcase classname="app:1.0.0" name="port 8080/tcp" time=""/>
        <testcase classname="app:1.0.0" name="label org.opencontainers.image.title" time=""/>
        <testcase classname="app:1.0.0" name="file /etc/motd" time=""/>
        <testcase classname="app:1.0.0" name="the owner is the team (label owner)" time="">
          <failure message="equals: expected &quot;operations@example.com&quot;, found &quot;team@example.com&quot;">equals: expected &quot;operations@example.com&quot;, found &quot;team@example.com&quot;</failure>
        </testcase>
        <testcase classname="app:1.0.0" name="config user" time=""/>
        <testcase classname="app:1.0.0" name="file /etc/motd" time="">
          <failure message="mode: expected 0600, found 0644">mode: expected 0600, found 0644&#10;contains: expected &lt;hello&gt;, found &quot;hello\nworld\n&quot;</failure>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
    let run = golden.run(&["test", "--format", "json"]).exit(1);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (
            &document["schema"],
            &document["passed"],
            &document["failed"]
        ),
        (&1.into(), &4.into(), &2.into())
    );
    let tests = document["images"][0]["platforms"][0]["tests"]
        .as_array()
        .unwrap();
    insta::assert_snapshot!(tests[3], @r#"{"name":"the owner is the team","subject":"label owner","passed":false,"failures":[{"assertion":"equals","expected":"\"operations@example.com\"","found":"\"team@example.com\""}]}"#);
    assert_eq!(
        golden
            .run(&["test", "--format", "junit"])
            .exit(1)
            .stdout
            .lines()
            .count(),
        junit.lines().count()
    );
    let run = golden.run(&["build", "--engine", "embedded"]).exit(1);
    assert!(
        run.stderr.contains("app:1.0.0: 2 of 6 tests failed"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("mode: expected 0600, found 0644"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_failing_test_moves_no_tag() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = published(&registry, TESTS);
    let run = golden.run(&["build", "--push", "--format", "json"]).exit(1);
    assert!(
        run.stderr.contains("2 of 4 tests failed; no tag was moved"),
        "{}",
        run.stderr
    );
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let image = &document["images"][0];
    assert_eq!(image["outcome"], "failed");
    assert_eq!(image["tests"][0]["tests"].as_array().unwrap().len(), 4);
    assert!(registry.tags("app").is_empty());
    assert_eq!(
        registry.manifests("app").len(),
        1,
        "the image was uploaded by digest"
    );

    golden.write(
        "app/image.toml",
        format!("{APP}[[test]]\nfile = \"/etc/motd\"\n"),
    );
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(registry.tags("app").len(), 4);
    // Tags that move to an image that is already published need passing tests as well.
    let other = registry.image("app", "other", &["1.0"]);
    golden.write("app/image.toml", format!("{APP}{TESTS}"));
    let run = golden.run(&["build", "--push"]).exit(1);
    assert!(run.stderr.contains("no tag was moved"), "{}", run.stderr);
    assert_eq!(registry.tags("app")["1.0"], other);
}

#[test]
fn published_images_and_layouts_are_tested_as_they_are() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = published(&registry, "");
    golden.run(&["build", "--push"]).exit(0);
    golden
        .run(&["build", "--engine", "embedded", "--to", "oci:out"])
        .exit(0);
    golden.write(
        "app/image.toml",
        format!("{APP}{TESTS}").replace("hello\\n", "changed\\n"),
    );
    let reference = format!("{}/app:1.0.0", registry.host());
    for image in ["app:1.0.0", "oci:out", &reference] {
        let run = golden.run(&["test", image]).exit(1);
        assert!(
            run.stdout.contains("found \"hello\\nworld\\n\""),
            "{image}: {}",
            run.stdout
        );
        assert!(
            run.stdout.contains("4 tests: 2 passed, 2 failed"),
            "{image}: {}",
            run.stdout
        );
    }
    Base::new("linux/amd64")
        .layer(&[("etc/x", 'f', "1")])
        .write(&golden.path().join("base"), "base:1");
    let run = golden.run(&["test", "oci:base"]).exit(2);
    assert!(run.stderr.contains("--spec"), "{}", run.stderr);
    let run = golden.run(&["test", "oci:base", "--spec", "app"]).exit(1);
    assert!(
        run.stdout
            .contains("exists: expected exists, found does not exist"),
        "{}",
        run.stdout
    );
}

/// An image with a version and one test, which passes for every image.
fn with_test(name: &str, version: &str, port: u16) -> String {
    format!(
        "[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = \"scratch\"\n\
        [[test]]\nport = {port}\nexists = false\n"
    )
}

#[test]
fn the_tests_of_the_image_with_the_longest_name_are_run() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = Golden::new()
        .workspace("")
        .image("app", &with_test("app", "1.0.0", 1))
        .image("team", &with_test("team/app", "1.0.0", 2));
    for (repository, port) in [
        ("app", 1),
        ("ns/app", 1),
        ("team/app", 2),
        ("ns/team/app", 2),
        ("other-team/app", 1),
    ] {
        registry.image(repository, "content", &["1.0.0"]);
        let reference = format!("{}/{repository}:1.0.0", registry.host());
        let run = golden.run(&["test", &reference]).exit(0);
        let expected = format!("passed  port {port}/tcp");
        assert!(
            run.stdout.contains(&expected),
            "{reference}: {}",
            run.stdout
        );
    }
}

#[test]
fn the_tests_of_the_version_that_has_the_tag_are_run() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = Golden::new()
        .workspace("")
        .image("a", &with_test("app", "1.0.0", 1))
        .image("b", &with_test("app", "2.1.0", 2))
        .image("c", &with_test("app", "2.0.0", 3));
    for (tag, port) in [
        ("1.0.0", 1),
        ("1", 1),
        ("2.0.0", 3),
        ("2.0", 3),
        ("2.0.0_r4", 3),
        ("2.1.0", 2),
        ("2", 2),
        ("latest", 2),
        // No image of the workspace has these tags.
        ("3.0.0", 1),
        ("edge", 1),
    ] {
        registry.image("ns/app", "content", &[tag]);
        let reference = format!("{}/ns/app:{tag}", registry.host());
        let run = golden.run(&["test", &reference]).exit(0);
        let expected = format!("passed  port {port}/tcp");
        assert!(run.stdout.contains(&expected), "{tag}: {}", run.stdout);
    }
}

#[test]
fn an_image_whose_config_cannot_be_read_does_not_pass() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = app("[[test]]\nport = 1\nexists = false\n");
    let good = registry.image_for("app", "amd64", "A=1", &["good"]);
    // The blob of a layer is not a config.
    let text = "this is not a config";
    registry.image("app", text, &[]);
    let config = json!({ "mediaType": media::OCI_CONFIG,
        "digest": golden::reference::Digest::of(text.as_bytes()), "size": text.len() });
    let media_type = media::OCI_MANIFEST;
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [] });
    let bad = registry.manifest("app", media_type, &manifest, &["bad"]);
    registry.index_for("app", &[("amd64", &good), ("arm64", &bad)], &["index"]);
    for (tag, code, message) in [
        ("good", 0, ""),
        ("bad", 1, bad.as_str()),
        ("index", 1, bad.as_str()),
    ] {
        let reference = format!("{}/app:{tag}", registry.host());
        let run = golden.run(&["test", &reference]).exit(code);
        assert!(run.stderr.contains(message), "{tag}: {}", run.stderr);
    }
}

#[test]
fn a_layout_with_a_config_that_cannot_be_read_does_not_pass() {
    let golden = app("[[test]]\nport = 1\nexists = false\n");
    let blob = |media_type: &str, bytes: &[u8]| {
        let descriptor = Descriptor::of(media_type, bytes);
        golden.write(
            &format!("out/blobs/sha256/{}", descriptor.digest.hex()),
            bytes,
        );
        descriptor
    };
    let manifest = |config: &Descriptor| {
        let manifest = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
            "config": config, "layers": [] });
        blob(media::OCI_MANIFEST, manifest.to_string().as_bytes())
    };
    let good = Base::new("linux/amd64").blobs(&golden.path().join("out"));
    let bad = manifest(&blob(media::OCI_CONFIG, b"this is not a config"));
    let both =
        json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [good, bad] });
    let both = blob(media::OCI_INDEX, both.to_string().as_bytes());
    for (image, code, message) in [
        (&good, 0, ""),
        (&bad, 1, bad.digest.hex()),
        (&both, 1, bad.digest.hex()),
    ] {
        index(&golden.path().join("out"), &[(image, Some("app:1.0.0"))]);
        let run = golden.run(&["test", "oci:out"]).exit(code);
        assert!(run.stderr.contains(message), "{image:?}: {}", run.stderr);
    }
}

/// Registries can have images of one version that differ, such as in their time.
#[test]
fn the_results_of_different_images_of_a_version_are_all_reported() {
    let registries = [(); 2].map(|()| FakeRegistry::start(Behaviour::default()));
    let table = |index: usize| {
        let host = registries[index].host();
        format!("[[registry]]\nname = \"r{index}\"\nhost = \"{host}\"\ndefault = true\n")
    };
    let gate = "[[gate]]\nname = \"scan\"\ncommand = [\"sh\", \"-c\", \"echo {reference}\"]\n";
    let mut golden = app("[[test]]\nfile = \"/etc/motd\"\n");
    let mut digests = Vec::new();
    for (index, registry) in registries.iter().enumerate() {
        golden.forget();
        golden = golden
            .env("SOURCE_DATE_EPOCH", &(index * 86_400).to_string())
            .workspace(&table(index));
        golden.run(&["build", "--push"]).exit(0);
        digests.push(registry.tags("app")["1.0.0"].clone());
        registry.image("app", "other", &["1.0"]);
    }
    assert_ne!(digests[0], digests[1]);
    let golden = golden.workspace(&format!("{}{}{gate}", table(0), table(1)));
    let run = golden.run(&["build", "--push", "--format", "json"]).exit(0);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let image = &document["images"][0];
    assert_eq!(image["tests"].as_array().unwrap().len(), 2, "{image}");
    let gates = image["gates"].as_array().unwrap();
    let outputs: Vec<&str> = gates
        .iter()
        .map(|gate| gate["output"].as_str().unwrap().trim())
        .collect();
    let expected =
        [0, 1].map(|index| format!("{}/app@{}", registries[index].host(), digests[index]));
    assert_eq!(outputs, expected);
    for (registry, digest) in registries.iter().zip(&digests) {
        assert_eq!(registry.tags("app")["1.0"], *digest);
    }
}

#[test]
fn a_certificate_of_the_bundle_is_trusted() {
    let certificate = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.self_signed(&key).unwrap().pem()
    };
    let tests = "[certs]\ntrust = [\"a.crt\"]\n[[test]]\ncertificate = \"a.crt\"\n[[test]]\ncertificate = \"b.crt\"\n";
    let golden = app(tests)
        .file("app/a.crt", certificate("a"))
        .file("app/b.crt", certificate("b"));
    let run = golden.run(&["test"]).exit(1);
    assert!(
        run.stdout.contains("passed  certificate a.crt"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("trusted: expected in the system bundle, found /etc/ssl/certs/ca-certificates.crt does not contain"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_command_without_an_engine_fails_and_moves_no_tag() {
    let tests = "[[test]]\nrun = [\"true\"]\n[[test]]\nconfig = \"user\"\nequals = \"10001\"\n";
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = published(&registry, tests).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    golden.run(&["check"]).exit(0);
    let run = golden.run(&["test"]).exit(1);
    let words = "run: expected a result of the command, found none: no Docker Engine answers at unix:///nowhere/docker.sock; \
        start Docker, or set DOCKER_HOST; a test of `run` needs an engine\n";
    assert!(run.stdout.contains(words), "{}", run.stdout);
    assert!(
        run.stdout.contains("  passed  config user\n") && run.stdout.contains("1 passed, 1 failed"),
        "{}",
        run.stdout
    );
    let run = golden.run(&["build", "--push"]).exit(1);
    assert!(
        run.stderr.contains("1 of 2 tests failed; no tag was moved"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains(words), "{}", run.stderr);
    assert!(registry.tags("app").is_empty());
}
