use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use super::expand::{here_document, word};
use super::instruction::is_continued;
use super::*;
use crate::config_files::config::Invocation;

impl Display for Dockerfile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.escape != '\\' {
            writeln!(f, "# escape={}", self.escape)?;
        }
        for instruction in &self.instructions {
            write!(f, "{}", instruction.keyword)?;
            for flag in &instruction.flags {
                write!(f, " {flag}")?;
            }
            let arguments = &instruction.arguments;
            // `--` ends the flags.
            let separator = if arguments.starts_with("--") {
                " -- "
            } else {
                " "
            };
            write!(f, "{separator}{arguments}")?;
            if is_continued(arguments, self.escape) {
                write!(f, " {}", self.escape)?;
            }
            f.write_str("\n")?;
            for document in &instruction.here_documents {
                writeln!(f, "{}{}", document.content, document.name)?;
            }
        }
        Ok(())
    }
}

fn parsed(text: &str) -> Dockerfile {
    parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The instructions, each as its line, keyword, flags and arguments.
fn lines(text: &str) -> Vec<String> {
    let shown = |instruction: &Instruction| {
        let flags: Vec<String> = instruction.flags.iter().map(ToString::to_string).collect();
        let words = [flags.join(" "), instruction.arguments.clone()];
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|w| !w.is_empty())
            .collect();
        format!(
            "{} {} {}",
            instruction.line,
            instruction.keyword,
            words.join(" | ")
        )
    };
    parsed(text).instructions.iter().map(shown).collect()
}

#[test]
fn continuations_and_comments_are_joined() {
    for (text, expected) in [
        ("from a", &["1 FROM a"][..]),
        ("\u{feff}FROM a\r\nRUN b\r\n", &["1 FROM a", "2 RUN b"]),
        ("# c\n\n  FROM a\n", &["3 FROM a"]),
        ("RUN a \\\n  b", &["1 RUN a   b"]),
        (
            "RUN a \\  \n# comment\n\n   # more\n && b\nUSER x",
            &["1 RUN a  && b", "6 USER x"],
        ),
        ("RUN a \\\\\nUSER x", &["1 RUN a \\\\", "2 USER x"]),
        (
            "RUN a # no comment\nUSER x",
            &["1 RUN a # no comment", "2 USER x"],
        ),
        ("\\\nRUN a", &["1 RUN a"]),
        ("RUN a \\", &["1 RUN a"]),
        (
            "# escape=`\nRUN a `\nb\\\nUSER x",
            &["2 RUN a b\\", "4 USER x"],
        ),
        (
            "#syntax=x\n# Escape = `\nCOPY a c:\\\nUSER x",
            &["3 COPY a c:\\", "4 USER x"],
        ),
        (
            "# comment\n# escape=`\nRUN a `\nUSER x",
            &["3 RUN a `", "4 USER x"],
        ),
        (
            "COPY --chown=a:b --link --from=\"x y\" c d",
            &["1 COPY --chown=a:b --link --from=\"x y\" | c d"],
        ),
        ("RUN -- --a", &["1 RUN --a"]),
        ("RUN\t--network=none\ta", &["1 RUN --network=none | a"]),
        (
            "HEALTHCHECK --interval=5s \\\n CMD x",
            &["1 HEALTHCHECK --interval=5s | CMD x"],
        ),
        (
            "ENTRYPOINT [\"a\", \\\n \"b\"]",
            &["1 ENTRYPOINT [\"a\",  \"b\"]"],
        ),
    ] {
        assert_eq!(lines(text), expected, "{text:?}");
    }
}

