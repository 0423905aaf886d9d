use super::*;

fn label(value: &str) -> String {
    RenderedInstruction::Label {
        key: "k".to_owned(),
        value: RenderedPiece::of(value),
    }
    .to_string()
}

#[test]
fn labels_are_quoted() {
    let table = [
        ("", r#"LABEL k="""#),
        ("plain text", r#"LABEL k="plain text""#),
        (r#"a "b" 'c'"#, r#"LABEL k="a \"b\" 'c'""#),
        ("$HOME ${HOME} $$", r#"LABEL k="\$HOME \${HOME} \$\$""#),
        (r"C:\dir\", r#"LABEL k="C:\\dir\\""#),
        ("# {{ x }} 🦀 ", r##"LABEL k="# {{ x }} 🦀 ""##),
    ];
    for (value, expected) in table {
        assert_eq!(label(value), expected);
        assert!(RenderedInstruction::holds(value));
    }
}

#[test]
fn texts_that_do_not_fit_on_one_line_are_detected() {
    assert!(!RenderedInstruction::holds("a\nb"));
    assert!(!RenderedInstruction::holds("a\rb"));
    assert!(!RenderedInstruction::holds(&"x".repeat(60_001)));
    assert!(!RenderedInstruction::holds_key("a=b"));
    assert!(RenderedInstruction::holds_key("a b"));
    assert!(!RenderedInstruction::holds_key(&"k".repeat(7_001)));
    assert_eq!(
        label("a\r\nb\n"),
        "LABEL k=\"a${GOLDEN_CR}${GOLDEN_LF}b${GOLDEN_LF}\""
    );
}

#[test]
fn no_line_is_longer_than_a_builder_reads() {
    let name = "\"".repeat(7_000);
    assert!(RenderedInstruction::holds_key(&name));
    let label = RenderedInstruction::Label {
        key: name,
        value: RenderedPiece::of(&"$".repeat(60_000)),
    }
    .to_string();
    let comment = RenderedInstruction::Comment("é".repeat(100_000)).to_string();
    assert!(comment.chars().count() <= 200);
    for line in label.lines().chain(comment.lines()) {
        assert!(line.len() < 65_535, "a line of {}", line.len());
    }
}

#[test]
fn thousands_of_ports_take_several_lines() {
    let port = |number| Port {
        number,
        protocol: crate::resolve::image::Protocol::Sctp,
    };
    let expose = |ports: std::ops::RangeInclusive<u16>| {
        RenderedInstruction::Expose(ports.map(port).collect()).to_string()
    };
    assert_eq!(expose(8000..=8001), "EXPOSE 8000/sctp 8001/sctp");
    let all = expose(1..=u16::MAX);
    assert!(
        all.lines()
            .all(|line| line.starts_with(['E', ' ']) && line.len() <= 200)
    );
    assert_eq!(
        all.split(' ').filter(|word| word.contains("/sctp")).count(),
        65_535
    );
}

#[test]
fn keys_that_look_like_flags_or_several_words_are_quoted() {
    for (name, expected) in [
        ("a.b/c-d", "a.b/c-d"),
        ("--a", "\"--a\""),
        ("a b", "\"a b\""),
        ("$a", "\"\\$a\""),
    ] {
        let label = RenderedInstruction::Label {
            key: name.to_owned(),
            value: RenderedPiece::of("v"),
        };
        assert_eq!(label.to_string(), format!("LABEL {expected}=\"v\""));
    }
}

#[test]
fn shell_forms_that_builders_would_misread_become_exec_forms() {
    let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
    let cmd = |text: &str| {
        RenderedInstruction::Cmd(Invocation::Shell(text.to_owned()), shell.to_vec()).to_string()
    };
    assert_eq!(
        cmd(r#"echo "$HOME"  'x' # y"#),
        r#"CMD echo "$HOME"  'x' # y"#
    );
    assert_eq!(cmd("a\nb"), r#"CMD ["/bin/sh","-c","a\nb"]"#);
    assert_eq!(cmd(" a"), r#"CMD ["/bin/sh","-c"," a"]"#);
    assert_eq!(cmd("[ -e /x ]"), r#"CMD ["/bin/sh","-c","[ -e /x ]"]"#);
    assert_eq!(cmd("--help"), r#"CMD ["/bin/sh","-c","--help"]"#);
    assert_eq!(cmd("a \\"), r#"CMD ["/bin/sh","-c","a \\"]"#);
}

#[test]
fn words_of_volume_are_expanded_by_the_builder() {
    let paths = vec!["/data".to_owned(), "/a b/$c\"d".to_owned()];
    assert_eq!(
        RenderedInstruction::Volume(paths).to_string(),
        r#"VOLUME ["/data","\"/a b/\\$c\\\"d\""]"#
    );
}

#[test]
fn durations_are_in_the_largest_unit() {
    let table = [
        (3_600_000, "1h"),
        (90_000, "90s"),
        (120_000, "2m"),
        (1_500, "1500ms"),
    ];
    for (milliseconds, expected) in table {
        assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
    }
    assert_eq!(duration(Duration::from_nanos(1_000_001)), "1000001ns");
}

#[test]
fn steps_are_heredocs_with_their_secrets() {
    let run = |secrets: &[&str], script: &str| {
        let run = RenderedInstruction::Run {
            secrets: secrets.iter().map(|name| (*name).to_owned()).collect(),
            ssh: false,
            readable: false,
            script: script.to_owned(),
            form: ScriptForm::Heredoc,
        };
        run.to_string()
    };
    assert_eq!(
        run(&[], "echo \"$A\" \\\n\n  b  "),
        "RUN <<EOR\nset -e\necho \"$A\" \\\n\n  b  \nEOR"
    );
    assert_eq!(
        run(&[], "set -eux\ncat <<EOR\nEOR\n"),
        "RUN <<EOR2\nset -eux\ncat <<EOR\nEOR\nEOR2"
    );
    assert_eq!(run(&[], "a\rb"), r#"RUN ["/bin/sh","-ec","a\u000db"]"#);
    assert_eq!(
        run(&["a", "b"], "x"),
        "RUN --mount=type=secret,id=a,target=/run/secrets/a,required=true \\\n  \
         --mount=type=secret,id=b,target=/run/secrets/b,required=true <<EOR\nset -e\nx\nEOR"
    );
}

#[test]
fn copies_have_owners_modes_and_quoted_paths() {
    let copy = |owner: &str, mode, sources: &[&str], target: &str| {
        let copy = RenderedInstruction::Copy {
            owner: owner.to_owned(),
            mode,
            sources: sources.iter().map(|name| (*name).to_owned()).collect(),
            target: target.to_owned(),
        };
        copy.to_string()
    };
    assert_eq!(
        copy("", Some(0o644), &["files/a", "files/b"], "/etc/"),
        "COPY --chmod=0644 files/a files/b /etc/"
    );
    assert_eq!(
        copy("app", None, &["named/"], "/x/"),
        "COPY --chown=app named/ /x/"
    );
    assert_eq!(
        copy("1:2", Some(0o750), &["files/a"], "/a $b"),
        r#"COPY --chown=1:2 --chmod=0750 ["files/a","\"/a \\$b\""]"#
    );
    let long = [
        "files/".to_owned() + &"a".repeat(90),
        "files/".to_owned() + &"b".repeat(90),
    ];
    assert_eq!(
        copy("", Some(0o644), &[&long[0], &long[1]], "/etc/"),
        format!(
            "COPY --chmod=0644 {} \\\n  {} \\\n  /etc/",
            long[0], long[1]
        )
    );
}

#[test]
fn steps_are_exec_forms_with_their_secrets() {
    let run = RenderedInstruction::Run {
        secrets: vec!["npm".to_owned()],
        ssh: false,
        readable: true,
        script: "set -x\necho \"$A\"\tb".to_owned(),
        form: ScriptForm::Exec,
    };
    assert_eq!(
        run.to_string(),
        r#"RUN --mount=type=secret,id=npm,target=/run/secrets/npm,required=true,mode=0444 ["/bin/sh","-ec","set -x\necho \"$A\"\tb"]"#
    );
}

#[test]
fn a_user_may_connect_to_the_agent_of_a_step() {
    for (readable, mode) in [(false, ""), (true, ",mode=0666")] {
        let run = RenderedInstruction::Run {
            secrets: Vec::new(),
            ssh: true,
            readable,
            script: "git fetch".to_owned(),
            form: ScriptForm::Exec,
        };
        let expected =
            format!(r#"RUN --mount=type=ssh,required=true{mode} ["/bin/sh","-ec","git fetch"]"#);
        assert_eq!(run.to_string(), expected);
    }
}

/// Joins continued lines as the parsers do. Fails on comments and blank lines between them, which
/// the parsers would drop.
fn joined(text: &str) -> String {
    let mut lines = text.split('\n');
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        assert!(
            !line.trim_start().starts_with('#') && !line.trim().is_empty(),
            "{line:.20}"
        );
        assert!(out.ends_with('\\') && !out.ends_with("\\\\"));
        out.pop();
        out.push_str(line);
    }
    out
}

#[test]
fn long_lists_are_folded_and_read_back_unchanged() {
    for sample in ["x", "#", " ", "\\", "\n", "🦀", "é\"", "\u{1}"] {
        let text = sample.repeat(200_000 / sample.len());
        let line =
            RenderedInstruction::Entrypoint(Invocation::Exec(vec![text.clone()]), Vec::new())
                .to_string();
        assert!(line.split('\n').all(|line| line.len() <= 200), "{sample:?}");
        let joined = joined(&line);
        let words: Vec<String> =
            serde_json::from_str(joined.strip_prefix("ENTRYPOINT ").unwrap()).unwrap();
        assert_eq!(words, [text]);
    }
}

#[test]
fn long_values_are_folded_and_read_back_unchanged() {
    for sample in ["x", "#", " ", "\\", "\n", "🦀", "é\"", "\u{1}", "$\r"] {
        let text = sample.repeat(200_000 / sample.len());
        let line = label(&text);
        assert!(line.split('\n').all(|line| line.len() <= 200), "{sample:?}");
        assert!(read_back(&joined(&line)) == text, "{sample:?}");
    }
}

/// Reads `LABEL k="…"` back as the builders do: parses words, then expands variables.
fn read_back(line: &str) -> String {
    let quoted = line
        .strip_prefix("LABEL k=\"")
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap();
    let quoted = quoted
        .replace("${GOLDEN_LF}", "\n")
        .replace("${GOLDEN_CR}", "\r");
    let (mut out, mut chars) = (String::new(), quoted.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            // The end of one quoted part and the beginning of the next one.
            '"' if chars.next_if_eq(&'"').is_some() => {}
            '\\' => match chars.next().unwrap() {
                c @ ('"' | '$' | '\\') => out.push(c),
                c => out.extend(['\\', c]),
            },
            '"' | '$' => panic!("a bare {c} in {line}"),
            c => out.push(c),
        }
    }
    out
}

proptest::proptest! {
    #[test]
    fn every_text_is_read_back_unchanged(value in "[^\\x00]{0,200}") {
        proptest::prop_assert_eq!(read_back(&joined(&label(&value))), value);
    }

    #[test]
    fn every_list_is_read_back_unchanged(words in proptest::collection::vec("\\PC{0,50}|[\\x01-\\x7f]{0,50}", 0..5)) {
        let line = joined(&RenderedInstruction::Shell(words.clone()).to_string());
        let read: Vec<String> = serde_json::from_str(line.strip_prefix("SHELL ").unwrap()).unwrap();
        proptest::prop_assert_eq!(read, words);
    }
}
