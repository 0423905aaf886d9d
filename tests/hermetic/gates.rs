//! `[[gate]]`: commands that decide if tags may move.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::{Golden, Run};

const APP: &str = "[image]\nname = \"team/app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n\
    [[files]]\ncontent = \"hello\"\ntarget = \"/etc/motd\"\n";

fn workspace(registry: &FakeRegistry, gates: &str) -> Golden {
    let host = registry.host();
    Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{host}\"\n{gates}"
        ))
        .image("app", APP)
        .env("SOURCE_DATE_EPOCH", "0")
}

/// A gate that runs a shell script.
fn gate(script: &str, more: &str) -> String {
    format!("[[gate]]\nname = \"scan\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}\n")
}

#[test]
fn a_gate_receives_the_image_and_no_login() {
    let registry = FakeRegistry::start(Behaviour::default());
    let script = "echo {reference} {image} {version} {platform}; cat {layout}/oci-layout; grep -c bomFormat {sbom}; \
        echo {layout} > where; env; curl -sf -H 'Accept: */*, application/vnd.oci.image.manifest.v1+json' http://$(echo {reference} | sed 's,/team/app@,/v2/team/app/manifests/,') -o manifest";
    let golden = workspace(&registry, &gate(script, ""))
        .env("GOLDEN_REGISTRY_USER", "publisher")
        .env("GOLDEN_REGISTRY_PASSWORD", "hunter2");
    let run = golden.run(&["build", "--push", "--format", "json"]).exit(0);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let image = &document["images"][0];
    let gate = &image["gates"][0];
    assert_eq!(
        (&gate["passed"], &gate["exit"]),
        (&true.into(), &0.into()),
        "{gate}"
    );
    let output = gate["output"].as_str().unwrap();
    let digest = image["digest"].as_str().unwrap();
    let first = format!(
        "{}/team/app@{digest} team/app 1.0.0 linux/amd64",
        registry.host()
    );
    assert!(output.starts_with(&first), "{output}");
    assert!(
        output.contains("imageLayoutVersion") && output.contains("}1\n"),
        "{output}"
    );
    for secret in ["publisher", "hunter2", "DOCKER_CONFIG"] {
        assert!(!output.contains(secret), "{output}");
    }
    let layout = std::fs::read_to_string(golden.path().join("where")).unwrap();
    assert!(
        !std::path::Path::new(layout.trim()).exists(),
        "{layout} is not removed"
    );
    assert!(
        golden.path().join("manifest").exists(),
        "the image exists by digest"
    );
    assert_eq!(registry.tags("team/app").len(), 4);
}

#[test]
fn a_new_image_is_sent_once_before_its_gate() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = workspace(&registry, &gate("true", ""));
    let both = "[\"linux/amd64\", \"linux/arm64\"]";
    golden.write("app/image.toml", APP.replace("[\"linux/amd64\"]", both));
    golden.run(&["build", "--push"]).exit(0);
    let index = &registry.tags("team/app")["1.0.0"];
    let requests = registry.requests();
    let puts = requests
        .iter()
        .filter(|line| line.starts_with("PUT /v2/team/app/manifests/sha256:"));
    let children: Vec<&String> = puts.filter(|line| !line.contains(index.as_str())).collect();
    assert_eq!(children.len(), 2, "{requests:#?}");
}

#[test]
fn a_gate_fails_closed() {
    for (gate, because) in [
        (
            gate("echo found it; exit 3", ""),
            "the gate `scan` failed: exit code 3",
        ),
        (gate("kill -9 $$", ""), "signal: 9"),
        (
            "[[gate]]\nname = \"scan\"\ncommand = [\"no-such-scanner\"]\n".to_owned(),
            "the program `no-such-scanner` is not in PATH",
        ),
        (
            "[[gate]]\nname = \"scan\"\ncommand = [\"./scan.sh\"]\n".to_owned(),
            "the program `./scan.sh` does not exist",
        ),
        (gate("exit 1", "sarif = \"none.sarif\""), "exit code 1"),
    ] {
        let registry = FakeRegistry::start(Behaviour::default());
        let run = workspace(&registry, &gate)
            .run(&["build", "--push"])
            .exit(1);
        assert!(run.stderr.contains(because), "{}", run.stderr);
        assert!(run.stderr.contains("no tag was moved"), "{}", run.stderr);
        assert_eq!(
            run.stderr.contains("found it"),
            gate.contains("found it"),
            "{}",
            run.stderr
        );
        assert!(registry.tags("team/app").is_empty(), "{gate}");
    }
    // A gate for other images or for another command is not run.
    for more in ["images = [\"other/*\"]", "on = [\"promote\"]"] {
        let registry = FakeRegistry::start(Behaviour::default());
        workspace(&registry, &gate("exit 1", more))
            .run(&["build", "--push"])
            .exit(0);
    }
}

