//! Traits of a base that its file tree shows: the family of its distribution, a shell, and Java key
//! stores.

use std::collections::BTreeSet;

use super::AssembleStop;
use super::overlay::Overlay;
use super::tree::{FileTree, TreeNode, Unread};
use crate::resolve::image::Family;

/// The paths of each family's package manager.
const MANAGERS: &[(Family, &[&str])] = &[
    (Family::Debian, &["usr/bin/apt-get"]),
    (Family::Alpine, &["sbin/apk", "usr/bin/apk", "usr/sbin/apk"]),
    (
        Family::Rhel,
        &[
            "usr/bin/dnf",
            "usr/bin/dnf5",
            "usr/bin/microdnf",
            "usr/bin/yum",
        ],
    ),
];
/// The paths of the package managers of other distributions.
const OTHER_MANAGERS: &[&str] = &[
    "usr/bin/zypper",
    "usr/bin/pacman",
    "usr/bin/tdnf",
    "usr/bin/emerge",
    "usr/bin/xbps-install",
    "usr/bin/swupd",
    "bin/opkg",
    "usr/sbin/slackpkg",
];
/// The paths of the trust tool of Debian and Alpine.
const CERTIFICATES_TOOL: &[&str] = &[
    "usr/sbin/update-ca-certificates",
    "usr/bin/update-ca-certificates",
    "sbin/update-ca-certificates",
];
/// The paths of the trust tool of Red Hat.
const TRUST_TOOL: &[&str] = &["usr/bin/update-ca-trust", "usr/sbin/update-ca-trust"];
/// Distributions, by the `ID` or `ID_LIKE` in their os-release.
const DISTRIBUTIONS: &[(Family, &[&str])] = &[
    (Family::Debian, &["debian", "ubuntu"]),
    (
        Family::Alpine,
        &["alpine", "wolfi", "chainguard", "postmarketos"],
    ),
    (
        Family::Rhel,
        &[
            "rhel",
            "fedora",
            "centos",
            "rocky",
            "almalinux",
            "ol",
            "amzn",
        ],
    ),
];
/// The paths of a Java runtime's trusted certificates, below its own directory.
const KEY_STORES: &[&str] = &["/lib/security/cacerts", "/lib/security/jssecacerts"];

/// The traits of a base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// The family. None if the base shows none that golden knows.
    pub family: Option<Family>,
    /// The `ID` of its os-release.
    pub distribution: Option<String>,
    /// True if steps can run, because `/bin/sh` exists.
    pub shell: bool,
    /// The key stores of Java runtimes that are regular files, sorted. Links to the distribution's
    /// key store are omitted, because its trust tool updates that one.
    pub key_stores: Vec<String>,
}

/// The evidence for the family.
#[derive(Debug, Default)]
struct FamilyEvidence {
    /// The family that the os-release names.
    named: Option<Family>,
    managers: BTreeSet<Family>,
    other_manager: bool,
    certificates_tool: bool,
    trust_tool: bool,
}

/// Detects the traits of a base. Requires all layers, because each of them may change the result.
pub fn traits(tree: FileTree<'_>) -> Result<Traits, AssembleStop> {
    if !tree.complete {
        return Err(Unread::Layers.into());
    }
    let overlay = Overlay::new(tree);
    let any = |paths: &[&str]| -> Result<bool, AssembleStop> {
        for path in paths {
            if overlay.is_file(path)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let (id, like) = os_release(&overlay)?;
    let mut evidence = FamilyEvidence {
        named: id.iter().chain(&like).find_map(|name| family_of(name)),
        other_manager: any(OTHER_MANAGERS)?,
        certificates_tool: any(CERTIFICATES_TOOL)?,
        trust_tool: any(TRUST_TOOL)?,
        ..FamilyEvidence::default()
    };
    for (family, programs) in MANAGERS {
        if any(programs)? {
            evidence.managers.insert(*family);
        }
    }
    Ok(Traits {
        family: evidence.family(),
        distribution: id,
        shell: any(&["bin/sh"])?,
        key_stores: key_stores(tree, &overlay)?,
    })
}

impl FamilyEvidence {
    /// The family. A base with neither a package manager nor a trust tool is static, whatever its
    /// os-release says: a distroless Debian image has no tool that reads Debian's directories.
    fn family(&self) -> Option<Family> {
        let has_tool = |family| match family {
            Family::Debian | Family::Alpine => self.certificates_tool,
            Family::Rhel => self.trust_tool,
            Family::Static => false,
        };
        let named = self
            .named
            .filter(|family| self.managers.contains(family) || has_tool(*family));
        let mut managers = self.managers.iter();
        match (named, managers.next(), managers.next()) {
            (Some(family), ..) => Some(family),
            _ if self.other_manager => None,
            (None, Some(only), None) => Some(*only),
            (None, None, _) if self.trust_tool => Some(Family::Rhel),
            (None, None, _) if !self.certificates_tool => Some(Family::Static),
            _ => None,
        }
    }
}

/// `ID` and `ID_LIKE` of os-release(5).
fn os_release(overlay: &Overlay<'_>) -> Result<(Option<String>, Vec<String>), AssembleStop> {
    let text = match overlay.read("etc/os-release")? {
        Some(text) => text,
        None => overlay
            .read("usr/lib/os-release")?
            .unwrap_or_else(|| Vec::new().into()),
    };
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches(['"', '\'', ' ']).to_ascii_lowercase())
    };
    let id = value("ID").filter(|id| !id.is_empty());
    Ok((
        id,
        value("ID_LIKE")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    ))
}

