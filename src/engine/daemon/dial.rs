//! A stream of bytes to an engine, over whatever leads there.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::address::Address;
use super::tls;
use crate::process::{Environment, Program};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(30);

/// Both directions of a connection.
pub(in crate::engine) trait Duplex:
    AsyncRead + AsyncWrite + Send + Unpin
{
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connects to an engine.
pub(in crate::engine) async fn dial(
    address: &Address,
    tls: Option<&tls::Client>,
    programs: &Environment,
) -> io::Result<Box<dyn Duplex>> {
    let connecting = async {
        Ok::<Box<dyn Duplex>, io::Error>(match address {
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Address::Tcp { host, port } => {
                let port = port.unwrap_or(if tls.is_some() { 2376 } else { 2375 });
                let stream = TcpStream::connect((host.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                match tls {
                    Some(client) => Box::new(client.connect(host, stream).await?),
                    None => Box::new(stream),
                }
            }
            Address::Ssh {
                user,
                host,
                port,
                socket,
            } => Box::new(SshStream::open(
                programs,
                user.as_deref(),
                host,
                *port,
                socket.as_deref(),
            )?),
        })
    };
    tokio::time::timeout(CONNECT, connecting).await?
}

/// `ssh HOST docker system dial-stdio`, which joins its standard streams with the engine's socket: the way of
/// Docker's own client, so that what works for it (keys, agents, jump hosts) works here.
struct SshStream {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    state: SshState,
    /// Whether anything was asked. That ssh ended is told as the answer to a question: whoever holds a connection
    /// that breaks before only knows that it was not ready.
    asked: bool,
    /// Who waits for that.
    waiting: Option<Waker>,
}

/// Whether ssh has said anything yet. When it ends without a word, its standard error is the explanation.
enum SshState {
    Silent,
    Spoken,
    Ended(Pin<Box<dyn Future<Output = String> + Send>>),
    Told(String),
}

/// A word as the shell on the other machine reads it: ssh joins its arguments with spaces.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl SshStream {
    fn open(
        programs: &Environment,
        user: Option<&str>,
        host: &str,
        port: Option<u16>,
        socket: Option<&str>,
    ) -> io::Result<Self> {
        let mut command = programs.command(Program::Ssh, "ssh");
        command.args(["-o", &format!("ConnectTimeout={}", CONNECT.as_secs()), "-T"]);
        if let Some(user) = user {
            command.args(["-l", user]);
        }
        if let Some(port) = port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", host, "docker"]);
        if let Some(socket) = socket {
            command.arg(quoted(&format!("--host=unix://{socket}")));
        }
        command.args(["system", "dial-stdio"]);
        let pipes = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = pipes.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("`ssh` cannot be started: {error}"))
        })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self {
            child,
            stdin,
            stdout,
            state: SshState::Silent,
            asked: false,
            waiting: None,
        })
    }

    /// The error of a connection whose ssh ended without a word.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            match &mut self.state {
                SshState::Ended(complaint) => {
                    let complaint = ready!(complaint.as_mut().poll(context));
                    self.state = SshState::Told(complaint);
                }
                SshState::Told(complaint) => {
                    return Poll::Ready(io::Error::other(format!("ssh ended: {complaint}")));
                }
                SshState::Silent | SshState::Spoken => {
                    self.state = SshState::Ended(self.complaint())
                }
            }
        }
    }

    /// All that ssh said on standard error.
    fn complaint(&mut self) -> Pin<Box<dyn Future<Output = String> + Send>> {
        let stderr = self.child.stderr.take();
        Box::pin(async move {
            let mut text = Vec::new();
            if let Some(stderr) = stderr {
                // What could be read is told; that the rest could not be is no news.
                drop(stderr.take(64 * 1024).read_to_end(&mut text).await);
            }
            String::from_utf8_lossy(&text).trim().to_owned()
        })
    }
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if matches!(self.state, SshState::Ended(_) | SshState::Told(_)) {
            return self.poll_end(context).map(Err);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stdout).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.state = SshState::Spoken;
        } else if matches!(self.state, SshState::Silent) && buffer.remaining() > 0 {
            if self.asked {
                return self.poll_end(context).map(Err);
            }
            self.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        let written = ready!(Pin::new(&mut self.stdin).poll_write(context, bytes));
        match written {
            Err(error)
                if error.kind() == io::ErrorKind::BrokenPipe
                    && !matches!(self.state, SshState::Spoken) =>
            {
                self.poll_end(context).map(Err)
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(context)
    }
}
