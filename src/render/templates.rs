//! The Dockerfile templates: the built-in templates and those of the workspace. They define the
//! order and the steps. Values are inserted as escaped instructions, so a template cannot break the
//! escaping.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use super::heredoc;
use super::instruction::{RenderedInstruction, ScriptForm, wrapped};
use crate::resolve::LONGEST_EXPRESSION;
use crate::resolve::repetition::{Variables, repeats_a_list};

/// The built-in templates, by name.
const BUILT_IN: [(&str, &str); 4] = [
    (
        "alpine",
        include_str!("../../templates/alpine.Dockerfile.j2"),
    ),
    (
        "debian",
        include_str!("../../templates/debian.Dockerfile.j2"),
    ),
    ("rhel", include_str!("../../templates/rhel.Dockerfile.j2")),
    (
        "static",
        include_str!("../../templates/static.Dockerfile.j2"),
    ),
];

/// The template that adds certificates to the keystores of Java. Other templates include it by this
/// name.
const JAVA: (&str, &str) = ("builtin/java", include_str!("../../templates/java.j2"));

/// The limit of work per template: a million steps of the interpreter, which write at most about
/// 64 MB of text.
const FUEL: u64 = 1_000_000;

/// The reason why an expression or statement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefusedPart {
    Length,
    RepeatedList,
}

impl RefusedPart {
    fn of(inside: &str) -> Option<Self> {
        if inside.len() > LONGEST_EXPRESSION {
            return Some(Self::Length);
        }
        repeats_a_list(inside, Variables::Any).then_some(Self::RepeatedList)
    }
}

impl std::fmt::Display for RefusedPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length => write!(
                f,
                "the expression is longer than {LONGEST_EXPRESSION} bytes"
            ),
            Self::RepeatedList => f.write_str(
                "the expression may repeat a list; use `*` with numbers and strings only",
            ),
        }
    }
}

/// The line of the first expression or statement that is refused. Searches raw text too.
fn first_refused(text: &str) -> Option<(usize, RefusedPart)> {
    let mut rest = text;
    while let Some(open) = ["{{", "{%", "{#"]
        .iter()
        .filter_map(|start| rest.find(start))
        .min()
    {
        let inside = &rest[open + 2..];
        if rest[open..].starts_with("{#") {
            rest = inside.split_once("#}").map_or("", |(_, after)| after);
            continue;
        }
        let length = length(inside);
        if let Some(refused) = RefusedPart::of(&inside[..length]) {
            let before = text.len() - rest.len() + open;
            return Some((text[..before].matches('\n').count() + 1, refused));
        }
        rest = &inside[length..];
    }
    None
}

/// The length of an expression or statement, up to the first end marker outside quotes.
fn length(text: &str) -> usize {
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if std::mem::take(&mut is_escaped) => {}
            (Some(_), '\\') => is_escaped = true,
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '}' | '%') if text[at..].starts_with("}}") || text[at..].starts_with("%}") => {
                return at;
            }
            _ => {}
        }
    }
    text.len()
}

/// Templates by name. A template of the workspace replaces the built-in template with the same
/// name, and can include it as `builtin/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Templates {
    own: BTreeMap<String, String>,
}

impl Templates {
    /// The suffix of a template's file name; the part before it is the name of the template.
    pub const SUFFIX: &'static str = ".Dockerfile.j2";

    /// Creates a set with only the built-in templates.
    #[must_use]
    pub fn builtin() -> Self {
        Self::default()
    }

    /// The names of all templates, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self
            .own
            .keys()
            .map(String::as_str)
            .chain(BUILT_IN.iter().map(|(name, _)| *name));
        names
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    fn has(&self, name: &str) -> bool {
        self.own.contains_key(name) || BUILT_IN.iter().any(|(built_in, _)| *built_in == name)
    }

    fn environment(&self, scripts: ScriptForm) -> Result<Environment<'_>, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()?,
        );
        environment.add_filter("run", move |script: &str| run(script, scripts));
        environment.add_filter("sh", sh);
        for (name, text) in BUILT_IN {
            environment.add_template(name, text)?;
        }
        for (name, text) in BUILT_IN_BY_PATH
            .iter()
            .zip(BUILT_IN)
            .map(|(path, (_, text))| (*path, text))
        {
            environment.add_template(name, text)?;
        }
        environment.add_template(JAVA.0, JAVA.1)?;
        for (name, text) in &self.own {
            if let Some((line, refused)) = first_refused(text) {
                let message = format!("template `{name}`, line {line}: {refused}");
                return Err(minijinja::Error::new(ErrorKind::SyntaxError, message));
            }
            environment.add_template(name, text)?;
        }
        Ok(environment)
    }
}

/// The templates, compiled once for all images.
#[derive(Debug)]
pub(super) struct CompiledTemplates<'t> {
    templates: &'t Templates,
    /// The environment that writes scripts as heredocs.
    heredocs: OnceCell<Environment<'t>>,
    /// The environment that writes scripts in exec form.
    exec_forms: OnceCell<Environment<'t>>,
}

impl<'t> CompiledTemplates<'t> {
    /// Stores templates; they are compiled at the first use.
    pub(super) const fn new(templates: &'t Templates) -> Self {
        Self {
            templates,
            heredocs: OnceCell::new(),
            exec_forms: OnceCell::new(),
        }
    }

    /// Renders a template. Returns `None` if it does not exist.
    pub(super) fn render(
        &self,
        name: &str,
        sections: &impl Serialize,
        scripts: ScriptForm,
    ) -> Option<Result<String, minijinja::Error>> {
        self.templates.has(name).then(|| {
            let text = self
                .environment(scripts)?
                .get_template(name)?
                .render(Value::from(Serde(sections)))?;
            Ok(tidy(&text))
        })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.templates.names()
    }

