//! ssh to a real sshd on loopback, with keys and settings of the test.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::command::executable;
use crate::support::services;
use crate::support::workspace::Golden;

struct Sshd {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Sshd {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)])
                .status();
            assert!(made.unwrap().success());
        }
        std::fs::copy(at("user.pub"), at("authorized")).unwrap();
        // sshd refuses to start without this directory when root runs it.
        drop(std::fs::create_dir_all("/run/sshd"));
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nSetEnv PATH=/usr/local/bin:/usr/bin:/bin\n",
            at("host"),
            at("authorized")
        );
        #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
        std::fs::write(at("config"), config).unwrap();
        let process = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f", &at("config")])
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd is missing: install openssh-server");
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            process,
            port,
            directory,
        }
    }

    /// A workspace in which `ssh` uses the test's key, and no settings of the machine's user.
    fn workspace(&self, text: &str) -> Golden {
        let golden = Golden::new().workspace("[workspace]\n").image("app", text);
        let key = self.directory.path().join("user").display().to_string();
        let script = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F /dev/null -i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR \"$@\"\n"
        );
        executable(&golden, "bin/ssh", &script);
        let path = format!(
            "{}/bin:{}",
            golden.path().display(),
            std::env::var("PATH").unwrap()
        );
        golden.env("PATH", &path)
    }
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const IMAGE: &str = "[image]\nname = \"app-over-ssh\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n[labels]\na = \"b\"\n";

#[test]
fn a_remote_socket_is_reached_and_its_path_is_not_run_as_a_command() {
    let sshd = Sshd::start();
    let golden = sshd.workspace(IMAGE);
    let socket = services::docker_host()
        .strip_prefix("unix://")
        .unwrap()
        .to_owned();
    let address = |path: &str| format!("ssh://{}@127.0.0.1:{}{path}", user(), sshd.port);
    let reached = golden.env("DOCKER_HOST", &address(&socket));
    reached.run(&["build", "--engine", "docker"]).exit(0);

    let mark = sshd.directory.path().join("executed");
    for injected in [
        ";touch MARK;#",
        "$(touch MARK)",
        "`touch MARK`",
        "|touch MARK",
        "\ntouch MARK",
        "'&&touch MARK&&'",
    ] {
        let path = format!("/x{}", injected.replace("MARK", mark.to_str().unwrap()));
        let golden = sshd.workspace(IMAGE).env("DOCKER_HOST", &address(&path));
        let run = golden.run(&["build", "--engine", "docker"]).exit(1);
        assert!(
            run.stderr.contains("a socket's path consists of"),
            "{}",
            run.stderr
        );
        assert!(!mark.exists(), "{injected}");
    }
}
