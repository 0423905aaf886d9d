//! Any value reaches the built image exactly, on both builders; so do modes and owners of files, and users.

mod certificates;
mod files;
mod users;

use std::time::Duration;

use golden::engine::docker::Builder;
use golden::resolve::image::{Base, Family, Healthcheck, Invocation, Port, Protocol};
use golden::resolve::{ResolvedImage, image::EnvValue};
use serde_json::{Value, json};

use crate::docker::recipe::BUILDERS;
use crate::support::built::built;
use crate::support::images::{base, image, set, words};

/// Values that something on the way could read in another way than it was meant.
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
async fn labels_are_what_the_spec_says() {
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
        image.labels.insert(key.to_owned(), format!("the value of {key}"));
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
        let more: Vec<_> = labels.keys().filter(|key| !image.labels.contains_key(*key)).collect();
        assert_eq!(more, ["dev.golden.inputs", "org.opencontainers.image.created"], "{builder:?}");
    }
}

#[tokio::test]
async fn the_environment_is_what_the_spec_says_in_its_order() {
    for from in [Base::Scratch, base("busybox:1.36")] {
        let mut image = image(Family::Alpine, from.clone());
        image.env =
            values().iter().enumerate().map(|(number, value)| set(&format!("V{number}"), value)).collect();
        image.env.extend(["a.b", "a-b", "A$B", "é", "\"q\"", "#h", "--f", "\\"].map(|key| set(key, "$key")));
        if from != Base::Scratch {
            let extend = |prepend: &str, append: &str| EnvValue::Extend {
                prepend: prepend.to_owned(),
                append: append.to_owned(),
            };
            image.env.push(("PATH".to_owned(), extend("/opt/$bin:", "")));
            image.env.push(("NONE".to_owned(), extend("a\n", "\\b")));
        }
        for builder in BUILDERS {
            let config = built(builder, &image).await.config();
            let env: Vec<&str> =
                config["Env"].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect();
            let mut expected: Vec<String> = Vec::new();
            if from != Base::Scratch {
                expected.push(
                    "PATH=/opt/$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
                );
            }
            for (key, value) in &image.env {
                if let EnvValue::Set(value) = value {
                    expected.push(format!("{key}={value}"));
                }
            }
            if from == Base::Scratch {
                // Docker's builders give every image a PATH, first.
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
                env.iter().map(|item| &item[..item.len().min(20)]).collect::<Vec<_>>()
            );
            for (seen, expected) in env.iter().zip(&expected) {
                assert!(seen == expected, "{builder:?}: {seen:.200?} is not {expected:.200?}");
            }
        }
    }
}

/// An image with every construct of `[config]`.
fn configured(odd: &str, from: Base) -> ResolvedImage {
    let mut image = image(Family::Alpine, from);
    image.config.expose = vec![
        Port { number: 80, protocol: Protocol::Tcp },
        Port { number: 53, protocol: Protocol::Udp },
        Port { number: 9, protocol: Protocol::Sctp },
    ];
    image.config.user = Some("10001:10001".to_owned());
    image.config.workdir = Some("/w $x \"q\"\\é".to_owned());
    image.config.volumes = words(&["/data", "/v $x \"q\" 'é'"]);
    image.config.stop_signal = Some("SIGUSR1".to_owned());
    image.config.entrypoint = Some(Invocation::Exec(words(&["/bin/echo", odd, "", "last"])));
    image.config.cmd = Some(Invocation::Exec(words(&[odd])));
    image.config.healthcheck = Some(Healthcheck {
        test: words(&["CMD", "/bin/check", odd]),
        interval: Some(Duration::from_millis(1_500)),
        timeout: Some(Duration::from_secs(90)),
        start_period: Some(Duration::from_secs(7200)),
        retries: Some(4),
    });
    image
}

