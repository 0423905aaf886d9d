//! Every value reaches the built image unchanged with both builders; so do modes and owners of
//! files, and users.

mod certificates;
mod files;
mod users;

use std::time::Duration;

use golden::engine::docker::Builder;
use golden::resolve::image::{Base, EnvValue, Family, Healthcheck, Invocation, Port, Protocol};
use serde_json::{Value, json};

use crate::docker::recipe::BUILDERS;
use crate::support::built::{Built, built};
use crate::support::images::{base, image, set, words};

/// Values that a shell, a parser or an engine could misread.
fn values() -> Vec<String> {
    let short = [
        "",
        " ",
        "plain",
        "it's \"quoted\" 'once'",
        "$HOME ${HOME} $$ $(id) `id` $",
        "C:\\dir\\",
        "\\",
        "\\\\n \\\" \\$x",
        "a\nb\n",
        "\n",
        "a\r\nb",
        "\r",
        "# not a comment",
        "a # b",
        "  blanks at both ends  ",
        "\ttab\t",
        "{{ x }} {% y %} {# z #}",
        "🦀 日本語 é",
        "\u{1}\u{7f}\u{b}\u{c}",
        "=a=b",
        "--flag",
        "[\"json\"]",
        "<<EOF",
        "a \\",
        "\u{feff}bom",
        "a\u{2028}b\u{85}c\u{a0}",
        "%s %d",
        "<&>",
        "null",
        "a\n# b\n\\\n",
    ];
    let long = [
        "x".repeat(5_000),
        "y".repeat(100_000),
        "\"$\\".repeat(2_000),
        "\"$\\".repeat(30_000),
        "l\n".repeat(5_000),
    ];
    short.into_iter().map(str::to_owned).chain(long).collect()
}

#[tokio::test]
async fn labels_equal_the_spec() {
    let mut image = image(Family::Static, Base::Scratch);
    for (number, value) in values().into_iter().enumerate() {
        image.labels.insert(format!("value.{number:02}"), value);
    }
    for key in [
        "with blank",
        "a=b",
        "--flag",
        "$HOME",
        "é/🦀",
        "\"quoted\"",
        "#hash",
        "back\\slash",
        "a\nb",
        "-",
        "'",
    ] {
        image
            .labels
            .insert(key.to_owned(), format!("the value of {key}"));
    }
    for builder in BUILDERS {
        let config = built(builder, &image).await.config();
        let labels = config["Labels"].as_object().unwrap();
        for (key, value) in &image.labels {
            assert!(
                labels.get(key) == Some(&json!(value)),
                "{builder:?}: {key:?}: {:.300}",
                labels[key].to_string()
            );
        }
        let more: Vec<_> = labels
            .keys()
            .filter(|key| !image.labels.contains_key(*key))
            .collect();
        let filled_in = [
            "dev.golden.inputs",
            "dev.golden.inputs.spec",
            "org.opencontainers.image.created",
        ];
        assert_eq!(more, filled_in, "{builder:?}");
    }
}

