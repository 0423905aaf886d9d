//! An engine that only golden.toml names receives no login and no secret of the user.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Seen, Server, handler};
use crate::support::workspace::{Golden, Run};

const PASSWORD: &str = "s3cret-of-the-user";

/// An engine that reports its version and fails every other request.
fn engine() -> Server {
    Server::start(handler(|seen| {
        if seen.route().ends_with("/version") {
            let version = serde_json::json!({"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24", "Os": "linux", "Arch": "amd64"});
            return Answer::new(200, version.to_string())
                .header("content-type", "application/json");
        }
        // It does not have the base and cannot pull it.
        let status = if seen.method == "GET" && seen.path.contains("/images/") {
            404
        } else {
            500
        };
        Answer::new(status, r#"{"message":"no such image"}"#)
            .header("content-type", "application/json")
    }))
}

fn registry() -> FakeRegistry {
    let login = format!("Basic {}", STANDARD.encode(format!("ann:{PASSWORD}")));
    let authorization = Some((login, "Basic realm=\"r\"".to_owned()));
    let registry = FakeRegistry::start(Behaviour {
        authorization,
        ..Behaviour::default()
    });
    registry.image("base/app", "b", &["1"]);
    registry
}

/// A workspace whose image is built on a base that requires a login, by an engine that golden.toml
/// names.
fn workspace(address: &str, registry: &FakeRegistry, step: &str, certs: &str) -> Golden {
    let host = registry.host();
    let auth = STANDARD.encode(format!("ann:{PASSWORD}"));
    Golden::new()
        .workspace(&format!(
            "[[engine]]\nname = \"e\"\nhost = \"{address}\"\nplatforms = [\"linux/amd64\"]\n{certs}"
        ))
        .image(
            "app",
            &format!(
                "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"{host}/base/app:1\"\nfamily = \"debian\"\nplatforms = [\"linux/amd64\"]\n[[run]]\nscript = \"true\"\n{step}"
            ),
        )
        .file(".docker/config.json", format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#))
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .env("DOCKER_BUILDKIT", "0")
        .env("HTTP_PROXY", "http://proxy-user:proxy-password@127.0.0.1:9")
        .env("NO_PROXY", "*")
        .env("TOKEN", "a-secret-value")
}

/// True if a request carries a login of the user.
fn carries_login(seen: &Seen) -> bool {
    let login = ["x-registry-auth", "x-registry-config"].iter().any(|name| {
        let value = seen
            .header(name)
            .unwrap_or_default()
            .replace('-', "+")
            .replace('_', "/");
        let bytes = STANDARD
            .decode(value.trim_end_matches('='))
            .or_else(|_| STANDARD.decode(&value));
        bytes.is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(PASSWORD))
    });
    let body = String::from_utf8_lossy(&seen.body);
    login || seen.path.contains("proxy-password") || body.contains("a-secret-value")
}

fn build(golden: &Golden, more: &[&str]) -> Run {
    golden.run(&[&["build"], more].concat()).exit(1)
}

#[test]
fn an_engine_of_the_workspace_receives_no_login() {
    let (engine, registry) = (engine(), registry());
    let golden = workspace(&format!("tcp://{}", engine.host()), &registry, "", "");
    let run = build(&golden, &[]);
    assert!(engine.seen().len() > 1, "{}", run.stderr);
    assert!(
        !engine.seen().iter().any(carries_login),
        "{:?}",
        engine.seen()
    );
    let words = [
        "the engine `e` receives no login: only golden.toml names it",
        "--trust-engine e",
    ];
    assert!(
        words.iter().all(|word| run.stderr.contains(word)),
        "{}",
        run.stderr
    );
}

#[test]
fn an_engine_that_the_user_trusts_receives_the_login() {
    for how in ["option", "variable", "address", "file"] {
        let (engine, registry) = (engine(), registry());
        let address = format!("tcp://{}", engine.host());
        let mut golden = workspace(&address, &registry, "", "");
        let mut more = Vec::new();
        match how {
            "option" => more = vec!["--trust-engine", "e"],
            "variable" => golden = golden.env("GOLDEN_TRUST", "other e"),
            "address" => golden = golden.env("GOLDEN_TRUST", &address),
            _ => {
                golden = golden.file("config/golden/config.toml", "[trust]\nengines = [\"e\"]\n");
                let directory = golden.path().join("config");
                golden = golden.env("XDG_CONFIG_HOME", directory.to_str().unwrap());
            }
        }
        let run = build(&golden, &more);
        assert!(
            engine.seen().iter().any(carries_login),
            "{how}: {:?}\n{}",
            engine.seen(),
            run.stderr
        );
    }
}

#[test]
fn an_engine_of_the_workspace_receives_no_secret() {
    let (engine, registry) = (engine(), registry());
    let golden = workspace(
        &format!("tcp://{}", engine.host()),
        &registry,
        "secrets = [\"t\"]\n",
        "",
    );
    let run = build(&golden, &["--secret", "id=t,env=TOKEN"]);
    assert!(
        run.stderr
            .contains("the engine `e` receives no secrets: only golden.toml names it"),
        "{}",
        run.stderr
    );
    assert!(
        !engine.seen().iter().any(carries_login),
        "{:?}",
        engine.seen()
    );
}

/// Another machine could read the traffic.
#[test]
fn a_trusted_engine_over_plain_tcp_receives_no_secret() {
    let registry = registry();
    let golden = workspace("tcp://192.0.2.1:2375", &registry, "secrets = [\"t\"]\n", "");
    let run = build(
        &golden,
        &["--secret", "id=t,env=TOKEN", "--trust-engine", "e"],
    );
    assert!(
        run.stderr.contains("the connection to it is not encrypted"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_certificates_of_an_engine_stay_in_the_workspace() {
    let registry = registry();
    let outside = tempfile::tempdir().unwrap();
    for (certs, link) in [
        (outside.path().to_str().unwrap(), false),
        ("../certs", false),
        ("certs", true),
    ] {
        let text = format!("certs = \"{certs}\"\n");
        let golden = workspace("tcp://127.0.0.1:9", &registry, "", &text);
        if link {
            std::os::unix::fs::symlink(outside.path(), golden.path().join("certs")).unwrap();
        }
        let run = golden.run(&["build"]).exit(2);
        assert!(
            run.stderr.contains("is outside the workspace"),
            "{}",
            run.stderr
        );
        golden.run(&["build", "--trust-engine", "e"]).exit(1);
    }
}

#[test]
fn a_broken_config_of_the_user_is_named() {
    let registry = registry();
    let golden = workspace("tcp://127.0.0.1:9", &registry, "", "")
        .file("c/golden/config.toml", "[trust]\nx = 1\n");
    let directory = golden.path().join("c");
    let golden = golden.env("XDG_CONFIG_HOME", directory.to_str().unwrap());
    let run = golden.run(&["build"]).exit(2);
    assert!(
        run.stderr.contains("golden/config.toml") && run.stderr.contains("unknown field"),
        "{}",
        run.stderr
    );
}
