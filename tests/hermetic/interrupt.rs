//! ^C and SIGTERM end a command within seconds, with exit code 130 and a message.

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::workspace::{Golden, Run};

/// Runs `golden ls` against a server that accepts connections and never answers, and sends signals
/// while it waits.
fn interrupted(signals: &[&str]) -> (Run, Duration) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let golden = Golden::new();
    let mut command = golden.command(&["ls", &host]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut connection, _) = silent.accept().unwrap();
    connection.read_exact(&mut [0]).unwrap();
    let since = Instant::now();
    for signal in signals {
        Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap();
    }
    (Run::of(child.wait_with_output().unwrap()), since.elapsed())
}

#[test]
fn a_signal_ends_a_command() {
    for signal in ["INT", "TERM", "HUP"] {
        let (run, took) = interrupted(&[signal]);
        let run = run.exit(130);
        assert_eq!(
            (run.stdout.as_str(), run.stderr.as_str()),
            ("", "error: interrupted\n"),
            "{signal}"
        );
        assert!(took < Duration::from_secs(5), "{signal} took {took:?}");
    }
}

/// The files below a directory that are being written, or are incomplete.
fn unfinished(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(unfinished(&path));
        } else if entry.file_name().to_string_lossy().starts_with(".golden-") {
            found.push(path);
        }
    }
    found
}

/// Incompressible content, so that writing its layer takes a while.
fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| noise.u8(..))
        .take(bytes)
        .collect()
}

/// An incomplete layer is removed, and the same command completes the build.
#[test]
fn an_interrupted_build_removes_its_incomplete_layer() {
    let image = "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n\
                 [[files]]\nsource = \"noise\"\ntarget = \"/noise\"\n";
    let golden = Golden::new()
        .workspace("")
        .image("app", image)
        .file("app/noise", noise(48 << 20));
    for signal in ["INT", "TERM", "HUP"] {
        let mut command = golden.command(&["build", "--to", "oci:out"]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (started, cache) = (Instant::now(), golden.path().join(".golden/cache"));
        while unfinished(&cache).is_empty() && started.elapsed() < Duration::from_mins(1) {
            std::thread::sleep(Duration::from_millis(2));
        }
        Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap();
        let since = Instant::now();
        let run = Run::of(child.wait_with_output().unwrap()).exit(130);
        let ending = "error: interrupted\n  help: run the same command again to finish the work\n";
        assert!(run.stderr.ends_with(ending), "{signal}: {}", run.stderr);
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "{signal} took {:?}",
            since.elapsed()
        );
        assert_eq!(unfinished(golden.path()), Vec::<PathBuf>::new(), "{signal}");
    }
    golden.run(&["build", "--to", "oci:out"]).exit(0);
    golden.run(&["inspect", "oci:out:app:1.2.3"]).exit(0);
}
