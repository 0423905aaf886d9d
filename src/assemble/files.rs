//! The layer of files: what `[[files]]` places, and the folder that `workdir` makes.

use super::Stop;
use super::overlay::Overlay;
use super::owners;
use super::tree::{Node, Tree};
use crate::oci::tar::{Entry, EntryKind};
use crate::resolve::ResolvedImage;
use crate::resolve::image::FileKind;

/// Places the files of an image, in the order of the spec: a later one wins.
pub fn place(image: &ResolvedImage, base: Tree<'_>, overlay: &mut Overlay<'_>) -> Result<(), Stop> {
    for file in &image.files {
        let path = file.path.trim_start_matches('/');
        if path.is_empty() {
            continue;
        }
        let (uid, gid) = owners::resolve(&file.owner, base, &file.path)?;
        let (mode, kind) = match &file.kind {
            FileKind::File(content) => (file.mode, EntryKind::File(content.clone())),
            FileKind::Directory => (file.mode, EntryKind::Directory),
            // The mode of a link means nothing; Linux shows this one.
            FileKind::Symlink(target) => (0o777, EntryKind::Symlink(target.clone())),
        };
        overlay.place(Entry { path: path.to_owned(), mode, uid, gid, kind })?;
    }
    Ok(())
}

/// Makes the working directory where there is none yet, as `WORKDIR` does. The base's own is there.
pub fn workdir(image: &ResolvedImage, inherited: &str, overlay: &mut Overlay<'_>) -> Result<(), Stop> {
    let Some(workdir) = image.config.workdir.as_deref().filter(|workdir| *workdir != inherited) else {
        return Ok(());
    };
    let path = overlay.resolve(workdir)?;
    // Anything else than a folder is in its way, and no container would start there.
    if path.is_empty() || overlay.entry(&path)?.is_some_and(Node::is_folder) {
        return Ok(());
    }
    overlay.folder(&path, &path)
}
