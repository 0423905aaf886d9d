//! ^C and SIGTERM end a command soon, with 130, and say so.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::workspace::{Golden, Run};

/// Runs `golden ls` against a server that takes connections and never answers, and sends signals once it is waiting.
fn interrupted(signals: &[&str]) -> (Run, Duration) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let golden = Golden::new();
    let mut command = golden.command(&["ls", &host]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut connection, _) = silent.accept().unwrap();
    connection.read_exact(&mut [0]).unwrap();
    let since = Instant::now();
    for signal in signals {
        Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    }
    (Run::of(child.wait_with_output().unwrap()), since.elapsed())
}

#[test]
fn a_signal_ends_a_command() {
    for signal in ["INT", "TERM"] {
        let (run, took) = interrupted(&[signal]);
        let run = run.exit(130);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", "error: interrupted\n"), "{signal}");
        assert!(took < Duration::from_secs(5), "{signal} took {took:?}");
    }
}
