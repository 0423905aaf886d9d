//! Starts other programs: git, ssh, credential helpers and key plugins. Each program receives a
//! reduced environment. Its running time and its output are limited.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// A kind of program. It decides which environment variables the program receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// git with only the configuration that golden writes.
    Git,
    /// git with the configuration of the user.
    GitOfUser,
    /// ssh, which finds keys, agents and Kerberos tickets through the environment.
    Ssh,
    /// A credential helper, which may need the login of a cloud provider.
    CredentialHelper,
    /// The command of a gate, which receives no logins.
    Gate,
    /// The command that receives a notification; it receives no logins.
    Receiver,
    /// A key plugin of sigstore, which may need the login of a cloud provider or of a key service.
    KeyPlugin,
    /// A program of the workspace that verifies the signatures of bases. It receives no login; it may
    /// read those in the user's docker configuration.
    Verifier,
}

/// Variables that every program receives: directories, user and language. None of them is a secret.
const COMMON: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TMP",
    "TEMP",
    "TZ",
    "LANG",
    "LC_*",
    "XDG_*",
    "LD_LIBRARY_PATH",
    "GIT_EXEC_PATH",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES*",
];

/// Desktop session, keys and Kerberos tickets: variables for ssh and password stores.
const SESSION: &[&str] = &[
    "SSH_*",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "KRB5*",
    "GNUPGHOME",
    "GPG_*",
    "PINENTRY_*",
];

/// Proxies, and the certificates of servers.
const NETWORK: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_*",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// Logins of cloud providers and vaults.
const CLOUD: &[&str] = &[
    "ACR_*",
    "AMAZON_*",
    "ARM_*",
    "AWS_*",
    "AZURE_*",
    "CLOUDSDK_*",
    "DOCKER_*",
    "ECR_*",
    "ECS_*",
    "GCE_*",
    "GCLOUD_*",
    "GCR_*",
    "GH_*",
    "GITHUB_*",
    "GITLAB_*",
    "GOOGLE_*",
    "IDENTITY_*",
    "IMDS_*",
    "KUBERNETES_*",
    "MSI_*",
    "OP_*",
    "PASS_*",
    "PASSWORD_STORE_*",
    "REGISTRY_AUTH_FILE",
    "VAULT_*",
];

/// Logins of key services that have a plugin, and settings of plugins.
const KEYS: &[&str] = &[
    "DIGICERT_*",
    "INFISICAL_*",
    "PKCS11_*",
    "SIGSTORE_*",
    "SM_*",
];

/// Settings of programs that verify signatures.
const VERIFIERS: &[&str] = &[
    "DOCKER_CONFIG",
    "SIGSTORE_*",
    "TUF_ROOT",
    "COSIGN_REPOSITORY",
];

/// Variables that select the configuration of git and the user that it runs for.
const GIT: &[&str] = &["GIT_CONFIG_*", "SUDO_UID"];

impl Program {
    /// True if the program receives the variable `name`.
    fn receives(self, name: &str) -> bool {
        let lists: &[&[&str]] = match self {
            Self::Git => &[COMMON],
            Self::GitOfUser => &[COMMON, GIT],
            Self::Ssh => &[COMMON, SESSION],
            Self::Gate | Self::Receiver => &[COMMON, NETWORK],
            Self::CredentialHelper => &[COMMON, SESSION, CLOUD, NETWORK],
            Self::KeyPlugin => &[COMMON, SESSION, CLOUD, NETWORK, KEYS],
            Self::Verifier => &[COMMON, VERIFIERS, NETWORK],
        };
        lists
            .iter()
            .copied()
            .flatten()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == *pattern,
            })
    }
}

/// The environment of golden. Other programs receive a part of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(Arc<BTreeMap<String, String>>);

