//! A connection to the engine that breaks during a build: golden soon ends with exit code 1 and
//! publishes nothing. The same command succeeds when the engine is available again.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::recipe::unique;
use crate::support::services;
use crate::support::workspace::Golden;

/// A proxy for the engine that closes every connection after the engine has sent `left` bytes.
struct CutProxy {
    address: String,
    left: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

impl CutProxy {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let (left, sent) = (
            Arc::new(AtomicU64::new(u64::MAX)),
            Arc::<AtomicU64>::default(),
        );
        let (rest, count) = (Arc::clone(&left), Arc::clone(&sent));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (rest, count) = (Arc::clone(&rest), Arc::clone(&count));
                std::thread::spawn(move || drop(forward(stream, &rest, &count)));
            }
        });
        Self {
            address,
            left,
            sent,
        }
    }
}

/// Forwards a connection to the engine until the limit is reached.
fn forward(mut client: TcpStream, left: &AtomicU64, sent: &AtomicU64) -> std::io::Result<()> {
    if left.load(Ordering::SeqCst) == 0 {
        return Ok(());
    }
    let socket = services::docker_host().strip_prefix("unix://").unwrap();
    let mut engine = UnixStream::connect(socket)?;
    let (mut from, mut to) = (client.try_clone()?, engine.try_clone()?);
    std::thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    let mut buffer = [0; 4096];
    loop {
        let read = engine.read(&mut buffer)?;
        let may = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            Some(left.saturating_sub(read as u64))
        });
        let may = usize::try_from(may.unwrap_or_else(|left| left)).unwrap_or(usize::MAX);
        sent.fetch_add(read as u64, Ordering::SeqCst);
        client.write_all(&buffer[..read.min(may)])?;
        if read == 0 || may <= read {
            drop(client.shutdown(Shutdown::Both));
            return engine.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_broken_connection_to_the_engine_is_an_error_and_nothing_is_published() {
    const CUTS: u64 = 4;
    for buildkit in ["1", "0"] {
        let (proxy, name) = (CutProxy::open(), unique());
        let host = services::registry();
        let golden = Golden::new()
            .workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"))
            .env("DOCKER_HOST", &proxy.address)
            .env("DOCKER_BUILDKIT", buildkit);
        let write = |version: u64| {
            golden.write(
                "app/image.toml",
                format!(
                    "[image]\nname = \"{name}\"\nversion = \"1.0.{version}\"\nbase = \"{}\"\nfamily = \"static\"\n\
                     [[run]]\nscript = \"echo {version}; seq 200\"\n",
                    services::base_busybox()
                ),
            );
        };
        let build = ["build", "--push", "--engine", "docker"];
        write(0);
        golden.run(&build).exit(0);
        let whole = proxy.sent.load(Ordering::SeqCst);
        let tags = || {
            Golden::new()
                .run(&["ls", &format!("{host}/{name}"), "--format", "json"])
                .exit(0)
                .stdout
        };
        let before = tags();
        write(1);
        for cut in 0..CUTS {
            // The last cut is before the end of the build.
            let at = 1 + whole * 9 / 10 * cut / CUTS;
            proxy.left.store(at, Ordering::SeqCst);
            let started = Instant::now();
            let run = golden.run(&[&build[..], &["--no-cache"]].concat());
            let took = started.elapsed();
            assert_eq!(
                run.code, 1,
                "builder {buildkit}, cut after {at} of {whole}: {}",
                run.stderr
            );
            assert!(
                took < Duration::from_mins(1),
                "cut after {at} of {whole}: {took:?}"
            );
            assert!(!run.stderr.contains("golden has a bug"), "{}", run.stderr);
            assert_eq!(tags(), before, "cut after {at} of {whole}");
        }
        proxy.left.store(u64::MAX, Ordering::SeqCst);
        golden.run(&build).exit(0);
        golden.run(&["verify"]).exit(0);
    }
}
