//! `golden render` writes the same Dockerfiles for the same workspace, and `--check` finds outdated
//! ones.

use crate::support::workspace::Golden;

/// Each directory below tests/cases/render is a case: an image.toml and the Dockerfile that it must
/// give.
#[test]
fn each_case_gives_its_dockerfile() {
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/render");
    let mut directories: Vec<_> = std::fs::read_dir(cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    directories.sort();
    assert!(directories.len() >= 6);
    for directory in directories {
        let golden = Golden::new();
        copy(&directory, golden.path());
        let run = golden.run(&["render"]).exit(0);
        insta::with_settings!({ snapshot_path => &directory, prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!("Dockerfile", run.stdout);
        });
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn workspace() -> Golden {
    Golden::new()
        .workspace("")
        .image("app", "[image]\nname = \"team/app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n")
        .image("slim", "[image]\nname = \"team/app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\nvariant = \"slim\"\n")
        .image(
            "rows",
            "[image]\nname = \"rows\"\nversion = \"{{ matrix.v }}\"\nbase = \"scratch\"\n[matrix]\nv = [\"1.0.0\", \"2.0.0\"]\n",
        )
}

#[test]
fn dockerfiles_are_written_and_outdated_ones_are_found() {
    let golden = workspace();
    let check = ["render", "--out", "out", "--check"];
    let run = golden.run(&check).exit(5);
    let files = [
        "rows/Dockerfile.1.0.0",
        "rows/Dockerfile.2.0.0",
        "rows/docker-bake.json",
        "team/app/Dockerfile",
        "team/app/Dockerfile.slim",
        "team/app/docker-bake.json",
    ];
    let mut missing: Vec<String> = files
        .iter()
        .map(|file| format!("{file}: missing"))
        .collect();
    missing.sort();
    let mut seen: Vec<&str> = run.stdout.lines().collect();
    seen.sort_unstable();
    assert_eq!(seen, missing);
    assert!(
        !golden.path().join("out").exists(),
        "a check writes nothing"
    );

    assert_eq!(golden.run(&["render", "--out", "out"]).exit(0).stdout, "");
    for file in files {
        assert!(golden.path().join("out").join(file).is_file(), "{file}");
    }
    assert_eq!(golden.run(&check).exit(0).stdout, "");

    // Files of a deleted image are found; files of the user are ignored.
    std::fs::create_dir(golden.path().join("out/gone")).unwrap();
    let gone = golden.path().join("out/gone/Dockerfile.v1");
    std::fs::copy(golden.path().join("out/team/app/Dockerfile"), &gone).unwrap();
    golden.write("out/own/Dockerfile", "FROM scratch\n");
    assert_eq!(
        golden.run(&check).exit(5).stdout,
        "gone/Dockerfile.v1: left over\n"
    );
    golden
        .run(&["render", "--out", "out", "--check", "rows"])
        .exit(0);
    let run = golden.run(&["render", "--out", "out"]).exit(0);
    assert!(
        run.stderr.contains("gone/Dockerfile.v1: left over") && run.stdout.is_empty(),
        "{}",
        run.stderr
    );
    std::fs::remove_file(gone).unwrap();

    golden.write("out/team/app/Dockerfile", "FROM other\n");
    assert_eq!(
        golden.run(&check).exit(5).stdout,
        "team/app/Dockerfile: stale\n"
    );
    golden
        .run(&["render", "--out", "out", "--check", "rows"])
        .exit(0);
    let json = golden
        .run(&[
            "render", "--out", "out", "--check", "--format", "json", "team/app",
        ])
        .exit(5)
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["schema"], 1);
    let states: Vec<_> = json["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["state"].clone())
        .collect();
    assert!(
        states.contains(&"stale".into()) && states.contains(&"current".into()),
        "{states:?}"
    );
}

#[test]
fn a_base_appears_as_written_or_as_locked() {
    let image =
        |base: &str| format!("[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = {base}\n");
    let golden = Golden::new().workspace("[vars]\nline = \"12\"\n");
    let digest = format!("sha256:{}", "a".repeat(64));
    for (base, shown) in [
        ("\"debian\"", "debian"),
        ("\"debian:{{ vars.line }}\"", "debian:12"),
        (
            "{ ref = \"index.docker.io/debian:12\" }",
            "index.docker.io/debian:12",
        ),
        ("{ ref = \"debian\", version = \"12\" }", "debian"),
        (
            &format!("\"debian:12@{digest}\""),
            &format!("debian:12@{digest}"),
        ),
    ] {
        golden.write("a/image.toml", image(base));
        let run = golden.run(&["render"]).exit(0);
        assert!(
            run.stdout.contains(&format!("\nARG GOLDEN_BASE={shown}\n")),
            "{base}: {}",
            run.stdout
        );
    }
    golden.write(
        "golden.lock",
        format!(
            "version = 1\n[[base]]\nbase = \"docker.io/library/debian ^12\"\nreference = \"docker.io/library/debian:12.8\"\ndigest = \"{digest}\"\n"
        ),
    );
    golden.write(
        "a/image.toml",
        image("{ ref = \"debian\", version = \"12\" }"),
    );
    let run = golden.run(&["render"]).exit(0);
    let locked = format!("ARG GOLDEN_BASE=docker.io/library/debian:12.8@{digest}\n");
    assert!(run.stdout.contains(&locked), "{}", run.stdout);
}

#[test]
fn an_unknown_template_is_an_error_of_the_spec() {
    let golden = Golden::new().workspace("").image(
        "app",
        "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\ntemplate = \"debain\"\n",
    );
    let run = golden.run(&["render"]).exit(2);
    assert!(
        run.stderr.contains("debain") && run.stderr.contains("did you mean `debian`?"),
        "{}",
        run.stderr
    );
}

#[test]
fn check_renders_the_templates() {
    let image = |more: &str| {
        format!("[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n{more}\n")
    };
    let golden = Golden::new()
        .workspace("[workspace]\ntemplates = [\"own\"]\n")
        .file("own/broken.Dockerfile.j2", "{{ from }}\n{% if %}\n");
    for (more, expected) in [
        ("template = \"broken\"", "a/image.toml:5:12"),
        (
            "[env]\n\"A-B\" = { append = \"x\" }",
            "env.A-B cannot be extended",
        ),
    ] {
        golden.write("a/image.toml", image(more));
        let run = golden.run(&["check"]).exit(2);
        assert!(
            run.stderr.contains("spec.render") && run.stderr.contains(expected),
            "{}",
            run.stderr
        );
        golden.run(&["render"]).exit(2);
    }
}

#[test]
fn a_template_of_the_workspace_overrides_the_built_in_one() {
    let golden = Golden::new()
        .workspace("[workspace]\ntemplates = [\"own\"]\n")
        .file("own/static.Dockerfile.j2", "{{ from }}\n{{ labels }}\n{{ config }}\n# mine\n")
        .image(
            "app",
            "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n[config]\ncmd = [\"/x\"]\n",
        );
    let run = golden.run(&["render"]).exit(0);
    assert!(run.stdout.starts_with("FROM scratch\n"), "{}", run.stdout);
    assert!(
        run.stdout.ends_with("CMD [\"/x\"]\n# mine\n"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_dockerfile_has_colours_only_on_a_terminal_or_on_request() {
    let golden = Golden::new().workspace("").image(
        "app",
        "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n",
    );
    let plain = golden.run(&["render"]).exit(0).stdout;
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let colored = golden.run(&["render", "--color", "always"]).exit(0).stdout;
    assert!(colored.contains("\u{1b}[34mFROM"), "{colored:?}");
    assert_eq!(console::strip_ansi_codes(&colored), plain);
    assert_eq!(
        golden.run(&["render", "--color", "never"]).exit(0).stdout,
        plain
    );
}
