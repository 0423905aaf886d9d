//! The life of an image on each engine: build, push, build again, secrets, failures, an interrupt,
//! load, packages, and images of the engine's own client. The clients of a current Debian read the
//! results.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::docker::cancel;
use crate::support::built::{Built, client};
use crate::support::engines::{Engine, modern};
use crate::support::publisher::fresh_name;
use crate::support::services;
use crate::support::workspace::{Golden, Run};

#[test]
fn an_image_lives_on_docker_20() {
    life(Engine::Docker20);
}

#[test]
fn an_image_lives_on_docker_20_with_the_classic_builder() {
    life(Engine::Docker20Classic);
}

#[test]
fn an_image_lives_on_the_current_docker() {
    life(Engine::Docker);
}

#[test]
fn an_image_lives_on_the_current_docker_with_the_containerd_store() {
    life(Engine::DockerContainerd);
}

#[test]
fn an_image_lives_on_podman() {
    life(Engine::Podman);
}

/// Runs all parts for one engine. They use separate workspaces, so they run at the same time.
fn life(engine: Engine) {
    let parts = [
        published,
        odd_label_key,
        secret,
        ssh_agent,
        failing_step,
        interrupted,
        loaded,
        packages,
        attested,
    ];
    std::thread::scope(|scope| {
        for part in parts {
            scope.spawn(move || part(engine));
        }
    });
}

/// An image with one step, on busybox.
fn with_step(engine: Engine, name: &str, step: &str) -> Golden {
    let base = services::base_busybox();
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = \"{base}\"\nfamily = \"static\"\n\n[[run]]\n{step}\n"
    );
    engine.golden().image("app", &text)
}

const PARENT: &str = r#"
[labels]
odd = "it's \"quoted\" $HOME C:\\ # {{ '{{' }} é 🦀 "
lines = "a\r\nb\n"

[env]
FIRST = "$NOT"
LINES = "a\nb"
PATH = { prepend = "/opt/bin:" }

[config]
user = "10001:10001"

[[files]]
source = "tool"
target = "/opt/bin/tool"
mode = "0755"
owner = "12:34"

[[files]]
content = "secret\n"
target = "/etc/tool.conf"
mode = "0640"
owner = "0:10001"

[[run]]
name = "write the marker"
script = "id -u >/marker\ncat /etc/passwd | wc -l >>/marker"
"#;

