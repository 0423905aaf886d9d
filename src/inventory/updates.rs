//! Updates of installed packages, as the package manager of an image reports them.

use serde::Serialize;

use super::merged::Inventory;
use super::package::{Package, PackageKind};

/// A newer version of an installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PackageUpdate {
    /// The name of the package.
    pub name: String,
    /// The package manager.
    #[serde(rename = "type")]
    pub kind: PackageKind,
    /// The installed version.
    pub from: String,
    /// The available version, from the index of a repository.
    pub to: String,
    /// True if the index marks it as a security update. Alpine's indexes have no such mark.
    pub security: bool,
}

/// The line of the output before the updates.
const UPDATES: &str = "golden: updates";
/// The line before the security updates of dnf.
const SECURITY: &str = "golden: security";
/// The last line of a complete output.
const END: &str = "golden: end";

/// The script that reads the indexes of a package manager and prints the updates. Messages of the
/// package manager go to stderr. `None` if `kind` is not the package manager of a distribution.
#[must_use]
pub fn script(kind: PackageKind) -> Option<String> {
    let (refresh, list, security) = match kind {
        PackageKind::Deb => (
            "apt-get -o APT::Update::Error-Mode=any update",
            "apt-get -s dist-upgrade",
            ":",
        ),
        PackageKind::Apk => ("apk update", "apk version -l '<'", ":"),
        PackageKind::Rpm => (
            "manager=$(command -v dnf || command -v yum)",
            "{ \"$manager\" -q check-update || [ $? = 100 ]; }",
            "\"$manager\" -q updateinfo list security || :",
        ),
        _ => return None,
    };
    Some(format!(
        "set -e\nexport LC_ALL=C DEBIAN_FRONTEND=noninteractive\n{refresh} >&2\necho '{UPDATES}'\n{list}\n\
         echo '{SECURITY}'\n{security}\necho '{END}'\n"
    ))
}

