//! Loading an assembled image into a Docker Engine, as `docker load` does (`--load`).

use crate::assemble::Assembled;
use crate::engine::Docker;
use crate::reference::Reference;
use crate::registry::Registries;
use crate::resolve::image::Layout;
use crate::store::destination::Named;
use crate::store::{Blobs, archive};

use super::failed::Failed;

/// How much of the archive is under way at once.
const PIPE: usize = 256 * 1024;

/// Loads an image of a layout, which is to be built on, unless the engine has it already. What it is called there.
pub(super) async fn base(
    docker: &Docker,
    layout: &Layout,
    image: &Assembled,
    registries: &Registries,
) -> Result<Reference, Failed> {
    let name: Reference =
        layout.local_name().parse().unwrap_or_else(|error| unreachable!("a digest in hex is a tag: {error}"));
    let platform = image.images.first().map(|image| &image.platform);
    let there = docker.image(&name).await?;
    if there.is_none_or(|there| Some(&there.platform) != platform) {
        load(docker, image, std::slice::from_ref(&name), registries).await?;
    }
    Ok(name)
}

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
