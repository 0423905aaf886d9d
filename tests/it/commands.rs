//! `[[test]] run`: commands that an engine runs in containers of an image.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::curl::{digest, tags};
use crate::support::proxy::fault_proxy;
use crate::support::publisher::fresh_name;
use crate::support::services;
use crate::support::workspace::Golden;

/// A workspace with an image on busybox that needs no engine to be built.
fn app(name: &str, tests: &str) -> Golden {
    let (base, registry) = (services::base_busybox(), services::registry());
    let image = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"{base}\"\n[env]\nGREETING = \"hello\"\n\
         [config]\nuser = \"1234\"\nentrypoint = [\"/bin/false\"]\n\
         [[files]]\ncontent = \"{name}\"\ntarget = \"/etc/name\"\n{tests}"
    );
    Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{registry}\"\n"
        ))
        .image("app", &image)
}

/// The lines that a command of the engine's client prints.
fn docker(args: &[&str]) -> Vec<String> {
    let output = Command::new("docker")
        .args(["-H", services::docker_host()])
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The containers and the temporary images of tests that the engine has.
fn traces(name: &str) -> Vec<String> {
    let mut found = containers(name);
    let images = [
        "images",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        "localhost/golden/test",
    ];
    for image in docker(&images) {
        let title = "{{index .Config.Labels \"org.opencontainers.image.title\"}}";
        let titles = docker(&["image", "inspect", "--format", title, &image]);
        found.extend(titles.into_iter().filter(|title| title == name));
    }
    found
}

/// The commands of the containers of tests in which this name occurs.
fn containers(name: &str) -> Vec<String> {
    let list = [
        "ps",
        "-a",
        "--no-trunc",
        "--filter",
        "name=golden-test-",
        "--format",
        "{{.Status}} {{.Command}}",
    ];
    docker(&list)
        .into_iter()
        .filter(|line| line.contains(name))
        .collect()
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
run = ["sh", "-c", "ls /sys/class/net | grep -v '^lo$' | grep -c eth"]
exit = 1
[[test]]
name = "there is a network"
run = ["sh", "-c", "ls /sys/class/net"]
network = true
stdout = { contains = "eth0" }
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
fn commands_run_in_containers_of_the_image() {
    let name = fresh_name("commands");
    let golden = app(&name, &format!("{PASSING}{FAILING}"));
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
    assert_eq!(traces(&name), [""; 0]);

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
    assert_eq!(traces(&name), [""; 0]);
}

#[test]
fn an_interrupted_test_leaves_nothing_in_the_engine() {
    let name = fresh_name("commands");
    let tests =
        format!("[[test]]\nrun = [\"sh\", \"-c\", \"sleep 300 # {name}\"]\ntimeout = \"5m\"\n");
    let golden = app(&name, &tests);
    let mut child = golden
        .command(&["test"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !containers(&name).iter().any(|line| line.starts_with("Up")) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the command does not run"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let lines: Vec<String> = stderr.lines().map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{lines:?}");
    assert_eq!(traces(&name), [""; 0]);
}

#[test]
fn an_image_that_an_engine_built_is_tested_before_its_first_tag() {
    let (name, base) = (fresh_name("tested"), services::base_busybox());
    let proxy = fault_proxy(services::registry(), None);
    let registry = proxy.host();
    let image = |test: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = \"{base}\"\n[[run]]\nscript = \"echo built > /etc/built\"\n{test}"
        )
    };
    let failing = "[[test]]\nfile = \"/etc/none\"\n";
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
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
    assert_eq!(traces(&name), [""; 0]);
}
