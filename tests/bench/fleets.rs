//! Measures generated fleets, four levels deep: `check`, the first `build --push`, `build --push`
//! and `plan` if everything is up to date, and `plan` after one base has moved.

use std::path::Path;

use super::bare;
use super::machine::{Registry, golden, service, unique, write};
use super::measure::{repeat, run};
use super::proxy::Proxy;
use super::table;

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const DEPTH: usize = 4;
/// A build that publishes.
const BUILD: [&str; 4] = ["build", "--push", "--engine", "embedded"];

/// Writes a fleet: a quarter of the images are built on an external base, each of the others on an
/// image of the level before.
fn fleet(directory: &Path, host: &str, base: &str, size: usize) {
    write(
        &directory.join("golden.toml"),
        format!(
            "[[registry]]\nname = \"bench\"\nhost = \"{host}\"\nnamespace = \"fleet\"\n[defaults.labels]\nowner = \"team@example.com\"\n"
        ),
    );
    let width = size.div_ceil(DEPTH);
    for number in 0..size {
        let on = if number < width {
            format!("\"{base}\"")
        } else {
            format!("{{ image = \"app{}\" }}", number - width)
        };
        write(
            &directory.join(format!("app{number}/image.toml")),
            format!(
                "[image]\nname = \"app{number}\"\nversion = \"1.0.0\"\ndescription = \"Image {number}\"\nbase = {on}\n[env]\nNUMBER = \"{number}\"\n"
            ),
        );
    }
}

/// The sizes of the fleets: those given on the command line, as in `cargo bench -- fleets 1000`, or all.
fn sizes() -> Vec<usize> {
    let given: Vec<usize> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    if given.is_empty() {
        SIZES.to_vec()
    } else {
        given
    }
}

/// Prints the table.
pub(crate) fn run_bench() {
    table::head(&[
        "images",
        "check",
        "build --push",
        "unchanged, cold",
        "unchanged, cached",
        "plan, cold",
        "plan, cached",
        "its requests alone",
        "plan, one base moved",
        "peak memory",
        "requests per image, cold",
        "cached",
        "unchanged, cached",
    ]);
    for size in sizes() {
        let registry = Registry::start();
        let base = format!("{}/base/moving:1", registry.host);
        let copy = |source: &str| {
            run(std::process::Command::new("skopeo")
                .args([
                    "copy",
                    "--quiet",
                    "--src-tls-verify=false",
                    "--dest-tls-verify=false",
                ])
                .args([format!("docker://{source}"), format!("docker://{base}")]))
        };
        copy(service("BASE_BUSYBOX"));
        let directory = tempfile::tempdir().unwrap();
        fleet(directory.path(), &registry.host, &base, size);
        let runs = if size > 1_000 { 3 } else { 5 };
        let check = repeat(runs, |_| run(&mut golden(directory.path(), &["check"])));
        let build = run(&mut golden(directory.path(), &BUILD));
        let again = || run(&mut golden(directory.path(), &BUILD));
        let again_cold = repeat(runs, |_| {
            delete_state(directory.path());
            again()
        });
        let again_cached = repeat(runs, |_| again());
        let cold = repeat(runs, |_| {
            delete_state(directory.path());
            run(&mut golden(directory.path(), &["plan"]))
        });
        let cached = repeat(runs, |_| run(&mut golden(directory.path(), &["plan"])));

        // The lower bound: the registry's own time for the same requests.
        let requests: Vec<String> = (0..size).flat_map(requests_of).collect();
        let mut alone: Vec<_> = (0..runs)
            .map(|_| bare::requests(&registry.host, &requests))
            .collect();
        alone.sort();

        let proxy = Proxy::start(&registry.host);
        let through = format!("{}/fleet", proxy.host);
        let counted = |is_cold: bool, command: &[&str]| {
            if is_cold {
                delete_state(directory.path());
            }
            proxy.take();
            let arguments = [&["--registry", &through], command].concat();
            run(&mut golden(directory.path(), &arguments));
            #[expect(clippy::cast_precision_loss, reason = "the output has only two digits")]
            let each = proxy.take().requests as f64 / size as f64;
            format!("{each:.2}")
        };
        let (requests_cold, requests_cached) =
            (counted(true, &["plan"]), counted(false, &["plan"]));
        let build_requests = counted(false, &BUILD);

        // One more label makes a different base.
        let moved = tempfile::tempdir().unwrap();
        write(
            &moved.path().join("golden.toml"),
            format!(
                "[[registry]]\nname = \"bench\"\nhost = \"{}\"\n",
                registry.host
            ),
        );
        write(
            &moved.path().join("image.toml"),
            format!(
                "[image]\nname = \"base/next\"\nversion = \"1.0.0\"\nbase = \"{}\"\n[labels]\nrun = \"{}\"\n",
                service("BASE_BUSYBOX"),
                unique()
            ),
        );
        run(&mut golden(
            moved.path(),
            &["build", "--push", "--engine", "embedded"],
        ));
        copy(&format!("{}/base/next:1.0.0", registry.host));
        // golden.lock pins the base, so that the plan does not change.
        let one_moved = repeat(runs, |_| run(&mut golden(directory.path(), &["plan"])));
        table::row(&[
            size.to_string(),
            table::time(check.time),
            table::time(build.time),
            table::time(again_cold.time),
            table::time(again_cached.time),
            table::time(cold.time),
            table::time(cached.time),
            table::time(alone[runs / 2]),
            table::time(one_moved.time),
            table::size(check.peak.max(cold.peak).max(cached.peak)),
            requests_cold,
            requests_cached,
            build_requests,
        ]);
    }
}

/// The requests of a plan for an image that is published with its four tags.
fn requests_of(number: usize) -> Vec<String> {
    let repository = format!("/v2/fleet/app{number}");
    let list = [format!("GET {repository}/tags/list?n=1000")];
    let tags =
        ["1.0.0", "1.0", "1", "latest"].map(|tag| format!("HEAD {repository}/manifests/{tag}"));
    list.into_iter().chain(tags).collect()
}

/// Deletes everything that golden has stored for a workspace, except for golden.lock.
fn delete_state(workspace: &Path) {
    drop(std::fs::remove_dir_all(workspace.join(".golden")));
}
