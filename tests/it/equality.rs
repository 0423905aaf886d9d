//! For a spec without steps it does not matter which engine builds: both of Docker's builders and the embedded
//! engine make images of the same config and the same file tree.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::support::built::{Built, File, client};
use crate::support::services;
use crate::support::workspace::Golden;

/// What must be the same.
struct Seen {
    config: Map<String, Value>,
    files: BTreeMap<String, File>,
}

/// The parts of a config that a spec can say something about; nothing, an empty list and an empty text are the same.
fn config(image: &Built) -> Map<String, Value> {
    let whole = image.config();
    let keys = [
        "Labels",
        "Env",
        "ExposedPorts",
        "User",
        "Entrypoint",
        "Cmd",
        "WorkingDir",
        "Volumes",
        "Healthcheck",
        "StopSignal",
        "Shell",
        "OnBuild",
    ];
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    let parts = keys.iter().map(|key| ((*key).to_owned(), whole[*key].clone()));
    let mut config: Map<String, Value> = parts.filter(|(_, value)| !empty(value)).collect();
    // BuildKit says `/` for scratch where the others say nothing, which means the same.
    if config.get("WorkingDir").is_some_and(|path| path == "/") {
        config.shift_remove("WorkingDir");
    }
    // The classic builder keeps the base's times beside NONE, where they mean nothing.
    if config.get("Healthcheck").is_some_and(|check| check["Test"] == serde_json::json!(["NONE"])) {
        config.insert("Healthcheck".to_owned(), serde_json::json!({ "Test": ["NONE"] }));
    }
    config
}

/// Builds the image `subject` of a workspace in one way, and looks at it.
fn seen(golden: &Golden, name: &str, way: &str) -> Seen {
    match way {
        "embedded" => {
            golden.run(&["build", "--engine", "embedded", "--load", name, "--force"]).exit(0);
        }
        buildkit => {
            let mut command = golden.command(&["build", "--engine", "docker", "--no-cache", "--force", name]);
            command.env("DOCKER_BUILDKIT", if buildkit == "buildkit" { "1" } else { "0" });
            crate::support::workspace::Run::of(command.output().unwrap()).exit(0);
        }
    }
    let image = Built::named(&format!("localhost/{name}:1.0.0"));
    let seen = Seen { config: config(&image), files: image.files() };
    for tag in ["1.0.0", "1.0", "1", "latest"] {
        client(&["image", "rm", "--force", &format!("localhost/{name}:{tag}")]);
    }
    seen
}

/// Builds an image in all three ways and compares.
#[track_caller]
fn equal(name: &str, golden: &Golden) {
    let embedded = seen(golden, name, "embedded");
    for way in ["buildkit", "classic"] {
        let docker = seen(golden, name, way);
        for key in docker.config.keys().chain(embedded.config.keys()) {
            let (docker, embedded) = (docker.config.get(key), embedded.config.get(key));
            assert!(docker == embedded, "{key}: {way} has {docker:?}, embedded has {embedded:?}");
        }
        for path in docker.files.keys().chain(embedded.files.keys()) {
            let short = |files: &BTreeMap<String, File>| {
                let file = files.get(path)?;
                let start = String::from_utf8_lossy(&file.content).chars().take(2000).collect::<String>();
                Some(format!("{} {:o} {:?} {start:?}", file.kind, file.mode, file.owner))
            };
            assert!(
                docker.files.get(path) == embedded.files.get(path),
                "{path}:\n{way}: {:?}\nembedded: {:?}",
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

/// Every construct that needs nothing executed.
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
fn on_scratch() {
    let text = EVERYTHING.replace("PATH = { prepend = \"/opt/bin:\", append = \":/late\" }\n", "");
    equal("on-scratch", &workspace().image("subject", &image("on-scratch", "\"scratch\"", &text)));
}

#[test]
fn on_scratch_with_a_path_and_certificates() {
    let text = "[env]\nPATH = \"/bin\"\nA = \"b\"\n[certs]\ntrust = [\"ca.crt\"]\n[config]\ncmd = \"shell form $X\"\n";
    let golden = workspace().image("subject", &image("with-path", "\"scratch\"", text));
    equal("with-path", &golden.file("subject/ca.crt", root("Equal")));
}

#[test]
fn on_a_base() {
    let base = format!("{:?}", services::base_busybox());
    equal("on-a-base", &workspace().image("subject", &image("on-a-base", &base, EVERYTHING)));
}

#[test]
fn a_base_that_has_everything_already() {
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
        equal("equality-child", &golden.image("subject", &child));
    }
}

#[test]
fn certificates_on_a_real_debian() {
    let base = format!("{:?}", services::base_debian());
    let text = "family = \"debian\"\n[certs]\ntrust = [\"*.crt\"]\n";
    let golden = workspace().image("subject", &image("with-certificates", &base, text));
    let golden = golden.file("subject/one.crt", root("One")).file("subject/two.crt", root("Two"));
    equal("with-certificates", &golden);
}

/// A root, as PEM.
fn root(name: &str) -> String {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().replace("\r\n", "\n")
}
