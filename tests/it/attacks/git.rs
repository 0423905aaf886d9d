//! No setting of a git repository makes golden run a program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::workspace::Golden;

const IMAGE: &str = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n\
                     [tags]\nextra = [\"{{ git.short }}\"]\n";

/// A workspace in a repository with one commit.
fn committed() -> Golden {
    let golden = Golden::new()
        .workspace("")
        .image("app", IMAGE)
        .file("app/x.txt", "x");
    git(golden.path(), &["init", "-q"]);
    commit(golden.path());
    golden
}

fn git(directory: &Path, args: &[&str]) -> String {
    let identity = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "protocol.file.allow=always",
    ];
    let output = Command::new("git")
        .args(identity)
        .args(args)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the test owns this file")]
fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn commit(directory: &Path) {
    git(directory, &["add", "-A"]);
    git(directory, &["commit", "-qm", "one"]);
}

/// Writes a program that creates a file when it runs; returns both paths.
fn program(golden: &Golden) -> (PathBuf, PathBuf) {
    let proof = golden.path().join(".ran");
    let script = format!(
        "#!/bin/sh\necho \"$0 $*\" >> {}\nexec cat\n",
        proof.display()
    );
    let program = golden.write(".program", script);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (program, proof)
}

/// A git configuration in which every key that can name a program names this one.
fn hostile_config(program: &Path) -> String {
    let p = program.display();
    format!(
        "[core]\n\tfsmonitor = {p}\n\tsshCommand = {p}\n\thooksPath = {p}.hooks\n\tpager = {p}\n\teditor = {p}\n\
         \taskPass = {p}\n\talternateRefsCommand = {p}\n\tgitProxy = {p}\n\
         [filter \"x\"]\n\tclean = {p}\n\tsmudge = {p}\n\tprocess = {p}\n\trequired = true\n\
         [diff]\n\texternal = {p}\n[diff \"x\"]\n\tcommand = {p}\n\ttextconv = {p}\n\
         [gpg]\n\tprogram = {p}\n[log]\n\tshowSignature = true\n[credential]\n\thelper = {p}\n\
         [interactive]\n\tdiffFilter = {p}\n[pager]\n\tlog = {p}\n\tstatus = {p}\n[alias]\n\tlog = !{p}\n\tstatus = !{p}\n\
         [status]\n\tsubmoduleSummary = true\n[diff]\n\tsubmodule = log\n\
         [extensions]\n\tpartialClone = origin\n[uploadpack]\n\tpackObjectsHook = {p}\n\
         [remote \"origin\"]\n\tpromisor = true\n\turl = ext::{p}\n\tvcs = x\n\tuploadpack = {p}\n"
    )
}

/// Runs the commands that read git, and asserts that no program of the repository ran.
fn assert_runs_nothing(golden: &Golden, directory: &str, proof: &Path) {
    for command in [
        vec!["check"],
        vec!["render"],
        vec!["matrix"],
        vec!["graph"],
        vec!["build", "--engine", "embedded"],
        vec!["check", "--changed", "HEAD"],
        vec!["check", "--changed", "HEAD~1"],
    ] {
        let mut args = vec!["-w", directory];
        args.extend(&command);
        let run = golden.run(&args);
        assert!(
            !proof.exists(),
            "{command:?} ran something:\n{}{}",
            run.stdout,
            run.stderr
        );
    }
}

#[test]
fn a_directory_that_looks_like_a_bare_repository_is_not_read_as_one() {
    let golden = Golden::new()
        .workspace("")
        .image("app", IMAGE)
        .file(".gitattributes", "* filter=x diff=x\n");
    let (program, proof) = program(&golden);
    let here = golden.path();
    git(here, &["init", "-q", "--bare", "inner"]);
    for part in ["HEAD", "objects", "refs"] {
        std::fs::rename(here.join("inner").join(part), here.join(part)).unwrap();
    }
    let config = format!(
        "[core]\n\trepositoryformatversion = 1\n\tbare = false\n\tworktree = .\n{}",
        hostile_config(&program)
    );
    golden.write(
        "config",
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n",
    );
    git(here, &["--git-dir=.", "--work-tree=.", "add", "app"]);
    git(
        here,
        &["--git-dir=.", "--work-tree=.", "commit", "-qm", "one"],
    );
    golden.write("config", config);
    assert_runs_nothing(&golden, ".", &proof);
    // Inside a real repository, the real repository is read.
    let outer = Golden::new();
    git(outer.path(), &["init", "-q"]);
    let copied = Command::new("cp")
        .arg("-a")
        .arg(here)
        .arg(outer.path().join("inner"))
        .status()
        .unwrap();
    assert!(copied.success());
    golden.write("inner/.ran", "");
    commit(outer.path());
    assert_runs_nothing(&outer, "inner", &outer.path().join("inner/.ran"));
}

#[test]
fn the_configuration_of_the_repository_runs_nothing() {
    let golden = committed();
    let (program, proof) = program(&golden);
    let include = golden.write(".included", hostile_config(&program));
    golden.write(".gitattributes", "* filter=x diff=x merge=x text\n");
    golden.write("app/x.txt", "y");
    golden.write("app/new.txt", "new");
    let plain = text(&golden.path().join(".git/config")).unwrap();
    for config in [
        format!("{plain}{}", hostile_config(&program)),
        format!("{plain}[include]\n\tpath = {}\n", include.display()),
        format!(
            "{plain}[includeIf \"gitdir:**\"]\n\tpath = {}\n",
            include.display()
        ),
    ] {
        golden.write(".git/config", config);
        for hook in [
            "post-index-change",
            "fsmonitor-watchman",
            "post-checkout",
            "reference-transaction",
        ] {
            std::fs::copy(&program, golden.path().join(".git/hooks").join(hook)).unwrap();
        }
        assert_runs_nothing(&golden, ".", &proof);
        golden.run(&["check"]).exit(0);
    }
}

#[test]
fn missing_objects_are_not_fetched() {
    let golden = committed();
    let (program, proof) = program(&golden);
    let tree = git(golden.path(), &["rev-parse", "HEAD^{tree}"]);
    std::fs::remove_file(
        golden
            .path()
            .join(format!(".git/objects/{}/{}", &tree[..2], &tree[2..])),
    )
    .unwrap();
    let plain = "[core]\n\trepositoryformatversion = 1\n\tbare = false\n";
    golden.write(
        ".git/config",
        format!(
            "{plain}{}",
            hostile_config(&program).replace("ext::", "ssh://host")
        ),
    );
    assert_runs_nothing(&golden, ".", &proof);
    let run = golden.run(&["check"]);
    assert!(
        run.stderr
            .contains("times and revisions of images may be wrong"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_submodule_runs_nothing() {
    let golden = committed();
    let (program, proof) = program(&golden);
    let other = committed();
    let address = other.path().to_str().unwrap();
    git(
        golden.path(),
        &["submodule", "--quiet", "add", address, "sub"],
    );
    commit(golden.path());
    let config = golden.path().join(".git/modules/sub/config");
    let plain = text(&config).unwrap();
    golden.write(
        ".git/modules/sub/config",
        format!("{plain}{}", hostile_config(&program)),
    );
    golden.write(".git/modules/sub/info/attributes", "* filter=x diff=x\n");
    golden.write("sub/app/x.txt", "changed");
    assert_runs_nothing(&golden, ".", &proof);
    assert_runs_nothing(&golden, "sub", &proof);
}

/// The facts that golden reads from git equal those that git itself reports.
#[test]
fn worktrees_ignored_files_and_remotes_are_read_as_git_reads_them() {
    let golden = committed();
    let provenance = |golden: &Golden, directory: &str| {
        let run = golden.run(&[
            "-w", directory, "build", "--engine", "embedded", "--force", "--to", "oci:.out",
        ]);
        run.exit(0);
        let out = golden.path().join(".out");
        let blobs = walkdir::WalkDir::new(out.join("blobs"))
            .into_iter()
            .flatten();
        let texts = blobs.filter_map(|entry| text(entry.path()));
        let config = texts
            .into_iter()
            .find(|text| text.contains("image.version"))
            .unwrap();
        std::fs::remove_dir_all(out).unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        let labels = &config["config"]["Labels"];
        let label = |key: &str| {
            labels[format!("org.opencontainers.image.{key}")]
                .as_str()
                .map(str::to_owned)
        };
        (label("revision"), label("source"))
    };
    let head = git(golden.path(), &["rev-parse", "HEAD"]);
    golden.write(".git/info/exclude", ".golden\n.out\n.tree\n*.ignored\n");
    git(
        golden.path(),
        &[
            "remote",
            "add",
            "other",
            "https://git.example.com/other.git",
        ],
    );
    git(
        golden.path(),
        &[
            "remote",
            "add",
            "origin",
            "https://me:secret@git.example.com/team/images.git",
        ],
    );
    let source = Some("https://git.example.com/team/images.git".to_owned());
    golden.write("app/a.ignored", "");
    assert_eq!(
        provenance(&golden, "."),
        (Some(head.clone()), source.clone())
    );
    git(
        golden.path(),
        &["worktree", "add", "-q", "--detach", ".tree"],
    );
    assert_eq!(
        provenance(&golden, ".tree"),
        (Some(head.clone()), source.clone())
    );
    golden.write(".tree/app/x.txt", "changed");
    assert_eq!(
        provenance(&golden, ".tree"),
        (Some(format!("{head}-dirty")), source.clone())
    );
    golden.write("app/x.txt", "changed");
    assert_eq!(
        provenance(&golden, "."),
        (Some(format!("{head}-dirty")), source)
    );
}

/// git and credential helpers receive only a few environment variables, and are not searched for in
/// the workspace.
#[test]
fn programs_get_no_secrets_and_are_found_only_in_absolute_directories() {
    let golden = committed();
    let (_, proof) = program(&golden);
    let script = format!(
        "#!/bin/sh\nenv >> {}\nexec /usr/bin/git \"$@\"\n",
        proof.display()
    );
    let fake = golden.write("bin/git", script);
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |path: &str| {
        let mut command = golden.command(&["check"]);
        command
            .env("PATH", path)
            .env("GOLDEN_REGISTRY_PASSWORD", "hunter2")
            .env("CI_JOB_TOKEN", "hunter2");
        command
            .env("GIT_SSH_COMMAND", "hunter2")
            .env("LD_PRELOAD", "");
        assert!(command.status().unwrap().success());
        text(&proof)
    };
    let usual = std::env::var_os("PATH").unwrap().into_string().unwrap();
    assert_eq!(run(&format!("bin:.::{usual}")), None);
    let seen = run(&format!("{}:{usual}", golden.path().join("bin").display())).unwrap();
    assert!(
        seen.contains("GIT_DIR=") && !seen.contains("hunter2"),
        "{seen}"
    );
}

/// A repository whose files are pipes does not block golden.
#[test]
fn pipes_in_the_repository_are_refused() {
    for file in ["config", "HEAD"] {
        let golden = committed();
        let path = golden.path().join(".git").join(file);
        std::fs::remove_file(&path).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let started = std::time::Instant::now();
        golden.run(&["graph"]);
        assert!(started.elapsed().as_secs() < 10, "{file}");
    }
}
