//! Opens a byte stream to an engine: over a Unix socket, TCP, TLS or ssh.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::tls;
use crate::config_files::engine_address::EngineAddress;
use crate::process::{Environment, Program};

/// The time limit for connecting.
const CONNECT: Duration = Duration::from_secs(30);

/// A bidirectional byte stream.
pub(in crate::engine) trait Duplex:
    AsyncRead + AsyncWrite + Send + Unpin
{
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connects to an engine. Fails if the connection, the TLS handshake or ssh fails, or after 30
/// seconds.
pub(in crate::engine) async fn dial(
    address: &EngineAddress,
    tls: Option<&tls::Client>,
    programs: &Environment,
) -> io::Result<Box<dyn Duplex>> {
    let connecting = async {
        Ok::<Box<dyn Duplex>, io::Error>(match address {
            EngineAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
            EngineAddress::Tcp { host, port } => {
                let port = port.unwrap_or(if tls.is_some() { 2376 } else { 2375 });
                let stream = TcpStream::connect((host.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                match tls {
                    Some(client) => Box::new(client.connect(host, stream).await?),
                    None => Box::new(stream),
                }
            }
            EngineAddress::Ssh {
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

/// A connection through `ssh HOST docker system dial-stdio`, which connects its standard streams to
/// the engine's socket. Docker's own client does the same, so its keys, agents and jump hosts also
/// work here.
struct SshStream {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    state: SshState,
    /// True once the caller has written something. The end of ssh is reported only after that:
    /// hyper drops the cause if the connection breaks before the first request.
    requested: bool,
    /// The reader to wake at the first write.
    waiting: Option<Waker>,
}

/// The state of ssh. If it ends without any output, its standard error explains why.
enum SshState {
    /// No output so far.
    Silent,
    /// Some output was read.
    Answered,
    /// ssh ended without output; its standard error is being read.
    Ended(Pin<Box<dyn Future<Output = String> + Send>>),
    /// ssh ended without output; this is its standard error.
    Failed(String),
}

/// Quotes an argument for the shell on the remote machine: ssh joins its arguments with spaces.
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
            requested: false,
            waiting: None,
        })
    }

    /// The error of a connection whose ssh ended without output.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            match &mut self.state {
                SshState::Ended(complaint) => {
                    let complaint = ready!(complaint.as_mut().poll(context));
                    self.state = SshState::Failed(complaint);
                }
                SshState::Failed(complaint) => {
                    return Poll::Ready(io::Error::other(format!("ssh ended: {complaint}")));
                }
                SshState::Silent | SshState::Answered => {
                    self.state = SshState::Ended(self.complaint());
                }
            }
        }
    }

    /// Reads the standard error of ssh.
    fn complaint(&mut self) -> Pin<Box<dyn Future<Output = String> + Send>> {
        let stderr = self.child.stderr.take();
        Box::pin(async move {
            let mut text = Vec::new();
            if let Some(stderr) = stderr {
                // A read error is ignored: the part read so far is reported.
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
        if matches!(self.state, SshState::Ended(_) | SshState::Failed(_)) {
            return self.poll_end(context).map(Err);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stdout).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.state = SshState::Answered;
        } else if matches!(self.state, SshState::Silent) && buffer.remaining() > 0 {
            if self.requested {
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
        self.requested = true;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        let written = ready!(Pin::new(&mut self.stdin).poll_write(context, bytes));
        match written {
            Err(error)
                if error.kind() == io::ErrorKind::BrokenPipe
                    && !matches!(self.state, SshState::Answered) =>
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
