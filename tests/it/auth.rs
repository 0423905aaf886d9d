//! Logins: where they come from, where they go, and where they never go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Seen, Server, handler};
use crate::support::services;
use crate::support::workspace::{Golden, Run};

pub(crate) const SECRET: &str = "s3cret:p~ss>w\u{f6}rd";

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(crate) fn with_basic() -> FakeRegistry {
    let authorization = Some((basic("robot", SECRET), "Basic realm=\"r\"".to_owned()));
    let registry = FakeRegistry::start(Behaviour { authorization, ..Behaviour::default() });
    registry.image("app", "a", &["1.2.3"]);
    registry
}

/// No output may hold the secret, in no form.
#[track_caller]
pub(crate) fn silent(run: &Run) {
    let encoded = STANDARD.encode(format!("robot:{SECRET}"));
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains(SECRET) && !text.contains(&encoded) && !text.contains("tok3n"), "{text}");
    }
}

#[test]
fn docker_config_logs_in() {
    let registry = with_basic();
    let auth = STANDARD.encode(format!("robot:{SECRET}"));
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host());
    let golden = Golden::new().file(".docker/config.json", config);
    let run = golden.run(&["-vv", "ls", &format!("{}/app", registry.host())]).exit(0);
    assert!(run.stdout.contains("1.2.3"));
    silent(&run);
}

#[test]
fn the_variables_win_and_reach_only_the_destination() {
    let registry = with_basic();
    let wrong = format!(r#"{{"auths":{{"{}":{{"auth":"{}"}}}}}}"#, registry.host(), STANDARD.encode("a:b"));
    let golden = Golden::new()
        .file(".docker/config.json", wrong)
        .env("GOLDEN_REGISTRY", &registry.host())
        .env("GOLDEN_REGISTRY_USER", "robot")
        .env("GOLDEN_REGISTRY_PASSWORD", SECRET);
    silent(&golden.run(&["-vv", "ls", &format!("{}/app", registry.host())]).exit(0));
    let stranger = with_basic();
    let run = golden.run(&["-vv", "inspect", &format!("{}/app:1.2.3", stranger.host())]).exit(1);
    assert!(stranger.server.seen().iter().all(|seen| seen.header("authorization").is_none()));
    assert!(run.stderr.contains("401") && run.stderr.contains("docker login"), "{}", run.stderr);
    silent(&run);
}

#[test]
fn a_wrong_password_is_told_once() {
    let registry = with_basic();
    let golden = Golden::new().env("GOLDEN_REGISTRY_USER", "robot").env("GOLDEN_REGISTRY_PASSWORD", "tok3n");
    let run = golden.run(&["-vv", "ls", &registry.host()]).exit(1);
    assert!(run.stderr.contains("401 UNAUTHORIZED"), "{}", run.stderr);
    assert_eq!(registry.server.seen().len(), 2);
    silent(&run);
}

#[test]
fn a_helper_is_asked() {
    let registry = with_basic();
    let config = format!(r#"{{"credHelpers":{{"{}":"golden-test"}},"auths":{{}}}}"#, registry.host());
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
    std::os::unix::fs::PermissionsExt::set_mode(&mut program.metadata().unwrap().permissions(), 0o755);
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let search =
        format!("{}:{}", program.parent().unwrap().display(), std::env::var_os("PATH").unwrap().display());
    let golden = golden.env("PATH", &search);
    let run = golden.run(&["-vv", "ls", &registry.host()]).exit(0);
    assert_eq!(run.stdout, "app\n");
    silent(&run);
}

/// A token server for a fake registry: every token is good for as many requests as `uses` says.
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
        Answer::new(200, format!(r#"{{"access_token":"{token}","expires_in":1}}"#))
    }));
    let realm = format!("http://{}/token", tokens.host());
    let instead = move |seen: &crate::support::server::Seen| {
        let mut good = good.lock().unwrap();
        if good.1 > 0 && seen.header("authorization") == Some(&format!("Bearer {}", good.0)) {
            good.1 -= 1;
            return None;
        }
        let name = seen.path.trim_start_matches("/v2/").split('/').next().unwrap();
        let actions = if seen.method == "DELETE" { "delete" } else { "pull" };
        let challenge =
            format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:{name}:{actions}\"");
        Some(
            crate::support::registry::refuse(401, "UNAUTHORIZED", "token")
                .header("www-authenticate", challenge),
        )
    };
    let registry =
        FakeRegistry::start(Behaviour { instead: Some(Arc::new(instead)), ..Behaviour::default() });
    registry.image("app", "a", &["1.2.3", "1"]);
    Bearer { registry, tokens }
}

