//! `[[test]] run`: commands that an engine runs in containers of an image.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::built::client_of;
use crate::support::curl::{digest, tags};
use crate::support::engines::Engine;
use crate::support::proxy::fault_proxy;
use crate::support::publisher::fresh_name;
use crate::support::services;
use crate::support::workspace::Golden;

/// A workspace with an image on busybox that needs no engine to be built.
fn app(engine: Engine, name: &str, tests: &str) -> Golden {
    let (base, registry) = (services::base_busybox(), services::registry());
    let image = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"{base}\"\n[env]\nGREETING = \"hello\"\n\
         [config]\nuser = \"1234\"\nentrypoint = [\"/bin/false\"]\n\
         [[files]]\ncontent = \"{name}\"\ntarget = \"/etc/name\"\n{tests}"
    );
    engine
        .on(Golden::new().workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{registry}\"\n"
        )))
        .image("app", &image)
}

/// The lines that a command of an engine's client prints.
fn docker(engine: Engine, args: &[&str]) -> Vec<String> {
    let text = String::from_utf8(client_of(engine.host(), args)).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The containers and the temporary images of tests that an engine has.
fn traces(engine: Engine, name: &str) -> Vec<String> {
    let mut found = containers(engine, name);
    let format = "{{.ID}} {{.Repository}}";
    for image in docker(engine, &["images", "--format", format]) {
        let Some((id, "localhost/golden/test")) = image.split_once(' ') else {
            continue;
        };
        // Another test may have removed it.
        let title = "{{index .Config.Labels \"org.opencontainers.image.title\"}}";
        let title = Command::new("docker")
            .args([
                "-H",
                engine.host(),
                "image",
                "inspect",
                "--format",
                title,
                id,
            ])
            .output()
            .unwrap();
        let title = String::from_utf8(title.stdout).unwrap();
        found.extend((title.trim() == name).then_some(title));
    }
    found
}

/// The states and commands of the containers of tests in which this name occurs. Podman lists a
/// container without its entrypoint, so each one is inspected; it may already be removed.
fn containers(engine: Engine, name: &str) -> Vec<String> {
    let list = ["ps", "-aq", "--filter", "name=golden-test-"];
    let inspected = docker(engine, &list).into_iter().map(|id| {
        let format = "{{.State.Status}} {{json .Config.Entrypoint}} {{json .Config.Cmd}}";
        let words = ["-H", engine.host(), "inspect", "--format", format, &id];
        let output = Command::new("docker").args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    });
    inspected.filter(|line| line.contains(name)).collect()
}

const PASSING: &str = r#"
[[test]]
run = ["sh", "-c", "echo $GREETING; echo oops >&2; exit 3"]
exit = 3
stdout = { equals = "hello", matches = "^h.*o$" }
stderr = { contains = "oops" }
[[test]]
run = ["id", "-u"]
stdout = { equals = "1234" }
[[test]]
run = ["sh", "-c", "id -u; echo $A"]
user = "0"
env = { A = "b c" }
stdout = { equals = "0\nb c" }
[[test]]
name = "the root is read-only, and /tmp is not"
run = ["sh", "-c", "echo x > /x || echo x > /tmp/x && cat /tmp/x"]
user = "0"
stdout = { equals = "x" }
stderr = { contains = "Read-only file system" }
[[test]]
run = ["sh", "-c", "echo x > /x && cat /x"]
user = "0"
read_only = false
stdout = { equals = "x" }
[[test]]
name = "there is no network"
run = ["wc", "-l", "/proc/net/route"]
stdout = { matches = "^1 " }
[[test]]
name = "there is a network"
run = ["wc", "-l", "/proc/net/route"]
network = true
stdout = { matches = "^([2-9]|[1-9][0-9]) " }
[[test]]
run = ["cat", "/etc/name"]
stdout = { matches = "^commands" }
"#;

const FAILING: &str = r#"
[[test]]
run = ["sh", "-c", "echo begun; sleep 60"]
timeout = "1s"
[[test]]
run = ["no-such-program"]
[[test]]
run = ["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo end"]
stdout = { contains = "end" }
[[test]]
run = ["sh", "-c", "echo one; echo two; echo warning >&2; exit 4"]
"#;

#[test]
fn commands_run_on_docker_20() {
    commands_run(Engine::Docker20);
}

#[test]
fn commands_run_on_the_current_docker() {
    commands_run(Engine::Docker);
}

#[test]
fn commands_run_on_the_current_docker_with_the_containerd_store() {
    commands_run(Engine::DockerContainerd);
}

#[test]
fn commands_run_on_podman() {
    commands_run(Engine::Podman);
}

/// Commands run in containers of an image that golden assembled, and in those of a published image.
fn commands_run(engine: Engine) {
    let name = fresh_name("commands");
    let golden = app(engine, &name, &format!("{PASSING}{FAILING}"));
    let run = golden
        .run(&["test", "--junit", "out.xml", "--format", "json"])
        .exit(1);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&document["passed"], &document["failed"]),
        (&8.into(), &4.into()),
        "{}",
        run.stdout
    );
    let tests = document["images"][0]["platforms"][0]["tests"]
        .as_array()
        .unwrap();
    assert!(
        tests[..8]
            .iter()
            .all(|test| test["passed"] == true && test.get("output").is_none()),
        "{}",
        run.stdout
    );
    let failure = |number: usize| {
        let one = &tests[number]["failures"][0];
        ["assertion", "expected", "found"].map(|key| one[key].as_str().unwrap().to_owned())
    };
    assert_eq!(
        failure(8),
        [
            "timeout",
            "at most 1s",
            "a longer run; the command was killed"
        ]
    );
    assert_eq!(tests[8]["output"]["stdout"], "begun");
    let [assertion, _, found] = failure(9);
    assert!(
        assertion == "run" && found.contains("no-such-program"),
        "{found}"
    );
    let [assertion, expected, found] = failure(10);
    assert_eq!(
        (assertion.as_str(), expected.as_str()),
        ("stdout contains", "end")
    );
    assert!(found.ends_with("the rest was cut"), "{found}");
    assert_eq!(failure(11), ["exit", "0", "4"]);
    let output = serde_json::json!({
        "command": "sh -c 'echo one; echo two; echo warning >&2; exit 4'",
        "stdout": "one\ntwo", "stderr": "warning",
    });
    assert_eq!(tests[11]["output"], output);
    #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
    let junit = std::fs::read_to_string(golden.path().join("out.xml")).unwrap();
    assert!(
        junit.contains("exit: expected 0, found 4&#10;command: sh -c"),
        "{junit}"
    );
    assert_eq!(traces(engine, &name), [""; 0]);

    // An image of a registry, with a platform that the engine does not run.
    let image = |platforms: &str, tests: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [{platforms}]\n\
             [[files]]\nsource = \"busybox\"\ntarget = \"/bin/echo\"\nmode = \"0755\"\n{tests}"
        )
    };
    let test = "[[test]]\nrun = [\"/bin/echo\", \"hi\"]\nstdout = { equals = \"hi\" }\n";
    golden.write(
        "app/busybox",
        std::fs::File::open("/bin/busybox")
            .map(|mut file| {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
                bytes
            })
            .unwrap(),
    );
    golden.write(
        "app/image.toml",
        image("\"linux/amd64\", \"linux/arm64\"", test),
    );
    golden.run(&["build", "--push"]).exit(0);
    let reference = format!("{}/{name}:1.0.0", services::registry());
    let run = golden.run(&["test", &reference]).exit(0);
    assert!(
        run.stdout
            .contains("  not run run /bin/echo hi: the engine runs linux/amd64\n"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .ends_with("2 tests: 1 passed, 0 failed, 1 not run\n"),
        "{}",
        run.stdout
    );
    let run = golden
        .run(&["test", &reference, "--platform", "linux/arm64"])
        .exit(1);
    assert!(
        run.stdout
            .contains("found none: the engine runs linux/amd64"),
        "{}",
        run.stdout
    );
    assert_eq!(traces(engine, &name), [""; 0]);
}

