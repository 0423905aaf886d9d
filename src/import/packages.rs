//! Recognises the installation of packages in a `RUN`.

use super::shell::ShellCommand;
use crate::resolve::image::Family;
use crate::resolve::packages::check_install;

/// The parts of a script that a spec can declare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recognised {
    /// The family of the package manager.
    pub(super) family: Option<Family>,
    /// The packages to install.
    pub(super) install: Vec<String>,
    /// True if it updates the system's trust store.
    pub(super) updates_trust: bool,
    /// The other commands, in order, with the shell options before them.
    pub(super) rest: Vec<String>,
}

/// The meaning of one command.
enum Meaning {
    /// It declares packages.
    Install(Family, Vec<String>),
    /// It prepares or cleans up an installation.
    Around(Family),
    /// It removes the caches that an image must not contain.
    Cleans(Family),
    /// It updates the trust store.
    Trust,
    /// It has no effect on files.
    Setting,
    /// It is something else.
    Other,
}

/// The declared parts of a script. `None` if the script has none, or if the spec would give another
/// result: the installation leaves caches or adds recommended packages, or a command before it
/// could matter.
pub(super) fn recognise(commands: &[ShellCommand]) -> Option<Recognised> {
    let mut found = Recognised::default();
    let mut settings = Vec::new();
    let mut is_clean = false;
    for command in commands {
        let meaning = command.words.as_deref().map_or(Meaning::Other, meaning);
        let family = match &meaning {
            Meaning::Install(family, _) | Meaning::Around(family) | Meaning::Cleans(family) => {
                Some(*family)
            }
            Meaning::Trust | Meaning::Setting | Meaning::Other => None,
        };
        if family.is_some() && found.family.is_some() && found.family != family {
            return None;
        }
        found.family = family.or(found.family);
        match meaning {
            // A command before it could change what is installed.
            Meaning::Install(..) | Meaning::Trust if !found.rest.is_empty() => return None,
            Meaning::Install(_, packages) => {
                is_clean |= command.text.contains("--no-cache");
                found.install.extend(packages);
            }
            Meaning::Around(_) => {}
            Meaning::Cleans(_) => is_clean = true,
            Meaning::Trust => found.updates_trust = true,
            Meaning::Setting => settings.push(command.text.clone()),
            Meaning::Other if uses_a_manager(&command.text) => return None,
            Meaning::Other => found.rest.push(command.text.clone()),
        }
    }
    let declares = !found.install.is_empty() || found.updates_trust;
    if !declares || (found.family.is_some() && (found.install.is_empty() || !is_clean)) {
        return None;
    }
    if !found.rest.is_empty() {
        settings.append(&mut found.rest);
        found.rest = settings;
    }
    Some(found)
}

/// True if a command uses a package manager, whose state the declared packages change.
fn uses_a_manager(text: &str) -> bool {
    const MANAGERS: [&str; 10] = [
        "apt",
        "apt-get",
        "apt-mark",
        "apt-cache",
        "dpkg",
        "apk",
        "dnf",
        "microdnf",
        "yum",
        "rpm",
    ];
    let ends = |c: char| c.is_whitespace() || "/;|&()'\"".contains(c);
    text.split(ends).any(|word| MANAGERS.contains(&word))
}

fn meaning(words: &[String]) -> Meaning {
    let is_assignment = |word: &&String| {
        word.split_once('=')
            .is_some_and(|(name, _)| matches!(name, "DEBIAN_FRONTEND" | "LC_ALL" | "LANG"))
    };
    let assignments = words.iter().take_while(is_assignment).count();
    let words: Vec<&str> = words[assignments..].iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["true" | ":"] | ["set", _, ..] => Meaning::Setting,
        ["export", rest @ ..] if rest.iter().all(|w| w.starts_with("DEBIAN_FRONTEND=")) => {
            Meaning::Setting
        }
        ["apt" | "apt-get", rest @ ..] => apt(rest),
        ["apk", rest @ ..] => apk(rest),
        ["dnf" | "microdnf" | "yum", rest @ ..] => dnf(rest),
        ["rm", options, paths @ ..] if options.starts_with('-') => removal(paths),
        ["update-ca-certificates" | "update-ca-trust"] | ["update-ca-trust", "extract"] => {
            Meaning::Trust
        }
        _ => Meaning::Other,
    }
}

