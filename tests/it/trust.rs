//! Certificates that the embedded engine adds are trusted by independent programs.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::equality::assert_equal_images_of_steps;
use crate::support::assembling::docker;
use crate::support::engines::Engine;
use crate::support::services;
use crate::support::workspace::Golden;

/// A CA and a server certificate that it signed, as PEM.
struct Authority {
    root: String,
    leaf: String,
    key: String,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let root = params
        .self_signed(&key)
        .unwrap()
        .pem()
        .replace("\r\n", "\n");
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf
        .signed_by(&leaf_key, &Issuer::new(params, key))
        .unwrap();
    Authority {
        root,
        leaf: leaf.pem().replace("\r\n", "\n"),
        key: leaf_key.serialize_pem(),
    }
}

/// A TLS server on this machine that answers every client.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(directory: &Path, authority: &Authority) -> Self {
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
            std::fs::write(&path, text).unwrap();
            path
        };
        let (leaf, key) = (
            write("leaf.pem", &authority.leaf),
            write("leaf.key", &authority.key),
        );
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-www",
                "-accept",
                &format!("127.0.0.1:{port}"),
                "-cert",
            ])
            .arg(leaf)
            .arg("-key")
            .arg(key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self { process, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs a script in a container with the network of this machine.
fn script(image: &str, script: &str) -> Output {
    let words = [
        "run",
        "--rm",
        "--network",
        "host",
        "--entrypoint",
        "/bin/sh",
        image,
        "-ec",
        script,
    ];
    Command::new("docker")
        .args(words)
        .env("DOCKER_HOST", services::docker_host())
        .output()
        .unwrap()
}

/// The base's own program makes the trust store in a container, so one engine shows its result. A
/// comparison with every engine takes minutes.
const ONE_ENGINE: [Engine; 1] = [Engine::Docker20];

/// Builds with each engine and compares. The embedded engine's image must trust the server; the base
/// must not.
fn assert_trusted(engines: &[Engine], name: &str, base: &str, family: &str) {
    let (own, other) = (authority("Golden Trust One"), authority("Golden Trust Two"));
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"{base}\"\nfamily = \"{family}\"\n\
         [certs]\ntrust = [\"*.crt\"]\n[[files]]\nsource = \"leaf.pem\"\ntarget = \"/leaf.pem\"\n"
    );
    let golden = Golden::new()
        .workspace("")
        .image("subject", &text)
        .file("subject/own.crt", &own.root)
        .file("subject/other.crt", &other.root)
        .file("subject/leaf.pem", &own.leaf)
        .env("DOCKER_HOST", services::docker_host())
        .env("SOURCE_DATE_EPOCH", "1600000000");
    assert_equal_images_of_steps(engines, name, &golden);
    golden
        .run(&["build", "--engine", "embedded", "--load", "--force"])
        .exit(0);
    let image = format!("localhost/{name}:1.0.0");
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &own);
    let curl = format!("curl -sS https://localhost:{}/", server.port);
    let output = script(base, &curl);
    assert_eq!(
        output.status.code(),
        Some(60),
        "the base trusts it: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Through the bundle, and through the directory with its links.
    for check in [
        curl,
        format!(
            "openssl s_client -connect localhost:{} -no-CAfile -CApath /etc/ssl/certs -verify_return_error </dev/null",
            server.port
        ),
        "openssl verify -no-CApath -CAfile /etc/ssl/certs/ca-certificates.crt /leaf.pem".to_owned(),
        "openssl verify -no-CAfile -CApath /etc/ssl/certs /leaf.pem".to_owned(),
    ] {
        let output = script(&image, &check);
        assert!(
            output.status.success(),
            "{check}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    docker(&["image", "rm", "--force", &image]);
}

#[test]
fn a_server_is_trusted_on_debian() {
    assert_trusted(
        &Engine::ALL,
        "trust-debian",
        services::base_debian(),
        "debian",
    );
}

/// The configuration is read as the shell reads it, and a link in place of the bundle is handled as
/// in Docker.
#[test]
fn unusual_trust_stores_of_debian_are_handled_as_by_its_tool() {
    let table = [
        (
            "link",
            "mv /etc/ssl/certs/ca-certificates.crt /bundle && ln -s /bundle /etc/ssl/certs/ca-certificates.crt",
        ),
        (
            "torn",
            "printf 'mozilla/ISRG_Root_X1.crt\\nmozilla/ISRG_Root_X2.crt' > /etc/ca-certificates.conf",
        ),
        (
            "spaces",
            "printf ' mozilla/ISRG_Root_X1.crt \\nmozilla/ISRG_Root_X2.crt\\r\\n!mozilla/ACCVRAIZ1.crt\\t\\n' > /etc/ca-certificates.conf",
        ),
    ];
    for (name, change) in table {
        let base = format!("FROM {}\nRUN {change}\n", services::base_debian());
        let base = built_base(&format!("debian-like/{name}"), &[("Dockerfile", &base)]);
        let name = format!("odd-{name}");
        let text = format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"{base}\"\nfamily = \"debian\"\n\
             [certs]\ntrust = [\"ca.crt\"]\n"
        );
        let golden = Golden::new()
            .workspace("")
            .image("subject", &text)
            .file("subject/ca.crt", authority("Odd").root)
            .env("DOCKER_HOST", services::docker_host())
            .env("SOURCE_DATE_EPOCH", "1600000000");
        assert_equal_images_of_steps(&ONE_ENGINE, &name, &golden);
    }
}

/// The output of Alpine's program, when the names of a directory come in sorted order.
const ALPINES_TOOL: &str = r#"#!/bin/sh -e
store=/etc/ssl/certs
{
  grep -v '^[#!]' /etc/ca-certificates.conf | sed 's,^,/usr/share/ca-certificates/,'
  for file in /usr/local/share/ca-certificates/*; do [ ! -e "$file" ] || echo "$file"; done
} >/tmp/wanted
while read -r path; do
  cat "$path"
  echo
  ln -sfn "$path" "$store/ca-cert-$(basename "$path" .crt).pem"
done </tmp/wanted >$store/bundle
for link in $store/ca-cert-*.pem; do [ -e "$link" ] || rm "$link"; done
rm /tmp/wanted
mv $store/bundle $store/ca-certificates.crt
exec run-parts /etc/ca-certificates/update.d/
"#;

/// A base with Alpine's file layout. Alpine is unavailable where the tests run, so Debian's
/// programs are installed at its paths. `change` holds more Dockerfile lines.
fn alpine(name: &str, change: &str) -> String {
    let hook = "#!/bin/sh\n# Alpine's own\nexec /usr/bin/c_rehash /etc/ssl/certs\n";
    let dockerfile = format!(
        "FROM {}\n\
         RUN rm -rf /etc/ssl/certs/* /etc/ca-certificates/update.d/* && cd /usr/share/ca-certificates \
          && ls mozilla/*.crt | head -n 12 > /etc/ca-certificates.conf && echo '!mozilla/gone.crt' >> /etc/ca-certificates.conf\n\
         COPY update-ca-certificates /usr/sbin/\nCOPY c_rehash /usr/bin/\nCOPY certhash /etc/ca-certificates/update.d/\n\
         RUN chmod 755 /usr/sbin/update-ca-certificates /usr/bin/c_rehash /etc/ca-certificates/update.d/certhash \
          && update-ca-certificates\n{change}\n",
        services::base_debian()
    );
    let files = [
        ("Dockerfile", dockerfile.as_str()),
        ("update-ca-certificates", ALPINES_TOOL),
        ("c_rehash", "#!/bin/sh\nexec openssl rehash \"$1\"\n"),
        ("certhash", hook),
    ];
    built_base(&format!("alpine-like/{name}"), &files)
}

/// A base built from a Dockerfile, in the plain registry.
fn built_base(name: &str, files: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (file, text) in files {
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    let reference = format!("{}/{name}:1", services::registry());
    docker(&[
        "build",
        "-q",
        "-t",
        &reference,
        directory.path().to_str().unwrap(),
    ]);
    docker(&["push", "-q", &reference]);
    reference
}

#[test]
fn a_server_is_trusted_on_alpine() {
    assert_trusted(&ONE_ENGINE, "trust-alpine", &alpine("plain", ""), "alpine");
}

#[test]
fn alpines_tool_before_2020_is_supported() {
    let change =
        "RUN sed -i '/^  echo$/d' /usr/sbin/update-ca-certificates && update-ca-certificates";
    assert_trusted(
        &ONE_ENGINE,
        "trust-alpine-old",
        &alpine("old", change),
        "alpine",
    );
}

/// Only the base shows whether a program must be run: `auto` then selects the engine that can run
/// it.
#[test]
fn auto_selects_docker_if_the_base_requires_it() {
    let base = alpine(
        "auto",
        "RUN cp /bin/true /etc/ca-certificates/update.d/java",
    );
    let registry = format!("{}/auto-{}", services::registry(), std::process::id());
    let golden = Golden::new()
        .workspace("")
        .image(
            "subject",
            &format!(
                "[image]\nname = \"auto\"\nversion = \"1.0.0\"\nbase = \"{base}\"\nfamily = \"alpine\"\n\
                 [certs]\ntrust = [\"ca.crt\"]\n"
            ),
        )
        .file("subject/ca.crt", authority("Auto").root)
        .env("DOCKER_HOST", services::docker_host());
    let push = ["build", "--push", "--registry", registry.as_str()];
    let run = golden.run(&push).exit(0);
    let note = "engine: docker (only the docker engine can build this image: [certs] trust: the base has the hook /etc/ca-certificates/update.d/java";
    assert!(run.stderr.contains(note), "{}", run.stderr);
    golden
        .run(&["verify", "--deep", "--registry", &registry])
        .exit(0);
    assert!(golden.run(&push).exit(0).stdout.contains("unchanged"));
    // No other engine is used if one was named, or if no other answers.
    golden
        .run(&["build", "--force", "--engine", "embedded"])
        .exit(1);
    let alone = golden.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let run = alone
        .run(&["build", "--push", "--force", "--registry", &registry])
        .exit(1);
    assert!(
        run.stderr
            .contains("only the docker engine can build this image"),
        "{}",
        run.stderr
    );
}

/// golden knows this from the family rhel, before it reads the base.
#[test]
fn red_hats_tool_always_requires_docker() {
    let golden = Golden::new()
        .workspace("")
        .image(
            "subject",
            &format!(
                "[image]\nname = \"rhel\"\nversion = \"1.0.0\"\nbase = \"{}\"\nfamily = \"rhel\"\n\
                 [certs]\ntrust = [\"ca.crt\"]\n",
                services::base_busybox()
            ),
        )
        .file("subject/ca.crt", authority("Red").root);
    let run = golden.run(&["build", "--engine", "embedded"]).exit(2);
    assert!(run.stderr.contains("update-ca-trust"), "{}", run.stderr);
    let plan = golden
        .run(&["plan", "--registry", services::registry()])
        .exit(0);
    assert!(plan.stdout.contains("engine docker"), "{}", plan.stdout);
}

#[test]
fn unsupported_trust_stores_of_alpine_require_docker() {
    let table = [
        (
            "hook",
            "RUN cp /bin/true /etc/ca-certificates/update.d/java",
            "[certs] trust: the base has the hook /etc/ca-certificates/update.d/java",
        ),
        (
            "bundle",
            "RUN sed -i 1d /etc/ssl/certs/ca-certificates.crt",
            "[certs] trust: the base's /etc/ssl/certs/ca-certificates.crt does not begin with the certificates of \
             /etc/ca-certificates.conf, so that its update-ca-certificates did not write it",
        ),
        (
            "other",
            "RUN echo '#!/bin/sh' > /usr/sbin/update-ca-certificates",
            "[certs] trust: golden does not know the base's version of update-ca-certificates",
        ),
        (
            "none",
            "RUN rm /usr/sbin/update-ca-certificates",
            "[certs] trust: the base has no update-ca-certificates (package ca-certificates)",
        ),
        (
            "rehash",
            "RUN rm /usr/bin/c_rehash",
            "[certs] trust: the base has no c_rehash, which update-ca-certificates calls",
        ),
    ];
    for (name, change, message) in table {
        let base = alpine(name, change);
        let golden = Golden::new()
            .workspace("")
            .image(
                "subject",
                &format!(
                    "[image]\nname = \"refused\"\nversion = \"1.0.0\"\nbase = \"{base}\"\nfamily = \"alpine\"\n\
                     [certs]\ntrust = [\"ca.crt\"]\n"
                ),
            )
            .file("subject/ca.crt", authority("Refused").root);
        let run = golden.run(&["build", "--engine", "embedded"]).exit(1);
        assert!(run.stderr.contains(message), "{name}: {}", run.stderr);
        assert!(
            run.stderr.contains("build it with `--engine docker`"),
            "{}",
            run.stderr
        );
    }
}
