//! No output shows control characters, characters that hide text, or secrets.

use sha2::Digest as _;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::Answer;
use crate::support::workspace::{Golden, Run};

const FORMATS: [&str; 4] = ["text", "json", "github", "sarif"];
const HIDDEN: [char; 10] = [
    '\u{1b}',
    '\u{9b}',
    '\u{85}',
    '\u{202e}',
    '\u{2066}',
    '\u{200b}',
    '\u{200f}',
    '\u{feff}',
    '\u{61c}',
    '\u{e0041}',
];

#[track_caller]
fn assert_shows_none(run: &Run, what: &str) {
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains(HIDDEN), "{what}: {text:?}");
    }
}

/// Checks a value that a message repeats, and a comment next to a mistake.
#[test]
fn no_format_shows_characters_that_change_a_terminal() {
    for character in HIDDEN
        .into_iter()
        .filter(|character| *character != '\u{1b}')
    {
        for line in [
            format!("version = \"1.0.0\" # {character} comment\nnope = 1"),
            format!("version = \"1.0.{character}\""),
            format!("version = \"1.0.0\"\n\"no{character}pe\" = 1"),
            format!("version = \"1.0.0\" # {character}\nbase = 1"),
            format!("nope = 1 # {character}"),
        ] {
            let text = format!("[image]\nname = \"app\"\n{line}\n");
            let golden = Golden::new().workspace("[workspace]\n").image("app", &text);
            for format in FORMATS {
                let run = golden.run(&["check", "--format", format]);
                assert_ne!(run.code, 0, "{line:?}");
                assert_shows_none(&run, &format!("{format} {line:?}"));
            }
        }
    }
    let escape =
        "[image]\nname = \"app\\u001b[31m\"\nversion = \"1\\u001b[2J\"\nbase = \"scratch\"\n";
    let golden = Golden::new()
        .workspace("[workspace]\n")
        .image("app", escape);
    for format in FORMATS {
        assert_shows_none(&golden.run(&["check", "--format", format]), format);
    }
}

#[test]
fn a_spec_error_does_not_show_a_secret_next_to_it() {
    for env in [
        "env = { API_TOKEN = \"hunter2secret\", x = 1 }",
        "[env]\nAPI_TOKEN = \"hunter2secret\" x = 1",
        "[env]\nAPI_TOKEN = \"hunter2secret",
        "[env]\nAPI_TOKEN = [\"hunter2secret\"]",
        "[env]\nDB_PASSWORD = 1234567890",
        "[env]\nDB_PASSWORD = { prepend = \"hunter2secret\", nope = 1 }",
    ] {
        let base = if env.starts_with("env") {
            format!("{env}\n[image]")
        } else {
            "[image]".to_owned()
        };
        let rest = if env.starts_with("env") { "" } else { env };
        let text =
            format!("{base}\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n{rest}\n");
        let golden = Golden::new().workspace("[workspace]\n").image("app", &text);
        for format in FORMATS {
            let run = golden.run(&["check", "--format", format]).exit(2);
            for text in [&run.stdout, &run.stderr] {
                assert!(
                    !text.contains("hunter2secret") && !text.contains("1234567890"),
                    "{format} {env}: {text}"
                );
            }
        }
    }
}

