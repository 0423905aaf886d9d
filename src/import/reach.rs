//! Decides whether a step may read or change a file. A file that no earlier step reaches can be
//! placed before all steps.

use std::mem;
use std::path::Path;

use super::context::joined;
use super::shell::ShellCommand;

/// Commands that read and change only the paths in their words.
const LOCAL: [&str; 9] = [
    "cp", "install", "ln", "mkdir", "mv", "rm", "rmdir", "touch", "sed",
];
/// Commands of this kind whose first word is a mode or an owner.
const ATTRIBUTES: [&str; 3] = ["chgrp", "chmod", "chown"];
/// Commands that create users; they may create a directory in /home.
const ACCOUNTS: [&str; 5] = ["addgroup", "adduser", "groupadd", "useradd", "usermod"];
/// Commands that change no file.
const HARMLESS: [&str; 6] = [":", "echo", "export", "printf", "set", "true"];
/// Package managers of the system: they write to the directories of the system, but not to
/// `/usr/local` (Filesystem Hierarchy Standard 3.0, section 4.9).
const SYSTEM: [&str; 7] = ["apk", "apt", "apt-get", "dnf", "microdnf", "tdnf", "yum"];
/// Package managers of languages: they also write to `/usr/local` and to the working directory.
const LANGUAGES: [&str; 7] = ["bundle", "gem", "npm", "pip", "pip3", "pnpm", "yarn"];
/// The directories of the system.
const DIRECTORIES: [&str; 14] = [
    "/bin", "/boot", "/etc", "/home", "/lib", "/lib64", "/opt", "/root", "/run", "/sbin", "/srv",
    "/tmp", "/usr", "/var",
];

/// True if commands that run in `workdir` may read or change `path`, or a directory above it. The
/// working directory is `None` if it is that of the base.
pub(super) fn may_reach(commands: &[ShellCommand], workdir: Option<&str>, path: &str) -> bool {
    let mut workdir = workdir.map(str::to_owned);
    // The directory of `cd -`.
    let mut previous = None;
    commands.iter().any(|command| {
        let Some((name, words)) = command.words.as_ref().and_then(|words| words.split_first())
        else {
            return true;
        };
        let name = name.as_str();
        if name == "cd" {
            let next = match words {
                [word] if word == "-" => previous.take(),
                [word] if word.starts_with(['~', '-']) => None,
                [word] if workdir.is_some() || word.starts_with('/') => {
                    Some(resolved(workdir.as_deref(), word))
                }
                [_] => None,
                _ => return true,
            };
            previous = mem::replace(&mut workdir, next);
            return false;
        }
        let is_touched = |word: &str| touches(&resolved(workdir.as_deref(), word), path);
        let mut named = operands(name, words);
        if HARMLESS.contains(&name) {
            false
        } else if LOCAL.contains(&name) || ATTRIBUTES.contains(&name) {
            named.any(is_touched)
        } else if ACCOUNTS.contains(&name) {
            touches("/home", path) || named.any(is_touched)
        } else if SYSTEM.contains(&name) {
            is_of_system(path) && !touches("/usr/local", path)
        } else if LANGUAGES.contains(&name) {
            is_of_system(path)
                || workdir
                    .as_deref()
                    .is_some_and(|workdir| workdir != "/" && touches(workdir, path))
                || named
                    // Without a slash, it is the name of a package in most cases.
                    .filter(|word| workdir.is_some() || word.contains('/'))
                    .any(is_touched)
        } else {
            true
        }
    })
}

/// The words of a command that may be paths.
fn operands<'w>(name: &str, words: &'w [String]) -> impl Iterator<Item = &'w str> {
    let values = words.iter().map(|word| {
        word.split_once('=')
            .map_or(word.as_str(), |(_, value)| value)
    });
    let names_accounts = ACCOUNTS.contains(&name);
    values
        .filter(|word| !word.starts_with('-'))
        .skip(usize::from(begins_with_attribute(name, words)))
        .filter(move |word| !names_accounts || word.contains('/'))
}

/// True if the first word of a command that is not an option is a mode or an owner.
fn begins_with_attribute(name: &str, words: &[String]) -> bool {
    // A mode such as `-x` looks like an option, and GNU accepts it after the paths too.
    let is_mode = |word: &str| {
        let letters = word.strip_prefix('-').unwrap_or_default();
        !letters.starts_with('-') && letters.contains(|c| !"RcfhvHLP".contains(c))
    };
    let is_elsewhere =
        |word: &String| word.starts_with("--reference") || (name == "chmod" && is_mode(word));
    ATTRIBUTES.contains(&name) && !words.iter().any(is_elsewhere)
}

