//! Fills in `{{ … }}` in strings. Undefined names are errors, results are not expanded again, and
//! no other syntax is special.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use toml::de::DeValue;

use super::repetition::{Variables, repeats_a_list};
use crate::config_files::document::{self, NUL, SourceFiles, SpecTable};
use crate::diagnostic::{Diagnostic, Diagnostics, TEMPLATE};
use crate::suggest::closest;

/// The names that templates can use. Templates cannot read the environment.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The tables of strings, by root: `vars`, `matrix`, `image`, `git`.
    tables: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// The reason why a table is empty, by root.
    reasons: BTreeMap<&'static str, String>,
    /// The time of the run, for `now`.
    now: String,
}

impl Names {
    /// Makes names that contain only `now`.
    #[must_use]
    pub fn new(now: impl Into<String>) -> Self {
        Self {
            now: now.into(),
            ..Self::default()
        }
    }

    /// Adds a table, or replaces it.
    #[must_use]
    pub fn with(mut self, root: &'static str, table: BTreeMap<String, String>) -> Self {
        self.tables.insert(root, table);
        self
    }

    /// Adds an empty table with the reason why it is empty.
    #[must_use]
    pub fn without(mut self, root: &'static str, reason: String) -> Self {
        self.reasons.insert(root, reason);
        self.with(root, BTreeMap::new())
    }

    /// Adds one entry of a table.
    pub fn set(&mut self, root: &'static str, key: &str, value: &str) {
        self.tables
            .entry(root)
            .or_default()
            .insert(key.to_owned(), value.to_owned());
    }

    fn value(&self) -> Value {
        let entry = |(key, text): (&String, &String)| (key.clone(), Value::from(text.clone()));
        let tables = self.tables.iter();
        let tables = tables.map(|(root, table)| {
            (
                (*root).to_owned(),
                Value::from_pairs(table.iter().map(entry)),
            )
        });
        Value::from_pairs(tables.chain([("now".to_owned(), Value::from(self.now.clone()))]))
    }

    /// Explains why `variable`, such as `vars.teem`, is undefined: a message, and a hint such as a
    /// similar name.
    fn explain(&self, variable: &str) -> (String, Option<String>) {
        let (root, key) = variable
            .split_once('.')
            .map_or((variable, None), |(root, key)| (root, Some(key)));
        let Some(table) = self.tables.get(root) else {
            let known = self.tables.keys().copied().chain(["now"]);
            let similar = closest(root, known).map(|similar| format!("did you mean `{similar}`?"));
            let all = "templates can use vars, matrix, image, git and now".to_owned();
            return (
                format!("`{root}` is not defined"),
                Some(similar.unwrap_or(all)),
            );
        };
        let key = key.unwrap_or_default();
        let help = match closest(key, table.keys().map(String::as_str)) {
            Some(similar) => Some(format!("did you mean `{root}.{similar}`?")),
            None if table.is_empty() => Some(
                self.reasons
                    .get(root)
                    .cloned()
                    .unwrap_or_else(|| format!("`{root}` is empty here")),
            ),
            None => {
                let known: Vec<_> = table.keys().map(|key| format!("{root}.{key}")).collect();
                Some(format!("defined here: {}", known.join(", ")))
            }
        };
        (format!("`{root}.{key}` is not defined"), help)
    }
}

/// The fuel for one expression: a few thousand steps, or about 3 MB of text.
const FUEL: u64 = 50_000;
/// The maximum size of the result of an expression: the bytes of its strings, and one for each
/// value. The fuel does not limit it, because a list such as `[1] * 100000000` is computed only
/// when it is converted to text.
const LARGEST_RESULT: usize = 3_000_000;
/// The longest expression, in bytes. Longer chains of operators would need a deep stack.
pub(crate) const LONGEST_EXPRESSION: usize = 2000;

/// Fills in the templates of TOML tables.
#[derive(Debug)]
pub(super) struct Strings {
    environment: Environment<'static>,
}

