//! One image under 1, 4 and 16 tags. Goal: 16 tags cost less than 1.2 × one.

use std::path::Path;
use std::process::Command;

use super::machine::{docker, golden, mebibytes, noise, service, unique, write};
use super::measure::{Cost, repeat, run, sequence};
use super::table;

const RUNS: usize = 5;
const COUNTS: [usize; 3] = [1, 4, 16];

fn tags(count: usize) -> String {
    match count {
        1 => "fan_out = [\"full\"]".to_owned(),
        count => format!(
            "extra = [{}]",
            (4..count)
                .map(|number| format!("\"channel-{number}\""))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// A workspace with an image of 50 MB on busybox.
fn workspace(directory: &Path, namespace: &str, count: usize) {
    let (registry, base) = (service("REGISTRY"), service("BASE_BUSYBOX"));
    write(
        &directory.join("golden.toml"),
        format!(
            "[[registry]]\nname = \"bench\"\nhost = \"{registry}\"\nnamespace = \"{namespace}\"\n"
        ),
    );
    write(
        &directory.join("image.toml"),
        format!(
            "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"{base}\"\n[labels]\nrun = \"{namespace}\"\n[[files]]\nsource = \"data\"\ntarget = \"/data\"\n[tags]\n{}\n",
            tags(count)
        ),
    );
    write(&directory.join("data"), noise(mebibytes(50), 7));
}

fn with_golden(engine: &str, count: usize) -> Cost {
    repeat(RUNS, |_| {
        let directory = tempfile::tempdir().unwrap();
        workspace(directory.path(), &unique(), count);
        if engine == "docker" {
            run(&mut golden(
                directory.path(),
                &["build", "--engine", "docker"],
            ));
            run(&mut golden(directory.path(), &["push"]))
        } else {
            run(&mut golden(
                directory.path(),
                &["build", "--push", "--engine", "embedded"],
            ))
        }
    })
}

fn with_docker(count: usize) -> Cost {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("data"), noise(mebibytes(50), 7));
    repeat(RUNS, |_| {
        let repository = format!("{}/{}/app", service("REGISTRY"), unique());
        write(
            &directory.path().join("Dockerfile"),
            format!(
                "FROM {}\nLABEL run={repository}\nCOPY data /data\n",
                service("BASE_BUSYBOX")
            ),
        );
        run(&mut docker(
            false,
            &[
                "build",
                "-q",
                "-t",
                &format!("{repository}:0"),
                directory.path().to_str().unwrap(),
            ],
        ));
        for tag in 1..count {
            run(&mut docker(
                false,
                &[
                    "tag",
                    &format!("{repository}:0"),
                    &format!("{repository}:{tag}"),
                ],
            ));
        }
        run(&mut docker(false, &["push", "-q", "-a", &repository]))
    })
}

/// The same image from a directory, one call for each tag, because skopeo copies only one tag at a
/// time.
fn with_skopeo(count: usize) -> Cost {
    let (directory, namespace) = (tempfile::tempdir().unwrap(), unique());
    workspace(directory.path(), &namespace, 1);
    let layout = format!("oci:{}", directory.path().join("layout").display());
    run(&mut golden(
        directory.path(),
        &["build", "--engine", "embedded", "--to", &layout],
    ));
    let source = format!("{layout}:{namespace}/app:1.2.3");
    repeat(RUNS, |_| {
        let repository = format!("{}/{}/app", service("REGISTRY"), unique());
        let copy = |tag: usize| {
            let mut command = Command::new("skopeo");
            command.args(["copy", "--quiet", "--dest-tls-verify=false", &source]);
            command.arg(format!("docker://{repository}:{tag}"));
            command
        };
        sequence((0..count).map(copy))
    })
}

/// Prints the table.
pub(crate) fn run_bench() {
    table::head(&["publisher", "1 tag", "4 tags", "16 tags", "16 against 1"]);
    let row = |name: &str, cost: &dyn Fn(usize) -> Cost| {
        let costs = COUNTS.map(cost);
        let mut cells = vec![name.to_owned()];
        cells.extend(costs.iter().map(|cost| table::time(cost.time)));
        cells.push(table::ratio(costs[2], costs[0]));
        table::row(&cells);
    };
    row("golden build --push, embedded", &|count| {
        with_golden("embedded", count)
    });
    row("golden push, docker engine", &|count| {
        with_golden("docker", count)
    });
    row("docker push -a", &with_docker);
    row("skopeo copy, once a tag", &with_skopeo);
}
