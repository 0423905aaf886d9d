//! The whole output in each format.

use proptest::prelude::*;

use super::out::Captured;
use super::{Out, OutputFormat, ReportingOptions, diagnostics, spawn};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceMap};
use crate::event::{Event, Events, Step};

const IMAGE: &str = "[image]\nname = \"a\"\n\n[lables]\nowner = \"me\"\n\n[env]\nDB_PASSWORD = \"hunter2\" # keep\n漢 = \"ü\"\n";
const WORKSPACE: &str = "[policy]\nrequired_labels = [\"owner\", \"team\"]\n";

fn sources() -> SourceMap {
    let mut sources = SourceMap::default();
    sources.insert("a/image.toml", IMAGE);
    sources.insert("golden.toml", WORKSPACE);
    sources
}

fn found() -> Diagnostics {
    let at = |text: &str| {
        let start = IMAGE.find(text).unwrap();
        start..start + text.len()
    };
    let mut found = Diagnostics::new();
    found.push(
        Diagnostic::error("spec.unknown-key", "unknown key `lables`")
            .at("a/image.toml", at("lables"), "not known")
            .help("did you mean `labels`?"),
    );
    for image in ["a:1.0.0", "a:1.0.0-alpine"] {
        found.push(
            Diagnostic::error("required_labels", "the required label `team` is missing")
                .of_policy()
                .at("a/image.toml", at("image"), "")
                .at("golden.toml", 36..42, "required here")
                .about(image)
                .help("add it to [labels]: team = \"…\""),
        );
    }
    let mut secret = Diagnostic::error(
        "env.deny_secrets",
        "the variable `DB_PASSWORD` looks like a secret: its name says so",
    )
    .of_policy()
    .at("a/image.toml", at("DB_PASSWORD"), "the value is not shown")
    .about("a:1.0.0");
    secret
        .hidden
        .push(("a/image.toml".into(), at("\"hunter2\"")));
    found.push(secret);
    found.push(Diagnostic::warning("x.wide", "wide: 漢\u{1b}[31m").at(
        "a/image.toml",
        at("\"ü\""),
        "ü",
    ));
    found.push(Diagnostic::warning("x.nowhere", "this has no place").about("a:1.0.0"));
    found
}

fn text(captured: &Captured) -> String {
    String::from_utf8(captured.lock().unwrap().clone()).unwrap()
}

fn drawn(format: OutputFormat, found: &Diagnostics) -> (String, String) {
    let (out, stdout, stderr) = Out::memory(100);
    diagnostics(&out, format, found, &sources());
    (text(&stdout), text(&stderr))
}

#[test]
fn text_shows_the_marked_source() {
    let (stdout, stderr) = drawn(OutputFormat::Text, &found());
    assert_eq!(stdout, "");
    insta::assert_snapshot!(stderr);
}

#[test]
fn quiet_shows_only_errors() {
    let (mut out, _, stderr) = Out::memory(100);
    out.quiet = true;
    diagnostics(&out, OutputFormat::Text, &found(), &sources());
    assert!(!text(&stderr).contains("warning"), "{}", text(&stderr));
}

#[test]
fn no_findings_give_no_output() {
    assert_eq!(
        drawn(OutputFormat::Text, &Diagnostics::new()),
        (String::new(), String::new())
    );
    assert_eq!(
        drawn(OutputFormat::Github, &Diagnostics::new()),
        (String::new(), String::new())
    );
}

#[test]
fn json_lists_all_findings() {
    insta::assert_snapshot!(drawn(OutputFormat::Json, &found()).0);
}

#[test]
fn github_gets_one_annotation_per_finding() {
    insta::assert_snapshot!(drawn(OutputFormat::Github, &found()).0);
}

#[test]
fn sarif_results_refer_to_rules_by_index() {
    let log: serde_json::Value =
        serde_json::from_str(&drawn(OutputFormat::Sarif, &found()).0).unwrap();
    let run = &log["runs"][0];
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(
            run["tool"]["driver"]["rules"][index]["id"],
            result["ruleId"]
        );
    }
    insta::assert_snapshot!(format!("{:#}", run["results"]));
}

