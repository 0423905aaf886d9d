//! `golden check` reports all mistakes of the user's files at once, each with its position, and
//! never panics.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::workspace::Golden;

const FINE: &str = "[image]\nname = \"a\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n";

/// Every file of tests/cases/bad is an image.toml; the complete message is in the .snap file next
/// to it.
#[test]
fn each_bad_file_gives_its_message() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/bad");
    let mut names: Vec<_> = std::fs::read_dir(&cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    names.sort();
    assert!(names.len() > 15);
    insta::with_settings!({ snapshot_path => &cases, prepend_module_to_snapshot => false, omit_expression => true }, {
        for path in names {
            #[expect(clippy::disallowed_methods, reason = "the test owns this file")]
            let text = std::fs::read(&path).unwrap();
            let run = Golden::new().workspace("").image("a", &String::from_utf8(text).unwrap()).run(&["check"]);
            assert_eq!(run.code, 2, "{}:\n{}", path.display(), run.stderr);
            assert!(run.stdout.is_empty(), "{}", run.stdout);
            insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), run.stderr);
        }
    });
}

#[test]
fn the_mistakes_of_all_files_are_reported_together() {
    let run = Golden::new()
        .workspace("[workspce]\n[[registry]]\nname = \"team\"\nhots = \"x\"\n[defaults.image]\nname = \"x\"\n[defaults.config]\nexpose = [0]\n")
        .image("a", "[image\n")
        .image("b", "[image]\nname = \"b\"\nversion = \"1\"\nbase = { image = \"c\" }\n")
        .run(&["check"])
        .exit(2);
    insta::assert_snapshot!(run.stderr);
}

#[test]
fn a_directory_that_cannot_be_read_is_not_skipped() {
    let golden = Golden::new()
        .workspace("")
        .image("a", FINE)
        .image("b", FINE)
        .file("c/.hidden/image.toml", FINE);
    golden.set_mode("", 0o755);
    golden.set_mode("b", 0o000);
    golden.set_mode("c/.hidden", 0o000);
    let run = golden.run_without_root(&["check"]).exit(2);
    insta::assert_snapshot!(run.stderr, @r"
    error[spec.file]: cannot read b: Permission denied (os error 13)
     --> golden.toml:1:1
      |
    1 |
      | ^
      |
      = help: list the image files in `images` under [workspace], or make the directory readable

    error: 1 error in 1 file
    ");
    // No image of these globs can be in the directory.
    for images in ["a/*.toml", "*.toml"] {
        golden.write(
            "golden.toml",
            format!("[workspace]\nimages = [\"{images}\", \"a/image.toml\"]\n"),
        );
        golden.run_without_root(&["check"]).exit(0);
    }
    golden.write("golden.toml", "[workspace]\nimages = [\"b/image.toml\"]\n");
    let run = golden.run_without_root(&["check"]).exit(2);
    let expected = "cannot read b/image.toml: Permission denied";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    let text = format!("{FINE}[[files]]\nsource = \"../**/x\"\ntarget = \"/x/\"\n");
    golden.write("golden.toml", "[workspace]\nimages = [\"a/image.toml\"]\n");
    golden.write("a/image.toml", text);
    golden.write("a/x", "");
    let run = golden.run_without_root(&["check"]).exit(2);
    let expected = "cannot read ../b: Permission denied";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    // A directory that the glob of the help does not search.
    golden.write("c/d/x", "");
    golden.set_mode("c/d", 0o000);
    golden.set_mode("b", 0o755);
    golden.write("a/image.toml", FINE);
    golden.write("golden.toml", "");
    let run = golden.run_without_root(&["check"]).exit(2);
    let expected = "cannot read c/d: Permission denied";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    let narrower = "images = [\"*/image.toml\"]";
    assert!(run.stderr.contains(narrower), "{}", run.stderr);
    golden.write("golden.toml", format!("[workspace]\n{narrower}\n"));
    golden.write("b/image.toml", FINE.replace("\"a\"", "\"b\""));
    golden.run_without_root(&["check"]).exit(0);
    golden.set_mode("c/d", 0o755);
    golden.set_mode("c/.hidden", 0o755);
}

#[test]
fn a_tag_that_is_also_the_base_of_an_image_is_refused() {
    let image = |name: &str, version: &str, base: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = \"{base}\"\n")
    };
    let golden = Golden::new()
        .workspace("")
        .image("debian", &image("debian", "12.0.0", "scratch"))
        .image("app", &image("app", "1.0.0", "localhost/debian:12"));
    let message = "error[tags.base]: `localhost/debian:12` is both the base of an image and a tag of `debian`";
    for command in ["check", "plan", "build", "render"] {
        let run = golden.run(&[command]).exit(2);
        assert!(run.stderr.contains(message), "{command}: {}", run.stderr);
    }
}

