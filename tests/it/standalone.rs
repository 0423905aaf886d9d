//! `render --out` writes a directory that builds the image without golden, and a check compares all
//! of it.

use serde_json::Value;

use crate::support::built::{Built, client_of};
use crate::support::engines::{Engine, modern};
use crate::support::layout::Base;
use crate::support::services;
use crate::support::workspace::Golden;

/// A workspace with one image on a layout, whose user and shell are not the defaults.
fn workspace(rest: &str) -> Golden {
    let golden = Golden::new()
        .workspace("")
        .image(
            "app",
            &format!("[image]\nname = \"team/app\"\nversion = \"1.2.3\"\nbase = \"oci:../base:any\"\n{rest}"),
        )
        .env("SOURCE_DATE_EPOCH", "1700000000");
    let base = Base::here()
        .runtime("User", "app".into())
        .runtime("Shell", serde_json::json!(["/bin/bash", "-c"]))
        .layer(&[
            ("etc", 'd', ""),
            ("etc/passwd", 'f', "app:x:7:8::/:\n"),
            ("usr", 'd', ""),
            ("usr/bin", 'd', ""),
            ("bin", 's', "usr/bin"),
        ]);
    base.write(&golden.path().join("base"), "any");
    golden
}

#[expect(clippy::disallowed_methods, reason = "the test owns this file")]
fn read(golden: &Golden, path: &str) -> Vec<u8> {
    std::fs::read(golden.path().join(path)).unwrap()
}

fn bake(golden: &Golden) -> Value {
    serde_json::from_slice(&read(golden, "out/team/app/docker-bake.json")).unwrap()
}

/// `PATH MODE UID:GID` of an archive's entries.
fn entries(archive: &[u8]) -> Vec<String> {
    let show = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let entry = entry.unwrap();
        let (path, header) = (entry.path().unwrap(), entry.header());
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        format!(
            "{} {:o} {uid}:{gid}",
            path.display(),
            header.mode().unwrap()
        )
    };
    tar::Archive::new(archive)
        .entries()
        .unwrap()
        .map(show)
        .collect()
}