#[test]
fn an_interrupted_test_leaves_nothing_in_an_engine() {
    std::thread::scope(|scope| {
        for engine in Engine::RUNNERS {
            scope.spawn(move || interrupted(engine));
        }
    });
}

fn interrupted(engine: Engine) {
    let name = fresh_name("commands");
    let tests =
        format!("[[test]]\nrun = [\"sh\", \"-c\", \"sleep 300 # {name}\"]\ntimeout = \"5m\"\n");
    let golden = app(engine, &name, &tests);
    let mut child = golden
        .command(&["test"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !containers(engine, &name)
        .iter()
        .any(|line| line.starts_with("running"))
    {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "{engine:?}: the command does not run"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let lines: Vec<String> = stderr.lines().map_while(Result::ok).collect();
    assert_eq!(
        child.wait().unwrap().code(),
        Some(130),
        "{engine:?}: {lines:?}"
    );
    assert_eq!(traces(engine, &name), [""; 0], "{engine:?}");
}

#[test]
fn an_image_that_an_engine_built_is_tested_before_its_first_tag() {
    for engine in Engine::RUNNERS {
        tested_before_its_first_tag(engine);
    }
}

fn tested_before_its_first_tag(engine: Engine) {
    let (name, base) = (fresh_name("tested"), services::base_busybox());
    let proxy = fault_proxy(services::registry(), None);
    let registry = proxy.host();
    let image = |test: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = \"{base}\"\n[[run]]\nscript = \"echo built > /etc/built\"\n{test}"
        )
    };
    let failing = "[[test]]\nfile = \"/etc/none\"\n";
    let golden = engine
        .on(Golden::new())
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{registry}\"\n\
             [[gate]]\nname = \"record\"\ncommand = [\"sh\", \"-c\", \"echo {{reference}} >> seen\"]\n"
        ))
        .image("app", &image(failing));
    let run = golden.run(&["build", "--push"]).exit(1);
    assert!(
        run.stderr.contains("1 of 1 test failed; no tag was moved"),
        "{}",
        run.stderr
    );
    assert_eq!(tags(&name), [""; 0]);
    assert!(!golden.path().join("seen").exists());

    let passing = "[[test]]\nfile = \"/etc/built\"\ncontains = \"built\"\n[[test]]\nrun = [\"cat\", \"/etc/built\"]\nstdout = { equals = \"built\" }\n";
    golden.write("app/image.toml", image(passing));
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(tags(&name), ["1", "1.2", "1.2.3", "latest"]);
    let published = digest(&name, "1.2.3").unwrap();
    let seen = || {
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        std::fs::read_to_string(golden.path().join("seen")).unwrap()
    };
    assert_eq!(seen(), format!("{registry}/{name}@{published}\n"));
    assert!(
        tags(&name)
            .iter()
            .all(|tag| digest(&name, tag).as_ref() == Some(&published))
    );

    proxy.heal();
    let run = golden.run(&["build", "--push", "--format", "json"]).exit(0);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        document["images"][0]["outcome"], "unchanged",
        "{}",
        run.stdout
    );
    let requests = proxy.requests();
    let is_read = |request: &String| request.starts_with("GET ") || request.starts_with("HEAD ");
    assert!(requests.iter().all(is_read), "{requests:?}");
    assert_eq!(seen().lines().count(), 1);
    assert_eq!(traces(engine, &name), [""; 0]);
}
