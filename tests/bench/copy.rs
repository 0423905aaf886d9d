//! Copies an image of 500 MB between two repositories of one registry, and between two registries.

use super::machine::{Registry, big_base, docker, golden, unique};
use super::measure::{Cost, repeat, run};
use super::table;
use std::process::Command;

const RUNS: usize = 5;

fn with_golden(source: &str, target: &str) -> Cost {
    let directory = tempfile::tempdir().unwrap();
    run(&mut golden(directory.path(), &["promote", source, target]))
}

fn with_skopeo(source: &str, target: &str) -> Cost {
    let mut command = Command::new("skopeo");
    command.args([
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    ]);
    run(command
        .arg(format!("docker://{source}"))
        .arg(format!("docker://{target}")))
}

/// The engine has the image; only the push is timed.
fn with_docker(source: &str, target: &str) -> Cost {
    run(&mut docker(false, &["tag", source, target]));
    let cost = run(&mut docker(
        false,
        &["push", "-q", "-a", target.rsplit_once(':').unwrap().0],
    ));
    run(&mut docker(false, &["rmi", target]));
    cost
}

/// Prints the table.
pub(crate) fn run_bench() {
    let home = Registry::start();
    let source = big_base(&home.host);
    table::head(&[
        "from one repository to another",
        "golden promote",
        "skopeo copy",
        "docker push -a",
        "skopeo / golden",
        "docker / golden",
        "golden's peak memory",
    ]);
    for (name, same) in [
        ("of the same registry", true),
        ("of another registry", false),
    ] {
        let measure = |copy: &dyn Fn(&str, &str) -> Cost| {
            repeat(RUNS, |_| {
                // A new registry each time, so that no cache knows it.
                let other = (!same).then(Registry::start);
                let host = other
                    .as_ref()
                    .map_or(home.host.as_str(), |other| other.host.as_str());
                copy(&source, &format!("{host}/{}/big:1", unique()))
            })
        };
        let (golden, skopeo, docker) = (
            measure(&with_golden),
            measure(&with_skopeo),
            measure(&with_docker),
        );
        table::row(&[
            name.to_owned(),
            table::time(golden.time),
            table::time(skopeo.time),
            table::time(docker.time),
            table::ratio(skopeo, golden),
            table::ratio(docker, golden),
            table::size(golden.peak),
        ]);
    }
}