/// Observations made while one string is filled in.
#[derive(Debug, Default)]
struct Seen {
    volatile: Vec<String>,
}

impl Default for Strings {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        Self { environment }
    }
}

impl Strings {
    /// Fills in every string of `table`. A string that fails keeps its text. `volatile_is_fine` is
    /// true if `now` and `git` may be used, as in `[tags]` and `[[test]]`.
    pub(super) fn fill(
        &self,
        table: &mut SpecTable<'_>,
        names: &Names,
        volatile_is_fine: bool,
        files: &SourceFiles,
        found: &mut Diagnostics,
    ) {
        let mut filling = Filling {
            strings: self,
            context: None,
            names,
            files,
            found,
        };
        filling.table(table, volatile_is_fine);
    }

    /// Returns `text` with its templates filled in.
    fn text(
        &self,
        text: &str,
        context: &Value,
        names: &Names,
        seen: &mut Seen,
    ) -> Result<String, Problem> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            filled.push_str(&rest[..open]);
            let inside = &rest[open + 2..];
            let close = end_of(inside).ok_or_else(|| Problem {
                message: "`{{` without `}}`".to_owned(),
                help: Some("a literal `{{` is written {{ '{{' }}".to_owned()),
            })?;
            filled.push_str(&self.expression(inside[..close].trim(), context, names, seen)?);
            rest = &inside[close + 2..];
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn expression(
        &self,
        source: &str,
        context: &Value,
        names: &Names,
        seen: &mut Seen,
    ) -> Result<String, Problem> {
        let problem = |error: &minijinja::Error| Problem {
            message: format!("`{{{{ {source} }}}}`: {}", describe(error)),
            help: None,
        };
        if source.len() > LONGEST_EXPRESSION {
            let (start, end) = (source.floor_char_boundary(60), source.len());
            return Err(Problem {
                message: format!(
                    "the expression `{{{{ {}…` has {end} bytes",
                    &source[..start]
                ),
                help: Some(format!(
                    "an expression has at most {LONGEST_EXPRESSION} bytes"
                )),
            });
        }
        if repeats_a_list(source, Variables::Strings) {
            return Err(Problem {
                message: format!("`{{{{ {source} }}}}` repeats a list"),
                help: Some("`*` takes numbers, strings and variables".to_owned()),
            });
        }
        let compiled = self
            .environment
            .compile_expression(source)
            .map_err(|error| problem(&error))?;
        let mut variables: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
        variables.sort();
        let root = |variable: &String| variable.split('.').next().unwrap_or_default().to_owned();
        seen.volatile.extend(
            variables
                .iter()
                .filter(|v| matches!(root(v).as_str(), "now" | "git"))
                .cloned(),
        );
        let undefined = || {
            let missing = variables
                .iter()
                .find(|v| !names.has(v))
                .or(variables.first());
            missing.map_or_else(
                || Problem {
                    message: format!("`{{{{ {source} }}}}` has no value"),
                    help: None,
                },
                |variable| {
                    let (message, help) = names.explain(variable);
                    Problem { message, help }
                },
            )
        };
        match compiled.eval(context.clone()) {
            Ok(value) if value.is_undefined() => Err(undefined()),
            Ok(value) if !spend(&value, &mut { LARGEST_RESULT }) => Err(Problem {
                message: format!("`{{{{ {source} }}}}`: {TOO_MUCH}"),
                help: None,
            }),
            Ok(value) => {
                let text = value.to_string();
                // An escape sequence in the expression can produce a NUL that the file does not
                // contain.
                let nul = || Problem {
                    message: format!("`{{{{ {source} }}}}`: {NUL}"),
                    help: None,
                };
                if text.contains('\0') {
                    Err(nul())
                } else {
                    Ok(text)
                }
            }
            Err(error) if error.kind() == ErrorKind::UndefinedError => Err(undefined()),
            Err(error) => Err(problem(&error)),
        }
    }
}

