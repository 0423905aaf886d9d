//! The build script: it records the version for `golden --version`, with the commit of an optimised
//! build from a clone, and makes the binary of the profile `dist` smaller.
//!
//! Other builds have no commit: cargo compiles the whole package again when it changes, so each
//! commit would cost minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let variable = |name| {
        let value = std::env::var_os(name).unwrap_or_default();
        value.to_string_lossy().into_owned()
    };
    let version = variable("CARGO_PKG_VERSION");
    // A `.git` above this directory is that of another project.
    let may_have_commit = variable("OPT_LEVEL") != "0" && Path::new(".git").exists();
    match may_have_commit.then(commit).flatten() {
        Some(commit) => println!("cargo::rustc-env=GOLDEN_VERSION={version} ({commit})"),
        None => println!("cargo::rustc-env=GOLDEN_VERSION={version}"),
    }
    // TARGET/PROFILE/build/golden-HASH/out
    let out = PathBuf::from(variable("OUT_DIR"));
    let profile = out.ancestors().nth(3).and_then(Path::file_name);
    if profile.is_some_and(|profile| profile == "dist")
        && variable("CARGO_CFG_TARGET_OS") == "linux"
    {
        shrink(
            &out,
            variable("CARGO_CFG_TARGET_FEATURE").contains("crt-static"),
        );
    }
}

/// Makes the program smaller. The tables that unwind the stack (1.3 MB) are left out, because a panic
/// aborts the program. The relocations of a static program (0.7 MB) get a compact format. A dynamic
/// program could use that format only with glibc 2.36 or later.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing else writes to the directory of the build"
)]
fn shrink(out: &Path, is_static: bool) {
    const UNWIND_TABLES: &str =
        "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame.*) } } INSERT AFTER .text;\n";
    let script = out.join("without-unwind-tables.ld");
    match fs::write(&script, UNWIND_TABLES) {
        Ok(()) => {
            println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
            println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
        }
        Err(error) => println!(
            "cargo::warning=the program contains the unwind tables, because {} cannot be written: {error}",
            script.display()
        ),
    }
    if is_static {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The abbreviated hash of the current commit and its date; `None` if git is unavailable or there is
/// no commit. Makes cargo run this script again if another commit is checked out.
fn commit() -> Option<String> {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for file in ["HEAD", "logs/HEAD", "packed-refs"]
        .into_iter()
        .chain(branch.as_deref())
    {
        let path = git(&["rev-parse", "--git-path", file])?;
        let path = Path::new(&path);
        // If a file is missing, cargo runs the script in each build.
        let watched = if Some(file) == branch.as_deref() {
            // The next commit creates the file of a branch that is in packed-refs.
            path.ancestors().find(|path| path.exists())
        } else {
            path.exists().then_some(path)
        };
        if let Some(watched) = watched {
            println!("cargo::rerun-if-changed={}", watched.display());
        }
    }
    // A repository in the format `reftable` has these files instead. A worktree has two of them.
    for directory in ["--git-dir", "--git-common-dir"] {
        let tables = git(&["rev-parse", directory])? + "/reftable/tables.list";
        if Path::new(&tables).exists() {
            println!("cargo::rerun-if-changed={tables}");
        }
    }
    git(&[
        "log",
        "-1",
        "--no-show-signature",
        "--abbrev=7",
        "--date=short",
        "--format=%h %cd",
    ])
}

/// The output of git; `None` if it fails.
fn git(args: &[&str]) -> Option<String> {
    // A hook of git sets these variables for its own repository.
    let output = Command::new("git")
        .args(args)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
