//! `[[notify]]`: a document about each image whose tags moved, by HTTP and to a command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::server::{Answer, Seen, Server, handler};
use crate::support::workspace::{Golden, Run};

const TOKEN: &str = "notify-token-4711";

/// A workspace with two images and these receivers.
fn fleet(registry: &FakeRegistry, receivers: &str) -> Golden {
    let host = registry.host();
    let text = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n{receivers}");
    let golden = Golden::new().workspace(&text).env("SOURCE_DATE_EPOCH", "0");
    let spec = |name: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n\
             [[files]]\ncontent = \"{name}\"\ntarget = \"/etc/motd\"\n"
        )
    };
    golden
        .image("app", &spec("app"))
        .image("team/tool", &spec("team/tool"))
}

fn documents(seen: &[Seen]) -> Vec<Value> {
    let mut documents: Vec<Value> = seen
        .iter()
        .map(|seen| serde_json::from_slice(&seen.body).unwrap())
        .collect();
    documents.sort_by_key(|document| document["data"]["image"].as_str().map(str::to_owned));
    documents
}

#[test]
fn an_image_that_fails_in_the_second_registry_is_reported_for_the_first() {
    let first = FakeRegistry::start(Behaviour::default());
    let second = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(|seen: &Seen| {
            let is_tag = seen.method == "PUT" && seen.path.ends_with("/manifests/latest");
            is_tag.then(|| refuse(403, "DENIED", "no moving tags"))
        })),
        ..Behaviour::default()
    });
    let server = Server::start(handler(|_| Answer::new(202, "")));
    let table = format!(
        "[[registry]]\nname = \"second\"\nhost = \"{}\"\n[[notify]]\nname = \"chat\"\nurl = \"http://{}/\"\n",
        second.host(),
        server.host()
    );
    let golden = fleet(&first, &table)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", "outputs");
    golden
        .run(&["build", "--push", "--all-registries", "app"])
        .exit(1);
    let sent = documents(&server.seen());
    assert_eq!(sent.len(), 1, "{sent:#?}");
    let repository = format!("{}/app", first.host());
    assert_eq!(sent[0]["data"]["repository"], repository);
    let outputs = std::fs::read_to_string(golden.path().join("outputs")).unwrap();
    assert!(outputs.starts_with("published=true\n"), "{outputs}");
    assert!(outputs.contains(&repository), "{outputs}");
    assert!(!outputs.contains(&second.host()), "{outputs}");
}

