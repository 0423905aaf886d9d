//! The branches of a tree of text.

/// The branches in front of each entry below the root of a tree. The entries are listed depth
/// first; those of depth 0 are directly below the root.
pub(super) fn branches(depths: &[usize]) -> Vec<String> {
    let of_entry = |(n, own): (usize, &usize)| {
        let later = &depths[n + 1..];
        let above = (0..*own).map(|depth| {
            if has_sibling(later, depth) {
                "│   "
            } else {
                "    "
            }
        });
        let branch = if has_sibling(later, *own) {
            "├── "
        } else {
            "└── "
        };
        above.chain([branch]).collect()
    };
    depths.iter().enumerate().map(of_entry).collect()
}

/// True if an entry of this depth follows before the tree returns to a lower depth.
fn has_sibling(later: &[usize], depth: usize) -> bool {
    let next = later.iter().find(|other| **other <= depth);
    next == Some(&depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_end_at_the_last_sibling() {
        let expected = [
            "├── ",
            "│   ├── ",
            "│   │   └── ",
            "│   └── ",
            "└── ",
            "    └── ",
        ];
        assert_eq!(branches(&[0, 1, 2, 1, 0, 1]), expected);
        assert_eq!(branches(&[]), Vec::<String>::new());
    }
}
