//! `golden reproduce` builds published images again and compares them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use golden::reference::Digest;
use serde_json::Value;

use crate::statements::{App, IN_TOTO, commit};
use crate::support::registry::Behaviour;
use crate::support::server::{Answer, Server, handler};
use crate::support::workspace::{Golden, Run};

const TABLES: &str = "[sbom]\nformats = [\"cyclonedx\"]\n[provenance]\n";

fn reproduced(app: &App, image: &str, code: i32) -> Value {
    let run = app.run(&["reproduce", image, "--format", "json"], code);
    serde_json::from_str(&run.stdout).unwrap()
}

/// An image of the workspace; `base` is the value of its key.
fn spec(app: &App, name: &str, base: &str, more: &str) {
    let text = format!(
        "[image]\nname = \"{name}\"\nversion = \"1.2.3\"\nbase = {base}\n\
         platforms = [\"linux/amd64\"]\n{more}"
    );
    app.golden.write(&format!("{name}/image.toml"), text);
}

#[test]
fn an_image_is_reproduced_from_the_commit_of_its_provenance() {
    let app = App::new(Behaviour::default(), TABLES);
    let built_from = commit(&app.golden);
    app.run(&["build", "--push"], 0);
    // Later commits and changes of the working tree do not matter.
    app.golden.write("app/image.toml", "[image]\n");
    commit(&app.golden);
    app.golden.write("app/image.toml", "broken");
    let host = app.registry.host();
    let image = format!("{host}/app:1.2.3");
    app.run(&["reproduce", &image], 0);
    app.golden.write("app/image.toml", crate::statements::SPEC);
    for image in ["app:1.2.3", &image] {
        let result = reproduced(&app, image, 0);
        assert_eq!(result["schema"], 1);
        assert_eq!(result["outcome"], "same");
        assert_eq!(result["commit"], built_from.as_str());
        assert_eq!(result["source"], "git+https://git.example.com/o/r.git");
    }
    let digest = &app.registry.tags("app")["1.2.3"];
    let run = app.run(&["reproduce", &format!("{host}/app@{digest}")], 0);
    let expected = format!(
        "{host}/app@{digest}: the commit {built_from} gives the same digest\n  \
         the provenance statement is not signed\n"
    );
    assert_eq!(run.stdout, expected);
    // The image of one platform is a part of the same build.
    let arm = app.tree("app:1.2.3")["images"][1]["digest"].clone();
    app.run(
        &[
            "reproduce",
            &format!("{host}/app@{}", arm.as_str().unwrap()),
        ],
        0,
    );
}

