//! The services and files that `tests/services up` provides for the other tests.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::support::services;

#[test]
fn every_service_listens() {
    for address in [
        services::registry(),
        services::registry_nodelete(),
        services::registry_htpasswd(),
        services::registry_token(),
        services::registry_tls(),
        services::docker_tcp().trim_start_matches("tcp://"),
        services::docker_tls().trim_start_matches("tcp://"),
    ] {
        TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    }
    for address in [
        services::docker_host(),
        services::docker_second(),
        services::docker_modern(),
        services::docker_containerd(),
        services::podman(),
    ] {
        UnixStream::connect(address.trim_start_matches("unix://"))
            .unwrap_or_else(|error| panic!("{address}: {error}"));
    }
}

#[test]
fn the_services_create_all_their_files() {
    for file in [
        services::tls_ca(),
        services::tls_cert(),
        services::tls_key(),
        services::token_key(),
        services::token_cert(),
        format!("{}/key.pem", services::docker_cert_path()).into(),
    ] {
        assert!(file.is_file(), "{}", file.display());
    }
    assert!(services::token_port().parse::<u16>().is_ok());
}

/// The password contains a character that redirects output.
#[test]
fn a_shell_reads_the_same_values() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args([
            "-ec",
            ". \"$0\"; printf '%s %s' \"$HTPASSWD_PASSWORD\" \"$MODERN_RUN\"",
        ])
        .arg(services::directory().join("env"))
        .current_dir(&directory)
        .output()
        .unwrap();
    let expected = [services::htpasswd_password(), services::modern_run()].join(" ");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let created = std::fs::read_dir(&directory).unwrap().count();
    assert_eq!(created, 0, "the shell created a file");
}

#[test]
fn the_bases_are_in_the_registry() {
    for base in [
        services::base_busybox(),
        services::base_debian(),
        services::base_debian_slim(),
    ] {
        let reference = format!("docker://{base}");
        let output = Command::new("skopeo")
            .args(["inspect", "--tls-verify=false", &reference])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{base}: {}; run `tests/services debian`",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_password_protects_its_registry() {
    let status = |credentials: &str| {
        let url = format!("http://{}/v2/", services::registry_htpasswd());
        let output = Command::new("curl")
            .args([
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-u",
                credentials,
                &url,
            ])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        status(&format!(
            "{}:{}",
            services::htpasswd_user(),
            services::htpasswd_password()
        )),
        "200"
    );
    assert_eq!(status("golden:wrong"), "401");
}
