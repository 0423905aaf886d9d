//! One engine builds all platforms of an image, and the containerd store loads them.

use serde_json::Value;

use crate::support::built::Built;
use crate::support::engines::{Engine, modern};
use crate::support::publisher::fresh_name;
use crate::support::services;
use crate::support::workspace::Golden;

/// Two platforms that every machine of the tests executes.
const PLATFORMS: &str = "platforms = [\"linux/amd64\", \"linux/386\"]";

fn golden_toml() -> String {
    let registry = services::registry();
    format!("[[registry]]\nname = \"local\"\nhost = \"{registry}\"\n")
}

/// A workspace with an image of both platforms that has a shell, on scratch.
fn workspace(engine: Engine, name: &str) -> Golden {
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n{PLATFORMS}\n\
         [[files]]\nsource = \"busybox\"\ntarget = \"/bin/\"\nmode = \"0755\"\n\
         [[files]]\nsource = \"sh\"\ntarget = \"/bin/\"\n"
    );
    let golden = engine
        .on(Golden::new().workspace(&golden_toml()))
        .image("shell", &text);
    let busybox = services::directory().join("busybox/bin/busybox");
    std::fs::copy(busybox, golden.path().join("shell/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", golden.path().join("shell/sh")).unwrap();
    golden
}

/// The platforms of a published index.
fn published(reference: &str) -> Vec<String> {
    let reference = format!("docker://{reference}");
    let raw = modern(&[
        "skopeo",
        "inspect",
        "--raw",
        "--tls-verify=false",
        &reference,
    ]);
    let index: Value = serde_json::from_str(&raw).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    let platform = |entry: &Value| {
        entry["platform"]["architecture"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    manifests.iter().map(platform).collect()
}

/// Docker 26 with the containerd store lists only linux/amd64, although the machine executes both.
#[test]
fn one_engine_builds_the_steps_of_all_platforms() {
    for engine in [Engine::Docker20, Engine::Docker] {
        let (shell, tool) = (fresh_name("shell"), fresh_name("tool"));
        let text = format!(
            "[image]\nname = \"{tool}\"\nversion = \"1.0.0\"\nbase = {{ image = \"{shell}\" }}\n{PLATFORMS}\n\
             [[run]]\nscript = \"echo built >/built\"\n"
        );
        let golden = workspace(engine, &shell).image("tool", &text);
        golden.run(&["build", "--push"]).exit(0);
        let again = golden.run(&["build", "--push"]).exit(0);
        assert!(
            again.stdout.contains("2 unchanged"),
            "{engine:?}: {}",
            again.stdout
        );
        let tool = format!("{}/{tool}:1.0.0", services::registry());
        assert_eq!(published(&tool), ["amd64", "386"], "{engine:?}");
        for platform in ["linux/amd64", "linux/386"] {
            let words = [
                "podman",
                "run",
                "--rm",
                "-q",
                "--pull=always",
                "--tls-verify=false",
                "--platform",
                platform,
            ];
            let printed = modern(&[&words[..], &[&tool, "/bin/busybox", "cat", "/built"]].concat());
            assert_eq!(printed, "built\n", "{engine:?} {platform}");
        }
    }
}

#[test]
fn steps_for_a_platform_without_an_emulator_are_refused() {
    let name = fresh_name("foreign");
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/mips64le\"]\n\
         [[files]]\ncontent = \"x\"\ntarget = \"/bin/sh\"\n[[run]]\nscript = \"true\"\n"
    );
    for engine in [
        Engine::Docker20,
        Engine::Docker20Classic,
        Engine::DockerContainerd,
    ] {
        let golden = engine.on(Golden::new().workspace("")).image("app", &text);
        let run = golden.run(&["build"]).exit(1);
        let words = "the Docker Engine cannot execute steps for linux/mips64le";
        assert!(run.stderr.contains(words), "{engine:?}: {}", run.stderr);
    }
}

#[test]
fn the_containerd_store_loads_all_platforms() {
    let name = fresh_name("loaded");
    let golden = workspace(Engine::DockerContainerd, &name);
    golden.run(&["build", "--load"]).exit(0);
    let local = format!("{}/{name}", services::registry());
    for tag in ["1.0.0", "1.0", "1", "latest"] {
        let image = Built::in_engine(Engine::DockerContainerd.host(), &format!("{local}:{tag}"));
        assert_eq!(image.run(&["/bin/busybox", "echo", "runs"]), "runs\n");
    }
    let of_containerd = ["docker", "-H", services::docker_containerd()];
    let words = [
        "run",
        "--rm",
        "--pull=never",
        "--platform",
        "linux/386",
        &format!("{local}:1.0.0"),
        "/bin/busybox",
        "echo",
        "runs",
    ];
    assert_eq!(modern(&[&of_containerd[..], &words].concat()), "runs\n");

    let golden = workspace(Engine::Docker, &name);
    let run = golden.run(&["build", "--load"]).exit(1);
    let words = "has several platforms, but the image store of the engine (overlay2) holds only one of them";
    assert!(run.stderr.contains(words), "{}", run.stderr);
}