#[cfg(unix)]
#[test]
fn a_script_without_its_interpreter_is_not_a_missing_program() {
    use std::os::unix::fs::PermissionsExt;
    let scan = "[[gate]]\nname = \"scan\"\ncommand = [\"./scan.sh\"]\n";
    for (first, because) in [
        (
            "#!/absent/python",
            "the program `./scan.sh` cannot be started: the interpreter of the script, \
             `/absent/python`, does not exist",
        ),
        ("#!/bin/sh\r", "`#!/bin/sh`, ends with a carriage return"),
        // The interpreter exists, but its own interpreter does not.
        (
            "#!./inner.sh",
            "the program `./scan.sh` cannot be started: a file that it needs does not exist",
        ),
    ] {
        let registry = FakeRegistry::start(Behaviour::default());
        let golden = workspace(&registry, scan);
        for (name, first) in [("scan.sh", first), ("inner.sh", "#!/absent/python")] {
            let script = golden.write(name, format!("{first}\nexit 0\n"));
            std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let run = golden.run(&["build", "--push"]).exit(1);
        assert!(run.stderr.contains(because), "{}", run.stderr);
        assert!(registry.tags("team/app").is_empty(), "{first:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_temporary_directory_whose_name_is_not_utf_8_is_named() {
    use std::os::unix::ffi::OsStrExt as _;
    let registry = FakeRegistry::start(Behaviour::default());
    let build = |script: &str| {
        let golden = workspace(&registry, &gate(script, ""));
        let name = std::ffi::OsStr::from_bytes(b"temporary-\xff");
        let directory = golden.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        let mut command = golden.command(&["build", "--push"]);
        Run::of(command.env("TMPDIR", directory).output().unwrap())
    };
    for placeholder in ["layout", "sbom"] {
        let run = build(&format!("test -e {{{placeholder}}}")).exit(1);
        let because = "the temporary directory has a name that is not UTF-8";
        assert!(run.stderr.contains(because), "{}", run.stderr);
        assert!(run.stderr.contains("set TMPDIR"), "{}", run.stderr);
        assert!(registry.tags("team/app").is_empty(), "{placeholder}");
    }
    // Other gates need no file.
    build("true").exit(0);
}

/// Gates can take minutes, so the tags are decided again after them.
#[test]
fn a_version_that_is_published_while_a_gate_runs_keeps_its_tags() {
    let registry = FakeRegistry::start(Behaviour::default());
    let publish = |version: &str, content: &str| {
        let text = APP.replace("1.0.0", version).replace("hello", content);
        let other = workspace(&registry, "").image("app", &text);
        let golden = env!("CARGO_BIN_EXE_golden");
        let script = format!("{golden} -w {} build --push", other.path().display());
        (workspace(&registry, &gate(&script, "")), other)
    };
    let (golden, _other) = publish("1.1.0", "newer");
    golden.run(&["build", "--push"]).exit(0);
    let tags = registry.tags("team/app");
    assert_ne!(tags["1.0.0"], tags["1.1.0"]);
    for tag in ["1", "latest"] {
        assert_eq!(tags[tag], tags["1.1.0"], "{tag}");
        let route = format!("/v2/team/app/manifests/{tag}");
        let seen = registry.server.seen();
        let puts = seen
            .iter()
            .filter(|seen| seen.method == "PUT" && seen.route() == route);
        assert_eq!(puts.count(), 1, "{tag} was moved back for a moment");
    }
    // The same version with other content is published first, so this one is refused.
    let (golden, other) = publish("2.0.0", "theirs");
    golden.write("app/image.toml", APP.replace("1.0.0", "2.0.0"));
    golden.run(&["build", "--push"]).exit(4);
    let tags = registry.tags("team/app");
    other.run(&["build", "--push"]).exit(0);
    assert_eq!(registry.tags("team/app"), tags);
}

#[test]
fn all_processes_of_a_gate_end_at_its_time_limit() {
    let registry = FakeRegistry::start(Behaviour::default());
    let script = "sh -c 'sleep 600 & echo $! > child; wait' & echo begun; wait";
    let golden = workspace(&registry, &gate(script, "timeout = \"5s\""));
    let start = Instant::now();
    let run = golden.run(&["build", "--push"]).exit(1);
    assert!(
        run.stderr.contains("it did not end within 5 s"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("begun"), "{}", run.stderr);
    assert!(start.elapsed() < Duration::from_mins(5));
    assert_ended(&std::fs::read_to_string(golden.path().join("child")).unwrap());
    assert!(registry.tags("team/app").is_empty());
}

/// Waits for the end of a process that was killed; the kernel ends it a moment later.
#[track_caller]
fn assert_ended(process: &str) {
    let process: u32 = process.trim().parse().unwrap();
    let is_running = || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        status.is_ok_and(|status| !status.contains("State:\tZ"))
    };
    let start = Instant::now();
    while is_running() {
        assert!(start.elapsed() < Duration::from_secs(30), "{process} runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_interruption_ends_the_gate_and_removes_its_files() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = workspace(
        &registry,
        &gate(
            "echo {layout} > where; sleep 600 & echo $! > child; wait",
            "",
        ),
    );
    let mut command = golden.command(&["build", "--push"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let file = golden.path().join("child");
    let start = Instant::now();
    while !std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "the gate did not start"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let signal = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert_ended(&std::fs::read_to_string(&file).unwrap());
    let layout = std::fs::read_to_string(golden.path().join("where")).unwrap();
    assert!(
        !std::path::Path::new(layout.trim()).exists(),
        "{layout} is not removed"
    );
}

#[test]
fn results_with_an_exception_do_not_count() {
    let sarif = r#"{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "scanner"}}, "results": [
        {"ruleId": "CVE-2026-1", "message": {"text": "one"}}, {"ruleId": "CVE-2026-2", "message": {"text": "two"}}]}]}"#;
    let more = |until: &str| {
        format!(
            "sarif = \"out.sarif\"\n[[gate.except]]\nid = \"CVE-2026-1\"\nreason = \"not reachable\"\nuntil = 2999-01-31\n\
             [[gate.except]]\nid = \"CVE-2026-2\"\nreason = \"no fix\"\nuntil = {until}\n"
        )
    };
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = workspace(
        &registry,
        &gate("cp in.sarif out.sarif; exit 1", &more("2020-01-31")),
    );
    golden.write("in.sarif", sarif);
    let run = golden
        .run(&["build", "--push", "--format", "sarif"])
        .exit(1);
    assert!(
        run.stderr
            .contains("the gate `scan` failed: exit code 1: CVE-2026-2;"),
        "{}",
        run.stderr
    );
    let log: Value = serde_json::from_str(&run.stdout).unwrap();
    let runs = log["runs"].as_array().unwrap();
    assert_eq!(runs[0]["tool"]["driver"]["name"], "golden");
    assert_eq!(runs[1]["tool"]["driver"]["name"], "scanner");
    let reason = "/results/0/suppressions/0/justification";
    assert_eq!(
        runs[1].pointer(reason).unwrap(),
        "not reachable (until 2999-01-31)"
    );
    assert!(runs[1].pointer("/results/1/suppressions").is_none());

    let host = registry.host();
    let text = format!(
        "[[registry]]\nname = \"t\"\nhost = \"{host}\"\n{}",
        gate("cp in.sarif out.sarif; exit 1", &more("\"2999-01-31\""))
    );
    let golden = golden.workspace(&text);
    // A file of an earlier run, and the end by a signal, are no results.
    for script in ["exit 1", "cp in.sarif out.sarif; kill -9 $$"] {
        let other = text.replace("cp in.sarif out.sarif; exit 1", script);
        golden.write("golden.toml", other);
        golden.run(&["build", "--push"]).exit(1);
        assert!(registry.tags("team/app").is_empty(), "{script}");
    }
    golden.write("golden.toml", &text);
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(registry.tags("team/app").len(), 4);
}

#[test]
fn a_promotion_runs_its_gates_before_the_first_tag() {
    let registry = FakeRegistry::start(Behaviour::default());
    let digest = registry.image("staging/app", "content", &["1.0.0", "1.0"]);
    let golden = workspace(
        &registry,
        &gate(
            "echo {reference} {version}; test -e pass",
            "on = [\"promote\"]\nimages = [\"prod/*\"]",
        ),
    );
    let (from, to) = (
        format!("{}/staging/app:1.0.0", registry.host()),
        format!("{}/prod/app", registry.host()),
    );
    let run = golden.run(&["promote", &from, &to]).exit(1);
    assert!(
        run.stderr
            .contains("the gate `scan` failed: exit code 1; no tag was moved"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains(&format!("{to}@{digest} 1.0.0")),
        "{}",
        run.stderr
    );
    assert!(registry.tags("prod/app").is_empty());
    golden.write("pass", "");
    let run = golden
        .run(&["promote", &from, &to, "--format", "json"])
        .exit(0);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["gates"][0]["passed"], true);
    assert_eq!(registry.tags("prod/app")["1.0.0"], digest);
}

#[test]
fn a_version_that_is_promoted_while_a_gate_runs_keeps_its_tags() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("staging/old", "old", &["1.0.0", "1", "latest"]);
    let newer = registry.image("staging/new", "new", &["2.0.0", "2", "latest"]);
    let host = registry.host();
    let other = workspace(&registry, "");
    let golden = env!("CARGO_BIN_EXE_golden");
    let script = format!(
        "{golden} -w {} promote {host}/staging/new:2.0.0 {host}/prod/app --tags",
        other.path().display()
    );
    workspace(&registry, &gate(&script, "on = [\"promote\"]"))
        .run(&[
            "promote",
            &format!("{host}/staging/old:1.0.0"),
            &format!("{host}/prod/app"),
            "--tags",
        ])
        .exit(0);
    let tags = registry.tags("prod/app");
    assert!(tags.contains_key("1.0.0"), "{tags:?}");
    assert_eq!(tags["latest"], newer);
    let seen = registry.server.seen();
    let moves = seen
        .iter()
        .filter(|seen| seen.method == "PUT" && seen.route() == "/v2/prod/app/manifests/latest");
    assert_eq!(moves.count(), 1, "`latest` was moved back for a moment");
}

#[test]
fn mistakes_in_gates_are_reported_with_their_position() {
    for (gate, message, place) in [
        ("command = [\"a\"]", "`name` is missing in [[gate]]", "4:1"),
        ("name = \"a\"", "`command` is missing in [[gate]]", "4:1"),
        (
            "name = \"a\"\ncommand = []",
            "the command needs at least its program",
            "6:11",
        ),
        (
            "name = \"a\"\ncommand = [\"b\", \"{layuot}\"]",
            "did you mean `{layout}`?",
            "6:11",
        ),
        (
            "name = \"a\"\ncommand = [\"b\"]\non = [\"pull\"]",
            "\"pull\" is not one of",
            "7:7",
        ),
        (
            "name = \"a\"\ncommand = [\"b\"]\ntimeout = 10",
            "invalid type",
            "7:11",
        ),
        (
            "name = \"a\"\ncommand = [\"b\"]\nimage = [\"c\"]",
            "unknown key `image` in `gate`",
            "7:1",
        ),
        (
            "name = \"a\"\ncommand = [\"b\"]\n[[gate.except]]\nid = \"x\"\nreason = \"\"\nuntil = 2027-01-31",
            "the exception for `x` has no reason",
            "7:",
        ),
        (
            "name = \"a\"\ncommand = [\"b\"]\n[[gate.except]]\nid = \"\"\nreason = \"y\"\nuntil = 2027-01-31",
            "the id of an exception is empty",
            "7:",
        ),
        (
            "name = \"a\"\ncommand = [\"b\"]\n[[gate.except]]\nid = \"x\"\nreason = \"y\"",
            "missing field `until`",
            "7:",
        ),
    ] {
        let registry = FakeRegistry::start(Behaviour::default());
        let run = workspace(&registry, &format!("[[gate]]\n{gate}\n"))
            .run(&["check"])
            .exit(2);
        assert!(run.stderr.contains(message), "{gate}: {}", run.stderr);
        let place = format!("golden.toml:{place}");
        assert!(run.stderr.contains(&place), "{gate}: {}", run.stderr);
    }
}
