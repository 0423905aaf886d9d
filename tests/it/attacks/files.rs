//! Links, pipes and devices in a workspace are refused, and foreign files in `.golden` have no
//! effect.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::workspace::{Golden, Run};

const IMAGE: &str =
    "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nfamily = \"debian\"\n";

fn workspace() -> Golden {
    Golden::new()
        .workspace("[workspace]\ntemplates = [\"templates\"]\n")
        .image("app", IMAGE)
        .file("templates/x", "")
}

fn fifo(path: &Path) {
    drop(std::fs::remove_file(path));
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs a command, which must end within the time limit.
fn run_within_time_limit(golden: &Golden, args: &[&str]) -> Run {
    let started = Instant::now();
    let run = golden.run(args);
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{args:?} took {:?}",
        started.elapsed()
    );
    run
}

#[test]
fn pipes_devices_and_links_out_of_the_workspace_are_refused() {
    let extra = "[[files]]\nsource = \"file\"\ntarget = \"/file\"\n[certs]\ntrust = [\"ca.crt\"]\n";
    for file in [
        "golden.toml",
        "golden.lock",
        "app/image.toml",
        "templates/debian.Dockerfile.j2",
        "app/file",
        "app/ca.crt",
    ] {
        for target in [
            None,
            Some("/dev/zero"),
            Some("/etc/passwd"),
            Some("/proc/self/environ"),
        ] {
            let golden = workspace().image("app", &format!("{IMAGE}{extra}"));
            golden.write("app/file", "");
            let path = golden.path().join(file);
            match target {
                None => fifo(&path),
                Some(target) => {
                    drop(std::fs::remove_file(&path));
                    symlink(target, &path).unwrap();
                }
            }
            let run = run_within_time_limit(&golden, &["check"]);
            assert_ne!(run.code, 0, "{file} {target:?}");
            assert!(!run.stderr.contains("root:"), "{}", run.stderr);
        }
    }
}

#[test]
fn links_within_the_workspace_are_followed() {
    let golden = workspace()
        .file("shared/t", "FROM scratch\n")
        .file("shared/lock", "version = 1\n");
    symlink(
        "../shared/t",
        golden.path().join("templates/debian.Dockerfile.j2"),
    )
    .unwrap();
    symlink("shared/lock", golden.path().join("golden.lock")).unwrap();
    golden.run(&["check"]).exit(0);
}

#[test]
fn state_that_is_tracked_by_git_or_linked_is_refused() {
    let golden = workspace();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), golden.path().join(".golden")).unwrap();
    let run = golden.run(&["build", "--engine", "embedded"]).exit(2);
    assert!(
        run.stderr.contains("`.golden` is a symbolic link"),
        "{}",
        run.stderr
    );
    std::fs::remove_file(golden.path().join(".golden")).unwrap();
    std::fs::create_dir(golden.path().join(".golden")).unwrap();
    symlink(outside.path(), golden.path().join(".golden/builds")).unwrap();
    let run = golden.run(&["build", "--engine", "embedded"]).exit(2);
    assert!(
        run.stderr.contains("`.golden/builds` is a symbolic link"),
        "{}",
        run.stderr
    );
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    std::fs::remove_file(golden.path().join(".golden/builds")).unwrap();
    golden.write(".golden/cache/x", "");
    let git = |args: &[&str]| {
        assert!(
            Command::new("git")
                .args(args)
                .current_dir(golden.path())
                .status()
                .unwrap()
                .success()
        );
    };
    git(&["init", "-q"]);
    git(&["add", "-f", ".golden"]);
    git(&[
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "commit",
        "-qm",
        "one",
    ]);
    let run = golden.run(&["check"]).exit(2);
    assert!(
        run.stderr.contains("git tracks `.golden`"),
        "{}",
        run.stderr
    );
    git(&["rm", "-rq", "--cached", ".golden"]);
    golden.run(&["check"]).exit(0);
}

