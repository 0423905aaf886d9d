//! The semantics of specs: merge, templates, matrix, files and labels, checked through the rendered
//! result; and the schema.

use serde_json::Value;

use crate::support::workspace::Golden;

const FINE: &str = "[image]\nname = \"a\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n";

#[test]
fn defaults_are_merged_under_images() {
    let golden = Golden::new()
        .workspace(
            r#"
[vars]
team = "platform"
[defaults.labels]
vendor = "Example"
gone = "x"
team = "{{ vars.team }}/{{ image.name }}"
[defaults.env]
FIRST = "1"
LAST = "default"
GONE = "x"
[defaults.config]
user = "10001:10001"
expose = [80]
[[defaults.files]]
content = "default"
target = "/etc/default"
"#,
        )
        .image(
            "a",
            &format!(
                "{FINE}{}",
                r#"
[labels]
gone = false
vendor = "Own"
"org.opencontainers.image.title" = false
[env]
LAST = "own"
GONE = false
NEW = "{% not special %}"
[config]
expose = [8080]
[[files]]
content = "own"
target = "/etc/own"
"#
            ),
        );
    insta::assert_snapshot!(golden.run(&["render"]).exit(0).stdout);
}

#[test]
fn a_matrix_makes_one_image_for_each_combination() {
    let golden = Golden::new().workspace("").image(
        "a",
        r#"
[image]
name = "a"
version = "1.0.0"
base = "registry.example.com/{{ matrix.distro }}:1"
variant = "{{ matrix.distro }}"
[labels]
arch = "{{ matrix.arch }}"
[matrix]
distro = ["debian", "alpine"]
arch = ["amd64"]
include = [{ distro = "ubuntu", arch = "arm64" }]
exclude = [{ distro = "alpine" }]
"#,
    );
    let json = golden.run(&["matrix", "--format", "json"]).exit(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let images: Vec<&str> = json["waves"][0]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["image"].as_str().unwrap())
        .collect();
    assert_eq!(images, ["a:1.0.0-debian", "a:1.0.0-ubuntu"]);
}