/// The options and the other words of a command. `None` if an option is unknown.
fn split<'w>(words: &[&'w str], is_known: impl Fn(&str) -> bool) -> Option<Vec<&'w str>> {
    let mut others = Vec::new();
    for word in words {
        match word.strip_prefix('-') {
            Some(_) if is_known(word) => {}
            Some(_) => return None,
            None => others.push(*word),
        }
    }
    Some(others)
}

fn install(family: Family, packages: &[&str]) -> Meaning {
    let is_valid = |entry: &&str| check_install(entry, Some(family)).is_ok();
    // A path is a package file.
    let is_file = |entry: &&str| entry.starts_with(['/', '.']) || entry.contains("://");
    if packages.is_empty() || packages.iter().any(is_file) || !packages.iter().all(is_valid) {
        return Meaning::Other;
    }
    let packages = packages.iter().map(|entry| (*entry).to_owned());
    Meaning::Install(family, packages.collect())
}

fn apt(words: &[&str]) -> Meaning {
    let is_known = |option: &str| {
        let short = option.strip_prefix('-').unwrap_or_default();
        (!short.starts_with('-') && short.chars().all(|c| matches!(c, 'y' | 'q' | 'V')))
            || [
                "--yes",
                "--assume-yes",
                "--quiet",
                "--no-install-recommends",
                "--no-install-suggests",
            ]
            .contains(&option)
    };
    // `-o Acquire::Retries=3` changes only the download.
    let mut kept = Vec::new();
    let mut rest = words.iter().copied();
    while let Some(word) = rest.next() {
        match word {
            "-o" if rest
                .clone()
                .next()
                .is_some_and(|v| v.starts_with("Acquire::Retries")) =>
            {
                rest.next();
            }
            word if word.starts_with("-oAcquire::Retries") => {}
            word => kept.push(word),
        }
    }
    match split(&kept, is_known).as_deref() {
        Some(["update" | "clean" | "autoclean"]) => Meaning::Around(Family::Debian),
        Some(["install", packages @ ..]) if words.contains(&"--no-install-recommends") => {
            install(Family::Debian, packages)
        }
        _ => Meaning::Other,
    }
}

fn apk(words: &[&str]) -> Meaning {
    let is_known = |option: &str| {
        [
            "--no-cache",
            "--update",
            "-U",
            "--quiet",
            "-q",
            "--update-cache",
        ]
        .contains(&option)
    };
    match split(words, is_known).as_deref() {
        Some(["update"]) => Meaning::Around(Family::Alpine),
        Some(["add", packages @ ..]) => install(Family::Alpine, packages),
        _ => Meaning::Other,
    }
}

fn dnf(words: &[&str]) -> Meaning {
    let is_weak = |option: &str| {
        [
            "--setopt=install_weak_deps=False",
            "--setopt=install_weak_deps=0",
            "--setopt=install_weak_deps=false",
        ]
        .contains(&option)
    };
    let is_known = |option: &str| {
        is_weak(option) || ["-y", "--assumeyes", "-q", "--quiet", "--best"].contains(&option)
    };
    match split(words, is_known).as_deref() {
        Some(["clean", "all"]) => Meaning::Cleans(Family::Rhel),
        Some(["install", packages @ ..]) if words.iter().any(|word| is_weak(word)) => {
            install(Family::Rhel, packages)
        }
        _ => Meaning::Other,
    }
}