#[test]
fn json_and_annotations_are_machine_readable() {
    let golden = Golden::new().workspace("").image(
        "a",
        "[image]\nname = \"A\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
    );
    let json: serde_json::Value =
        serde_json::from_str(&golden.run(&["check", "--format", "json"]).exit(2).stdout).unwrap();
    assert_eq!(json["schema"], 1);
    let annotations = golden.run(&["check", "--format", "github"]).exit(2).stdout;
    assert!(
        annotations.starts_with("::error file=a/image.toml,line=2,"),
        "{annotations}"
    );
    let fine = Golden::new()
        .workspace("")
        .image("a", FINE)
        .run(&["check", "--format", "json"])
        .exit(0);
    assert!(serde_json::from_str::<serde_json::Value>(&fine.stdout).is_ok());
}

#[test]
fn a_byte_order_mark_is_not_counted_as_a_column() {
    let golden = Golden::new()
        .workspace("\u{feff}[vras]\n")
        .image("a", &format!("\u{feff}{FINE}"));
    let run = golden.run(&["check"]).exit(2);
    assert!(
        run.stderr.contains(" --> golden.toml:1:2\n"),
        "{}",
        run.stderr
    );
    golden.write("golden.toml", "\u{feff}");
    golden.run(&["check"]).exit(0);
}

/// Each file is parsed once, and a place in it is found without reading the lines before it.
#[test]
fn many_tables_and_findings_are_checked_in_a_short_time() {
    let tables = |count: usize, table: fn(usize) -> String| (0..count).map(table).collect();
    let gates: String = tables(2000, |n| {
        format!("[[gate]]\nname = \"g{n}\"\ncommand = [\"true\"]\nimages = [\"team/**\"]\n")
    });
    let exceptions: String = tables(2000, |n| {
        format!("[[policy.except]]\nrule = \"none-{n}\"\nreason = \"r\"\nuntil = 2030-01-01\n")
    });
    let labels: String = tables(10_000, |n| format!("k{n} = {n}\n"));
    let image = format!("{FINE}[labels]\n{labels}");
    for (workspace, image, exit) in [
        (gates.as_str(), FINE, 0),
        (&exceptions, FINE, 2),
        ("", &image, 2),
    ] {
        let golden = Golden::new().workspace(workspace).image("a", image);
        let start = Instant::now();
        golden.run(&["check"]).exit(exit);
        assert!(start.elapsed() < Duration::from_secs(20), "{workspace:.20}");
    }
}

#[test]
fn empty_binary_and_unreadable_files_are_refused() {
    let long = format!("{FINE}[labels]\nlong = \"{}\"\n", "x".repeat(10 << 20));
    let not_utf8 = [FINE.as_bytes(), b"# \xff\xfe\n"].concat();
    for (what, bytes) in [
        ("1 MiB", long.as_bytes()),
        ("not UTF-8", &not_utf8),
        ("", b"\0"),
        ("", b"[image]\nname = \"\0\""),
        ("", "[".repeat(100_000).as_bytes()),
        ("", format!("a = {}", "[".repeat(100_000)).as_bytes()),
    ] {
        let golden = Golden::new().workspace("").file("a/image.toml", bytes);
        let run = golden.run(&["check"]).exit(2);
        assert!(
            run.stderr.contains("a/image.toml:") && run.stderr.contains(what),
            "{}",
            run.stderr
        );
        assert!(run.stderr.len() < 10_000, "{}", run.stderr.len());
    }
}

#[test]
fn a_workspace_is_found_from_its_parent_and_its_subdirectories() {
    let golden = Golden::new()
        .file("images/golden.toml", "")
        .file("images/a/image.toml", FINE);
    let deep = golden.write("images/a/deep/er/x", "");
    let mut command = golden.command(&["check"]);
    assert!(command.output().unwrap().status.success());
    assert!(
        command
            .current_dir(deep.parent().unwrap())
            .output()
            .unwrap()
            .status
            .success()
    );
    golden.run(&["check", "-w", "images"]).exit(0);
    golden.run(&["-w", ".", "check"]).exit(0);
    golden.run(&["check", "-w", "images/a"]).exit(2);
    let none = Golden::new().run(&["check"]).exit(2);
    assert!(none.stderr.contains("golden init"), "{}", none.stderr);
    let empty = Golden::new().workspace("").run(&["check"]).exit(2);
    assert!(empty.stderr.contains("no images"), "{}", empty.stderr);
}