/// True if the working directory may change the result of commands.
pub(super) fn may_use_workdir(commands: &[ShellCommand]) -> bool {
    let mut commands = commands.iter();
    while let Some(command) = commands.next() {
        let Some((name, words)) = command.words.as_ref().and_then(|words| words.split_first())
        else {
            return true;
        };
        let name = name.as_str();
        let is_relative = |word: &str| !word.starts_with(['/', '~']);
        let mut named = operands(name, words);
        let uses = if name == "cd" {
            match words {
                // The commands after it run in the directory that it names.
                [word] if !is_relative(word) => return may_return(commands.as_slice()),
                _ => true,
            }
        } else if LOCAL.contains(&name) || ATTRIBUTES.contains(&name) || ACCOUNTS.contains(&name) {
            named.any(is_relative)
        } else if SYSTEM.contains(&name) {
            named.any(|word| is_relative(word) && is_package_file(name, word))
        } else {
            !HARMLESS.contains(&name)
        };
        if uses {
            return true;
        }
    }
    false
}

/// True if commands may use the directory that the `cd` before them has left.
fn may_return(commands: &[ShellCommand]) -> bool {
    for command in commands {
        if command.text.contains("OLDPWD") {
            return true;
        }
        let mut words = command.text.split_whitespace();
        if words.next() == Some("cd") {
            // After any other `cd`, `cd -` returns to a directory that this script names.
            return words.any(|word| {
                let word = word.trim_matches(['"', '\'']);
                word == "-" || word.starts_with("->")
            });
        }
    }
    false
}

/// True if an argument of a package manager is a file and not a URL or the name of a package.
fn is_package_file(manager: &str, word: &str) -> bool {
    if word.contains("://") {
        return false;
    }
    let extension = Path::new(word).extension();
    let is_package = extension.is_some_and(|end| end == "apk" || end == "deb" || end == "rpm");
    is_package
        || match manager {
            // `curl/stable` is a package of a release.
            "apt" | "apt-get" => word.starts_with("./") || word.starts_with("../"),
            // `nodejs:18/common` is a profile of a module.
            _ => word.contains('/') && !word.contains(':'),
        }
}

/// The absolute path of a word, up to its first wildcard. A relative path in a working directory
/// that is not known may be any path: `/`.
fn resolved(workdir: Option<&str>, word: &str) -> String {
    let workdir = match workdir {
        Some(workdir) => workdir,
        None if word.starts_with('/') => "/",
        None => return "/".to_owned(),
    };
    let end = word.find(['*', '?', '[', '{']).unwrap_or(word.len());
    // The directory counts, because the wildcard selects several of its files.
    let word = match &word[..end] {
        whole if end == word.len() => whole,
        part => part.rsplit_once('/').map_or("", |(directory, _)| directory),
    };
    let is_root = word.is_empty() && end == 0 && workdir == "/";
    if is_root || word.starts_with('~') {
        return "/".to_owned();
    }
    let word = if word.is_empty() { "." } else { word };
    format!("/{}", joined(workdir, word))
}

/// True if one path is the other one, or a directory above it.
fn touches(one: &str, other: &str) -> bool {
    is_at_or_below(one, other) || is_at_or_below(other, one)
}

/// True if a path is a directory, or is below it.
pub(super) fn is_at_or_below(path: &str, directory: &str) -> bool {
    Path::new(path).starts_with(directory)
}

fn is_of_system(path: &str) -> bool {
    DIRECTORIES.iter().any(|directory| touches(directory, path))
}

#[cfg(test)]
mod tests {
    use super::super::shell::commands;

    fn may_reach(script: &str, workdir: Option<&str>, path: &str) -> bool {
        commands(script).is_none_or(|commands| super::may_reach(&commands, workdir, path))
    }

