//! `golden new --from Dockerfile` reports every instruction, and writes the spec with the files that
//! it names.

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

fn read(golden: &Golden, path: &str) -> String {
    std::fs::read_to_string(golden.path().join(path)).unwrap()
}

fn exists(golden: &Golden, path: &str) -> bool {
    golden.path().join(path).symlink_metadata().is_ok()
}

/// A workspace next to a project with this Dockerfile.
fn project(dockerfile: &str) -> Golden {
    Golden::new()
        .workspace("")
        .file("project/Dockerfile", dockerfile)
        .file("project/conf/a.conf", "a\n")
        .file("project/conf/b.log", "b\n")
        .file("project/.dockerignore", "**/*.log\n")
}

#[test]
fn each_instruction_is_reported_and_the_spec_passes_the_check() {
    let golden = project(
        "FROM scratch\nLABEL owner=team\nENV A=\"b c\"\nCOPY conf /etc/conf\nEXPOSE 80\nUSER 10001\nCMD [\"/run\"]\n",
    );
    let run = golden
        .run(&["new", "team/app", "--from", "project/Dockerfile"])
        .exit(0);
    assert_eq!(
        run.stdout,
        "1  FROM scratch         declared\n\
         2  LABEL owner=team     declared\n\
         3  ENV A=\"b c\"          declared\n\
         4  COPY conf /etc/conf  declared\n\
         5  EXPOSE 80            declared\n\
         6  USER 10001           declared\n\
         7  CMD [\"/run\"]         declared\n"
    );
    assert!(
        run.stderr.contains("wrote team/app/image.toml"),
        "{}",
        run.stderr
    );
    assert_eq!(read(&golden, "team/app/files/conf/a.conf"), "a\n");
    assert!(!exists(&golden, "team/app/files/conf/b.log"));
    let spec = read(&golden, "team/app/image.toml");
    assert!(
        spec.starts_with("#:schema ../../.golden/schema/image.json\n"),
        "{spec}"
    );
    assert!(exists(&golden, ".golden/schema/image.json"));
    golden.run(&["check"]).exit(0);
    golden.run(&["fmt", "--check"]).exit(0);
}

#[test]
fn an_instruction_that_is_left_out_is_reported_with_its_reason() {
    let golden = project("FROM scratch\nONBUILD RUN x\nVOLUME /data\n");
    let run = golden
        .run(&["new", "app", "--from", "project", "--format", "json"])
        .exit(5);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        document,
        serde_json::json!({
            "schema": 1,
            "files": ["app/image.toml"],
            "instructions": [
                { "line": 1, "instruction": "FROM scratch", "outcome": "declared" },
                {
                    "line": 2,
                    "instruction": "ONBUILD RUN x",
                    "outcome": "left_out",
                    "reason": "golden images have no triggers; add the instruction to the images that are built on this one",
                },
                { "line": 3, "instruction": "VOLUME /data", "outcome": "declared" },
            ],
        })
    );
    assert!(exists(&golden, "app/image.toml"));
}

#[test]
fn a_bad_input_writes_nothing() {
    for (dockerfile, expected) in [
        ("FROM a AS b\nFROM scratch\n", "has 2 build stages"),
        (
            "FROM scratch\nRUNN x\n",
            "line 2: `RUNN` is not an instruction; did you mean RUN?",
        ),
        ("RUN x\n", "line 1: RUN comes before the first FROM"),
        ("FROM A:B:C\n", "cannot be used"),
        ("", "has no FROM"),
    ] {
        let golden = project(dockerfile);
        let run = golden
            .run(&["new", "app", "--from", "project/Dockerfile"])
            .exit(2);
        assert!(
            run.stderr.contains(expected),
            "{dockerfile}: {}",
            run.stderr
        );
        assert!(!exists(&golden, "app"), "{dockerfile}");
    }
    let golden = project("FROM scratch\n");
    golden
        .run(&["new", "app", "--from", "nowhere/Dockerfile"])
        .exit(1);
    golden
        .run(&["new", "app", "--from", "project", "--base-dir", "nowhere"])
        .exit(2);
    assert!(!exists(&golden, "app"));
}

