//! The policy on specs, with the real binary: positions, severities, exit codes, and no secret in
//! the output.

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

const POLICY: &str = r#"
[defaults.labels]
framework = "dotnet"

[policy]
required_labels = ["framework", "version", "owner"]

[policy.labels]
owner = { pattern = '[a-z.-]+@example\.com' }
framework = { one_of = ["dotnet", "java", "node"] }

[policy.base]
allow = ["docker.io/library/debian"]
deny_tags = ["latest"]

[policy.config]
deny_root = true
ports = { min = 1024 }

[policy.env]
deny_secrets = true

[policy.severity]
"config.ports" = "warn"
"#;

const BROKEN: &str = r#"
[image]
name = "app"
version = "1.2.3"
base = "alpine:latest"

[labels]
owner = "Team <team@example.com>"
framework = "dotnt"

[env]
DB_PASSWORD = "hunter2hunter2" # nobody sees this
CONNECTION = """
postgres://app:s3cr3tvalue@db/app
"""

[config]
expose = [80]
user = "root"
"#;

const KEPT: &str = r#"
[image]
name = "app"
version = "1.2.3"
base = "scratch"

[labels]
owner = "team@example.com"

[config]
user = "10001"
"#;

fn broken() -> Golden {
    Golden::new().workspace(POLICY).image("app", BROKEN)
}

#[test]
fn every_violation_has_its_position() {
    let run = broken().run(&["check"]).exit(3);
    assert_eq!(run.stdout, "");
    insta::assert_snapshot!(run.stderr);
}

#[test]
fn a_policy_without_violations_passes() {
    let golden = Golden::new().workspace(POLICY).image("app", KEPT);
    let run = golden.run(&["check"]).exit(0);
    assert!(
        !run.stderr.contains("error") && !run.stderr.contains("warning"),
        "{}",
        run.stderr
    );
    let run = golden.run(&["check", "--format", "json"]).exit(0);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        document,
        serde_json::json!({ "schema": 1, "errors": 0, "warnings": 0, "diagnostics": [] })
    );
}

#[test]
fn no_output_format_shows_a_secret() {
    for format in ["text", "json", "github", "sarif"] {
        for more in [&[][..], &["-vv"], &["-q"], &["--color", "always"]] {
            let run = broken()
                .run(&[&["check", "--format", format], more].concat())
                .exit(3);
            let all = run.stdout + &run.stderr;
            assert!(
                !all.contains("hunter2") && !all.contains("s3cr3tvalue"),
                "{format} {more:?}: {all}"
            );
        }
    }
}

#[test]
fn annotations_name_file_line_and_column() {
    let run = broken().run(&["check", "--format", "github"]).exit(3);
    insta::assert_snapshot!(run.stdout);
}

#[test]
fn paths_are_relative_to_the_current_directory() {
    let golden = Golden::new()
        .file("images/golden.toml", POLICY)
        .image("images/app", BROKEN);
    let run = golden.run(&["check", "--format", "github"]).exit(3);
    assert!(
        run.stdout.contains("file=images/app/image.toml,line="),
        "{}",
        run.stdout
    );
    let run = golden.run(&["-w", "images", "check"]).exit(3);
    assert!(
        run.stderr.contains("--> images/app/image.toml:"),
        "{}",
        run.stderr
    );
}

#[test]
fn severities_apply_and_a_broken_policy_is_an_error() {
    let golden = Golden::new()
        .workspace(
            "[policy]\nrequired_labels = [\"nobody\"]\n[policy.severity]\nrequired_labels = \"warn\"\n",
        )
        .image("app", KEPT);
    let run = golden.run(&["check"]).exit(0);
    assert!(
        run.stderr.contains("warning[required_labels]"),
        "{}",
        run.stderr
    );
    let golden = Golden::new()
        .workspace("[policy.labels]\nowner = { pattern = '(' }\n[policy.severity]\n'base.alow' = \"off\"\n")
        .image("app", KEPT);
    insta::assert_snapshot!(golden.run(&["check"]).exit(2).stderr);
}

#[test]
fn a_policy_violation_stops_the_build() {
    // No engine exists here: the policy stops the run before golden looks for one.
    let golden = broken().env("DOCKER_HOST", "unix:///nowhere.sock");
    for command in [
        &["build"][..],
        &["build", "--push", "--registry", "127.0.0.1:9"],
        &["plan", "--registry", "127.0.0.1:9"],
    ] {
        let run = golden.run(command).exit(3);
        assert_eq!(run.stdout, "", "{command:?}");
    }
}

#[test]
fn audit_needs_a_policy() {
    let run = Golden::new().run(&["audit", "127.0.0.1:9/app:1"]).exit(2);
    assert!(run.stderr.contains("no golden.toml"), "{}", run.stderr);
    let run = Golden::new()
        .workspace(POLICY)
        .run(&["audit", "127.0.0.1:9/app:1"])
        .exit(1);
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    Golden::new()
        .workspace(POLICY)
        .run(&["audit", "team/App:1"])
        .exit(2);
}

#[test]
fn the_workspace_of_init_passes_its_policy() {
    let golden = Golden::new();
    golden.run(&["init"]).exit(0);
    let run = golden.run(&["check"]).exit(0);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("", "1 image is valid\n")
    );
    golden.run(&["build", "--engine", "embedded"]).exit(0);
}

