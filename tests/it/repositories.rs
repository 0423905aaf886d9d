//! Packages of the team's own signed repository, and updates of the packages of a base.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio_rustls::rustls::ServerConfig;

use crate::support::layout::Base;
use crate::support::publisher::fresh_name;
use crate::support::server::{Answer, Server, handler};
use crate::support::workspace::Golden;
use crate::support::{services, tls};

/// Makes a key pair in `gnupg`, and its public key in `key.asc`.
const KEY: &str = r#"set -eu
export GNUPGHOME="$PWD/gnupg"
mkdir -m 700 gnupg
gpg --batch --quiet --passphrase '' --quick-gen-key 'golden tests <tests@example.com>' rsa2048 sign never
gpg --armor --export > key.asc
"#;

/// Adds the package `$1` of version `$2` to the repository with the label `$3`, and signs its index.
const ADD: &str = r#"set -eu
export GNUPGHOME="$PWD/gnupg"
mkdir -p repository build/DEBIAN
printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: t <t@example.com>\nDescription: t\n' "$1" "$2" > build/DEBIAN/control
dpkg-deb --root-owner-group -Zgzip --build build "repository/$1_$2.deb" > /dev/null
cd repository
rm -f Release InRelease
apt-ftparchive packages . > Packages
apt-ftparchive -o APT::FTPArchive::Release::Label="$3" release . > ../Release
mv ../Release Release
gpg --batch --quiet --clearsign -o InRelease Release
"#;

/// A repository of packages that the steps of an engine can reach.
struct AptRepository {
    directory: tempfile::TempDir,
    server: Server,
    scheme: &'static str,
}

impl AptRepository {
    fn start() -> Self {
        Self::with(None)
    }

    /// A repository over HTTPS if a configuration is given.
    fn with(tls: Option<ServerConfig>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("repository");
        let server = Server::at(
            services::bridge_address(),
            0,
            tls,
            handler(move |seen| {
                let path = seen.path.trim_start_matches('/').trim_start_matches("./");
                match std::fs::read(root.join(path)) {
                    Ok(bytes) => Answer::new(200, bytes),
                    Err(_) => Answer::new(404, "no such file"),
                }
            }),
        );
        let repository = Self {
            directory,
            server,
            scheme,
        };
        repository.shell(KEY, &[]);
        repository
    }

    fn shell(&self, script: &str, args: &[&str]) {
        shell(self.directory.path(), script, args);
    }

    fn add(&self, package: &str, version: &str) {
        self.shell(ADD, &[package, version, "golden"]);
    }

    /// Adds a package, and names the repository so that apt takes its packages for security updates.
    fn add_security(&self, package: &str, version: &str) {
        self.shell(ADD, &[package, version, "Golden-Security"]);
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.asc")
    }

    /// The table of the spec.
    fn table(&self) -> String {
        format!(
            "[[packages.repository]]\nurl = \"{}://{}\"\nsuite = \"./\"\nkey = \"key.asc\"\n",
            self.scheme,
            self.server.host()
        )
    }
}

fn shell(directory: &Path, script: &str, args: &[&str]) {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).args(args);
    let output = command.current_dir(directory).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

/// An image with packages on a Debian whose own sources are removed, so that only the repository
/// of the test is read.
fn image(name: &str, base: &str, packages: &str, repository: &str) -> String {
    format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\nfamily = \"debian\"\n\
         [packages]\n{packages}\n{repository}"
    )
}