#[test]
fn existing_files_are_never_overwritten() {
    let golden = project("FROM scratch\nCOPY conf /conf\n").file("app/files/conf/a.conf", "mine\n");
    let run = golden.run(&["new", "app", "--from", "project"]).exit(1);
    assert!(
        run.stderr.contains("app/files/conf/a.conf"),
        "{}",
        run.stderr
    );
    assert_eq!(read(&golden, "app/files/conf/a.conf"), "mine\n");
    assert!(!exists(&golden, "app/image.toml"));
    let golden = project("FROM scratch\n").image(
        "app",
        "[image]\nname = \"other\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
    );
    golden.run(&["new", "app", "--from", "project"]).exit(2);
}

#[test]
fn the_build_context_may_be_another_directory() {
    let golden = project("FROM scratch\nCOPY a.conf b.log /\n");
    golden
        .run(&[
            "new",
            "app",
            "--from",
            "project/Dockerfile",
            "--base-dir",
            "project/conf",
        ])
        .exit(0);
    assert_eq!(read(&golden, "app/files/a.conf"), "a\n");
    assert_eq!(read(&golden, "app/files/b.log"), "b\n");
    let golden = project("FROM scratch\nCOPY a.conf /\n")
        .file("project/Dockerfile.dockerignore", "*.conf\n");
    let run = golden
        .run(&[
            "new",
            "app",
            "--from",
            "project",
            "--base-dir",
            "project/conf",
        ])
        .exit(5);
    assert!(
        run.stdout
            .contains("left out: the build context has no file `a.conf`"),
        "{}",
        run.stdout
    );
}

#[test]
fn an_existing_image_becomes_the_base_with_its_config() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
    let spec = "[image]\nname = \"one\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n[labels]\nteam = \"a\"\n\
                [env]\nA = \"b\"\n[config]\nuser = \"10001\"\nexpose = [80]\ncmd = [\"/run\"]\n";
    let golden = Golden::new()
        .env("SOURCE_DATE_EPOCH", "0")
        .workspace(&table)
        .image("one", spec);
    golden.run(&["build", "--push"]).exit(0);
    std::fs::remove_dir_all(golden.path().join("one")).unwrap();
    let reference = format!("{host}/one:1.2.3");
    golden.run(&["new", "two", "--from", &reference]).exit(0);
    let spec = read(&golden, "two/image.toml");
    let expected = format!(
        "[image]\nname = \"two\"\nversion = \"0.1.0\"\nbase = \"{reference}\"\n\n[labels]\n"
    );
    assert!(spec.contains(&expected), "{spec}");
    assert!(spec.ends_with(
        "team = \"a\"\n\n[env]\nPATH = \"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
         A = \"b\"\n\n[config]\nexpose = [80]\nuser = \"10001\"\ncmd = [\"/run\"]\n"
    ), "{spec}");
    assert!(read(&golden, "golden.lock").contains(&reference));
    golden.run(&["check"]).exit(0);
    golden.run(&["build", "--locked"]).exit(0);
    let absent = format!("{host}/none:1");
    golden.run(&["new", "three", "--from", &absent]).exit(1);
    assert!(!exists(&golden, "three"));
}

#[test]
fn an_image_on_an_existing_one_does_not_move_the_base_of_another_image() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let base = format!("{host}/base:12.8");
    registry.image_for("base", "amd64", "BASE=1", &["12.8"]);
    let old = registry.tags("base")["12.8"].clone();
    let golden = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"))
        .image(
            "one",
            &format!(
                "[image]\nname = \"one\"\nversion = \"1.0.0\"\nfamily = \"static\"\n\
                 base = {{ ref = \"{host}/base\", version = \"12\" }}\n"
            ),
        );
    golden.run(&["update"]).exit(0);
    registry.image_for("base", "amd64", "BASE=2", &["12.8"]);
    let new = registry.tags("base")["12.8"].clone();
    for name in ["two", "three"] {
        let run = golden.run(&["new", name, "--from", &base]).exit(0);
        let warning = format!(
            "{base} remains at {old} in golden.lock, and the registry has {new} now; `golden update {base}` \
             moves it for every image"
        );
        assert!(run.stderr.contains(&warning), "{}", run.stderr);
        let lock = read(&golden, "golden.lock");
        assert_eq!(lock.matches(&format!("digest = \"{old}\"")).count(), 2);
        assert!(!lock.contains(&new), "{lock}");
    }
    golden.run(&["update", &base]).exit(0);
    assert!(!read(&golden, "golden.lock").contains(&old));
}