/// A file and its directory are repeatedly replaced by links. The target of a link never appears in
/// the output.
#[test]
fn a_file_that_is_replaced_by_a_link_during_a_build_is_not_followed() {
    const RUNS: usize = 12;
    let secret = "secret".repeat(20_000);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("file"), &secret).unwrap();
    let files = "[[files]]\nsource = \"files/\"\ntarget = \"/files/\"\n";
    let golden = workspace().image("app", &format!("{IMAGE}{files}"));
    golden.write("app/files/file", "public".repeat(20_000));
    let place = golden.path().join("app/files");
    let (file, aside) = (place.join("file"), golden.path().join("aside"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for (path, target) in [
                    (&file, elsewhere.path().join("file")),
                    (&place, elsewhere.path().to_owned()),
                ] {
                    std::fs::rename(path, &aside).unwrap();
                    symlink(target, path).unwrap();
                    std::thread::sleep(Duration::from_micros(300));
                    std::fs::remove_file(path).unwrap();
                    std::fs::rename(&aside, path).unwrap();
                    std::thread::sleep(Duration::from_micros(700));
                }
            }
        });
        for number in 0..RUNS {
            golden.run(&["render", "--out", &format!("rendered/{number}")]);
            let to = format!("oci:out/{number}");
            golden.run(&["build", "--engine", "embedded", "--to", &to]);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let written = walkdir::WalkDir::new(golden.path()).into_iter().flatten();
    for entry in written.filter(|entry| entry.file_type().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        let mut plain = Vec::new();
        let unpacked = std::io::Read::read_to_end(
            &mut flate2::read::MultiGzDecoder::new(&bytes[..]),
            &mut plain,
        );
        for bytes in [Some(&bytes), unpacked.is_ok().then_some(&plain)]
            .into_iter()
            .flatten()
        {
            let found = bytes.windows(12).any(|window| window == b"secretsecret");
            assert!(!found, "{}", entry.path().display());
        }
    }
}

#[test]
fn the_next_run_removes_the_files_of_a_killed_run() {
    let golden = workspace();
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let left = format!(".golden-{}-abc", child.id());
    for directory in [
        "",
        ".golden/",
        ".golden/cache/blobs/",
        "out/",
        "out/blobs/sha256/",
    ] {
        golden.write(&format!("{directory}{left}"), "half");
    }
    golden.write("out/index.json", r#"{"schemaVersion":2,"manifests":[]}"#);
    golden
        .run(&["build", "--engine", "embedded", "--to", "oci:out"])
        .exit(0);
    let files = walkdir::WalkDir::new(golden.path()).into_iter().flatten();
    let still: Vec<_> = files.filter(|entry| *entry.file_name() == *left).collect();
    assert!(still.is_empty(), "{still:?}");
}

#[test]
fn expensive_templates_and_floods_of_errors_are_bounded() {
    let bomb = "{{ range(99999) | join('x' * 60000) }}";
    let golden = workspace().image("app", &format!("{IMAGE}description = \"{bomb}\"\n"));
    let run = run_within_time_limit(&golden, &["check"]).exit(2);
    assert!(
        run.stderr
            .contains("it needs too many steps or produces too much text"),
        "{}",
        run.stderr
    );
    let doubling = "{% macro f(x, n) %}{% if n %}{{ f(x ~ x, n - 1) }}{% else %}{{ x }}{% endif %}{% endmacro %}{{ f('x', 40) }}";
    let deep = format!("{{{{ 1{} }}}}", "+1".repeat(50_000));
    for template in [
        doubling,
        &deep,
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    ] {
        let golden = workspace().file("templates/debian.Dockerfile.j2", template);
        assert_ne!(run_within_time_limit(&golden, &["render"]).code, 0);
    }
    let many: String = (0..90).map(|n| format!("unknown{n} = 1\n")).collect();
    let golden = workspace().image("app", &format!("{IMAGE}{many}"));
    let golden = golden.image("other", &format!("{}{many}", IMAGE.replace("app", "other")));
    let run = run_within_time_limit(&golden, &["check"]).exit(2);
    assert!(
        run.stderr.contains("... and 80 more findings"),
        "{}",
        run.stderr
    );
}