#[cfg(unix)]
#[test]
fn discovery_skips_hidden_directories_and_links() {
    let golden = Golden::new()
        .workspace("")
        .image("a", FINE)
        .file(".git/image.toml", "broken");
    golden.write("a/.cache/image.toml", "broken");
    let outside = Golden::new().image("b", "broken");
    std::os::unix::fs::symlink(outside.path(), golden.path().join("link")).unwrap();
    golden.run(&["check"]).exit(0);
    // A link that leads out of the workspace has its own error message.
    std::os::unix::fs::symlink(
        outside.path().join("b/image.toml"),
        golden.path().join("a/x.toml"),
    )
    .unwrap();
    golden.write("golden.toml", "[workspace]\nimages = [\"**/*.toml\"]\n");
    let run = golden.run(&["check"]).exit(2);
    assert!(
        run.stderr.contains("leads out of the workspace"),
        "{}",
        run.stderr
    );
}

#[cfg(unix)]
#[test]
fn files_outside_the_workspace_are_refused() {
    let outside = Golden::new().file("secret", "x");
    let golden = Golden::new().workspace("").file("a/files/inside", "x");
    let link = |target: &Path, name: &str| {
        std::os::unix::fs::symlink(target, golden.path().join("a").join(name)).unwrap();
    };
    link(&outside.path().join("secret"), "out");
    link(outside.path(), "outdir");
    link(Path::new("files/inside"), "in");
    link(
        Path::new("../../../../../../../../etc/passwd"),
        "files/climbing",
    );
    for (source, expected) in [
        ("out", Some("leads out of the workspace")),
        ("outdir/secret", Some("leads out of the workspace")),
        ("outdir", Some("leads out of the workspace")),
        ("../../x", Some("leaves the workspace")),
        ("/etc/passwd", Some("leaves the workspace")),
        ("files", Some("leads out of the workspace")),
        ("*.none", Some("no file matches")),
        ("in", None),
        ("files/inside", None),
        ("../a/files/inside", None),
    ] {
        golden.write(
            "a/image.toml",
            format!("{FINE}[[files]]\nsource = \"{source}\"\ntarget = \"/x/\"\n"),
        );
        let run = golden.run(&["check"]);
        match expected {
            Some(expected) => {
                assert!(
                    run.code == 2 && run.stderr.contains(expected),
                    "{source}: {}",
                    run.stderr
                );
            }
            None => assert_eq!(run.code, 0, "{source}: {}", run.stderr),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_root_certificate_outside_the_workspace_is_refused() {
    let outside = Golden::new().file("ca.crt", "x");
    let golden = Golden::new().image("a", FINE).file("certs/real.crt", "x");
    std::os::unix::fs::symlink(outside.path().join("ca.crt"), golden.path().join("out.crt"))
        .unwrap();
    std::os::unix::fs::symlink("certs/real.crt", golden.path().join("in.crt")).unwrap();
    for (ca, expected) in [
        ("out.crt", Some("leads out of the workspace")),
        ("../ca.crt", Some("leaves the workspace")),
        ("/ca.crt", Some("leaves the workspace")),
        ("none.crt", Some("does not exist")),
        ("certs", Some("is a directory")),
        ("in.crt", None),
        ("certs/real.crt", None),
    ] {
        golden.write(
            "golden.toml",
            format!("[[registry]]\nname = \"a\"\nhost = \"h.x\"\nca = \"{ca}\"\n"),
        );
        let run = golden.run(&["check"]);
        assert_eq!(
            run.code,
            if expected.is_some() { 2 } else { 0 },
            "{ca}: {}",
            run.stderr
        );
        assert!(
            run.stderr.contains(expected.unwrap_or_default()),
            "{ca}: {}",
            run.stderr
        );
    }
}

#[test]
fn a_target_below_a_file_is_refused() {
    let entry = |target: &str| format!("[[files]]\ncontent = \"x\"\ntarget = \"{target}\"\n");
    let check = |files: &str| {
        Golden::new()
            .workspace("")
            .image("a", &format!("{FINE}{files}"))
            .run(&["check"])
    };
    for order in [
        ["/etc/app", "/etc/app/rules"],
        ["/etc/app/rules", "/etc/app"],
    ] {
        let run = check(&order.map(entry).concat()).exit(2);
        assert!(
            run.stderr
                .contains("`/etc/app/rules` cannot be placed in `/etc/app`, which is a file"),
            "{}",
            run.stderr
        );
    }
    check(
        &["/etc/app", "/etc/app.d/x", "/etc/application"]
            .map(entry)
            .concat(),
    )
    .exit(0);
}

/// Opening a pipe blocks until a writer opens it, so golden must not open it.
#[cfg(unix)]
#[test]
fn pipes_are_refused() {
    let golden = Golden::new().workspace("").file("a/files/inside", "x");
    let made = std::process::Command::new("mkfifo")
        .arg(golden.path().join("a/files/pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    for asks in [
        "[[files]]\nsource = \"files\"\ntarget = \"/x/\"\n",
        "[[files]]\nsource = \"files/pipe\"\ntarget = \"/x\"\n",
        "[certs]\ntrust = [\"files/pipe\"]\n",
    ] {
        golden.write("a/image.toml", format!("{FINE}{asks}"));
        let run = golden.run(&["check"]).exit(2);
        assert!(
            run.stderr
                .contains("`a/files/pipe` cannot be read: it is neither a file"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn certificates_are_checked_and_private_keys_are_refused() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["ca".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .pem();
    let other = rcgen::CertificateParams::new(vec!["b".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .pem();
    let image = format!("{FINE}[certs]\ntrust = [\"x.pem\"]\n");
    for (bytes, code, expected) in [
        (
            certificate.clone(),
            0,
            "1 image is valid; read 1 certificate from 1 file",
        ),
        (
            format!("{}{other}", certificate.trim_end()),
            0,
            "1 image is valid; read 2 certificates from 1 file",
        ),
        (key.serialize_pem(), 3, "private key"),
        (
            format!("{certificate}\n{}", key.serialize_pem()),
            3,
            "private key",
        ),
        ("hello".to_owned(), 3, "not PEM"),
        (certificate.replace("MII", "AAA"), 3, ""),
    ] {
        let golden = Golden::new()
            .workspace("")
            .image("a", &image)
            .file("a/x.pem", &bytes);
        let run = golden.run(&["check"]);
        assert!(
            run.code == code && run.stderr.contains(expected),
            "{code} {expected}: {}",
            run.stderr
        );
    }
    let golden = Golden::new()
        .workspace("")
        .image("a", &image)
        .file("a/x.pem/y", "");
    let run = golden.run(&["check"]).exit(2);
    assert!(run.stderr.contains("is a directory"), "{}", run.stderr);
}

#[test]
fn images_are_selected_by_name_or_glob() {
    let image = |name: &str, base: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\n")
    };
    let golden = Golden::new()
        .workspace("")
        .image("a", &image("dotnet/runtime", "\"scratch\""))
        .image(
            "b",
            &image("dotnet/aspnet", "{ image = \"dotnet/runtime\" }"),
        )
        .image("c", &image("java", "\"scratch\""));
    for (images, count) in [
        (&["dotnet/*"][..], 2),
        (&["dotnet/aspnet"], 2),
        (&["java"], 1),
        (&["java:1.0.0"], 1),
        (&["*"], 1),
        (&["**"], 3),
        (&["java", "dotnet/runtime"], 2),
    ] {
        let run = golden.run(&[&["check"], images].concat()).exit(0);
        let plural = if count == 1 {
            "1 image is"
        } else {
            &format!("{count} images are")
        };
        assert!(run.stderr.contains(plural), "{images:?}: {}", run.stderr);
    }
    let run = golden.run(&["check", "dotnet/aspnt"]).exit(2);
    assert!(
        run.stderr.contains("did you mean `dotnet/aspnet`?"),
        "{}",
        run.stderr
    );
    golden.run(&["check", "nothing/*"]).exit(2);
}

#[test]
fn an_invalid_repository_path_is_refused() {
    let (namespace, name) = ("n".repeat(128), "a".repeat(127));
    let golden = |namespace: &str| {
        let registry = format!(
            "[[registry]]\nname = \"r\"\nhost = \"localhost:5000\"\nnamespace = \"{namespace}\"\n"
        );
        Golden::new()
            .workspace(&registry)
            .image("a", &FINE.replace("\"a\"", &format!("\"{name}\"")))
    };
    let run = golden(&namespace).run(&["check"]).exit(2);
    for words in [
        "error[tags.repository]",
        "a/image.toml:2:8",
        "256",
        "localhost:5000",
    ] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    golden(&namespace[1..]).run(&["check"]).exit(0);
}

#[test]
fn set_overrides_variables() {
    let golden = Golden::new()
        .workspace("[vars]\nversion = \"1.0.0\"\n")
        .image("a", &FINE.replace("1.0.0", "{{ vars.version }}"));
    golden.run(&["check"]).exit(0);
    assert!(
        golden
            .run(&["render", "--set", "version=2.0.0"])
            .exit(0)
            .stdout
            .contains("2.0.0")
    );
    golden.run(&["check", "--set", "version=2"]).exit(2);
    golden.run(&["check", "--set", "version"]).exit(2);
}

/// After 100 errors, golden stops checking the file and says so.
#[test]
fn after_a_hundred_errors_the_rest_of_the_file_is_not_checked() {
    for (errors, stopped) in [(100, 0), (101, 1), (500, 1)] {
        let keys: String = (0..errors).map(|n| format!("key{n} = 1\n")).collect();
        let image =
            format!("[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n{keys}");
        let run = Golden::new()
            .workspace("")
            .image("app", &image)
            .run(&["check"])
            .exit(2);
        let output = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(output.matches("unknown key").count(), errors.min(100));
        let words = "more than 100 errors; the rest of the file is not checked";
        assert_eq!(output.matches(words).count(), stopped, "{errors}");
    }
}