    fn environment(&self, scripts: ScriptForm) -> Result<&Environment<'t>, minijinja::Error> {
        let compiled = match scripts {
            ScriptForm::Heredoc => &self.heredocs,
            ScriptForm::Exec => &self.exec_forms,
        };
        if let Some(environment) = compiled.get() {
            return Ok(environment);
        }
        let environment = self.templates.environment(scripts)?;
        Ok(compiled.get_or_init(|| environment))
    }
}

/// The names under which workspace templates can include the built-in ones, in the order of
/// [`BUILT_IN`].
const BUILT_IN_BY_PATH: [&str; 4] = [
    "builtin/alpine",
    "builtin/debian",
    "builtin/rhel",
    "builtin/static",
];

impl From<BTreeMap<String, String>> for Templates {
    /// Adds the templates of the workspace, by name, to the built-in templates.
    fn from(own: BTreeMap<String, String>) -> Self {
        Self { own }
    }
}

/// The filter `run`: writes a script as a RUN instruction.
fn run(script: &str, form: ScriptForm) -> String {
    let script = script.trim_matches('\n').to_owned();
    RenderedInstruction::Run {
        secrets: Vec::new(),
        ssh: false,
        readable: false,
        script,
        form,
    }
    .to_string()
}

/// The filter `sh`: quotes a text, or each text of a list, for a shell. A long list continues on
/// further lines, in a Dockerfile as in a shell.
fn sh(value: &Value) -> Result<String, minijinja::Error> {
    let texts = match value.kind() {
        ValueKind::Seq => value.try_iter()?.collect(),
        _ => vec![value.clone()],
    };
    let word = |value: Value| {
        let text = value.as_str().map(str::to_owned);
        let text = text.ok_or_else(|| {
            minijinja::Error::new(
                ErrorKind::InvalidOperation,
                "the filter `sh` takes a string or a list of strings",
            )
        })?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
        let bare = !text.is_empty() && text.chars().all(plain);
        Ok(if bare {
            text
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        })
    };
    let words: Result<Vec<String>, minijinja::Error> = texts.into_iter().map(word).collect();
    Ok(wrapped(words?.iter()))
}

/// Removes repeated blank lines and blank lines at both ends, and adds a blank line after a heredoc;
/// the result ends in one newline. The content of heredocs stays unchanged.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut push = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    let (mut instruction, mut after_blank) = (String::new(), true);
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() {
            if !after_blank {
                push("");
            }
            after_blank = true;
            continue;
        }
        push(line);
        after_blank = false;
        if line.trim_start().starts_with('#') {
            continue;
        }
        if let Some(start) = line.trim_end().strip_suffix('\\') {
            instruction.push_str(start);
            continue;
        }
        instruction.push_str(line);
        let heredocs = heredoc::opened_by(&std::mem::take(&mut instruction));
        for delimiter in &heredocs {
            for line in lines.by_ref() {
                push(line);
                if heredoc::is_end(line, delimiter) {
                    break;
                }
            }
        }
        if !heredocs.is_empty() {
            push("");
            after_blank = true;
        }
    }
    out.truncate(out.trim_end_matches('\n').len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Splits a text of plain and quoted words as a POSIX shell does.
    fn words_of_a_shell(text: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            match c {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                '\\' if !quoted => match characters.next() {
                    Some('\n') => {}
                    next => word.get_or_insert_default().extend(next),
                },
                ' ' if !quoted => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// Random sequences of template pieces.
    fn template() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            " ",
            "\n",
            "texts",
            "script",
            "nothing",
            "| sh",
            "| run",
            "|",
            "for x in texts",
            "endfor",
            "if",
            "endif",
            "else",
            "include \"builtin/debian\"",
            "include \"own\"",
            "macro m(x)",
            "endmacro",
            "m(1)",
            "block b",
            "endblock",
            "extends \"own\"",
            "set x = ",
            "1",
            "\"",
            "'",
            ".",
            "[0]",
            "~",
            "RUN ",
            "é",
            "\u{1f600}",
            "-",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_template_is_rendered_or_rejected(text in prop_oneof![template(), "\\PC{0,40}"]) {
            let templates = Templates::from(BTreeMap::from([("own".to_owned(), text)]));
            let sections = serde_json::json!({ "texts": ["a", "b c"], "script": "echo\n" });
            if let Some(Ok(text)) = CompiledTemplates::new(&templates).render("own", &sections, ScriptForm::Heredoc) {
                prop_assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{text:?}");
            }
        }

        #[test]
        fn every_script_becomes_one_instruction(script in "(\\PC|[\n\t\\\\\"'#$]){0,60}") {
            let instruction = run(&script, ScriptForm::Exec);
            let instruction = instruction.replace("\\\n", "");
            prop_assert!(!instruction.trim_end().contains('\n'), "{instruction}");
            let words = instruction.trim_end().strip_prefix("RUN ").unwrap_or_default();
            let words: Vec<String> = serde_json::from_str(words)?;
            prop_assert_eq!(words.last().map(String::as_str), Some(script.trim_matches('\n')));
        }

        #[test]
        fn every_text_becomes_one_word_of_a_shell(texts in prop::collection::vec("\\PC{0,20}|[\n'\\\\ \"$`]{0,9}", 0..5)) {
            let words = sh(&Value::from(texts.clone())).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(words_of_a_shell(&words), texts);
        }
    }
}
