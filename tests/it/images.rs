//! The shipped workspace, images/: it passes the check, renders to the snapshots, and builds where
//! its base is available.

use std::path::Path;
use std::process::Command;

use crate::support::built::{Built, client};
use crate::support::services;
use crate::support::workspace::{Golden, Run};

const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images");

/// Runs the binary on a copy, so that the repository stays unchanged.
struct Shipped(Golden);

impl Shipped {
    fn new() -> Self {
        let golden = Golden::new().env("DOCKER_HOST", services::docker_host());
        copy(Path::new(IMAGES), golden.path());
        Self(golden)
    }

    fn run(&self, args: &[&str]) -> Run {
        self.0.run(args)
    }
}

fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    assert!(
        command
            .arg("-r")
            .arg(from.join("."))
            .arg(to)
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn the_shipped_images_pass_the_check_and_render_to_their_snapshots() {
    let shipped = Shipped::new();
    shipped.run(&["check"]).exit(0);
    for image in ["static", "dotnet-aspnet", "debian"] {
        let run = shipped.run(&["render", image]).exit(0);
        insta::assert_snapshot!(format!("images_{image}"), run.stdout);
    }
    shipped.run(&["render", "--out", "out"]).exit(0);
    shipped.run(&["render", "--out", "out", "--check"]).exit(0);
}

#[test]
fn the_static_image_has_the_files_of_its_directory() {
    for buildkit in ["1", "0"] {
        let shipped = Shipped(Shipped::new().0.env("DOCKER_BUILDKIT", buildkit));
        shipped
            .run(&["build", "--engine", "docker", "static"])
            .exit(0);
        let image = Built::named("localhost/static:1.0.0");
        let files = image.files();
        let metadata = |path: &str| (files[path].kind, files[path].mode, files[path].owner);
        assert_eq!(metadata("tmp"), ('d', 0o1777, (0, 0)));
        assert_eq!(metadata("home/nonroot"), ('d', 0o700, (65532, 65532)));
        assert_eq!(metadata("etc/passwd"), ('f', 0o644, (0, 0)));
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        let root = std::fs::read_to_string(format!("{IMAGES}/certs/example-root.crt")).unwrap();
        assert_eq!(
            files["etc/ssl/certs/ca-certificates.crt"].content,
            root.as_bytes()
        );
        let config = image.config();
        assert_eq!(config["User"], "65532:65532");
        for (label, value) in [
            ("framework", "none"),
            ("version", "1.0.0"),
            ("owner", "golden-images@example.com"),
        ] {
            assert_eq!(config["Labels"][label], value);
        }
        for tag in ["1.0.0", "1.0", "1", "latest"] {
            client(&["image", "inspect", &format!("localhost/static:{tag}")]);
            client(&["image", "rm", &format!("localhost/static:{tag}")]);
        }
    }
}

#[test]
fn the_debian_image_builds_on_a_real_debian() {
    let shipped = Shipped::new();
    let base = format!("debian={}", services::base_debian_slim());
    shipped
        .run(&["build", "--engine", "docker", "debian", "--set", &base])
        .exit(0);
    let image = Built::named("localhost/debian:12.0.0");
    assert_eq!(image.config()["User"], "10001:10001");
    assert_eq!(
        image.run(&["/usr/bin/tini", "--version"]).split(' ').next(),
        Some("tini")
    );
    assert_eq!(image.run(&["id", "-un"]), "app\n");
    let verify = [
        "openssl",
        "verify",
        "/usr/local/share/ca-certificates/example-root.crt",
    ];
    assert!(image.run(&verify).ends_with(": OK\n"));
    assert_eq!(
        image.run(&["cat", "/etc/motd"]),
        "Debian 12 with tini and a user of its own, debian 12.0.0.\n"
    );
}
