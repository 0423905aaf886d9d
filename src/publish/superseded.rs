//! Lists of referrers under fallback tags that a newer list has replaced. A registry keeps them as
//! manifests without a tag.

use crate::image::Inventory;
use crate::reference::Digest;
use crate::registry::{Error, Repo};

/// Deletes replaced lists that no tag and no index references. A registry that refuses the deletion
/// keeps them: they cost only space.
pub(super) async fn remove_superseded(repo: &Repo, lists: &[Digest]) {
    if lists.is_empty() {
        return;
    }
    if let Err(error) = remove(repo, lists).await {
        tracing::debug!(%error, "replaced lists of referrers are kept");
    }
}

async fn remove(repo: &Repo, lists: &[Digest]) -> Result<(), Error> {
    let inventory = Inventory::read(repo).await?;
    let is_free =
        |list: &&Digest| inventory.naming(list).is_empty() && inventory.needing(list).is_empty();
    for list in lists.iter().filter(is_free) {
        repo.delete(list).await?;
    }
    Ok(())
}
