//! Loads an assembled image into a Docker Engine, as `docker load` does (`--load`).

use crate::assemble::Assembled;
use crate::engine::Docker;
use crate::image::Blobs;
use crate::reference::Reference;
use crate::registry::Registries;

use super::failed::Failed;

/// Streams the image into the engine, as a docker archive with the tags `names`.
pub(super) async fn load(
    docker: &Docker,
    assembled: &Assembled,
    names: &[Reference],
    registries: &Registries,
) -> Result<(), Failed> {
    Ok(docker
        .load_assembled(assembled, names, &Blobs::new(registries.clone()))
        .await?)
}