#[test]
fn here_documents_follow_their_instruction() {
    let text = "RUN <<EOF\na\n # b\nEOF\nCOPY <<-'x' <<\"y\" /z/\n\tone $A\n\tx\ntwo\ny\nRUN cat <<E > f && 3<<F\n1\nE\n2\nF\n\
                RUN [\"<<a\"]\nCMD <<b\nRUN cat <<< c\n";
    let dockerfile = parsed(text);
    let shown: Vec<String> = dockerfile
        .instructions
        .iter()
        .flat_map(|one| &one.here_documents)
        .map(|one| {
            format!(
                "{} {:?} {} {}",
                one.name,
                one.text(),
                one.expands,
                one.strips_tabs
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "EOF \"a\\n # b\\n\" true false",
            "x \"one $A\\n\" false true",
            "y \"two\\n\" false false",
            "E \"1\\n\" true false",
            "F \"2\\n\" true false",
        ]
    );
    let numbers: Vec<usize> = dockerfile.instructions.iter().map(|one| one.line).collect();
    assert_eq!(numbers, [1, 5, 10, 15, 16, 17]);
    assert!(dockerfile.instructions[0].only_here_document().is_some());
    assert!(dockerfile.instructions[2].only_here_document().is_none());
    assert_eq!(
        dockerfile.instructions[2].with_here_documents(),
        "cat <<E > f && 3<<F\n1\nE\n2\nF"
    );
}

#[test]
fn a_text_that_docker_refuses_is_refused_with_its_line() {
    for (text, expected) in [
        (
            "FROM a\n\nRUNN b",
            "line 3: `RUNN` is not an instruction; did you mean RUN?",
        ),
        ("FROM a\nRUN", "line 2: RUN needs an argument"),
        ("RUN <<E\nx\n", "line 2: the here-document `E` has no end"),
        (
            "# syntax=docker/dockerfile:1\n# escape=x\nFROM a",
            "line 2: the directive `escape` must be a backslash or a backtick, not `x`",
        ),
        (
            "# escape=x\nFROM a",
            "line 1: the directive `escape` must be a backslash or a backtick, not `x`",
        ),
        (
            "ONBUILD FROM x",
            "line 1: ONBUILD cannot have the instruction FROM",
        ),
        ("ONBUILD x", "line 1: `x` is not an instruction"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text:?}");
    }
    let long = format!("RUN {}", "x".repeat(70_000));
    assert_eq!(parse(&long).unwrap_err().kind, ErrorKind::LongLine);
    assert_eq!(
        parse(&"#\n".repeat(3 << 20)).unwrap_err().kind,
        ErrorKind::TooLong
    );
    assert_eq!(
        parse(&"RUN x\n".repeat(30_000)).unwrap_err().kind,
        ErrorKind::TooMany
    );
}

#[test]
fn positions_lead_to_the_text_of_the_file() {
    let text = "ARG V=1\n# c\nFROM \\\n  # c\n  --platform=x \\\n  debian:${V} \\\n  AS b\nRUN a";
    let (_, stages) = stages(&parsed(text), &BTreeMap::new()).unwrap();
    let from = &stages[0].from;
    assert_eq!(
        (from.line, &text[from.position.clone()]),
        (3, "debian:${V}")
    );
    assert_eq!(from.source, StageBase::Image("debian:1".to_owned()));
    assert_eq!(from.platform.as_deref(), Some("x"));
    assert_eq!(stages[0].instructions, 2..3);
}

#[test]
fn stages_resolve_arguments_and_names() {
    let text = "ARG A=alpine\nARG B=$A:3\nARG C\nFROM ${B} AS Base\nFROM base\nFROM scratch\n\
                FROM ${C:-x}\nFROM $C\nFROM a-$TARGETARCH\nFROM ${A%ine}\n";
    let (_, stages) = stages(&parsed(text), &BTreeMap::new()).unwrap();
    let sources: Vec<&StageBase> = stages.iter().map(|stage| &stage.from.source).collect();
    let unknown = |name: &str| StageBase::Unknown(expand::Error::Unknown(name.to_owned()));
    assert_eq!(
        sources,
        [
            &StageBase::Image("alpine:3".to_owned()),
            &StageBase::Stage(0),
            &StageBase::Scratch,
            &StageBase::Image("x".to_owned()),
            &unknown("$C"),
            &unknown("TARGETARCH"),
            &StageBase::Image("alp".to_owned()),
        ]
    );
    for (text, expected) in [
        ("RUN a", "line 1: RUN comes before the first FROM"),
        ("ARG A", "line 1: the Dockerfile has no FROM"),
        ("", "line 1: the Dockerfile has no FROM"),
        (
            "FROM a b",
            "line 1: FROM needs a base, or `BASE AS NAME`, not `a b`",
        ),
    ] {
        assert_eq!(
            super::stages(&parsed(text), &BTreeMap::new())
                .unwrap_err()
                .to_string(),
            expected
        );
    }
}

#[test]
fn pairs_are_split_as_docker_splits_them() {
    let evaluated = |text: &str| {
        let value = word(text, '\\', &Scope::default())?;
        Ok::<_, expand::Error>(value.known().unwrap())
    };
    let pairs = |text: &str| {
        let dockerfile = parsed(text);
        let pairs = dockerfile.instructions[0].pairs(dockerfile.escape);
        pairs.map_or_else(
            |error| error.to_string(),
            |pairs| {
                let shown: Vec<String> = pairs
                    .iter()
                    .map(
                        |pair| match (evaluated(&pair.key), evaluated(&pair.value)) {
                            (Ok(key), Ok(value)) => format!("{key}={value:?}"),
                            (Err(error), _) | (_, Err(error)) => error.to_string(),
                        },
                    )
                    .collect();
                shown.join(" ")
            },
        )
    };
    for (text, expected) in [
        ("ENV A=b", "A=\"b\""),
        (
            "ENV A=b\\ c D=\"e f\" G='h $i'",
            "A=\"b c\" D=\"e f\" G=\"h $i\"",
        ),
        ("ENV A b c=d", "A=\"b c=d\""),
        ("ENV A   \"b c\"", "A=\"b c\""),
        ("ENV A=", "A=\"\""),
        (
            "LABEL \"a b\"=\"c\\\"d\" e=f\\\n  g=h",
            "a b=\"c\\\"d\" e=\"f\" g=\"h\"",
        ),
        ("LABEL a=\"b\\\n c\"", "a=\"b c\""),
        ("LABEL a='it\\'", "a=\"it\\\\\""),
        ("LABEL a=\"\\n\\\\\\$\"", "a=\"\\\\n\\\\$\""),
        ("ENV A=b c", "`c` is not a pair KEY=VALUE"),
        ("ENV A", "`A` is not a pair KEY=VALUE"),
        ("ENV A it's", "the quote ' is not closed"),
    ] {
        assert_eq!(pairs(text), expected, "{text}");
    }
}

#[test]
fn forms_are_lists_or_texts() {
    let form = |text: &str| parsed(text).instructions[0].form();
    let exec =
        |words: &[&str]| Invocation::Exec(words.iter().map(|word| (*word).to_owned()).collect());
    assert_eq!(form("CMD [\"a\", \"b c\"]"), exec(&["a", "b c"]));
    assert_eq!(form("CMD []"), exec(&[]));
    assert_eq!(form("CMD [ \"a\" ] # more"), exec(&["a"]));
    assert_eq!(form("CMD ['a']"), Invocation::Shell("['a']".to_owned()));
    assert_eq!(form("CMD [1]"), Invocation::Shell("[1]".to_owned()));
    assert_eq!(form("CMD a  b"), Invocation::Shell("a  b".to_owned()));
    assert_eq!(parsed("VOLUME a  b").instructions[0].list(), ["a", "b"]);
    assert_eq!(parsed("VOLUME [\"a b\"]").instructions[0].list(), ["a b"]);
}

#[test]
fn words_are_evaluated_as_docker_does() {
    let mut scope = Scope::default();
    for (name, value) in [("A", "one"), ("E", ""), ("P", "a/b.tar.gz"), ("L", "é\nb")] {
        scope.set(name.to_owned(), ScopeValue::text(value)).unwrap();
    }
    for (name, value) in [("B", Some("two")), ("A", Some("hidden")), ("C", None)] {
        let value = value.map(ScopeValue::text);
        scope.declare(name.to_owned(), value).unwrap();
    }
    for (text, expected) in [
        ("$A", "one"),
        ("x${A}y$B", "xoney two".replace(' ', "").as_str()),
        ("$A_", ""),
        ("${C:-d}", "d"),
        ("${E-d}", ""),
        ("${E:-d$A}", "done"),
        ("${A:+yes}", "yes"),
        ("${E:+yes}", ""),
        ("${E+yes}", "yes"),
        ("${X+yes}", ""),
        ("${X:-\"a }b\"}", "a }b"),
        ("${X:-${Y:-z}}", "z"),
        ("\\$A", "$A"),
        ("'$A'", "$A"),
        ("\"$A\"", "one"),
        ("\"\\$A\"", "$A"),
        ("a$", "a$"),
        ("$%", "$%"),
        ("$1x", "x"),
        ("a\\", "a"),
        ("${P#*/}", "b.tar.gz"),
        ("${P%.*}", "a/b.tar"),
        ("${P%%.*}", "a/b"),
        ("${P##*.}", "gz"),
        ("${P/a/x}", "x/b.tar.gz"),
        ("${P//a/x}", "x/b.txr.gz"),
        ("${P/.}", "a/btar.gz"),
        ("${P/?.*.}", "a/gz"),
        ("${P//[a-z]/x}", "a/b.tar.gz"),
        ("${P//*/x}", "x"),
        ("${P//}", "a/b.tar.gz"),
        ("${E//*/x}", ""),
        ("${P%%?}", "a/b.tar.g"),
        ("${P##*[}", "a/b.tar.gz"),
        ("${L#?}", "\nb"),
        ("${L%?b}", "é"),
        ("${L##*}", ""),
        ("${L/?*b/x}", "x"),
        ("${L#a\\}", "é\nb"),
    ] {
        let value = word(text, '\\', &scope);
        assert_eq!(
            value.as_ref().map(ScopeValue::known),
            Ok(Ok(expected.to_owned())),
            "{text}"
        );
    }
    for (text, expected) in [
        ("'a", "the quote ' is not closed"),
        ("\"a", "the quote \" is not closed"),
        ("${A", "the substitution ${A is not valid"),
        ("${}", "the substitution ${ is not valid"),
        ("${A!}", "the substitution ${A is not valid"),
        ("${C:?set it}", "C: set it"),
    ] {
        assert_eq!(
            word(text, '\\', &scope).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
    assert_eq!(
        here_document("\"$A\" \\$A \\n 'x' ${E:-y}\n", '\\', &scope)
            .unwrap()
            .known(),
        Ok("\"one\" $A \\n 'x' y\n".to_owned())
    );
}

#[test]
fn values_of_the_base_remain_visible() {
    let scope = Scope::on_base();
    let value = word("/opt/bin:$PATH:/x", '\\', &scope).unwrap();
    assert_eq!(
        value.around("PATH"),
        Some(("/opt/bin:".to_owned(), ":/x".to_owned()))
    );
    assert_eq!(value.around("HOME"), None);
    assert_eq!(value.known(), Err("PATH"));
    let unknown = expand::Error::Unknown("HOME".to_owned());
    assert_eq!(word("${HOME:-x}", '\\', &scope), Err(unknown.clone()));
    assert_eq!(word("${HOME#x}", '\\', &scope), Err(unknown));
}

#[test]
fn values_do_not_grow_without_bound() {
    let mut scope = Scope::default();
    let start = ScopeValue::text("x".repeat(1000));
    scope.set("A".to_owned(), start).unwrap();
    for _ in 0..9 {
        let value = word("$A$A$A", '\\', &scope);
        match value {
            Ok(value) => scope.set("A".to_owned(), value).unwrap(),
            Err(error) => return assert_eq!(error, expand::Error::TooLong),
        }
    }
    panic!("no limit");
}

#[test]
fn the_values_of_all_variables_have_a_limit() {
    let long = "x".repeat(60_000);
    let copies: Vec<String> = (0..1000).map(|n| format!("ARG A{n}=$L\n")).collect();
    let copies = copies.concat();
    let text = format!("ARG L={long}\n{copies}FROM a\n");
    let error = stages(&parsed(&text), &BTreeMap::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 18: `A16`: the values of all variables are longer than 1 MiB"
    );
    let again: String = (0..1000).map(|_| "ARG A=$L\n").collect();
    let text = format!("ARG L={long}\n{again}FROM a\n");
    assert!(stages(&parsed(&text), &BTreeMap::new()).is_ok());
}

#[test]
fn substitutions_in_long_values_end_quickly() {
    let mut scope = Scope::default();
    let long = ScopeValue::text("ab".repeat(30_000));
    scope.set("X".to_owned(), long).unwrap();
    let start = Instant::now();
    for (text, length) in [
        ("${X//c/}", 60_000),
        ("${X//b/}", 30_000),
        ("${X//a*c/}", 60_000),
        ("${X//?*a?c*d/}", 60_000),
        ("${X##*c}", 60_000),
        ("${X%%a*c}", 60_000),
        ("${X%a*}", 59_998),
    ] {
        let value = word(text, '\\', &scope).unwrap();
        assert_eq!(value.known().unwrap().len(), length, "{text}");
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(
        word("${X//a/xx}", '\\', &scope),
        Err(expand::Error::TooLong)
    );
}

#[test]
fn nesting_is_bounded() {
    let text = "${A:-".repeat(10_000) + &"}".repeat(10_000);
    assert_eq!(
        word(&text, '\\', &Scope::default()),
        Err(expand::Error::TooDeep)
    );
}

/// The instructions without their positions.
fn content(dockerfile: &Dockerfile) -> Vec<Instruction> {
    let plain = |instruction: &Instruction| Instruction {
        line: 0,
        positions: Vec::new(),
        ..instruction.clone()
    };
    dockerfile.instructions.iter().map(plain).collect()
}

#[test]
fn a_text_of_a_flag_is_printed_so_that_it_is_read_again() {
    for (value, printed) in [
        ("cache", "--a=cache"),
        (" ", "--a=\" \""),
        ("`", "--a=\"`\""),
        ("it's", "--a=\"it's\""),
        ("\"\\", "--a=\"\\\"\\\\\""),
    ] {
        let flag = Flag {
            name: "a".to_owned(),
            value: Some(value.to_owned()),
        };
        assert_eq!(flag.to_string(), printed);
        for directive in ["", "# escape=`\n"] {
            let read = parsed(&format!("{directive}FROM {flag} \nRUN x"));
            assert_eq!(
                read.instructions[0].flags,
                std::slice::from_ref(&flag),
                "{flag}"
            );
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(?s).{0,200}") {
        drop(parse(&text));
        drop(word(&text, '\\', &Scope::default()));
    }

    #[test]
    fn a_printed_dockerfile_is_parsed_to_the_same(
        lines in proptest::collection::vec(
            "(FROM|RUN|COPY|ENV|LABEL|CMD|ONBUILD RUN|HEALTHCHECK|# escape=`|#|)[ \t]{0,2}(--[a-z]{1,3}(=[a-z\"' \\\\]{0,3})? ){0,2}[-a-z<E\"'$\\[\\]\\\\`{}:= ]{0,12}(\\\\|`|)[ ]?|E|-E",
            0..8,
        )
    ) {
        let text = lines.join("\n");
        if let Ok(dockerfile) = parse(&text) {
            for instruction in &dockerfile.instructions {
                drop(instruction.pairs(dockerfile.escape));
                let all = instruction.position(0..instruction.arguments.len());
                proptest::prop_assert!(text.get(all).is_some());
            }
            drop(stages(&dockerfile, &BTreeMap::new()));
            let printed = dockerfile.to_string();
            let again = parse(&printed);
            proptest::prop_assert_eq!(again.as_ref().map(content), Ok(content(&dockerfile)), "{}", printed);
        }
    }
}
