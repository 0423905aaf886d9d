//! The instructions of a Dockerfile. Only their `Display` escapes, so that both builders read the
//! exact values that are stored here.

mod text;

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

pub(super) use self::text::wrapped;
use self::text::{argument, json_words, key, verbatim, word};
use super::heredoc;
use crate::resolve::image::{Healthcheck, Invocation, Port};

/// A part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RenderedPiece {
    /// Literal text.
    Text(String),
    /// The value of a variable or a build argument.
    Variable(String),
    /// The value of a build argument; if it is missing, the build fails with this message.
    Required(String, &'static str),
}

/// The form of a script in `RUN`. Both forms run the same text in `/bin/sh` and stop at the first
/// command that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScriptForm {
    /// `RUN <<EOR`, if a heredoc can hold the script. The shell of the base must be `/bin/sh -c`.
    Heredoc,
    /// `RUN ["/bin/sh","-ec",…]`.
    Exec,
}

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RenderedInstruction {
    /// A comment of one line.
    Comment(String),
    Arg {
        name: String,
        default: Option<Vec<RenderedPiece>>,
    },
    /// `FROM scratch`.
    FromScratch,
    /// `FROM ${NAME}`.
    From(String),
    Env {
        key: String,
        value: Vec<RenderedPiece>,
    },
    Label {
        key: String,
        value: Vec<RenderedPiece>,
    },
    /// Unpacks a tar of the context.
    Add {
        source: String,
        target: String,
    },
    /// Copies files of the context, or the content of a directory, to a file or a directory.
    Copy {
        /// Numbers or names, which the base resolves; empty for root.
        owner: String,
        /// `None` keeps the modes of the context.
        mode: Option<u32>,
        sources: Vec<String>,
        target: String,
    },
    /// Creates directories and their parents.
    MakeDirectories {
        paths: Vec<String>,
        form: ScriptForm,
    },
    Run {
        /// Secrets to mount; `readable` if a user other than root uses them.
        secrets: Vec<String>,
        /// True if the ssh agent is mounted.
        ssh: bool,
        readable: bool,
        script: String,
        form: ScriptForm,
    },
    User(Vec<RenderedPiece>),
    Workdir(Vec<RenderedPiece>),
    Expose(Vec<Port>),
    Volume(Vec<String>),
    StopSignal(Vec<RenderedPiece>),
    Shell(Vec<String>),
    Healthcheck {
        check: Healthcheck,
        /// The shell for a test in shell form that a Dockerfile line cannot hold.
        shell: Vec<String>,
    },
    Entrypoint(Invocation, Vec<String>),
    Cmd(Invocation, Vec<String>),
}

/// The length of the longest instruction name and a blank, such as `ENTRYPOINT `.
const KEYWORD: usize = 11;

/// The build argument that holds a line feed.
const LINE_FEED: &str = "GOLDEN_LF";
/// The build argument that holds a carriage return.
const CARRIAGE_RETURN: &str = "GOLDEN_CR";

impl RenderedPiece {
    /// Splits a text into pieces. Line breaks become build arguments, since an instruction cannot
    /// contain them.
    pub(super) fn of(text: &str) -> Vec<Self> {
        let mut pieces = Vec::new();
        for part in text.split_inclusive(['\r', '\n']) {
            let (line, end) = match part.as_bytes().last() {
                Some(b'\n') => (&part[..part.len() - 1], Some(LINE_FEED)),
                Some(b'\r') => (&part[..part.len() - 1], Some(CARRIAGE_RETURN)),
                _ => (part, None),
            };
            pieces.push(Self::Text(line.to_owned()));
            pieces.extend(end.map(|name| Self::Variable(name.to_owned())));
        }
        pieces
    }

    /// The build arguments that [`RenderedPiece::of`] needs for these texts, with their values.
    pub(super) fn line_breaks<'a>(
        texts: impl Iterator<Item = &'a str> + Clone,
    ) -> impl Iterator<Item = (&'static str, &'static str)> {
        let breaks = [(LINE_FEED, "\n"), (CARRIAGE_RETURN, "\r")];
        breaks
            .into_iter()
            .filter(move |(_, character)| texts.clone().any(|text| text.contains(character)))
    }
}

impl RenderedInstruction {
    /// The longest comment, in characters.
    pub(super) const LONGEST_COMMENT: usize = text::LONGEST_COMMENT;

