//! Messages as the user sees them: the complete output, with the next step.

use std::sync::Arc;

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::server::{Answer, Seen, Server, handler};
use crate::support::workspace::{Golden, Run};

const FINE: &str = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n";

fn workspace() -> Golden {
    Golden::new()
        .workspace("")
        .image("app", FINE)
        .env("SOURCE_DATE_EPOCH", "0")
}

/// The complete output of a failing run.
#[track_caller]
fn failure(run: Run, code: i32) -> String {
    let run = run.exit(code);
    assert_eq!(run.stdout, "");
    run.stderr
}

#[test]
fn a_variable_that_golden_toml_does_not_define_cannot_be_set() {
    let defined = Golden::new()
        .workspace("[vars]\nteam = \"a\"\nregion = \"eu\"\n")
        .image("app", FINE);
    for command in [
        "check", "plan", "build", "render", "graph", "matrix", "push", "verify", "outdated",
        "update",
    ] {
        defined.run(&[command, "--set", "tema=x"]).exit(2);
    }
    insta::assert_snapshot!(failure(defined.run(&["check", "--set", "tema=x"]), 2), @r"
    error: unknown variable `tema`
      help: did you mean `team`?
    ");
    insta::assert_snapshot!(failure(defined.run(&["check", "--set", "team=b", "--set", "color=x"]), 2), @r"
    error: unknown variable `color`
      help: [vars] of golden.toml has: team, region
    ");
    insta::assert_snapshot!(failure(workspace().run(&["build", "--set", "team=x"]), 2), @r#"
    error: unknown variable `team`
      help: add it to golden.toml: [vars] team = "…"
    "#);
    defined.run(&["check", "--set", "team=b"]).exit(0);
}

#[test]
fn a_dotted_variable_of_the_environment_needs_quotes() {
    let check = |env: &str| {
        Golden::new()
            .workspace("")
            .image("app", &format!("{FINE}[env]\n{env}\n"))
            .run(&["check"])
    };
    insta::assert_snapshot!(failure(check("spring.port = \"80\""), 2), @r#"
    error[spec.nested-table]: `spring` is a table, but [env] accepts only strings and { prepend, append }
     --> app/image.toml:6:1
      |
    6 | spring.port = "80"
      | ^^^^^^
      |
      = help: write "spring.port" = "80"

    error: 1 error in 1 file
    "#);
    for (written, corrected) in [
        ("a.b.c = 1", "write \"a.b.c\" = \"1\""),
        (
            "LOG = { level = \"debug\", format = \"json\" }",
            "write \"LOG.level\" = \"debug\"",
        ),
        (
            "[env.spring]\nport = true",
            "write \"spring.port\" = \"true\"",
        ),
    ] {
        let message = failure(check(written), 2);
        assert!(message.contains(corrected), "{message}");
    }
    // A misspelt key of a table that extends the base's value is not a dotted variable.
    assert!(failure(check("PATH = { prepnd = \"/opt:\" }"), 2).contains("did you mean `prepend`?"));
    check("PATH = { prepend = \"/opt:\" }").exit(0);
}

#[test]
fn output_that_cannot_be_written_is_an_error_before_the_build() {
    let golden = workspace();
    golden.write("pipe/kept", "");
    insta::assert_snapshot!(
        failure(golden.run(&["build", "--engine", "embedded", "--metadata-file", "nope/deep/x.json"]), 2)
            .replace(&golden.path().canonicalize().unwrap().display().to_string(), "DIR"),
        @r"
    error: cannot write DIR/nope/deep/x.json: the directory DIR/nope/deep does not exist
      help: mkdir -p DIR/nope/deep
    "
    );
    for place in [["--metadata-file", "pipe"], ["--to", "docker-archive:pipe"]] {
        let run = golden.run(&[&["build", "--engine", "embedded"], place.as_slice()].concat());
        assert!(failure(run, 2).contains("is not a regular file, so golden does not write to it"));
    }
    failure(
        golden.run(&[
            "build",
            "--engine",
            "embedded",
            "--to",
            "docker-archive:nope/deep/x.tar",
        ]),
        2,
    );
    for path in ["nope", ".golden"] {
        assert!(!golden.path().join(path).exists(), "{path}");
    }
    golden
        .run(&["build", "--engine", "embedded", "--metadata-file", "x.json"])
        .exit(0);
    golden
        .run(&["build", "--engine", "embedded", "--metadata-file", "x.json"])
        .exit(0);
    assert!(golden.path().join("x.json").is_file());
}

#[test]
fn invalid_values_are_reported_with_the_accepted_values() {
    let golden = workspace();
    insta::assert_snapshot!(failure(golden.run(&["build", "--jobs", "0"]), 2), @r"
    error: invalid value '0' for '--jobs <N>': --jobs must be at least 1

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(failure(golden.run(&["prune", "app"]), 2), @r"
    error: specify what to prune: --keep N, --older-than AGE, or both
      help: `golden prune --keep 5 --dry-run` shows what it would delete
    ");
    insta::assert_snapshot!(failure(golden.run(&["plan", "--registry", "team"]), 2), @r"
    error: `team` is neither the name of a [[registry]] nor a registry host
      help: a host has a `.` or a port, or is localhost: registry.example.com/golden
    ");
}

#[test]
fn an_unknown_image_is_reported_with_the_nearest_names() {
    let mut golden = Golden::new().workspace("");
    for n in 0..40 {
        golden = golden.image(
            &format!("i{n}"),
            &FINE.replace("\"app\"", &format!("\"service-{n:02}\"")),
        );
    }
    insta::assert_snapshot!(failure(golden.run(&["check", "service"]), 2), @r"
    error: no image of this workspace is called `service`
      help: the nearest are service-00, service-01, service-02; and 37 more: golden graph
    ");
    insta::assert_snapshot!(failure(golden.run(&["check", "service-1"]), 2), @r"
    error: no image of this workspace is called `service-1`
      help: did you mean `service-01`?
    ");
    insta::assert_snapshot!(failure(workspace().run(&["check", "other"]), 2), @r"
    error: no image of this workspace is called `other`
      help: this workspace has app
    ");
}

#[test]
fn the_help_of_a_command_lists_its_formats() {
    let golden = Golden::new();
    for (command, formats) in [
        (
            "check",
            "[default: text] [possible values: text, json, github, gitlab, sarif]",
        ),
        (
            "matrix",
            "[default: github] [possible values: github, gitlab, json]",
        ),
        (
            "build",
            "[default: text] [possible values: text, json, sarif]",
        ),
        ("schema", "[default: json] [possible values: json]"),
        (
            "graph",
            "[default: tree on a terminal, else mermaid] [possible values: tree, mermaid, dot, svg, json]",
        ),
    ] {
        let help = golden.run(&[command, "-h"]).exit(0).stdout;
        let line = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            line.contains(&format!("--format <FORMAT> Output format {formats}")),
            "{help}"
        );
        let page = golden.run(&["man", command]).exit(0).stdout;
        assert!(page.contains("Possible values:"), "{page}");
    }
}

/// Runs with a fake registry: its address, digests and durations are replaced.
struct Published {
    registry: FakeRegistry,
    golden: Golden,
}

impl Published {
    /// A workspace whose registry is a fake one, and that knows no engine.
    fn new() -> Self {
        Self::answering(Behaviour::default())
    }

    fn answering(behaviour: Behaviour) -> Self {
        let registry = FakeRegistry::start(behaviour);
        let golden = Golden::new()
            .workspace(&format!(
                "[[registry]]\nname = \"team\"\nhost = \"{}\"\nnamespace = \"golden\"\n",
                registry.host()
            ))
            .env("SOURCE_DATE_EPOCH", "0")
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        Self { registry, golden }
    }

    /// The whole output of a run.
    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> String {
        let run = self.golden.run(args).exit(code);
        let text = [run.stdout, run.stderr].join("---\n");
        self.shown(&text)
    }

    fn shown(&self, text: &str) -> String {
        let text = text
            .replace(&self.registry.host(), "HOST")
            .replace(env!("CARGO_BIN_EXE_golden"), "golden");
        // Columns and marks are as wide as the address.
        let wide = regex::Regex::new(r"(\S)   +").unwrap();
        let text = wide.replace_all(&text, "$1  ");
        let marks = regex::Regex::new(r"\^\^+|-----+").unwrap();
        let text = marks.replace_all(&text, "^");
        let duration = regex::Regex::new(r"\d+\.\d s").unwrap();
        let text = duration.replace_all(&text, "N s");
        let digest = regex::Regex::new("sha256:[0-9a-f]{64}").unwrap();
        let mut seen = Vec::new();
        digest
            .replace_all(&text, |found: &regex::Captures<'_>| {
                let known = seen.iter().position(|other| *other == found[0]);
                let at = known.unwrap_or_else(|| {
                    seen.push(found[0].to_owned());
                    seen.len() - 1
                });
                format!("<digest-{}>", at + 1)
            })
            .into_owned()
    }
}

fn built_on(name: &str, base: &str, rest: &str) -> String {
    format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\n{rest}")
}

const MOTD: &str = "[[files]]\nsource = \"files/motd\"\ntarget = \"/etc/motd\"\n";

#[test]
fn the_summary_shows_the_reference_the_tags_the_size_and_the_time() {
    let Published { golden, registry } = Published::new();
    let golden = golden
        .image("app", &built_on("app", "\"scratch\"", MOTD))
        .image("tools", &built_on("tools", "\"scratch\"", ""));
    golden.write("app/files/motd", "one");
    let all = Published { registry, golden };
    insta::assert_snapshot!(
        "summary_of_a_build",
        all.run(&["build", "app", "--engine", "embedded"], 0)
            .replace(
                &all.golden
                    .path()
                    .canonicalize()
                    .unwrap()
                    .display()
                    .to_string(),
                "DIR"
            )
    );
    insta::assert_snapshot!(
        "summary_of_a_publish",
        all.run(&["build", "app", "--push"], 0)
    );
    insta::assert_snapshot!(
        "summary_of_no_change",
        all.run(&["build", "app", "--push"], 0)
    );
    let both = all.golden.run(&["build", "--push", "--jobs", "1"]).exit(0);
    insta::assert_snapshot!("summary_of_several_images", all.shown(&both.stdout));
}

#[test]
fn a_refusal_names_the_file_that_changed() {
    let Published { golden, registry } = Published::new();
    let golden = golden.image("app", &built_on("app", "\"scratch\"", MOTD));
    golden.write("app/files/motd", "one");
    let app = Published { registry, golden };
    app.run(&["build", "--push"], 0);
    app.golden.write("app/files/motd", "two");
    insta::assert_snapshot!(
        "refusal_with_the_changed_file",
        app.run(&["build", "--push"], 4)
    );
    app.golden.forget();
    insta::assert_snapshot!("refusal_without_a_record", app.run(&["build", "--push"], 4));
}

#[test]
fn a_missing_base_is_reported_once_with_its_place_and_what_exists() {
    let Published { golden, registry } = Published::new();
    registry.image("base/debian", "a", &["12", "12.8"]);
    let host = registry.host();
    let base = format!("\"{host}/base/debian\"");
    let golden = golden
        .image("app", &built_on("app", &base, ""))
        .image("other", &built_on("other", &base, ""))
        .image("mid", &built_on("mid", "{ image = \"app\" }", ""))
        .image("top", &built_on("top", "{ image = \"mid\" }", ""))
        .image("fine", &built_on("fine", "\"scratch\"", ""));
    let all = Published { registry, golden };
    insta::assert_snapshot!("base_without_the_tag", all.run(&["build", "--push"], 1));
    insta::assert_snapshot!(
        "plan_of_a_base_without_the_tag",
        all.run(&["plan", "top"], 1)
    );
    all.golden.write(
        "app/image.toml",
        built_on("app", &format!("\"{host}/base/debina:12\""), ""),
    );
    insta::assert_snapshot!(
        "base_without_the_repository",
        all.run(&["build", "app", "--push"], 1)
    );
    insta::assert_snapshot!(
        "inspect_without_the_tag",
        all.run(&["inspect", &format!("{host}/base/debian:13")], 1)
    );
    insta::assert_snapshot!(
        "ls_without_the_repository",
        all.run(&["ls", &format!("{host}/base/debina")], 1)
    );
}

#[test]
fn a_base_that_cannot_be_read_says_why() {
    for (snapshot, status, code, message) in [
        (
            "base_that_needs_a_login",
            401,
            "UNAUTHORIZED",
            "authentication required",
        ),
        (
            "base_that_is_refused",
            403,
            "DENIED",
            "this account may not pull",
        ),
        (
            "base_over_the_limit",
            429,
            "TOOMANYREQUESTS",
            "pull limit reached",
        ),
    ] {
        let limited = Behaviour {
            instead: Some(std::sync::Arc::new(move |seen: &Seen| {
                seen.path
                    .contains("/base/")
                    .then(|| refuse(status, code, message))
            })),
            ..Behaviour::default()
        };
        let Published { golden, registry } = Published::answering(limited);
        let base = format!("\"{}/base/debian:12\"", registry.host());
        let golden = golden.image("app", &built_on("app", &base, ""));
        let app = Published { registry, golden };
        insta::assert_snapshot!(snapshot, app.run(&["build", "--push"], 1));
    }
}

/// The line of the plan about a base in a registry that answers every request for its repository
/// with `answer`.
fn answered(answer: Answer, engine: &str) -> String {
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(move |seen: &Seen| {
            seen.path.starts_with("/v2/base/").then(|| answer.clone())
        })),
        ..Behaviour::default()
    });
    let host = registry.host();
    let run = Golden::new()
        .workspace("")
        .image(
            "app",
            &built_on("app", &format!("\"{host}/base/debian:12\""), ""),
        )
        .env("DOCKER_HOST", engine)
        .run(&["plan"])
        .exit(1);
    let line = run
        .stderr
        .lines()
        .find(|line| line.contains("error[base.unavailable]"));
    line.unwrap().replace(&host, "HOST")
}

#[test]
fn a_missing_base_is_reported_with_the_answer_of_the_registry_and_the_address_of_the_engine() {
    let head =
        "error[base.unavailable]: base `HOST/base/debian:12` not found: the registry answered ";
    for (answer, words) in [
        (refuse(404, "NAME_UNKNOWN", "unknown"), "404 NAME_UNKNOWN"),
        (
            refuse(404, "NOT_FOUND", "repository base/debian not found"),
            "404 NOT_FOUND",
        ),
        (Answer::new(404, ""), "404 with an empty body"),
        (Answer::new(404, "page not found\n"), "404 (page not found)"),
        (
            Answer::new(404, "<html><title>404</title>"),
            "404 (the response is a web page)",
        ),
    ] {
        assert_eq!(
            answered(answer, "unix:///nowhere/docker.sock"),
            format!("{head}{words}; no Docker Engine answers at unix:///nowhere/docker.sock")
        );
    }
    let engine = Server::start(handler(|seen: &Seen| {
        if seen.path.ends_with("/version") {
            Answer::new(
                200,
                r#"{"Version":"28.5.0","ApiVersion":"1.51","Os":"linux","Arch":"amd64"}"#,
            )
        } else if seen.path.ends_with("/_ping") {
            Answer::new(200, "OK")
        } else {
            Answer::new(404, r#"{"message":"No such image"}"#)
        }
    }));
    assert_eq!(
        answered(
            refuse(404, "NAME_UNKNOWN", "unknown"),
            &format!("tcp://{}", engine.host())
        ),
        format!("{head}404 NAME_UNKNOWN; no engine has it")
    );
}

#[test]
fn a_base_whose_registry_does_not_run_says_so() {
    let Published { golden, registry } = Published::new();
    let golden = golden.image(
        "app",
        &built_on("app", "\"127.0.0.1:1/base/debian:12\"", ""),
    );
    let app = Published { registry, golden };
    insta::assert_snapshot!("base_without_a_registry", app.run(&["build", "--push"], 1));
}

#[test]
fn an_image_with_steps_says_which_step_needs_an_engine() {
    let Published { golden, registry } = Published::new();
    registry.image("base/debian", "a", &["12"]);
    let base = format!("\"{}/base/debian:12\"", registry.host());
    let step = "family = \"debian\"\n[[run]]\nname = \"install the tool\"\nscript = \"make\"\n";
    let golden = golden.image("app", &built_on("app", &base, step));
    let app = Published { registry, golden };
    insta::assert_snapshot!("steps_without_an_engine", app.run(&["build", "--push"], 1));
}

#[test]
fn prune_names_the_rule_that_decided() {
    let Published { golden, registry } = Published::new();
    let golden = golden.image("app", &built_on("app", "\"scratch\"", ""));
    let app = Published { registry, golden };
    for version in ["1.0.0", "1.0.1", "1.1.0", "2.0.0"] {
        app.golden.write(
            "app/image.toml",
            built_on("app", "\"scratch\"", "").replace("1.0.0", version),
        );
        app.run(&["build", "--push"], 0);
    }
    for (name, args) in [
        (
            "prune_by_number",
            &["prune", "app", "--keep", "1", "--dry-run"][..],
        ),
        ("prune_all", &["prune", "app", "--keep", "0", "--dry-run"]),
        (
            "prune_by_age",
            &["prune", "app", "--older-than", "90d", "--dry-run"],
        ),
        (
            "prune_by_both",
            &[
                "prune",
                "app",
                "--keep",
                "2",
                "--older-than",
                "36h",
                "--dry-run",
            ],
        ),
    ] {
        insta::assert_snapshot!(name, app.run(args, 0));
    }
    insta::assert_snapshot!(
        "prune_without_confirmation",
        app.run(&["prune", "app", "--keep", "1"], 2)
    );
}

#[test]
fn a_refused_login_names_the_user_and_the_source() {
    let closed = || Behaviour {
        authorization: Some((
            "Basic YW5uOnNlY3JldA==".to_owned(),
            "Basic realm=\"x\"".to_owned(),
        )),
        ..Behaviour::default()
    };
    for (name, variables) in [
        (
            "login_without_a_password",
            &[("GOLDEN_REGISTRY_USER", "ann")][..],
        ),
        (
            "login_with_a_wrong_password",
            &[
                ("GOLDEN_REGISTRY_USER", "ann"),
                ("GOLDEN_REGISTRY_PASSWORD", "wrong"),
                ("GOLDEN_REGISTRY_HOST", "HOST"),
            ],
        ),
        (
            "login_for_another_host",
            &[
                ("GOLDEN_REGISTRY_USER", "ann"),
                ("GOLDEN_REGISTRY_PASSWORD", "secret"),
                ("GOLDEN_REGISTRY_HOST", "localhost:1"),
            ],
        ),
    ] {
        let Published {
            mut golden,
            registry,
        } = Published::answering(closed());
        for (key, value) in variables {
            golden = golden.env(key, &value.replace("HOST", &registry.host()));
        }
        let repository = format!("{}/golden/app", registry.host());
        let run = Published { registry, golden };
        insta::assert_snapshot!(name, run.run(&["ls", &repository], 1));
    }
}

#[test]
fn a_code_is_explained_as_a_rule_is() {
    let golden = workspace();
    let explained = golden.run(&["check", "--explain", "spec.file"]).exit(0);
    insta::assert_snapshot!("explained_code", explained.stdout);
    insta::assert_snapshot!(
        "all_codes",
        golden.run(&["check", "--explain"]).exit(0).stdout
    );
    insta::assert_snapshot!(
        "unknown_code",
        failure(golden.run(&["check", "--explain", "spec.fille"]), 2)
    );
}

#[test]
fn a_template_that_fails_is_one_error() {
    let golden = Golden::new().file("golden.toml", "").image(
        "app",
        r#"
[image]
name = "app"
version = "1.0.0"
base = "scratch"
template = "{{ vars.a }}"
[tags]
extra = ["{{ vars.b }}"]
[certs]
trust = ["{{ vars.c }}"]
[[files]]
source = "{{ vars.d }}"
target = "{{ vars.e }}"
[env]
F = "{{ vars.f }}"
"#,
    );
    let run = golden.run(&["check", "--format", "json"]).exit(2);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let found: Vec<(String, String)> = json["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| {
            let text = |key: &str| found[key].as_str().unwrap().to_owned();
            (text("rule"), text("message"))
        })
        .collect();
    let expected: Vec<(String, String)> = ["a", "b", "c", "d", "e", "f"]
        .iter()
        .map(|name| {
            (
                "spec.template".to_owned(),
                format!("`vars.{name}` is not defined"),
            )
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_words_of_a_credential_helper_are_shown() {
    let all = Published::answering(Behaviour {
        authorization: Some(("Basic YW5uOnM=".to_owned(), "Basic realm=\"r\"".to_owned())),
        ..Behaviour::default()
    });
    all.golden
        .write(".docker/config.json", r#"{"credsStore":"golden-vault"}"#);
    let helper = all.golden.write(
        "bin/docker-credential-golden-vault",
        "#!/bin/sh\necho 'the vault is sealed: run vault unseal'\nexit 1\n",
    );
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&helper, executable).unwrap();
    let path = format!("{}:/usr/bin:/bin", helper.parent().unwrap().display());
    let Published { registry, golden } = all;
    let all = Published {
        golden: golden.env("PATH", &path),
        registry,
    };
    insta::assert_snapshot!(all.run(&["ls", &format!("{}/app", all.registry.host())], 1), @r"
    ---
    error: credential helper `docker-credential-golden-vault` for HOST: the vault is sealed: run vault unseal
    ");
}

#[test]
fn a_base_whose_index_lists_no_platform_shows_those_of_its_images() {
    let all = Published::new();
    let host = all.registry.host();
    let entry = |architecture: &str| {
        let digest = all.registry.image_for("base/b", architecture, "", &[]);
        serde_json::json!({ "mediaType": golden::oci::media::OCI_MANIFEST, "digest": digest, "size": 1 })
    };
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": golden::oci::media::OCI_INDEX,
        "manifests": [entry("amd64"), entry("arm64")] });
    all.registry
        .manifest("base/b", golden::oci::media::OCI_INDEX, &index, &["1"]);
    all.golden.write(
        "app/image.toml",
        format!(
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"{host}/base/b:1\"\nplatforms = [\"linux/s390x\"]\n"
        ),
    );
    insta::assert_snapshot!(all.run(&["build", "--engine", "embedded", "--to", "oci:out"], 1), @r#"
    IMAGE  OUTCOME  RESULT  SIZE  TIME
    app:1.0.0  failed  see the error message
    ---
    locked HOST/base/b:1 at <digest-1> in golden.lock; commit this file
    app:1.0.0: started
    app:1.0.0: engine: embedded (requested)
    app:1.0.0: failed
    error: app:1.0.0: the base HOST/base/b:1 is not for linux/s390x; the index lists no platform; its images are: linux/amd64, linux/arm64 (from the config)
      help: to build for linux/amd64, set platforms = ["linux/amd64"] under [image]
    "#);
}
