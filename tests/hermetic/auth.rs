//! Logins: their sources, and the hosts that receive them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::logins::{Bearer, SECRET, assert_no_secret, basic, with_bearer};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Seen, Server, handler};
use crate::support::workspace::Golden;

pub(crate) fn with_basic() -> FakeRegistry {
    let authorization = Some((basic("robot", SECRET), "Basic realm=\"r\"".to_owned()));
    let registry = FakeRegistry::start(Behaviour {
        authorization,
        ..Behaviour::default()
    });
    registry.image("app", "a", &["1.2.3"]);
    registry
}

#[test]
fn the_login_of_docker_config_is_used() {
    let registry = with_basic();
    let auth = STANDARD.encode(format!("robot:{SECRET}"));
    let config = format!(
        r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#,
        registry.host()
    );
    let golden = Golden::new().file(".docker/config.json", config);
    let run = golden
        .run(&["-vv", "ls", &format!("{}/app", registry.host())])
        .exit(0);
    assert!(run.stdout.contains("1.2.3"));
    assert_no_secret(&run);
}

#[test]
fn the_variables_take_precedence_and_reach_only_the_destination() {
    let registry = with_basic();
    let wrong = format!(
        r#"{{"auths":{{"{}":{{"auth":"{}"}}}}}}"#,
        registry.host(),
        STANDARD.encode("a:b")
    );
    let golden = Golden::new()
        .file(".docker/config.json", wrong)
        .env("GOLDEN_REGISTRY", &registry.host())
        .env("GOLDEN_REGISTRY_USER", "robot")
        .env("GOLDEN_REGISTRY_PASSWORD", SECRET);
    assert_no_secret(
        &golden
            .run(&["-vv", "ls", &format!("{}/app", registry.host())])
            .exit(0),
    );
    let stranger = with_basic();
    let run = golden
        .run(&["-vv", "inspect", &format!("{}/app:1.2.3", stranger.host())])
        .exit(1);
    assert!(
        stranger
            .server
            .seen()
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
    assert!(
        run.stderr.contains("401") && run.stderr.contains("docker login"),
        "{}",
        run.stderr
    );
    assert_no_secret(&run);
}

#[test]
fn a_wrong_password_is_reported_once() {
    let registry = with_basic();
    let golden = Golden::new()
        .env("GOLDEN_REGISTRY_USER", "robot")
        .env("GOLDEN_REGISTRY_PASSWORD", "tok3n");
    let run = golden.run(&["-vv", "ls", &registry.host()]).exit(1);
    assert!(run.stderr.contains("401 UNAUTHORIZED"), "{}", run.stderr);
    assert_eq!(registry.server.seen().len(), 2);
    assert_no_secret(&run);
}

/// Servers lock accounts after a few wrong passwords: every command sends a wrong password only
/// once.
#[test]
fn a_wrong_password_is_sent_once() {
    for bearer in [false, true] {
        for command in [
            "plan",
            "build --push --engine embedded",
            "verify",
            "ls HOST/golden/one",
            "inspect HOST/golden/one:1.0.0",
            "delete HOST/golden/one:1.0.0 --all-tags --yes",
            "prune HOST/golden/one --keep 1 --yes",
            "promote HOST/golden/one:1.0.0 HOST/golden/two",
        ] {
            let Bearer { registry, tokens } = with_token_server(Answer::new(401, "who are you?"));
            let registry = if bearer { registry } else { with_basic() };
            registry.image("golden/one", "1", &["1.0.0", "1.0", "1", "latest"]);
            let host = registry.host();
            let image = |name: &str| {
                let base = format!("{host}/golden/{name}-base:1.0.0");
                format!("[image]\nname = \"{name}\"\nversion = \"1.0.1\"\nbase = \"{base}\"\n")
            };
            let golden = Golden::new()
                .workspace(&format!(
                    "[[registry]]\nname = \"t\"\nhost = \"{host}\"\nnamespace = \"golden\"\n"
                ))
                .image("one", &image("one"))
                .image("two", &image("two"))
                .image("three", &image("three"))
                .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
                .env("GOLDEN_REGISTRY_HOST", &host)
                .env("GOLDEN_REGISTRY_USER", "ann")
                .env("GOLDEN_REGISTRY_PASSWORD", "tok3n");
            let arguments = command.replace("HOST", &host);
            let run = golden
                .run(&arguments.split(' ').collect::<Vec<_>>())
                .exit(1);
            let requests = [registry.server.seen(), tokens.seen()].concat();
            let carries =
                |seen: &&Seen| seen.header("authorization") == Some(&basic("ann", "tok3n"));
            assert_eq!(
                requests.iter().filter(carries).count(),
                1,
                "{command}: {}",
                run.stderr
            );
            let expected = format!("{host} rejected user `ann` (from GOLDEN_REGISTRY_USER)");
            assert!(run.stderr.contains(&expected), "{command}: {}", run.stderr);
            assert_no_secret(&run);
        }
    }
}

/// Some registries limit the uses of a token. Concurrent requests must not use up each other's
/// tokens.
#[test]
fn tokens_that_are_valid_for_one_request_are_sufficient() {
    let Bearer { registry, tokens } = with_bearer(1);
    let host = registry.host();
    let golden = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"))
        .image("one", "[image]\nname = \"app\"\nversion = \"1.2.4\"\nbase = \"scratch\"\n[[files]]\ncontent = \"x\"\ntarget = \"/x\"\n")
        .image("two", "[image]\nname = \"app\"\nversion = \"1.2.4\"\nvariant = \"two\"\nbase = \"scratch\"\n")
        .env("GOLDEN_REGISTRY_HOST", &host)
        .env("GOLDEN_REGISTRY_USER", "robot")
        .env("GOLDEN_REGISTRY_PASSWORD", SECRET);
    golden
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    assert_no_secret(&golden.run(&["-vv", "verify"]).exit(0));
    let inspect = format!("{host}/app:1.2.4");
    golden.run(&["inspect", &inspect]).exit(0);
    golden
        .run(&["delete", &format!("{inspect}-two"), "--all-tags", "--yes"])
        .exit(0);
    assert!(tokens.seen().len() > 20, "{}", tokens.seen().len());
}

/// A variable that is set from `$(cat FILE)` or `echo` may end in a line break.
#[test]
fn a_password_may_end_in_a_line_break() {
    for end in ["\n", "\r\n"] {
        let registry = with_basic();
        let golden = Golden::new()
            .env("GOLDEN_REGISTRY_USER", &format!("robot{end}"))
            .env("GOLDEN_REGISTRY_PASSWORD", &format!("{SECRET}{end}"));
        golden.run(&["ls", &registry.host()]).exit(0);
    }
}

#[test]
fn a_user_without_a_password_is_reported() {
    let registry = with_basic();
    for (set, missing) in [
        ("GOLDEN_REGISTRY_USER", "GOLDEN_REGISTRY_PASSWORD"),
        ("GOLDEN_REGISTRY_PASSWORD", "GOLDEN_REGISTRY_USER"),
    ] {
        let run = Golden::new()
            .env(set, "tok3n")
            .env(missing, "")
            .run(&["ls", &registry.host()])
            .exit(1);
        assert!(
            run.stderr
                .contains(&format!("{set} is set, {missing} is not")),
            "{}",
            run.stderr
        );
        assert_no_secret(&run);
    }
}

/// Some servers repeat the request in their error message.
#[test]
fn a_login_that_the_registry_repeats_is_not_shown() {
    for secret in [SECRET, "tok3n"] {
        let repeat = |seen: &Seen| {
            let sent = seen.header("authorization")?;
            let plain = STANDARD.decode(sent.split(' ').nth(1)?).unwrap_or_default();
            let plain = String::from_utf8_lossy(&plain).into_owned();
            let body = serde_json::json!({"errors": [{"code": "DENIED", "message": format!("{sent} {plain}"), "detail": {"Authorization": [sent]}}]});
            Some(Answer::new(403, body.to_string()))
        };
        let authorization = Some((basic("robot", secret), "Basic realm=\"r\"".to_owned()));
        let instead: Option<crate::support::registry::Instead> = Some(Arc::new(repeat));
        let registry = FakeRegistry::start(Behaviour {
            authorization,
            instead,
            ..Behaviour::default()
        });
        let golden = Golden::new()
            .env("GOLDEN_REGISTRY_USER", "robot")
            .env("GOLDEN_REGISTRY_PASSWORD", secret);
        for format in ["text", "json"] {
            let run = golden
                .run(&["-vv", "--format", format, "ls", &registry.host()])
                .exit(1);
            assert!(
                run.stderr.contains("403 DENIED") && run.stderr.contains("***"),
                "{}",
                run.stderr
            );
            let encoded = STANDARD.encode(format!("robot:{secret}"));
            assert!(
                !run.stderr.contains(secret) && !run.stderr.contains(&encoded),
                "{}",
                run.stderr
            );
        }
    }
}

#[test]
fn a_credential_helper_is_used() {
    let registry = with_basic();
    let config = format!(
        r#"{{"credHelpers":{{"{}":"golden-test"}},"auths":{{}}}}"#,
        registry.host()
    );
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$server\" = '{}' ] || exit 3\nprintf '{{\"ServerURL\":\"x\",\"Username\":\"robot\",\"Secret\":\"{SECRET}\"}}'\n",
        registry.host()
    );
    let golden = Golden::new().file(".docker/config.json", config);
    let run = golden.run(&["ls", &registry.host()]).exit(1);
    assert!(
        run.stderr.contains("`docker-credential-golden-test`") && run.stderr.contains("PATH"),
        "{}",
        run.stderr
    );
    let program = golden.write("bin/docker-credential-golden-test", script);
    std::os::unix::fs::PermissionsExt::set_mode(
        &mut program.metadata().unwrap().permissions(),
        0o755,
    );
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let search = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var_os("PATH").unwrap().display()
    );
    let golden = golden.env("PATH", &search);
    let run = golden.run(&["-vv", "ls", &registry.host()]).exit(0);
    assert_eq!(run.stdout, format!("{}/app\n", registry.host()));
    assert_no_secret(&run);
}

