//! Evaluates the tests of an image: from its files and its config, or from the result of a command
//! that an engine ran.
//!
//! [`needed_contents`] lists the files whose content the tests need. The caller reads them, and
//! [`evaluate`] compares each assertion with the image.

mod certificate;
mod container;
mod file;
mod paths;
mod run;
mod structure;
#[cfg(test)]
mod tests;
mod value;
mod verdict;

use std::collections::BTreeMap;

use crate::config_files::byte_size::ByteSize;
use crate::config_files::test_table::SizeKind;
use crate::inventory::{ImageFiles, Inventory, Package};
use crate::oci::ImageConfig;
use crate::reference::Digest;
use crate::resolve::image::{Certificate, ResolvedTest};
use crate::resolve::image_test::{PackageExpectation, TestSubject};

use value::ValueOf;

pub use container::{Attempt, Captured, CommandPlan, ContainerEnd, ContainerExit};
pub use run::{judge, need_one_run, plan};
pub use verdict::{CommandOutput, Mismatch, TestVerdict, TestedPlatform};

/// The largest file whose content is read, in bytes.
pub const LARGEST_CONTENT: u64 = 64 << 20;

/// The facts about an image that tests are compared with.
#[derive(Debug, Clone, Copy)]
pub struct ImageFacts<'a> {
    /// The image config.
    pub config: &'a ImageConfig,
    /// The files of all layers.
    pub files: &'a ImageFiles,
    /// The packages.
    pub inventory: &'a Inventory,
    /// The contents of the files that the tests need, by their digest.
    pub contents: &'a BTreeMap<Digest, Vec<u8>>,
    /// The size of the compressed layers, in bytes.
    pub packed: u64,
}

/// True if a test needs the files of the image, and not only its config.
#[must_use]
pub fn needs_files(tests: &[ResolvedTest]) -> bool {
    tests.iter().any(|test| match &test.subject {
        TestSubject::File { .. }
        | TestSubject::Package { .. }
        | TestSubject::Certificate { .. } => true,
        TestSubject::Size { kind, .. } => *kind == SizeKind::Unpacked,
        TestSubject::Structure(test) => structure::needs_files(test),
        TestSubject::Env { .. }
        | TestSubject::Label { .. }
        | TestSubject::Config { .. }
        | TestSubject::Port { .. }
        | TestSubject::Volume { .. }
        | TestSubject::Run(_) => false,
    })
}

/// The digests and the sizes of the files whose content the tests need.
#[must_use]
pub fn needed_contents(tests: &[ResolvedTest], files: &ImageFiles) -> BTreeMap<Digest, u64> {
    let mut needed = BTreeMap::new();
    for test in tests {
        match &test.subject {
            TestSubject::File { path, expected } => {
                needed.extend(file::needed(files, path, expected));
            }
            TestSubject::Certificate { .. } => needed.extend(certificate::needed(files)),
            TestSubject::Structure(test) => needed.extend(structure::needed(files, test)),
            TestSubject::Package { .. }
            | TestSubject::Env { .. }
            | TestSubject::Label { .. }
            | TestSubject::Config { .. }
            | TestSubject::Port { .. }
            | TestSubject::Volume { .. }
            | TestSubject::Size { .. }
            | TestSubject::Run(_) => {}
        }
    }
    needed.retain(|_, size| *size <= LARGEST_CONTENT);
    needed
}

/// Compares the image with the assertions of a test.
#[must_use]
pub fn evaluate(test: &ResolvedTest, facts: &ImageFacts<'_>) -> TestVerdict {
    TestVerdict::new(test, mismatches(&test.subject, facts))
}

/// The assertions that do not hold.
fn mismatches(subject: &TestSubject<Vec<Certificate>>, facts: &ImageFacts<'_>) -> Vec<Mismatch> {
    match subject {
        TestSubject::File { path, expected } => file::mismatches(path, expected, facts),
        TestSubject::Package { name, expected } => package(name, expected, facts.inventory),
        TestSubject::Env { name, expected } => {
            let found = value::variable(facts.config, name);
            value::mismatches(ValueOf::Variable(name), found.as_deref(), expected)
        }
        TestSubject::Label { key, expected } => {
            value::mismatches(ValueOf::Label, facts.config.label(key), expected)
        }
        TestSubject::Config { key, equals } => value::config(facts.config, *key, equals),
        TestSubject::Port { port, exists } => value::ports(facts.config, *port, *exists),
        TestSubject::Volume { path, exists } => value::volume(facts.config, path, *exists),
        TestSubject::Certificate { certificates, .. } => {
            certificate::mismatches(certificates, facts)
        }
        TestSubject::Size { kind, max } => size(*kind, *max, facts),
        TestSubject::Run(_) => vec![container::without_engine()],
        TestSubject::Structure(test) => structure::mismatches(test, facts),
    }
}

fn size(kind: SizeKind, max: ByteSize, facts: &ImageFacts<'_>) -> Vec<Mismatch> {
    let found = match kind {
        SizeKind::Packed => facts.packed,
        SizeKind::Unpacked => facts.files.unpacked(),
    };
    if found <= max.0 {
        return Vec::new();
    }
    let expected = format!("at most {}", max.exact());
    vec![Mismatch::new("max", expected, ByteSize(found).exact())]
}

fn package(name: &str, expected: &PackageExpectation, inventory: &Inventory) -> Vec<Mismatch> {
    let named = || {
        inventory
            .packages
            .iter()
            .filter(|package| package.kind.is_meant(&package.name, name))
    };
    // A package of the distribution hides a package of a language with the same name.
    let of_distribution: Vec<&Package> = named()
        .filter(|package| package.kind.is_of_distribution())
        .collect();
    let installed = match of_distribution.as_slice() {
        [] => named().collect(),
        _ => of_distribution,
    };
    let shown = |package: &&Package| format!("{} ({})", package.full_version(), package.kind);
    let unknown = || {
        let gaps = inventory.gaps.iter();
        let gaps: Vec<String> = gaps
            .map(|gap| format!("{}: {}", gap.path, gap.problem))
            .collect();
        match gaps.as_slice() {
            [] => "not installed".to_owned(),
            gaps => format!(
                "not found, but packages may be missing: {}",
                gaps.join("; ")
            ),
        }
    };
    match (expected, installed.as_slice()) {
        (PackageExpectation::Absent, []) if inventory.gaps.is_empty() => Vec::new(),
        (PackageExpectation::Absent, []) => {
            vec![Mismatch::new("exists", "not installed", unknown())]
        }
        (PackageExpectation::Absent, installed) => {
            let versions: Vec<String> = installed.iter().map(shown).collect();
            vec![Mismatch::new(
                "exists",
                "not installed",
                versions.join(", "),
            )]
        }
        (PackageExpectation::Installed, []) => {
            vec![Mismatch::new("exists", "installed", unknown())]
        }
        (PackageExpectation::Installed, _) => Vec::new(),
        (PackageExpectation::Version(requirement), []) => {
            vec![Mismatch::new("version", requirement.to_string(), unknown())]
        }
        (PackageExpectation::Version(requirement), installed) => {
            let wrong = installed.iter().filter(|one| !one.fulfils(requirement));
            let wrong =
                wrong.map(|one| Mismatch::new("version", requirement.to_string(), shown(one)));
            wrong.collect()
        }
    }
}
