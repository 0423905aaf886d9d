//! Reads the file trees of a docker archive. Each layer is scanned while the archive is read; its
//! content is not stored.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use super::super::embedded::scan_layer;
use super::archive::{link_target, missing, path, single};
use crate::assemble::tree::LayerIndex;

/// The largest `manifest.json`, in bytes.
const MANIFEST: u64 = 8 << 20;

/// A file of the archive.
enum ArchiveFile {
    Layer(Arc<LayerIndex>),
    /// A link to another file: an archive contains equal layers only once.
    Link(String),
    /// A file that is not a layer, and the error that the scan returned.
    Other(io::Error),
}

/// Reads the trees of the layers of an archive, the top layer first. Fails if the archive does not
/// contain exactly one image, or lacks one of its layers.
pub(in crate::engine) fn of_archive(
    archive: impl Read,
    wanted: &BTreeSet<String>,
) -> io::Result<Vec<Arc<LayerIndex>>> {
    let mut members = BTreeMap::new();
    let mut manifest = None;
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = path(&entry)?;
        let kind = entry.header().entry_type();
        if path == "manifest.json" {
            let mut bytes = Vec::new();
            entry.take(MANIFEST).read_to_end(&mut bytes)?;
            manifest = Some(bytes);
        } else if kind.is_symlink() || kind.is_hard_link() {
            let target = entry
                .link_name()?
                .map(|target| target.to_string_lossy().into_owned());
            let target = link_target(&path, &target.unwrap_or_default(), kind.is_symlink());
            members.insert(path, ArchiveFile::Link(target));
        } else if kind.is_file() {
            let size = entry.size();
            let member = match scan_layer(&mut entry, size, wanted) {
                Ok((index, _)) => ArchiveFile::Layer(Arc::new(index)),
                Err(error) => ArchiveFile::Other(error),
            };
            members.insert(path, member);
        }
    }
    let manifest = manifest.ok_or_else(|| missing("manifest.json"))?;
    let contents = single(&manifest)?;
    let tree = |path: &String| match find(&members, path) {
        Some(ArchiveFile::Layer(index)) => Ok(Arc::clone(index)),
        Some(ArchiveFile::Other(error)) => {
            Err(io::Error::other(format!("{path} in its archive: {error}")))
        }
        Some(ArchiveFile::Link(_)) | None => Err(missing(path)),
    };
    contents.layers.iter().rev().map(tree).collect()
}

/// Returns a file of the archive and follows links.
fn find<'m>(members: &'m BTreeMap<String, ArchiveFile>, path: &str) -> Option<&'m ArchiveFile> {
    match members.get(path)? {
        ArchiveFile::Link(target) => members.get(target),
        found => Some(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(members: &[(&str, &[u8])], link: Option<(&str, &str)>) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, bytes) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            tar.append_data(&mut header, path, *bytes).unwrap();
        }
        if let Some((path, target)) = link {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, path, target).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn the_layers_of_an_archive_are_read_from_the_top() {
        let (below, above) = (
            tar_of(&[("etc/passwd", b"root")], None),
            tar_of(&[("new", b"")], None),
        );
        let manifest =
            br#"[{"Config": "c.json", "Layers": ["a/layer.tar", "b/layer.tar", "c/layer.tar"]}]"#;
        let members: [(&str, &[u8]); 5] = [
            ("a/VERSION", b"1.0"),
            ("a/layer.tar", &below),
            ("c.json", b"{}"),
            ("c/layer.tar", &above),
            ("manifest.json", manifest),
        ];
        let archive = tar_of(&members, Some(("b/layer.tar", "../a/layer.tar")));
        let trees = of_archive(archive.as_slice(), &BTreeSet::new()).unwrap();
        let names: Vec<Vec<&str>> = trees
            .iter()
            .map(|tree| tree.entries.keys().map(String::as_str).collect())
            .collect();
        assert_eq!(
            names,
            [
                vec!["new"],
                vec!["etc", "etc/passwd"],
                vec!["etc", "etc/passwd"]
            ]
        );
    }

    #[test]
    fn an_archive_without_its_layers_is_refused() {
        let manifest: &[u8] = br#"[{"Config": "c.json", "Layers": ["a"]}]"#;
        for (members, expected) in [
            (vec![("manifest.json", manifest)], "its archive has no a"),
            (
                vec![("manifest.json", manifest), ("a", &b"nonsense"[..])],
                "a in its archive: ",
            ),
            (vec![("x", &b"y"[..])], "its archive has no manifest.json"),
        ] {
            let error =
                of_archive(tar_of(&members, None).as_slice(), &BTreeSet::new()).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
}