#[test]
fn git_is_only_for_tags_and_the_time_elsewhere_is_a_warning() {
    let golden = Golden::new().workspace("").image(
        "a",
        &format!(
            "{FINE}[labels]\nbuilt = \"{{{{ now }}}}\"\n[tags]\nextra = [\"t{{{{ now | length }}}}\"]\n"
        ),
    );
    let run = golden.run(&["check"]).exit(0);
    assert!(
        run.stderr.contains("spec.volatile") && run.stderr.contains(":6:"),
        "{}",
        run.stderr
    );
    assert_eq!(
        run.stderr.matches("spec.volatile").count(),
        1,
        "{}",
        run.stderr
    );
    golden.write(
        "a/image.toml",
        format!("{FINE}[labels]\nsha = \"{{{{ git.sha }}}}\"\n"),
    );
    let run = golden.run(&["check"]).exit(2);
    assert!(
        run.stderr.contains("`git.sha` is not defined"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_disabled_health_check_has_no_times() {
    let inputs = |check: &str| {
        let off = format!("{FINE}[config]\nhealthcheck = {{ {check} }}\n");
        let golden = Golden::new()
            .workspace("")
            .image("a", &off)
            .env("DOCKER_HOST", "unix:///nowhere");
        let json: Value =
            serde_json::from_str(&golden.run(&["plan", "--format", "json"]).exit(0).stdout)
                .unwrap();
        json["images"][0]["inputs"].as_str().unwrap().to_owned()
    };
    let off = inputs("test = [\"NONE\"]");
    assert_eq!(
        inputs("test = [\"NONE\"], interval = \"3s\", timeout = \"1s\", retries = 2"),
        off
    );
    assert_ne!(inputs("test = [\"CMD\", \"x\"]"), off);
}

#[test]
fn the_state_of_golden_and_git_is_not_copied_into_an_image() {
    let golden = Golden::new()
        .workspace("")
        .file(
            "image.toml",
            format!("{FINE}[[files]]\nsource = \".\"\ntarget = \"/all\"\n"),
        )
        .file("app/main", "");
    let inputs = || {
        let json = golden
            .run(&["plan", "--engine", "embedded", "--format", "json"])
            .exit(0)
            .stdout;
        let json: Value = serde_json::from_str(&json).unwrap();
        json["images"][0]["inputs"].as_str().unwrap().to_owned()
    };
    let before = inputs();
    golden.run(&["build", "--engine", "embedded"]).exit(0);
    assert_eq!(inputs(), before, "after a build");
    golden.write(".git/config", "url = https://token@example.com/");
    golden.write("app/.git", "gitdir: ../.git/modules/app");
    assert_eq!(inputs(), before, "in a repository");
    golden.write("app/other", "");
    assert_ne!(inputs(), before);
}

#[test]
fn invalid_target_names_are_reported_at_their_position() {
    let long = "n".repeat(256);
    for target in ["/etc/.wh.motd", &format!("/{long}/x")] {
        let text = format!("{FINE}[[files]]\ncontent = \"x\"\ntarget = \"{target}\"\n");
        let run = Golden::new()
            .workspace("")
            .image("a", &text)
            .run(&["check"])
            .exit(2);
        assert!(run.stderr.contains("a/image.toml:6:11"), "{}", run.stderr);
    }
    let text = format!("{FINE}[[files]]\nsource = \"tree\"\ntarget = \"/\"\n");
    let golden = Golden::new()
        .workspace("")
        .image("a", &text)
        .file("a/tree/.wh.etc", "");
    assert!(golden.run(&["check"]).exit(2).stderr.contains("`/.wh.etc`"));
}

#[test]
fn templates_cannot_read_the_environment() {
    let golden = Golden::new().workspace("").env("SECRET", "hunter2");
    for expression in [
        "env.SECRET",
        "SECRET",
        "environ",
        "self",
        "context",
        "debug()",
        "range(3).__class__",
    ] {
        golden.write(
            "a/image.toml",
            format!("{FINE}[labels]\nx = \"{{{{ {expression} }}}}\"\n"),
        );
        let run = golden.run(&["render"]);
        assert!(
            !format!("{}{}", run.stdout, run.stderr).contains("hunter2"),
            "{expression}"
        );
    }
}

#[test]
fn schemas_and_the_parser_agree() {
    for (file, text) in [
        ("image", example("image")),
        ("workspace", example("workspace")),
    ] {
        let schema: serde_json::Value =
            serde_json::from_str(&Golden::new().run(&["schema", file]).exit(0).stdout).unwrap();
        let value: toml::Table = toml::from_str(&text).unwrap();
        let value = serde_json::to_value(&value).unwrap();
        assert_eq!(validate(&schema, &schema, &value), Ok(()), "{file}");
        // The schema also refuses unknown keys in every table of the example, as the parser does.
        for path in tables(&value) {
            let mut wrong = value.clone();
            let table = wrong.pointer_mut(&path).unwrap().as_object_mut().unwrap();
            table.insert("no_such_key".to_owned(), serde_json::json!({ "x": [[]] }));
            assert!(
                validate(&schema, &schema, &wrong).is_err(),
                "{file}: {path} takes unknown keys"
            );
        }
        // A list is not a table, even if its elements are the table's keys.
        for path in tables(&value).iter().filter(|path| !path.is_empty()) {
            let mut wrong = value.clone();
            *wrong.pointer_mut(path).unwrap() = serde_json::json!([]);
            assert!(
                validate(&schema, &schema, &wrong).is_err(),
                "{file}: {path} takes a list"
            );
            let text = toml::to_string(&wrong).unwrap();
            let golden = match file {
                "image" => Golden::new().workspace("").image("a", &text),
                _ => Golden::new().workspace(&text).image("a", FINE),
            };
            let run = golden.run(&["check"]).exit(2);
            assert!(
                run.stderr.contains("invalid type: list, expected a "),
                "{file}: {path}: {}",
                run.stderr
            );
        }
    }
}

#[test]
fn the_schemas_refuse_what_the_parser_refuses() {
    let refuse = |file: &str, text: &str| {
        let schema: serde_json::Value =
            serde_json::from_str(&Golden::new().run(&["schema", file]).exit(0).stdout).unwrap();
        let value = serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
        let golden = match file {
            "image" => Golden::new().workspace("").image("a", text),
            _ => Golden::new().workspace(text).image("a", FINE),
        };
        let parser = golden.run(&["check"]).code == 2;
        assert_eq!(
            (validate(&schema, &schema, &value).is_err(), parser),
            (true, true),
            "{file}:\n{text}"
        );
    };
    refuse("image", "[labels]\na = \"b\"\n");
    for image in [
        "version = \"1.0.0\"\nbase = \"scratch\"",
        "name = \"a\"\nbase = \"scratch\"",
        "name = \"a\"\nversion = \"1.0.0\"",
        "name = \"A\"\nversion = \"1.0.0\"\nbase = \"scratch\"",
        "name = \"a\"\nversion = \"1.0\"\nbase = \"scratch\"",
        "name = \"a\"\nversion = \"v1.0.0\"\nbase = \"scratch\"",
        "name = \"a\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nvariant = \"X\"",
    ] {
        refuse("image", &format!("[image]\n{image}\n"));
    }
    for more in [
        "[[files]]\ncontent = \"x\"",
        "[[files]]\ntarget = \"/x\"",
        "[[files]]\ncontent = \"x\"\nsource = \"x\"\ntarget = \"/x\"",
        "[[files]]\ncontent = \"x\"\ntarget = \"/x\"\nmode = \"rw\"",
        "[[run]]\nname = \"x\"",
        "[matrix]\ndistro = []",
    ] {
        refuse("image", &format!("{FINE}{more}\n"));
    }
    for text in [
        "[[registry]]\nname = \"team\"",
        "[[registry]]\nhost = \"h\"",
        "[policy.labels]\nx = {}",
        "[[defaults.files]]\ncontent = \"x\"",
    ] {
        refuse("workspace", &format!("{text}\n"));
    }
}

#[test]
fn the_schemas_accept_templates_and_directory_targets() {
    let schema: serde_json::Value =
        serde_json::from_str(&Golden::new().run(&["schema", "image"]).exit(0).stdout).unwrap();
    for text in [
        "[image]\nname = \"{{ vars.x }}\"\nversion = \"{{ matrix.v }}\"\nbase = \"scratch\"\nvariant = \"\"",
        "[image]\nname = \"a/b--c\"\nversion = \"1.0.0-rc.1+b\"\nbase = \"scratch\"\nvariant = \"x-3.20\"\n[[files]]\ntarget = \"/x/\"\nmode = \"1777\"",
    ] {
        let value = serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
        assert_eq!(validate(&schema, &schema, &value), Ok(()), "{text}");
    }
}

/// Validates `value` against `schema`, with the JSON Schema keywords that these schemas use. An
/// unknown keyword fails the test.
fn validate(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(words) = schema else {
        return if *schema == Value::Bool(true) {
            Ok(())
        } else {
            Err(format!("{value} is not allowed"))
        };
    };
    let all = |schemas: &Value| {
        schemas
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| validate(root, s, value).is_ok())
            .count()
    };
    let mismatch = |word: &str| Err(format!("{value}: {word}"));
    for (word, wanted) in words {
        match word.as_str() {
            "$ref" => {
                let path = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                validate(root, root.pointer(path).unwrap(), value)?;
            }
            "type" => {
                let has_type = |kind: &Value| match kind.as_str().unwrap() {
                    "string" => value.is_string(),
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64(),
                    other => panic!("type {other}"),
                };
                if !wanted
                    .as_array()
                    .map_or_else(|| has_type(wanted), |kinds| kinds.iter().any(has_type))
                {
                    return mismatch("type");
                }
            }
            "anyOf" if all(wanted) == 0 => return mismatch("anyOf"),
            "not" if validate(root, wanted, value).is_ok() => return mismatch("not"),
            "oneOf" if all(wanted) != 1 => return mismatch("oneOf"),
            "allOf" if all(wanted) != wanted.as_array().unwrap().len() => return mismatch("allOf"),
            "enum" if !wanted.as_array().unwrap().contains(value) => return mismatch("enum"),
            "const" if wanted != value => return mismatch("const"),
            "pattern" => {
                let pattern = regex::Regex::new(wanted.as_str().unwrap()).unwrap();
                if !value.as_str().is_none_or(|text| pattern.is_match(text)) {
                    return mismatch("pattern");
                }
            }
            "minItems" if value.as_array().is_some_and(Vec::is_empty) => return mismatch(word),
            "minimum" if value.as_i64() < wanted.as_i64() => return mismatch("minimum"),
            "maximum" if value.as_i64() > wanted.as_i64() => return mismatch("maximum"),
            "minProperties" if value.as_object().is_some_and(serde_json::Map::is_empty) => {
                return mismatch(word);
            }
            "$schema" | "title" | "description" | "definitions" | "not" | "anyOf" | "oneOf"
            | "allOf" | "enum" | "const" | "minimum" | "maximum" | "minItems" | "minProperties"
            | "properties" => {}
            "items" => {
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .try_for_each(|item| validate(root, wanted, item))?;
            }
            "required" => {
                if wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|key| value.get(key.as_str().unwrap()).is_none())
                {
                    return mismatch("required");
                }
            }
            "additionalProperties" => {
                for (key, below) in value.as_object().into_iter().flatten() {
                    if words
                        .get("properties")
                        .is_none_or(|known| known.get(key).is_none())
                    {
                        validate(root, wanted, below).map_err(|error| format!("{key}: {error}"))?;
                    }
                }
            }
            other => panic!("the schema uses `{other}`, which this test does not know"),
        }
    }
    for (key, wanted) in words
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let Some(below) = value.get(key) {
            validate(root, wanted, below).map_err(|error| format!("{key}: {error}"))?;
        }
    }
    Ok(())
}