#[test]
fn a_receiver_is_notified_once_of_each_image_after_its_tags_moved() {
    let registry = FakeRegistry::start(Behaviour::default());
    let server = Server::start(handler(|_| Answer::new(202, "")));
    let host = server.host();
    let golden = fleet(
        &registry,
        &format!(
            "[[notify]]\nname = \"chat\"\nurl = \"http://{host}/hook?key=a\"\ntoken_env = \"CHAT_TOKEN\"\n\
             [[notify]]\nname = \"file\"\ncommand = [\"sh\", \"-c\", \"cat > file.json; env > file.env\"]\nimages = [\"team/*\"]\n\
             [[notify]]\nname = \"other\"\ncommand = [\"touch\", \"other\"]\non = [\"rollback\"]\n"
        ),
    )
    .env("CHAT_TOKEN", TOKEN)
    .env("GOLDEN_REGISTRY_PASSWORD", "registry-secret");
    golden.run(&["build"]).exit(0);
    assert_eq!(server.seen().len(), 0, "nothing was published");
    let run = golden.run(&["build", "--push"]).exit(0);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    let seen = server.seen();
    let sent = documents(&seen);
    assert_eq!(sent.len(), 2, "{sent:#?}");
    for seen in &seen {
        assert_eq!(
            (seen.method.as_str(), seen.path.as_str()),
            ("POST", "/hook?key=a")
        );
        let token = format!("Bearer {TOKEN}");
        assert_eq!(seen.header("authorization"), Some(token.as_str()));
        assert_eq!(
            seen.header("content-type"),
            Some("application/cloudevents+json")
        );
    }
    for (document, name) in sent.iter().zip(["app", "team/tool"]) {
        assert_eq!(document["specversion"], "1.0");
        assert_eq!(document["type"], "dev.golden.image.published.v1");
        let repository = format!("{}/{name}", registry.host());
        assert_eq!(document["source"], format!("oci://{repository}"));
        let digest = registry.tags(name)["1.0.0"].clone();
        assert_eq!(document["subject"], digest);
        assert_eq!(document["data"]["repository"], repository);
        let tags = document["data"]["tags"].as_array().unwrap();
        let tags: Vec<&str> = tags
            .iter()
            .map(|tag| tag["tag"].as_str().unwrap())
            .collect();
        assert_eq!(tags, ["1.0.0", "1.0", "1", "latest"]);
    }
    let file = std::fs::read(golden.path().join("file.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&file).unwrap(), sent[1]);
    let variables = std::fs::read_to_string(golden.path().join("file.env")).unwrap();
    assert!(variables.contains("PATH="), "{variables}");
    assert!(!variables.contains("registry-secret"), "{variables}");
    assert!(!golden.path().join("other").exists());
    // No tag moves, so no notification is sent.
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(server.seen().len(), 2);
    let from = format!("{}/app:1.0.0", registry.host());
    let to = format!("{}/prod/app", registry.host());
    golden.run(&["promote", &from, &to, "--dry-run"]).exit(0);
    assert_eq!(server.seen().len(), 2);
    golden.run(&["promote", &from, &to]).exit(0);
    let promoted: Value = serde_json::from_slice(&server.seen()[2].body).unwrap();
    assert_eq!(promoted["type"], "dev.golden.image.promoted.v1");
    assert_eq!(promoted["source"], format!("oci://{to}"));
    // The tags point to the image already, or it gets none.
    golden.run(&["promote", &from, &to]).exit(0);
    let digest = registry.tags("app")["1.0.0"].clone();
    let by_digest = format!("{}/app@{digest}", registry.host());
    let other = format!("{}/other/app", registry.host());
    golden.run(&["promote", &by_digest, &other]).exit(0);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn an_image_that_only_gets_artifacts_is_not_reported() {
    let registry = FakeRegistry::start(Behaviour::default());
    let server = Server::start(handler(|_| Answer::new(200, "")));
    let table = format!(
        "[[notify]]\nname = \"chat\"\nurl = \"http://{}/\"\n",
        server.host()
    );
    let golden = fleet(&registry, &table);
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(server.seen().len(), 2);
    let file = golden.path().join("golden.toml");
    let text = std::fs::read_to_string(file).unwrap();
    golden.write("golden.toml", format!("{text}[sbom]\n"));
    let run = golden.run(&["build", "--push"]).exit(0);
    assert!(run.stdout.contains("2 attached"), "{}", run.stdout);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_rollback_notifies() {
    let registry = FakeRegistry::start(Behaviour::default());
    let server = Server::start(handler(|_| Answer::new(200, "")));
    let table = format!(
        "[[notify]]\nname = \"chat\"\nurl = \"http://{}/\"\non = [\"rollback\"]\n",
        server.host()
    );
    let golden = fleet(&registry, &table);
    golden.run(&["build", "--push"]).exit(0);
    let spec = golden.path().join("app/image.toml");
    let text = std::fs::read_to_string(&spec).unwrap();
    golden.write("app/image.toml", text.replace("1.0.0", "1.0.1"));
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(server.seen().len(), 0);
    golden
        .run(&["rollback", "app", "--to", "1.0.0", "--yes"])
        .exit(0);
    let sent = documents(&server.seen());
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["type"], "dev.golden.image.rolledback.v1");
    assert_eq!(sent[0]["data"]["version"], "1.0.0");
    assert_eq!(sent[0]["subject"], registry.tags("app")["latest"]);
}

/// The second registry refuses the tags of a rollback, and then the first one has none to move.
#[test]
fn a_rollback_reports_each_repository_whose_tags_moved() {
    let is_closed = Arc::new(AtomicBool::new(false));
    let closed = is_closed.clone();
    let first = FakeRegistry::start(Behaviour::default());
    let second = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(move |seen| {
            let is_refused = seen.method == "PUT" && closed.load(Ordering::Relaxed);
            is_refused.then(|| refuse(403, "DENIED", "read-only"))
        })),
        ..Behaviour::default()
    });
    let server = Server::start(handler(|_| Answer::new(200, "")));
    let tables = format!(
        "[[registry]]\nname = \"u\"\nhost = \"{}\"\n\
         [[notify]]\nname = \"chat\"\nurl = \"http://{}/\"\non = [\"rollback\"]\n",
        second.host(),
        server.host()
    );
    let golden = fleet(&first, &tables);
    let publish = ["build", "--push", "--all-registries"];
    golden.run(&publish).exit(0);
    let spec = golden.path().join("app/image.toml");
    let text = std::fs::read_to_string(&spec).unwrap();
    golden.write("app/image.toml", text.replace("1.0.0", "1.0.1"));
    golden.run(&publish).exit(0);
    let rollback = [
        "rollback",
        "app",
        "--to",
        "1.0.0",
        "--yes",
        "--all-registries",
    ];
    for (is_refused, exit, repository) in [(true, 1, first.host()), (false, 0, second.host())] {
        is_closed.store(is_refused, Ordering::Relaxed);
        let before = server.seen().len();
        golden.run(&rollback).exit(exit);
        let sent = documents(&server.seen()[before..]);
        let sources: Vec<&Value> = sent.iter().map(|one| &one["source"]).collect();
        assert_eq!(sources, [&format!("oci://{repository}/app")]);
    }
}

