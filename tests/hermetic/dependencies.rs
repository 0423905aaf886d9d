//! The dependencies of golden: their licences are allowed, and no known advisory applies to the
//! versions in Cargo.lock.
//!
//! The tests use no network. `tests/hermetic/dependencies/advisories.toml` is an extract of the
//! `RustSec` database. Advisories published after its date, and yanked versions, are not checked. To
//! update it:
//!
//! ```text
//! git clone --depth 1 https://github.com/rustsec/advisory-db DIR
//! GOLDEN_ADVISORIES=DIR cargo test --test hermetic dependencies::
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::sources::root;

/// The allowed licences of dependencies. `A OR B` requires one allowed licence, `A AND B` requires
/// that both are allowed.
const ALLOWED: [&str; 9] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Accepted advisories, each with the reason.
const ACCEPTED: [(&str, &str); 0] = [];

/// The reason why a licence is not allowed; `None` if it is allowed.
fn refusal(licence: Option<&str>) -> Option<String> {
    let Some(written) = licence else {
        return Some("the licence is missing".to_owned());
    };
    let expression = match spdx::Expression::parse_mode(written, spdx::ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => {
            return Some(format!(
                "`{written}` is not an SPDX expression: {}",
                error.reason
            ));
        }
    };
    let is_allowed = |requirement: &spdx::LicenseReq| {
        let id = requirement.license.id();
        id.is_some_and(|id| ALLOWED.contains(&id.name))
    };
    (!expression.evaluate(is_allowed)).then(|| format!("`{written}` is not allowed"))
}

#[test]
fn a_licence_is_allowed_by_its_expression() {
    for (licence, allowed) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("(MIT OR GPL-3.0-only) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0-only", false),
        ("AGPL-3.0-only", false),
        ("LicenseRef-Own", false),
        ("something", false),
    ] {
        assert_eq!(refusal(Some(licence)).is_none(), allowed, "{licence}");
    }
    assert!(refusal(None).is_some());
}

