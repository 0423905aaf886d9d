//! A spec without steps gives the same result with every engine: the builders of Docker, Podman and
//! the embedded engine make images with the same config and the same file tree.

use std::collections::{BTreeMap, BTreeSet};

use golden::oci::media;
use golden::reference::Digest;
use serde_json::{Map, Value, json};

use crate::support::built::{Built, File, client_of};
use crate::support::engines::Engine;
use crate::support::layout::gzip;
use crate::support::services;
use crate::support::workspace::{Golden, Run};

/// Keys of the runtime part that an image inherits from its builder or from that of its base, and
/// that have no effect on Linux: BuildKit marks the form of a command for Windows, the classic
/// builder names the image of the step before, and Podman names its build container.
const RUNTIME_KEYS_OF_BUILDERS: [&str; 3] = ["ArgsEscaped", "Image", "Hostname"];

/// Keys next to the runtime part that describe the build: the builder, its last container, its steps
/// with their layers, and the time. Only some builders keep the comment of a base.
const KEYS_OF_BUILDERS: [&str; 7] = [
    "comment",
    "container",
    "container_config",
    "created",
    "docker_version",
    "history",
    "rootfs",
];

/// The parts of an image that must be equal.
struct Seen {
    /// The config without its runtime part.
    image: Map<String, Value>,
    /// The runtime part of the config.
    config: Map<String, Value>,
    /// The files, with the times at which they were modified.
    files: BTreeMap<String, (File, u64)>,
}

/// True if the value has no content. Some engines write such a value, others omit it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// The parts of an image. The differences between the engines that remain are methods of
/// [`Engine`].
fn parts(image: &Built, engine: Engine) -> Seen {
    let Value::Object(mut whole) = image.whole_config() else {
        panic!("the config is not an object");
    };
    let Some(Value::Object(mut config)) = whole.remove("config") else {
        panic!("the config has no runtime part");
    };
    for key in RUNTIME_KEYS_OF_BUILDERS {
        config.shift_remove(key);
    }
    config.retain(|_, value| !is_empty(value));
    if let (Some(label), Some(Value::Object(labels))) =
        (engine.own_label(), config.get_mut("Labels"))
    {
        labels.shift_remove(label);
    }
    if let (false, Some(Value::Array(env))) = (engine.keeps_env_order(), config.get_mut("Env")) {
        env.sort_by_key(Value::to_string);
    }
    // BuildKit and Podman write `/` on scratch where the others write nothing; both mean the same.
    if config.get("WorkingDir").is_some_and(|path| path == "/") {
        config.shift_remove("WorkingDir");
    }
    // The classic builder keeps the base's times next to NONE, where they have no effect.
    if config
        .get("Healthcheck")
        .is_some_and(|check| check["Test"] == json!(["NONE"]))
    {
        config.insert("Healthcheck".to_owned(), json!({ "Test": ["NONE"] }));
    }

    for key in KEYS_OF_BUILDERS {
        whole.shift_remove(key);
    }
    whole.retain(|_, value| !is_empty(value));
    let mut files = image.dated_files();
    if let (true, Some(Value::Object(volumes))) = (
        engine.creates_directories_of_volumes(),
        config.get("Volumes"),
    ) {
        files.retain(|path, (file, _)| {
            let is_usual = file.kind == 'd' && file.mode == 0o755 && file.owner == (0, 0);
            !is_usual || !volumes.contains_key(&format!("/{path}"))
        });
    }
    Seen {
        image: whole,
        config,
        files,
    }
}

/// The way in which an image gets into an engine.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The embedded engine builds it and loads it.
    Embedded,
    /// The engine builds it.
    Docker,
}

/// Builds the image `subject` of a workspace in one way, and reads the result from the engine. `name`
/// is that of the image, with a tag if it is not `1.0.0`.
fn seen(golden: &Golden, name: &str, engine: Engine, way: Way) -> Seen {
    let arguments: &[&str] = match way {
        Way::Embedded => &["--engine", "embedded", "--load"],
        Way::Docker => &["--engine", "docker", "--no-cache"],
    };
    let (name, tag) = name.split_once(':').unwrap_or((name, "1.0.0"));
    let mut command = golden.command(&[&["build", "--force", name], arguments].concat());
    engine.select(&mut command);
    Run::of(command.output().unwrap()).exit(0);
    let reference = format!("localhost/{name}:{tag}");
    let seen = parts(&Built::in_engine(engine.host(), &reference), engine);
    let format = "{{.Repository}}:{{.Tag}}";
    let list = ["images", "--format", format, &format!("localhost/{name}")];
    let tags = String::from_utf8(client_of(engine.host(), &list)).unwrap();
    for tag in tags.split_whitespace() {
        // Other tests may build on the same untagged images of the classic builder.
        client_of(
            engine.host(),
            &["image", "rm", "--force", "--no-prune", tag],
        );
    }
    seen
}

