//! The order of versions of Go, Cargo, `NuGet` and Maven, which is similar to that of semantic
//! versions (<https://semver.org/#spec-item-11>).

use std::cmp::Ordering;

/// Compares two versions. Missing numbers are 0, and a version with a text after its numbers is
/// older than one without. The texts after `+` do not count.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let ((numbers_a, text_a), (numbers_b, text_b)) = (parts(a), parts(b));
    order(numbers_a, numbers_b, "0").then_with(|| match (text_a, text_b) {
        ("", "") => Ordering::Equal,
        ("", _) => Ordering::Greater,
        (_, "") => Ordering::Less,
        (a, b) => order(a, b, ""),
    })
}

/// The numbers of a version, and the text after them.
fn parts(version: &str) -> (&str, &str) {
    let version = ["v", "go"]
        .iter()
        .find_map(|prefix| {
            let rest = version.strip_prefix(prefix)?;
            rest.starts_with(|c: char| c.is_ascii_digit())
                .then_some(rest)
        })
        .unwrap_or(version);
    let version = version.split('+').next().unwrap_or(version);
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (numbers, text) = version.split_at(end.unwrap_or(version.len()));
    (numbers.trim_end_matches('.'), text.trim_start_matches('-'))
}

/// Compares texts by their parts between dots. Numbers are older than words.
fn order(a: &str, b: &str, missing: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (one, other) = (a.next(), b.next());
        if one.is_none() && other.is_none() {
            return Ordering::Equal;
        }
        let (one, other) = (one.unwrap_or(missing), other.unwrap_or(missing));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        let order = match (is_number(one), is_number(other)) {
            (true, true) => {
                let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
                one.len().cmp(&other.len()).then_with(|| one.cmp(other))
            }
            (true, false) if !other.is_empty() => Ordering::Less,
            (false, true) if !one.is_empty() => Ordering::Greater,
            _ => one.cmp(other),
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_numbers_and_then_by_the_text_after_them() {
        let ordered = [
            "(devel)",
            "v0.0.0-20200101000000-abc",
            "v0.0.0-20210101000000-abc",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-rc.2",
            "1.0.0-rc.10",
            "go1",
            "1.0.1",
            "v1.2+incompatible",
            "1.2.0.1",
            "1.10",
            "13.0.3",
        ];
        for (at, old) in ordered.iter().enumerate() {
            for new in &ordered[at + 1..] {
                assert_eq!(compare(old, new), Ordering::Less, "{old} < {new}");
                assert_eq!(compare(new, old), Ordering::Greater, "{old} < {new}");
            }
            assert_eq!(compare(old, old), Ordering::Equal);
        }
        for (a, b) in [("v1.2.0", "1.2"), ("1.0+a", "1.0.0"), ("go1.22.0", "1.22")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} = {b}");
        }
    }
}