/// `cargo deny check` reads this file.
#[test]
fn cargo_deny_allows_the_same_licences_and_advisories() {
    let text = std::fs::read_to_string(root().join(".cargo/deny.toml")).unwrap();
    let file: toml::Value = toml::from_str(&text).unwrap();
    let texts = |table: &str, key: &str| -> Vec<String> {
        let values = file[table][key].as_array().unwrap().iter();
        values
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(texts("licenses", "allow"), ALLOWED);
    assert_eq!(texts("advisories", "ignore"), ACCEPTED.map(|(id, _)| id));
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Version,
    #[serde(alias = "license")]
    licence: Option<String>,
    source: Option<String>,
}

/// Runs the cargo that runs this test, and returns its stdout.
fn cargo(args: &[&str]) -> Vec<u8> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(args)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Only the crates for this platform are checked, because cargo has not downloaded the others.
#[test]
fn every_crate_has_an_allowed_licence_and_comes_from_the_registry() {
    let version = String::from_utf8(cargo(&["-vV"])).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let metadata = cargo(&[
        "metadata",
        "--locked",
        "--offline",
        "--format-version",
        "1",
        "--filter-platform",
        host,
    ]);
    let metadata: Metadata = serde_json::from_slice(&metadata).unwrap();
    assert!(metadata.packages.len() > 100);
    let mut refused = Vec::new();
    for package in metadata
        .packages
        .iter()
        .filter(|package| package.name != "golden")
    {
        let what = format!("{} {}", package.name, package.version);
        if let Some(why) = refusal(package.licence.as_deref()) {
            refused.push(format!("{what}: {why}"));
        }
        let registry = "registry+https://github.com/rust-lang/crates.io-index";
        if package.source.as_deref() != Some(registry) {
            refused.push(format!("{what}: it is not from crates.io"));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: Version,
}

fn locked() -> Vec<Locked> {
    let text = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    toml::from_str::<LockFile>(&text).unwrap().package
}

/// The extract: advisories about any version of golden's dependencies.
#[derive(Serialize, Deserialize, Default)]
struct Extract {
    /// The date of the newest advisory in the whole database.
    newest: String,
    advisory: Vec<Advisory>,
}

#[derive(Serialize, Deserialize)]
struct Advisory {
    id: String,
    package: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    informational: Option<String>,
    patched: Vec<VersionReq>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unaffected: Vec<VersionReq>,
}

impl Advisory {
    fn affects(&self, package: &Locked) -> bool {
        let fits = |requirements: &[VersionReq]| {
            requirements
                .iter()
                .any(|requirement| requirement.matches(&package.version))
        };
        self.package == package.name && !fits(&self.patched) && !fits(&self.unaffected)
    }
}

/// An advisory as the database writes it: TOML in the first code block of a Markdown file.
#[derive(Deserialize)]
struct Published {
    advisory: PublishedAdvisory,
    #[serde(default)]
    versions: PublishedVersions,
}

#[derive(Deserialize)]
struct PublishedAdvisory {
    id: String,
    package: String,
    date: String,
    withdrawn: Option<String>,
    informational: Option<String>,
}

#[derive(Deserialize, Default)]
struct PublishedVersions {
    #[serde(default)]
    patched: Vec<VersionReq>,
    #[serde(default)]
    unaffected: Vec<VersionReq>,
}

/// Extracts the advisories about golden's dependencies from a clone of the database.
fn extract(database: &Path) -> Extract {
    let names: BTreeSet<String> = locked().into_iter().map(|package| package.name).collect();
    let mut found = BTreeMap::new();
    let mut newest = String::new();
    for entry in walkdir::WalkDir::new(database.join("crates"))
        .into_iter()
        .flatten()
    {
        if entry
            .path()
            .extension()
            .is_none_or(|extension| extension != "md")
        {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let front = text
            .split_once("```toml")
            .unwrap()
            .1
            .split_once("```")
            .unwrap()
            .0;
        let Published { advisory, versions } = toml::from_str(front)
            .unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
        newest = newest.max(advisory.date);
        if advisory.withdrawn.is_none() && names.contains(&advisory.package) {
            let PublishedVersions {
                patched,
                unaffected,
            } = versions;
            let PublishedAdvisory {
                id,
                package,
                informational,
                ..
            } = advisory;
            found.insert(
                id.clone(),
                Advisory {
                    id,
                    package,
                    informational,
                    patched,
                    unaffected,
                },
            );
        }
    }
    Extract {
        newest,
        advisory: found.into_values().collect(),
    }
}

#[test]
fn no_known_advisory_affects_a_locked_version() {
    let file = root().join("tests/hermetic/dependencies/advisories.toml");
    if let Some(database) = std::env::var_os("GOLDEN_ADVISORIES") {
        let extract = toml::to_string(&extract(Path::new(&database))).unwrap();
        let head = "# Advisories of the RustSec database (CC0-1.0) about crates in Cargo.lock; see tests/hermetic/dependencies.rs.\n";
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("{head}{extract}")).unwrap();
    }
    let extract: Extract = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(!extract.advisory.is_empty());
    let locked = locked();
    let accepted = |id: &str| ACCEPTED.iter().any(|(accepted, _)| *accepted == id);
    let mut found = Vec::new();
    for advisory in extract
        .advisory
        .iter()
        .filter(|advisory| !accepted(&advisory.id))
    {
        for package in locked.iter().filter(|package| advisory.affects(package)) {
            let kind = advisory.informational.as_deref().unwrap_or("vulnerability");
            found.push(format!(
                "{} {}: {} ({kind})",
                package.name, package.version, advisory.id
            ));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Shows that [`no_known_advisory_affects_a_locked_version`] can fail.
#[test]
fn an_advisory_affects_versions_that_are_neither_patched_nor_unaffected() {
    let advisory: Advisory = toml::from_str(
        "id = \"X\"\npackage = \"tar\"\npatched = [\">=0.4.16\", \"^0.3.9\"]\nunaffected = [\"<0.2.0\"]\n",
    )
    .unwrap();
    for (name, version, expected) in [
        ("tar", "0.4.15", true),
        ("tar", "0.4.16", false),
        ("tar", "0.3.9", false),
        ("tar", "0.1.5", false),
        ("rat", "0.4.15", false),
    ] {
        let package = Locked {
            name: name.to_owned(),
            version: version.parse().unwrap(),
        };
        assert_eq!(advisory.affects(&package), expected, "{name} {version}");
    }
}
