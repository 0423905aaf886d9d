use super::*;

#[test]
fn a_file_is_read_in_the_order_of_its_tests() {
    let text = r#"
schemaVersion: 2.0.0
globalEnvVars:
  - { key: A, value: 1 }
fileExistenceTests:
  - name: tool
    path: /bin/$A
    permissions: '-rwxr-xr-x'
    uid: 010
    gid: -1
    isExecutableBy: any
  - { name: gone, path: /gone, shouldExist: no }
commandTests:
  - name: version
    setup: [[touch, /x]]
    teardown: [[rm, /x]]
    command: tool
    args: [--version, 1]
    expectedOutput: ['1\.2', "\\d"]
    exitCode: 3
    envVars: [{ key: B, value: yes }]
metadataTest:
  envVars:
    - &label { key: PATH, value: /bin, isRegex: true }
  labels:
    - <<: *label
      isRegex: false
  exposedPorts: [8080]
  cmd: []
  user: ~
"#;
    let file = parse(text).unwrap();
    assert_eq!(file.env, [("A".to_owned(), "1".to_owned())]);
    let names: Vec<&str> = file.cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["version", "tool", "gone", METADATA]);
    let StructureCheck::Command(command) = &file.cases[0].check else {
        panic!("{:?}", file.cases[0]);
    };
    assert_eq!(command.words, ["tool", "--version", "1"]);
    assert_eq!((command.setup.len(), command.exit), (1, 3));
    assert_eq!(command.env, [("B".to_owned(), "yes".to_owned())]);
    assert_eq!(command.stdout.expected.len(), 2);
    let StructureCheck::Existence(tool) = &file.cases[1].check else {
        panic!("{:?}", file.cases[1]);
    };
    assert_eq!(
        (tool.uid, tool.gid, tool.executable_by),
        (Some(8), None, Some(("any", 0o111)))
    );
    assert_eq!(&text[file.cases[1].span.start..][..4], "name");
    let StructureCheck::Metadata(metadata) = &file.cases[3].check else {
        panic!("{:?}", file.cases[3]);
    };
    assert_eq!(
        (metadata.cmd.as_deref(), metadata.entrypoint.as_deref()),
        (Some(&[][..]), None)
    );
    assert_eq!(
        (metadata.exposed_ports.as_slice(), &metadata.user),
        (&["8080".to_owned()][..], &None)
    );
    assert!(matches!(&metadata.env[0].1, ExpectedValue::Matches(_)));
    assert_eq!(
        metadata.labels[0].1,
        ExpectedValue::Equals("/bin".to_owned())
    );
}

#[test]
fn mistakes_have_a_position() {
    let head = "schemaVersion: 2.0.0\n";
    for (text, message, place) in [
        ("", "the file has no `schemaVersion`", 0),
        ("a: 1", "the file has no `schemaVersion`", 0),
        ("- a", "the file must be a map", 0),
        (
            "schemaVersion: 1.0.0",
            "`schemaVersion: 1.0.0` is not supported; write 2.0.0",
            15,
        ),
        ("a: [", "it is not YAML", 4),
        (&format!("{head}a: 1"), "the file has no key `a`", 21),
        (
            &format!("{head}commandTests: []"),
            "the file has no tests",
            0,
        ),
        (
            &format!("{head}metadataTest: {{}}"),
            "the file has no tests",
            0,
        ),
        (
            &format!("{head}licenseTests: [{{debian: true}}]"),
            "`licenseTests` is not supported",
            21,
        ),
        (
            &format!("{head}containerRunOptions: {{user: a}}"),
            "`containerRunOptions` is not supported",
            21,
        ),
        (
            &format!("{head}commandTests: [{{name: a}}]"),
            "needs `command`",
            36,
        ),
        (
            &format!("{head}commandTests: [{{command: a}}]"),
            "needs `name`",
            36,
        ),
        (
            &format!("{head}commandTests: [{{name: a, command: b, exitCode: '1'}}]"),
            "`exitCode` must be a number",
            68,
        ),
        (
            &format!("{head}commandTests: [{{name: a, command: b, exitCode: x}}]"),
            "`x` is not a whole number",
            68,
        ),
        (
            &format!("{head}commandTests: [{{name: a, command: b, args: c}}]"),
            "`args` must be a list",
            64,
        ),
        (
            &format!("{head}commandTests: [{{name: a, command: b, setup: [[]]}}]"),
            "a command of `setup` is empty",
            66,
        ),
        (
            &format!("{head}commandTests: [{{name: a, command: b, expectedOutput: ['(']}}]"),
            "is not a regular expression",
            75,
        ),
        (
            &format!("{head}commandTests: [{{name: a, name: b}}]"),
            "the key `name` is written twice",
            46,
        ),
        (
            &format!("{head}fileExistenceTests: [{{name: a, path: b, shouldExist: 'true'}}]"),
            "`shouldExist` must be true or false",
            74,
        ),
        (
            &format!("{head}fileExistenceTests: [{{name: a, path: b, isExecutableBy: me}}]"),
            "`me` is not owner",
            77,
        ),
        (
            &format!("{head}fileContentTests: [{{name: a, path: b, expectedContent: []}}]"),
            "no key `expectedContent`",
            59,
        ),
        (
            &format!("{head}metadataTest: {{env: []}}"),
            "`metadataTest` has no key `env` (the keys are envVars,",
            36,
        ),
        (
            &format!("{head}metadataTest: {{volumes: ['']}}"),
            "an entry of `volumes` is empty",
            45,
        ),
    ] {
        let mistake = parse(text).unwrap_err();
        assert!(mistake.message.contains(message), "{text}: {mistake:?}");
        assert_eq!(mistake.span(text).start, place, "{text}: {mistake:?}");
    }
}

#[test]
fn a_file_cannot_grow_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for number in 1..9 {
        let items = vec![format!("*a{}", number - 1); 10].join(", ");
        text.extend([format!("a{number}: &a{number} [{items}]\n")]);
    }
    assert!(
        parse(&text)
            .unwrap_err()
            .message
            .contains("too many values")
    );
    assert!(parse(&"[".repeat(10_000)).is_err());
}
