//! The addresses of the services that `tests/services up` starts for this checkout.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

#[path = "assignments.rs"]
mod assignments;

/// The value of a key of target/services/env. Tests are never skipped: without the services they
/// fail with a hint how to start them.
#[track_caller]
fn value(key: &str) -> &'static str {
    static ENV: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    let env = ENV.get_or_init(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/target/services/env");
        assignments::read(file)
            .unwrap_or_else(|error| panic!("{file}: {error}; run `tests/services modern`"))
    });
    env.get(key)
        .unwrap_or_else(|| panic!("target/services/env has no {key}; run `tests/services modern`"))
}

macro_rules! services {
    ($($(#[doc = $doc:literal])* $name:ident = $key:literal;)*) => {
        $($(#[doc = $doc])* #[track_caller] pub(crate) fn $name() -> &'static str { value($key) })*
    };
}

services! {
    /// `unix://…` of the first engine (BuildKit and classic; its steps have a network).
    docker_host = "DOCKER_HOST";
    /// `tcp://…` of the first engine, plain.
    docker_tcp = "DOCKER_TCP";
    /// `unix://…` of the second engine, whose steps have no network.
    docker_second = "DOCKER_SECOND";
    /// `tcp://…` of the second engine, which requires a client certificate, see `docker_cert_path`.
    docker_tls = "DOCKER_TLS";
    /// The directory with ca.pem, cert.pem and key.pem, for `DOCKER_CERT_PATH`.
    docker_cert_path = "DOCKER_CERT_PATH";
    /// A non-loopback address of this machine: that of the engine's bridge.
    bridge_address = "BRIDGE_ADDRESS";
    /// HOST:PORT of the plain registry, with deletion. The bases are in it.
    registry = "REGISTRY";
    /// HOST:PORT of a plain registry with deletion disabled.
    registry_nodelete = "REGISTRY_NODELETE";
    /// HOST:PORT of the registry with Basic authentication.
    registry_htpasswd = "REGISTRY_HTPASSWD";
    /// The user of the registry with Basic authentication.
    htpasswd_user = "HTPASSWD_USER";
    /// The password of the registry with Basic authentication.
    htpasswd_password = "HTPASSWD_PASSWORD";
    /// HOST:PORT of the registry with Bearer authentication; the tests start the token server
    /// themselves.
    registry_token = "REGISTRY_TOKEN";
    /// The port on 127.0.0.1 of the token server that this registry names (path `/token`, service
    /// and issuer `golden-tests`).
    token_port = "TOKEN_PORT";
    /// localhost:PORT of the registry with TLS.
    registry_tls = "REGISTRY_TLS";
    /// The busybox base in the plain registry (also `busybox:1.36` in the first engine).
    base_busybox = "BASE_BUSYBOX";
    /// Debian 12 with ca-certificates, openssl and curl, in the plain registry; made by
    /// `tests/services debian`.
    base_debian = "BASE_DEBIAN";
    /// Debian 12 without them.
    base_debian_slim = "BASE_DEBIAN_SLIM";
    /// `unix://…` of the current Docker Engine with the overlay2 store; started by
    /// `tests/services modern`, as all the following.
    docker_modern = "DOCKER_MODERN";
    /// `unix://…` of the same Docker Engine with the containerd store.
    docker_containerd = "DOCKER_CONTAINERD";
    /// `unix://…` of Podman.
    podman = "PODMAN";
    /// A program that runs a command in the root file system of these engines, with current
    /// clients.
    modern_run = "MODERN_RUN";
}

/// The directory of the services, with their storage and logs.
#[track_caller]
pub(crate) fn directory() -> PathBuf {
    value("SERVICES").into()
}

/// The PEM file of the CA that signed the TLS registry's and the TLS engine's certificates.
#[track_caller]
pub(crate) fn tls_ca() -> PathBuf {
    value("TLS_CA").into()
}

/// The PEM file of the certificate that both of them use, for localhost and its addresses.
#[track_caller]
pub(crate) fn tls_cert() -> PathBuf {
    value("TLS_CERT").into()
}

/// The PEM file of its key.
#[track_caller]
pub(crate) fn tls_key() -> PathBuf {
    value("TLS_KEY").into()
}

/// The PEM file of the RSA key that tokens are signed with.
#[track_caller]
pub(crate) fn token_key() -> PathBuf {
    value("TOKEN_KEY").into()
}

/// The PEM file of its certificate, which the registry trusts.
#[track_caller]
pub(crate) fn token_cert() -> PathBuf {
    value("TOKEN_CERT").into()
}