/// The parent and its child are published with their tags, every client reads them, and a second
/// run publishes nothing.
fn published(engine: Engine) {
    let (parent, child) = (fresh_name("parent"), fresh_name("child"));
    let (registry, base) = (services::registry(), services::base_busybox());
    let head = |name: &str, base: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = {base}\n")
    };
    let golden = engine
        .golden()
        .image("parent", &(head(&parent, &format!("{base:?}")) + PARENT))
        .file("parent/tool", "#!/bin/sh\necho \"tool of $(id -u)\"\n")
        .image(
            "child",
            &(head(&child, &format!("{{ image = \"{parent}\" }}"))
                + "[labels]\nodd = \"of the child\"\n[[run]]\nscript = \"tool >/tmp/of-the-child\"\nuser = \"10001\"\n"),
        );
    let build = ["build", "--engine", "docker", "--push"];
    golden.run(&build).exit(0);
    let again = golden.run(&build).exit(0);
    assert!(
        again.stdout.contains("2 images: 2 unchanged"),
        "{engine:?}: {}",
        again.stdout
    );
    golden.run(&["verify"]).exit(0);

    let reference = |name: &str| format!("{registry}/{name}:1.2.3");
    let config = |name: &str| -> Value {
        let reference = format!("docker://{}", reference(name));
        let text = modern(&[
            "skopeo",
            "inspect",
            "--tls-verify=false",
            "--config",
            &reference,
        ]);
        serde_json::from_str::<Value>(&text).unwrap()["config"].clone()
    };
    let of_parent = config(&parent);
    for (label, value) in [
        ("odd", "it's \"quoted\" $HOME C:\\ # {{ é 🦀 "),
        ("lines", "a\r\nb\n"),
    ] {
        assert_eq!(of_parent["Labels"][label], value, "{engine:?}");
    }
    let env = of_parent["Env"].as_array().unwrap();
    for variable in [
        "FIRST=$NOT",
        "LINES=a\nb",
        "PATH=/opt/bin:/bin:/usr/bin:/sbin:/usr/sbin",
    ] {
        assert!(env.iter().any(|set| set == variable), "{engine:?}: {env:?}");
    }
    assert_eq!(of_parent["User"], "10001:10001");
    assert_eq!(config(&child)["Labels"]["odd"], "of the child");

    let script =
        "stat -c '%a %u:%g' /opt/bin/tool /etc/tool.conf; cat /marker /tmp/of-the-child; tool";
    let expected = "755 12:34\n640 0:10001\n0\n2\ntool of 10001\ntool of 10001\n";
    let child = reference(&child);
    let run = |output: String, client: &str| {
        assert_eq!(output, expected, "{engine:?}, read by {client}");
    };
    let words = ["/bin/sh", "-c", script];
    run(
        Built::in_engine(engine.host(), &child).run(&words),
        "itself",
    );
    client(&["pull", "-q", &child]);
    run(Built::named(&child).run(&words), "Docker 20.10");
    let of_current = ["docker", "-H", services::docker_containerd()];
    modern(&[&of_current[..], &["pull", "-q", &child]].concat());
    let docker = [&of_current[..], &["run", "--rm", &child], &words].concat();
    run(modern(&docker), "the current Docker");
    let podman = [
        "podman",
        "run",
        "--rm",
        "-q",
        "--pull=always",
        "--tls-verify=false",
        &child,
    ];
    run(modern(&[&podman[..], &words].concat()), "Podman");
    modern(&["oras", "manifest", "fetch", "--plain-http", &child]);
    let validate = format!("! command -v crane || crane validate --insecure --remote {child}");
    modern(&["sh", "-ec", &validate]);
}

/// A label whose key a Dockerfile cannot hold is set, or the image is refused before the build.
fn odd_label_key(engine: Engine) {
    let name = fresh_name("label");
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n[labels]\n\"with = sign\" = \"x\"\n[[files]]\ncontent = \"x\"\ntarget = \"/x\"\n"
    );
    let golden = engine.on(Golden::new().workspace("")).image("app", &text);
    let run = golden.run(&["build", "--engine", "docker"]);
    if engine.has_label_keys_with_equals_sign() {
        run.exit(0);
        let image = Built::in_engine(engine.host(), &format!("localhost/{name}:1.2.3"));
        assert_eq!(image.config()["Labels"]["with = sign"], "x", "{engine:?}");
    } else {
        let words = "cannot set the label `with = sign`, because its key contains `=`";
        assert!(run.stderr.contains(words), "{engine:?}: {}", run.stderr);
        assert_ne!(run.code, 0, "{engine:?}");
    }
}

/// Steps of root and of a user read a secret, and the secret is in no output. An engine without
/// secrets refuses the image before the build.
fn secret(engine: Engine) {
    let step = "script = \"wc -c </run/secrets/token; sha256sum </run/secrets/token\"\nsecrets = [\"token\"]\n\
                [[run]]\nscript = \"id -u; wc -c </run/secrets/token\"\nuser = \"10001\"\nsecrets = [\"token\"]";
    let golden = with_step(engine, &fresh_name("secret"), step).env("TOKEN", "a-value-to-hide");
    let arguments = [
        "build",
        "-vv",
        "--no-cache",
        "--engine",
        "docker",
        "--secret",
        "id=token,env=TOKEN",
    ];
    let run = golden.run(&arguments);
    if engine.has_buildkit() {
        let run = run.exit(0);
        let read = run.stderr.matches("| 15").count();
        assert_eq!(read, 2, "{engine:?}: {}", run.stderr);
        let output = run.stdout + &run.stderr;
        assert!(!output.contains("a-value-to-hide"), "{engine:?}: {output}");
        golden
            .run(&["build", "--engine", "docker", "--no-cache"])
            .exit(2);
    } else {
        assert_ne!(run.code, 0, "{engine:?}");
        assert!(
            run.stderr.contains("BuildKit"),
            "{engine:?}: {}",
            run.stderr
        );
        assert!(!run.stderr.contains("| 15"), "{engine:?}: {}", run.stderr);
    }
}