#[test]
fn a_token_that_expires_during_a_command_is_renewed() {
    let Bearer { registry, tokens } = with_bearer(3);
    let golden = Golden::new()
        .env("GOLDEN_REGISTRY_USER", "robot")
        .env("GOLDEN_REGISTRY_PASSWORD", SECRET);
    let run = golden
        .run(&[
            "-vv",
            "delete",
            &format!("{}/app:1", registry.host()),
            "--all-tags",
            "--yes",
        ])
        .exit(0);
    assert_no_secret(&run);
    assert!(registry.tags("app").is_empty());
    let token_requests = tokens.seen();
    assert!(token_requests.len() > 2, "{}", token_requests.len());
    assert_eq!(
        token_requests.last().unwrap().query("scope"),
        ["repository:app:delete,pull,push"]
    );
    assert_eq!(token_requests[0].query("service"), ["s"]);
}

/// A registry whose token server sends this answer to every request.
pub(crate) fn with_token_server(answer: Answer) -> Bearer {
    let tokens = Server::start(handler(move |_| answer.clone()));
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"s\"",
        tokens.host()
    );
    let authorization = Some(("Bearer never-issued".to_owned(), challenge));
    let registry = FakeRegistry::start(Behaviour {
        authorization,
        ..Behaviour::default()
    });
    registry.image("app", "a", &["1.2.3"]);
    Bearer { registry, tokens }
}