impl fmt::Debug for Environment {
    /// Shows only the names, because values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// An environment with these variables.
    #[must_use]
    pub fn new(variables: BTreeMap<String, String>) -> Self {
        Self(Arc::new(variables))
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A command that starts `name` with the variables for this kind of program. The program is
    /// killed when its handle is dropped.
    #[must_use]
    pub fn command(&self, program: Program, name: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(name);
        command.env_clear().kill_on_drop(true);
        command.envs(self.0.iter().filter(|(name, _)| program.receives(name)));
        if let Some(path) = self.search_path() {
            command.env("PATH", path);
        }
        command
    }

    /// `PATH` without relative directories: they could point into the workspace.
    fn search_path(&self) -> Option<OsString> {
        let path = self.0.get("PATH")?;
        std::env::join_paths(
            std::env::split_paths(path).filter(|directory| directory.is_absolute()),
        )
        .ok()
    }
}

/// The path by which a command of the workspace starts a program. A name with a slash is a path in
/// `directory`; any other name is searched in `PATH`.
#[must_use]
pub fn program_in(directory: &Path, name: &str) -> PathBuf {
    if is_path(name) {
        directory.join(name)
    } else {
        name.into()
    }
}

/// The clause that reports that a program does not exist, by the name of [`program_in`].
#[must_use]
pub fn missing(name: &str) -> String {
    if is_path(name) {
        format!("the program `{name}` does not exist")
    } else {
        format!("the program `{name}` is not in PATH")
    }
}

/// True if the name of a program is a path; it is not searched in `PATH`.
fn is_path(name: &str) -> bool {
    name.contains('/')
}

/// Starts a command. The error says so if the program exists but a file that it needs does not; the
/// system reports both as a missing file.
fn start(command: &mut Command) -> std::io::Result<Child> {
    command.spawn().map_err(|error| {
        let file = match error.kind() {
            std::io::ErrorKind::NotFound => program_file(command.as_std()),
            _ => None,
        };
        match file {
            Some(file) => std::io::Error::other(missing_part(&file, command.as_std())),
            None => error,
        }
    })
}

/// The clause that reports which file is missing, for a program that exists.
fn missing_part(file: &Path, command: &std::process::Command) -> String {
    let directory = command.get_current_dir().unwrap_or(Path::new(""));
    match interpreter(file).filter(|path| !directory.join(path).exists()) {
        Some(path) => no_interpreter(&path),
        // The interpreter of its interpreter, or the loader of a binary.
        None => "a file that it needs does not exist".to_owned(),
    }
}

/// The clause that reports that the interpreter of a script does not exist.
fn no_interpreter(path: &str) -> String {
    match path.strip_suffix('\r') {
        Some(path) => format!(
            "the first line of the script, `#!{path}`, ends with a carriage return; save the script \
             with the line ends of Unix"
        ),
        None => format!("the interpreter of the script, `{path}`, does not exist"),
    }
}

/// The file of a command's program. `None` if it does not exist.
fn program_file(command: &std::process::Command) -> Option<PathBuf> {
    let program = Path::new(command.get_program());
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let (_, path) = command.get_envs().find(|(name, _)| *name == "PATH")?;
    let mut candidates = std::env::split_paths(path?).map(|directory| directory.join(program));
    candidates.find(|file| file.is_file())
}

/// The interpreter that the first line of a script names. `None` if the file is not a script.
fn interpreter(file: &Path) -> Option<String> {
    let mut start = Vec::new();
    let file = std::fs::File::open(file).ok()?;
    file.take(MAX_FIRST_LINE).read_to_end(&mut start).ok()?;
    let line = start
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = String::from_utf8_lossy(line);
    // The argument of the interpreter follows a blank.
    let path = line
        .trim_start_matches([' ', '\t'])
        .split([' ', '\t'])
        .next()?;
    Some(path.to_owned())
}

/// The longest first line of a script, in bytes, that Linux reads.
const MAX_FIRST_LINE: u64 = 256;

/// The last line that a program printed, after a colon, without control characters. Empty if it
/// printed nothing.
#[must_use]
pub fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    let line: String = line
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(MOST_SHOWN)
        .collect();
    if line.is_empty() {
        line
    } else {
        format!(": {line}")
    }
}

/// The limits of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest running time.
    pub time: Duration,
    /// The largest standard output, in bytes.
    pub output: u64,
}

/// The longest part of a line that messages show, in characters.
const MOST_SHOWN: usize = 300;

/// The bytes of standard error that are kept. The rest is read and dropped.
const MAX_ERRORS: u64 = 64 << 10;

/// The result of a program.
#[derive(Debug)]
pub struct ProcessOutput {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// The complete standard output.
    pub stdout: Vec<u8>,
    /// The first 64 KiB of standard error.
    pub stderr: Vec<u8>,
}

/// The reason why a program gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program cannot be started, or its output cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The program exceeded the time limit.
    #[error("it did not end within {} s and was stopped", .0.as_secs())]
    Time(Duration),
    /// The program exceeded the output limit.
    #[error("it printed more than {0} bytes and was stopped")]
    ProcessOutput(u64),
}