#[test]
fn paths_start_at_the_current_directory() {
    let mut sources = sources();
    sources.set_prefix("images");
    let (out, stdout, _) = Out::memory(100);
    diagnostics(&out, OutputFormat::Github, &found(), &sources);
    assert!(
        text(&stdout).starts_with("::error file=images/a/image.toml,line=4,"),
        "{}",
        text(&stdout)
    );
}

#[test]
fn no_other_finding_shows_a_hidden_part() {
    let mut found = found();
    let start = IMAGE.find("hunter2").unwrap();
    found.push(Diagnostic::error("x.y", "same line").at("a/image.toml", start..start + 3, "here"));
    for format in [
        OutputFormat::Text,
        OutputFormat::Json,
        OutputFormat::Github,
        OutputFormat::Sarif,
    ] {
        let (stdout, stderr) = drawn(format, &found);
        assert!(
            !stdout.contains("hunter") && !stderr.contains("hunter"),
            "{stdout}{stderr}"
        );
    }
}

#[test]
fn a_very_long_line_is_not_shown_except_for_its_place() {
    let mut sources = SourceMap::default();
    sources.insert(
        "a.toml",
        format!("x = 1\ny = \"{}\"\n", "a".repeat(1_000_000)),
    );
    let mut found = Diagnostics::new();
    found.push(Diagnostic::error("x.y", "too long").at("a.toml", 10..20, "here"));
    let (out, _, stderr) = Out::memory(80);
    diagnostics(&out, OutputFormat::Text, &found, &sources);
    assert!(
        text(&stderr).contains("a.toml:2:5") && text(&stderr).len() < 200,
        "{}",
        text(&stderr).len()
    );
}

proptest! {
    #[test]
    fn any_text_at_any_position_can_be_reported(source in any::<String>(), a in 0_usize..60, length in 0_usize..60, message in any::<String>()) {
        let mut sources = SourceMap::default();
        sources.insert("a.toml", source);
        let mut found = Diagnostics::new();
        let mut error = Diagnostic::error("x.y", message.clone()).at("a.toml", a..a + length, message.clone()).help(message);
        error.hidden.push(("a.toml".into(), a..a + 5));
        found.push(error);
        for format in [OutputFormat::Text, OutputFormat::Json, OutputFormat::Github, OutputFormat::Sarif] {
            let (out, _, stderr) = Out::memory(80);
            diagnostics(&out, format, &found, &sources);
            let drawn = text(&stderr);
            prop_assert!(!drawn.contains(['\u{1b}', '\r', '\u{7}']), "{drawn:?}");
        }
    }
}

#[tokio::test]
async fn events_are_printed_as_lines_in_their_order() {
    let image = || "dotnet/aspnet:3.0.1".to_owned();
    let (out, stdout, stderr) = Out::memory(80);
    let (events, receiver) = Events::channel();
    let reporting = spawn(&out, receiver, ReportingOptions::default());
    events.note(None, "engine: docker 20.10");
    events.send(Event::Started { image: image() });
    events.step(
        &image(),
        Step::Build("RUN echo \u{1b}[31mred\nx".to_owned()),
    );
    events.send(Event::Log {
        image: image(),
        line: "\u{1b}[31mred".to_owned(),
    });
    for done in [10, 1_500_000] {
        let what = "sha256:12ab34cd".to_owned();
        events.send(Event::Bytes {
            image: image(),
            what,
            done,
            total: Some(1_500_000),
        });
    }
    events.warn(Some(&image()), "the clone is shallow");
    events.send(Event::Finished {
        image: image(),
        text: "built".to_owned(),
        ok: true,
        because: None,
    });
    events.send(Event::Finished {
        image: image(),
        text: "failed".to_owned(),
        ok: false,
        because: Some("late".to_owned()),
    });
    reporting.finish(0, None).await;
    assert_eq!(text(&stdout), "");
    insta::assert_snapshot!(text(&stderr), @r"
    engine: docker 20.10
    dotnet/aspnet:3.0.1: started
    dotnet/aspnet:3.0.1: RUN echo \u{1b}[31mred\nx
    dotnet/aspnet:3.0.1: | red
    dotnet/aspnet:3.0.1: sha256:12ab34cd 1.5 MB
    warning: dotnet/aspnet:3.0.1: the clone is shallow
    dotnet/aspnet:3.0.1: built
    dotnet/aspnet:3.0.1: failed
    ");
}
