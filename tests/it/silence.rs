//! No secret is printed or stored: these tests search all output, at -vv, of every command that
//! contacts a registry, both when it succeeds and when it fails.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::support::publisher::fresh_name;
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Server, handler};
use crate::support::services;
use crate::support::workspace::Golden;

/// A workspace with one registry, and the secrets of its login.
struct SecretSearch {
    golden: Golden,
    host: String,
    name: String,
    secrets: Vec<String>,
}

impl SecretSearch {
    fn new(host: &str, user: &str, password: &str, more: &[&str]) -> Self {
        let name = fresh_name("silent");
        let pair = format!("{user}:{password}");
        let mut secrets: Vec<String> = more.iter().map(|&text| text.to_owned()).collect();
        secrets.push(password.to_owned());
        secrets.extend(
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
                .map(|engine| engine.encode(&pair)),
        );
        secrets.extend([STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|engine| engine.encode(password)));
        secrets.push(url::form_urlencoded::byte_serialize(password.as_bytes()).collect());
        let golden = Golden::new()
            .workspace(&format!(
                "[[registry]]\nname = \"t\"\nhost = \"{host}\"\nnamespace = \"{name}\"\n"
            ))
            .env("SOURCE_DATE_EPOCH", "0")
            .env("DOCKER_HOST", services::docker_host())
            .env("GOLDEN_REGISTRY_HOST", host)
            .env("GOLDEN_REGISTRY_USER", user)
            .env("GOLDEN_REGISTRY_PASSWORD", password);
        let secret_search = Self {
            golden,
            host: host.to_owned(),
            name,
            secrets,
        };
        secret_search.version("1.2.3");
        secret_search
    }

    fn version(&self, version: &str) {
        let text = format!(
            "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"{}/{}/base:1.36\"\n[labels]\nowner = \"me\"\n",
            self.host, self.name
        );
        self.golden.write("app/image.toml", text);
    }

    /// Runs a command at -vv and searches its output. `{}` is the repository prefix of the
    /// workspace.
    #[track_caller]
    fn run(&self, command: &str, code: i32) {
        let place = format!("{}/{}", self.host, self.name);
        let command = format!(
            "-vv {}",
            command.replace("{}", &place).replace("{host}", &self.host)
        );
        let run = self
            .golden
            .run(&command.split(' ').collect::<Vec<_>>())
            .exit(code);
        for secret in &self.secrets {
            for text in [&run.stdout, &run.stderr] {
                assert!(
                    !text.contains(secret.as_str()),
                    "{command} shows {secret}:\n{text}"
                );
            }
        }
    }

    /// Runs all commands. `{code}` instead of a run means that the command cannot work with this
    /// login.
    fn run_all(&self) {
        self.run(
            &format!("promote {} {{}}/base:1.36", services::base_busybox()),
            0,
        );
        self.run("outdated", 5);
        self.run("update", 0);
        self.run("outdated", 0);
        self.run("graph", 0);
        self.run("plan", 0);
        self.run("build --push --engine embedded", 0);
        self.run("build --push", 0);
        self.run("verify", 0);
        self.run("verify --deep {}/app:1.2.3", 0);
        self.run("ls {host}", 0);
        self.run("ls {}/app", 0);
        self.run("--format json ls {}/app", 0);
        self.run("inspect {}/app:1.2", 0);
        self.run("--format json inspect {}/app:1.2", 0);
        self.run("audit {}/app:1.2.3", 0);
        self.run("promote {}/app:1.2.3 {}/production --tags --referrers", 0);
        self.run("delete {}/production:1.2.3 --yes", 4);
        self.run("delete {}/production:latest --untag --yes", 0);
        self.run("delete {}/production:1.2.3 --all-tags --yes", 0);
        self.version("1.3.0");
        self.run("build --engine docker", 0);
        self.run("push", 0);
        self.run("rollback app --to 1.2.3 --yes", 0);
        self.run("prune app --keep 1 --dry-run", 0);
        self.run("prune {}/app --older-than 1d --keep 1 --yes", 0);
        self.run("inspect {}/nothing:1", 1);
    }

    /// Searches the written files too.
    fn search_files(&self) {
        fn search(directory: &Path, secrets: &[String]) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    search(&path, secrets);
                    continue;
                }
                #[expect(clippy::disallowed_methods, reason = "the test owns these files")]
                let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                for secret in secrets {
                    assert!(
                        !content.contains(secret.as_str()),
                        "{} holds {secret}",
                        path.display()
                    );
                }
            }
        }
        search(self.golden.path(), &self.secrets);
    }
}

#[test]
fn a_password_for_a_real_registry_is_never_shown() {
    let (user, password) = (services::htpasswd_user(), services::htpasswd_password());
    let secret_search = SecretSearch::new(services::registry_htpasswd(), user, password, &[]);
    secret_search.run_all();
    secret_search.search_files();
}

#[test]
fn a_wrong_password_is_never_shown() {
    let wrong = "wr0ng>pass~word";
    let secret_search = SecretSearch::new(services::registry_htpasswd(), "golden", wrong, &[]);
    for command in [
        "outdated",
        "update",
        "plan",
        "build --push",
        "verify",
        "verify {}/app:1.2.3",
        "ls {host}",
        "ls {}/app",
        "inspect {}/app:1.2",
        "audit {}/app:1.2.3",
        "promote {}/app:1.2.3 {}/production --tags",
        "delete {}/app:1.2.3 --yes",
        "delete {}/app:1.2.3 --untag --yes",
        "rollback app --to 1.2.3 --yes",
        "prune app --keep 1 --dry-run",
    ] {
        secret_search.run(command, 1);
    }
    secret_search.search_files();
}

/// Tokens are as secret as the login that they were requested with, and so are redirect addresses.
#[test]
fn tokens_and_signed_addresses_are_never_shown() {
    let (password, token) = ("s3cret of the-robot", "eyJ0.t0ken-of-the.robot");
    let tokens = Server::start(handler(move |_| {
        Answer::new(200, format!(r#"{{"token":"{token}"}}"#))
    }));
    let realm = format!(
        "Bearer realm=\"http://{}/token?account=1\",service=\"s\"",
        tokens.host()
    );
    let storage = FakeRegistry::start(Behaviour::default());
    storage.image("golden/app", "a", &["1.2.3"]);
    let signed = format!("http://{}", storage.host());
    let instead = move |seen: &crate::support::server::Seen| {
        let is_blob = seen.method == "GET" && seen.path.starts_with("/v2/signed/blobs/");
        let path = seen.path.replace("/v2/signed/", "/v2/golden/app/");
        is_blob.then(|| {
            Answer::new(307, "")
                .header("location", format!("{signed}{path}?X-Amz-Signature=s1gned"))
        })
    };
    let registry = FakeRegistry::start(Behaviour {
        authorization: Some((format!("Bearer {token}"), realm)),
        instead: Some(std::sync::Arc::new(instead)),
        ..Behaviour::default()
    });
    registry.image("signed", "a", &["1.2.3"]);
    let secret_search = SecretSearch::new(&registry.host(), "robot", password, &[token, "s1gned"]);
    secret_search.run("inspect {host}/signed:1.2.3", 0);
    secret_search.run("verify --deep {host}/signed:1.2.3", 0);
    secret_search.run_all();
    secret_search.search_files();
    assert!(
        storage
            .requests()
            .iter()
            .any(|line| line.contains("s1gned"))
    );
}