/// Prints the comments of the keys that the forwarded agent has.
const KEYS: &str = r#"perl -MIO::Socket::UNIX -e '
$agent = IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) or die "$ENV{SSH_AUTH_SOCK}: $!";
syswrite $agent, pack("NC", 1, 11);
read $agent, $length, 4; read $agent, $keys, unpack("N", $length);
(undef, undef, @keys) = unpack("CN(N/aN/a)*", $keys);
print "user $< has the key $keys[1]\n";'"#;

/// Steps of root and of a user use the ssh agent: the agent of the user, or one that golden starts
/// for a key. An engine that cannot forward it refuses the image before the build.
fn ssh_agent(engine: Engine) {
    let (name, base) = (fresh_name("ssh"), services::base_debian_slim());
    let script = toml::Value::from(KEYS);
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = \"{base}\"\nfamily = \"debian\"\n\
         [[run]]\nssh = true\nscript = {script}\n[[run]]\nssh = true\nuser = \"10001\"\nscript = {script}\n\
         [[run]]\nscript = \"test ! -S /run/buildkit/ssh_agent.0 && test -z $SSH_AUTH_SOCK\"\n"
    );
    let golden = engine.on(Golden::new().workspace("")).image("app", &text);
    let made = Command::new("ssh-keygen")
        .args([
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "key-of-the-test",
            "-f",
        ])
        .arg(golden.path().join("key"))
        .status();
    assert!(made.unwrap().success());
    let build = ["build", "-vv", "--engine", "docker", "--no-cache"];
    let with_key = [&build[..], &["--ssh", "default=key"]].concat();
    if !engine.has_buildkit() {
        let run = golden.run(&with_key);
        assert_ne!(run.code, 0, "{engine:?}");
        let words = "a step requires the ssh agent, but only BuildKit";
        assert!(run.stderr.contains(words), "{engine:?}: {}", run.stderr);
        return;
    }
    let uses_the_key = |run: Run, how: &str| {
        let run = run.exit(0);
        for user in ["0", "10001"] {
            let words = format!("| user {user} has the key key-of-the-test");
            assert!(
                run.stderr.contains(&words),
                "{engine:?}, {how}: {}",
                run.stderr
            );
        }
    };
    uses_the_key(golden.run(&with_key), "a key");

    let socket = golden.path().join("agent");
    let mut agent = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut added = std::iter::repeat_with(|| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        Command::new("ssh-add")
            .arg("-q")
            .arg(golden.path().join("key"))
            .env("SSH_AUTH_SOCK", &socket)
            .status()
            .unwrap()
    });
    assert!(added.by_ref().take(100).any(|status| status.success()));
    let of_user = [&build[..], &["--ssh", "default"]].concat();
    let run = golden
        .command(&of_user)
        .env("SSH_AUTH_SOCK", &socket)
        .output();
    uses_the_key(Run::of(run.unwrap()), "an agent");
    agent.kill().unwrap();
    agent.wait().unwrap();

    let run = golden.run(&build).exit(2);
    let words = "requires the ssh agent; pass it with --ssh default or --ssh default=KEY";
    assert!(run.stderr.contains(words), "{engine:?}: {}", run.stderr);
}

/// A step that fails is named, with its exit code and its last lines.
fn failing_step(engine: Engine) {
    let step =
        "name = \"break it\"\nscript = \"for n in $(seq 99); do echo line $n; done; exit 7\"";
    let golden = with_step(engine, &fresh_name("failing"), step);
    let run = golden.run(&["build", "-q", "--engine", "docker"]).exit(1);
    for words in [
        "step `break it` (app/image.toml:7) failed with exit code 7",
        "line 99",
        "line 85",
    ] {
        assert!(run.stderr.contains(words), "{engine:?}: {}", run.stderr);
    }
    assert!(
        !run.stderr.contains("line 75"),
        "{engine:?}: {}",
        run.stderr
    );
}

