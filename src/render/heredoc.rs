//! Here-documents of a Dockerfile
//! (<https://docs.docker.com/reference/dockerfile/#here-documents>): the script of `RUN <<EOR` up
//! to the line `EOR`.

use std::collections::VecDeque;

/// The usual delimiter of a script.
const DELIMITER: &str = "EOR";

/// The longest line of a script, in bytes: parsers reject lines of 64 KiB.
const LONGEST_LINE: usize = 60_000;

/// True if a heredoc gives a script to the shell unchanged. Builders disagree on carriage returns
/// and reject long lines. A heredoc always ends in a newline, which changes a script whose last
/// line is continued.
pub(super) fn holds(script: &str) -> bool {
    let is_kept = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    let lines_fit = script.lines().all(|line| line.len() <= LONGEST_LINE);
    script.chars().all(is_kept) && lines_fit && (script.ends_with('\n') || !is_open_at_end(script))
}

/// True if a newline at the end could change a script: its last line ends in a backslash, or may be
/// in a here-document of the shell that has no end.
fn is_open_at_end(script: &str) -> bool {
    let mut open: VecDeque<String> = VecDeque::new();
    for line in script.split('\n') {
        match open.front() {
            Some(delimiter) if is_end(line, delimiter) => drop(open.pop_front()),
            Some(_) => {}
            None => open.extend(shell_delimiters(line)),
        }
    }
    script.ends_with('\\') || !open.is_empty()
}

/// The delimiters after each `<<` in a line of a shell script. A `<<` that opens no here-document
/// counts too.
fn shell_delimiters(line: &str) -> impl Iterator<Item = String> {
    line.split("<<").skip(1).map(|rest| {
        let ends = |c: char| c.is_whitespace() || ";|&<>()".contains(c);
        let word = rest.trim_start_matches('-').trim_start();
        let word = word.split(ends).next().unwrap_or_default();
        word.replace(['"', '\'', '\\'], "")
    })
}

/// A delimiter that the script does not contain.
pub(super) fn delimiter(script: &str) -> String {
    let mut delimiter = DELIMITER.to_owned();
    let mut number = 2;
    while script.contains(&delimiter) {
        delimiter = format!("{DELIMITER}{number}");
        number += 1;
    }
    delimiter
}

/// The delimiters of the heredocs that an instruction opens, in order. Only `RUN`, `COPY` and `ADD`
/// have heredocs, and a JSON list has none.
pub(crate) fn opened_by(instruction: &str) -> Vec<String> {
    let keyword = instruction.split_whitespace().next().unwrap_or_default();
    let can_open = ["RUN", "COPY", "ADD"]
        .iter()
        .any(|name| keyword.eq_ignore_ascii_case(name));
    if !can_open || instruction.contains('[') {
        return Vec::new();
    }
    instruction
        .split_whitespace()
        .filter_map(|word| {
            word.trim_start_matches(|c: char| c.is_ascii_digit())
                .strip_prefix("<<")
        })
        .map(|word| {
            word.trim_start_matches('-')
                .trim_matches(['"', '\''])
                .to_owned()
        })
        .filter(|word| !word.is_empty() && !word.starts_with('<'))
        .collect()
}

/// True if a line ends a heredoc. `<<-` allows tabs before the delimiter.
pub(crate) fn is_end(line: &str, delimiter: &str) -> bool {
    line.trim_start_matches('\t') == delimiter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_a_heredoc_would_change_are_detected() {
        for script in [
            "",
            "echo a",
            "echo a\n",
            "echo  \n\n  \n\techo b  ",
            "echo a \\\n",
            "cat <<X\na\nX",
            "cat <<-'X' > a\n\ta\n\tX",
            "cat <<X\na\nX\n",
            "cat <<\\X | tr a b\na\nX\necho done",
            "cat << 'A'; cat <<\"B\"\na\nA\nb\nB",
            "cat <<X\nopen\n",
            "echo $HOME `x` \\$x é",
        ] {
            assert!(holds(script), "{script:?}");
        }
        for script in [
            "echo a\r\necho b",
            "a\u{1}",
            "echo a \\",
            "cat <<X\nopen",
            "cat <<A <<B\nA",
            "echo $((1 << 2))",
        ] {
            assert!(!holds(script), "{script:?}");
        }
        assert!(!holds(&"x".repeat(60_001)));
    }

    #[test]
    fn the_delimiter_is_not_in_the_script() {
        assert_eq!(delimiter("echo"), "EOR");
        assert_eq!(delimiter("cat <<EOR\nEOR\n"), "EOR2");
        assert_eq!(delimiter("EOR2"), "EOR3");
    }

    #[test]
    fn the_heredocs_of_an_instruction_are_found() {
        for (instruction, expected) in [
            ("RUN <<EOR", &["EOR"][..]),
            ("run --mount=type=secret,id=a <<-\"X\"", &["X"]),
            ("COPY <<a <<'b' /x/", &["a", "b"]),
            ("RUN 3<<EOF cat", &["EOF"]),
            ("RUN cat <<< x", &[]),
            ("COPY [\"<<x\", \"/\"]", &[]),
            ("LABEL a=\"x <<EOR\"", &[]),
            ("CMD cat <<X", &[]),
        ] {
            assert_eq!(opened_by(instruction), expected, "{instruction}");
        }
    }
}