/// JSON pointers of every table.
fn tables(value: &serde_json::Value) -> Vec<String> {
    let mut found = Vec::new();
    let children: Vec<(String, &serde_json::Value)> = match value {
        serde_json::Value::Object(table) => {
            found.push(String::new());
            table
                .iter()
                .map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value))
                .collect()
        }
        serde_json::Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(n, value)| (n.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in children {
        found.extend(
            tables(value)
                .into_iter()
                .map(|below| format!("/{key}{below}")),
        );
    }
    found
}

/// The complete example of the guide, with all tables.
fn example(file: &str) -> String {
    match file {
        "image" => IMAGE.to_owned(),
        _ => WORKSPACE.to_owned(),
    }
}

const WORKSPACE: &str = r#"
[workspace]
images = ["**/image.toml"]
templates = []

[vars]
team = "platform"

[[registry]]
name = "team"
host = "registry.example.com:5000"
namespace = "golden"
default = true

[defaults.labels]
vendor = "Example"

[policy]
required_labels = ["framework", "version", "description", "owner"]

[policy.labels]
owner = { pattern = '[a-z.-]+@example\.com' }
framework = { one_of = ["dotnet", "java", "node"] }
"org.opencontainers.image.source" = { format = "url" }

[policy.base]
allow = ["mcr.microsoft.com/**", "docker.io/library/debian"]
require_digest = false
deny_tags = ["latest"]

