//! Finds repetitions of lists, such as `[1] * 100000000`, in template expressions.
//!
//! The template engine computes such a list only when it is converted to text, and then ignores the
//! limits of time and memory. No expression needs one.

/// A part of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExpressionToken<'s> {
    /// A string; its content is skipped.
    Text,
    /// A number, a name or a path of names.
    Word(&'s str),
    /// `**`.
    Power,
    Sign(char),
}

/// The values that variables of an expression can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variables {
    /// Only strings, as in the strings of a spec.
    Strings,
    /// Also lists, as in a template. The names in `loop` are numbers.
    Any,
}

/// True if an operand of `*` in the expression may be a list: it is not a number, a string, or a
/// variable that holds none.
#[must_use]
pub fn repeats_a_list(expression: &str, variables: Variables) -> bool {
    let is_list = |word: &str| {
        let is_number = word.starts_with(|c: char| c.is_ascii_digit()) || word.starts_with("loop.");
        variables == Variables::Any && !is_number
    };
    let tokens = tokens(expression);
    let at = |index: usize| tokens.get(index).copied();
    tokens.iter().enumerate().any(|(index, token)| {
        let before = |steps: usize| index.checked_sub(steps).and_then(at);
        let is_product = !matches!(before(1), None | Some(ExpressionToken::Sign('(' | ',')));
        let left = match before(1) {
            Some(ExpressionToken::Text) => false,
            Some(ExpressionToken::Word(word)) => {
                is_list(word) || before(2) == Some(ExpressionToken::Sign('|'))
            }
            _ => true,
        };
        let start = index + 1 + usize::from(at(index + 1) == Some(ExpressionToken::Sign('-')));
        let right = match at(start) {
            Some(ExpressionToken::Text) => false,
            Some(ExpressionToken::Word(word)) => {
                is_list(word) || at(start + 1) == Some(ExpressionToken::Sign('('))
            }
            _ => true,
        };
        *token == ExpressionToken::Sign('*') && is_product && (left || right)
    })
}

fn tokens(expression: &str) -> Vec<ExpressionToken<'_>> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' => (ExpressionToken::Text, string(rest, first)),
            '*' if rest.starts_with("**") => (ExpressionToken::Power, 2),
            c if is_word(c) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (ExpressionToken::Word(&rest[..length]), length)
            }
            other => (ExpressionToken::Sign(other), other.len_utf8()),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The length of the string at the start of `text`, with its quotes.
fn string(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_with_an_operand_that_may_be_a_list_is_found() {
        for expression in [
            "['a'] * 100000000",
            "100000000*['a']",
            "(['a']) * 9",
            "9 * (['a'])",
            "9 * -['a']",
            "range(9) * 9",
            "9 * range(9)",
            "'a b' | split * 9",
            "x['a'] * 9",
            "'*' ~ [1]*9",
            "{'a': [1]} * 2",
        ] {
            assert!(
                repeats_a_list(expression, Variables::Strings),
                "{expression}"
            );
        }
        for expression in [
            "",
            "'x' * 3",
            "3 * \"x\"",
            "vars.a * 3",
            "loop.index*2",
            "2 * -3",
            "[1, 2] | join('*')",
            "'[1] * 9'",
            "'\\'' ~ 'a' * 2",
            "2 ** 3",
            "f(*args)",
            "1 + 2",
        ] {
            assert!(
                !repeats_a_list(expression, Variables::Strings),
                "{expression}"
            );
        }
        for expression in ["x * 9", "9 * x", "9 * a.loop"] {
            assert!(repeats_a_list(expression, Variables::Any), "{expression}");
        }
        for expression in ["9 * 9", "loop.index * 2", "'x' * loop.index0"] {
            assert!(!repeats_a_list(expression, Variables::Any), "{expression}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_expression_causes_a_panic(text in "([*'\"()|\\\\.a1 -]|\\PC){0,30}") {
            let _is_found = repeats_a_list(&text, Variables::Any);
        }
    }
}