impl Error {
    /// True if the program does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == std::io::ErrorKind::NotFound)
    }
}

/// Runs a command with `input` as its standard input. Fails if the program cannot be started, or
/// exceeds a limit; it is then killed. A non-zero exit code is not an error.
pub async fn output(
    mut command: Command,
    input: &[u8],
    limits: Limits,
) -> Result<ProcessOutput, Error> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = start(&mut command)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // If the program does not read its input, its own error message explains the failure.
            drop(stdin.write_all(input).await);
        }
    };
    let stdout = async {
        let mut bytes = Vec::new();
        if let Some(stdout) = stdout {
            stdout
                .take(limits.output.saturating_add(1))
                .read_to_end(&mut bytes)
                .await?;
        }
        if bytes.len() as u64 > limits.output {
            Err(Error::ProcessOutput(limits.output))
        } else {
            Ok(bytes)
        }
    };
    let work = async {
        let rest = async { Ok(tokio::join!(feed, errors(stderr))) };
        let (stdout, ((), stderr)) = tokio::try_join!(stdout, rest)?;
        Ok(ProcessOutput {
            stdout,
            stderr,
            status: child.wait().await?,
        })
    };
    tokio::time::timeout(limits.time, work)
        .await
        .map_err(|_| Error::Time(limits.time))?
}

/// The end of a program that ran in a process group of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupEnd {
    /// The program ended.
    Exited(ExitStatus),
    /// The program exceeded the time limit.
    TimedOut,
}

/// A process group. All its processes are killed when it is dropped.
struct ProcessGroup(Option<u32>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            let id = self.0.and_then(|id| i32::try_from(id).ok());
            if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
                let killed = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
                tracing::debug!(?killed, "process group");
            }
        }
    }
}

/// The time that processes of a group may hold its output open after it is killed.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Runs a command without input, in a process group of its own. When the program ends, exceeds the
/// time limit, or the future is dropped, all processes of the group are killed. Returns the first
/// `longest` bytes of the output, stdout and stderr together. Fails if the program cannot be started.
pub async fn run_group(
    mut command: Command,
    time: Duration,
    longest: u64,
) -> std::io::Result<(GroupEnd, Vec<u8>)> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    command.process_group(0);
    let mut child = start(&mut command)?;
    let group = ProcessGroup(child.id());
    let output = Mutex::new(Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async {
        tokio::join!(
            collect(stdout, &output, longest),
            collect(stderr, &output, longest)
        );
    };
    let mut reading = std::pin::pin!(reading);
    let mut is_read = false;
    let waiting = async {
        loop {
            tokio::select! {
                status = child.wait() => break status,
                () = &mut reading, if !is_read => is_read = true,
            }
        }
    };
    let waited = tokio::time::timeout(time, waiting).await;
    drop(group);
    let end = if let Ok(status) = waited {
        GroupEnd::Exited(status?)
    } else {
        drop(child.wait().await);
        GroupEnd::TimedOut
    };
    if !is_read {
        // A process that left the group may hold the output open.
        drop(tokio::time::timeout(LAST_OUTPUT, reading).await);
    }
    let output = std::mem::take(&mut *output.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((end, output))
}

/// Reads a stream to its end, and adds its bytes to `output` until that is full.
async fn collect(stream: Option<impl AsyncRead + Unpin>, output: &Mutex<Vec<u8>>, longest: u64) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 8192];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let left = usize::try_from(longest)
            .unwrap_or(usize::MAX)
            .saturating_sub(output.len());
        output.extend_from_slice(&buffer[..read.min(left)]);
    }
}

