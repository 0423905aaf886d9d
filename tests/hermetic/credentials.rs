//! Sources of logins, with the real binary: the files of Docker and Podman, helpers, tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::auth::{with_basic, with_token_server};
use crate::support::logins::{Bearer, SECRET, assert_no_secret, basic, with_bearer, with_helper};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Server, handler};
use crate::support::tunnel::Tunnel;
use crate::support::workspace::{Golden, Run};

fn auth() -> String {
    STANDARD.encode(format!("robot:{SECRET}"))
}

fn list(golden: &Golden, host: &str) -> Run {
    let run = golden.run(&["-vv", "ls", &format!("{host}/app")]);
    assert_no_secret(&run);
    run
}

/// The output of a helper that has the login.
fn login_output(server: &str) -> String {
    format!(
        "read -r server\n[ \"$1 $server\" = 'get {server}' ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
         printf '{{\"ServerURL\":\"%s\",\"Username\":\"robot\",\"Secret\":\"{SECRET}\"}}' \"$server\""
    )
}

#[test]
fn logins_are_read_from_every_file_of_docker_and_podman() {
    let registry = with_basic();
    let host = registry.host();
    let config = format!(r#"{{"auths":{{"{host}":{{"auth":"{}"}}}}}}"#, auth());
    for (file, variable, value) in [
        ("docker/config.json", "DOCKER_CONFIG", "docker"),
        ("home/.docker/config.json", "HOME", "home"),
        ("auth.json", "REGISTRY_AUTH_FILE", "auth.json"),
        ("run/containers/auth.json", "XDG_RUNTIME_DIR", "run"),
        ("config/containers/auth.json", "XDG_CONFIG_HOME", "config"),
        ("home/.config/containers/auth.json", "HOME", "home"),
    ] {
        let golden = Golden::new().env("DOCKER_CONFIG", "").file(file, &config);
        let value = golden.path().join(value);
        let golden = golden.env(variable, value.to_str().unwrap());
        list(&golden, &host).exit(0);
    }
    list(&Golden::new().env("DOCKER_AUTH_CONFIG", &config), &host).exit(0);
}

#[test]
fn every_form_of_an_auths_entry_is_accepted() {
    let registry = with_basic();
    let (host, auth) = (registry.host(), auth());
    let unpadded = auth.trim_end_matches('=');
    for config in [
        format!(r#"{{"auths":{{"http://{host}/v2/":{{"auth":"{auth}"}}}}}}"#),
        format!(r#"{{"auths":{{"https://{host}/v1/":{{"auth":"{auth}"}}}}}}"#),
        format!(r#"{{"auths":{{"https://{host}":{{"auth":"{unpadded}"}}}}}}"#),
        format!(r#"{{"auths":{{"{host}":{{"username":"robot","password":"{SECRET}"}}}}}}"#),
        format!(r#"{{"auths":{{"{host}":{{"auth":"YTpi"}},"{host}/app":{{"auth":"{auth}"}}}}}}"#),
        format!(
            r#"{{"HttpHeaders":{{"X":"y"}},"auths":{{"{host}":{{"auth":"{auth}","email":"a@b"}}}}}}"#
        ),
    ] {
        list(&Golden::new().file(".docker/config.json", &config), &host).exit(0);
    }
}

#[test]
fn stores_and_helpers_are_used_in_the_order_of_docker() {
    let registry = with_basic();
    let host = registry.host();
    for config in [
        r#"{"credsStore":"golden-good"}"#.to_owned(),
        format!(r#"{{"auths":{{"{host}":{{}}}},"credsStore":"golden-good"}}"#),
        format!(
            r#"{{"auths":{{"{host}":{{"auth":"YTpi"}}}},"credHelpers":{{"{host}":"golden-good"}}}}"#
        ),
        format!(r#"{{"credHelpers":{{"{host}":"golden-good"}},"credsStore":"golden-missing"}}"#),
    ] {
        let golden = Golden::new().file(".docker/config.json", &config);
        let golden = with_helper(golden, "golden-good", &login_output(&host));
        list(&golden, &host).exit(0);
    }
}

#[test]
fn a_helper_without_a_login_is_not_an_error() {
    let open = FakeRegistry::start(Behaviour::default());
    open.image("app", "a", &["1.2.3"]);
    let locked = with_basic();
    let helper = |words: &str| {
        with_helper(
            Golden::new().file(".docker/config.json", r#"{"credsStore":"golden-empty"}"#),
            "golden-empty",
            &format!("echo '{words}'; exit 1"),
        )
    };
    list(&helper("no credentials server URL"), &open.host()).exit(0);
    let golden = helper("credentials not found in native keychain");
    list(&golden, &open.host()).exit(0);
    let run = list(&golden, &locked.host()).exit(1);
    assert!(
        run.stderr.contains("no credential is known"),
        "{}",
        run.stderr
    );
    // If a second source exists, it is used.
    let second = format!(
        r#"{{"auths":{{"{}":{{"auth":"{}"}}}}}}"#,
        locked.host(),
        auth()
    );
    let file = golden.write("auth.json", second);
    list(
        &golden.env("REGISTRY_AUTH_FILE", file.to_str().unwrap()),
        &locked.host(),
    )
    .exit(0);
}

#[test]
fn a_failing_helper_is_reported_with_its_own_message() {
    let registry = with_basic();
    for (script, words) in [
        (
            "echo 'the keychain is locked: run unlock' >&2; exit 2".to_owned(),
            "the keychain is locked: run unlock",
        ),
        (
            "printf 'expired SSO session\\033[2J\\nrun aws sso login'; exit 1".to_owned(),
            "expired SSO session",
        ),
        ("exit 2".to_owned(), "failed (exit status: 2)"),
        (
            format!("echo 'no json, {SECRET}'"),
            "its answer is not JSON",
        ),
        ("exec sleep 60".to_owned(), "no answer in 1 s"),
        ("exec yes".to_owned(), "it printed more than "),
        ("exec yes >&2".to_owned(), "no answer in 1 s"),
        (
            "while :; do printf x; sleep 0.1; done".to_owned(),
            "no answer in 1 s",
        ),
    ] {
        let golden = Golden::new()
            .file(".docker/config.json", r#"{"credsStore":"golden-bad"}"#)
            .env("GOLDEN_REGISTRY_TIMEOUT", "1");
        let golden = with_helper(golden, "golden-bad", &script);
        let started = std::time::Instant::now();
        let run = list(&golden, &registry.host()).exit(1);
        let expected = format!(
            "credential helper `docker-credential-golden-bad` for {}: {words}",
            registry.host()
        );
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}

#[test]
fn a_helpers_token_is_an_identity_token() {
    let Bearer { registry, tokens } = with_bearer(100);
    let script = r#"printf '{"ServerURL":"x","Username":"<token>","Secret":"tok3n-refresh"}'"#;
    let golden = Golden::new().file(".docker/config.json", r#"{"credsStore":"golden-token"}"#);
    list(
        &with_helper(golden, "golden-token", script),
        &registry.host(),
    )
    .exit(0);
    assert_eq!(tokens.seen()[0].method, "POST");
}

/// Servers without OAuth 2 accept only GET, with the refresh token as the password.
#[test]
fn an_identity_token_falls_back_to_a_get() {
    for status in [404, 405] {
        let tokens = Server::start(handler(move |seen| match seen.method.as_str() {
            "POST" => Answer::new(status, "not here"),
            _ if seen.header("authorization") == Some(&basic("<token>", "tok3n-refresh")) => {
                Answer::new(200, r#"{"token":"tok3n-short"}"#)
            }
            _ => Answer::new(401, "who are you?"),
        }));
        let challenge = format!(
            "Bearer realm=\"http://{}/token\",service=\"s\"",
            tokens.host()
        );
        let authorization = Some(("Bearer tok3n-short".to_owned(), challenge));
        let registry = FakeRegistry::start(Behaviour {
            authorization,
            ..Behaviour::default()
        });
        registry.image("app", "a", &["1.2.3"]);
        let config = format!(
            r#"{{"auths":{{"{}":{{"identitytoken":"tok3n-refresh"}}}}}}"#,
            registry.host()
        );
        list(
            &Golden::new().file(".docker/config.json", config),
            &registry.host(),
        )
        .exit(0);
        let methods: Vec<String> = tokens.seen().into_iter().map(|seen| seen.method).collect();
        assert_eq!(methods, ["POST", "GET"]);
    }
}

/// A refresh token that the server rejects is not sent again as a password.
#[test]
fn a_rejected_identity_token_is_sent_once() {
    let Bearer { registry, tokens } = with_token_server(Answer::new(401, "who are you?"));
    let config = format!(
        r#"{{"auths":{{"{}":{{"identitytoken":"tok3n-refresh"}}}}}}"#,
        registry.host()
    );
    let golden = Golden::new().file(".docker/config.json", config);
    list(&golden, &registry.host()).exit(1);
    let methods: Vec<String> = tokens.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["POST"]);
}

#[test]
fn a_credentials_file_that_cannot_be_read_is_an_error() {
    let registry = with_basic();
    let golden = Golden::new().file(".docker/config.json/x", "");
    let run = list(&golden, &registry.host()).exit(1);
    let expected = "/.docker/config.json: Is a directory";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn a_registry_token_is_sent_as_it_is() {
    let tokens = Server::start(handler(|_| Answer::new(500, "never asked")));
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"s\"",
        tokens.host()
    );
    let authorization = Some(("Bearer tok3n-ready".to_owned(), challenge));
    let registry = FakeRegistry::start(Behaviour {
        authorization,
        ..Behaviour::default()
    });
    registry.image("app", "a", &["1.2.3"]);
    let config = format!(
        r#"{{"auths":{{"{}":{{"registrytoken":"tok3n-ready"}}}}}}"#,
        registry.host()
    );
    list(
        &Golden::new().file(".docker/config.json", config),
        &registry.host(),
    )
    .exit(0);
    assert!(tokens.seen().is_empty());
}

/// Requests to Docker Hub go through a proxy to a registry of the test.
#[test]
fn docker_hub_logins_are_found_under_their_own_key() {
    let (config, pem) = crate::support::tls::server(&["registry-1.docker.io"]);
    let authorization = Some((basic("robot", SECRET), "Basic realm=\"hub\"".to_owned()));
    let hub = FakeRegistry::with_tls(
        Behaviour {
            authorization,
            ..Behaviour::default()
        },
        Some(config),
    );
    hub.image("library/app", "a", &["1.2.3"]);
    let tunnel = Tunnel::to(hub.server.port);
    let key = "https://index.docker.io/v1/";
    let golden = |docker: &str| {
        Golden::new()
            .workspace("[[registry]]\nname = \"hub\"\nhost = \"docker.io\"\nca = \"ca.crt\"\n")
            .file("ca.crt", &pem)
            .file(".docker/config.json", docker)
            .env("HTTPS_PROXY", &format!("http://{}", tunnel.host()))
    };
    let file = golden(&format!(
        r#"{{"auths":{{"{key}":{{"auth":"{}"}}}}}}"#,
        auth()
    ));
    let store = with_helper(
        golden(r#"{"credsStore":"golden-hub"}"#),
        "golden-hub",
        &login_output(key),
    );
    for golden in [file, store] {
        let run = golden.run(&["-vv", "inspect", "app:1.2.3"]).exit(0);
        assert!(
            run.stdout.starts_with("docker.io/library/app:1.2.3\n"),
            "{}",
            run.stdout
        );
        assert_no_secret(&run);
    }
    assert!(
        tunnel
            .heads()
            .iter()
            .all(|head| head.starts_with("CONNECT registry-1.docker.io:443 "))
    );
    // The variables are for a team's registry: they are not sent to Docker Hub just because no
    // registry is selected.
    let run = Golden::new()
        .env("GOLDEN_REGISTRY_USER", "robot")
        .env("GOLDEN_REGISTRY_PASSWORD", SECRET)
        .env("HTTPS_PROXY", &format!("http://{}", tunnel.host()))
        .env(
            "SSL_CERT_FILE",
            golden("{}").path().join("ca.crt").to_str().unwrap(),
        )
        .run(&["-vv", "inspect", "app:1.2.3"])
        .exit(1);
    assert_no_secret(&run);
}

/// A rejected login is reported with its user, its source and its registry, not with the token
/// server.
#[test]
fn a_rejected_login_is_reported_with_its_user_and_source() {
    let Bearer { registry, tokens } = with_token_server(Answer::new(401, "who are you?"));
    for (host, at) in [
        (with_basic().host(), "/v2/"),
        (registry.host(), &format!("{}/token", tokens.host())),
    ] {
        let config = format!(
            r#"{{"auths":{{"{host}":{{"auth":"{}"}}}}}}"#,
            STANDARD.encode("robot:tok3n")
        );
        let helped = format!(r#"{{"credHelpers":{{"{host}":"wrong"}}}}"#);
        let variables = Golden::new().env("GOLDEN_REGISTRY_USER", "robot");
        let helper = with_helper(
            Golden::new().file(".docker/config.json", helped),
            "wrong",
            "printf '{\"Username\":\"robot\",\"Secret\":\"tok3n\"}'",
        );
        for (golden, whose) in [
            (
                variables.env("GOLDEN_REGISTRY_PASSWORD", "tok3n"),
                "rejected user `robot` (from GOLDEN_REGISTRY_USER)",
            ),
            (
                Golden::new().file(".docker/config.json", config),
                "/.docker/config.json)",
            ),
            (
                helper,
                "rejected user `robot` (from `docker-credential-wrong`, which ",
            ),
            (Golden::new(), "no credential is known"),
        ] {
            let run = list(&golden, &host).exit(1);
            let words = [at, "401", whose, &format!("`docker login {host}`")];
            assert!(
                words.iter().all(|word| run.stderr.contains(word)),
                "{words:?}: {}",
                run.stderr
            );
        }
    }
}