impl Names {
    fn has(&self, variable: &str) -> bool {
        match variable.split_once('.') {
            None => variable == "now" || self.tables.contains_key(variable),
            Some((root, key)) => self
                .tables
                .get(root)
                .is_some_and(|table| table.contains_key(key)),
        }
    }
}

/// The problem of an expression that exceeds a limit.
const TOO_MUCH: &str = "it needs too many steps or produces too much text";

/// Subtracts the size of a value from `left`. Returns false, without reading the rest of the value,
/// if it is larger.
fn spend(value: &Value, left: &mut usize) -> bool {
    let own = value.as_str().map_or(1, |text| text.len() + 1);
    let Some(rest) = left.checked_sub(own) else {
        return false;
    };
    *left = rest;
    if value.as_str().is_some() {
        return true;
    }
    let Ok(mut items) = value.try_iter() else {
        return true;
    };
    let is_map = value.kind() == ValueKind::Map;
    items.all(|item| {
        let entry = is_map.then(|| value.get_item(&item).unwrap_or_default());
        spend(&item, left) && entry.is_none_or(|entry| spend(&entry, left))
    })
}

fn describe(error: &minijinja::Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return TOO_MUCH.to_owned();
    }
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

struct Problem {
    message: String,
    help: Option<String>,
}

/// Finds the `}}` that ends an expression. Ignores braces in quotes and those that close a `{` of
/// the expression.
fn end_of(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut open = 0_usize;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '{') => open += 1,
            (None, '}') if open > 0 => open -= 1,
            (None, '}') if text[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    None
}

struct Filling<'a> {
    strings: &'a Strings,
    context: Option<Value>,
    names: &'a Names,
    files: &'a SourceFiles,
    found: &'a mut Diagnostics,
}

