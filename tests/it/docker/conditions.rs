//! Failures of the machine of an engine: the message says what happened and what to do.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use super::recipe::unique;
use crate::support::private_engine::PrivateEngine;
use crate::support::services;
use crate::support::workspace::Golden;

const FULL: &str = "help: the disk of the engine is full: `docker system df` shows what uses it";

#[test]
fn a_full_disk_of_the_engine_is_named() {
    let engine = PrivateEngine::start(60);
    let step = "[[run]]\nname = \"fill the disk\"\nscript = \"/bin/busybox dd if=/dev/zero of=/big bs=1M count=100\"\n";
    let run = engine.workspace(step).run(&["build"]).exit(1);
    let words = "step `fill the disk` (app/image.toml:12) failed with exit code 1";
    assert!(run.stderr.contains(words), "{}", run.stderr);
    assert!(run.stderr.contains(FULL), "{}", run.stderr);

    let engine = PrivateEngine::start(30);
    let file = "[[files]]\nsource = \"big\"\ntarget = \"/big\"\n[[run]]\nscript = \"true\"\n";
    let golden = engine.workspace(file);
    golden.write("app/big", vec![1; 40 << 20]);
    let run = golden.run(&["build"]).exit(1);
    assert!(run.stderr.contains(FULL), "{}", run.stderr);
}

#[test]
fn an_engine_that_is_killed_during_a_build_is_named() {
    let mut engine = PrivateEngine::start(100);
    let golden = engine.workspace("[[run]]\nscript = \"echo begun; /bin/busybox sleep 60\"\n");
    let mut child = golden
        .command(&["build"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.ends_with("begun\n") && output.read_line(&mut text).unwrap() > 0 {}
    engine.kill();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{text}");
    let words = format!(
        "the Docker Engine at {} stopped during the build",
        engine.host()
    );
    assert!(text.contains(&words), "{text}");
    assert!(
        text.contains("help: it was restarted, killed or out of memory"),
        "{text}"
    );
}

#[test]
fn a_step_that_cannot_resolve_names_is_explained() {
    let (name, base) = (unique(), services::base_debian());
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"{base}\"\nfamily = \"debian\"\n\
         [[run]]\nscript = \"curl -sS http://packages.invalid/\"\n"
    );
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace("")
        .image("app", &text);
    let run = golden.run(&["build"]).exit(1);
    let words = "help: the step cannot resolve the names of hosts: check the network of the engine and its DNS servers";
    assert!(run.stderr.contains(words), "{}", run.stderr);
}
