//! A step that changes packages fails unless, at its end, every package is as the spec requires.
//! The rendered script runs here with simulated package managers.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::workspace::Golden;

/// The script of the step that changes an image's packages.
fn script(golden: &Golden) -> String {
    let rendered = golden.run(&["render"]).exit(0).stdout;
    let step = rendered.split("# packages\n").nth(1).unwrap();
    let (_, script) = step.split_once("RUN <<EOR\n").unwrap();
    script.split_once("\nEOR\n").unwrap().0.to_owned()
}

/// A family's package manager, as scripts with the given names. Each reads the installed packages
/// from $STATE, one per line.
struct PackageManager {
    family: &'static str,
    tools: &'static [(&'static str, &'static str)],
}

const DEBIAN: PackageManager = PackageManager {
    family: "debian",
    tools: &[
        (
            "apt-get",
            "case $* in\n*update*) echo \"$UPDATE\" >&2; exit ${UPDATE_EXIT:-0} ;;\n*install*) printf \"$INSTALLED\" >> $STATE ;;\n*purge*) printf \"$LEFT\" > $STATE ;;\nesac",
        ),
        (
            "dpkg-query",
            "case $* in *Provides*) sed 's/.*/installed, &,/' $STATE ;; *) for name; do :; done; grep -q \"^$name\\b\" $STATE && echo installed ;; esac",
        ),
    ],
};

const ALPINE: PackageManager = PackageManager {
    family: "alpine",
    tools: &[(
        "apk",
        "case $1 in\nadd) printf \"$INSTALLED\" >> $STATE; echo \"$UPDATE\" >&2; exit ${UPDATE_EXIT:-0} ;;\ndel) printf \"$LEFT\" > $STATE ;;\ninfo) grep -qx -- \"$3\" $STATE ;;\nesac",
    )],
};

const RHEL: PackageManager = PackageManager {
    family: "rhel",
    tools: &[
        (
            "dnf",
            "case $* in\n*install*) case $* in *skip_if_unavailable=False*) ;; *) exit 9 ;; esac; printf \"$INSTALLED\" >> $STATE; echo \"$UPDATE\" >&2; exit ${UPDATE_EXIT:-0} ;;\nremove*) printf \"$LEFT\" > $STATE ;;\nesac",
        ),
        (
            "rpm",
            "case $1 in -qa) grep -x -- \"$2\" $STATE || true ;; *) for name; do :; done; grep -qx -- \"$name\" $STATE ;; esac",
        ),
    ],
};