fn family_of(distribution: &str) -> Option<Family> {
    DISTRIBUTIONS
        .iter()
        .find(|(_, names)| names.contains(&distribution))
        .map(|(family, _)| *family)
}

/// The key stores that are regular files.
fn key_stores(tree: FileTree<'_>, overlay: &Overlay<'_>) -> Result<Vec<String>, AssembleStop> {
    let named = tree.layers.iter().flat_map(|layer| layer.entries.keys());
    let paths: BTreeSet<&String> = named
        .filter(|path| KEY_STORES.iter().any(|end| path.ends_with(end)))
        .collect();
    let mut found = Vec::new();
    for path in paths {
        if matches!(overlay.entry(path)?, Some(TreeNode::File { .. })) {
            found.push(format!("/{path}"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tree::{Attributes, LayerIndex};
    use super::*;

    /// A base with one layer: `PATH`, `PATH=content` or `PATH -> target`.
    fn base(lines: &[&str]) -> Traits {
        let mut index = LayerIndex::default();
        for line in lines {
            let (path, node) = match (line.split_once(" -> "), line.split_once('=')) {
                (Some((path, target)), _) => (path, TreeNode::Symlink(target.to_owned())),
                (None, file) => {
                    let (path, content) = file.unwrap_or((line, ""));
                    let content = Some(content.as_bytes().to_vec().into());
                    (
                        path,
                        TreeNode::File {
                            attributes: Attributes::DIRECTORY,
                            content,
                        },
                    )
                }
            };
            index.entries.insert(path.to_owned(), node);
        }
        traits(FileTree {
            layers: &[Arc::new(index)],
            complete: true,
        })
        .unwrap()
    }

    #[test]
    fn the_family_is_detected_in_the_base() {
        let (apt, tool) = ("usr/bin/apt-get", "usr/sbin/update-ca-certificates");
        let debian = "etc/os-release=PRETTY_NAME=\"Debian\"\nID=debian\n";
        let ubi = "etc/os-release=ID=\"rhel\"\nID_LIKE=\"fedora\"\n";
        for (lines, family) in [
            (&[debian, apt][..], Some(Family::Debian)),
            (&[debian, tool], Some(Family::Debian)),
            (
                &["etc/os-release=ID=pop\nID_LIKE=\"ubuntu debian\"\n", apt],
                Some(Family::Debian),
            ),
            (
                &[
                    "etc/os-release -> ../usr/lib/os-release",
                    "usr/lib/os-release=ID=ubuntu\n",
                    apt,
                ],
                Some(Family::Debian),
            ),
            (
                &["usr/lib/os-release=ID=ubuntu\n", apt],
                Some(Family::Debian),
            ),
            (
                &["etc/os-release=ID='alpine'\n", "sbin/apk"],
                Some(Family::Alpine),
            ),
            (
                &["etc/os-release=ID=wolfi\n", "usr/bin/apk"],
                Some(Family::Alpine),
            ),
            (&[ubi, "usr/bin/microdnf"], Some(Family::Rhel)),
            (&[ubi, "usr/bin/update-ca-trust"], Some(Family::Rhel)),
            (
                &[
                    "etc/os-release=ID=\"rocky\"\n",
                    "usr/bin/dnf-3",
                    "usr/bin/dnf -> dnf-3",
                ],
                Some(Family::Rhel),
            ),
            // Distroless, chiselled and micro images have an os-release but no tool.
            (
                &[debian, "etc/ssl/certs/ca-certificates.crt"],
                Some(Family::Static),
            ),
            (&[ubi, "bin/sh"], Some(Family::Static)),
            (&["app"], Some(Family::Static)),
            // Without an os-release, the package manager shows the family.
            (&[apt], Some(Family::Debian)),
            (
                &["etc/os-release=ID=corp\n", "sbin/apk"],
                Some(Family::Alpine),
            ),
            (&[debian, "sbin/apk"], Some(Family::Alpine)),
            // Distributions that golden does not know.
            (
                &[
                    "etc/os-release=ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n",
                    "usr/bin/zypper",
                    tool,
                ],
                None,
            ),
            (&["etc/os-release=ID=photon\n", "usr/bin/tdnf"], None),
            (
                &[
                    "etc/os-release=ID=arch\n",
                    "usr/bin/pacman",
                    "usr/bin/update-ca-trust",
                ],
                None,
            ),
            (&[tool], None),
        ] {
            assert_eq!(base(lines).family, family, "{lines:?}");
        }
        assert_eq!(
            base(&["etc/os-release=ID=photon\n"])
                .distribution
                .as_deref(),
            Some("photon")
        );
    }

    #[test]
    fn a_shell_and_key_stores_are_detected() {
        let own = "opt/java/openjdk/lib/security/cacerts";
        let found = base(&[
            own,
            "usr/lib/jvm/java-17/lib/security/cacerts -> /etc/ssl/certs/java/cacerts",
            "etc/ssl/certs/java/cacerts",
            "usr/lib/jvm/java-8/jre/lib/security/jssecacerts",
            "bin -> usr/bin",
            "usr/bin/sh -> busybox",
            "usr/bin/busybox",
        ]);
        let stores = [
            format!("/{own}"),
            "/usr/lib/jvm/java-8/jre/lib/security/jssecacerts".to_owned(),
        ];
        assert_eq!((found.shell, found.key_stores), (true, stores.to_vec()));
        assert!(!base(&["app"]).shell);
    }

    #[test]
    fn traits_require_all_layers() {
        let stopped = traits(FileTree {
            layers: &[],
            complete: false,
        });
        assert!(matches!(stopped, Err(AssembleStop::Unread(Unread::Layers))));
    }
}
