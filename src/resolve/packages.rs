//! Checks the names of packages against the grammar of each family, so that no package manager
//! misreads one.

use super::image::Family;

/// The reason why an entry of `[packages]` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// No package can have this name.
    #[error("`{0}` is not the name of a package")]
    NotAName(String),
    /// A glob or a regular expression.
    #[error("`{0}` is a pattern, not the name of one package")]
    Pattern(String),
    /// apt-get removes a package whose name is followed by `-`; apk removes one whose name is
    /// preceded by `!`.
    #[error("`{written}` tells the package manager to remove `{name}`")]
    Removal {
        /// The entry as written.
        written: String,
        /// The name of the package.
        name: String,
    },
    /// apt-get installs a package whose name is followed by `+`.
    #[error("`{written}` tells apt-get to install `{name}`")]
    Installation {
        /// The entry as written.
        written: String,
        /// The name of the package.
        name: String,
    },
    /// A group of packages.
    #[error("`{0}` is a group of packages")]
    Group(String),
    /// A version in `remove`.
    #[error("`{0}` contains a version; `remove` accepts only names")]
    Version(String),
}

impl PackageError {
    /// Returns the entry that is accepted instead.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::NotAName(_) => return None,
            Self::Pattern(_) => {
                "write each package by its name; only a version may end in `*`, as in \"curl=7.88.*\""
                    .to_owned()
            }
            Self::Removal { name, .. } => format!("write remove = [\"{name}\"]"),
            Self::Installation { name, .. } => format!("write install = [\"{name}\"]"),
            Self::Group(_) => "write its packages by name, or install the group in a [[run]] step".to_owned(),
            Self::Version(written) => format!("write \"{}\"", name(written)),
        })
    }
}

/// The name in an entry, without its version, repository and architecture. On Red Hat, a version
/// that follows `-` remains part of the name, because only the package manager can distinguish
/// them.
#[must_use]
pub fn name(entry: &str) -> &str {
    let end = entry
        .find(['=', '<', '>', '~', '@', '/'])
        .filter(|at| *at > 0);
    end.map_or(entry, |at| &entry[..at])
}

/// True if two entries name the same package.
#[must_use]
pub fn are_same(a: &str, b: &str, family: Option<Family>) -> bool {
    let without_architecture = |entry| match (family, name(entry).split_once(':')) {
        (Some(Family::Debian) | None, Some((name, _))) => name,
        _ => name(entry),
    };
    let (a, b) = (without_architecture(a), without_architecture(b));
    let versioned = |long: &str, short: &str| {
        let version = long
            .strip_prefix(short)
            .and_then(|rest| rest.strip_prefix('-'));
        version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    };
    a == b || (family == Some(Family::Rhel) && (versioned(a, b) || versioned(b, a)))
}

/// Checks an entry of `install`. If the family is unknown, one family must accept the entry.
pub fn check_install(entry: &str, family: Option<Family>) -> Result<(), PackageError> {
    let families = match family {
        Some(family) => vec![family],
        None => vec![Family::Debian, Family::Alpine, Family::Rhel],
    };
    let mut first = None;
    for family in families {
        match check(entry, family) {
            Ok(()) => return Ok(()),
            Err(refusal) => first = first.or(Some(refusal)),
        }
    }
    first.map_or(Ok(()), Err)
}

/// Checks an entry of `remove`. In addition to the checks of `install`, it must not contain a
/// version.
pub fn check_remove(entry: &str, family: Option<Family>) -> Result<(), PackageError> {
    check_install(entry, family)?;
    if name(entry).len() < entry.len() {
        Err(PackageError::Version(entry.to_owned()))
    } else {
        Ok(())
    }
}

