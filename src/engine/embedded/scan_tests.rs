//! Property tests: reading a random or damaged archive terminates, and every path stays below the
//! root.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::scan::scan;
use crate::assemble::tree::{LayerIndex, ancestors};
use crate::reference::Digest;

fn read(bytes: &[u8]) -> Option<(LayerIndex, Digest)> {
    scan(bytes, bytes.len() as u64, &BTreeSet::from(["w".to_owned()])).ok()
}

/// Asserts that no path leads out of the root, and that the index contains every parent directory
/// of an entry.
fn assert_valid_paths(index: &LayerIndex) {
    for path in index.entries.keys().chain(&index.whiteouts) {
        let parts = || path.split('/');
        assert!(
            parts().all(|part| !["", ".", ".."].contains(&part)),
            "{path:?}"
        );
    }
    for path in index.entries.keys() {
        assert!(
            ancestors(path).all(|above| index.entries.contains_key(above)),
            "{path:?}"
        );
    }
}

/// An entry: its name, its type, and its content or link target.
fn entry() -> impl Strategy<Value = (String, u8, Vec<u8>)> {
    let name = "(\\./|/)?([a-w]{1,3}|\\.wh\\.[a-w.]{0,6}|\\.|\\.\\.)(/([a-w]{1,3}|\\.\\.|\\.wh\\.\\.wh\\.\\.opq)){0,4}/?";
    let kind = prop::sample::select(b"0125367xgLKS\0".to_vec());
    (name, kind, prop::collection::vec(any::<u8>(), 0..700))
}

/// Writes an archive without any checks.
fn archive(entries: &[(String, u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        let target = content.len().min(100);
        header.as_mut_bytes()[157..157 + target].copy_from_slice(&content[..target]);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

proptest! {
    #[test]
    fn reading_random_bytes_terminates(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        if let Some((index, _)) = read(&bytes) {
            assert_valid_paths(&index);
        }
    }

    #[test]
    fn entries_of_any_name_and_kind_stay_below_the_root(entries in prop::collection::vec(entry(), 0..8)) {
        let bytes = archive(&entries);
        if let Some((index, diff_id)) = read(&bytes) {
            assert_valid_paths(&index);
            prop_assert_eq!(diff_id, Digest::of(&bytes));
        }
    }

    #[test]
    fn reading_a_damaged_archive_terminates(
        entries in prop::collection::vec(entry(), 1..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        fix in any::<bool>(),
    ) {
        let mut bytes = archive(&entries);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if fix {
            // With a valid checksum, the reader uses the damaged header.
            for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
                let mut header = tar::Header::new_gnu();
                header.as_mut_bytes().copy_from_slice(block);
                header.set_cksum();
                block.copy_from_slice(header.as_bytes());
            }
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Some((index, _)) = read(bytes) {
                assert_valid_paths(&index);
            }
        }
    }
}