    /// True if a text may occur before the steps. A text with line breaks needs build arguments,
    /// which would be in the history of each step. A text that exceeds the maximum length of a
    /// program argument would make the steps fail.
    pub(super) fn holds(text: &str) -> bool {
        !text.contains(['\r', '\n']) && text.len() <= text::MAX_LENGTH
    }

    /// True if a Dockerfile can hold a label with this name. The parsers split at the first `=` and
    /// ignore quotes.
    pub(super) fn holds_key(key: &str) -> bool {
        !key.contains('=') && key.len() <= text::LONGEST_KEY && Self::holds(key)
    }
}

impl Display for RenderedInstruction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comment(text) => {
                let text: String = text.chars().take(text::LONGEST_COMMENT).collect();
                write!(f, "# {}", text.replace(char::is_control, " ").trim_end())
            }
            Self::Arg {
                name,
                default: None,
            } => write!(f, "ARG {name}"),
            Self::Arg {
                name,
                default: Some(value),
            } => write!(f, "ARG {name}={}", argument(value)),
            Self::FromScratch => f.write_str("FROM scratch"),
            Self::From(name) => write!(f, "FROM ${{{name}}}"),
            Self::Env { key, value } => pair(f, "ENV", key, value),
            Self::Label { key, value } => pair(f, "LABEL", key, value),
            Self::Add { source, target } => write!(f, "ADD {source} {target}"),
            Self::Copy {
                owner,
                mode,
                sources,
                target,
            } => copy(f, owner, *mode, sources, target),
            Self::MakeDirectories { paths, form } => {
                if *form == ScriptForm::Heredoc && paths.iter().all(|path| text::is_plain(path)) {
                    let words = ["RUN mkdir -p".to_owned()];
                    return f.write_str(&wrapped(words.iter().chain(paths)));
                }
                let words = ["mkdir", "-p"].into_iter();
                let words: Vec<&str> = words.chain(paths.iter().map(String::as_str)).collect();
                write!(f, "RUN {}", json_words(KEYWORD, &words))
            }
            Self::Run {
                secrets,
                ssh,
                readable,
                script,
                form,
            } => {
                let agent = if *readable {
                    "--mount=type=ssh,required=true,mode=0666"
                } else {
                    "--mount=type=ssh,required=true"
                };
                let mode = if *readable { ",mode=0444" } else { "" };
                let mount = |name: &String| {
                    format!(
                        "--mount=type=secret,id={name},target=/run/secrets/{name},required=true{mode}"
                    )
                };
                let words: Vec<String> = ["RUN".to_owned()]
                    .into_iter()
                    .chain(secrets.iter().map(mount))
                    .chain(ssh.then(|| agent.to_owned()))
                    .collect();
                write!(f, "{} ", wrapped(words.iter()))?;
                match form {
                    ScriptForm::Heredoc if heredoc::holds(script) => in_heredoc(f, script),
                    _ => f.write_str(&json_words(KEYWORD, &["/bin/sh", "-ec", script])),
                }
            }
            Self::User(user) => write!(f, "USER {}", argument(user)),
            Self::Workdir(path) => write!(f, "WORKDIR {}", argument(path)),
            Self::Expose(ports) => {
                // Several instructions: a range of thousands of ports is longer than old parsers
                // accept.
                ports
                    .chunks(text::PORTS)
                    .enumerate()
                    .try_for_each(|(line, ports)| {
                        let words = ["EXPOSE".to_owned()].into_iter();
                        let words: Vec<String> =
                            words.chain(ports.iter().map(ToString::to_string)).collect();
                        f.write_str(if line == 0 { "" } else { "\n" })?;
                        f.write_str(&wrapped(words.iter()))
                    })
            }
            Self::Volume(paths) => {
                // The builders expand variables in this list as in other instructions.
                let words: Vec<String> = paths.iter().map(|path| word(path)).collect();
                write!(f, "VOLUME {}", json_words(KEYWORD, &words))
            }
            Self::StopSignal(signal) => write!(f, "STOPSIGNAL {}", argument(signal)),
            Self::Shell(words) => write!(f, "SHELL {}", json_words(KEYWORD, words)),
            Self::Healthcheck { check, shell } => healthcheck(f, check, shell),
            Self::Entrypoint(invocation, shell) => {
                write!(f, "ENTRYPOINT {}", invoke(invocation, shell))
            }
            Self::Cmd(invocation, shell) => write!(f, "CMD {}", invoke(invocation, shell)),
        }
    }
}