#[test]
fn a_rendered_directory_has_everything_for_the_build() {
    let golden = workspace(
        "[labels]\nlines = \"a\\nb\"\n\"odd=key\" = \"${HOME} $x\"\n[config]\ncmd = \"[[ -e / ]]\"\nworkdir = \"/new\"\n\
         [[files]]\nsource = \"tool\"\ntarget = \"/bin\"\nowner = \"app\"\nmode = \"4755\"\n",
    )
    .file("app/tool", "x");
    golden.run(&["render", "--out", "out"]).exit(0);
    let dockerfile = String::from_utf8(read(&golden, "out/team/app/Dockerfile")).unwrap();
    for line in [
        "USER 0:0",
        "ADD files.tar /",
        "ARG GOLDEN_BASE_USER=app",
        "USER ${GOLDEN_BASE_USER}",
        "LABEL lines=\"a${GOLDEN_LF?build with docker-bake.json}b\"",
        "ARG GOLDEN_BAKE_GIVEN=\"${GOLDEN_BAKE?build with docker-bake.json}\"",
        "CMD [\"/bin/bash\",\"-c\",\"[[ -e / ]]\"]",
    ] {
        assert!(
            dockerfile.lines().any(|found| found == line),
            "{line}: {dockerfile}"
        );
    }
    // Podman's builder loses the directory that WORKDIR makes.
    let archive = entries(&read(&golden, "out/team/app/files.tar"));
    assert_eq!(archive, ["usr/bin/tool 4755 7:8", "new/ 755 0:0"]);
    let target = &bake(&golden)["target"]["app"];
    assert_eq!(target["args"]["GOLDEN_LF"], "\n");
    assert_eq!(target["labels"]["odd=key"], "$${HOME} $x");
    assert_eq!(
        target["labels"]["org.opencontainers.image.created"],
        "2023-11-14T22:13:20Z"
    );
    assert!(
        target["labels"]["dev.golden.inputs"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    assert!(
        target["tags"]
            .as_array()
            .unwrap()
            .contains(&"localhost/team/app:1.2.3".into())
    );
}

#[test]
fn a_check_compares_every_file_except_the_commit_time() {
    let golden = workspace("[[files]]\nsource = \"tool\"\ntarget = \"/bin\"\nowner = \"app\"\n")
        .file("app/tool", "x");
    let check = ["render", "--out", "out", "--check"];
    golden.run(&["render", "--out", "out"]).exit(0);
    golden.run(&check).exit(0);
    // The commit time is in the labels; a file of that commit cannot contain it.
    let later = golden.env("SOURCE_DATE_EPOCH", "1800000000");
    later.run(&check).exit(0);
    later.write("app/tool", "y");
    let run = later.run(&check).exit(5);
    assert_eq!(
        run.stdout,
        "team/app/docker-bake.json: stale\nteam/app/files/usr/bin/tool: stale\n"
    );
    later.run(&["render", "--out", "out"]).exit(0);
    later.write("out/team/app/docker-bake.json", "{}");
    assert_eq!(
        later.run(&check).exit(5).stdout,
        "team/app/docker-bake.json: stale\n"
    );
    std::fs::remove_file(later.path().join("out/team/app/files/usr/bin/tool")).unwrap();
    later.run(&["render", "--out", "out"]).exit(0);
    later.run(&check).exit(0);
    // A file that no image needs is found.
    later.write(
        "app/image.toml",
        "[image]\nname = \"team/app\"\nversion = \"1.2.3\"\nbase = \"oci:../base:any\"\n",
    );
    let run = later.run(&check).exit(5);
    assert!(
        run.stdout
            .contains("team/app/files/usr/bin/tool: left over"),
        "{}",
        run.stdout
    );
}

#[test]
fn an_unreadable_base_gives_a_warning_and_unresolved_files() {
    let golden = Golden::new()
        .workspace("")
        .image(
            "app",
            "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"127.0.0.1:1/base:1\"\n\
             [[files]]\nsource = \"tool\"\ntarget = \"/bin/\"\nowner = \"app\"\n",
        )
        .file("app/tool", "x")
        .env("GOLDEN_REGISTRY_TIMEOUT", "2");
    let run = golden.run(&["render", "--out", "out"]).exit(0);
    assert!(
        run.stderr.contains("the base could not be read"),
        "{}",
        run.stderr
    );
    let dockerfile = String::from_utf8(read(&golden, "out/app/Dockerfile")).unwrap();
    assert!(
        dockerfile.contains("COPY --chown=app named/000/ /bin/"),
        "{dockerfile}"
    );
    assert_eq!(read(&golden, "out/app/named/000/tool"), b"x");
}

#[test]
fn variants_of_one_directory_share_its_bake_file() {
    let image = |variant: &str| {
        format!(
            "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\nvariant = \"{variant}\"\n"
        )
    };
    let golden = Golden::new()
        .workspace("")
        .image("a", &image("a"))
        .image("b", &image("b"))
        .file("a/x", "x");
    golden.run(&["render", "--out", "out"]).exit(0);
    let before = read(&golden, "out/app/docker-bake.json");
    let bake: Value = serde_json::from_slice(&before).unwrap();
    assert_eq!(
        bake["group"]["default"]["targets"],
        serde_json::json!(["app-a", "app-b"])
    );
    assert_eq!(bake["target"]["app-b"]["dockerfile"], "Dockerfile.b");
}

/// Runs the current Docker's client on its engine.
fn docker(words: &[&str]) {
    let host = format!("DOCKER_HOST={}", services::docker_modern());
    modern(&[&["env", &host, "docker"], words].concat());
}

/// Docker builds the same image from a rendered directory as golden. With `docker-bake.json`, it has
/// the same labels too.
#[test]
fn docker_builds_the_same_image_from_a_rendered_directory() {
    let base = services::base_debian();
    let golden = Engine::Docker
        .on(Golden::new().workspace(""))
        .image(
            "app",
            &format!(
                "[image]\nname = \"rendered\"\nversion = \"1.0.0\"\nbase = \"{base}\"\n\
                 [labels]\na = \"b $HOME\"\n[env]\nA = \"$B\"\n[config]\nworkdir = \"/work\"\nuser = \"www-data\"\n\
                 cmd = \"echo  $HOME\"\nhealthcheck = {{ test = \"true\\nfalse\" }}\n\
                 [[files]]\nsource = \"tree\"\ntarget = \"/\"\nowner = \"www-data:adm\"\nmode = \"4750\"\n\
                 [[files]]\nsource = \"tool\"\ntarget = \"/usr/bin\"\n\
                 [[files]]\nsource = \"tool\"\ntarget = \"/etc/new/of the app/$tool\"\nmode = \"0640\"\n\
                 [[run]]\nscript = \"echo done > /done\"\n"
            ),
        )
        .file("app/tree/bin/inside", "1")
        .file("app/tree/var/run/new/pid", "2")
        .file("app/tool", "3")
        .env("SOURCE_DATE_EPOCH", "1700000000");
    golden
        .run(&["build", "--engine", "docker", "--force"])
        .exit(0);
    let host = Engine::Docker.host();
    let own = Built::in_engine(host, "localhost/rendered:1.0.0");
    golden.run(&["render", "--out", "out"]).exit(0);
    let directory = golden.path().join("out/rendered");
    let directory = directory.to_str().unwrap();
    docker(&[
        "buildx",
        "build",
        "--no-cache",
        "-q",
        "-t",
        "golden-test/by-hand",
        directory,
    ]);
    let by_hand = Built::in_engine(host, "golden-test/by-hand");
    assert_eq!(by_hand.files(), own.files());
    let mut without_labels = own.config();
    without_labels["Labels"]
        .as_object_mut()
        .unwrap()
        .retain(|key, _| !ADDED_BY_BAKE.contains(&key.as_str()));
    assert_eq!(by_hand.config(), without_labels);
    let bake = format!("{directory}/docker-bake.json");
    let tag = "rendered.tags=golden-test/by-bake";
    docker(&[
        "buildx",
        "bake",
        "--file",
        &bake,
        "--set",
        &format!("rendered.context={directory}"),
        "--set",
        tag,
    ]);
    let by_bake = Built::in_engine(host, "golden-test/by-bake");
    assert_eq!(by_bake.files(), own.files());
    assert_eq!(by_bake.config(), own.config());
    client_of(
        host,
        &[
            "image",
            "rm",
            "--force",
            "golden-test/by-hand",
            "golden-test/by-bake",
        ],
    );
}

/// Every engine runs the same text, in a heredoc or in exec form.
#[test]
fn steps_give_the_same_files_on_every_engine() {
    let base = services::base_busybox();
    let text = format!(
        r#"
[image]
name = "steps"
version = "1.0.0"
base = "{base}"
[[files]]
content = "x"
target = "/etc/new/deep/file"
mode = "0640"
owner = "5:6"
[[run]]
name = "odd texts"
script = """
printf '[%s]' "$0" "$-" 'trailing   ' '$HOME' `echo x` > /one
cat <<EOR >> /one
\t$HOME

  EOR \\$0
EOR
# comment   

echo 'a\\
b' "c \\
d" >> /one
"""
[[run]]
script = "printf 'a\r\nb  ' > /two"
[[run]]
script = "cat <<X > /three\nabc\nX"
[[run]]
script = "cat <<X > /four\nno end"
[[run]]
script = "echo a > /five \\"
[[run]]
user = "1000"
script = "set -eu\nid -u > /tmp/six\nfalse || echo EOR2 >> /tmp/six"
"#
    );
    let build = |engine: Engine| {
        let golden = engine
            .on(Golden::new().workspace(""))
            .image("steps", &text)
            .env("SOURCE_DATE_EPOCH", "1700000000");
        let arguments = ["build", "--engine", "docker", "--no-cache", "--force"];
        golden.run(&arguments).exit(0);
        Built::in_engine(engine.host(), "localhost/steps:1.0.0").files()
    };
    let first = build(Engine::Docker20Classic);
    for engine in [Engine::Docker20, Engine::Docker, Engine::DockerContainerd] {
        let files = build(engine);
        let differs = |path: &&String| first.get(*path) != files.get(*path);
        let different: Vec<&String> = first.keys().chain(files.keys()).filter(differs).collect();
        assert!(different.is_empty(), "{engine:?}: {different:?}");
    }
}

/// The labels that `docker build` alone does not set.
const ADDED_BY_BAKE: [&str; 7] = [
    "dev.golden.inputs",
    "dev.golden.inputs.spec",
    "org.opencontainers.image.base.digest",
    "org.opencontainers.image.base.name",
    "org.opencontainers.image.created",
    "org.opencontainers.image.revision",
    "org.opencontainers.image.source",
];
