//! A spec without steps gives the same result with every engine: the builders of Docker, Podman and
//! the embedded engine make images with the same config and the same file tree.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::support::built::{Built, CONFIG_KEYS, File, client_of};
use crate::support::engines::Engine;
use crate::support::services;
use crate::support::workspace::{Golden, Run};

/// The parts of an image that must be equal.
struct Seen {
    config: Map<String, Value>,
    files: BTreeMap<String, File>,
}

/// The parts of a config that a spec can set. A missing value, an empty list and an empty string
/// count as equal.
fn config(image: &Built, engine: Engine) -> Map<String, Value> {
    let mut whole = image.config();
    if let (Some(label), Some(labels)) = (engine.own_label(), whole["Labels"].as_object_mut()) {
        labels.shift_remove(label);
    }
    if let (false, Some(env)) = (engine.keeps_env_order(), whole["Env"].as_array_mut()) {
        env.sort_by_key(Value::to_string);
    }
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    let keys = ["Labels"].into_iter().chain(CONFIG_KEYS).chain(["OnBuild"]);
    let parts = keys.map(|key| (key.to_owned(), whole[key].clone()));
    let mut config: Map<String, Value> = parts.filter(|(_, value)| !empty(value)).collect();
    // BuildKit writes `/` on scratch where the others write nothing; both mean the same.
    if config.get("WorkingDir").is_some_and(|path| path == "/") {
        config.shift_remove("WorkingDir");
    }
    // The classic builder keeps the base's times next to NONE, where they have no effect.
    if config
        .get("Healthcheck")
        .is_some_and(|check| check["Test"] == serde_json::json!(["NONE"]))
    {
        config.insert(
            "Healthcheck".to_owned(),
            serde_json::json!({ "Test": ["NONE"] }),
        );
    }
    config
}

/// The way in which an image gets into an engine.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The embedded engine builds it and loads it.
    Embedded,
    /// The engine builds it.
    Docker,
}

/// Builds the image `subject` of a workspace in one way, and reads the result from the engine.
fn seen(golden: &Golden, name: &str, engine: Engine, way: Way) -> Seen {
    let arguments: &[&str] = match way {
        Way::Embedded => &["--engine", "embedded", "--load"],
        Way::Docker => &["--engine", "docker", "--no-cache"],
    };
    let mut command = golden.command(&[&["build", "--force", name], arguments].concat());
    engine.select(&mut command);
    Run::of(command.output().unwrap()).exit(0);
    let image = Built::in_engine(engine.host(), &format!("localhost/{name}:1.0.0"));
    let seen = Seen {
        config: config(&image, engine),
        files: image.files(),
    };
    for tag in ["1.0.0", "1.0", "1", "latest"] {
        let tag = format!("localhost/{name}:{tag}");
        client_of(engine.host(), &["image", "rm", "--force", &tag]);
    }
    seen
}

/// Builds an image with both builders of the first engine, and asserts that the results are equal to
/// that of the embedded engine.
#[track_caller]
pub(crate) fn assert_equal_images(name: &str, golden: &Golden) {
    assert_equal_images_on(&[Engine::Docker20, Engine::Docker20Classic], name, golden);
}

/// Builds an image with each engine, and asserts that the results are equal to that of the embedded
/// engine.
#[track_caller]
fn assert_equal_images_on(engines: &[Engine], name: &str, golden: &Golden) {
    let embedded = seen(golden, name, engines[0], Way::Embedded);
    for &engine in engines {
        let docker = seen(golden, name, engine, Way::Docker);
        for key in docker.config.keys().chain(embedded.config.keys()) {
            let (docker, embedded) = (docker.config.get(key), embedded.config.get(key));
            assert!(
                docker == embedded,
                "{key}: {engine:?} has {docker:?}, embedded has {embedded:?}"
            );
        }
        for path in docker.files.keys().chain(embedded.files.keys()) {
            let short = |files: &BTreeMap<String, File>| {
                let file = files.get(path)?;
                let start = String::from_utf8_lossy(&file.content)
                    .chars()
                    .take(2000)
                    .collect::<String>();
                Some(format!(
                    "{} {:o} {:?} {start:?}",
                    file.kind, file.mode, file.owner
                ))
            };
            assert!(
                docker.files.get(path) == embedded.files.get(path),
                "{path}:\n{engine:?}: {:?}\nembedded: {:?}",
                short(&docker.files),
                short(&embedded.files)
            );
        }
    }
}

fn workspace() -> Golden {
    Golden::new()
        .workspace("")
        .env("DOCKER_HOST", services::docker_host())
        .env("SOURCE_DATE_EPOCH", "1600000000")
        .file("subject/tree/one", "one\n")
        .file("subject/tree/below/two", "two\n")
}

