//! Twenty images of labels, environment, a port and one file on a base of 400 MB, four tags each,
//! against the current crane, bake and buildah, at two registries.

use std::path::Path;
use std::process::Command;

use super::machine::{Registry, big_base, docker, golden, service, unique, write};
use super::measure::{Cost, repeat, run, sequence};
use super::table;

const IMAGES: usize = 20;
const TAGS: [&str; 4] = ["1.2.3", "1.2", "1", "latest"];
const RUNS: usize = 5;

/// The file that every image has.
const MOTD: &str = "Welcome\n";

fn workspace(directory: &Path, host: &str, base: &str, namespace: &str) {
    write(
        &directory.join("golden.toml"),
        format!(
            "[[registry]]\nname = \"bench\"\nhost = \"{host}\"\nnamespace = \"{namespace}\"\n\
             [defaults.labels]\nowner = \"golden-images@example.com\"\nrun = \"{namespace}\"\n"
        ),
    );
    for number in 0..IMAGES {
        write(
            &directory.join(format!("app{number}/image.toml")),
            format!(
                "[image]\nname = \"app{number}\"\nversion = \"1.2.3\"\nbase = \"{base}\"\nfamily = \"debian\"\n\
                 [labels]\nnumber = \"{number}\"\n[env]\nNUMBER = \"{number}\"\n[config]\nexpose = [80]\n\
                 [[files]]\ncontent = \"Welcome\\n\"\ntarget = \"/etc/motd\"\n"
            ),
        );
    }
}

/// Builds and publishes new images. `cache` is the cache of bases, which is kept between runs.
fn with_golden(host: &str, base: &str, engine: Option<&str>, cache: Option<&Path>) -> Cost {
    let (directory, namespace) = (tempfile::tempdir().unwrap(), unique());
    workspace(directory.path(), host, base, &namespace);
    let name = if engine.is_some() {
        "docker"
    } else {
        "embedded"
    };
    let mut command = golden(directory.path(), &["build", "--push", "--engine", name]);
    if let Some(engine) = engine {
        command.env("DOCKER_HOST", engine);
    }
    if let Some(cache) = cache {
        command.env("XDG_CACHE_HOME", cache);
    }
    run(&mut command)
}

/// A command of the Debian with current clients.
fn current(arguments: &[&str]) -> Command {
    let mut command = Command::new(service("MODERN_RUN"));
    command.args(arguments);
    command
}

fn with_crane(host: &str, base: &str) -> Cost {
    let (directory, namespace) = (tempfile::tempdir().unwrap(), unique());
    let directory = directory.path();
    write(&directory.join("etc/motd"), MOTD);
    let layer = directory.join("layer.tar");
    run(Command::new("tar").args([
        "-C",
        directory.to_str().unwrap(),
        "-cf",
        layer.to_str().unwrap(),
        "etc",
    ]));
    let script = directory.join("publish");
    write(
        &script,
        format!(
            "set -e\nimage={host}/{namespace}/app$1:1.2.3\n\
             crane append -b {base} -f {layer} -t $image\n\
             crane mutate -l owner=golden-images@example.com -l run={namespace} -l number=$1 -e NUMBER=$1 --exposed-ports 80 -t $image $image\n\
             for tag in 1.2 1 latest; do crane tag $image $tag; done\n",
            layer = layer.display()
        ),
    );
    let all = format!(
        "seq 0 {} | xargs -P 20 -n 1 sh {}",
        IMAGES - 1,
        script.display()
    );
    run(&mut current(&["sh", "-c", &all]))
}

/// A context for bake and buildah.
fn context(directory: &Path, base: &str, namespace: &str, number: usize) -> String {
    let context = directory.join(format!("app{number}"));
    write(&context.join("motd"), MOTD);
    write(
        &context.join("Dockerfile"),
        format!(
            "FROM {base}\nLABEL owner=golden-images@example.com number={number} run={namespace}\nENV NUMBER={number}\n\
             EXPOSE 80\nCOPY motd /etc/motd\n"
        ),
    );
    context.to_str().unwrap().to_owned()
}

fn with_bake(host: &str, base: &str, engine: &str) -> Cost {
    let (directory, namespace) = (tempfile::tempdir().unwrap(), unique());
    let mut targets = serde_json::Map::new();
    for number in 0..IMAGES {
        let tags = TAGS.map(|tag| format!("{host}/{namespace}/app{number}:{tag}"));
        let context = context(directory.path(), base, &namespace, number);
        let target = serde_json::json!({ "context": context, "tags": tags });
        targets.insert(format!("app{number}"), target);
    }
    let names: Vec<String> = targets.keys().cloned().collect();
    let file = directory.path().join("bake.json");
    let bake =
        serde_json::json!({ "group": { "default": { "targets": names } }, "target": targets });
    write(&file, bake.to_string());
    let file = file.to_str().unwrap();
    run(&mut current(&[
        "docker",
        "-H",
        engine,
        "buildx",
        "bake",
        "--push",
        "--provenance=false",
        "-f",
        file,
    ]))
}

