//! An imported Dockerfile gives the same image as `docker build` of the original: the same config
//! and the same tree.

use std::process::Command;

use serde_json::Value;

use crate::support::built::{Built, CONFIG_KEYS, File, client};
use crate::support::services;
use crate::support::workspace::Golden;

/// Steps between copies, variables that change, users, working directories and here-documents.
const ORDER: &str = r#"
ARG GREETING=hello
ENV EARLY=1 PATH=/opt/first:$PATH
RUN echo "$EARLY-$LATE-$GREETING" > /seen && mkdir -p /srv && ls /srv > /before
WORKDIR /srv/app
COPY tree .
RUN echo "$PWD" > where; ls > /after; false; true
COPY tree/one /srv/app/one
COPY tree/ /other/deep/
ENV LATE="it's late" PATH=$PATH:/opt/last EARLY=2
RUN printf '%s\n' "$LATE" "$EARLY" "$PATH" > /late
WORKDIR below
RUN ["/bin/sh", "-c", "pwd > /pwd"]
SHELL ["/bin/ash", "-e", "-c"]
CMD echo "$LATE"
"#;

/// Owners, modes, directories that instructions create, and globs.
const FILES: &str = r#"
COPY --chown=1000:1001 tree /owned
COPY --chown=7 tree/one /made/for/it
COPY modes /modes
COPY *.conf tree/tool /etc/many/
ADD one.conf /etc/
WORKDIR /work/dir
COPY --chown=5:6 tree/one ./
COPY . /all
VOLUME /data
EXPOSE 80 443/udp
USER 1000:1001
STOPSIGNAL SIGUSR1
LABEL a="b c" d='$e'
HEALTHCHECK --interval=30s --retries=2 CMD true || false
ENTRYPOINT ["/bin/echo"]
"#;

/// A user that a step creates, and files of that user.
const USER: &str = r"
RUN mkdir -p /etc /home/app && echo app:x:1234:1234::/home/app:/bin/sh >> /etc/passwd && echo app:x:1234: >> /etc/group && chown 1234:1234 /home/app
WORKDIR /home/app
COPY --chown=app:app tree /home/app/src
USER app
RUN id -u > /home/app/uid
COPY tree/one /tmp/one
ENTRYPOINT exec sleep 1
";

/// The parts of a config that must be equal.
fn config(image: &Built) -> Vec<(String, Value)> {
    let whole = image.config();
    let labels = ["a", "d"].map(|key| (key.to_owned(), whole["Labels"][key].clone()));
    let parts = CONFIG_KEYS.map(|key| (key.to_owned(), whole[key].clone()));
    parts.into_iter().chain(labels).collect()
}

fn shown(file: Option<&File>) -> Option<String> {
    let file = file?;
    let text: String = String::from_utf8_lossy(&file.content)
        .chars()
        .take(300)
        .collect();
    Some(format!(
        "{} {:o} {:?} {text:?}",
        file.kind, file.mode, file.owner
    ))
}

#[test]
fn an_imported_dockerfile_gives_the_same_image() {
    let golden = Golden::new()
        .workspace("")
        .env("DOCKER_HOST", services::docker_host())
        .file("context/tree/one", "one\n")
        .file("context/tree/below/two", "two\n")
        .file("context/tree/.hidden", "h\n")
        .file("context/tree/tool", "#!/bin/sh\n")
        .file("context/modes/private", "p\n")
        .file("context/modes/sub/x", "x\n")
        .file("context/one.conf", "1\n")
        .file("context/two.conf", "2\n")
        .file("context/ignored.log", "no\n")
        .file("context/.dockerignore", "*.log\nDockerfile*\n");
    let path = |name: &str| golden.path().join("context").join(name);
    set_mode(&path("tree/tool"), 0o755);
    set_mode(&path("modes/private"), 0o600);
    set_mode(&path("modes/sub"), 0o750);
    std::os::unix::fs::symlink("one", path("tree/link")).unwrap();
    for (name, text) in [("order", ORDER), ("files", FILES), ("user", USER)] {
        let file = format!("context/Dockerfile.{name}");
        golden.write(&file, format!("FROM {}\n{text}", services::base_busybox()));
        let original = format!("golden-import-test/{name}");
        let context = golden.path().join("context");
        let output = Command::new("docker")
            .args([
                "-H",
                services::docker_host(),
                "build",
                "-q",
                "--no-cache",
                "-t",
                &original,
            ])
            .args(["-f", path(&format!("Dockerfile.{name}")).to_str().unwrap()])
            .arg(context)
            .env("DOCKER_BUILDKIT", "0")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        golden.run(&["new", name, "--from", &file]).exit(0);
        golden.run(&["build", name, "--engine", "docker"]).exit(0);
        let imported = format!("localhost/{name}:0.1.0");
        let (one, other) = (Built::named(&original), Built::named(&imported));
        assert_eq!(config(&one), config(&other), "{name}");
        let (one, other) = (one.files(), other.files());
        for path in one.keys().chain(other.keys()) {
            let (one, other) = (one.get(path), other.get(path));
            assert_eq!(shown(one), shown(other), "{name}: {path}");
        }
        client(&["image", "rm", "--force", &original]);
        for tag in ["0.1.0", "0.1", "0", "latest"] {
            client(&["image", "rm", "--force", &format!("localhost/{name}:{tag}")]);
        }
    }
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
