//! Metadata-and-certificate images on one base of 500 MB, four tags each, built and pushed.

use std::path::Path;
use std::process::Command;

use super::machine::{Registry, big_base, certificate, docker, golden, unique, write};
use super::measure::{Cost, repeat, run, sequence};
use super::proxy::Proxy;
use super::table;

const IMAGES: usize = 20;
const TAGS: [&str; 4] = ["1.2.3", "1.2", "1", "latest"];

/// A workspace with `count` images.
fn workspace(directory: &Path, host: &str, base: &str, namespace: &str, count: usize) {
    certificate(&directory.join("ca.crt"));
    write(
        &directory.join("golden.toml"),
        format!(
            "[[registry]]\nname = \"bench\"\nhost = \"{host}\"\nnamespace = \"{namespace}\"\n[defaults.certs]\ntrust = [\"ca.crt\"]\n\
             [defaults.labels]\nowner = \"golden-images@example.com\"\nrun = \"{namespace}\"\n"
        ),
    );
    for number in 0..count {
        write(
            &directory.join(format!("app{number}/image.toml")),
            format!(
                "[image]\nname = \"app{number}\"\nversion = \"1.2.3\"\ndescription = \"Application {number}\"\nbase = \"{base}\"\nfamily = \"debian\"\n\
                 [labels]\nnumber = \"{number}\"\n[env]\nNUMBER = \"{number}\"\n[config]\nexpose = [80]\nuser = \"10001\"\n"
            ),
        );
    }
}

/// Publishes new images. `cache` is golden's cache of bases, which is kept between runs as the
/// peers keep the base; without it, golden has not read the base before.
fn with_golden(host: &str, base: &str, count: usize, cache: Option<&Path>) -> Cost {
    let (directory, namespace) = (tempfile::tempdir().unwrap(), unique());
    workspace(directory.path(), host, base, &namespace, count);
    let mut command = golden(
        directory.path(),
        &["build", "--push", "--engine", "embedded"],
    );
    if let Some(cache) = cache {
        command.env("XDG_CACHE_HOME", cache);
    }
    run(&mut command)
}

/// The Dockerfiles that a team writes by hand for the same images.
fn contexts(directory: &Path, base: &str, run: &str) {
    for number in 0..IMAGES {
        let context = directory.join(format!("app{number}"));
        certificate(&context.join("ca.crt"));
        write(
            &context.join("Dockerfile"),
            format!(
                "FROM {base}\nCOPY ca.crt /usr/local/share/ca-certificates/team.crt\nRUN echo {run} && update-ca-certificates\n\
                 ENV NUMBER={number}\nLABEL title=app{number} version=1.2.3 description=\"Application {number}\" owner=golden-images@example.com number={number} run={run}\n\
                 EXPOSE 80\nUSER 10001\n"
            ),
        );
    }
}

fn with_docker(host: &str, base: &str, buildkit: bool) -> Cost {
    let (directory, namespace) = (tempfile::tempdir().unwrap(), unique());
    contexts(directory.path(), base, &namespace);
    let commands = (0..IMAGES).flat_map(|number| {
        let repository = format!("{host}/{namespace}/app{number}");
        let context = directory.path().join(format!("app{number}"));
        let names: Vec<String> = TAGS
            .iter()
            .map(|tag| format!("--tag={repository}:{tag}"))
            .collect();
        let mut build = vec!["build", "-q"];
        build.extend(names.iter().map(String::as_str));
        build.push(context.to_str().unwrap());
        [
            docker(buildkit, &build),
            docker(buildkit, &["push", "-q", "-a", &repository]),
        ]
    });
    sequence(commands.collect::<Vec<_>>())
}

fn buildah(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("buildah");
    command
        .arg("--root")
        .arg(root.join("root"))
        .arg("--runroot")
        .arg(root.join("run"))
        .args(arguments);
    command
}

fn with_buildah(store: &Path, host: &str, base: &str) -> Cost {
    let (directory, namespace) = (tempfile::tempdir().unwrap(), unique());
    contexts(directory.path(), base, &namespace);
    let commands = (0..IMAGES).flat_map(|number| {
        let repository = format!("{host}/{namespace}/app{number}");
        let context = directory.path().join(format!("app{number}"));
        let context = context.to_str().unwrap();
        let mut commands = vec![buildah(
            store,
            &[
                "bud",
                "-q",
                "--layers",
                "--isolation=chroot",
                "--tls-verify=false",
                "-t",
                &repository,
                context,
            ],
        )];
        commands.extend(TAGS.map(|tag| {
            buildah(
                store,
                &[
                    "push",
                    "-q",
                    "--tls-verify=false",
                    &repository,
                    &format!("docker://{repository}:{tag}"),
                ],
            )
        }));
        commands
    });
    sequence(commands.collect::<Vec<_>>())
}

