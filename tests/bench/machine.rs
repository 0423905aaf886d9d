//! The environment of a benchmark: the tests' engine and registries, its own registries, and the
//! programs under test.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

#[path = "../it/support/assignments.rs"]
mod assignments;

/// The project's root.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A value of target/services/env. Starts the services if they are not running.
pub(crate) fn service(key: &str) -> &'static str {
    static ENV: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    let env = ENV.get_or_init(|| {
        make_bases();
        assignments::read(&format!("{ROOT}/target/services/env")).unwrap()
    });
    &env[key]
}

/// Starts the services that are not running, and creates the bases that do not exist.
pub(crate) fn make_bases() {
    let status = Command::new(format!("{ROOT}/tests/services"))
        .arg("peers")
        .status()
        .unwrap();
    assert!(status.success(), "tests/services peers: {status}");
}

/// `golden` in a workspace, with a clean environment.
pub(crate) fn golden(workspace: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golden"));
    command
        .current_dir(workspace)
        .args(arguments)
        .env("CI", "true")
        .env("DOCKER_CONFIG", workspace);
    command.env("XDG_CACHE_HOME", workspace.join(".golden"));
    command.env("DOCKER_HOST", service("DOCKER_HOST"));
    command
}

/// Docker's client, preferably Debian's, because a newer client brings its own builder.
pub(crate) fn docker(buildkit: bool, arguments: &[&str]) -> Command {
    let mut command = Command::new(if Path::new("/usr/bin/docker").exists() {
        "/usr/bin/docker"
    } else {
        "docker"
    });
    command
        .args(arguments)
        .env("DOCKER_HOST", service("DOCKER_HOST"))
        .env("DOCKER_BUILDKIT", if buildkit { "1" } else { "0" });
    command.env(
        "DOCKER_CONFIG",
        format!("{ROOT}/target/services/docker-config"),
    );
    command
}

/// Writes a file, with its parent directories.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the benchmark owns this file")]
    std::fs::write(path, content).unwrap();
}

/// A name that no earlier run has used.
pub(crate) fn unique() -> String {
    format!("b{}", std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos())
}

/// A registry for one benchmark, empty at the start and removed at the end.
pub(crate) struct Registry {
    process: Child,
    /// HOST:PORT.
    pub(crate) host: String,
    _storage: tempfile::TempDir,
}

impl Registry {
    /// Starts a docker-registry on a free port.
    pub(crate) fn start() -> Self {
        Self::distribution("docker-registry")
    }

    /// Starts the registry of distribution 3, which Debian does not have, if `GOLDEN_BENCH_REGISTRY`
    /// is set to its program.
    pub(crate) fn distribution_3() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "the benchmark owns this setting")]
        let program = std::env::var("GOLDEN_BENCH_REGISTRY").ok()?;
        Some(Self::distribution(&program))
    }

    fn distribution(program: &str) -> Self {
        let (storage, host) = place();
        let config = storage.path().join("config.yml");
        let log = "log: { level: error, accesslog: { disabled: true } }";
        let directory = storage.path().join("data");
        write(
            &config,
            format!(
                "version: 0.1\n{log}\nstorage: {{ filesystem: {{ rootdirectory: \"{}\", maxthreads: 1000 }}, delete: {{ enabled: true }} }}\nhttp: {{ addr: \"{host}\" }}\n",
                directory.display()
            ),
        );
        let mut command = Command::new(program);
        command.arg("serve").arg(&config);
        // Version 3 sends traces to a collector by default.
        command.env("OTEL_TRACES_EXPORTER", "none");
        Self::run(&mut command, host, storage)
    }

    /// Starts `golden serve` on a free port.
    pub(crate) fn serve() -> Self {
        let (storage, host) = place();
        let mut command = golden(storage.path(), &["serve", "data", "--addr", &host]);
        Self::run(&mut command, host, storage)
    }

    fn run(command: &mut Command, host: String, storage: tempfile::TempDir) -> Self {
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(&host).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            process,
            host,
            _storage: storage,
        }
    }
}

/// A directory on the disk of the project, and a free address.
fn place() -> (tempfile::TempDir, String) {
    let storage = tempfile::tempdir_in(format!("{ROOT}/target")).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    (storage, socket.local_addr().unwrap().to_string())
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A base of about 500 MB with a trust store, pushed to `host` as `base/big:1` and present in the
/// engine.
pub(crate) fn big_base(host: &str) -> String {
    let directory = tempfile::tempdir_in(format!("{ROOT}/target")).unwrap();
    let mut dockerfile = "FROM debian:12\n".to_owned();
    for number in 0..4_u8 {
        write(
            &directory.path().join(format!("data{number}")),
            noise(mebibytes(95), number),
        );
        dockerfile.extend(["COPY data", &number.to_string(), " /opt/\n"]);
    }
    write(&directory.path().join("Dockerfile"), dockerfile);
    let name = format!("{host}/base/big:1");
    super::measure::run(&mut docker(
        false,
        &[
            "build",
            "-q",
            "-t",
            &name,
            directory.path().to_str().unwrap(),
        ],
    ));
    super::measure::run(&mut docker(false, &["push", "-q", &name]));
    name
}

/// MiB in bytes, multiplied by `GOLDEN_BENCH_PERCENT`, which makes a trial run of a benchmark
/// faster.
pub(crate) fn mebibytes(full: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "the benchmark owns this setting")]
    let percent = std::env::var("GOLDEN_BENCH_PERCENT")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100);
    full * percent * (1 << 20) / 100
}

/// Incompressible bytes, the same in every run.
pub(crate) fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(u64::from(seed) + 1);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

/// A certificate for the images to trust.
pub(crate) fn certificate(path: &Path) {
    write(
        path,
        std::process::Command::new("cat")
            .arg(PathBuf::from(service("TLS_CA")))
            .output()
            .unwrap()
            .stdout,
    );
}