/// The meaning of `rm` of these paths.
fn removal(paths: &[&str]) -> Meaning {
    const LISTS: &[&str] = &["/var/lib/apt/lists/*"];
    const OF_APK: &[&str] = &["/var/cache/apk/*"];
    const OF_DNF: &[&str] = &[
        "/var/cache/dnf",
        "/var/cache/yum",
        "/var/cache/dnf/*",
        "/var/cache/yum/*",
    ];
    // The bases have no files there.
    const TEMPORARY: &[&str] = &["/tmp/*", "/var/tmp/*"];
    let families = [
        (Family::Debian, LISTS),
        (Family::Alpine, OF_APK),
        (Family::Rhel, OF_DNF),
    ];
    for (family, known) in families {
        let is_cleaned = paths.iter().any(|path| known.contains(path));
        if is_cleaned
            && paths
                .iter()
                .all(|path| known.contains(path) || TEMPORARY.contains(path))
        {
            return Meaning::Cleans(family);
        }
    }
    Meaning::Other
}

#[cfg(test)]
mod tests {
    use super::super::shell::commands;
    use super::*;

    #[test]
    fn installations_are_recognised_if_the_spec_gives_the_same_result() {
        let lists = "rm -rf /var/lib/apt/lists/*";
        for (script, expected) in [
            (format!("apt-get update && apt-get install -y --no-install-recommends aa bb=1.* && {lists}"), Some("aa bb=1.*")),
            (format!("set -eux; apt-get update; DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends aa; {lists}"), Some("aa")),
            (format!("apt update && apt install -y --no-install-recommends aa && apt-get clean && {lists} /tmp/*"), Some("aa")),
            (format!("apt-get update && apt-get install -y --no-install-recommends ca-certificates && {lists} && update-ca-certificates"), Some("ca-certificates +trust")),
            (format!("apt-get update && apt-get install -y --no-install-recommends aa && useradd x && {lists}"), Some("aa / useradd x")),
            ("apk add --no-cache aa 'bb>1'".to_owned(), Some("aa bb>1")),
            ("apk update && apk add aa && rm -rf /var/cache/apk/*".to_owned(), Some("aa")),
            ("dnf install -y --setopt=install_weak_deps=False aa && dnf clean all".to_owned(), Some("aa")),
            ("microdnf install -y --setopt=install_weak_deps=0 aa && microdnf clean all && rm -rf /var/cache/yum".to_owned(), Some("aa")),
            ("update-ca-certificates".to_owned(), Some(" +trust")),
            ("update-ca-trust extract".to_owned(), Some(" +trust")),
            // Recommended packages, caches that remain, and other results.
            (format!("apt-get update && apt-get install -y aa && {lists}"), None),
            ("apt-get update && apt-get install -y --no-install-recommends a".to_owned(), None),
            (format!("apt-get update && apt-get install -y --no-install-recommends $A && {lists}"), None),
            (format!("apt-get update && apt-get install -y --no-install-recommends ./a.deb && {lists}"), None),
            (format!("echo x && apt-get update && apt-get install -y --no-install-recommends aa && {lists}"), None),
            (format!("apt-get update && apt-get install -y --no-install-recommends aa && dpkg -i b && {lists}"), None),
            (format!("apt-get update && apt-get upgrade -y && {lists}"), None),
            ("apk add aa".to_owned(), None),
            ("apk add --no-cache --virtual .x a".to_owned(), None),
            ("yum install -y aa && yum clean all".to_owned(), None),
            ("make".to_owned(), None),
        ] {
            let found = commands(&script).and_then(|commands| recognise(&commands));
            let shown = found.map(|found| {
                let trust = if found.updates_trust { " +trust" } else { "" };
                let rest = if found.rest.is_empty() { String::new() } else { format!(" / {}", found.rest.join(" && ")) };
                format!("{}{trust}{rest}", found.install.join(" "))
            });
            assert_eq!(shown.as_deref(), expected, "{script}");
        }
    }
}
