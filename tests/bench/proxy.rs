//! A proxy that counts at the socket: bytes in each direction, and requests.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters.
#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    requests: AtomicU64,
}

/// A snapshot of the counters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    /// Bytes to the registry.
    pub(crate) sent: u64,
    /// Bytes from the registry.
    pub(crate) received: u64,
    /// Requests.
    pub(crate) requests: u64,
}

/// A proxy that runs until the process exits.
pub(crate) struct Proxy {
    /// The address of the proxy, as HOST:PORT.
    pub(crate) host: String,
    counters: Arc<Counters>,
}

impl Proxy {
    /// Starts a proxy in front of `registry`.
    pub(crate) fn start(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (host, registry) = (
            listener.local_addr().unwrap().to_string(),
            registry.to_owned(),
        );
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&registry) else {
                    continue;
                };
                let (client_back, server_back) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let mut requests = Requests::default();
                    pump(client, server, |bytes| {
                        up.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        up.requests
                            .fetch_add(requests.count(bytes), Ordering::Relaxed);
                    });
                });
                std::thread::spawn(move || {
                    pump(server_back, client_back, |bytes| {
                        down.received
                            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    });
                });
            }
        });
        Self { host, counters }
    }

    /// The counts since the last call.
    pub(crate) fn take(&self) -> Counted {
        Counted {
            sent: self.counters.sent.swap(0, Ordering::Relaxed),
            received: self.counters.received.swap(0, Ordering::Relaxed),
            requests: self.counters.requests.swap(0, Ordering::Relaxed),
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, mut seen: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        seen(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}

/// Counts the requests of a connection: reads heads, skips bodies of known length, and follows
/// chunks.
#[derive(Default)]
struct Requests {
    line: Vec<u8>,
    length: u64,
    chunked: bool,
    state: State,
}

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Head,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    Trailer,
}

impl Requests {
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut complete = 0;
        while !bytes.is_empty() {
            if let State::Body(left) | State::Chunk(left) = self.state {
                let skip = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = &bytes[skip..];
                let left = left - skip as u64;
                self.state = match self.state {
                    State::Body(_) if left == 0 => State::Head,
                    State::Body(_) => State::Body(left),
                    _ if left == 0 => State::ChunkSize,
                    _ => State::Chunk(left),
                };
                continue;
            }
            let byte = bytes[0];
            bytes = &bytes[1..];
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line))
                .trim()
                .to_ascii_lowercase();
            complete += u64::from(self.line(&line));
        }
        complete
    }

    /// Reads a line of a head or between chunks; returns true if it ends a head.
    fn line(&mut self, line: &str) -> bool {
        match self.state {
            State::Head if line.is_empty() => {
                let (length, chunked) = (
                    std::mem::take(&mut self.length),
                    std::mem::take(&mut self.chunked),
                );
                self.state = if chunked {
                    State::ChunkSize
                } else if length > 0 {
                    State::Body(length)
                } else {
                    State::Head
                };
                return true;
            }
            State::Head => {
                if let Some(value) = line.strip_prefix("content-length:") {
                    self.length = value.trim().parse().unwrap_or_default();
                }
                self.chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
            }
            State::ChunkSize => {
                let size = line.split(';').next().unwrap_or_default();
                self.state = match u64::from_str_radix(size, 16).unwrap_or_default() {
                    0 => State::Trailer,
                    // The line end after the data belongs to the chunk.
                    size => State::Chunk(size + 2),
                };
            }
            State::Trailer if line.is_empty() => self.state = State::Head,
            State::Trailer | State::Body(_) | State::Chunk(_) => {}
        }
        false
    }
}