#[tokio::test]
async fn every_construct_of_config_is_what_the_spec_says() {
    for builder in BUILDERS {
        for odd in values() {
            // Every value on the fast way; the slow one, with WORKDIR on a base, once.
            let from = if odd == "plain" { base("busybox:1.36") } else { Base::Scratch };
            let image = configured(&odd, from);
            let config = built(builder, &image).await.config();
            let seen = |key: &str| config[key].clone();
            let what = format!("{builder:?} {odd:.50?}");
            assert!(
                seen("Entrypoint") == json!(["/bin/echo", odd, "", "last"]),
                "{what}: {:.300}",
                seen("Entrypoint").to_string()
            );
            assert!(seen("Cmd") == json!([odd]), "{what}");
            assert!(seen("Healthcheck")["Test"] == json!(["CMD", "/bin/check", odd]), "{what}");
            assert_eq!(seen("Healthcheck")["Interval"], json!(1_500_000_000_u64));
            assert_eq!(seen("Healthcheck")["Timeout"], json!(90_000_000_000_u64));
            assert_eq!(seen("Healthcheck")["StartPeriod"], json!(7_200_000_000_000_u64));
            assert_eq!(seen("Healthcheck")["Retries"], json!(4));
            assert_eq!(seen("User"), json!("10001:10001"));
            assert_eq!(seen("WorkingDir"), json!("/w $x \"q\"\\é"), "{what}");
            assert_eq!(seen("Volumes"), json!({"/data": {}, "/v $x \"q\" 'é'": {}}), "{what}");
            assert_eq!(seen("StopSignal"), json!("SIGUSR1"));
            assert_eq!(seen("ExposedPorts"), json!({"80/tcp": {}, "53/udp": {}, "9/sctp": {}}));
        }
    }
}

#[tokio::test]
async fn shell_forms_are_given_to_the_shell_of_the_image() {
    for builder in BUILDERS {
        for odd in values().into_iter().filter(|value| !value.is_empty()) {
            for shell in [None, Some(words(&["/bin/bash", "-o", "pipe\"fail", "-c"]))] {
                let mut image = image(Family::Static, Base::Scratch);
                image.config.shell = shell.clone();
                image.config.entrypoint = Some(Invocation::Shell(odd.clone()));
                image.config.cmd = Some(Invocation::Shell(odd.clone()));
                let one_line = !odd.contains(['\r', '\n']) && odd.trim() == odd && odd.len() < 60_000;
                let one_line = one_line && !odd.starts_with('[') && !odd.ends_with('\\');
                let check = words(&["CMD-SHELL", &odd]);
                image.config.healthcheck = Some(Healthcheck {
                    test: check.clone(),
                    interval: None,
                    timeout: None,
                    start_period: None,
                    retries: None,
                });
                let config = built(builder, &image).await.config();
                let mut expected = shell.unwrap_or_else(|| words(&["/bin/sh", "-c"]));
                expected.push(odd.clone());
                assert!(
                    config["Entrypoint"] == json!(expected),
                    "{builder:?} {odd:.50?}: {:.300}",
                    config["Entrypoint"].to_string()
                );
                assert!(config["Cmd"] == json!(expected), "{builder:?} {odd:.50?}");
                let test = if one_line {
                    check
                } else {
                    // A Dockerfile cannot hold it: the shell is named, which is what CMD-SHELL means.
                    [words(&["CMD"]), expected].concat()
                };
                assert!(config["Healthcheck"]["Test"] == json!(test), "{builder:?} {odd:.50?}");
            }
        }
    }
}

#[tokio::test]
async fn an_entrypoint_clears_the_inherited_cmd() {
    for builder in BUILDERS {
        let mut image = image(Family::Alpine, base("busybox:1.36"));
        let config = built(builder, &image).await.config();
        assert_ne!(config["Cmd"], Value::Null, "the base has a cmd to be cleared");
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
        image.config.healthcheck = Some(Healthcheck {
            test: words(&["NONE"]),
            interval: None,
            timeout: None,
            start_period: None,
            retries: None,
        });
        let config = built(builder, &image).await.config();
        assert_eq!(config["Healthcheck"]["Test"], json!(["NONE"]), "{builder:?}");
    }
}

/// One builder is enough where the file tree is the same question for both.
pub(crate) const ONE: Builder = Builder::BuildKit;
