//! Peak memory with a layer of 1 GiB. Goal: below 64 MiB.

use super::machine::{Registry, golden, mebibytes, noise, service, unique, write};
use super::measure::run;
use super::table;

/// Prints the table.
pub(crate) fn run_bench() {
    let (home, other) = (Registry::start(), Registry::start());
    let directory = tempfile::tempdir_in(format!("{}/target", super::machine::ROOT)).unwrap();
    let base = service("BASE_BUSYBOX");
    write(
        &directory.path().join("golden.toml"),
        format!("[[registry]]\nname = \"bench\"\nhost = \"{}\"\n", home.host),
    );
    write(
        &directory.path().join("image.toml"),
        format!(
            "[image]\nname = \"large\"\nversion = \"1.0.0\"\nbase = \"{base}\"\n[[files]]\nsource = \"data\"\ntarget = \"/data\"\n"
        ),
    );
    write(&directory.path().join("data"), noise(mebibytes(1024), 9));
    let build = run(&mut golden(
        directory.path(),
        &["build", "--push", "--engine", "embedded"],
    ));
    let source = format!("{}/large:1.0.0", home.host);
    let promote = run(&mut golden(
        directory.path(),
        &[
            "promote",
            &source,
            &format!("{}/{}/large:1.0.0", other.host, unique()),
        ],
    ));
    table::head(&["a layer of 1 GiB", "time", "peak memory"]);
    for (name, cost) in [
        ("golden build --push, embedded", build),
        ("golden promote to another registry", promote),
    ] {
        table::row(&[
            name.to_owned(),
            table::time(cost.time),
            table::size(cost.peak),
        ]);
    }
}
