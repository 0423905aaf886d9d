//! Redirects: a registry elsewhere cannot redirect golden to this machine, to its network, or from
//! https to http. The registry here has an address of a container network; other addresses are only
//! checked, not contacted.

use std::sync::Arc;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Seen, Server, handler};
use crate::support::services;
use crate::support::tls;
use crate::support::workspace::{Golden, Run};

/// A registry at a private address that redirects the requests selected by `leads` to `to`.
fn elsewhere(leads: fn(&Seen) -> bool, status: u16, to: &str) -> FakeRegistry {
    let to = to.to_owned();
    let instead = move |seen: &Seen| {
        leads(seen)
            .then(|| Answer::new(status, "").header("location", format!("{to}{}", seen.path)))
    };
    let behaviour = Behaviour {
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    };
    let registry = FakeRegistry::at(services::bridge_address(), behaviour, None);
    registry.image("app", "a", &["1.2.3"]);
    registry
}

fn run(registry: &FakeRegistry, command: &str) -> Run {
    let command = command.replace("HOST", &registry.host());
    let insecure = ["--insecure-registry", &registry.host()].map(str::to_owned);
    let arguments: Vec<String> = command
        .split(' ')
        .map(str::to_owned)
        .chain(insecure)
        .collect();
    Golden::new().run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_redirect_to_this_machine_or_its_link_is_refused() {
    let here = Server::start(handler(|_| Answer::new(200, "{}")));
    let port = here.port;
    for host in [
        format!("127.0.0.1:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("[::1]:{port}"),
        format!("localhost:{port}"),
        format!("localhost.:{port}"),
        format!("x.localhost:{port}"),
        "169.254.169.254".to_owned(),
        "[fe80::1]".to_owned(),
    ] {
        for (leads, what) in [
            (|seen: &Seen| seen.path.contains("/blobs/"), "content"),
            (
                |seen: &Seen| seen.path.contains("/manifests/"),
                "a manifest",
            ),
        ] as [(fn(&Seen) -> bool, &str); 2]
        {
            let registry = elsewhere(leads, 307, &format!("http://{host}"));
            let run = run(&registry, "inspect HOST/app:1.2.3").exit(1);
            let words = run.stderr.contains("the registry is elsewhere");
            assert!(words, "{host}, {what}: {}", run.stderr);
        }
    }
    assert!(here.seen().is_empty(), "{:?}", here.seen());
}

#[test]
fn an_upload_to_another_host_is_refused() {
    let other = Server::start(handler(|_| Answer::new(201, "")));
    let source = FakeRegistry::start(Behaviour::default());
    source.image("app", "a", &["1.2.3"]);
    for (status, address) in [
        (202, "127.0.0.1"),
        (307, "127.0.0.1"),
        (202, "elsewhere"),
        (307, "elsewhere"),
    ] {
        let to = format!("http://{}", other.host());
        let instead = move |seen: &Seen| {
            let opens = seen.method == "POST" && seen.path.contains("/blobs/uploads/");
            opens
                .then(|| Answer::new(status, "").header("location", format!("{to}/upload?state=1")))
        };
        let behaviour = Behaviour {
            instead: Some(Arc::new(instead)),
            ..Behaviour::default()
        };
        let address = if address == "elsewhere" {
            services::bridge_address()
        } else {
            address
        };
        let registry = FakeRegistry::at(address, behaviour, None);
        let run = run(
            &registry,
            &format!("promote {}/app:1.2.3 HOST/app", source.host()),
        )
        .exit(1);
        assert!(
            run.stderr.contains("is not sent to another host"),
            "{}",
            run.stderr
        );
    }
    assert!(other.seen().is_empty(), "{:?}", other.seen());
}

#[test]
fn a_list_from_another_host_is_refused() {
    let other = Server::start(handler(|_| {
        Answer::new(200, r#"{"repositories":["x"],"tags":["9.9.9"]}"#)
    }));
    for path in ["/v2/_catalog", "/v2/app/tags/list"] {
        let to = format!("http://{}", other.host());
        let instead = move |seen: &Seen| {
            let leads = seen.route() == path;
            leads.then(|| Answer::new(307, "").header("location", format!("{to}{}", seen.path)))
        };
        let registry = FakeRegistry::start(Behaviour {
            instead: Some(Arc::new(instead)),
            ..Behaviour::default()
        });
        registry.image("app", "a", &["1.2.3"]);
        let place = if path.contains("_catalog") {
            "ls HOST"
        } else {
            "ls HOST/app"
        };
        let run = run(&registry, place).exit(1);
        assert!(
            run.stderr.contains("redirected to another host"),
            "{}",
            run.stderr
        );
    }
    assert!(other.seen().is_empty(), "{:?}", other.seen());
}

/// https stays https: in redirects, in the location of an upload, and for the token server.
#[test]
fn a_change_from_https_to_http_is_refused() {
    let plain = Server::start(handler(|_| Answer::new(200, r#"{"token":"t"}"#)));
    let source = FakeRegistry::start(Behaviour::default());
    source.image("app", "other", &["1.2.3"]);
    let to = format!("http://{}", plain.host());
    let challenge = format!("Bearer realm=\"{to}/token\"");
    for command in [
        "inspect HOST/app:1.2.3",
        "promote SOURCE/app:1.2.3 HOST/copy",
        "ls HOST",
    ] {
        let (config, pem) = tls::server(&["localhost"]);
        let (to, challenge) = (to.clone(), challenge.clone());
        let instead = move |seen: &Seen| match seen.method.as_str() {
            "GET" if seen.path.contains("/blobs/") => {
                Some(Answer::new(302, "").header("location", format!("{to}{}", seen.path)))
            }
            "GET" if seen.path.contains("_catalog") => {
                Some(Answer::new(401, "").header("www-authenticate", &challenge))
            }
            "POST" => Some(Answer::new(202, "").header("location", format!("{to}/upload"))),
            _ => None,
        };
        let behaviour = Behaviour {
            instead: Some(Arc::new(instead)),
            ..Behaviour::default()
        };
        let registry = FakeRegistry::with_tls(behaviour, Some(config));
        registry.image("app", "a", &["1.2.3"]);
        let host = format!("localhost:{}", registry.server.port);
        let golden = Golden::new()
            .workspace(&format!(
                "[[registry]]\nname = \"t\"\nhost = \"{host}\"\nca = \"ca.crt\"\n"
            ))
            .file("ca.crt", pem);
        let command = command
            .replace("HOST", &host)
            .replace("SOURCE", &source.host());
        let run = golden.run(&command.split(' ').collect::<Vec<_>>());
        let refused = ["https must not become plain http", "the URL is not https"];
        assert!(
            run.code != 0 && refused.iter().any(|text| run.stderr.contains(text)),
            "{command}: {}",
            run.stderr
        );
    }
    assert!(plain.seen().is_empty(), "{:?}", plain.seen());
}

#[test]
fn a_registry_elsewhere_cannot_name_a_token_server_on_this_machine() {
    let tokens = Server::start(handler(|_| Answer::new(200, r#"{"token":"t"}"#)));
    for realm in [
        format!("http://127.0.0.1:{}", tokens.port),
        format!("http://localhost:{}", tokens.port),
    ] {
        let challenge = format!("Bearer realm=\"{realm}/token\",service=\"s\"");
        let authorization = Some(("Bearer t".to_owned(), challenge));
        let behaviour = Behaviour {
            authorization,
            ..Behaviour::default()
        };
        let registry = FakeRegistry::at(services::bridge_address(), behaviour, None);
        let run = run(&registry, "ls HOST").exit(1);
        assert!(
            run.stderr.contains("the registry requests logins at"),
            "{}",
            run.stderr
        );
    }
    assert!(tokens.seen().is_empty(), "{:?}", tokens.seen());
}