/// Every construct that needs no execution.
const EVERYTHING: &str = r#"
[labels]
framework = "dotnet"
odd = "it's \"quoted\" $HOME C:\\ # {{ '{{' }} é 🦀 "
lines = "a\r\nb\n"
"with = sign" = "x"
empty = ""

[env]
FIRST = "$NOT"
LINES = "a\nb"
PATH = { prepend = "/opt/bin:", append = ":/late" }
LAST = ""

[config]
expose = [80, "443/tcp", "53/udp", "8000-8003"]
user = "10001:10001"
workdir = "/app/deep"
entrypoint = ["/bin/echo", "a b", "$X"]
cmd = ["x", ""]
volumes = ["/data", "/more data"]
stop_signal = "SIGUSR1"
shell = ["/bin/ash", "-c"]
healthcheck = { test = ["CMD", "/bin/check", "a\nb"], interval = "30s", timeout = "1500ms", start_period = "10s", retries = 3 }

[[files]]
source = "tree"
target = "/opt/tree"

[[files]]
content = "welcome\n"
target = "/etc/motd"
mode = "4750"
owner = "12:34"

[[files]]
target = "/tmp/"
mode = "1777"
"#;

fn image(name: &str, base: &str, rest: &str) -> String {
    format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"A subject\"\nbase = {base}\n{rest}"
    )
}

#[test]
fn scratch_images_are_equal() {
    let text = EVERYTHING.replace(
        "PATH = { prepend = \"/opt/bin:\", append = \":/late\" }\n",
        "",
    );
    assert_equal_images_on(
        &Engine::DOCKER,
        "on-scratch",
        &workspace().image("subject", &image("on-scratch", "\"scratch\"", &text)),
    );
}

#[test]
fn scratch_images_with_a_path_and_certificates_are_equal() {
    let text = "[env]\nPATH = \"/bin\"\nA = \"b\"\n[certs]\ntrust = [\"ca.crt\"]\n[config]\ncmd = \"shell form $X\"\n";
    let golden = workspace().image("subject", &image("with-path", "\"scratch\"", text));
    assert_equal_images("with-path", &golden.file("subject/ca.crt", root("Equal")));
}

#[test]
fn images_on_a_base_are_equal() {
    let base = format!("{:?}", services::base_busybox());
    assert_equal_images_on(
        &Engine::DOCKER,
        "on-a-base",
        &workspace().image("subject", &image("on-a-base", &base, EVERYTHING)),
    );
}

#[test]
fn images_of_podman_are_equal() {
    let base = format!("{:?}", services::base_busybox());
    let text = EVERYTHING.replace("\"with = sign\" = \"x\"\n", "");
    assert_ne!(text, EVERYTHING);
    assert_equal_images_on(
        &[Engine::Podman],
        "on-podman",
        &workspace().image("subject", &image("on-podman", &base, &text)),
    );
}

#[test]
fn images_on_a_fully_configured_base_are_equal() {
    let base = format!("{:?}", services::base_busybox());
    let parent = image("equality-parent", &base, EVERYTHING);
    let changes = [
        "[config]\nentrypoint = [\"/bin/true\"]\nworkdir = \"/opt/new\"\nhealthcheck = { test = [\"NONE\"] }\n\
         expose = [9]\nvolumes = [\"/x\"]\n[labels]\nempty = \"full\"\n[env]\nFIRST = \"again\"\nNEW = \"1\"\n",
        "[config]\ncmd = \"other $X\"\n",
        "[config]\nentrypoint = []\ncmd = []\nshell = [\"/bin/sh\", \"-c\"]\nuser = \"nobody\"\n\
         [[files]]\ncontent = \"named\"\ntarget = \"/opt/tree/named\"\nowner = \"nobody:root\"\nmode = \"0640\"\n",
    ];
    for change in changes {
        let golden = workspace()
            .image("parent", &parent)
            .file("parent/tree/one", "1")
            .file("parent/tree/below/two", "2");
        let child = image("equality-child", "{ image = \"equality-parent\" }", change);
        assert_equal_images("equality-child", &golden.image("subject", &child));
    }
}

#[test]
fn shell_forms_use_the_configured_shell() {
    let base = format!("{:?}", services::base_busybox());
    for (name, rest) in [
        (
            "shell-entrypoint",
            "[config]\nentrypoint = \"exec top -b $X\"\nshell = [\"/bin/ash\", \"-o\", \"pipefail\", \"-c\"]\n",
        ),
        (
            "shell-both",
            "[config]\nentrypoint = \"it's\"\ncmd = \"a\\nb\"\n",
        ),
        (
            "shell-health",
            "[config]\nhealthcheck = { test = [\"CMD-SHELL\", \"true || exit 1\"], start_period = \"3s\" }\nuser = \"root:nogroup\"\n",
        ),
    ] {
        assert_equal_images(
            name,
            &workspace().image("subject", &image(name, &base, rest)),
        );
    }
}

