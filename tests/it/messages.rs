//! Messages as the user sees them: the complete output, with the next step.

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
    insta::assert_snapshot!(failure(golden.run(&["prune", "app"]), 2), @"error: specify what to prune: --keep N, --older-than AGE, or both");
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
            "[default: text] [possible values: text, json, github, sarif]",
        ),
        (
            "matrix",
            "[default: github] [possible values: github, gitlab, json]",
        ),
        ("build", "[default: text] [possible values: text, json]"),
        ("schema", "[default: json] [possible values: json]"),
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
    let script = golden.run(&["completions", "fish"]).exit(0).stdout;
    let is_format = |part: &&str| part.contains("matrix") && part.contains("-l format");
    let format = script.split("complete -c golden").find(is_format).unwrap();
    assert!(format.contains("gitlab"), "{format}");
}
