//! A workspace in a temporary directory, and runs of the real binary in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A temporary workspace.
pub(crate) struct Golden {
    dir: tempfile::TempDir,
    /// The user's caches.
    caches: tempfile::TempDir,
    env: Vec<(String, String)>,
}

/// The result of a run of the binary.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Golden {
    /// Creates an empty directory.
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            caches: tempfile::tempdir().unwrap(),
            env: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, with its parent directories.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(path, content);
        self
    }

    /// Writes an unencrypted key pair, `NAME.key` and `NAME.pub`. A command reads it faster than the
    /// encrypted one of `golden key new`.
    pub(crate) fn write_key_pair(&self, name: &str) {
        let pair = rcgen::KeyPair::generate().unwrap();
        self.write(&format!("{name}.key"), pair.serialize_pem());
        self.write(&format!("{name}.pub"), pair.public_key_pem());
    }

    /// Writes a file, with its parent directories; returns its path.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Removes the state of golden: `.golden`, and the user's caches.
    pub(crate) fn forget(&self) {
        for path in [
            self.dir.path().join(".golden"),
            self.caches.path().join("golden"),
        ] {
            drop(std::fs::remove_dir_all(path));
        }
    }

    /// Removes only the manifests in the user's caches.
    pub(crate) fn forget_manifests(&self) {
        std::fs::remove_dir_all(self.caches.path().join("golden/manifests")).unwrap();
    }

    /// Writes golden.toml.
    pub(crate) fn workspace(self, text: &str) -> Self {
        self.file("golden.toml", text)
    }

    /// Writes NAME/image.toml.
    pub(crate) fn image(self, directory: &str, text: &str) -> Self {
        self.file(&format!("{directory}/image.toml"), text)
    }

    /// Sets an environment variable for every run.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Returns a command for the binary in the workspace, with a clean environment: the machine's
    /// docker configuration, registry and colours do not reach it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_golden"));
        command.current_dir(self.dir.path()).args(args).env_clear();
        for keep in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(keep) {
                command.env(keep, value);
            }
        }
        command
            .env("DOCKER_CONFIG", self.dir.path().join(".docker"))
            .env("CI", "true");
        command.env("XDG_CACHE_HOME", self.caches.path());
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Runs git in the workspace, with a name, an e-mail address and a fixed time. Returns the
    /// trimmed output.
    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        const TIME: &str = "2026-01-02T03:04:05Z";
        let mut git = Command::new("git");
        git.current_dir(self.dir.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(["-c", "commit.gpgsign=false"])
            .args(args)
            .env("GIT_AUTHOR_DATE", TIME)
            .env("GIT_COMMITTER_DATE", TIME);
        let output = git.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs the binary without the rights of root. If the tests run as root, a copy of the binary
    /// runs as a user who may read and write only what every user may.
    pub(crate) fn run_without_root(&self, args: &[&str]) -> Run {
        let own_process = std::fs::metadata("/proc/self").unwrap();
        if std::os::unix::fs::MetadataExt::uid(&own_process) != 0 {
            return self.run(args);
        }
        let own = self.command(args);
        let directory = tempfile::tempdir().unwrap();
        let binary = directory.path().join("golden");
        // Another process writes the copy: a test that starts a program now would inherit an open
        // file, and the copy could not be run.
        let mut copy = Command::new("cp");
        copy.arg(own.get_program()).arg(&binary).status().unwrap();
        for path in [directory.path(), self.caches.path()] {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            std::fs::set_permissions(path, open).unwrap();
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&binary)
            .args(args);
        command.current_dir(self.path()).env_clear();
        let set = own.get_envs();
        command.envs(set.filter_map(|(key, value)| Some((key, value?))));
        Run::of(command.output().expect("root needs setpriv for this test"))
    }

    /// Lets every user use a directory of the workspace with these permissions.
    pub(crate) fn set_mode(&self, path: &str, mode: u32) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(self.dir.path().join(path), mode).unwrap();
    }

    /// Runs the binary until it exits.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }
}

impl Run {
    /// Reads the result of a finished process.
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts the exit code, and shows the complete output if it differs.
    #[track_caller]
    pub(crate) fn exit(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }
}