/// ^C ends golden at once, and the engine stops the step.
fn interrupted(engine: Engine) {
    let argument = format!("{}.{}", 30_000 + engine as u32, std::process::id());
    let seconds = if engine.stops_steps() { &argument } else { "5" };
    let step = format!("script = \"echo begun; sleep {seconds}\"");
    let golden = with_step(engine, &fresh_name("interrupted"), &step);
    let mut child = golden
        .command(&["build", "--engine", "docker"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let output: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.ends_with("begun"))
        .collect();
    if engine.stops_steps() {
        assert!(cancel::appears(&argument, true), "{engine:?}: {output:#?}");
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(
        child.wait().unwrap().code(),
        Some(130),
        "{engine:?}: {output:#?}"
    );
    if engine.stops_steps() {
        assert!(
            cancel::appears(&argument, false),
            "{engine:?}: the step still runs"
        );
    }
}

/// An image that golden assembles is loaded into the engine with its tags.
fn loaded(engine: Engine) {
    let name = fresh_name("loaded");
    let base = services::base_busybox();
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = \"{base}\"\nfamily = \"static\"\n[[files]]\ncontent = \"loaded\\n\"\ntarget = \"/etc/motd\"\nmode = \"0600\"\n"
    );
    let golden = engine.on(Golden::new().workspace("")).image("app", &text);
    golden
        .run(&["build", "--engine", "embedded", "--load"])
        .exit(0);
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        let image = Built::in_engine(engine.host(), &format!("localhost/{name}:{tag}"));
        let words = ["/bin/sh", "-c", "stat -c %a /etc/motd; cat /etc/motd"];
        assert_eq!(image.run(&words), "600\nloaded\n", "{engine:?}");
    }
}

/// Packages are installed over the network, and their lists are not in the image.
fn packages(engine: Engine) {
    let name = fresh_name("packages");
    let base = services::base_debian_slim();
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = \"{base}\"\n[packages]\ninstall = [\"less\"]\n"
    );
    let golden = engine.on(Golden::new().workspace("")).image("app", &text);
    golden.run(&["build", "--engine", "docker"]).exit(0);
    let image = Built::in_engine(engine.host(), &format!("localhost/{name}:1.2.3"));
    let output = image.run(&[
        "sh",
        "-c",
        "less --version | head -n 1; ls /var/lib/apt/lists",
    ]);
    let (version, lists) = output.split_once('\n').unwrap();
    assert!(version.starts_with("less "), "{engine:?}: {output}");
    assert_eq!(lists, "", "{engine:?}");
}

/// An image that the engine's own client built is audited; its attestations are not images.
fn attested(engine: Engine) {
    if !engine.attests() {
        return;
    }
    let reference = format!("{}/{}:1.0.0", services::registry(), fresh_name("attested"));
    let base = services::base_busybox();
    let golden = Golden::new()
        .file(
            "Dockerfile",
            format!("FROM {base}\nENV DB_PASSWORD=hunter2hunter2\n"),
        )
        .workspace("[policy]\nrequired_labels = [\"owner\"]\n[policy.env]\ndeny_secrets = true\n");
    let directory = golden.path().display().to_string();
    modern(&[
        "docker",
        "-H",
        engine.host(),
        "buildx",
        "build",
        "--provenance=mode=max",
        "--push",
        "--tag",
        &reference,
        &directory,
    ]);
    let raw = modern(&[
        "skopeo",
        "inspect",
        "--raw",
        "--tls-verify=false",
        &format!("docker://{reference}"),
    ]);
    assert!(raw.contains("attestation-manifest"), "{raw}");
    let run = golden
        .run(&["audit", &reference, "--format", "json"])
        .exit(3);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let found = document["diagnostics"].as_array().unwrap();
    let rules: Vec<&str> = found
        .iter()
        .map(|found| found["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["env.deny_secrets", "required_labels"]);
}
