//! Sends the same requests with a minimal client, to measure the registry's own time for them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The number of connections, which equals golden's limit for one registry.
const CONNECTIONS: usize = 8;
/// The Accept header of golden.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Measures how long the registry at `host` takes to answer each request, written as `METHOD PATH`.
pub(crate) fn requests(host: &str, requests: &[String]) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for part in requests.chunks(requests.len().div_ceil(CONNECTIONS)) {
            scope.spawn(move || one_connection(host, part));
        }
    });
    started.elapsed()
}

fn one_connection(host: &str, requests: &[String]) {
    let mut stream = TcpStream::connect(host).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for method_and_path in requests {
        let request =
            format!("{method_and_path} HTTP/1.1\r\nHost: {host}\r\nAccept: {ACCEPT}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(
            line.starts_with("HTTP/1.1 200"),
            "{method_and_path}: {line}"
        );
        let mut length = 0;
        while line.trim_end() != "" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let lower = line.to_ascii_lowercase();
            length = lower
                .strip_prefix("content-length:")
                .map_or(length, |text| text.trim().parse().unwrap());
        }
        // An answer to HEAD has a Content-Length but no body.
        if !method_and_path.starts_with("HEAD ") {
            reader.read_exact(&mut vec![0; length]).unwrap();
        }
    }
}