#[test]
fn requests_to_a_failing_token_server_are_retried_as_to_a_registry() {
    let Bearer { registry, tokens } =
        with_token_server(Answer::new(503, "not now").header("retry-after", 0));
    let run = Golden::new()
        .run(&["inspect", &format!("{}/app:1.2.3", registry.host())])
        .exit(1);
    assert!(
        run.stderr.contains("/token: 503: not now"),
        "{}",
        run.stderr
    );
    assert_eq!(tokens.seen().len(), 6);
}

#[test]
fn an_identity_token_is_exchanged_by_post() {
    let Bearer { registry, tokens } = with_bearer(100);
    let config = format!(
        r#"{{"auths":{{"{}":{{"identitytoken":"tok3n-refresh"}}}}}}"#,
        registry.host()
    );
    let run = Golden::new()
        .file(".docker/config.json", config)
        .run(&["-vv", "ls", &format!("{}/app", registry.host())])
        .exit(0);
    assert_no_secret(&run);
    let token_requests = tokens.seen();
    let form = String::from_utf8(token_requests[0].body.clone()).unwrap();
    assert_eq!(token_requests[0].method, "POST");
    assert_eq!(
        form,
        "grant_type=refresh_token&service=s&client_id=golden&scope=repository%3Aapp%3Apull&refresh_token=tok3n-refresh"
    );
}

