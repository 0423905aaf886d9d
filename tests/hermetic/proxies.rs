//! The proxy variables: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::tunnel::Tunnel;
use crate::support::workspace::Golden;

#[test]
fn a_registry_is_reached_through_the_proxy() {
    let (config, pem) = crate::support::tls::server(&["registry.test"]);
    let registry = FakeRegistry::with_tls(Behaviour::default(), Some(config));
    registry.image("app", "a", &["1.2.3"]);
    let tunnel = Tunnel::to(registry.server.port);
    let golden = || {
        Golden::new()
            .workspace("[[registry]]\nname = \"far\"\nhost = \"registry.test\"\nca = \"ca.crt\"\n")
            .file("ca.crt", &pem)
    };
    let address = format!("http://proxy-user:pr0xy-password@{}", tunnel.host());
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let run = golden()
            .env(variable, &address)
            .run(&["-vv", "ls", "registry.test"])
            .exit(0);
        assert_eq!(run.stdout, "registry.test/app\n");
        assert!(!run.stderr.contains("pr0xy"), "{}", run.stderr);
    }
    for head in tunnel.heads() {
        assert!(head.starts_with("CONNECT registry.test:443 "), "{head}");
        assert!(
            head.to_lowercase().contains("proxy-authorization: basic "),
            "{head}"
        );
    }
    let before = tunnel.heads().len();
    for except in ["registry.test", ".test", "other.test,registry.test"] {
        let golden = golden()
            .env("HTTPS_PROXY", &address)
            .env("NO_PROXY", except);
        let run = golden.run(&["ls", "registry.test"]).exit(1);
        assert!(run.stderr.contains("cannot connect"), "{}", run.stderr);
    }
    assert_eq!(tunnel.heads().len(), before);
    let dead = golden().env(
        "HTTPS_PROXY",
        "http://proxy-user:pr0xy-password@127.0.0.1:1",
    );
    let run = dead.run(&["-vv", "ls", "registry.test"]).exit(1);
    assert!(
        run.stderr.contains("HTTPS_PROXY") && !run.stderr.contains("pr0xy"),
        "{}",
        run.stderr
    );
}

/// A byte that is corrupted on its way to the registry is detected by TLS: the registry closes the
/// connection.
#[test]
fn a_request_that_is_corrupted_within_tls_is_sent_again() {
    let (config, pem) = crate::support::tls::server(&["registry.test"]);
    let registry = FakeRegistry::with_tls(Behaviour::default(), Some(config));
    registry.image("app", "a", &["1.2.3"]);
    let list = |tunnel: &Tunnel| {
        let golden = Golden::new()
            .workspace("[[registry]]\nname = \"far\"\nhost = \"registry.test\"\nca = \"ca.crt\"\n")
            .file("ca.crt", &pem)
            .env("HTTPS_PROXY", &format!("http://{}", tunnel.host()));
        golden.run(&["-v", "ls", "registry.test"]).exit(0)
    };
    let clean = Tunnel::to(registry.server.port);
    list(&clean);
    // The byte is within the request, which is the last record before the close message.
    let tunnel = Tunnel::changing(registry.server.port, clean.sent() - 80);
    let run = list(&tunnel);
    assert_eq!(run.stdout, "registry.test/app\n");
    assert_eq!(tunnel.heads().len(), 2, "{}", run.stderr);
}

#[test]
fn plain_http_uses_http_proxy_and_this_machine_uses_none() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1.2.3"]);
    let tunnel = Tunnel::to(registry.server.port);
    let golden = Golden::new()
        .workspace("[[registry]]\nname = \"far\"\nhost = \"registry.test\"\nhttp = true\n")
        .env("HTTP_PROXY", &format!("http://{}", tunnel.host()));
    golden.run(&["ls", "registry.test"]).exit(0);
    assert!(
        tunnel.heads()[0].starts_with("GET http://registry.test/v2/"),
        "{:?}",
        tunnel.heads()
    );
    let before = tunnel.heads().len();
    golden.run(&["ls", &registry.host()]).exit(0);
    assert_eq!(tunnel.heads().len(), before);
}