#[test]
fn certificates_on_a_real_debian_are_equal() {
    let base = format!("{:?}", services::base_debian());
    let text = "family = \"debian\"\n[certs]\ntrust = [\"*.crt\"]\n";
    let golden = workspace().image("subject", &image("with-certificates", &base, text));
    let golden = golden
        .file("subject/one.crt", root("One"))
        .file("subject/two.crt", root("Two"));
    assert_equal_images("with-certificates", &golden);
}

#[test]
fn images_on_a_layout_are_equal() {
    let golden = workspace().image(
        "subject",
        &image("on-a-layout", "\"oci:../base:any\"", EVERYTHING),
    );
    let base = crate::support::layout::Base::here()
        .layer(&[
            ("etc", 'd', ""),
            ("etc/passwd", 'f', "root:x:0:0::/:\n"),
            ("etc/group", 'f', "root:x:0:\n"),
        ])
        .layer(&[
            ("opt", 'd', ""),
            ("opt/there", 's', "../etc"),
            ("etc/motd", 'f', "of the base\n"),
        ]);
    base.write(&golden.path().join("base"), "any");
    assert_equal_images("on-a-layout", &golden);
}

/// The base already has files, directories and links at the targets.
#[test]
fn files_keep_existing_directories_and_links_of_the_base() {
    let base = format!("{:?}", services::base_busybox());
    let parent = image(
        "meeting-parent",
        &base,
        "[config]\nworkdir = \"/home/of/parent\"\nuser = \"nobody\"\nvolumes = [\"/data\"]\n\
         [env]\nLD = \"/lib\"\n[[files]]\nsource = \"tree\"\ntarget = \"/\"\n",
    );
    let child = image(
        "meeting-child",
        "{ image = \"meeting-parent\" }",
        r#"
[env]
LD = { append = ":/more" }
NEW = { prepend = "a", append = "b" }

[config]
workdir = "/link-to-directory/new"
expose = ["9/sctp", "7000-7002/udp"]
cmd = "echo $HOME"
stop_signal = "15"
volumes = ["/data", "/opt"]
healthcheck = { test = "test -e /x", interval = "1m", retries = 1 }

[[files]]
content = "through a link"
target = "/link-to-directory/through"

[[files]]
content = "over a file"
target = "/directory/file"
mode = "0600"

[[files]]
content = "over a link"
target = "/directory/link"

[[files]]
content = "in a volume"
target = "/data/in"

[[files]]
target = "/directory/sticky/"
mode = "3777"
owner = "nobody:nogroup"

[[files]]
content = "in a new directory"
target = "/newer/still/file"
owner = "nobody:nogroup"

[[files]]
source = "odd/script"
target = "/over"
owner = "nobody:nogroup"
mode = "6755"

[[files]]
target = "/link-to-directory/"
owner = "nobody:nogroup"
mode = "0710"

[[files]]
source = "odd"
target = "/odd"
owner = "nobody:nogroup"

[[files]]
source = "odd/*.conf"
target = "/globbed/"
mode = "0440"

[[files]]
source = "odd/script"
target = "/usr/local/bin/"
"#,
    );
    let golden = workspace()
        .image("parent", &parent)
        .file("parent/tree/directory/file", "old")
        .file("parent/tree/directory/other", "old")
        .file("parent/tree/over/file", "old")
        .image("subject", &child)
        .file("subject/odd/.hidden", "h")
        .file("subject/odd/a name with spaces.conf", "1")
        .file("subject/odd/ü.conf", "2")
        .file("subject/odd/deep/.keep", "")
        .file("subject/odd/script", "#!/bin/sh\n");
    let make = |target: &str, path: &str| {
        std::os::unix::fs::symlink(target, golden.path().join(path)).unwrap();
    };
    make("directory", "parent/tree/link-to-directory");
    make("other", "parent/tree/directory/link");
    make("deep/.keep", "subject/odd/inner");
    make("/etc/motd", "subject/odd/absolute");
    make("nowhere", "subject/odd/dangling");
    let script = golden.path().join("subject/odd/script");
    std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    assert_equal_images("meeting-child", &golden);
    let files = seen(&golden, "meeting-child", Engine::Docker20, Way::Embedded).files;
    let look = |path: &str| {
        let file = &files[path];
        format!("{} {:o} {:?}", file.kind, file.mode, file.owner)
    };
    for (path, expected) in [
        ("over", "d 755 (0, 0)"),
        ("over/script", "f 6755 (65534, 65534)"),
        ("directory/link", "l 777 (0, 0)"),
        ("directory", "d 755 (0, 0)"),
        ("directory/sticky", "d 3777 (65534, 65534)"),
    ] {
        assert_eq!(look(path), expected, "{path}");
    }
    assert_eq!(files["directory/other"].content, b"over a link");
}