/// The output of a command in a built image.
fn inside(tag: &str, script: &str) -> String {
    let output = Command::new("docker")
        .args(["run", "--rm", "--network", "none", tag, "sh", "-c", script])
        .env("DOCKER_HOST", services::docker_host())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn packages_of_a_signed_repository_are_installed_and_updated() {
    let repository = AptRepository::start();
    repository.add("golden-tool", "1.0");
    let base = services::base_debian();
    let key = std::fs::read(repository.key()).unwrap();
    let tool = image(
        "tool",
        &format!("\"{base}\""),
        "install = [\"golden-tool=1.0\"]",
        &repository.table(),
    );
    let newer = image("newer", "{ image = \"tool\" }", "upgrade = true", "");
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace("")
        .image("tool", &tool)
        .file("tool/key.asc", &key)
        .image("newer", &newer);
    golden.run(&["build", "tool", "--engine", "docker"]).exit(0);
    let version = "dpkg-query -W -f '${Version}' golden-tool";
    assert_eq!(inside("localhost/tool:1.0.0", version), "1.0");
    let files = "cat /etc/apt/sources.list.d/*golden* /etc/apt/sources.list.d/*.sources; ls /etc/apt/keyrings";
    let files = inside("localhost/tool:1.0.0", files);
    assert!(files.contains("Signed-By: /etc/apt/keyrings/"), "{files}");

    repository.add("golden-tool", "1.1");
    golden
        .run(&["build", "newer", "--engine", "docker"])
        .exit(0);
    assert_eq!(inside("localhost/newer:1.0.0", version), "1.1");
    assert_eq!(inside("localhost/tool:1.0.0", version), "1.0");
}

/// The digest that the version tag of `tool` points to.
fn digest_of(golden: &Golden) -> String {
    let run = golden.run(&["inspect", "tool:1.0.0", "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&run.exit(0).stdout).unwrap();
    shown["digest"].as_str().unwrap().to_owned()
}

#[test]
fn an_update_of_a_package_is_found_recorded_and_published() {
    let repository = AptRepository::start();
    repository.add("golden-tool", "1.0");
    let (registry, namespace) = (services::registry(), fresh_name("updates"));
    let tool = image(
        "tool",
        &format!("\"{}\"", services::base_debian()),
        "install = [\"golden-tool\"]",
        &repository.table(),
    );
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace(&format!(
            "[[registry]]\nname = \"team\"\nhost = \"{registry}\"\nnamespace = \"{namespace}\"\n[defaults.tags]\nrebuild = \"base\"\n"
        ))
        .image("tool", &tool)
        .file("tool/key.asc", std::fs::read(repository.key()).unwrap());
    let unpublished = golden.run(&["outdated", "--packages"]).exit(0);
    assert!(
        unpublished.stderr.contains("tool:1.0.0 is not published"),
        "{}",
        unpublished.stderr
    );
    let publish = || {
        golden
            .run(&["build", "--push", "--engine", "docker"])
            .exit(0)
    };
    publish();
    let current = golden.run(&["outdated", "--packages"]).exit(0);
    assert_eq!(current.stdout, "");

    let first = digest_of(&golden);
    repository.add_security("golden-tool", "1.1");
    let found = golden.run(&["outdated", "--packages"]).exit(5);
    assert_eq!(
        found.stdout,
        "tool:1.0.0: golden-tool 1.0 → 1.1 (security)\n"
    );
    golden.run(&["update", "--packages"]).exit(0);
    let lock = std::fs::read_to_string(golden.path().join("golden.lock")).unwrap();
    assert!(lock.contains("golden-tool = \"1.1\""), "{lock}");
    assert!(lock.contains("security = [\"golden-tool\"]"), "{lock}");
    publish();
    // golden.lock or, elsewhere, the index knows that the change is a security update.
    let of_tool = |digest: &str| format!("{registry}/{namespace}/tool@{digest}");
    let (from, to) = (of_tool(&first), of_tool(&digest_of(&golden)));
    let elsewhere = Golden::new().env("DOCKER_HOST", services::docker_host());
    for (golden, options, is_marked) in [
        (&golden, &[][..], true),
        (&elsewhere, &[], false),
        (&elsewhere, &["--security"], true),
    ] {
        let args = [&["diff", &from, &to], options].concat();
        let text = golden.run(&args).exit(0).stdout;
        assert!(text.contains("1.0 → 1.1"), "{text}");
        assert_eq!(text.contains("1.0 → 1.1 (security)"), is_marked, "{text}");
    }
    let published = format!("{registry}/{namespace}/tool:1.0.0_r1");
    let purls = golden.run(&["sbom", &published]).exit(0).stdout;
    assert!(purls.contains("pkg:deb/debian/golden-tool@1.1"), "{purls}");
    golden.run(&["outdated", "--packages"]).exit(0);
    // Without a newer version, nothing is recorded and nothing is built.
    golden.run(&["update", "--packages"]).exit(0);
    let same = std::fs::read_to_string(golden.path().join("golden.lock")).unwrap();
    assert_eq!(same, lock);

    repository.add("golden-tool", "1.2");
    let run = golden
        .run(&["update", "--packages", "--bump", "patch"])
        .exit(0);
    assert!(run.stderr.contains("tool: 1.0.0 → 1.0.1"), "{}", run.stderr);
    publish();
    let published = format!("{registry}/{namespace}/tool:1.0.1");
    let purls = golden.run(&["sbom", &published]).exit(0).stdout;
    assert!(purls.contains("pkg:deb/debian/golden-tool@1.2"), "{purls}");
}

#[test]
fn an_image_whose_indexes_cannot_be_read_is_reported() {
    let (registry, namespace) = (services::registry(), fresh_name("shell"));
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace(&format!(
            "[[registry]]\nname = \"team\"\nhost = \"{registry}\"\nnamespace = \"{namespace}\"\n"
        ))
        .image(
            "static",
            "[image]\nname = \"static\"\nversion = \"1.0.0\"\nbase = \"oci:../base\"\n",
        );
    Base::here()
        .layer(&[(
            "var/lib/dpkg/status.d/a",
            'f',
            "Package: a\nVersion: 1\nArchitecture: all\n",
        )])
        .write(&golden.path().join("base"), "x:1");
    golden
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    for command in ["outdated", "update"] {
        let run = golden.run(&[command, "--packages"]).exit(1);
        let problem = "the packages of static:1.0.0 could not be compared: it has no shell";
        assert!(run.stderr.contains(problem), "{}", run.stderr);
    }
    assert!(!golden.path().join("golden.lock").exists());
}

#[test]
fn a_repository_with_another_key_is_refused() {
    let (repository, other) = (AptRepository::start(), AptRepository::start());
    repository.add("golden-tool", "1.0");
    let base = services::base_debian();
    let text = image(
        "wrong",
        &format!("\"{base}\""),
        "install = [\"golden-tool\"]",
        &repository.table(),
    );
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace("")
        .image("wrong", &text)
        .file("wrong/key.asc", std::fs::read(other.key()).unwrap());
    let run = golden.run(&["build", "--engine", "docker"]).exit(1);
    assert!(
        run.stderr.contains("a repository is not signed by its key"),
        "{}",
        run.stderr
    );
}

#[test]
fn packages_come_through_tls_of_the_team_s_ca() {
    let (server, root) = tls::signed(&[services::bridge_address()]);
    let repository = AptRepository::with(Some(server));
    repository.add("golden-tool", "1.0");
    let base = services::base_debian();
    let certificates = "[certs]\ntrust = [\"ca.crt\"]\nenv = true\n";
    let image = |name: &str, certificates: &str| {
        let packages = "install = [\"golden-tool\"]";
        image(name, &format!("\"{base}\""), packages, &repository.table()) + certificates
    };
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace("")
        .image("trusting", &image("trusting", certificates))
        .image("other", &image("other", ""))
        .file("trusting/ca.crt", &root)
        .file("trusting/key.asc", std::fs::read(repository.key()).unwrap())
        .file("other/key.asc", std::fs::read(repository.key()).unwrap());
    golden
        .run(&["build", "trusting", "--engine", "docker"])
        .exit(0);
    let script = "dpkg-query -W -f '${Version} ' golden-tool; for name in SSL_CERT_FILE REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO; do printenv $name; done | uniq -c";
    let shown = inside("localhost/trusting:1.0.0", script);
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(words, ["1.0", "4", "/etc/ssl/certs/ca-certificates.crt"]);

    let run = golden
        .run(&["build", "other", "--engine", "docker"])
        .exit(1);
    assert!(run.stderr.contains("certificate"), "{}", run.stderr);
}

#[test]
fn a_snapshot_replaces_the_sources_only_for_the_step() {
    let base = services::base_debian_slim();
    let text = image(
        "old",
        &format!("\"{base}\""),
        "install = [\"curl\"]\nsnapshot = \"2026-06-01\"",
        "",
    );
    let golden = Golden::new().workspace("").image("old", &text);
    let rendered = golden.run(&["render"]).exit(0).stdout;
    let step = rendered.split("# packages\n").nth(1).unwrap();
    let (delimiter, script) = step.split_once("<<").unwrap().1.split_once('\n').unwrap();
    let end = format!("\n{}\n", delimiter.trim_matches('\''));
    let script = script.split(&end).next().unwrap();
    // Without a network, the error names the address.
    let output = Command::new("docker")
        .args(["run", "--rm", "--network", "none", base, "sh", "-c"])
        .arg(format!(
            "({script}) 2>&1; grep -rh debian.org /etc/apt/sources.list*"
        ))
        .env("DOCKER_HOST", services::docker_host())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in [
        "http://snapshot.debian.org/archive/debian/20260601T000000Z",
        "golden: apt-get update did not read every package index: no network",
        "http://deb.debian.org/debian",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("Ign:1 http://deb.debian.org"), "{text}");
}
