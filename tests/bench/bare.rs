//! The same requests by a client that does nothing else: what a registry itself takes for them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// As many connections as golden has to a registry.
const CONNECTIONS: usize = 8;
/// What golden accepts.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// How long the registry at `host` takes to answer each request, written as `METHOD PATH`.
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
    for asked in requests {
        let request = format!("{asked} HTTP/1.1\r\nHost: {host}\r\nAccept: {ACCEPT}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{asked}: {line}");
        let mut length = 0;
        while line.trim_end() != "" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let lower = line.to_ascii_lowercase();
            length = lower
                .strip_prefix("content-length:")
                .map_or(length, |text| text.trim().parse().unwrap());
        }
        // The length of an answer to HEAD is that of a body that is not sent.
        if !asked.starts_with("HEAD ") {
            reader.read_exact(&mut vec![0; length]).unwrap();
        }
    }
}