/// Checks an entry against the grammar of one family.
fn check(entry: &str, family: Family) -> Result<(), PackageError> {
    let written = entry.to_owned();
    let plain = name(entry);
    let rest = &entry[plain.len()..];
    if let Some(name) = entry.strip_prefix('!').filter(|name| !name.is_empty()) {
        return Err(PackageError::Removal {
            written,
            name: name.to_owned(),
        });
    }
    if let Some(name) = plain
        .strip_suffix('-')
        .filter(|name| !name.is_empty() && !name.starts_with('-'))
    {
        return Err(PackageError::Removal {
            written,
            name: name.to_owned(),
        });
    }
    if let Some(name) = plain
        .strip_suffix('+')
        .filter(|name| !name.is_empty() && !name.ends_with('+'))
    {
        return Err(PackageError::Installation {
            written,
            name: name.to_owned(),
        });
    }
    if entry.len() > 1 && entry.starts_with('@') {
        return Err(PackageError::Group(written));
    }
    let pattern = ['*', '?', '[', ']', '^', '$', '|', '\\', '{', '}'];
    let accepted = match family {
        Family::Debian | Family::Static => is_debian(plain) && is_version(rest, &["=", "/"]),
        Family::Alpine => {
            is_name(plain, "_.+-:", false)
                && is_version(rest, &["=~", "~=", ">=", "<=", "=", "~", ">", "<", "@"])
        }
        Family::Rhel => is_rhel(plain) && is_version(rest, &["="]),
    };
    if accepted {
        Ok(())
    } else if plain.contains(pattern)
        || plain.strip_suffix('.').is_some_and(|name| !name.is_empty())
    {
        Err(PackageError::Pattern(written))
    } else {
        Err(PackageError::NotAName(written))
    }
}

/// True if the text is a Debian package name (Debian Policy 5.6.1) with an optional architecture.
fn is_debian(text: &str) -> bool {
    let (name, architecture) = text
        .split_once(':')
        .map_or((text, None), |(name, rest)| (name, Some(rest)));
    let lower = !name.bytes().any(|b| b.is_ascii_uppercase());
    lower
        && name.len() > 1
        && is_name(name, "+.-", true)
        && architecture.is_none_or(|it| is_name(it, "-", true))
}

/// True if the text is a Red Hat package name, which may end in `-` and a version, or a capability
/// such as `perl(JSON)`.
fn is_rhel(text: &str) -> bool {
    let versioned = |(at, _): (usize, &str)| {
        let (name, version) = (&text[..at], &text[at + 1..]);
        version.starts_with(|c: char| c.is_ascii_digit())
            && is_name(name, "_+.-", false)
            && is_value(version)
    };
    let capability = text
        .split_once('(')
        .and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)));
    is_name(text, "_+.-", false)
        || text.match_indices('-').any(versioned)
        || capability.is_some_and(|(name, rest)| {
            is_name(name, "_+.-", false) && is_name(rest, "_+.-:", false)
        })
}