/// Files of a source directory go into the directory of the base, even through a link; only missing
/// directories are created.
#[test]
fn directories_of_the_base_stay_unchanged() {
    let base = format!("{:?}", services::base_debian());
    let rest = "[[files]]\nsource = \"tree\"\ntarget = \"/\"\n\
                [[files]]\nsource = \"tools\"\ntarget = \"/lib/\"\nmode = \"0755\"\n\
                [[files]]\nsource = \"tools\"\ntarget = \"/opt/\"\nowner = \"7:8\"\n\
                [[files]]\nsource = \"owned\"\ntarget = \"/\"\nowner = \"www-data:adm\"\nmode = \"4750\"\n\
                [[files]]\nsource = \"tools/tool\"\ntarget = \"/bin\"\n";
    let golden = workspace()
        .image("subject", &image("into-directories", &base, rest))
        .file("subject/tree/bin/in-bin", "")
        .file("subject/tree/tmp/in-tmp", "")
        .file("subject/tree/root/in-root", "")
        .file("subject/tree/new/er/file", "")
        .file("subject/tools/tool", "")
        .file("subject/owned/bin/owned", "")
        .file("subject/owned/tmp/mine/owned", "")
        .file("subject/owned/var/run/owned", "");
    std::fs::create_dir_all(golden.path().join("subject/tree/new/empty")).unwrap();
    assert_equal_images("into-directories", &golden);
    let files = seen(&golden, "into-directories", Engine::Docker20, Way::Embedded).files;
    let look = |path: &str| {
        let file = &files[path];
        format!("{} {:o} {:?}", file.kind, file.mode, file.owner)
    };
    for (path, expected) in [
        ("bin", "l 777 (0, 0)"),
        ("usr/bin/in-bin", "f 644 (0, 0)"),
        ("usr/lib/tool", "f 755 (0, 0)"),
        ("tmp", "d 1777 (0, 0)"),
        ("root", "d 700 (0, 0)"),
        ("new", "d 755 (0, 0)"),
        ("new/er", "d 755 (0, 0)"),
        ("new/empty", "d 755 (0, 0)"),
        ("opt", "d 755 (0, 0)"),
        ("opt/tool", "f 644 (7, 8)"),
        ("usr/bin", "d 755 (0, 0)"),
        ("usr/bin/tool", "f 644 (0, 0)"),
        ("usr/bin/owned", "f 4750 (33, 4)"),
        ("tmp/mine", "d 4750 (33, 4)"),
        ("run/owned", "f 4750 (33, 4)"),
    ] {
        assert_eq!(look(path), expected, "{path}");
    }
}

/// The usual parent directories may be links, or owned by another user, in the base.
#[test]
fn links_in_place_of_usual_directories_are_followed() {
    let directories = ["home", "opt", "srv", "mnt", "media", "usr/local"];
    let place = |(n, directory): (usize, &&str)| {
        format!("[[files]]\ncontent = \"x\"\ntarget = \"/{directory}/x{n}\"\n")
    };
    let rest = directories
        .iter()
        .enumerate()
        .map(place)
        .collect::<String>();
    let golden = workspace().image(
        "subject",
        &image("usual-links", "\"oci:../base:any\"", &rest),
    );
    let base = crate::support::layout::Base::here().layer(&[
        ("usr", 'd', ""),
        ("usr/local", 's', "../var/local"),
        ("var", 'd', ""),
        ("var/local", 'd', ""),
        ("var/home", 'd', ""),
        ("home", 's', "var/home"),
        ("opt", 's', "var/local"),
        ("srv", 's', "/var/home"),
        ("mnt", 's', "var"),
        ("media", 'd', ""),
    ]);
    base.write(&golden.path().join("base"), "any");
    assert_equal_images("usual-links", &golden);
    // For a single file the rest of the base is not read, and the file still goes to the right
    // place.
    let one = image(
        "usual-links",
        "\"oci:../base:any\"",
        "[[files]]\ncontent = \"x\"\ntarget = \"/home/x\"\n",
    );
    golden.write("subject/image.toml", one);
    assert!(
        seen(&golden, "usual-links", Engine::Docker20, Way::Embedded)
            .files
            .contains_key("var/home/x")
    );
}

/// A root certificate, as PEM.
pub(crate) fn root(name: &str) -> String {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params
        .self_signed(&rcgen::KeyPair::generate().unwrap())
        .unwrap()
        .pem()
        .replace("\r\n", "\n")
}