#[test]
fn a_token_that_expires_in_the_middle_is_renewed() {
    let Bearer { registry, tokens } = with_bearer(3);
    let golden = Golden::new().env("GOLDEN_REGISTRY_USER", "robot").env("GOLDEN_REGISTRY_PASSWORD", SECRET);
    let run =
        golden.run(&["-vv", "delete", &format!("{}/app:1", registry.host()), "--all-tags", "--yes"]).exit(0);
    silent(&run);
    assert!(registry.tags("app").is_empty());
    let asked = tokens.seen();
    assert!(asked.len() > 2, "{}", asked.len());
    assert_eq!(asked.last().unwrap().query("scope"), ["repository:app:delete,pull,push"]);
    assert_eq!(asked[0].query("service"), ["s"]);
}

/// A registry whose token server answers everything with this.
pub(crate) fn with_token_server(answer: Answer) -> Bearer {
    let tokens = Server::start(handler(move |_| answer.clone()));
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"s\"", tokens.host());
    let authorization = Some(("Bearer nobody has it".to_owned(), challenge));
    let registry = FakeRegistry::start(Behaviour { authorization, ..Behaviour::default() });
    registry.image("app", "a", &["1.2.3"]);
    Bearer { registry, tokens }
}

#[test]
fn a_token_server_that_fails_is_asked_as_often_as_a_registry() {
    let Bearer { registry, tokens } = with_token_server(Answer::new(503, "not now").header("retry-after", 0));
    let run = Golden::new().run(&["inspect", &format!("{}/app:1.2.3", registry.host())]).exit(1);
    assert!(run.stderr.contains("/token: 503: not now"), "{}", run.stderr);
    assert_eq!(tokens.seen().len(), 6);
}