#[test]
fn an_image_of_uncommitted_changes_is_shown_to_differ() {
    let app = App::new(Behaviour::default(), TABLES);
    commit(&app.golden);
    let changed =
        crate::statements::SPEC.replace("content = \"x\"", "content = \"secretly other\"");
    app.golden.write("app/image.toml", changed);
    app.run(&["build", "--push"], 0);
    let run = app.run(&["reproduce", "app:1.2.3"], 5);
    for expected in [
        " gives another digest, sha256:",
        "  the image was built from a checkout with changes that were not committed\n",
        "  the commit has another content of /x\n",
        "+ the new build\n",
        "\nfiles\n",
    ] {
        assert!(run.stdout.contains(expected), "{expected}: {}", run.stdout);
    }
    let result = reproduced(&app, "app:1.2.3", 5);
    assert_eq!(result["outcome"], "different");
    assert_eq!(
        result["diff"]["files"]["changed"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_base_that_moved_and_a_parent_of_the_workspace_are_taken_as_they_were() {
    let app = App::new(Behaviour::default(), TABLES);
    let host = app.registry.host();
    app.registry.image_for("base", "amd64", "BASE=1", &["1"]);
    let file = "[[files]]\ncontent = \"{{ vars.text }}\"\ntarget = \"/y\"\n";
    app.configure(&format!("[vars]\ntext = \"a\"\n{TABLES}"));
    spec(&app, "parent", &format!("\"{host}/base:1\""), file);
    spec(&app, "child", "{ image = \"parent\" }", file);
    // golden.lock is not committed.
    commit(&app.golden);
    app.run(&["build", "child", "--push", "--set", "text=b"], 0);
    app.registry.image_for("base", "amd64", "BASE=2", &["1"]);
    app.golden.forget();
    drop(std::fs::remove_file(app.golden.path().join("golden.lock")));
    for image in ["parent:1.2.3", "child:1.2.3"] {
        let run = app.run(&["reproduce", image], 0);
        assert!(
            run.stdout.contains("gives the same digest"),
            "{}",
            run.stdout
        );
    }
}

/// Earlier versions of golden wrote a lock file with two digests of one tag.
#[test]
fn a_commit_of_a_lock_with_two_digests_of_a_tag_is_reproduced() {
    let app = App::new(Behaviour::default(), TABLES);
    let entry = |key: &str| {
        let digest = Digest::of(key.as_bytes());
        format!(
            "[[base]]\nbase = \"{key}\"\nreference = \"a.example/b:1\"\ndigest = \"{digest}\"\n"
        )
    };
    let entries = [entry("a.example/b:1"), entry("a.example/b ^1")].concat();
    app.golden
        .write("golden.lock", format!("version = 1\n{entries}"));
    commit(&app.golden);
    app.run(&["build", "--push"], 2);
    // git hides the valid file, so that the provenance names the commit.
    app.golden
        .git(&["update-index", "--assume-unchanged", "golden.lock"]);
    app.golden.write("golden.lock", "version = 1\n");
    app.run(&["build", "--push"], 0);
    assert_eq!(reproduced(&app, "app:1.2.3", 0)["outcome"], "same");
}

#[test]
fn a_row_of_a_matrix_is_reproduced_alone() {
    let app = App::new(Behaviour::default(), TABLES);
    let matrix = "[matrix]\nflavour = [\"a\", \"b\"]\n";
    let spec = "[image]\nname = \"rows\"\nversion = \"1.0.0\"\nvariant = \"{{ matrix.flavour }}\"\n\
        base = \"scratch\"\nplatforms = [\"linux/amd64\"]\n\
        [[files]]\ncontent = \"{{ matrix.flavour }}\"\ntarget = \"/y\"\n";
    app.golden
        .write("rows/image.toml", format!("{spec}{matrix}"));
    commit(&app.golden);
    app.run(&["build", "rows", "--push"], 0);
    for tag in ["1.0.0-a", "1.0.0-b"] {
        let result = reproduced(&app, &format!("rows:{tag}"), 0);
        assert_eq!(result["outcome"], "same", "{tag}");
    }
}

/// A CI system often has only the last commit, which git then takes for the one that changed every
/// file.
#[test]
fn an_image_of_a_shallow_clone_is_reproduced_from_the_whole_repository() {
    let app = App::new(Behaviour::default(), TABLES);
    commit(&app.golden);
    app.golden.write("notes.txt", "later");
    let head = commit(&app.golden);
    let clone = tempfile::tempdir().unwrap();
    let from = format!("file://{}", app.golden.path().display());
    let to = clone.path().join("r");
    let to = to.to_str().unwrap();
    app.golden.git(&["clone", "-q", "--depth", "1", &from, to]);
    let mut command = app.golden.command(&["build", "--push"]);
    Run::of(command.current_dir(to).output().unwrap()).exit(0);
    let image = format!("{}/app:1.2.3", app.registry.host());
    for directory in [app.golden.path().to_str().unwrap(), to] {
        let result = app.run(
            &["-w", directory, "reproduce", &image, "--format", "json"],
            0,
        );
        let result: Value = serde_json::from_str(&result.stdout).unwrap();
        assert_eq!(result["outcome"], "same");
        assert_eq!(result["commit"], head.as_str());
    }
}

#[test]
fn an_image_without_usable_provenance_is_refused() {
    let app = App::new(Behaviour::default(), "");
    app.run(&["build", "--push"], 0);
    let run = app.run(&["reproduce", "app:1.2.3"], 1);
    assert!(
        run.stderr.contains("has no provenance statement"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("add [provenance] to golden.toml"),
        "{}",
        run.stderr
    );
    // Without git, the statement names no commit.
    app.configure("[provenance]\n");
    app.run(&["build", "--push"], 0);
    let run = app.run(&["reproduce", "app:1.2.3"], 1);
    assert!(run.stderr.contains("names no commit"), "{}", run.stderr);
}

/// The file of a repository, as a web server answers.
fn served(directory: &Path, path: &str) -> Answer {
    let path = path.split('?').next().unwrap_or_default();
    match std::fs::read(directory.join(path.trim_start_matches('/'))) {
        Ok(bytes) => Answer::new(200, bytes),
        Err(_) => Answer::new(404, "absent"),
    }
}

#[test]
fn a_commit_that_is_not_here_comes_from_the_repository_of_the_statement() {
    let app = App::new(Behaviour::default(), TABLES);
    let remote = tempfile::tempdir().unwrap();
    let directory = remote.path().to_owned();
    // The schemes of the server, or none if it requires no login.
    let challenge = Arc::new(Mutex::new(None));
    let asked = challenge.clone();
    let got_login = Arc::new(AtomicBool::new(false));
    let got = got_login.clone();
    let server = Server::start(handler(move |seen| {
        let login = seen.header("authorization");
        got.fetch_or(login.is_some(), Ordering::SeqCst);
        if let (Some(scheme), None) = (*asked.lock().unwrap(), login) {
            return Answer::new(401, "").header("www-authenticate", scheme);
        }
        served(&directory, &seen.path)
    }));
    let url = format!("http://{}/r.git", server.host());
    app.golden.write(".gitattributes", "* filter=x\n");
    commit(&app.golden);
    app.golden.git(&["remote", "set-url", "origin", &url]);
    app.run(&["build", "--push"], 0);
    let image = format!("{}/app:1.2.3", app.registry.host());
    let elsewhere = Golden::new();
    let run = elsewhere.run(&["reproduce", &image]).exit(1);
    assert!(
        run.stderr.contains("cannot be checked out"),
        "{}",
        run.stderr
    );
    // A hook and a filter of the user do not run.
    let ran = elsewhere.path().join("ran");
    let hook = format!("#!/bin/sh\ntouch {}\n", ran.display());
    let hook = elsewhere.write("hooks/post-checkout", hook);
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "[core]\n\thooksPath = {}\n[filter \"x\"]\n\tsmudge = \"touch {}; cat\"\n",
        hook.parent().unwrap().display(),
        ran.display()
    );
    elsewhere.write(".gitconfig", config);
    for args in [
        &["clone", "-q", "--bare"][..],
        &["--git-dir", "update-server-info"],
    ] {
        let mut git = Command::new("git");
        let bare = remote.path().join("r.git");
        match args {
            [option, command] => git.arg(option).arg(&bare).arg(command),
            _ => git.args(args).arg(app.golden.path()).arg(&bare),
        };
        assert!(git.status().unwrap().success(), "{args:?}");
    }
    let mut command = elsewhere.command(&["reproduce", &image]);
    command.env("HOME", elsewhere.path());
    let run = Run::of(command.output().unwrap()).exit(0);
    assert!(
        run.stdout.contains("gives the same digest"),
        "{}",
        run.stdout
    );
    assert!(!ran.exists());
    // The statement names the URL, so the logins of the user are used only if the user knows it.
    *challenge.lock().unwrap() = Some("Basic realm=\"r\"");
    let helper = format!(
        "[credential]\n\thelper = \"!f() {{ touch {}; echo username=u; echo password=p; }}; f\"\n",
        ran.display()
    );
    elsewhere.write(".gitconfig", &helper);
    let reproduce = |code| {
        let mut command = elsewhere.command(&["reproduce", &image]);
        command.env("HOME", elsewhere.path());
        Run::of(command.output().unwrap()).exit(code)
    };
    reproduce(1);
    assert!(!ran.exists());
    let host = server.host();
    for (file, text) in [
        (
            ".gitconfig",
            format!("[http \"http://{host}/\"]\n\textraHeader = authorization: Basic dTpw\n"),
        ),
        (
            ".gitconfig",
            format!("[url \"http://u:p@{host}/\"]\n\tinsteadOf = http://{host}/\n"),
        ),
        (
            ".netrc",
            "machine 127.0.0.1 login u password p\n".to_owned(),
        ),
    ] {
        elsewhere.write(file, &text);
        let run = reproduce(1);
        assert!(
            run.stderr.contains("cannot be checked out"),
            "{text}: {}",
            run.stderr
        );
        elsewhere.write(file, "");
    }
    // Git sends the login of the session for these schemes if the name of the user is empty.
    elsewhere.write(".gitconfig", "[http]\n\temptyAuth = true\n");
    for scheme in ["Negotiate", "NTLM"] {
        *challenge.lock().unwrap() = Some(scheme);
        reproduce(1);
    }
    *challenge.lock().unwrap() = Some("Basic realm=\"r\"");
    assert!(!got_login.load(Ordering::SeqCst));
    elsewhere.write(".gitconfig", helper);
    elsewhere.git(&["init", "-q"]);
    elsewhere.git(&["remote", "add", "origin", &url]);
    reproduce(0);
    assert!(ran.exists());
}

/// The statement names the commit, so every publisher of the image decides about its golden.toml.
#[test]
fn no_program_of_the_commit_runs_and_a_base_that_was_revoked_later_is_used() {
    let app = App::new(Behaviour::default(), TABLES);
    let host = app.registry.host();
    app.registry.image_for("base", "amd64", "BASE=1", &["1"]);
    let directory = tempfile::tempdir().unwrap();
    let ran = directory.path().join("ran");
    let check = format!("#!/bin/sh\ntouch {}\n", ran.display());
    let check = app.golden.write("check", check);
    std::fs::set_permissions(&check, std::fs::Permissions::from_mode(0o755)).unwrap();
    app.configure(&format!(
        "{TABLES}[policy.base]\nsigned_by = [\"v\"]\n\
         [[trust]]\nname = \"v\"\nimages = [\"{host}/base\"]\nverify = [\"./check\"]\n"
    ));
    let file = "[[files]]\ncontent = \"a\"\ntarget = \"/y\"\n";
    spec(&app, "child", &format!("\"{host}/base:1\""), file);
    commit(&app.golden);
    app.run(&["build", "child", "--push"], 0);
    std::fs::remove_file(&ran).unwrap();
    let base = format!("{host}/base:1");
    app.run(&["revoke", &base, "--reason", "bad", "--yes"], 0);
    let result = reproduced(&app, "child:1.2.3", 0);
    assert_eq!(result["outcome"], "same");
    assert!(!ran.exists());
}

/// Replaces the provenance statement of an image by a changed one.
fn with_provenance(app: &App, tag: &str, edit: impl FnOnce(&mut Value)) {
    let image = app.registry.tags("app")[tag].clone();
    let mut statement = app.provenance(&app.tree(&format!("app:{tag}")));
    edit(&mut statement["predicate"]["buildDefinition"]["internalParameters"]);
    let empty = ("application/vnd.oci.empty.v1+json", "{}");
    let text = statement.to_string();
    let artifact = app.registry.artifact(
        "app",
        Some(IN_TOTO),
        empty,
        (IN_TOTO, &text),
        Some(&image),
        &[],
    );
    app.registry.fallback("app", &image, &[&artifact]);
}

/// The statement names the commit, so an attacker who can push an image could name another one.
#[test]
fn a_statement_must_be_signed_by_a_trusted_key_if_there_is_one() {
    let app = App::new(
        Behaviour::default(),
        "[signing]\nkey = \"team.key\"\n[provenance]\n",
    );
    app.golden.write_key_pair("other");
    commit(&app.golden);
    app.run(&["build", "--push"], 0);
    let host = app.registry.host();
    let trust = |key: &str| {
        app.configure(&format!(
            "[provenance]\n[[trust]]\nname = \"{key}\"\nimages = [\"{host}/**\"]\nkeys = [\"{key}.pub\"]\n"
        ));
    };
    trust("team");
    let result = reproduced(&app, "app:1.2.3", 0);
    let expected = serde_json::json!({ "verified": true, "signed_by": "team" });
    assert_eq!(result["provenance"], expected);
    let run = app.run(&["reproduce", "app:1.2.3"], 0);
    let signed = "  the provenance statement is signed by team\n";
    assert!(run.stdout.ends_with(signed), "{}", run.stdout);
    let refused = |args: &[&str], because: &str| {
        let run = app.run(args, 5);
        let expected = format!(" of {host}/app:1.2.3 cannot be trusted: {because}");
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
        assert!(run.stderr.contains("use --key FILE"), "{}", run.stderr);
        assert_eq!(run.stdout, "");
    };
    let other = "its signature is made with a key that is not trusted";
    let image = ["reproduce", "app:1.2.3"];
    refused(&[&image[..], &["--key", "other.pub"]].concat(), other);
    trust("other");
    refused(&image, other);
    app.run(&[&image[..], &["--key", "team.pub"]].concat(), 0);
    app.configure("[provenance]\n");
    let result = reproduced(&app, "app:1.2.3", 0);
    let problem = format!("is not verified, because no [[trust]] table has a key for {host}/app");
    let expected = serde_json::json!({ "verified": false, "problem": problem });
    assert_eq!(result["provenance"], expected);
    with_provenance(&app, "1.2.3", |_| {});
    app.run(&image, 0);
    trust("team");
    refused(&image, "it is not signed");
}

#[test]
fn the_inputs_of_an_image_that_an_engine_built_are_compared() {
    let app = App::new(Behaviour::default(), TABLES);
    commit(&app.golden);
    app.run(&["build", "--push"], 0);
    with_provenance(&app, "1.2.3", |internal| {
        internal["engine"] = "docker".into();
    });
    let result = reproduced(&app, "app:1.2.3", 0);
    assert_eq!(result["outcome"], "same-inputs");
    assert_eq!(result["engine"], "docker");
    let app = App::new(Behaviour::default(), TABLES);
    commit(&app.golden);
    app.run(&["build", "--push"], 0);
    with_provenance(&app, "1.2.3", |internal| {
        internal["engine"] = "docker".into();
        internal["dev.golden.inputs"] = Digest::of(b"other").to_string().into();
    });
    let result = reproduced(&app, "app:1.2.3", 5);
    assert_eq!(result["outcome"], "other-inputs");
    assert_eq!(
        result["because"],
        serde_json::json!(["the inputs digest of the commit is another one"])
    );
}
