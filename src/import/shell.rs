//! Splits the script of a `RUN` into its commands.

/// A command of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShellCommand {
    /// Its text, with quotes and variables.
    pub(super) text: String,
    /// Its words without quotes; `None` if the command is more than words: it has a pipe, a
    /// redirection, a substitution or a variable.
    pub(super) words: Option<Vec<String>>,
}

/// The words that begin a command of several commands.
const KEYWORDS: [&str; 13] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "function",
    "!",
];

/// The commands of a script in which each runs only if the one before it succeeds. `None` for every
/// other script. Commands may be separated by `;` after `set -e`.
pub(super) fn commands(script: &str) -> Option<Vec<ShellCommand>> {
    let mut splitter = Splitter::default();
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        splitter.add(c, chars.peek().copied(), &mut chars)?;
    }
    splitter.end()?;
    let is_compound = |command: &ShellCommand| {
        let first = command.text.split_whitespace().next().unwrap_or_default();
        KEYWORDS.contains(&first) || first.starts_with(['{', '('])
    };
    let commands = splitter.commands;
    (splitter.quote.is_none() && !commands.is_empty() && !commands.iter().any(is_compound))
        .then_some(commands)
}

#[derive(Default)]
struct Splitter {
    commands: Vec<ShellCommand>,
    text: String,
    words: Vec<String>,
    /// True between the first and the last character of a word.
    in_word: bool,
    /// True if the command is more than words.
    is_complex: bool,
    quote: Option<char>,
    /// The number of open `$(`.
    depth: usize,
    /// True if an earlier command was `set -e`.
    stops: bool,
}

impl Splitter {
    fn add(
        &mut self,
        c: char,
        next: Option<char>,
        chars: &mut impl Iterator<Item = char>,
    ) -> Option<()> {
        match (c, self.quote) {
            ('\\', None | Some('"')) => self.escaped(chars.next()?),
            (c, Some(open)) => {
                if c == open {
                    self.quote = None;
                } else {
                    self.is_complex |= open == '"' && matches!(c, '$' | '`');
                    self.push(c);
                }
                self.text.push(c);
            }
            ('\'' | '"', None) => {
                self.quote = Some(c);
                self.begin();
                self.text.push(c);
            }
            ('`', None) => return None,
            ('(', None) => {
                self.is_complex = true;
                self.depth += 1;
                self.text.push(c);
            }
            (')', None) => {
                self.depth = self.depth.checked_sub(1)?;
                self.text.push(c);
            }
            (c, None) if self.depth > 0 => self.text.push(c),
            ('&', None) if next == Some('&') => {
                chars.next();
                self.end()?;
            }
            ('&', None) => {
                // A descriptor, as in `2>&1`, is not a separator.
                if !self.text.ends_with(['>', '<']) && next != Some('>') {
                    return None;
                }
                self.is_complex = true;
                self.text.push(c);
            }
            ('|', None) if next == Some('|') => return None,
            ('|' | '<' | '>' | '$', None) => {
                self.is_complex = true;
                self.begin();
                self.text.push(c);
            }
            ('#', None) if !self.in_word => return None,
            (';' | '\n', None) => self.separate(c)?,
            (c, None) if c.is_whitespace() => {
                self.in_word = false;
                self.text.push(c);
            }
            (c, None) => {
                self.push(c);
                self.text.push(c);
            }
        }
        Some(())
    }

    fn escaped(&mut self, next: char) {
        self.text.push('\\');
        self.text.push(next);
        if self.quote == Some('"') && !matches!(next, '"' | '$' | '\\' | '`') {
            self.push('\\');
        }
        self.push(next);
    }

    /// Begins a word.
    fn begin(&mut self) {
        if !self.in_word {
            self.in_word = true;
            self.words.push(String::new());
        }
    }

    fn push(&mut self, c: char) {
        self.begin();
        if let Some(word) = self.words.last_mut() {
            word.push(c);
        }
    }