/// Builds an image with each engine, and asserts that all results are equal to that of the embedded
/// engine. Directories have the time of the build with every engine, and other files the time of the
/// spec.
#[track_caller]
pub(crate) fn assert_equal_images(name: &str, golden: &Golden) {
    assert_equal(&Engine::ALL, name, golden, true);
}

/// The same for an image with a step that the engines execute: the files of the step have the time of
/// the build.
#[track_caller]
pub(crate) fn assert_equal_images_of_steps(engines: &[Engine], name: &str, golden: &Golden) {
    assert_equal(engines, name, golden, false);
}

#[track_caller]
fn assert_equal(engines: &[Engine], name: &str, golden: &Golden, with_times: bool) {
    let mut wrong = String::new();
    for &engine in engines {
        let embedded = seen(golden, name, engine, Way::Embedded);
        let docker = seen(golden, name, engine, Way::Docker);
        wrong += &differences(engine, &embedded, &docker, with_times);
    }
    assert!(wrong.is_empty(), "{name}:\n{wrong}");
}

/// The differences between the image of the embedded engine and that of another one, as text.
fn differences(engine: Engine, embedded: &Seen, docker: &Seen, with_times: bool) -> String {
    let mut wrong = String::new();
    let mut differs = |what: &str, docker: String, embedded: String| {
        let texts = [
            what,
            ":\n  ",
            &format!("{engine:?}"),
            ": ",
            &docker,
            "\n  embedded: ",
            &embedded,
            "\n",
        ];
        wrong.extend(texts);
    };
    for (docker, embedded) in [
        (&docker.image, &embedded.image),
        (&docker.config, &embedded.config),
    ] {
        let keys: BTreeSet<&String> = docker.keys().chain(embedded.keys()).collect();
        for key in keys {
            let (docker, embedded) = (docker.get(key), embedded.get(key));
            if docker != embedded {
                differs(key, format!("{docker:?}"), format!("{embedded:?}"));
            }
        }
    }
    let paths: BTreeSet<&String> = docker.files.keys().chain(embedded.files.keys()).collect();
    for path in paths {
        let (docker, embedded) = (docker.files.get(path), embedded.files.get(path));
        let text = |dated: Option<&(File, u64)>| {
            let (file, time) = dated?;
            let time = (with_times && file.kind != 'd').then_some(time);
            let start: String = String::from_utf8_lossy(&file.content)
                .chars()
                .take(2000)
                .collect();
            let digest = Digest::of(&file.content);
            Some(format!(
                "{} {:o} {:?} {time:?} {:?} {digest} {start:?}",
                file.kind, file.mode, file.owner, file.attributes
            ))
        };
        let (docker, embedded) = (text(docker), text(embedded));
        if docker != embedded {
            differs(path, format!("{docker:?}"), format!("{embedded:?}"));
        }
    }
    wrong
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
    let golden = workspace().image("subject", &image("on-scratch", "\"scratch\"", &text));
    assert_equal_images("on-scratch", &golden);
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
    let golden = workspace().image("subject", &image("on-a-base", &base, EVERYTHING));
    assert_equal_images("on-a-base", &golden);
}

#[test]
fn variants_are_equal() {
    let base = format!("{:?}", services::base_busybox());
    let golden = workspace()
        .image("plain", &image("of-variants", &base, ""))
        .image(
            "subject",
            &image(
                "of-variants",
                &base,
                "variant = \"slim\"\n[config]\nstop_signal = \"SIGINT\"\n",
            ),
        );
    assert_equal_images("of-variants:1.0.0-slim", &golden);
}

