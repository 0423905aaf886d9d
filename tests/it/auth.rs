//! Logins at real registries, and the hosts that receive them.

use std::sync::OnceLock;

use base64::Engine as _;

use crate::support::logins::{SECRET, assert_no_secret, basic};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Server, handler};
use crate::support::services;
use crate::support::workspace::Golden;

#[test]
fn a_login_works_at_a_real_registry_with_htpasswd() {
    let host = services::registry_htpasswd();
    let golden = Golden::new()
        .env("GOLDEN_REGISTRY_USER", services::htpasswd_user())
        .env("GOLDEN_REGISTRY_PASSWORD", services::htpasswd_password());
    golden.run(&["ls", host]).exit(0);
    let run = Golden::new().run(&["ls", host]).exit(1);
    assert!(
        run.stderr.contains("no credential is known"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_real_registry_with_tls_is_trusted_through_its_ca() {
    let host = services::registry_tls();
    let ca = services::tls_ca();
    let table = |ca: &str| format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n{ca}");
    let golden = Golden::new().workspace(&table("ca = \"ca.crt\"\n"));
    std::fs::copy(&ca, golden.path().join("ca.crt")).unwrap();
    golden.run(&["ls", host]).exit(0);
    let run = Golden::new()
        .workspace(&table(""))
        .run(&["ls", host])
        .exit(1);
    assert!(
        run.stderr.contains("an authority that is not trusted") && run.stderr.contains("ca = "),
        "{}",
        run.stderr
    );
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
    let golden = Golden::new()
        .workspace(&table("ca = \"ca.crt\"\n"))
        .file("ca.crt", other.cert.pem());
    let run = golden.run(&["ls", host]).exit(1);
    assert!(run.stderr.contains("not trusted"), "{}", run.stderr);
}

#[test]
fn plain_http_to_another_machine_is_refused_unless_configured() {
    for address in [services::bridge_address(), "0.0.0.0"] {
        let authorization = Some((basic("robot", SECRET), "Basic realm=\"r\"".to_owned()));
        let registry = FakeRegistry::at(
            address,
            Behaviour {
                authorization,
                ..Behaviour::default()
            },
            None,
        );
        registry.image("app", "a", &["1"]);
        let host = registry.host();
        let golden = || {
            Golden::new()
                .env("GOLDEN_REGISTRY_USER", "robot")
                .env("GOLDEN_REGISTRY_PASSWORD", SECRET)
        };
        let run = golden().run(&["ls", &host]).exit(1);
        assert!(
            run.stderr.contains("does not speak TLS") && run.stderr.contains("http = true"),
            "{}",
            run.stderr
        );
        assert!(registry.server.seen().is_empty());
        let text = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\nhttp = true\n");
        // A workspace file cannot allow a login to be sent in clear text.
        let run = golden().workspace(&text).run(&["ls", &host]).exit(1);
        let expected = format!("the login for {host} was not used: it is not sent in clear text");
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
        assert!(
            run.stderr.contains(&format!("--insecure-registry {host}")),
            "{}",
            run.stderr
        );
        assert!(
            registry
                .server
                .seen()
                .iter()
                .all(|seen| seen.header("authorization").is_none())
        );
        for golden in [golden().workspace(&text), golden()] {
            let run = golden
                .run(&["ls", &host, "--insecure-registry", &host])
                .exit(0);
            assert_eq!(run.stdout, format!("{host}/app\n"));
        }
    }
}

/// A token for distribution: a JWT, signed by the key whose certificate the registry trusts.
pub(crate) fn signed_token(scopes: &[String]) -> String {
    let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    let pem = std::fs::read_to_string(services::token_cert()).unwrap();
    let der: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let access = scopes.iter().map(|scope| {
        let (resource, actions) = scope.rsplit_once(':').unwrap();
        let (kind, name) = resource.split_once(':').unwrap();
        serde_json::json!({ "type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>() })
    });
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let header = serde_json::json!({ "typ": "JWT", "alg": "RS256", "x5c": [der] });
    let claims = serde_json::json!({ "iss": "golden-tests", "aud": "golden-tests", "sub": "robot", "jti": "1",
        "iat": now - 10, "nbf": now - 10, "exp": now + 300, "access": access.collect::<Vec<_>>() });
    let text = format!(
        "{}.{}",
        url_safe.encode(header.to_string()),
        url_safe.encode(claims.to_string())
    );
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

/// The token server of the real registry. Its port is fixed, so all tests share it.
pub(crate) fn token_server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let port = services::token_port().parse().unwrap();
        let answer = handler(|seen| {
            if seen.header("authorization") != Some(&basic("robot", SECRET)) {
                return Answer::new(401, "who are you?");
            }
            let token = signed_token(&seen.query("scope"));
            Answer::new(
                200,
                serde_json::json!({ "token": token, "expires_in": 300 }).to_string(),
            )
        });
        Server::on(port, None, answer)
    })
}

#[test]
fn a_login_works_at_a_real_registry_with_tokens() {
    let tokens = token_server();
    let source = FakeRegistry::start(Behaviour::default());
    source.image("app", "token", &["1.2.3", "1.2", "1", "latest"]);
    let golden = Golden::new()
        .env("GOLDEN_REGISTRY_USER", "robot")
        .env("GOLDEN_REGISTRY_PASSWORD", SECRET);
    let name = format!(
        "{}/token/t{}",
        services::registry_token(),
        std::process::id()
    );
    let run = golden
        .run(&[
            "-vv",
            "promote",
            &format!("{}/app:1.2.3", source.host()),
            &name,
            "--tags",
        ])
        .exit(0);
    assert_no_secret(&run);
    // A mount needs a token that also grants pull on its source.
    let run = golden
        .run(&[
            "-vv",
            "promote",
            &format!("{name}:1.2.3"),
            &format!("{name}-copy"),
        ])
        .exit(0);
    assert!(
        run.stderr
            .contains("0 blobs already present, 2 mounted, 0 copied"),
        "{}",
        run.stderr
    );
    assert_no_secret(&run);
    let run = golden
        .run(&["-vv", "ls", services::registry_token()])
        .exit(0);
    assert!(run.stdout.contains("token/t"), "{}", run.stdout);
    assert_no_secret(&run);
    assert_no_secret(
        &golden
            .run(&["-vv", "delete", &format!("{name}:1"), "--all-tags", "--yes"])
            .exit(0),
    );
    assert!(
        tokens
            .seen()
            .iter()
            .all(|seen| seen.query("service") == ["golden-tests"])
    );
}
