//! Loading an assembled image into a Docker Engine, as `docker load` does (`--load`).

use crate::assemble::Assembled;
use crate::engine::Docker;
use crate::reference::Reference;
use crate::registry::Registries;
use crate::store::destination::Named;
use crate::store::{Blobs, archive};

use super::failed::Failed;

/// How much of the archive is under way at once.
const PIPE: usize = 256 * 1024;

/// Streams the image, as a docker archive that names it `names`, into the engine.
pub(super) async fn load(
    docker: &Docker,
    assembled: &Assembled,
    names: &[Reference],
    registries: &Registries,
) -> Result<(), Failed> {
    let blobs = Blobs::new(registries.clone());
    let named = [Named { image: assembled, references: names.to_vec() }];
    let (reader, mut writer) = tokio::io::duplex(PIPE);
    let write = async {
        let written = archive::write(&mut writer, &named, &blobs).await;
        drop(writer);
        written
    };
    let (written, loaded) = tokio::join!(write, docker.load(reader));
    // When the engine stops reading, writing fails too: its own words come first.
    loaded?;
    Ok(written?)
}