/// Writes `ENV` or `LABEL` with a key and a value.
fn pair(f: &mut Formatter<'_>, keyword: &str, name: &str, value: &[RenderedPiece]) -> fmt::Result {
    let start = format!("{keyword} {}=", key(name));
    write!(f, "{start}{}", text::value(start.len(), value))
}

/// Writes a `COPY`. Paths with blanks need the list form.
fn copy(
    f: &mut Formatter<'_>,
    owner: &str,
    mode: Option<u32>,
    sources: &[String],
    target: &str,
) -> fmt::Result {
    f.write_str("COPY")?;
    if !owner.is_empty() {
        write!(f, " --chown={owner}")?;
    }
    if let Some(mode) = mode {
        write!(f, " --chmod={mode:04o}")?;
    }
    let words: Vec<String> = sources
        .iter()
        .map(String::as_str)
        .chain([target])
        .map(word)
        .collect();
    if words.iter().all(|word| text::is_plain(word)) {
        write!(f, " {}", wrapped(words.iter()))
    } else {
        write!(f, " {}", json_words(KEYWORD, &words))
    }
}

/// Writes a script as a heredoc. A script that does not begin with `set -e` itself gets that line.
fn in_heredoc(f: &mut Formatter<'_>, script: &str) -> fmt::Result {
    let delimiter = heredoc::delimiter(script);
    let set = if script.starts_with("set -e") {
        ""
    } else {
        "set -e\n"
    };
    let end = if script.ends_with('\n') { "" } else { "\n" };
    write!(f, "<<{delimiter}\n{set}{script}{end}{delimiter}")
}

/// Writes an invocation. If the shell form cannot hold a text, writes the equivalent exec form with
/// the shell.
fn invoke(invocation: &Invocation, shell: &[String]) -> String {
    match invocation {
        Invocation::Exec(words) => json_words(KEYWORD, words),
        Invocation::Shell(text) if verbatim(text) && !text.starts_with("--") => {
            text::shell_form(KEYWORD, text)
        }
        Invocation::Shell(text) => in_shell(shell, text),
    }
}

/// The test of a health check, as in the image config. If a line of a Dockerfile cannot hold a text
/// in shell form, returns the equivalent exec form with the shell.
pub(super) fn healthcheck_test(check: &Healthcheck, shell: &[String]) -> Vec<String> {
    match check.test.as_slice() {
        [kind, text] if kind == "CMD-SHELL" && !verbatim(text) => {
            let words = shell.iter().cloned().chain([text.clone()]);
            std::iter::once("CMD".to_owned()).chain(words).collect()
        }
        test => test.to_vec(),
    }
}

/// The exec form of a text for a shell.
fn in_shell(shell: &[String], text: &str) -> String {
    let words: Vec<&str> = shell.iter().map(String::as_str).chain([text]).collect();
    json_words(KEYWORD, &words)
}

fn healthcheck(f: &mut Formatter<'_>, check: &Healthcheck, shell: &[String]) -> fmt::Result {
    f.write_str("HEALTHCHECK")?;
    let test = healthcheck_test(check, shell);
    let (kind, words) = test
        .split_first()
        .map_or(("NONE", [].as_slice()), |(k, w)| (k.as_str(), w));
    if kind == "NONE" {
        return f.write_str(" NONE");
    }
    let times = [
        ("interval", check.interval),
        ("timeout", check.timeout),
        ("start-period", check.start_period),
    ];
    let mut start = Vec::new();
    for (flag, time) in times {
        // Zero means the engine's default, like an omitted value.
        if let Some(time) = time.filter(|time| !time.is_zero()) {
            start.push(format!(" --{flag}={}", duration(time)));
        }
    }
    if let Some(retries) = check.retries.filter(|retries| *retries > 0) {
        start.push(format!(" --retries={retries}"));
    }
    start.push(" CMD ".to_owned());
    let start = start.concat();
    f.write_str(&start)?;
    match words {
        [text] if kind == "CMD-SHELL" => f.write_str(&text::shell_form(start.len(), text)),
        words => f.write_str(&json_words(start.len(), words)),
    }
}

/// Writes a duration in Go's notation, with the largest unit that divides it.
fn duration(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    let units = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ];
    match units
        .iter()
        .find(|(_, unit)| nanoseconds.is_multiple_of(*unit))
    {
        Some((name, unit)) => format!("{}{name}", nanoseconds / unit),
        None => format!("{nanoseconds}ns"),
    }
}

#[cfg(test)]
mod tests;