impl PackageManager {
    /// Runs the step of an image with these packages; returns the exit code and stderr.
    fn run(&self, packages: &str, variables: &[(&str, &str)]) -> (i32, String) {
        let text = format!(
            "[image]\nname = \"a\"\nversion = \"1.0.0\"\nbase = \"base:1\"\nfamily = \"{}\"\n[packages]\n{packages}\n",
            self.family
        );
        let golden = Golden::new().workspace("").image("a", &text);
        let script = script(&golden);
        let state = golden.write("state", "vim\nlibthing\n");
        // The step removes caches, which on this machine belong to the user.
        for (name, text) in self.tools.iter().chain(&[("rm", "")]) {
            let path = golden.write(&format!("bin/{name}"), format!("#!/bin/sh\n{text}\n"));
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", golden.path().join("bin").display());
        let output = Command::new("/bin/sh")
            .args(["-ec", &script])
            .env_clear()
            .env("PATH", path)
            .env("STATE", state)
            .env("INSTALLED", "tool\n")
            .env("LEFT", "tool\n")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    /// Runs the step, which must fail with `why` as its last line.
    #[track_caller]
    fn fails(&self, packages: &str, variables: &[(&str, &str)], why: &str) {
        let (code, printed) = self.run(packages, variables);
        assert_eq!(
            (code, printed.lines().last()),
            (1, Some(format!("golden: {why}").as_str())),
            "{printed}"
        );
    }
}

const PACKAGE_MANAGERS: [PackageManager; 3] = [DEBIAN, ALPINE, RHEL];

#[test]
fn packages_that_match_the_spec_pass() {
    for manager in PACKAGE_MANAGERS {
        let (code, printed) = manager.run(
            "install = [\"tool\"]\nremove = [\"vim\", \"libthing\"]",
            &[],
        );
        assert_eq!(code, 0, "{}: {printed}", manager.family);
    }
    let virtual_package = [(
        "INSTALLED",
        "postfix, mail-transport-agent, default-mta (= 1)\n",
    )];
    for name in ["mail-transport-agent", "default-mta"] {
        assert_eq!(
            DEBIAN
                .run(&format!("install = [\"{name}\"]"), &virtual_package)
                .0,
            0,
            "{name}"
        );
    }
    assert_eq!(
        RHEL.run("install = [\"tool-1.*\"]", &[("INSTALLED", "tool-1.2-3\n")])
            .0,
        0
    );
}

#[test]
fn an_index_that_cannot_be_read_fails_the_step() {
    let no_network = "no network, or the server does not answer";
    let no_index = "the server has no such index";
    for (manager, printed, cause) in [
        (
            &DEBIAN,
            "W: Failed to fetch http://deb.example.com/dists/x/InRelease  Temporary failure resolving 'deb.example.com'",
            no_network,
        ),
        (
            &DEBIAN,
            "E: The repository 'http://deb.example.com x Release' does not have a Release file.",
            no_index,
        ),
    ] {
        let code = if printed.starts_with('E') { "100" } else { "0" };
        let why = format!("apt-get update did not read every package index: {cause}: {printed}");
        manager.fails(
            "install = [\"tool\"]",
            &[("UPDATE", printed), ("UPDATE_EXIT", code)],
            &why,
        );
    }
    for (printed, cause) in [
        (
            "WARNING: fetching https://apk.example.com/main: temporary error (try again later)",
            no_network,
        ),
        (
            "WARNING: Ignoring https://apk.example.com/main: No such file or directory",
            no_index,
        ),
    ] {
        let why = format!("apk did not read every package index: {cause}: {printed}");
        ALPINE.fails("install = [\"tool\"]", &[("UPDATE", printed)], &why);
    }
    for (printed, code, cause) in [
        (
            "Error: Failed to download metadata for repo 'x': Curl error (6): Couldn't resolve host name",
            "1",
            no_network,
        ),
        (
            "Errors during downloading metadata for repository 'x': Status code: 404",
            "1",
            no_index,
        ),
        ("Ignoring repositories: x", "0", "see above"),
    ] {
        let why = format!("dnf did not read every package index: {cause}");
        RHEL.fails(
            "install = [\"tool\"]",
            &[("UPDATE", printed), ("UPDATE_EXIT", code)],
            &why,
        );
    }
}

#[test]
fn a_package_that_is_missing_at_the_end_fails_the_step() {
    for manager in PACKAGE_MANAGERS {
        let why = "tools is not installed: no package has exactly this name";
        manager.fails("install = [\"tools\"]", &[], why);
        let why = "tool is not installed at the end: it was removed together with a package that it needs";
        manager.fails(
            "install = [\"tool\"]\nremove = [\"libthing\"]",
            &[("LEFT", "")],
            why,
        );
    }
}

#[test]
fn a_package_that_is_not_removed_fails_the_step() {
    for manager in PACKAGE_MANAGERS {
        let why = "vi cannot be removed: no package of this name is installed";
        manager.fails("remove = [\"vi\"]", &[], why);
        let why = "vim is still installed: another package needs it";
        manager.fails("remove = [\"vim\"]", &[("LEFT", "vim\n")], why);
    }
}

#[test]
fn a_contradiction_between_the_defaults_and_an_image_names_both_files() {
    let golden = Golden::new().workspace("[defaults.packages]\ninstall = [\"curl=7.*\"]\n").image(
        "a",
        "[image]\nname = \"a\"\nversion = \"1.0.0\"\nbase = \"debian:12\"\n[packages]\nremove = [\"curl\"]\n",
    );
    let printed = golden.run(&["check"]).exit(2).stderr;
    assert!(
        printed.contains("`curl` is in both `install` and `remove`"),
        "{printed}"
    );
    assert!(
        printed.contains("a/image.toml:6:11") && printed.contains("golden.toml:2:12"),
        "{printed}"
    );
}

#[test]
fn repositories_and_snapshots_are_checked_with_their_lines() {
    let image = "[image]\nname = \"a\"\nversion = \"1.0.0\"\nbase = \"base:1\"\nfamily = \"FAMILY\"\n[packages]\ninstall = [\"curl\"]\n";
    for (family, packages, expected, place) in [
        (
            "debian",
            "snapshot = \"yesterday\"",
            "a date",
            "a/image.toml:8:12",
        ),
        (
            "rhel",
            "snapshot = \"2026-11-20\"",
            "error[spec.value]: the family `rhel` has no snapshot archives",
            "a/image.toml:8:12",
        ),
        (
            "debian",
            "[[packages.repository]]\nsuite = \"x\"",
            "error[spec.missing]: `url` is missing in [[packages.repository]]",
            "a/image.toml:8:1",
        ),
        (
            "debian",
            "[[packages.repository]]\nurl = \"https://p.example\"\nsuite = \"x/\"",
            "error[spec.missing]: `key` is missing in [[packages.repository]]",
            "a/image.toml:8:1",
        ),
        (
            "debian",
            "[[packages.repository]]\nurl = \"https://p.example\"\nsuite = \"x/\"\nkey = \"none.asc\"",
            "error[spec.file]: `none.asc` does not exist",
            "a/image.toml:11:7",
        ),
        (
            "debian",
            "[[packages.repository]]\nurl = \"https://p.example\"\nsuite = \"x/\"\nkey = \"../../key.asc\"",
            "error[spec.file]: `../../key.asc`",
            "a/image.toml:11:7",
        ),
        (
            "alpine",
            "[[packages.repository]]\nurl = \"https://p.example\"\nsuite = \"x/\"\nkey = \"key.asc\"",
            "error[spec.value]: only apt has suites",
            "a/image.toml:10:9",
        ),
        (
            "debian",
            "[[packages.repository]]\nurl = \"https://ann:s3cret@p.example\"\nsuite = \"x/\"\nkey = \"key.asc\"",
            "error[spec.value]: the URL contains a login",
            "a/image.toml:9:7",
        ),
    ] {
        let text = image.replace("FAMILY", family) + packages;
        let golden = Golden::new()
            .workspace("")
            .image("a", &text)
            .file("a/key.asc", "key");
        let run = golden.run(&["check"]).exit(2);
        assert!(run.stderr.contains(expected), "{packages}: {}", run.stderr);
        assert!(run.stderr.contains(place), "{packages}: {}", run.stderr);
    }
}
