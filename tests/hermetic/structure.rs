//! `[[test]] structure`: files of container-structure-test, without an engine.

use serde_json::Value;

use crate::support::workspace::Golden;

const APP: &str = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n\
    [labels]\nowner = \"team\"\n[env]\nDIR = \"/etc\"\n[config]\nexpose = [8080]\nuser = \"10001\"\nworkdir = \"/data\"\n\
    entrypoint = [\"/bin/app\", \"run\"]\nvolumes = [\"/data\"]\n\
    [[files]]\ncontent = \"hello\\nworld\\n\"\ntarget = \"/etc/motd\"\nmode = \"4750\"\nowner = \"12:34\"\n\
    [[test]]\nname = \"base\"\nstructure = \"tests.yaml\"\n";

fn app(tests: &str) -> Golden {
    Golden::new()
        .workspace("")
        .env("SOURCE_DATE_EPOCH", "0")
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .image("app", APP)
        .file("app/tests.yaml", format!("schemaVersion: 2.0.0\n{tests}"))
}

#[test]
fn files_and_config_are_tested_without_an_engine() {
    let golden = app(r#"
globalEnvVars: [{ key: NAME, value: "${DIR}/motd" }]
fileContentTests:
  - { name: greeting, path: /etc/motd, expectedContents: ['hello\s', '^hello'], excludedContents: ['^world'] }
  - { name: wrong greeting, path: /etc/motd, expectedContents: ['^world$'], excludedContents: ['w.r'] }
  - { name: a directory, path: /etc }
  - { name: no file, path: /etc/none, excludedContents: [x] }
fileExistenceTests:
  - { name: motd, path: $NAME, permissions: 'urwxr-x---', uid: 12, gid: 34, isExecutableBy: group }
  - { name: no motd, path: /etc/motd, shouldExist: false }
  - { name: wrong attributes, path: etc/motd, permissions: '-rwsr-x---', uid: 0, gid: 34, isExecutableBy: other }
  - { name: etc, path: /etc/, permissions: drwxr-xr-x }
  - { name: none, path: /none, shouldExist: false, permissions: '-r--r--r--' }
metadataTest:
  envVars: [{ key: DIR, value: /etc }, { key: DIR, value: '^/e..$', isRegex: true }]
  unboundEnvVars: [{ key: NAME }]
  labels: [{ key: owner, value: te, isRegex: true }]
  exposedPorts: ["8080"]
  unexposedPorts: ["8080/tcp", "80"]
  volumes: [/data]
  unmountedVolumes: [/data/]
  entrypoint: [/bin/app, run]
  cmd: []
  workdir: /data
  user: 10001
"#);
    let run = golden.run(&["test", "--format", "json"]).exit(1);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let tests = document["images"][0]["platforms"][0]["tests"]
        .as_array()
        .unwrap();
    let lines: Vec<String> = tests
        .iter()
        .map(|test| {
            let failures = test["failures"].as_array().into_iter().flatten();
            let failures = failures.map(|one| {
                let text = |key: &str| one[key].as_str().unwrap().to_owned();
                format!(
                    "; {}: {} / {}",
                    text("assertion"),
                    text("expected"),
                    text("found")
                )
            });
            let head = format!("{}: {}", test["name"].as_str().unwrap(), test["passed"]);
            failures.fold(head, |line, failure| line + &failure)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "base: greeting: true",
            "base: wrong greeting: false; expectedContents: a match of ^world$ / \"hello\\nworld\\n\"; excludedContents: no match of w.r / \"hello\\nworld\\n\"",
            "base: a directory: false; path: a file / dir",
            "base: no file: false; path: a file / nothing",
            "base: motd: true",
            "base: no motd: false; shouldExist: false / file",
            "base: wrong attributes: false; permissions: -rwsr-x--- / urwxr-x---; isExecutableBy: other / urwxr-x---; uid: 0 / 12",
            "base: etc: true",
            "base: none: true",
            "base: Metadata Test: true",
        ]
    );
    let run = golden.run(&["test"]).exit(1);
    let words =
        "  failed  base: no motd (structure tests.yaml: file existence test), app/tests.yaml:11\n";
    assert!(run.stdout.contains(words), "{}", run.stdout);
    assert!(
        run.stdout.contains("10 tests: 5 passed, 5 failed"),
        "{}",
        run.stdout
    );
}

#[test]
fn every_difference_of_the_config_is_shown() {
    let golden = app(
        "metadataTest:\n  envVars: [{ key: DIR, value: /et }, { key: NONE, value: '.*', isRegex: true }]\n  unboundEnvVars: [{ key: DIR }]\n  \
         exposedPorts: ['8080/tcp']\n  unexposedPorts: [8080]\n  volumes: [/data/]\n  unmountedVolumes: [/data]\n  entrypoint: []\n  cmd: [a]\n  \
         workdir: /\n  user: root\n",
    );
    let run = golden.run(&["test"]).exit(1);
    for line in [
        "envVars DIR: expected \"/et\", found \"/etc\"\n",
        "envVars NONE: expected a match of .*, found not set\n",
        "unboundEnvVars DIR: expected not set, found \"/etc\"\n",
        "cmd: expected [\"a\"], found []\n",
        "entrypoint: expected [], found [\"/bin/app\", \"run\"]\n",
        "workdir: expected /, found /data\n",
        "user: expected root, found 10001\n",
        "exposedPorts: expected 8080/tcp, found 8080\n",
        "unexposedPorts: expected no 8080, found 8080\n",
        "volumes: expected /data/, found /data\n",
        "unmountedVolumes: expected no /data, found /data\n",
    ] {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
}

#[test]
fn a_command_test_without_an_engine_fails() {
    let golden = app(
        "commandTests: [{ name: version, command: app }]\nfileExistenceTests: [{ name: etc, path: /etc }]\n",
    );
    let run = golden.run(&["test"]).exit(1);
    let words = "run: expected a result of the command, found none: no Docker Engine answers at unix:///nowhere/docker.sock; start Docker";
    assert!(run.stdout.contains(words), "{}", run.stdout);
    assert!(run.stdout.contains("  passed  base: etc"), "{}", run.stdout);
}

#[test]
fn mistakes_in_structure_files_have_a_position() {
    for (tests, words, place) in [
        (
            "commandTest: []",
            "the file has no key `commandTest`",
            "app/tests.yaml:2:1",
        ),
        (
            "licenseTests: [{ debian: true }]",
            "`licenseTests` is not supported",
            "app/tests.yaml:2:1",
        ),
        (
            "commandTests:\n- name: é\n  command: a\n  expectedOutput: ['(']",
            "`(` is not a regular expression",
            "app/tests.yaml:5:20",
        ),
        ("", "the file has no tests", "app/tests.yaml:1:1"),
    ] {
        let run = app(tests).run(&["check"]).exit(2);
        assert!(run.stderr.contains(words), "{tests}: {}", run.stderr);
        assert!(run.stderr.contains(place), "{tests}: {}", run.stderr);
    }
    for (path, words) in [
        ("none.yaml", "`none.yaml` does not exist"),
        ("tests.json", "`tests.json` is not a .yaml or .yml file"),
        ("../../tests.yaml", "leaves the workspace"),
        ("", "`structure` cannot be empty"),
    ] {
        let golden = app("fileExistenceTests: [{ name: etc, path: /etc }]");
        golden.run(&["check"]).exit(0);
        golden.write("app/image.toml", APP.replace("tests.yaml", path));
        let run = golden.run(&["check"]).exit(2);
        assert!(run.stderr.contains(words), "{path}: {}", run.stderr);
        assert!(
            run.stderr.contains("app/image.toml:23:13"),
            "{path}: {}",
            run.stderr
        );
    }
    let golden = app("fileExistenceTests: [{ name: etc, path: /etc }]");
    golden.write("app/image.toml", format!("{APP}exists = false\n"));
    let run = golden.run(&["check"]).exit(2);
    assert!(
        run.stderr
            .contains("`exists` is not an assertion about `structure`"),
        "{}",
        run.stderr
    );
}