/// True if the text consists of letters, digits and the characters in `others`. It must start with
/// a letter or digit (or with `_` unless `strict`) and must not end in `.` or `-`.
fn is_name(text: &str, others: &str, strict: bool) -> bool {
    let start = |c: char| c.is_ascii_alphanumeric() || (!strict && c == '_');
    text.starts_with(start)
        && !text.ends_with(['.', '-'])
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// True if the text is empty, or an operator followed by a version.
fn is_version(text: &str, operators: &[&str]) -> bool {
    text.is_empty()
        || operators
            .iter()
            .any(|operator| text.strip_prefix(operator).is_some_and(is_value))
}

/// True if the text is a version, or the name of a suite or a repository. It may end in one `*`.
fn is_value(text: &str) -> bool {
    let text = text.strip_suffix('*').unwrap_or(text);
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._+~:-^@".contains(c))
}

/// An entry of `install` in the syntax of the family's package manager. `name=1.2.*` means the same
/// in each family.
#[must_use]
pub fn for_manager(entry: &str, family: Family) -> String {
    let versioned = entry.split_once('=').filter(|(name, version)| {
        !name.ends_with(['<', '>', '~']) && !version.starts_with('~') && !version.is_empty()
    });
    match (family, versioned) {
        (Family::Rhel, Some((name, version))) => format!("{name}-{version}"),
        (Family::Alpine, Some((name, version))) => match version.strip_suffix('*') {
            Some(prefix) => format!("{name}=~{}", prefix.trim_end_matches('.')),
            None => entry.to_owned(),
        },
        _ => entry.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [Family; 3] = [Family::Debian, Family::Alpine, Family::Rhel];

    #[test]
    fn names_and_versions_are_accepted() {
        for entry in [
            "curl",
            "g++",
            "libstdc++6",
            "python3.11",
            "curl=7.88.*",
            "curl=1.2*",
            "libc6",
            "7zip",
        ] {
            for family in FAMILIES {
                assert_eq!(
                    check_install(entry, Some(family)),
                    Ok(()),
                    "{entry} {family:?}"
                );
            }
            assert_eq!(check_install(entry, None), Ok(()), "{entry}");
        }
        for (family, entries) in [
            (
                Family::Debian,
                &[
                    "libc6:arm64",
                    "curl/bookworm-backports",
                    "curl=1:7.88.1-10+deb12u5",
                    "a2ps",
                ][..],
            ),
            (
                Family::Alpine,
                &[
                    "curl~8",
                    "curl=~8.1",
                    "curl>=8.1-r0",
                    "curl@edge",
                    "cmd:bash",
                    "so:libc.so.6",
                ],
            ),
            (
                Family::Rhel,
                &[
                    "NetworkManager",
                    "curl-7.76.1-26*",
                    "glibc.i686",
                    "perl(JSON::PP)",
                    "java-17-openjdk",
                ],
            ),
        ] {
            for entry in entries {
                assert_eq!(
                    check_install(entry, Some(family)),
                    Ok(()),
                    "{entry} {family:?}"
                );
            }
        }
    }

    #[test]
    fn entries_that_a_package_manager_misreads_are_refused() {
        let pattern = |text: &str| PackageError::Pattern(text.to_owned());
        let not_a_name = |text: &str| PackageError::NotAName(text.to_owned());
        for family in FAMILIES {
            for entry in [
                "^too", "too$", "tool.", "lib*", "lib?", "lib[ab]", "*", "a|b", "li*b-2",
            ] {
                assert_eq!(
                    check_install(entry, Some(family)),
                    Err(pattern(entry)),
                    "{entry} {family:?}"
                );
            }
            for entry in [
                "",
                "-y",
                "--allow-downgrades",
                "a b",
                "a\tb",
                "a=",
                "a;b",
                "$(x)é",
                "/usr/bin/x",
            ] {
                assert!(
                    check_install(entry, Some(family)).is_err(),
                    "{entry} {family:?}"
                );
            }
            for (entry, name) in [("foo-", "foo"), ("!foo", "foo"), ("lib-foo-=1", "lib-foo")] {
                let (written, name) = (entry.to_owned(), name.to_owned());
                assert_eq!(
                    check_install(entry, Some(family)),
                    Err(PackageError::Removal { written, name })
                );
            }
            let (written, name) = ("foo+".to_owned(), "foo".to_owned());
            assert_eq!(
                check_remove("foo+", Some(family)),
                Err(PackageError::Installation { written, name })
            );
            assert_eq!(
                check_install("@tools", Some(family)),
                Err(PackageError::Group("@tools".to_owned()))
            );
            assert_eq!(
                check_remove("curl=1", Some(family)),
                Err(PackageError::Version("curl=1".to_owned()))
            );
        }
        assert_eq!(
            check_install("Curl", Some(Family::Debian)),
            Err(not_a_name("Curl"))
        );
        assert_eq!(
            check_install("curl~8", Some(Family::Debian)),
            Err(not_a_name("curl~8"))
        );
        assert_eq!(check_install("curl~8", None), Ok(()));
    }

    #[test]
    fn entries_for_the_same_package_are_recognised() {
        for (a, b, family, same) in [
            ("curl=7.*", "curl", Some(Family::Debian), true),
            ("libc6:arm64", "libc6", None, true),
            ("curl@edge", "curl", Some(Family::Alpine), true),
            ("curl-7.76*", "curl", Some(Family::Rhel), true),
            ("gcc-12", "gcc", Some(Family::Debian), false),
            ("curl", "curl-dev", Some(Family::Rhel), false),
            ("cmd:bash", "cmd:sh", Some(Family::Alpine), false),
        ] {
            assert_eq!(are_same(a, b, family), same, "{a} {b}");
        }
    }

    #[test]
    fn a_version_is_written_as_the_manager_writes_it() {
        for (entry, family, expected) in [
            ("curl=7.88.*", Family::Debian, "curl=7.88.*"),
            ("curl=7.88.*", Family::Rhel, "curl-7.88.*"),
            ("curl=7.88.*", Family::Alpine, "curl=~7.88"),
            ("curl=8.1-r0", Family::Alpine, "curl=8.1-r0"),
            ("curl>=8", Family::Alpine, "curl>=8"),
            ("curl=~8", Family::Alpine, "curl=~8"),
            ("curl", Family::Rhel, "curl"),
        ] {
            assert_eq!(for_manager(entry, family), expected, "{entry}");
        }
    }
}