#[test]
fn each_target_of_a_bake_file_becomes_an_image() {
    let bake = "variable \"TAG\" { default = \"1.2.3\" }\n\
        target \"_common\" { labels = { team = \"a\" } }\n\
        target \"base\" {\n  inherits = [\"_common\"]\n  tags = [\"registry.example.com/base:${TAG}\", \"base:1.2\"]\n}\n\
        target \"app\" {\n  context = \"project\"\n  contexts = { parent = \"target:base\" }\n  args = { PORT = \"81\" }\n\
        \x20 platforms = [\"linux/arm64\"]\n  tags = [\"app:edge\"]\n  cache-from = [\"type=gha\"]\n}\n\
        target \"stages\" { dockerfile-inline = \"FROM a AS b\\nFROM b\\n\" }\n";
    let golden = project("FROM parent\nARG PORT=80\nEXPOSE $PORT\n")
        .file("Dockerfile", "FROM scratch\nCMD [\"/x\"]\n")
        .file("docker-bake.hcl", bake);
    let run = golden
        .run(&["new", "--from", "docker-bake.hcl", "--set", "TAG=1.2.4"])
        .exit(5);
    insta::assert_snapshot!(run.stdout);
    let spec = read(&golden, "base/image.toml");
    assert!(
        spec.contains("version = \"1.2.4\"") && spec.contains("team = \"a\""),
        "{spec}"
    );
    let spec = read(&golden, "app/image.toml");
    assert!(spec.contains("base = { image = \"base\" }"), "{spec}");
    assert!(spec.contains("platforms = [\"linux/arm64\"]"), "{spec}");
    assert!(spec.contains("expose = [81]"), "{spec}");
    assert!(!exists(&golden, "stages"));
    golden.run(&["check"]).exit(0);
    let refused = |args: &[&str], expected: &str| {
        let run = golden.run(args).exit(2);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
    };
    refused(&["new", "--from", "docker-bake.hcl"], "base/image.toml");
    refused(
        &["new", "x", "--from", "docker-bake.hcl"],
        "the targets of a bake file have their own names",
    );
    golden.write("bad.hcl", "target \"x\" {\n");
    refused(&["new", "--from", "bad.hcl"], "bad.hcl: line 2: ");
    let twice = "target \"a\" {\n  matrix = { x = [\"1\", \"2\"] }\n  dockerfile-inline = \"FROM scratch\"\n}\n";
    golden.write("twice.hcl", twice);
    refused(
        &["new", "--from", "twice.hcl"],
        "twice.hcl: two targets have the name a;",
    );
    assert!(!exists(&golden, "a"));
    golden.run(&["new"]).exit(2);
}

#[test]
fn a_path_that_depends_on_the_base_is_left_out() {
    let golden = project("FROM php:8-apache\nCOPY conf .\n");
    let run = golden.run(&["new", "app", "--from", "project"]).exit(5);
    let reason = "left out: the path is relative to the working directory of the base, which is not known; write an absolute path";
    assert!(run.stdout.contains(reason), "{}", run.stdout);
    assert!(!exists(&golden, "app/files"));
}

#[test]
fn steps_whose_user_or_working_directory_is_not_known_are_reported_once() {
    let user =
        "project/Dockerfile: steps run as root: the Dockerfile does not determine their user";
    let directory = "project/Dockerfile: steps run in /: the Dockerfile does not determine their working directory";
    for (first, last, expected) in [
        ("", "", [1, 0]),
        ("USER root\n", "", [0, 0]),
        ("USER root\n", "WORKDIR /srv\n", [0, 1]),
        ("", "WORKDIR /srv\n", [1, 1]),
        ("WORKDIR /srv\n", "WORKDIR /srv/app\n", [1, 0]),
    ] {
        let text = format!("FROM debian:12\n{first}RUN make\nRUN make check\n{last}");
        let golden = project(&text);
        let run = golden.run(&["new", "app", "--from", "project"]).exit(0);
        let found = [user, directory].map(|warning| run.stderr.matches(warning).count());
        assert_eq!(found, expected, "{}", run.stderr);
    }
}