#[test]
fn an_identity_token_is_exchanged_by_post() {
    let Bearer { registry, tokens } = with_bearer(100);
    let config = format!(r#"{{"auths":{{"{}":{{"identitytoken":"tok3n-refresh"}}}}}}"#, registry.host());
    let run = Golden::new()
        .file(".docker/config.json", config)
        .run(&["-vv", "ls", &format!("{}/app", registry.host())])
        .exit(0);
    silent(&run);
    let asked = tokens.seen();
    let form = String::from_utf8(asked[0].body.clone()).unwrap();
    assert_eq!(asked[0].method, "POST");
    assert_eq!(
        form,
        "grant_type=refresh_token&service=s&client_id=golden&scope=repository%3Aapp%3Apull&refresh_token=tok3n-refresh"
    );
}

#[test]
fn a_login_does_not_follow_a_redirect() {
    let elsewhere = Server::start(handler(|_| Answer::new(200, r#"{"repositories":["x"]}"#)));
    let target = format!("http://{}/list?sig=tok3n", elsewhere.host());
    let instead = move |seen: &crate::support::server::Seen| {
        let asked = seen.header("authorization").is_some() && seen.path.starts_with("/v2/_catalog");
        asked.then(|| Answer::new(307, "").header("location", &target))
    };
    let authorization = Some((basic("robot", SECRET), "Basic realm=\"r\"".to_owned()));
    let registry = FakeRegistry::start(Behaviour {
        authorization,
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    let golden = Golden::new().env("GOLDEN_REGISTRY_USER", "robot").env("GOLDEN_REGISTRY_PASSWORD", SECRET);
    let run = golden.run(&["-vv", "ls", &registry.host()]).exit(0);
    assert_eq!(run.stdout, "x\n");
    silent(&run);
    assert_eq!(elsewhere.seen().len(), 1);
    assert!(elsewhere.seen()[0].header("authorization").is_none());
}

#[test]
fn a_real_registry_with_htpasswd() {
    let host = services::registry_htpasswd();
    let golden = Golden::new()
        .env("GOLDEN_REGISTRY_USER", services::htpasswd_user())
        .env("GOLDEN_REGISTRY_PASSWORD", services::htpasswd_password());
    golden.run(&["ls", host]).exit(0);
    let run = Golden::new().run(&["ls", host]).exit(1);
    assert!(run.stderr.contains("no credential is known"), "{}", run.stderr);
}

#[test]
fn a_real_registry_with_tls() {
    let host = services::registry_tls();
    let ca = services::tls_ca();
    let table = |ca: &str| format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n{ca}");
    let golden = Golden::new().workspace(&table("ca = \"ca.crt\"\n"));
    std::fs::copy(&ca, golden.path().join("ca.crt")).unwrap();
    golden.run(&["ls", host]).exit(0);
    let run = Golden::new().workspace(&table("")).run(&["ls", host]).exit(1);
    assert!(
        run.stderr.contains("an authority that is not trusted") && run.stderr.contains("ca = "),
        "{}",
        run.stderr
    );
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
    let golden = Golden::new().workspace(&table("ca = \"ca.crt\"\n")).file("ca.crt", other.cert.pem());
    let run = golden.run(&["ls", host]).exit(1);
    assert!(run.stderr.contains("not trusted"), "{}", run.stderr);
}

/// A loopback host is asked over HTTP first. What is asked again, for whatever reason, is asked over TLS from then on.
#[test]
fn a_loopback_registry_with_tls_is_asked_again_over_tls() {
    for refuses_plain in [false, true] {
        let challenge = Answer::new(401, "who are you?").header("www-authenticate", "Basic realm=\"r\"");
        for first in [Answer::new(503, "not now"), Answer::Close, challenge] {
            let what = format!("refuses plain: {refuses_plain}, first: {first:?}");
            let (config, pem) = crate::support::tls::server(&["localhost"]);
            let count = AtomicUsize::new(0);
            let instead = move |_: &Seen| (count.fetch_add(1, Ordering::SeqCst) == 0).then(|| first.clone());
            let behaviour = Behaviour { instead: Some(Arc::new(instead)), ..Behaviour::default() };
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
            silent(&run);
            let plain = |line: &&str| line.contains(" request ") && line.contains("url=\"http:");
            assert_eq!(run.stderr.lines().filter(plain).count(), 1, "{what}: {}", run.stderr);
        }
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
    let run = Golden::new().workspace(&text).file("ca.crt", pem).run(&["ls", &host]).exit(1);
    assert!(run.stderr.contains("it has expired"), "{}", run.stderr);
}

#[test]
fn plain_http_elsewhere_is_refused_unless_it_is_wanted() {
    for address in [services::bridge_address(), "0.0.0.0"] {
        let authorization = Some((basic("robot", SECRET), "Basic realm=\"r\"".to_owned()));
        let registry = FakeRegistry::at(address, Behaviour { authorization, ..Behaviour::default() }, None);
        registry.image("app", "a", &["1"]);
        let host = registry.host();
        let golden =
            || Golden::new().env("GOLDEN_REGISTRY_USER", "robot").env("GOLDEN_REGISTRY_PASSWORD", SECRET);
        let run = golden().run(&["ls", &host]).exit(1);
        assert!(
            run.stderr.contains("does not speak TLS") && run.stderr.contains("http = true"),
            "{}",
            run.stderr
        );
        assert!(registry.server.seen().is_empty());
        let text = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\nhttp = true\n");
        assert_eq!(golden().workspace(&text).run(&["ls", &host]).exit(0).stdout, "app\n");
    }
}

/// A token as distribution wants it: a JWT, signed by the key whose certificate the registry trusts.
pub(crate) fn signed_token(scopes: &[String]) -> String {
    let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    let pem = std::fs::read_to_string(services::token_cert()).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let access = scopes.iter().map(|scope| {
        let (resource, actions) = scope.rsplit_once(':').unwrap();
        let (kind, name) = resource.split_once(':').unwrap();
        serde_json::json!({ "type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>() })
    });
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let header = serde_json::json!({ "typ": "JWT", "alg": "RS256", "x5c": [der] });
    let claims = serde_json::json!({ "iss": "golden-tests", "aud": "golden-tests", "sub": "robot", "jti": "1",
        "iat": now - 10, "nbf": now - 10, "exp": now + 300, "access": access.collect::<Vec<_>>() });
    let text = format!("{}.{}", url_safe.encode(header.to_string()), url_safe.encode(claims.to_string()));
    let mut openssl = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(services::token_key())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut openssl.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let signature = openssl.wait_with_output().unwrap().stdout;
    format!("{text}.{}", url_safe.encode(signature))
}

/// The server that the real registry sends people to for tokens; its port is fixed, so that all tests share it.
pub(crate) fn token_server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let port = services::token_port().parse().unwrap();
        let answer = handler(|seen| {
            if seen.header("authorization") != Some(&basic("robot", SECRET)) {
                return Answer::new(401, "who are you?");
            }
            let token = signed_token(&seen.query("scope"));
            Answer::new(200, serde_json::json!({ "token": token, "expires_in": 300 }).to_string())
        });
        Server::on(port, None, answer)
    })
}

#[test]
fn a_real_registry_with_tokens() {
    let tokens = token_server();
    let source = FakeRegistry::start(Behaviour::default());
    source.image("app", "token", &["1.2.3", "1.2", "1", "latest"]);
    let golden = Golden::new().env("GOLDEN_REGISTRY_USER", "robot").env("GOLDEN_REGISTRY_PASSWORD", SECRET);
    let name = format!("{}/token/t{}", services::registry_token(), std::process::id());
    let run =
        golden.run(&["-vv", "promote", &format!("{}/app:1.2.3", source.host()), &name, "--tags"]).exit(0);
    silent(&run);
    // A mount needs the right to read its source in the same token.
    let run = golden.run(&["-vv", "promote", &format!("{name}:1.2.3"), &format!("{name}-copy")]).exit(0);
    assert!(run.stderr.contains("0 blobs there already, 2 mounted, 0 copied"), "{}", run.stderr);
    silent(&run);
    let run = golden.run(&["-vv", "ls", services::registry_token()]).exit(0);
    assert!(run.stdout.contains("token/t"), "{}", run.stdout);
    silent(&run);
    silent(&golden.run(&["-vv", "delete", &format!("{name}:1"), "--all-tags", "--yes"]).exit(0));
    assert!(tokens.seen().iter().all(|seen| seen.query("service") == ["golden-tests"]));
}