/// Values that not every engine can set.
#[test]
fn rare_values_are_equal_where_an_engine_supports_them() {
    type Supports = fn(Engine) -> bool;
    let table: [(&str, &str, Supports); 2] = [
        (
            "odd-keys",
            "[labels]\n\"with = sign\" = \"x\"\n\"a=b\" = \"\"\n",
            Engine::has_label_keys_with_equals_sign,
        ),
        (
            "sctp",
            "[config]\nexpose = [\"9/sctp\"]\n",
            Engine::has_sctp_ports,
        ),
    ];
    let base = format!("{:?}", services::base_busybox());
    for (name, text, supports) in table {
        let text = image(name, &base, text);
        let golden = workspace().image("subject", &text);
        let engines: Vec<Engine> = Engine::ALL.into_iter().filter(|it| supports(*it)).collect();
        assert_equal(&engines, name, &golden, true);
    }
}

/// The base's hard links, capabilities and times are kept, and attributes of the files of a
/// workspace are not read.
#[test]
fn hard_links_and_attributes_are_equal() {
    const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let name = "with-attributes";
    let golden = workspace().image(
        "subject",
        &image(
            name,
            "\"oci:../base:any\"",
            "[[files]]\nsource = \"tool\"\ntarget = \"/opt/tool\"\nmode = \"0755\"\n\
             [[files]]\ncontent = \"of one name\"\ntarget = \"/data/two\"\n",
        ),
    );
    let tool = golden.write("subject/tool", "a tool");
    rustix::fs::setxattr(
        &tool,
        "security.capability",
        CAPABILITY,
        rustix::fs::XattrFlags::CREATE,
    )
    .unwrap();
    let mut layer = tar::Builder::new(Vec::new());
    layer
        .append_pax_extensions([("SCHILY.xattr.security.capability", CAPABILITY)])
        .unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("ping").unwrap();
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_234_567_890);
    header.set_size(4);
    header.set_cksum();
    layer.append(&header, b"ping".as_slice()).unwrap();
    let layer = layer.into_inner().unwrap();
    let digest = Digest::of(&layer);
    crate::support::layout::Base::here()
        .layer(&[
            ("data", 'd', ""),
            ("data/one", 'f', "linked"),
            ("data/two", 'l', "data/one"),
            ("data/three", 'l', "data/one"),
        ])
        .layer_as(media::OCI_LAYER_GZIP, gzip(&layer), digest)
        .write(&golden.path().join("base"), "any");
    assert_equal_images(name, &golden);
    let files = seen(&golden, name, Engine::Docker, Way::Embedded).files;
    let (ping, time) = &files["ping"];
    assert_eq!(ping.attributes["security.capability"], CAPABILITY);
    assert_eq!(*time, 1_234_567_890);
    assert!(files["opt/tool"].0.attributes.is_empty());
    assert_eq!(files["data/two"].0.content, b"of one name");
    assert_eq!(files["data/one"].0.content, b"linked");
}

#[test]
fn images_on_a_fully_configured_base_are_equal() {
    let base = format!("{:?}", services::base_busybox());
    let parent = image("equality-parent", &base, EVERYTHING);
    let changes = [
        "[config]\nentrypoint = [\"/bin/true\"]\nworkdir = \"/opt/new\"\nhealthcheck = { test = [\"NONE\"] }\n\
         expose = [9]\nvolumes = [\"/x\"]\n[labels]\nempty = \"full\"\n[env]\nFIRST = \"again\"\nNEW = \"1\"\n",
        "[config]\ncmd = \"other $X\"\n",
        "[config]\nentrypoint = \"other $X\"\nhealthcheck = { test = [\"CMD\", \"/other\"], interval = \"7s\" }\n",
        "[config]\nentrypoint = []\ncmd = []\nshell = [\"/bin/sh\", \"-c\"]\nuser = \"nobody\"\n\
         [[files]]\ncontent = \"named\"\ntarget = \"/opt/tree/named\"\nowner = \"nobody:root\"\nmode = \"0640\"\n",
    ];
    for change in changes {
        let golden = workspace()
            .image("parent", &parent)
            .file("parent/tree/one", "1")
            .file("parent/tree/below/two", "2");
        let child = image("equality-child", "{ image = \"equality-parent\" }", change);
        let golden = golden.image("subject", &child);
        assert_equal_images("equality-child", &golden);
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
    assert_equal_images_of_steps(&Engine::ALL, "with-certificates", &golden);
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
expose = ["9", "7000-7002/udp"]
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
        let (file, _) = &files[path];
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
    assert_eq!(files["directory/other"].0.content, b"over a link");
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
        let (file, _) = &files[path];
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