#[tokio::test]
async fn the_environment_equals_the_spec_in_its_order() {
    for from in [Base::Scratch, base("busybox:1.36")] {
        let mut image = image(Family::Alpine, from.clone());
        // The values do not depend on the base. Each one is a step of the classic builder.
        let few = if from == Base::Scratch { usize::MAX } else { 8 };
        image.env = values()
            .iter()
            .take(few)
            .enumerate()
            .map(|(number, value)| set(&format!("V{number}"), value))
            .collect();
        image.env.extend(
            ["a.b", "a-b", "A$B", "é", "\"q\"", "#h", "--f", "\\"].map(|key| set(key, "$key")),
        );
        if from != Base::Scratch {
            let extend = |prepend: &str, append: &str| EnvValue::Extend {
                prepend: prepend.to_owned(),
                append: append.to_owned(),
            };
            image
                .env
                .push(("PATH".to_owned(), extend("/opt/$bin:", "")));
            image.env.push(("NONE".to_owned(), extend("a\n", "\\b")));
        }
        for builder in BUILDERS {
            let config = built(builder, &image).await.config();
            let env: Vec<&str> = config["Env"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item.as_str().unwrap())
                .collect();
            let mut expected: Vec<String> = Vec::new();
            if from != Base::Scratch {
                let inherited = Built::named("busybox:1.36").config();
                let path = inherited["Env"][0]
                    .as_str()
                    .unwrap()
                    .strip_prefix("PATH=")
                    .unwrap()
                    .to_owned();
                expected.push(format!("PATH=/opt/$bin:{path}"));
            }
            for (key, value) in &image.env {
                if let EnvValue::Set(value) = value {
                    expected.push(format!("{key}={value}"));
                }
            }
            if from == Base::Scratch {
                // Docker's builders put a PATH first into every image.
                if env[0].starts_with("PATH=") {
                    expected.insert(0, env[0].to_owned());
                }
            } else {
                expected.push("NONE=a\n\\b".to_owned());
            }
            assert_eq!(
                env.len(),
                expected.len(),
                "{builder:?}: {:?}",
                env.iter()
                    .map(|item| &item[..item.len().min(20)])
                    .collect::<Vec<_>>()
            );
            for (seen, expected) in env.iter().zip(&expected) {
                assert!(
                    seen == expected,
                    "{builder:?}: {seen:.200?} is not {expected:.200?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_key_of_config_equals_the_spec() {
    let odd = values();
    let list = |first: &[&str]| [words(first), odd.clone()].concat();
    for (builder, from) in BUILDERS
        .into_iter()
        .flat_map(|b| [(b, Base::Scratch), (b, base("busybox:1.36"))])
    {
        let mut image = image(Family::Alpine, from);
        let port = |number, protocol| Port { number, protocol };
        image.config.expose = vec![
            port(80, Protocol::Tcp),
            port(53, Protocol::Udp),
            port(9, Protocol::Sctp),
        ];
        image.config.user = Some("10001:10001".to_owned());
        image.config.workdir = Some("/w $x \"q\"\\é".to_owned());
        image.config.volumes = words(&["/data", "/v $x \"q\" 'é'"]);
        image.config.stop_signal = Some("SIGUSR1".to_owned());
        image.config.shell = Some(list(&["/bin/bash"]));
        image.config.entrypoint = Some(Invocation::Exec(list(&["/bin/echo"])));
        image.config.cmd = Some(Invocation::Exec(list(&[])));
        image.config.healthcheck = Some(Healthcheck {
            test: list(&["CMD"]),
            interval: Some(Duration::from_millis(1_500)),
            timeout: Some(Duration::from_secs(90)),
            start_period: Some(Duration::from_hours(2)),
            retries: Some(4),
        });
        let config = built(builder, &image).await.config();
        let expected = [
            ("Entrypoint", json!(list(&["/bin/echo"]))),
            ("Cmd", json!(odd)),
            ("Shell", json!(list(&["/bin/bash"]))),
            ("User", json!("10001:10001")),
            ("WorkingDir", json!("/w $x \"q\"\\é")),
            ("Volumes", json!({"/data": {}, "/v $x \"q\" 'é'": {}})),
            ("StopSignal", json!("SIGUSR1")),
            (
                "ExposedPorts",
                json!({"80/tcp": {}, "53/udp": {}, "9/sctp": {}}),
            ),
            (
                "Healthcheck",
                json!({
                    "Test": list(&["CMD"]),
                    "Interval": 1_500_000_000_u64,
                    "Timeout": 90_000_000_000_u64,
                    "StartPeriod": 7_200_000_000_000_u64,
                    "Retries": 4,
                }),
            ),
        ];
        for (key, value) in expected {
            assert!(
                config[key] == value,
                "{builder:?} {key}: {:.2000}",
                config[key].to_string()
            );
        }
    }
}

#[tokio::test]
async fn shell_forms_are_passed_to_the_shell_of_the_image() {
    let odd: Vec<String> = values()
        .into_iter()
        .filter(|value| !value.is_empty())
        .collect();
    let bash = words(&["/bin/bash", "-o", "pipe\"fail", "-c"]);
    // With its own shell the value becomes the exec form, which the test above reads: three values
    // are enough.
    let ways = [
        (BUILDERS[0], None, odd.len()),
        (BUILDERS[1], None, odd.len()),
        (ONE, Some(bash), 3),
    ];
    for (builder, shell, count) in ways {
        for three in odd[..count].chunks(3) {
            let value = |number: usize| three[number % three.len()].clone();
            let mut image = image(Family::Static, Base::Scratch);
            image.config.shell = shell.clone();
            image.config.entrypoint = Some(Invocation::Shell(value(0)));
            image.config.cmd = Some(Invocation::Shell(value(1)));
            image.config.healthcheck = Some(check(&["CMD-SHELL", &value(2)]));
            let config = built(builder, &image).await.config();
            let in_shell = |number| {
                [
                    shell.clone().unwrap_or_else(|| words(&["/bin/sh", "-c"])),
                    vec![value(number)],
                ]
                .concat()
            };
            assert!(
                config["Entrypoint"] == json!(in_shell(0)),
                "{builder:?} {:.50?}",
                value(0)
            );
            assert!(
                config["Cmd"] == json!(in_shell(1)),
                "{builder:?} {:.50?}",
                value(1)
            );
            let test = if one_line(&value(2)) {
                words(&["CMD-SHELL", &value(2)])
            } else {
                // A Dockerfile cannot hold this value, so the shell is named explicitly, as
                // CMD-SHELL does.
                [words(&["CMD"]), in_shell(2)].concat()
            };
            assert!(
                config["Healthcheck"]["Test"] == json!(test),
                "{builder:?} {:.50?}",
                value(2)
            );
        }
    }
}

/// A health check with only a test.
fn check(test: &[&str]) -> Healthcheck {
    Healthcheck {
        test: words(test),
        interval: None,
        timeout: None,
        start_period: None,
        retries: None,
    }
}

/// True if the shell form of a Dockerfile can hold a text.
fn one_line(text: &str) -> bool {
    let whole = !text.contains(['\r', '\n']) && text.trim() == text && text.len() <= 60_000;
    whole && !text.starts_with('[') && !text.ends_with('\\')
}

#[tokio::test]
async fn an_entrypoint_clears_the_inherited_cmd() {
    for builder in BUILDERS {
        let mut image = image(Family::Alpine, base("busybox:1.36"));
        let config = built(builder, &image).await.config();
        assert_ne!(
            config["Cmd"],
            Value::Null,
            "the base has a cmd to be cleared"
        );
        image.config.entrypoint = Some(Invocation::Exec(words(&["/bin/echo"])));
        let config = built(builder, &image).await.config();
        assert!(
            matches!(&config["Cmd"], Value::Null) || config["Cmd"] == json!([]),
            "{builder:?}: {}",
            config["Cmd"]
        );
        image.config.entrypoint = None;
        image.config.cmd = Some(Invocation::Exec(Vec::new()));
        let config = built(builder, &image).await.config();
        assert!(
            matches!(&config["Cmd"], Value::Null) || config["Cmd"] == json!([]),
            "{builder:?}: {}",
            config["Cmd"]
        );
        image.config.healthcheck = Some(check(&["NONE"]));
        let config = built(builder, &image).await.config();
        assert_eq!(
            config["Healthcheck"]["Test"],
            json!(["NONE"]),
            "{builder:?}"
        );
    }
}

/// One builder, for tests whose file tree does not depend on the builder.
pub(crate) const ONE: Builder = Builder::BuildKit;
