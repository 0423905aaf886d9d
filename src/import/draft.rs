//! The image.toml of an import.

use std::fmt::{self, Write as _};

use indexmap::IndexMap;

use crate::config_files::config::Invocation;
use crate::config_files::quoted::quoted;
use crate::config_files::typed::bare_or_quoted;
use crate::config_files::values::EnvValue;

/// The spec of an imported image, before it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) version: String,
    /// The TOML value of the base.
    pub(super) base: String,
    pub(super) family: Option<&'static str>,
    pub(super) platforms: Vec<String>,
    pub(super) labels: IndexMap<String, String>,
    pub(super) env: IndexMap<String, EnvValue>,
    pub(super) config: DraftConfig,
    pub(super) trust: Vec<String>,
    pub(super) install: Vec<String>,
    pub(super) files: Vec<FileDraft>,
    pub(super) run: Vec<RunDraft>,
}

/// `[config]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DraftConfig {
    pub(super) expose: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) workdir: Option<String>,
    pub(super) entrypoint: Option<Invocation>,
    pub(super) cmd: Option<Invocation>,
    pub(super) volumes: Vec<String>,
    pub(super) stop_signal: Option<String>,
    pub(super) shell: Option<Vec<String>>,
    pub(super) healthcheck: Option<DraftHealthcheck>,
}

/// `healthcheck` in `[config]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DraftHealthcheck {
    pub(super) test: Vec<String>,
    /// The other keys with their TOML values.
    pub(super) options: Vec<(&'static str, String)>,
}

/// One `[[files]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FileDraft {
    pub(super) content: DraftContent,
    pub(super) target: String,
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<String>,
}

/// The content of one `[[files]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum DraftContent {
    /// An empty directory.
    #[default]
    Directory,
    /// A path relative to image.toml.
    Source(String),
    /// The text itself.
    Text(String),
}

/// One `[[run]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RunDraft {
    pub(super) name: String,
    pub(super) script: String,
    pub(super) user: Option<String>,
    pub(super) secrets: Vec<String>,
    pub(super) ssh: bool,
}

/// A string of a spec, in which `{{` is not a template.
fn string(text: &str) -> String {
    let text = text.replace("{{", "{{ '{{' }}");
    // A literal of several lines shows the text as it is.
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.contains('\n') && !text.contains("'''") && text.chars().all(is_plain) {
        format!("'''\n{text}'''")
    } else {
        quoted(&text)
    }
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| string(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

fn form(form: &Invocation) -> String {
    match form {
        Invocation::Exec(words) => list(words),
        Invocation::Shell(text) => string(text),
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[image]\nname = {}", string(&self.name))?;
        writeln!(
            f,
            "version = {}\nbase = {}",
            string(&self.version),
            self.base
        )?;
        if let Some(family) = self.family {
            writeln!(f, "family = {}", string(family))?;
        }
        if !self.platforms.is_empty() {
            writeln!(f, "platforms = {}", list(&self.platforms))?;
        }
        if !self.labels.is_empty() {
            f.write_str("\n[labels]\n")?;
        }
        for (name, value) in &self.labels {
            writeln!(f, "{} = {}", bare_or_quoted(name), string(value))?;
        }
        if !self.env.is_empty() {
            f.write_str("\n[env]\n")?;
        }
        for (name, value) in &self.env {
            writeln!(f, "{} = {}", bare_or_quoted(name), variable(value))?;
        }
        write!(f, "{}", self.config)?;
        if !self.trust.is_empty() {
            writeln!(f, "\n[certs]\ntrust = {}", list(&self.trust))?;
        }
        if !self.install.is_empty() {
            writeln!(f, "\n[packages]\ninstall = {}", list(&self.install))?;
        }
        self.files.iter().try_for_each(|file| write!(f, "{file}"))?;
        self.run.iter().try_for_each(|step| write!(f, "{step}"))
    }
}

fn variable(value: &EnvValue) -> String {
    let (prepend, append) = match value {
        EnvValue::Set(text) => return string(text),
        EnvValue::Extend { prepend, append } => (prepend, append),
    };
    let sides = [("prepend", prepend), ("append", append)];
    let shown: Vec<String> = sides
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(side, text)| format!("{side} = {}", string(text)))
        .collect();
    format!("{{ {} }}", shown.join(", "))
}

impl fmt::Display for DraftConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = |items: &[String]| (!items.is_empty()).then(|| list(items));
        let text = |text: &Option<String>| text.as_deref().map(string);
        let ports: Vec<String> = self
            .expose
            .iter()
            .map(|port| match port.parse::<u16>() {
                Ok(number) => number.to_string(),
                Err(_) => string(port),
            })
            .collect();
        let lines = [
            (
                "expose",
                (!ports.is_empty()).then(|| format!("[{}]", ports.join(", "))),
            ),
            ("user", text(&self.user)),
            ("workdir", text(&self.workdir)),
            ("entrypoint", self.entrypoint.as_ref().map(form)),
            ("cmd", self.cmd.as_ref().map(form)),
            ("volumes", lists(&self.volumes)),
            ("stop_signal", text(&self.stop_signal)),
            ("shell", self.shell.as_deref().map(list)),
            (
                "healthcheck",
                self.healthcheck.as_ref().map(ToString::to_string),
            ),
        ];
        if lines.iter().any(|(_, value)| value.is_some()) {
            f.write_str("\n[config]\n")?;
        }
        for (name, value) in lines {
            if let Some(value) = value {
                writeln!(f, "{name} = {value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for DraftHealthcheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ test = {}", list(&self.test))?;
        for (name, value) in &self.options {
            write!(f, ", {name} = {value}")?;
        }
        f.write_str(" }")
    }
}

impl fmt::Display for FileDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n[[files]]\n")?;
        match &self.content {
            DraftContent::Directory => {}
            // A path is not a template.
            DraftContent::Source(path) => writeln!(f, "source = {}", string(path))?,
            DraftContent::Text(text) => writeln!(f, "content = {}", string(text))?,
        }
        writeln!(f, "target = {}", string(&self.target))?;
        if let Some(mode) = self.mode {
            writeln!(f, "mode = \"{mode:04o}\"")?;
        }
        match &self.owner {
            Some(owner) => writeln!(f, "owner = {}", string(owner)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RunDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n[[run]]\nname = {}", string(&self.name))?;
        writeln!(f, "script = {}", string(&self.script))?;
        if let Some(user) = &self.user {
            writeln!(f, "user = {}", string(user))?;
        }
        if !self.secrets.is_empty() {
            writeln!(f, "secrets = {}", list(&self.secrets))?;
        }
        if self.ssh {
            f.write_str("ssh = true\n")?;
        }
        Ok(())
    }
}

/// The text of an image.toml with a comment above it.
pub(super) fn with_comment(draft: &Draft, comment: &str) -> String {
    let mut text = String::new();
    for line in comment.lines() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# {line}");
    }
    text + "\n" + &draft.to_string()
}