/// The kinds of packages in an image, each once.
#[must_use]
pub fn managers(inventory: &Inventory) -> Vec<PackageKind> {
    let mut kinds: Vec<PackageKind> = inventory.packages.iter().map(|one| one.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Parses the output of [`script`]. `None` if it is incomplete.
#[must_use]
pub fn parse(kind: PackageKind, output: &str, inventory: &Inventory) -> Option<Vec<PackageUpdate>> {
    let lines: Vec<&str> = output.lines().map(str::trim_end).collect();
    let position = |marker: &str| lines.iter().position(|line| *line == marker);
    let (updates, security) = (position(UPDATES)?, position(SECURITY)?);
    let end = position(END)?;
    let updates = lines.get(updates + 1..security)?;
    let security = lines.get(security + 1..end)?;
    let mut found: Vec<PackageUpdate> = match kind {
        PackageKind::Deb => updates.iter().filter_map(|line| apt(line)).collect(),
        PackageKind::Apk => {
            let apks = updates.iter().filter_map(|line| apk(line, inventory));
            apks.collect()
        }
        PackageKind::Rpm => {
            let until = updates
                .iter()
                .take_while(|line| !line.starts_with("Obsoleting"));
            until
                .filter_map(|line| dnf(line, security, inventory))
                .collect()
        }
        _ => Vec::new(),
    };
    found.sort();
    found.dedup();
    Some(found)
}

/// Parses `Inst NAME [OLD] (NEW ORIGIN, … [ARCH]) […]`. `None` for a line without an old version,
/// which is a new package that an update needs.
fn apt(line: &str) -> Option<PackageUpdate> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    let (from, rest) = rest.strip_prefix('[')?.split_once("] (")?;
    let (to, origin) = rest.split_once(' ')?;
    let origin = origin.split_once(')').map_or(origin, |(origin, _)| origin);
    Some(PackageUpdate {
        name: name.to_owned(),
        kind: PackageKind::Deb,
        from: from.to_owned(),
        to: to.to_owned(),
        security: origin.to_ascii_lowercase().contains("security"),
    })
}

/// Parses `NAME-OLD < NEW`.
fn apk(line: &str, inventory: &Inventory) -> Option<PackageUpdate> {
    let (installed, to) = line.split_once('<')?;
    let installed = installed.trim();
    let mut packages = inventory.packages.iter();
    let package = packages.find(|package| {
        let version = installed.strip_prefix(package.name.as_str());
        let version = version.and_then(|rest| rest.strip_prefix('-'));
        package.kind == PackageKind::Apk && version == Some(package.version.as_str())
    })?;
    Some(PackageUpdate {
        name: package.name.clone(),
        kind: PackageKind::Apk,
        from: package.version.clone(),
        to: to.split_whitespace().next()?.to_owned(),
        security: false,
    })
}

/// Parses `NAME.ARCH NEW REPOSITORY`.
fn dnf(line: &str, security: &[&str], inventory: &Inventory) -> Option<PackageUpdate> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [package, to, _] = words[..] else {
        return None;
    };
    let (name, architecture) = package.rsplit_once('.')?;
    let installed = |one: &&Package| {
        let same = one.architecture.as_deref() == Some(architecture);
        one.kind == PackageKind::Rpm && one.name == name && same
    };
    // Several versions of a kernel can be installed. The list is sorted; the last one is the
    // newest.
    let from = inventory.packages.iter().rfind(installed)?;
    let without_epoch = to.split_once(':').map_or(to, |(_, version)| version);
    let file = format!("{name}-{without_epoch}.{architecture}");
    let is_security = security
        .iter()
        .any(|line| line.split_whitespace().next_back() == Some(file.as_str()));
    Some(PackageUpdate {
        name: name.to_owned(),
        kind: PackageKind::Rpm,
        from: from.full_version(),
        to: to.to_owned(),
        security: is_security,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(kind: PackageKind, packages: &[(&str, &str)]) -> Inventory {
        let package = |(name, version): &(&str, &str)| Package {
            architecture: Some("x86_64".to_owned()),
            ..Package::new(kind, (*name).to_owned(), (*version).to_owned())
        };
        Inventory {
            packages: packages.iter().map(package).collect(),
            ..Inventory::default()
        }
    }

    fn parsed(kind: PackageKind, updates: &str, security: &str, known: &Inventory) -> Vec<String> {
        let output = format!("{UPDATES}\n{updates}\n{SECURITY}\n{security}\n{END}\n");
        let found = parse(kind, &output, known).unwrap().into_iter();
        let text = |one: PackageUpdate| {
            let mark = if one.security { " (security)" } else { "" };
            format!("{} {} → {}{mark}", one.name, one.from, one.to)
        };
        found.map(text).collect()
    }

    #[test]
    fn the_simulation_of_apt_lists_updates_and_their_origin() {
        let output = "Reading package lists...\nThe following packages will be upgraded:\n  a libssl3\n\
            Inst libssl3 [3.0.11-1~deb12u2] (3.0.15-1~deb12u1 Debian-Security:12/stable-security [amd64]) []\n\
            Inst a [1.0] (1.1 Debian:12.8/stable [all])\n\
            Inst new (1.0 Debian:12.8/stable [all])\nConf a (1.1 Debian:12.8/stable [all])";
        assert_eq!(
            parsed(PackageKind::Deb, output, "", &Inventory::default()),
            [
                "a 1.0 → 1.1",
                "libssl3 3.0.11-1~deb12u2 → 3.0.15-1~deb12u1 (security)"
            ]
        );
    }

    #[test]
    fn the_versions_of_apk_are_matched_with_the_installed_packages() {
        let known = inventory(
            PackageKind::Apk,
            &[("musl", "1.2.4-r0"), ("musl-utils", "1.2.4-r0")],
        );
        let output = "Installed:                                Available:\n\
            musl-1.2.4-r0                           < 1.2.4-r2 \nmusl-utils-1.2.4-r0 < 1.2.4-r2 @edge\n\
            unknown-1-r0 < 2-r0";
        assert_eq!(
            parsed(PackageKind::Apk, output, "", &known),
            ["musl 1.2.4-r0 → 1.2.4-r2", "musl-utils 1.2.4-r0 → 1.2.4-r2"]
        );
    }

    #[test]
    fn the_updates_of_dnf_are_marked_by_its_advisories() {
        let known = inventory(
            PackageKind::Rpm,
            &[("bash", "5.1.8-6.el9"), ("openssl", "3.0.7-24.el9")],
        );
        let output = "\nbash.x86_64      5.1.8-9.el9        baseos\nopenssl.x86_64   1:3.0.7-28.el9     baseos\n\
            Obsoleting Packages\nother.x86_64 1 baseos\n    bash.x86_64 2 @System";
        let security = "RHSA-2024:1 Important/Sec. openssl-3.0.7-28.el9.x86_64";
        assert_eq!(
            parsed(PackageKind::Rpm, output, security, &known),
            [
                "bash 5.1.8-6.el9 → 5.1.8-9.el9",
                "openssl 3.0.7-24.el9 → 1:3.0.7-28.el9 (security)"
            ]
        );
    }

    #[test]
    fn an_incomplete_output_is_not_parsed() {
        let inventory = Inventory::default();
        for output in ["", "golden: updates\nInst a [1] (2 x)\n", "golden: end\n"] {
            assert_eq!(parse(PackageKind::Deb, output, &inventory), None);
        }
    }
}