/// Removes the base and everything built on it from an engine.
fn forget() {
    run(&mut docker(false, &["system", "prune", "-af"]));
    run(&mut docker(false, &["builder", "prune", "-af"]));
}

/// Prints the table of the twenty images: warm (the peers have the base, and golden has read it
/// before), and cold (only the registry has it, and golden has no `.golden`).
pub(crate) fn twenty() {
    let registry = Registry::start();
    let (host, base) = (registry.host.as_str(), big_base(&registry.host));
    let store = tempfile::tempdir_in(format!("{}/target", super::machine::ROOT)).unwrap();
    table::head(&[
        "twenty images, four tags each",
        "golden",
        "BuildKit",
        "classic",
        "buildah",
        "fastest peer / golden",
        "golden's peak memory",
    ]);
    run(&mut buildah(
        store.path(),
        &["pull", "-q", "--tls-verify=false", &base],
    ));
    let cache = tempfile::tempdir().unwrap();
    with_golden(host, &base, 1, Some(cache.path()));
    let warm = [
        repeat(5, |_| with_golden(host, &base, IMAGES, Some(cache.path()))),
        repeat(3, |_| with_docker(host, &base, true)),
        repeat(3, |_| with_docker(host, &base, false)),
        repeat(3, |_| with_buildah(store.path(), host, &base)),
    ];
    print("warm", warm);
    let cold = [
        repeat(5, |_| with_golden(host, &base, IMAGES, None)),
        repeat(3, |_| {
            forget();
            with_docker(host, &base, true)
        }),
        repeat(3, |_| {
            forget();
            with_docker(host, &base, false)
        }),
        repeat(3, |_| {
            run(&mut buildah(store.path(), &["rmi", "--all", "--force"]));
            with_buildah(store.path(), host, &base)
        }),
    ];
    print("cold", cold);
    forget();
    super::machine::make_bases();
}

fn print(name: &str, [golden, buildkit, classic, buildah]: [Cost; 4]) {
    let fastest = [buildkit, classic, buildah]
        .into_iter()
        .min_by_key(|cost| cost.time)
        .unwrap_or(buildkit);
    let mut cells = vec![name.to_owned()];
    cells.extend([golden, buildkit, classic, buildah].map(|cost| table::time(cost.time)));
    cells.extend([table::ratio(fastest, golden), table::size(golden.peak)]);
    table::row(&cells);
}

/// Prints the network cost of one image, and its ratio to the minimum.
pub(crate) fn wire() {
    let registry = Registry::start();
    let base = big_base(&registry.host);
    let proxy = Proxy::start(&registry.host);
    // The base under the proxy's name, so that reading it counts too.
    let base = base.replace(&registry.host, &proxy.host);
    table::head(&[
        "twenty images through a counting proxy",
        "requests per image",
        "sent per image",
        "received per image",
    ]);
    let directory = tempfile::tempdir().unwrap();
    workspace(directory.path(), &proxy.host, &base, &unique(), IMAGES);
    for name in ["first build --push", "the same command again"] {
        proxy.take();
        run(&mut golden(
            directory.path(),
            &["build", "--push", "--engine", "embedded"],
        ));
        let counted = proxy.take();
        let images = IMAGES as u64;
        #[expect(clippy::cast_precision_loss, reason = "the output has only one digit")]
        let requests = counted.requests as f64 / images as f64;
        table::row(&[
            name.to_owned(),
            format!("{requests:.1}"),
            table::size(counted.sent / images),
            table::size(counted.received / images),
        ]);
    }
}

/// Prints the time of a thousand images. Goal: below 30 s.
pub(crate) fn thousand() {
    let registry = Registry::start();
    let base = big_base(&registry.host);
    let cost = repeat(3, |_| with_golden(&registry.host, &base, 1000, None));
    table::head(&["images", "time", "peak memory"]);
    table::row(&[
        "1,000".to_owned(),
        table::time(cost.time),
        table::size(cost.peak),
    ]);
}
