//! The scripts of steps. A spec runs each script with `/bin/sh -e`.

use std::cell::OnceCell;

use super::reach::{may_reach, may_use_workdir};
use super::shell::{ShellCommand, commands, is_and_list, quoted, quoted_words};
use crate::config_files::config::Invocation;
use crate::dockerfile::{HereDocument, Instruction};

/// The text of a step, before the lines that restore its surroundings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Body {
    text: String,
    /// True if a command that fails must not end the script.
    continues: bool,
    /// The commands of the text, once they are needed; `None` if they cannot be split.
    commands: OnceCell<Option<Vec<ShellCommand>>>,
}

impl Body {
    /// A script that is written for `/bin/sh -e`.
    pub(super) const fn of_golden(text: String) -> Self {
        Self {
            text,
            continues: false,
            commands: OnceCell::new(),
        }
    }

    /// The script with lines before it.
    pub(super) fn with(&self, mut lines: Vec<String>) -> String {
        if self.continues {
            lines.push("set +e".to_owned());
        }
        lines.push(self.text.trim_end().to_owned());
        lines.join("\n") + "\n"
    }

    /// True if the script mentions a variable.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.text.contains(name)
    }

    /// True if the script may read or change a path when it runs in `workdir`.
    pub(super) fn may_reach(&self, workdir: Option<&str>, path: &str) -> bool {
        let commands = self.commands();
        commands.is_none_or(|commands| may_reach(commands, workdir, path))
    }

    /// True if the working directory may change the result of the script.
    pub(super) fn may_use_workdir(&self) -> bool {
        self.commands().is_none_or(may_use_workdir)
    }

    fn commands(&self) -> Option<&[ShellCommand]> {
        let commands = self.commands.get_or_init(|| commands(&self.text));
        commands.as_deref()
    }

    /// True if the script may create or read a directory, or list the directory around it.
    pub(super) fn may_use(&self, path: &str) -> bool {
        let mut names = path.rsplit('/').filter(|name| !name.is_empty());
        let is_named = names.any(|name| self.text.contains(name));
        is_named || self.text.contains("useradd") || self.text.contains("adduser")
    }
}

/// The body of a `RUN`.
pub(super) fn body(instruction: &Instruction, shell: Option<&[String]>) -> Body {
    if let Invocation::Exec(words) = instruction.form() {
        return Body::of_golden(format!("exec {}", quoted_words(&words)));
    }
    match instruction.only_here_document().map(HereDocument::text) {
        Some(text) if text.starts_with("#!") => interpreted(&text),
        Some(text) => of_text(&text, shell),
        None if instruction.here_documents.is_empty() && shell.is_none() => {
            let mut body = of_text(&instruction.arguments, None);
            body.text = folded(instruction);
            body
        }
        None => of_text(&instruction.with_here_documents(), shell),
    }
}

/// The body that runs a text in the shell of the Dockerfile.
pub(super) fn of_text(text: &str, shell: Option<&[String]>) -> Body {
    match shell {
        Some(shell) => Body::of_golden(format!("exec {} {}", quoted_words(shell), quoted(text))),
        None => Body {
            text: text.to_owned(),
            continues: !starts_with_errexit(text) && !is_and_list(text.trim_end()),
            commands: OnceCell::new(),
        },
    }
}

/// True if a script begins with `set -e`, `set -eux` and the like.
fn starts_with_errexit(text: &str) -> bool {
    let mut words = text
        .split([' ', '\t', '\n', ';', '&'])
        .filter(|word| !word.is_empty());
    let is_flag = |word: &str| word.starts_with('-') && word.contains('e');
    words.next() == Some("set") && words.next().is_some_and(is_flag)
}

/// A script with an interpreter of its own, which runs from a file.
fn interpreted(text: &str) -> Body {
    let mut delimiter = "GOLDEN".to_owned();
    while text.contains(&delimiter) {
        delimiter.push('_');
    }
    let end = if text.ends_with('\n') { "" } else { "\n" };
    Body::of_golden(format!(
        "script=$(mktemp)\ncat > \"$script\" <<'{delimiter}'\n{text}{end}{delimiter}\nchmod 0755 \"$script\"\n\"$script\"\nrm \"$script\""
    ))
}

/// The arguments on the lines of the Dockerfile. The text stays on one line if a line break could
/// change its meaning.
fn folded(instruction: &Instruction) -> String {
    let lines = instruction.continued_lines();
    let is_safe =
        !instruction.arguments.contains(['\'', '#']) && !instruction.arguments.contains("<<");
    if lines.len() < 2 || !is_safe {
        return instruction.arguments.clone();
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join(" \\\n")
}

/// The name of the step of a `RUN`.
pub(super) fn name(instruction: &Instruction) -> String {
    if let Some(document) = instruction.only_here_document() {
        let text = document.text();
        let is_command = |line: &&str| !line.trim().is_empty() && !line.starts_with(['#', ' ']);
        let first = text.lines().find(is_command);
        return short(first.unwrap_or("script"));
    }
    match instruction.form() {
        Invocation::Exec(words) => short(&words.join(" ")),
        Invocation::Shell(text) => short(&text),
    }
}

/// The first command of a script, shortened.
pub(super) fn short(text: &str) -> String {
    let commands = text.split(['\n', ';']).flat_map(|line| line.split("&&"));
    let is_work = |command: &&str| {
        let is_preparation = ["set ", "cd ", "apt-get update", "apt update", "apk update"]
            .iter()
            .any(|start| command.starts_with(start));
        !command.is_empty() && !is_preparation
    };
    let first = commands.map(str::trim).find(|command| is_work(command));
    let words: Vec<&str> = first.unwrap_or(text).split_whitespace().collect();
    words.join(" ")
}

/// True if a shell can have a variable of this name.
pub(super) fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The commands that replace the texts before and after the base's value of a variable.
pub(super) fn extended(name: &str, remove: [&str; 2], add: [&str; 2]) -> String {
    let mut commands = Vec::new();
    for (operator, text) in ['#', '%'].into_iter().zip(remove) {
        if !text.is_empty() {
            commands.push(format!("{name}=${{{name}{operator}{}}}", quoted(text)));
        }
    }
    let [before, after] = add.map(|text| {
        if text.is_empty() {
            String::new()
        } else {
            quoted(text)
        }
    });
    if !(before.is_empty() && after.is_empty()) {
        commands.push(format!("{name}={before}${{{name}}}{after}"));
    }
    commands.join("; ")
}

/// The command that sets a build argument of the platform.
pub(super) fn platform_argument(name: &str) -> Option<String> {
    let architecture = "$(case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; armv*) echo arm ;; i?86) echo 386 ;; *) uname -m ;; esac)";
    let value = match name {
        "TARGETOS" | "BUILDOS" => "linux".to_owned(),
        "TARGETARCH" | "BUILDARCH" => format!("\"{architecture}\""),
        "TARGETPLATFORM" | "BUILDPLATFORM" => format!("\"linux/{architecture}\""),
        _ => return None,
    };
    Some(format!("export {name}={value}"))
}

/// The command that creates a directory if it is missing.
pub(super) fn make_directory(path: &str, owner: Option<&str>) -> String {
    let path = quoted(path);
    let owned = owner.map_or_else(String::new, |owner| {
        format!(" && chown {} {path}", quoted(owner))
    });
    format!("[ -d {path} ] || {{ mkdir {path}{owned}; }}\n")
}