fn with_buildah(host: &str, base: &str) -> Cost {
    let (directory, namespace) = (tempfile::tempdir().unwrap(), unique());
    let commands = (0..IMAGES).flat_map(|number| {
        let repository = format!("{host}/{namespace}/app{number}");
        let context = context(directory.path(), base, &namespace, number);
        let mut build = vec!["buildah", "bud", "-q", "--layers", "--tls-verify=false"];
        build.extend(["-t", &repository, &context]);
        let mut commands = vec![current(&build)];
        commands.extend(TAGS.map(|tag| {
            let target = format!("docker://{repository}:{tag}");
            current(&[
                "buildah",
                "push",
                "-q",
                "--tls-verify=false",
                &repository,
                &target,
            ])
        }));
        commands
    });
    sequence(commands.collect::<Vec<_>>())
}

/// Prints the table.
pub(crate) fn run_bench() {
    let engine = service("DOCKER_MODERN");
    let mut registries = vec![("docker-registry 2.8.2", Registry::start())];
    if let Some(registry) = Registry::distribution_3() {
        registries.push(("distribution 3", registry));
    }
    registries.push(("golden serve", Registry::serve()));
    let bases = registries
        .iter()
        .map(|(_, registry)| big_base(&registry.host))
        .collect::<Vec<_>>();
    let measure = |work: &dyn Fn(&str, &str) -> Cost| {
        let measured = registries.iter().zip(&bases).map(|((_, registry), base)| {
            work(&registry.host, base);
            repeat(RUNS, |_| work(&registry.host, base))
        });
        measured.collect::<Vec<_>>()
    };
    let cache = tempfile::tempdir().unwrap();
    let warm = measure(&|host, base| with_golden(host, base, None, Some(cache.path())));
    let rows = [
        ("golden, embedded", warm.clone()),
        (
            "golden, embedded, base not read before",
            measure(&|host, base| with_golden(host, base, None, None)),
        ),
        (
            "golden, current Docker Engine",
            measure(&|host, base| with_golden(host, base, Some(engine), Some(cache.path()))),
        ),
        (
            "crane append, mutate, tag; 20 at once",
            measure(&with_crane),
        ),
        (
            "docker buildx bake --push, the same engine",
            measure(&|host, base| with_bake(host, base, engine)),
        ),
        ("buildah bud and push", measure(&with_buildah)),
    ];
    let mut head = vec!["twenty images, four tags each"];
    for (name, _) in &registries {
        head.extend([name, "against golden, embedded"]);
    }
    table::head(&head);
    for (name, costs) in rows {
        let mut cells = vec![name.to_owned()];
        for (cost, warm) in costs.into_iter().zip(&warm) {
            cells.extend([table::time(cost.time), table::ratio(cost, *warm)]);
        }
        table::row(&cells);
    }
}

/// Prints the time of a build whose steps are all in the engine's cache, on both engines, with golden
/// and with the client of that engine.
pub(crate) fn cached() {
    let base = service("BASE_BUSYBOX");
    let modern = service("DOCKER_MODERN");
    table::head(&[
        "one image, every step cached",
        "golden build",
        "docker build",
        "golden / docker",
    ]);
    for (name, engine) in [
        ("Docker 20.10", service("DOCKER_HOST")),
        ("current Docker Engine", modern),
    ] {
        let directory = tempfile::tempdir().unwrap();
        workspace(directory.path(), service("REGISTRY"), base, &unique());
        let build = || {
            let arguments = ["build", "app0", "--force", "--engine", "docker"];
            run(golden(directory.path(), &arguments).env("DOCKER_HOST", engine))
        };
        let context = context(directory.path(), base, "cached", IMAGES);
        let arguments = ["build", "-q", "-t", "cached", &context];
        let client = || {
            if engine == modern {
                run(&mut current(
                    &[&["docker", "-H", engine], &arguments[..]].concat(),
                ))
            } else {
                run(&mut docker(true, &arguments))
            }
        };
        build();
        client();
        let mine = repeat(RUNS, |_| build());
        let theirs = repeat(RUNS, |_| client());
        table::row(&[
            name.to_owned(),
            table::time(mine.time),
            table::time(theirs.time),
            table::ratio(mine, theirs),
        ]);
    }
}