[policy.config]
deny_root = true
ports = { min = 80, max = 65535 }

[policy.env]
deny_secrets = true

[policy.certs]
min_days_left = 30

[policy.severity]
"base.deny_tags" = "warn"
"#;

const IMAGE: &str = r#"
[image]
name = "dotnet/aspnet"
version = "3.0.1"
description = ".NET 3.0 runtime"
base = "mcr.microsoft.com/dotnet/core/aspnet:3.0"
family = "debian"
template = "debian"
platforms = ["linux/amd64"]
variant = "alpine"

[labels]
framework = "dotnet"
owner = "golden-images@example.com"

[env]
DOTNET_CLI_TELEMETRY_OPTOUT = "1"

[config]
expose = [80, "443/tcp", "53/udp", "8000-8010"]
user = "10001:10001"
workdir = "/app"
entrypoint = ["/usr/bin/tini", "--"]
cmd = ["/bin/sh"]
volumes = ["/data"]
stop_signal = "SIGTERM"
shell = ["/bin/bash", "-c"]
healthcheck = { test = ["CMD", "/bin/check"], interval = "30s", timeout = "5s", start_period = "10s", retries = 3 }

[packages]
install = ["tini", "curl=7.88.*"]
remove = []

[[files]]
content = "hello"
target = "/etc/motd"
mode = "0644"
owner = "0:0"

[[run]]
name = "create the app user"
script = "adduser --system app"
user = "root"
secrets = ["npm_token"]

[tags]
latest = "auto"
extra = ["{{ matrix.distro }}-edge"]

[matrix]
distro = ["bookworm", "alpine3.20"]
exclude = [{ distro = "alpine3.20", arch = "s390x" }]
include = [{ distro = "trixie" }]
"#;

#[test]
fn the_example_with_every_key_parses() {
    let image = IMAGE.replace("variant = \"alpine\"", "variant = \"{{ matrix.distro }}\"");
    let golden = Golden::new()
        .workspace(&WORKSPACE.replace(
            "ports = { min = 80, max = 65535 }",
            "ports = { min = 53, max = 65535 }",
        ))
        .image("a", &image);
    let run = golden.run(&["check"]).exit(0);
    assert!(run.stderr.contains("3 images are valid"), "{}", run.stderr);
}
