//! Dockerfiles like those of public repositories, with their reports and specs.

use super::*;
use crate::dockerfile::parse;

/// The Dockerfiles, each below a line `=== NAME`.
const DOCKERFILES: &str = include_str!("tests/dockerfiles.txt");

/// A build context with these files.
fn context() -> BuildContext {
    let mut context = BuildContext::default();
    let mut add = |path: &str, mode: u32, kind: ContextKind| {
        for (end, _) in path.match_indices('/') {
            let directory = ContextEntry {
                mode: 0o755,
                kind: ContextKind::Directory,
            };
            context
                .entries
                .entry(path[..end].to_owned())
                .or_insert(directory);
        }
        context
            .entries
            .insert(path.to_owned(), ContextEntry { mode, kind });
    };
    let file = || ContextKind::File(ContextContent::Other);
    for path in [
        "requirements.txt",
        "package.json",
        "package-lock.json",
        "nginx.conf",
        "src/lib/util.py",
        "config/apt.conf",
    ] {
        add(path, 0o644, file());
    }
    add("entrypoint.sh", 0o755, file());
    add("src/main.py", 0o755, file());
    add("src/current", 0o777, ContextKind::Link("lib".to_owned()));
    let certificate = ContextKind::File(ContextContent::Certificates);
    add("certs/corp.crt", 0o644, certificate.clone());
    add("certs/Team+CA.pem", 0o644, certificate);
    add(
        "vendor/tool.tar.gz",
        0o644,
        ContextKind::File(ContextContent::Archive),
    );
    add("modes/private", 0o600, file());
    add("modes/plain", 0o644, file());
    add("modes/sub", 0o700, ContextKind::Directory);
    add("modes/sub/tool", 0o755, file());
    context
}

fn imported(text: &str) -> Result<Import, Error> {
    let options = ImportOptions {
        name: "app".to_owned(),
        comment: "Imported.".to_owned(),
        ..ImportOptions::default()
    };
    import(&parse(text)?, &context(), &options)
}

/// The report and the spec of an import.
fn shown(import: &Import) -> String {
    let line =
        |line: &ImportedLine| format!("{}  {}  {}", line.line, line.instruction, line.outcome);
    let lines: Vec<String> = import.lines.iter().map(line).collect();
    let spec = crate::config_files::format::format(&import.spec).unwrap();
    assert_valid(&spec);
    format!("{}\n\n{spec}", lines.join("\n"))
}

/// Checks that a text is an image.toml.
fn assert_valid(spec: &str) {
    use crate::config_files::document::{SourceFiles, SourceKind, parse};
    use crate::config_files::typed::typed;
    let path = std::path::Path::new("image.toml");
    let mut found = crate::diagnostic::Diagnostics::new();
    let files = SourceFiles {
        workspace: "golden.toml".into(),
        image: path.into(),
    };
    if let Some(table) = parse(path, SourceKind::Image, spec, &mut found) {
        drop::<crate::config_files::ImageSpec>(typed(table, &files, &mut found));
    }
    let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, [""; 0], "{spec}");
}

