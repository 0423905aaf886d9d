//! A workspace in a temporary folder, and the real binary run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A temporary workspace.
pub(crate) struct Golden {
    dir: tempfile::TempDir,
    /// The user's caches.
    caches: tempfile::TempDir,
    env: Vec<(String, String)>,
}

/// What a run of the binary did.
pub(crate) struct Run {
    /// The exit code.
    pub(crate) code: i32,
    /// All of stdout.
    pub(crate) stdout: String,
    /// All of stderr.
    pub(crate) stderr: String,
}

impl Golden {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            caches: tempfile::tempdir().unwrap(),
            env: Vec::new(),
        }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(path, content);
        self
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Removes all that golden remembers: `.golden`, and the user's caches.
    pub(crate) fn forget(&self) {
        for path in [
            self.dir.path().join(".golden"),
            self.caches.path().join("golden"),
        ] {
            drop(std::fs::remove_dir_all(path));
        }
    }

    /// Writes golden.toml.
    pub(crate) fn workspace(self, text: &str) -> Self {
        self.file("golden.toml", text)
    }

    /// Writes NAME/image.toml.
    pub(crate) fn image(self, folder: &str, text: &str) -> Self {
        self.file(&format!("{folder}/image.toml"), text)
    }

    /// Sets a variable of the environment for every run.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The binary, to be run in the folder, with an environment of its own: nothing of the machine's docker
    /// configuration, registry or colours reaches it.
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

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }
}

impl Run {
    /// Reads what a finished process did.
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts the exit code, showing everything when it is another.
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
