//! Replaces `$NAME` and `${NAME}` in a text, as Go's `os.Expand` does.

/// Replaces the variables of a text by their values. A variable without a value is empty.
#[must_use]
pub fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if after.is_empty() {
            out.push('$');
        }
        let (name, length) = variable(after);
        match name {
            Some(name) => out.push_str(&value(name).unwrap_or_default()),
            None if length == 0 && !after.is_empty() => out.push('$'),
            None => {}
        }
        rest = &after[length..];
    }
    out + rest
}

/// The name at the start of a text after `$`, and the bytes that it takes with its braces. Braces
/// without a name are dropped.
fn variable(text: &str) -> (Option<&str>, usize) {
    let is_special = |byte: u8| b"*#$@!?-0123456789".contains(&byte);
    let bytes = text.as_bytes();
    match bytes {
        [b'{', special, b'}', ..] if is_special(*special) => (Some(&text[1..2]), 3),
        [b'{', ..] => match text.find('}') {
            Some(1) => (None, 2),
            Some(end) => (Some(&text[1..end]), end + 1),
            None => (None, 1),
        },
        [special, ..] if is_special(*special) => (Some(&text[..1]), 1),
        _ => {
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let end = bytes.iter().take_while(|byte| is_name(byte)).count();
            ((end > 0).then_some(&text[..end]), end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_as_in_go() {
        let value = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "A_b2" => Some("$A".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("a", "a"),
            ("$A", "1"),
            ("x${A}y$A.z", "x1y1.z"),
            ("$A_b2", "$A"),
            ("$B!", "!"),
            ("$", "$"),
            ("a$ b", "a$ b"),
            ("100$%", "100$%"),
            ("$$A", "A"),
            ("${}x", "x"),
            ("${A", "A"),
            ("$1$#", ""),
            ("${1}x", "x"),
            ("é${A}é$é", "é1é$é"),
        ] {
            assert_eq!(expand(text, value), expected, "{text}");
        }
    }
}
