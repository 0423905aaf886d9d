//! A proxy for whole connections. It accepts CONNECT and absolute addresses, forwards everything to
//! one server, and can once cut a connection or change a byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A proxy that runs until it is dropped.
pub(crate) struct Tunnel {
    port: u16,
    shared: Arc<Shared>,
    /// Taken on drop.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Shared {
    heads: Mutex<Vec<String>>,
    /// Number of bytes from clients to the server.
    sent: AtomicUsize,
    /// The number of bytes after which the connection is cut, once.
    cut: AtomicUsize,
    /// The number of the byte that is changed, once.
    changed: usize,
}

impl Tunnel {
    /// Forwards to `port` on 127.0.0.1, independent of the address that a client requests.
    pub(crate) fn to(port: u16) -> Self {
        Self::cutting(port, usize::MAX)
    }

    /// Changes byte number `changed` on its way to the server.
    pub(crate) fn changing(target: u16, changed: usize) -> Self {
        Self::start(target, usize::MAX, changed)
    }

    /// Cuts the connection at byte number `cut`; the bytes before it arrive.
    pub(crate) fn cutting(target: u16, cut: usize) -> Self {
        Self::start(target, cut, usize::MAX)
    }

    fn start(target: u16, cut: usize, changed: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = super::server::listen(&runtime, "127.0.0.1", 0);
        let port = listener.local_addr().unwrap().port();
        let (sent, cut) = (AtomicUsize::new(0), AtomicUsize::new(cut));
        let shared = Arc::new(Shared {
            heads: Mutex::default(),
            sent,
            cut,
            changed,
        });
        let state = shared.clone();
        drop(runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(tokio::spawn(forward(stream, target, state.clone())));
            }
        }));
        Self {
            port,
            shared,
            runtime: Some(runtime),
        }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The first head of each connection.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.shared
            .heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The number of bytes that clients have sent to the server.
    pub(crate) fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::SeqCst)
    }
}

async fn forward(mut client: TcpStream, target: u16, shared: Arc<Shared>) {
    let mut head = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(length) => head.extend_from_slice(&piece[..length]),
        }
    }
    let text = String::from_utf8_lossy(&head)
        .split("\r\n\r\n")
        .next()
        .unwrap_or_default()
        .to_owned();
    shared
        .heads
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(text);
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let opened = if head.starts_with(b"CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await
    } else {
        shared.sent.fetch_add(head.len(), Ordering::SeqCst);
        server.write_all(&head).await
    };
    let mut back = vec![0; 64 * 1024];
    let mut alive = opened.is_ok();
    while alive {
        alive = tokio::select! {
            length = client.read(&mut piece) => match length {
                Ok(0) | Err(_) => false,
                Ok(length) => pass_bytes(&mut server, &mut piece[..length], &shared).await,
            },
            length = server.read(&mut back) => match length {
                Ok(0) | Err(_) => false,
                Ok(length) => client.write_all(&back[..length]).await.is_ok(),
            },
        };
    }
}

/// Forwards bytes; returns false at the cut.
async fn pass_bytes(server: &mut TcpStream, bytes: &mut [u8], shared: &Shared) -> bool {
    let before = shared.sent.fetch_add(bytes.len(), Ordering::SeqCst);
    if let Some(byte) = shared
        .changed
        .checked_sub(before)
        .and_then(|at| bytes.get_mut(at))
    {
        *byte ^= 1;
    }
    let cut = shared.cut.load(Ordering::SeqCst);
    if before + bytes.len() <= cut {
        return server.write_all(bytes).await.is_ok();
    }
    shared.cut.store(usize::MAX, Ordering::SeqCst);
    drop(server.write_all(&bytes[..cut.saturating_sub(before)]).await);
    // The server gets the time to read the bytes that arrived before it sees the closed connection.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    false
}