#[test]
fn an_exception_is_written_with_a_date_and_has_its_own_mistakes() {
    let image = "[image]\nname = \"legacy/app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n";
    let run = |except: &str, image: &str| {
        Golden::new()
            .workspace(&format!(
                "[policy.config]\ndeny_root = true\n[[policy.except]]\n{except}"
            ))
            .image("app", image)
            .env("SOURCE_DATE_EPOCH", "1795219200")
            .run(&["check"])
    };
    let valid = "rule = \"config.deny_root\"\nimages = [\"legacy/*\"]\nreason = \"installer\"\n";
    run(&format!("{valid}until = 2027-01-31\n"), image).exit(0);
    run(&format!("{valid}until = \"2027-01-31\"\n"), image).exit(0);
    run(
        &format!("{valid}until = 2027-01-31\n"),
        &image.replace("legacy/", "team/"),
    )
    .exit(3);
    let ended = run(&format!("{valid}until = 2026-01-31\n"), image).exit(3);
    insta::assert_snapshot!(ended.stderr);
    for (wrong, expected) in [
        (valid.to_owned(), "missing"),
        (format!("{valid}until = 2027-02-30\n"), "golden.toml"),
        (
            format!("{valid}until = \"soon\"\n"),
            "`soon` is not a date such as 2026-11-20",
        ),
        (
            format!("{valid}until = 2027-01-31T10:00:00Z\n"),
            "is not a date such as 2026-11-20",
        ),
        (format!("{valid}until = 3\n"), "a date such as 2026-11-20"),
        (
            format!("{valid}until = 2027-01-31\nimage = \"x\"\n"),
            "images",
        ),
    ] {
        let found = run(&wrong, image).exit(2).stderr;
        assert!(found.contains(expected), "{wrong}\n{found}");
    }
}

/// The rules about sizes are checked before any tag moves, and against the earlier version.
#[test]
fn an_image_that_exceeds_its_size_limits_is_not_published() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden = Golden::new().env("SOURCE_DATE_EPOCH", "0");
    let limits = |limits: &str| {
        let text =
            format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n[policy.size]\n{limits}\n");
        golden.write("golden.toml", text);
    };
    let image = |version: &str, lines: usize| {
        let spec = format!(
            "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n\
             [[files]]\nsource = \"data\"\ntarget = \"/srv/data\"\n"
        );
        golden.write("app/image.toml", spec);
        let line = |n: usize| {
            golden::reference::Digest::of(&n.to_le_bytes())
                .hex()
                .to_owned()
        };
        golden.write("app/data", (0..lines).map(line).collect::<String>());
    };
    image("1.0.0", 100);
    for (limit, finding) in [
        ("unpacked = \"6.3kB\"", "size.unpacked"),
        ("layer = \"6399\"", "size.layer"),
        ("packed = 100", "size.packed"),
    ] {
        limits(limit);
        for command in [&["build", "--push"][..], &["build"]] {
            let run = golden.run(command).exit(3);
            assert!(run.stderr.contains(finding), "{}", run.stderr);
            assert!(
                run.stderr.contains("the largest files: /srv/data (6.4 kB)"),
                "{}",
                run.stderr
            );
        }
    }
    assert_eq!(registry.tags("app").len(), 0);
    limits("unpacked = 6400\nlayer = \"6.4 kB\"\ngrowth = \"50%\"");
    golden.run(&["build", "--push"]).exit(0);
    let tags = registry.tags("app");
    // It grows by half: published with a warning only.
    image("1.0.1", 160);
    limits("growth = \"50%\"");
    let run = golden.run(&["build", "--push"]).exit(3);
    let because = format!("in {host}/app:1.0.0 to ");
    assert!(run.stderr.contains("[size.growth]"), "{}", run.stderr);
    assert!(run.stderr.contains(&because), "{}", run.stderr);
    assert_eq!(registry.tags("app"), tags);
    limits("growth = \"50%\"\n[policy.severity]\n\"size.growth\" = \"warn\"");
    let run = golden.run(&["build", "--push"]).exit(0);
    assert!(run.stderr.contains(&because), "{}", run.stderr);
    // A newer major version is not an earlier version.
    image("2.0.0", 1000);
    limits("");
    golden.run(&["build", "--push"]).exit(0);
    image("1.0.2", 400);
    limits("growth = \"50%\"");
    let run = golden.run(&["build", "--push"]).exit(3);
    let because = format!("in {host}/app:1.0.1 to ");
    assert!(run.stderr.contains(&because), "{}", run.stderr);
    image("1.0.1", 160);
    // A published image is audited by its manifest.
    limits("packed = 100");
    let reference = format!("{host}/app:1.0.1");
    let run = golden.run(&["audit", &reference]).exit(3);
    let output = format!("{}{}", run.stdout, run.stderr);
    assert!(output.contains("size.packed"), "{output}");
    for (limit, message) in [
        ("growth = \"ten\"", "`ten` is not a limit for growth"),
        ("packed = \"1 mile\"", "`1 mile` is not a size"),
        ("total = 1", "unknown key `total`"),
    ] {
        limits(limit);
        let run = golden.run(&["check"]).exit(2);
        assert!(run.stderr.contains(message), "{}", run.stderr);
        assert!(run.stderr.contains("golden.toml:5:"), "{}", run.stderr);
    }
}