    #[test]
    fn a_step_reaches_the_paths_that_its_commands_can_change() {
        for (script, workdir, path, expected) in [
            ("useradd -u 10001 app", "/", "/app/x", false),
            ("useradd -u 10001 app", "/", "/home/app/.profile", true),
            ("useradd -d /app -m app", "/", "/app/x", true),
            ("adduser -D --home=/srv/x app", "/", "/srv/x/y", true),
            ("groupadd -g 1 app && useradd app", "/app", "/app/x", false),
            ("mkdir -p /data/logs", "/", "/usr/local/bin/run", false),
            ("mkdir -p /data/logs", "/", "/data/logs", true),
            ("mkdir -p /data/logs", "/", "/data/x", false),
            ("mkdir logs", "/app", "/app/logs/x", true),
            ("mkdir logs", "/app", "/app/x", false),
            ("chown -R app:app .", "/app", "/app/x", true),
            ("chown -R app /data", "/", "/app/x", false),
            (
                "chmod +x /usr/local/bin/run",
                "/",
                "/usr/local/bin/run",
                true,
            ),
            ("chmod -x /usr/bin/foo", "/", "/usr/bin/foo", true),
            ("chmod -R -w,o+r /data", "/", "/data/x", true),
            ("chmod /usr/bin/foo -x", "/", "/usr/bin/foo", true),
            ("chmod -Rf -v 0755 /data", "/", "/0755", false),
            ("chmod --reference=/a /b", "/", "/a", true),
            ("chmod --reference /a /b", "/", "/a", true),
            ("rm -rf /var/lib/apt/lists/*", "/", "/etc/x", false),
            ("rm -rf /tmp/a*", "/", "/tmp/abc", true),
            ("rm -rf *", "/", "/etc/x", true),
            ("rm -rf *", "/app", "/app/x", true),
            ("rm -rf /*", "/", "/etc/x", true),
            ("rm -rf ~/x", "/", "/root/x/y", true),
            ("cd /app && rm x", "/", "/app/x", true),
            ("cd /app && rm x", "/", "/app/y", false),
            ("cd / && rm x", "/app", "/app/x", false),
            ("cd ~ && rm x", "/app", "/root/x", true),
            ("cd /a && cd - && rm x", "/app", "/app/x", true),
            ("cd /a && cd - && rm x", "/app", "/app/y", false),
            ("cd /a && cd - && npm ci", "/app", "/app/x", true),
            (
                "apt-get update && apt-get install -y nginx",
                "/",
                "/etc/nginx/nginx.conf",
                true,
            ),
            (
                "apt-get update && apt-get install -y nginx",
                "/",
                "/app/x",
                false,
            ),
            ("apt-get install -y nginx", "/", "/usr/local/bin/run", false),
            ("apk add --no-cache nginx", "/", "/entrypoint.sh", false),
            ("pip install flask", "/", "/usr/local/bin/run", true),
            ("pip install flask", "/", "/app/x", false),
            ("pip install -r requirements.txt", "/app", "/app/x", true),
            ("npm ci", "/app", "/app/src/x", true),
            ("npm ci", "/app", "/entrypoint.sh", false),
            ("make install", "/", "/app/x", true),
            ("curl -o /tmp/x https://example.com/x", "/", "/app/x", true),
            ("echo x > /app/x", "/", "/app/x", true),
            ("mkdir $DIR", "/", "/app/x", true),
            ("mkdir /a; mkdir /b", "/", "/app/x", true),
            ("exec mkdir /a", "/", "/app/x", true),
            ("[ -d /app ] || { mkdir /app; }", "/", "/b", true),
        ] {
            assert_eq!(
                may_reach(script, Some(workdir), path),
                expected,
                "{script}: {path}"
            );
        }
        for (script, path, expected) in [
            ("mkdir logs", "/app/x", true),
            ("mkdir /logs", "/app/x", false),
            ("cd logs && rm x", "/app/x", true),
            ("cd /logs && rm x", "/app/x", false),
            ("pip install flask", "/app/x", false),
            ("npm install ./package", "/app/x", true),
        ] {
            assert_eq!(may_reach(script, None, path), expected, "{script}: {path}");
        }
    }

    #[test]
    fn a_step_with_only_absolute_paths_does_not_use_the_working_directory() {
        for (script, expected) in [
            (
                "useradd -m -d /srv/app app && chown -R app:app /srv/app",
                false,
            ),
            ("useradd -d ./data app", true),
            (
                "apt-get update && apt-get install -y curl=7.* && rm -rf /var/lib/apt/lists/*",
                false,
            ),
            ("apt-get install -y ./curl.deb", true),
            ("dnf install -y curl.rpm", true),
            ("set -eux; mkdir -p /data ~/x; echo done", false),
            ("mkdir logs", true),
            ("chmod 0755 run", true),
            ("cp -a /a .", true),
            ("dnf install -y https://example.com/epel.rpm", false),
            ("dnf install -y rpms/*", true),
            ("dnf module install -y nodejs:18/common", false),
            ("apk add --repository https://example.com/x y", false),
            ("apk add --repository=https://example.com/x y", false),
            ("apt-get install -y curl/stable", false),
            ("apt install -y ../curl ./wget", true),
            ("apt install -y packages/curl.deb", true),
            ("chmod -x run", true),
            ("chmod -x /run", false),
            ("cd /a && make && rm x", false),
            ("cd /a && make > x && rm x", false),
            ("cd /tmp && touch y && cd - && make", true),
            ("cd /tmp && touch y && cd \"$OLDPWD\" && make", true),
            ("cd /tmp && cp y \"$OLDPWD\"", true),
            ("cd /tmp && touch y && cd - > /dev/null && make", true),
            ("cd /tmp && cd -P - && make", true),
            ("cd /tmp && cd \"curl-$VERSION\" && make", false),
            ("cd /a && cd b && cd - && make", false),
            ("cd a && rm /x", true),
            ("cd && rm /x", true),
            ("npm ci", true),
            ("make", true),
            ("echo x > /x", true),
        ] {
            let found = commands(script).is_none_or(|commands| super::may_use_workdir(&commands));
            assert_eq!(found, expected, "{script}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_step_reaches_each_path_that_it_removes(path in "(/[a-z]{1,3}){1,4}", below in "(/[a-z]{1,3}){0,2}") {
            let all = format!("{path}{below}");
            let removal = format!("rm -rf {path}");
            proptest::prop_assert!(may_reach(&removal, Some("/"), &all));
            let removal = format!("rm -rf {all}");
            proptest::prop_assert!(may_reach(&removal, Some("/"), &path));
        }
    }
}
