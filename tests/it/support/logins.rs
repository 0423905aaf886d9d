//! Registries that require a login, for tests of logins.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::registry::{Behaviour, FakeRegistry, refuse};
use super::server::{Answer, Seen, Server, handler};
use super::workspace::{Golden, Run};

pub(crate) const SECRET: &str = "s3cret:p~ss>w\u{f6}rd";

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Asserts that no output contains the secret, in any encoding.
#[track_caller]
pub(crate) fn assert_no_secret(run: &Run) {
    let encoded = STANDARD.encode(format!("robot:{SECRET}"));
    for text in [&run.stdout, &run.stderr] {
        assert!(
            !text.contains(SECRET) && !text.contains(&encoded) && !text.contains("tok3n"),
            "{text}"
        );
    }
}

/// A token server for a fake registry: each token is valid for `uses` requests.
pub(crate) struct Bearer {
    pub(crate) registry: FakeRegistry,
    pub(crate) tokens: Server,
}

pub(crate) fn with_bearer(uses: usize) -> Bearer {
    let good: Arc<Mutex<(String, usize)>> = Arc::default();
    let issued = AtomicUsize::new(0);
    let issue = good.clone();
    let tokens = Server::start(handler(move |seen| {
        if seen.header("authorization") != Some(&basic("robot", SECRET)) && seen.method == "GET" {
            return Answer::new(401, "who are you?");
        }
        let token = format!("tok3n-{}", issued.fetch_add(1, Ordering::SeqCst));
        *issue.lock().unwrap() = (token.clone(), uses);
        Answer::new(
            200,
            format!(r#"{{"access_token":"{token}","expires_in":1}}"#),
        )
    }));
    let realm = format!("http://{}/token", tokens.host());
    let instead = move |seen: &Seen| {
        let mut good = good.lock().unwrap();
        if good.1 > 0 && seen.header("authorization") == Some(&format!("Bearer {}", good.0)) {
            good.1 -= 1;
            return None;
        }
        let name = seen
            .path
            .trim_start_matches("/v2/")
            .split('/')
            .next()
            .unwrap();
        let actions = if seen.method == "DELETE" {
            "delete"
        } else {
            "pull"
        };
        let challenge =
            format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:{name}:{actions}\"");
        Some(refuse(401, "UNAUTHORIZED", "token").header("www-authenticate", challenge))
    };
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    registry.image("app", "a", &["1.2.3", "1"]);
    Bearer { registry, tokens }
}

/// Adds a helper `docker-credential-NAME` to PATH.
pub(crate) fn with_helper(golden: Golden, name: &str, script: &str) -> Golden {
    let program = golden.write(
        &format!("bin/docker-credential-{name}"),
        format!("#!/bin/sh\n{script}\n"),
    );
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let old = std::env::var_os("PATH").unwrap();
    let search = format!("{}:{}", program.parent().unwrap().display(), old.display());
    golden.env("PATH", &search)
}