    /// Ends a command at `;` or at the end of a line.
    fn separate(&mut self, separator: char) -> Option<()> {
        if self.text.trim().is_empty() {
            return (separator == '\n').then_some(());
        }
        self.end()?;
        self.stops.then_some(())
    }

    /// Ends a command.
    fn end(&mut self) -> Option<()> {
        let text = std::mem::take(&mut self.text).trim().to_owned();
        let words = std::mem::take(&mut self.words);
        self.in_word = false;
        if self.depth > 0 {
            return None;
        }
        if text.is_empty() {
            // `a &&` and nothing else is an error; a `;` at the end is not.
            return (!self.commands.is_empty() && self.stops).then_some(());
        }
        self.stops |= sets_errexit(&words);
        let words = (!std::mem::take(&mut self.is_complex)).then_some(words);
        self.commands.push(ShellCommand { text, words });
        Some(())
    }
}

/// True if the command is `set` with the flag `e`, such as `set -e` or `set -eux`.
fn sets_errexit(words: &[String]) -> bool {
    let is_flag =
        |word: &String| word.starts_with('-') && !word.starts_with("--") && word[1..].contains('e');
    words.first().is_some_and(|word| word == "set")
        && (words[1..].iter().any(is_flag) || words.iter().any(|word| word == "errexit"))
}

/// True if `set -e` cannot change a script: it is one command, or a list of `&&`.
pub(super) fn is_and_list(script: &str) -> bool {
    !script.contains([';', '\n']) && commands(script).is_some()
}

/// Quotes a text for the shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._:@%+,=-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Quotes words for the shell, and joins them.
pub(super) fn quoted_words(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Option<Vec<String>> {
        let shown = |command: ShellCommand| match command.words {
            Some(words) => words.join("|"),
            None => format!("<{}>", command.text),
        };
        Some(commands(script)?.into_iter().map(shown).collect())
    }

    #[test]
    fn lists_are_split_into_commands() {
        for (script, expected) in [
            ("a", Some(&["a"][..])),
            ("a b  && c \"d e\" 'f'", Some(&["a|b", "c|d e|f"])),
            (
                "a && b | c && d > e 2>&1",
                Some(&["a", "<b | c>", "<d > e 2>&1>"]),
            ),
            ("set -eux; a; b;", Some(&["set|-eux", "a", "b"])),
            ("set -e\na\n\nb\n", Some(&["set|-e", "a", "b"])),
            (
                "a $X && b=$(c && d) && e",
                Some(&["<a $X>", "<b=$(c && d)>", "e"]),
            ),
            ("a \"x && y\" && b\\ c", Some(&["a|x && y", "b c"])),
            ("a=7.* b", Some(&["a=7.*|b"])),
            ("a; b", None),
            ("a || b", None),
            ("a & b", None),
            ("a `b`", None),
            ("if a; then b; fi", None),
            ("set -e; if a; then b; fi", None),
            ("(a)", None),
            ("{ a && b; }", None),
            ("a 'b", None),
            ("a && # b", None),
            ("", None),
        ] {
            let expected = expected.map(|words| words.iter().map(|w| (*w).to_owned()).collect());
            assert_eq!(texts(script), expected, "{script}");
        }
    }

    #[test]
    fn only_lists_are_independent_of_set_e() {
        for (script, expected) in [
            ("a && b | c", true),
            ("a", true),
            ("a; b", false),
            ("a || b", false),
            ("x=$(a) && b ${c}", true),
        ] {
            assert_eq!(is_and_list(script), expected, "{script}");
        }
    }

    #[test]
    fn texts_are_quoted_for_the_shell() {
        for (text, expected) in [
            ("a/b", "a/b"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_script_makes_it_panic(script in "[a-z&|;()$`\"'\\\\ #\n<>]{0,40}") {
            drop(commands(&script));
        }
    }
}