/// A failed notification is a warning without secrets: the tags have moved.
#[test]
fn a_notification_that_fails_is_a_warning() {
    let secret = "T000-secret-path";
    let answers = [
        (404, "answered 404 Not Found", 1),
        (302, "answered 302 Found", 1),
        (503, "answered 503 Service Unavailable", 3),
    ];
    for (status, problem, requests) in answers {
        let registry = FakeRegistry::start(Behaviour::default());
        let server = Server::start(handler(move |_| {
            Answer::new(status, "no").header("location", "http://127.0.0.1:1/")
        }));
        let golden = fleet(
            &registry,
            "[[notify]]\nname = \"chat\"\nurl_env = \"CHAT_URL\"\ntoken_env = \"CHAT_TOKEN\"\nimages = [\"app\"]\n",
        )
        .env("CHAT_URL", &format!("http://{}/{secret}", server.host()))
        .env("CHAT_TOKEN", TOKEN);
        let run = golden.run(&["build", "--push"]).exit(0);
        assert_warned(&run, problem, secret);
        assert_eq!(server.seen().len(), requests, "{status}");
        assert_eq!(registry.tags("app").len(), 4);
    }
    let registry = FakeRegistry::start(Behaviour::default());
    for (table, problem) in [
        ("url_env = \"CHAT_URL\"", "CHAT_URL is not set"),
        (
            "url = \"http://127.0.0.1:1/T000-secret-path\"",
            "127.0.0.1: ",
        ),
        (
            "command = [\"./none\"]",
            "the program `./none` does not exist",
        ),
        (
            "command = [\"sh\", \"-c\", \"echo first; echo last >&2; exit 3\"]",
            "`sh` ended with exit status: 3: last",
        ),
        (
            "command = [\"sleep\", \"60\"]\ntimeout = \"100ms\"",
            "`sleep`: it did not end within",
        ),
    ] {
        let golden = fleet(
            &registry,
            &format!("[[notify]]\nname = \"chat\"\n{table}\nimages = [\"app\"]\n"),
        );
        let name = golden.path().file_name().unwrap().to_str().unwrap();
        // Each run publishes into repositories of its own.
        let namespace = name.to_lowercase().replace(['.', '_'], "x");
        let host = format!("{}/{namespace}", registry.host());
        let run = golden
            .run(&["build", "--push", "--registry", &host])
            .exit(0);
        assert_warned(&run, problem, secret);
    }
}

#[track_caller]
fn assert_warned(run: &Run, problem: &str, secret: &str) {
    let output = format!("{}{}", run.stdout, run.stderr);
    assert!(
        output.contains("the notification `chat` was not sent: "),
        "{output}"
    );
    assert!(output.contains(problem), "{problem}: {output}");
    assert!(!output.contains(secret), "{output}");
    assert!(!output.contains(TOKEN), "{output}");
}

#[test]
fn mistakes_in_receivers_are_reported_with_their_position() {
    for (table, message, place) in [
        (
            "url = \"https://example.com\"",
            "`name` is missing in [[notify]]",
            "1:1",
        ),
        ("name = \"a\"", "needs `url`, `url_env` or `command`", "1:1"),
        (
            "name = \"a\"\nurl = \"https://example.com\"\ncommand = [\"true\"]",
            "exactly one of `url`, `url_env` and `command`",
            "4:11",
        ),
        (
            "name = \"a\"\ncommand = []",
            "needs at least its program",
            "3:11",
        ),
        (
            "name = \"a\"\nurl = \"example.com\"",
            "it is not a URL",
            "3:7",
        ),
        (
            "name = \"a\"\nurl = \"https://u:p@example.com\"",
            "the URL contains a login",
            "3:7",
        ),
        (
            "name = \"a\"\nurl = \"http://example.com\"\ntoken_env = \"T\"",
            "a token is sent only over https",
            "3:7",
        ),
        (
            "name = \"a\"\nurl_env = \"$HOOK\"",
            "`$HOOK` is not the name of an environment variable",
            "3:11",
        ),
        (
            "name = \"a\"\ncommand = [\"true\"]\ntoken_env = \"T\"",
            "a command receives no token",
            "4:13",
        ),
        (
            "name = \"a\"\ncommand = [\"true\"]\nimages = [\"[\"]",
            "`[` is not a valid glob",
            "4:10",
        ),
        (
            "name = \"a\"\ncommand = [\"true\"]\non = [\"build\"]",
            "\"build\" is not one of",
            "4:7",
        ),
        (
            "name = \"a\"\ncommand = [\"true\"]\ntimeout = \"soon\"",
            "`soon` is not a duration",
            "4:11",
        ),
        (
            "name = \"a\"\ncommand = [\"true\"]\n[[notify]]\nname = \"a\"\ncommand = [\"true\"]",
            "two receivers have the name `a`",
            "5:8",
        ),
    ] {
        let golden = Golden::new().workspace(&format!("[[notify]]\n{table}\n"));
        let run = golden.run(&["check"]).exit(2);
        assert!(run.stderr.contains(message), "{message}: {}", run.stderr);
        let place = format!("golden.toml:{place}");
        assert!(run.stderr.contains(&place), "{place}: {}", run.stderr);
    }
}
