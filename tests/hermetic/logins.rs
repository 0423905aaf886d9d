//! The login of the GOLDEN_ variables reaches only the registries that the user names for it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Seen, Server, handler};
use crate::support::workspace::{Golden, Run};

const USER: &str = "robot";
const PASSWORD: &str = "s3cret~of-the>team";

fn login() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

/// A registry that requires the team's login and sends `challenge` to requests without it.
fn locked(challenge: &str) -> FakeRegistry {
    let authorization = Some((login(), challenge.to_owned()));
    let registry = FakeRegistry::start(Behaviour {
        authorization,
        ..Behaviour::default()
    });
    registry.image("golden/app", "a", &["1.2.2", "1.2", "1", "latest"]);
    registry.image("base/app", "b", &["1.2.3"]);
    registry
}

/// Asserts that none of these requests carries a login.
#[track_caller]
fn assert_no_login(requests: &[Seen], what: &str) {
    for seen in requests {
        assert_eq!(
            seen.header("authorization"),
            None,
            "{what}: {} {}",
            seen.method,
            seen.path
        );
    }
}

/// A workspace with two registries, the first of which is the default. Its image is built on a base
/// in the second.
fn workspace(team: &str, mirror: &str) -> Golden {
    let table = |name: &str, host: &str| {
        format!("[[registry]]\nname = \"{name}\"\nhost = \"{host}\"\nnamespace = \"golden\"\n")
    };
    Golden::new()
        .workspace(&(table("team", team) + &table("mirror", mirror)))
        .image(
            "app",
            &format!("[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"{mirror}/base/app:1.2.3\"\n"),
        )
        .file(
            "golden.lock",
            format!(
                "version = 1\n\n[[base]]\nbase = \"{mirror}/base/app:1.2.3\"\nreference = \"{mirror}/base/app:1.2.3\"\ndigest = \"sha256:{}\"\n",
                "0".repeat(64)
            ),
        )
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .env("GOLDEN_REGISTRY_USER", USER)
        .env("GOLDEN_REGISTRY_PASSWORD", PASSWORD)
}

/// Every command that contacts a registry, as a user of that workspace types it. `{mirror}` is the
/// second registry.
const COMMANDS: [&str; 18] = [
    "outdated",
    "update",
    "graph",
    "plan",
    "build",
    "build --push",
    "push",
    "verify",
    "verify --deep {mirror}/golden/app:1.2.2",
    "rollback app --to 1.2.2 --yes",
    "ls {mirror}",
    "ls {mirror}/golden/app",
    "inspect {mirror}/golden/app:1.2.2",
    "audit {mirror}/golden/app:1.2.2",
    "prune app --keep 1 --dry-run",
    "prune {mirror}/golden/app --keep 1 --yes",
    "delete {mirror}/golden/app:1.2.2 --all-tags --yes",
    "delete {mirror}/golden/app:1.2.2 --untag --yes",
];

fn run(golden: &Golden, command: &str, mirror: &str) -> Run {
    let command = command.replace("{mirror}", mirror);
    golden.run(&command.split(' ').collect::<Vec<_>>())
}

