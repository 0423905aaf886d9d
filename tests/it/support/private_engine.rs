//! A Docker Engine for one test, which may fill its disk and be killed. It has namespaces of its own
//! and no network, so it does not disturb the other engines.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::services;
use super::workspace::Golden;

/// A running engine. Dropping it ends all its processes.
pub(crate) struct PrivateEngine {
    process: Child,
    directory: tempfile::TempDir,
}

impl PrivateEngine {
    /// Starts an engine whose disk has `megabytes`.
    pub(crate) fn start(megabytes: u32) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("engine")
            .tempdir_in("/tmp")
            .unwrap();
        let at = directory.path().display();
        std::fs::create_dir(directory.path().join("data")).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={megabytes}m tmpfs {at}/data\n\
             exec dockerd --data-root {at}/data --exec-root {at}/exec --pidfile {at}/pid -H unix://{at}/socket \
             --iptables=false --ip6tables=false"
        );
        let process = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args(["sh", "-ec", &script])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let engine = Self { process, directory };
        for _ in 0..300 {
            let version = Command::new("docker")
                .args(["-H", &engine.host(), "version"])
                .output();
            if version.unwrap().status.success() {
                return engine;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the engine did not start");
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}/socket", self.directory.path().display())
    }

    /// Kills the engine and its containers.
    pub(crate) fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// A workspace for this engine with an image that has busybox; `rest` is the end of its spec.
    pub(crate) fn workspace(&self, rest: &str) -> Golden {
        let text = format!(
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n\
             [[files]]\nsource = \"busybox\"\ntarget = \"/bin/\"\nmode = \"0755\"\n\
             [[files]]\nsource = \"sh\"\ntarget = \"/bin/\"\n{rest}"
        );
        let golden = Golden::new()
            .env("DOCKER_HOST", &self.host())
            .workspace("")
            .image("app", &text);
        let busybox = services::directory().join("busybox/bin/busybox");
        std::fs::copy(busybox, golden.path().join("app/busybox")).unwrap();
        std::os::unix::fs::symlink("busybox", golden.path().join("app/sh")).unwrap();
        golden
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.kill();
    }
}