#[test]
fn dockerfiles_become_specs() {
    for case in DOCKERFILES.split("=== ").skip(1) {
        let (name, text) = case.split_once('\n').unwrap();
        let result = imported(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        insta::assert_snapshot!(name, shown(&result), text);
    }
}

#[test]
fn a_dockerfile_that_no_spec_can_hold_is_refused() {
    for (text, expected) in [
        (
            "FROM golang:1.23 AS build\nRUN make\nFROM scratch\nCOPY --from=build /a /a\n",
            "the Dockerfile has 2 build stages (build on line 1, line 3); an image of a workspace has one",
        ),
        (
            "ARG B\nFROM $B\n",
            "line 2: the base `$B` cannot be used: its build argument has no default, or depends on the platform",
        ),
        ("RUN x\n", "line 1: RUN comes before the first FROM"),
        (
            "FROM debian:12\nFOO x\n",
            "line 2: `FOO` is not an instruction",
        ),
    ] {
        let error = imported(text).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let stages = imported("FROM a AS b\nFROM b\n").unwrap_err();
    assert_eq!(stages.hints().len(), 2);
}

#[test]
fn a_dockerfile_with_too_many_steps_is_refused_at_the_instruction_that_adds_one() {
    let runs = |number: usize| format!("FROM debian:12\n{}", "RUN make\n".repeat(number));
    assert!(imported(&runs(1_000)).is_ok());
    let error = imported(&(runs(1_000) + "WORKDIR /a\nUSER app\n")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "golden imports at most 1000 steps; WORKDIR in line 1002 needs one more"
    );
    assert_eq!(
        error.hints(),
        [
            "join RUN instructions with `&&`, and import the Dockerfile again; an engine builds at most about 125 of them"
        ]
    );
}

#[test]
fn a_stage_on_another_stage_is_refused_as_one_of_several_stages() {
    let text = "FROM golang:1.23 AS build\nRUN make\nFROM build AS last\nRUN make check\n";
    let options = ImportOptions {
        stage: Some("last".to_owned()),
        ..ImportOptions::default()
    };
    let error = import(&parse(text).unwrap(), &context(), &options).unwrap_err();
    let stages = ["build on line 1", "last on line 3"].map(str::to_owned);
    assert_eq!(error, Error::Stages(stages.to_vec()));
}

#[test]
fn a_user_that_is_not_known_matters_only_to_the_steps_of_the_dockerfile() {
    const PACKAGES: &str = "RUN apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*";
    for (text, expected) in [
        ("FROM debian:12\nRUN make\n", true),
        ("FROM debian:12\nRUN make\nUSER app\nRUN make\n", true),
        (&format!("FROM debian:12\n{PACKAGES} && make\n"), true),
        (&format!("FROM debian:12\n{PACKAGES}\n"), false),
        ("FROM debian:12\nUSER root\nRUN make\n", false),
        (
            "FROM debian:12\nUSER app\nRUN make\nUSER root\nRUN make\n",
            false,
        ),
        (
            "FROM debian:12\nCOPY src /a\nCOPY src/main.py /a/main.py\n",
            false,
        ),
        ("FROM scratch\nRUN [\"/x\"]\n", false),
        ("FROM scratch\nARG U\nUSER $U\nRUN [\"/x\"]\n", true),
        ("FROM debian:12\nUSER app\nUSER $U\nRUN make\n", true),
        ("FROM debian:12\nUSER $U\nUSER app\nRUN make\n", false),
    ] {
        let import = imported(text).unwrap();
        assert_eq!(import.needs_unknown_user, expected, "{text}");
    }
}

#[test]
fn a_working_directory_that_is_not_known_matters_only_to_steps_that_may_use_it() {
    for (text, expected) in [
        // Without a WORKDIR, the step runs in the directory of the base in both builds.
        ("FROM debian:12\nRUN make\n", false),
        ("FROM debian:12\nRUN make\nWORKDIR /a\n", true),
        ("FROM debian:12\nRUN make\nWORKDIR /\n", true),
        ("FROM debian:12\nRUN cd /a && make\nWORKDIR /a\n", false),
        ("FROM debian:12\nRUN useradd app\nWORKDIR /a\n", false),
        (
            "FROM debian:12\nRUN [\"make\"]\nCOPY src /a\nWORKDIR /a\n",
            true,
        ),
        ("FROM debian:12\nWORKDIR /a\nRUN make\nWORKDIR /b\n", false),
        ("FROM debian:12\nWORKDIR a\nRUN make\n", true),
        ("FROM debian:12\nWORKDIR /$X\nRUN make\n", true),
        ("FROM debian:12\nWORKDIR /$X\nRUN rm -rf /a\n", false),
        ("FROM debian:12\nWORKDIR /$X\nWORKDIR /a\nRUN make\n", false),
        ("FROM debian:12\nWORKDIR /$X\nCOPY src /a\n", false),
        ("FROM scratch\nRUN [\"/x\"]\nWORKDIR /a\n", false),
        (
            "FROM scratch\nARG TARGETARCH\nWORKDIR /$TARGETARCH\nRUN [\"/x\"]\n",
            true,
        ),
    ] {
        let import = imported(text).unwrap();
        assert_eq!(import.needs_unknown_workdir, expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_dockerfile_makes_the_import_panic(
        lines in proptest::collection::vec(
            "(RUN|COPY|ADD|ENV|LABEL|CMD|WORKDIR|USER|EXPOSE|VOLUME|SHELL|ARG|HEALTHCHECK CMD) [-a-z /.$\\[\\]\"'=:{}0-9]{1,20}",
            0..6,
        )
    ) {
        if let Ok(import) = imported(&format!("FROM debian:12\n{}\n", lines.join("\n"))) {
            drop(shown(&import));
        }
    }
}