#[test]
fn a_registry_that_was_not_selected_never_gets_the_login() {
    let tokens = Server::start(handler(|_| Answer::new(200, r#"{"token":"anonymous"}"#)));
    let bearer = format!(
        "Bearer realm=\"http://{}/token\",service=\"s\"",
        tokens.host()
    );
    for challenge in ["Basic realm=\"r\"", &bearer] {
        for command in COMMANDS {
            let (team, mirror) = (locked("Basic realm=\"r\""), locked(challenge));
            let run = run(
                &workspace(&team.host(), &mirror.host()),
                command,
                &mirror.host(),
            );
            let seen = mirror.server.seen();
            for seen in &seen {
                let sent = seen.header("authorization");
                assert!(
                    sent.is_none_or(|sent| sent == "Bearer anonymous"),
                    "{command}: {} {}: {sent:?}\n{}",
                    seen.method,
                    seen.path,
                    run.stderr
                );
            }
            let about_the_mirror = command.contains("{mirror}") || command == "outdated";
            assert!(
                !about_the_mirror || !seen.is_empty(),
                "{command} asked nothing: {}",
                run.stderr
            );
        }
    }
    assert!(!tokens.seen().is_empty());
    assert_no_login(&tokens.seen(), "the token server");
}

#[test]
fn the_selected_registry_gets_the_login_however_it_was_selected() {
    let (team, mirror) = (locked("Basic realm=\"r\""), locked("Basic realm=\"r\""));
    let golden = workspace(&team.host(), &mirror.host());
    let inspect = |registry: &FakeRegistry| format!("inspect {}/golden/app:1.2.2", registry.host());
    run(&golden, &inspect(&team), "").exit(0);
    run(&golden, &inspect(&mirror), "").exit(1);
    run(
        &golden,
        &format!("{} --registry mirror", inspect(&mirror)),
        "",
    )
    .exit(0);
    run(
        &golden,
        &format!("{} --registry mirror", inspect(&team)),
        "",
    )
    .exit(1);
    run(
        &golden,
        &format!("{} --all-registries", inspect(&mirror)),
        "",
    )
    .exit(0);
    // A host that only golden.toml names gets the login if the user lists it.
    for (command, host, code) in [
        ("verify --registry mirror app", &mirror, 5),
        ("rollback app --to 1.2.2 --yes", &team, 0),
    ] {
        run(&golden, command, "").exit(1);
        let listed = workspace(&team.host(), &mirror.host());
        let listed = listed.env(
            "GOLDEN_REGISTRY_HOST",
            &format!("registry.example.com, {}", host.host()),
        );
        run(&listed, command, "").exit(code);
    }
    let elsewhere = Golden::new()
        .env("GOLDEN_REGISTRY_USER", USER)
        .env("GOLDEN_REGISTRY_PASSWORD", PASSWORD);
    run(&elsewhere, &inspect(&mirror), "").exit(0);
    let elsewhere = elsewhere.env("GOLDEN_REGISTRY", &team.host());
    run(&elsewhere, &inspect(&mirror), "").exit(1);
    let delete = format!("delete {}/golden/app:1.2.2 --all-tags --yes", mirror.host());
    run(&elsewhere, &delete, "").exit(1);
    assert_eq!(mirror.tags("golden/app").len(), 4);
}

/// A pull request that changes golden.toml must not receive the login of the CI job that checks it.
#[test]
fn a_host_that_only_a_workspace_file_names_never_gets_the_login() {
    for command in COMMANDS
        .iter()
        .filter(|command| !command.contains("{mirror}"))
    {
        for (variable, value) in [
            ("GOLDEN_REGISTRY_HOST", "registry.example.com"),
            ("GOLDEN_REGISTRY", "team"),
        ] {
            let (team, mirror) = (locked("Basic realm=\"r\""), locked("Basic realm=\"r\""));
            let golden = workspace(&team.host(), &mirror.host()).env(variable, value);
            let run = run(&golden, command, "");
            assert_no_login(
                &team.server.seen(),
                &format!("{command}, {variable}={value}"),
            );
            assert_no_login(
                &mirror.server.seen(),
                &format!("{command}, {variable}={value}"),
            );
            assert!(
                run.code != 0 || *command == "graph" || *command == "build",
                "{command}: {}",
                run.stdout
            );
        }
    }
}

/// A `[[registry]]` may have the name of the host that the user means.
#[test]
fn the_name_of_a_registry_is_not_taken_for_a_host() {
    let (team, mirror) = (locked("Basic realm=\"r\""), locked("Basic realm=\"r\""));
    let golden = workspace(&team.host(), &mirror.host()).workspace(&format!(
        "[[registry]]\nname = \"registry.example.com\"\nhost = \"{}\"\n",
        team.host()
    ));
    run(&golden, "verify app --registry registry.example.com", "").exit(1);
    assert_no_login(&team.server.seen(), "a registry with the name of a host");
}

#[test]
fn an_unused_login_is_reported_with_its_host_and_advice() {
    let (team, mirror) = (locked("Basic realm=\"r\""), locked("Basic realm=\"r\""));
    let (host, other) = (team.host(), mirror.host());
    for (variable, command, why, help) in [
        (
            ("GOLDEN_REGISTRY", ""),
            "verify app".to_owned(),
            "only a file of the workspace names this registry".to_owned(),
            format!(
                "set GOLDEN_REGISTRY_HOST={host}, add `--registry {host}`, or run `docker login {host}`"
            ),
        ),
        (
            ("GOLDEN_REGISTRY", ""),
            format!("ls {other}"),
            format!("it is for {host}, the default registry"),
            format!("add `--registry {other}`, or run `docker login {other}`"),
        ),
        (
            ("GOLDEN_REGISTRY_HOST", &*host),
            format!("ls {other}"),
            format!("it is for {host} (GOLDEN_REGISTRY_HOST)"),
            format!("add {other} to GOLDEN_REGISTRY_HOST, or run `docker login {other}`"),
        ),
    ] {
        let golden = workspace(&host, &other).env(variable.0, variable.1);
        let run = run(&golden, &command, "").exit(1);
        let why = format!("GOLDEN_REGISTRY_USER was not used: {why}");
        assert!(
            run.stderr.contains(&why) && run.stderr.contains(&help),
            "{why}\n{help}\n{}",
            run.stderr
        );
    }
    let golden = Golden::new().env("GOLDEN_REGISTRY_HOST", "https://registry.example.com");
    let run = run(&golden, "ls registry.example.com", "").exit(2);
    assert!(
        run.stderr
            .contains("GOLDEN_REGISTRY_HOST: `https://registry.example.com` is not a host"),
        "{}",
        run.stderr
    );
}

#[test]
fn with_several_selected_registries_none_gets_the_login() {
    let (one, two) = (locked("Basic realm=\"r\""), locked("Basic realm=\"r\""));
    let golden = Golden::new()
        .env("GOLDEN_REGISTRY_USER", USER)
        .env("GOLDEN_REGISTRY_PASSWORD", PASSWORD);
    let command = format!(
        "delete {}/golden/app:1.2.2 {}/golden/app:1.2.2 --all-tags --yes",
        one.host(),
        two.host()
    );
    run(&golden, &command, "").exit(1);
    assert_no_login(&one.server.seen(), "the first");
    assert_no_login(&two.server.seen(), "the second");
}

#[test]
fn a_promotion_sends_the_login_only_to_its_destination() {
    let (team, mirror) = (locked("Basic realm=\"r\""), locked("Basic realm=\"r\""));
    let golden = workspace(&team.host(), &mirror.host());
    let command = format!(
        "promote {}/golden/app:1.2.2 {}/copy",
        team.host(),
        mirror.host()
    );
    run(&golden, &command, "").exit(1);
    assert_no_login(&team.server.seen(), "the source");
    // The source's login comes from the stored logins.
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    golden.write(
        ".docker/config.json",
        format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, team.host()),
    );
    run(&golden, &command, "").exit(0);
    assert_eq!(mirror.tags("copy").len(), 1);
    // GOLDEN_REGISTRY_HOST can name the host; then no other host gets the login.
    let again = locked("Basic realm=\"r\"");
    let command = format!(
        "promote {}/golden/app:1.2.2 {}/copy",
        team.host(),
        again.host()
    );
    let golden = golden.env("GOLDEN_REGISTRY", &team.host());
    run(&golden, &command, "").exit(1);
    assert_no_login(
        &again.server.seen(),
        "the destination that GOLDEN_REGISTRY does not name",
    );
    run(
        &golden,
        &format!("{command} --registry {}", again.host()),
        "",
    )
    .exit(0);
}

/// If the selected registry redirects to another host, the login is not sent there, even if that
/// host requests one.
#[test]
fn the_login_follows_no_redirect_and_no_upload_to_another_host() {
    let elsewhere = Server::start(handler(|seen| match seen.method.as_str() {
        "PUT" => Answer::new(201, ""),
        _ => {
            Answer::new(401, "who are you?").header("www-authenticate", "Basic realm=\"elsewhere\"")
        }
    }));
    let target = format!("http://{}", elsewhere.host());
    let instead = move |seen: &Seen| {
        let known = seen.header("authorization") == Some(&login());
        match (known, seen.method.as_str()) {
            (true, "GET") if seen.path.contains("/blobs/") => {
                Some(Answer::new(307, "").header("location", format!("{target}{}", seen.path)))
            }
            (true, "POST") => {
                Some(Answer::new(202, "").header("location", format!("{target}/upload?state=1")))
            }
            _ => None,
        }
    };
    let team = FakeRegistry::start(Behaviour {
        authorization: Some((login(), "Basic realm=\"r\"".to_owned())),
        instead: Some(Arc::new(instead)),
        ..Behaviour::default()
    });
    team.image("golden/app", "a", &["1.2.2"]);
    let golden =
        workspace(&team.host(), "mirror.example.com").env("GOLDEN_REGISTRY_HOST", &team.host());
    run(
        &golden,
        &format!("inspect {}/golden/app:1.2.2", team.host()),
        "",
    )
    .exit(1);
    let source = FakeRegistry::start(Behaviour::default());
    source.image("app", "other", &["1.2.3"]);
    let promoted = format!(
        "promote {}/app:1.2.3 {}/golden/app",
        source.host(),
        team.host()
    );
    let run = run(&golden, &promoted, "").exit(1);
    assert!(
        run.stderr.contains("PUT is not sent to another host"),
        "{}",
        run.stderr
    );
    let methods: Vec<String> = elsewhere
        .seen()
        .iter()
        .map(|seen| seen.method.clone())
        .collect();
    assert_eq!(methods, ["GET"], "an upload does not go to another host");
    assert_no_login(&elsewhere.seen(), "elsewhere");
}

/// A registry's CA and scheme also apply to bases from it, whether it is a destination or not.
#[test]
fn a_base_is_read_with_the_settings_of_its_registry() {
    let (config, pem) = crate::support::tls::server(&["localhost"]);
    let mirror = FakeRegistry::with_tls(Behaviour::default(), Some(config));
    mirror.image("base/app", "b", &["1.2.3"]);
    let host = format!("localhost:{}", mirror.server.port);
    let plain = FakeRegistry::start(Behaviour::default());
    plain.image("base/app", "p", &["1.2.3"]);
    // The host name does not show that the address belongs to this machine.
    let other = format!("0.0.0.0:{}", plain.server.port);
    let team = FakeRegistry::start(Behaviour::default());
    let golden = Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"team\"\nhost = \"{}\"\n[[registry]]\nname = \"mirror\"\nhost = \"{host}\"\nca = \"ca.crt\"\n\
             [[registry]]\nname = \"plain\"\nhost = \"{other}\"\nhttp = true\n",
            team.host()
        ))
        .file("ca.crt", &pem)
        .image("one", &format!("[image]\nname = \"one\"\nversion = \"1.0.0\"\nbase = \"{host}/base/app:1.2.3\"\n"))
        .image("two", &format!("[image]\nname = \"two\"\nversion = \"1.0.0\"\nbase = \"{other}/base/app:1.2.3\"\n"));
    for command in ["plan", "outdated", "build --push", "verify", "graph"] {
        let run = run(&golden, command, "");
        let expected = if command == "outdated" { 5 } else { 0 };
        run.exit(expected);
    }
    run(&golden, &format!("verify {host}/base/app:1.2.3"), "").exit(0);
}

#[test]
fn an_identity_token_is_not_sent_as_a_password() {
    let registry = locked("Basic realm=\"r\"");
    let auths = format!(
        r#"{{"auths":{{"{}":{{"identitytoken":"tok3n-refresh"}}}}}}"#,
        registry.host()
    );
    let run = Golden::new()
        .file(".docker/config.json", auths)
        .run(&["inspect", &format!("{}/golden/app:1.2.2", registry.host())]);
    assert_ne!(run.code, 0);
    assert!(
        run.stderr.contains(
            "the registry requires a user and a password, and only an identity token is known"
        ),
        "{}",
        run.stderr
    );
    assert_no_login(&registry.server.seen(), "the registry");
}