impl Filling<'_> {
    fn table(&mut self, table: &mut SpecTable<'_>, volatile_is_fine: bool) {
        for (key, value) in table.iter_mut() {
            // The other tables are inputs of the image.
            let is_no_input = matches!(&**key.get_ref(), "tags" | "test");
            self.value(value, volatile_is_fine || is_no_input);
        }
    }

    fn value(&mut self, value: &mut document::Value<'_>, volatile_is_fine: bool) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) if text.contains("{{") => {
                if let Some(filled) = self.string(text, &span, volatile_is_fine) {
                    *text = Cow::Owned(filled);
                }
            }
            DeValue::Array(items) => items
                .iter_mut()
                .for_each(|item| self.value(item, volatile_is_fine)),
            DeValue::Table(table) => table
                .iter_mut()
                .for_each(|(_, v)| self.value(v, volatile_is_fine)),
            _ => {}
        }
    }

    fn string(
        &mut self,
        text: &str,
        span: &Range<usize>,
        volatile_is_fine: bool,
    ) -> Option<String> {
        let context = self
            .context
            .get_or_insert_with(|| self.names.value())
            .clone();
        let mut seen = Seen::default();
        let result = self.strings.text(text, &context, self.names, &mut seen);
        if let (false, Some(name)) = (volatile_is_fine, seen.volatile.first()) {
            let message = format!(
                "`{name}` changes the image with every commit or run, so its build is never skipped"
            );
            let warning = Diagnostic::warning("spec.volatile", message);
            self.found.push(
                self.files
                    .at(warning, span, "")
                    .help("use it only in [tags]"),
            );
        }
        match result {
            Ok(filled) => Some(filled),
            Err(problem) => {
                let mut diagnostic =
                    self.files
                        .at(Diagnostic::error(TEMPLATE, problem.message), span, "");
                diagnostic.help = problem.help;
                self.found.push(diagnostic);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let vars = BTreeMap::from([
            ("team".to_owned(), "platform".to_owned()),
            ("odd".to_owned(), "{{ x }}".to_owned()),
        ]);
        let names = Names::new("2026-01-01T00:00:00Z").with("vars", vars);
        let strings = Strings::default();
        let context = names.value();
        strings
            .text(text, &context, &names, &mut Seen::default())
            .map_err(|problem| problem.message)
    }

    #[test]
    fn only_double_braces_are_special() {
        for (text, expected) in [
            ("", ""),
            ("{% if x %} {# no #}\n", "{% if x %} {# no #}\n"),
            ("a {{ vars.team }} b", "a platform b"),
            ("{{vars.team}}{{ vars.team | upper }}", "platformPLATFORM"),
            ("{{ '{{' }} {{ '}}' }}", "{{ }}"),
            ("{{ vars.odd }}", "{{ x }}"),
            ("{{ {'a': {'b': 'c'}}.a.b }}", "c"),
            ("{{ '<&>' }}", "<&>"),
            ("{{ vars.none | default('x') }}", "x"),
            ("}} { }", "}} { }"),
            ("${HOME} $(x)", "${HOME} $(x)"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_undefined_name_is_an_error() {
        insta::assert_debug_snapshot!(
            ["{{ vars.teem }}", "{{ env.HOME }}", "{{ vars.team.x }}", "{{", "{{ }}", "{{ 1 + }}", "{{ vars.team | nope }}"]
                .map(|text| filled(text).unwrap_err()),
            @r#"
        [
            "`vars.teem` is not defined",
            "`env` is not defined",
            "`vars.team.x` is not defined",
            "`{{` without `}}`",
            "`{{  }}`: unexpected end of input, expected expression",
            "`{{ 1 + }}`: unexpected end of input, expected expression",
            "`{{ vars.team | nope }}`: filter nope is unknown",
        ]
        "#
        );
    }

    #[test]
    fn expressions_have_limits_of_time_memory_and_depth() {
        let message = |inside: &str| filled(&format!("{{{{ {inside} }}}}")).unwrap_err();
        for inside in [
            "range(99999) | join('x' * 60000)",
            "'x' * 100000000",
            "range(100000) | map('string') | join | length",
            "range(99999) | list | join(range(9999) | join)",
            "(('x' * 9999) | replace('x', 'x' * 9999)) | replace('x', 'x' * 9999)",
            "'%999999999d' | format(1)",
            "'x' | indent(999999999, true)",
            "[[1] * 9999] * 9999 * 9999 | string",
            "['a'] * 100000000",
            "[['a'] * 100000000]",
            "{'a': ['a'] * 100000000}",
            "(['a'] * 100000000) ~ ''",
            "(['a'] * 100000000) | upper",
            "'b' in ['a'] * 100000000",
        ] {
            assert!(!message(inside).is_empty(), "{inside}");
        }
        assert!(
            message("range(99999) | join('xxxxxxxxxxxxxxxxxxxxxxxxx')").ends_with("too much text")
        );
        for deep in [
            "(".repeat(50_000),
            "1".to_owned() + &"+1".repeat(50_000),
            "not ".repeat(50_000),
        ] {
            assert!(
                message(&deep).ends_with(" bytes") || message(&deep).contains("without"),
                "{deep:.20}"
            );
        }
        for deep in [
            "(".repeat(1900),
            "-".repeat(1900),
            "[".repeat(1900),
            "not ".repeat(450),
            "x.".repeat(900),
        ] {
            message(&deep);
        }
        drop(filled(&format!("{{{{ 1{} }}}}", "+1".repeat(900))));
        drop(filled(&format!("{{{{ 1{} }}}}", "|e".repeat(900))));
    }

    proptest::proptest! {
        #[test]
        fn no_text_causes_a_panic(text in ".*") {
            drop(filled(&text));
            drop(filled(&format!("{{{{ {text} }}}}")));
        }

        #[test]
        fn text_without_double_braces_is_kept(text in "[^{]*") {
            proptest::prop_assert_eq!(filled(&text), Ok(text));
        }
    }
}