/// Reads standard error and keeps the first part. The rest is read as well, so that the program
/// does not block.
async fn errors(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(stream) = stream {
        let mut stream = stream.take(MAX_ERRORS);
        // A read error is ignored: the part read so far is enough.
        drop(stream.read_to_end(&mut kept).await);
        drop(tokio::io::copy(&mut stream.into_inner(), &mut tokio::io::sink()).await);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        let variables = [
            ("PATH", "relative:/usr/bin::.:/bin"),
            ("HOME", "/home/me"),
            ("LC_ALL", "C"),
            ("AWS_SECRET_ACCESS_KEY", "cloud"),
            ("GOLDEN_REGISTRY_PASSWORD", "registry"),
            ("SSH_AUTH_SOCK", "/agent"),
            ("GIT_CONFIG_COUNT", "0"),
            ("GIT_DIR", "/elsewhere"),
            ("GIT_SSH_COMMAND", "sh"),
            ("NPM_TOKEN", "secret"),
            ("COSIGN_PASSWORD", "signing"),
            ("GOLDEN_SIGNING_PASSWORD", "signing"),
            ("SM_API_KEY", "service"),
            ("LD_PRELOAD", "/x.so"),
        ];
        Environment::new(
            variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        )
    }

    #[test]
    fn programs_get_only_the_variables_that_they_need() {
        let names = |program| {
            let command = environment().command(program, "x");
            let names = command
                .as_std()
                .get_envs()
                .map(|(name, _)| name.to_string_lossy().into_owned());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(Program::Git), "HOME LC_ALL PATH");
        assert_eq!(
            names(Program::GitOfUser),
            "GIT_CONFIG_COUNT HOME LC_ALL PATH"
        );
        assert_eq!(names(Program::Ssh), "HOME LC_ALL PATH SSH_AUTH_SOCK");
        assert_eq!(
            names(Program::CredentialHelper),
            "AWS_SECRET_ACCESS_KEY HOME LC_ALL PATH SSH_AUTH_SOCK"
        );
        assert_eq!(
            names(Program::KeyPlugin),
            "AWS_SECRET_ACCESS_KEY HOME LC_ALL PATH SM_API_KEY SSH_AUTH_SOCK"
        );
        assert!(!format!("{:?}", environment()).contains("secret"));
    }

    #[cfg(unix)]
    #[test]
    fn a_program_in_a_directory_whose_name_is_not_utf_8_is_started() {
        use std::os::unix::ffi::OsStrExt as _;
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join(OsStr::from_bytes(b"\xff"));
        std::fs::create_dir(&directory).unwrap();
        std::os::unix::fs::symlink("/bin/sh", directory.join("run")).unwrap();
        let program = program_in(&directory, "./run");
        let mut command = environment().command(Program::Gate, program).into_std();
        let status = command.args(["-c", "exit 3"]).status().unwrap();
        assert_eq!(status.code(), Some(3));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_missing_interpreter_is_not_a_missing_program() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let absent = "the interpreter of the script, `/absent/sh`, does not exist";
        for (name, text, expected, is_missing) in [
            ("script", "#!/absent/sh\n", absent, false),
            ("blanks", "#! /absent/sh -e\n", absent, false),
            ("no-line", "#!/absent/sh", absent, false),
            (
                "windows",
                "#!/bin/sh\r\nexit\r\n",
                "the first line of the script, `#!/bin/sh`, ends with a carriage return; save the \
                 script with the line ends of Unix",
                false,
            ),
            ("none", "", "No such file or directory (os error 2)", true),
        ] {
            let file = directory.path().join(name);
            if !text.is_empty() {
                #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
                std::fs::write(&file, text).unwrap();
                std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
            }
            let path = directory.path().to_str().unwrap().to_owned();
            let in_path = Environment::new([("PATH".to_owned(), path)].into());
            for program in [file.as_os_str(), OsStr::new(name)] {
                let command = in_path.command(Program::Gate, program);
                let limits = Limits {
                    time: Duration::from_secs(2),
                    output: 0,
                };
                let error = output(command, b"", limits).await.unwrap_err();
                assert_eq!(error.to_string(), expected, "{name}");
                assert_eq!(error.is_missing(), is_missing, "{name}");
            }
        }
    }

    #[test]
    fn the_search_path_has_no_relative_directories() {
        assert_eq!(environment().search_path().unwrap(), "/usr/bin:/bin");
    }

    #[tokio::test]
    async fn a_program_is_stopped_at_its_limits() {
        let run = async |script: &str| {
            let mut command = environment().command(Program::Git, "sh");
            command.args(["-c", script]);
            let limits = Limits {
                time: Duration::from_secs(2),
                output: 1000,
            };
            output(command, b"input\n", limits).await
        };
        let fine = run("cat; echo words >&2; exit 3").await.unwrap();
        assert_eq!(
            (fine.stdout, fine.stderr, fine.status.code()),
            (b"input\n".into(), b"words\n".into(), Some(3))
        );
        let message = run("yes").await.unwrap_err().to_string();
        assert_eq!(message, "it printed more than 1000 bytes and was stopped");
        let message = run("yes >&2").await.unwrap_err().to_string();
        assert_eq!(message, "it did not end within 2 s and was stopped");
        let message = run("exec >&- 2>&-; sleep 60")
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(message, "it did not end within 2 s and was stopped");
    }
}