#[test]
fn a_login_does_not_follow_a_redirect() {
    let content = FakeRegistry::start(Behaviour::default());
    content.image("app", "a", &["1.2.3"]);
    let target = format!("http://{}", content.host());
    let instead = move |seen: &Seen| {
        let is_blob_with_login =
            seen.header("authorization").is_some() && seen.path.contains("/blobs/");
        is_blob_with_login.then(|| {
            Answer::new(307, "").header("location", format!("{target}{}?sig=tok3n", seen.path))
        })
    };
    let authorization = Some((basic("robot", SECRET), "Basic realm=\"r\"".to_owned()));
    let registry = FakeRegistry::start(Behaviour {
        authorization,
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    registry.image("app", "a", &["1.2.3"]);
    let golden = Golden::new()
        .env("GOLDEN_REGISTRY_USER", "robot")
        .env("GOLDEN_REGISTRY_PASSWORD", SECRET);
    assert_no_secret(
        &golden
            .run(&["-vv", "inspect", &format!("{}/app:1.2.3", registry.host())])
            .exit(0),
    );
    assert!(!content.server.seen().is_empty());
    assert!(
        content
            .server
            .seen()
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
}

/// A loopback host is first addressed over HTTP. Once it needs TLS, every later request uses TLS.
#[test]
fn a_loopback_registry_with_tls_is_addressed_again_over_tls() {
    for refuses_plain in [false, true] {
        let challenge =
            Answer::new(401, "who are you?").header("www-authenticate", "Basic realm=\"r\"");
        for first in [Answer::new(503, "not now"), Answer::Close, challenge] {
            let what = format!("refuses plain: {refuses_plain}, first: {first:?}");
            let (config, pem) = crate::support::tls::server(&["localhost"]);
            let count = AtomicUsize::new(0);
            let instead =
                move |_: &Seen| (count.fetch_add(1, Ordering::SeqCst) == 0).then(|| first.clone());
            let behaviour = Behaviour {
                instead: Some(Arc::new(instead)),
                ..Behaviour::default()
            };
            let registry = FakeRegistry::with_tls(behaviour, Some(config));
            registry.image("app", "a", &["1.2.3"]);
            if refuses_plain {
                registry.server.refuse_plain();
            }
            let host = format!("localhost:{}", registry.server.port);
            let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\nca = \"ca.crt\"\n");
            let golden = Golden::new()
                .workspace(&table)
                .file("ca.crt", pem)
                .env("GOLDEN_REGISTRY_USER", "robot")
                .env("GOLDEN_REGISTRY_PASSWORD", SECRET);
            let run = golden.run(&["-vv", "inspect", &format!("{host}/app:1.2.3")]);
            assert_eq!(run.code, 0, "{what}: {}", run.stderr);
            assert_no_secret(&run);
            let plain = |line: &&str| line.contains(" request ") && line.contains("url=\"http:");
            assert_eq!(
                run.stderr.lines().filter(plain).count(),
                1,
                "{what}: {}",
                run.stderr
            );
        }
    }
}

/// `openssl req -x509` makes such a certificate. Only this exact certificate is accepted, and only
/// for its own name.
#[test]
fn a_self_signed_ca_certificate_is_accepted_if_it_is_configured() {
    let authority = |name: &str| {
        let mut parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        crate::support::tls::of(&parameters)
    };
    let other = authority("localhost").1;
    for (name, configured, words) in [
        ("localhost", None, None),
        ("localhost", Some(other.as_str()), Some("is not accepted")),
        ("elsewhere.example", None, Some("it is for another name")),
    ] {
        let (config, own) = authority(name);
        let registry = FakeRegistry::with_tls(Behaviour::default(), Some(config));
        registry.image("app", "a", &["1.2.3"]);
        let host = format!("localhost:{}", registry.server.port);
        let text = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\nca = \"ca.crt\"\n");
        let golden = Golden::new()
            .workspace(&text)
            .file("ca.crt", configured.unwrap_or(&own));
        let run = golden
            .run(&["ls", &format!("{host}/app")])
            .exit(i32::from(words.is_some()));
        assert!(
            words.is_none_or(|words| run.stderr.contains(words)),
            "{name}: {}",
            run.stderr
        );
    }
}

#[test]
fn an_expired_certificate_is_named() {
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
    let (config, pem) = crate::support::tls::of(&parameters);
    let registry = FakeRegistry::with_tls(Behaviour::default(), Some(config));
    let host = format!("localhost:{}", registry.server.port);
    let text = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\nca = \"ca.crt\"\n");
    let run = Golden::new()
        .workspace(&text)
        .file("ca.crt", pem)
        .run(&["ls", &host])
        .exit(1);
    assert!(run.stderr.contains("it has expired"), "{}", run.stderr);
}

/// A login from a file is not sent in clear text either, nor to a token server over plain HTTP.
#[test]
fn no_login_is_sent_in_clear_text() {
    let tokens = Server::at(
        "0.0.0.0",
        0,
        None,
        handler(|_| Answer::new(200, r#"{"token":"anonymous"}"#)),
    );
    let bearer = format!(
        "Bearer realm=\"http://{}/token\",service=\"s\"",
        tokens.host()
    );
    for challenge in ["Basic realm=\"r\"", &bearer] {
        let authorization = Some((basic("robot", SECRET), challenge.to_owned()));
        let registry = FakeRegistry::at(
            "0.0.0.0",
            Behaviour {
                authorization,
                ..Behaviour::default()
            },
            None,
        );
        let host = registry.host();
        let auth = STANDARD.encode(format!("robot:{SECRET}"));
        let golden = Golden::new()
            .workspace(&format!(
                "[[registry]]\nname = \"t\"\nhost = \"{host}\"\nhttp = true\n"
            ))
            .file(
                ".docker/config.json",
                format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#),
            );
        let run = golden.run(&["ls", &host]).exit(1);
        assert!(
            run.stderr.contains("it is not sent in clear text"),
            "{}",
            run.stderr
        );
        let requests = [registry.server.seen(), tokens.seen()].concat();
        let login = |seen: &Seen| {
            seen.header("authorization")
                .is_some_and(|sent| sent.starts_with("Basic"))
        };
        assert!(!requests.iter().any(login));
    }
    assert!(!tokens.seen().is_empty());
}