#[test]
fn a_secret_on_the_command_line_is_not_shown() {
    let golden = Golden::new()
        .workspace("[[registry]]\nname = \"t\"\nhost = \"localhost:1\"\n")
        .image(
            "app",
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
        );
    for arguments in [
        vec!["build", "--secret", "id=t,value=hunter2secret"],
        vec!["build", "--secret", "hunter2secret"],
        vec!["ls", "--registry", "user:hunter2secret@localhost:1"],
        vec!["ls", "user:hunter2secret@localhost:1/app"],
        vec!["inspect", "user:hunter2secret@localhost:1/app:1"],
        vec!["ls", "https://user:hunter2secret@localhost:1/app"],
        vec![
            "promote",
            "localhost:1/a:1",
            "user:hunter2secret@localhost:1/app",
        ],
    ] {
        for format in ["text", "json"] {
            let run = golden.run(&[&arguments[..], &["--format", format]].concat());
            assert_ne!(run.code, 0, "{arguments:?}");
            assert!(
                !(run.stdout + &run.stderr).contains("hunter2secret"),
                "{arguments:?}"
            );
        }
    }
    for (variable, command) in [("GOLDEN_REGISTRY", "ls"), ("DOCKER_HOST", "build")] {
        let golden = Golden::new().workspace("[workspace]\n").image(
            "app",
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
        );
        let address = if command == "ls" {
            "user:hunter2secret@localhost:1"
        } else {
            "tcp://user:hunter2secret@localhost:1"
        };
        let golden = golden.env(variable, address);
        let arguments = if command == "ls" {
            vec!["ls"]
        } else {
            vec!["build", "--engine", "docker"]
        };
        let run = golden.run(&arguments);
        assert!(
            run.code != 0 && !run.stderr.contains("hunter2secret"),
            "{}",
            run.stderr
        );
    }
}

/// A registry that limits the request rate does not say whether the base exists.
#[test]
fn a_rate_limit_is_not_reported_as_a_missing_base() {
    let limited = |seen: &crate::support::server::Seen| {
        (seen.method == "HEAD" || seen.method == "GET" && seen.path.contains("/manifests/"))
            .then(|| Answer::new(429, "").header("retry-after", "3600"))
    };
    let instead: Option<crate::support::registry::Instead> = Some(std::sync::Arc::new(limited));
    let registry = FakeRegistry::start(Behaviour {
        instead,
        ..Behaviour::default()
    });
    let base = format!("{}/base:1", registry.host());
    let golden = Golden::new()
        .workspace("[[registry]]\nname = \"t\"\nhost = \"localhost:1\"\n")
        .image(
            "app",
            &format!(
                "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"{base}\"\nfamily = \"static\"\n"
            ),
        )
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let run = golden.run(&["build"]).exit(1);
    assert!(
        run.stderr.contains("429") && run.stderr.contains("limits the rate"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("not found"), "{}", run.stderr);
}

/// Content under sha512 is verified with sha512, and a sha512 digest identifies an image.
#[test]
fn content_of_a_layout_under_sha512_is_verified() {
    let sha512 = |bytes: &[u8]| -> String {
        sha2::Sha512::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let golden = Golden::new();
    let config =
        r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let config_hex = sha512(config.as_bytes());
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha512:{config_hex}"), "size": config.len()}, "layers": []})
    .to_string();
    let hex = sha512(manifest.as_bytes());
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha512:{hex}"), "size": manifest.len()}]});
    golden.write("l/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    golden.write("l/index.json", index.to_string());
    golden.write(&format!("l/blobs/sha512/{config_hex}"), config);
    golden.write(&format!("l/blobs/sha512/{hex}"), &manifest);
    let named = format!("oci:l@sha512:{hex}");
    golden.run(&["inspect", &named]).exit(0);
    golden
        .run(&["inspect", &format!("oci:l@sha512:{}", "0".repeat(128))])
        .exit(1);
    let unknown = golden.run(&["inspect", "oci:l@sha512:12"]).exit(2);
    assert!(
        unknown.stderr.contains("is not a digest"),
        "{}",
        unknown.stderr
    );
    let other = config.replace("amd64", "arm64");
    golden.write(&format!("l/blobs/sha512/{config_hex}"), &other);
    let run = golden.run(&["inspect", &named]).exit(1);
    assert!(
        run.stderr.contains("does not match its digest"),
        "{}",
        run.stderr
    );
    golden.write(&format!("l/blobs/sha512/{config_hex}"), config);
    golden.write(
        &format!("l/blobs/sha512/{hex}"),
        manifest.replace("\"layers\":[]", "\"layers\": []"),
    );
    golden.run(&["inspect", &named]).exit(1);
}
