//! Runs the tests of images.

use std::collections::BTreeMap;
use std::time::Instant;

use super::containers::Containers;
use super::readable::ReadableImage;
use crate::checks::{
    ImageFacts, TestedPlatform, evaluate, judge, need_one_run, needed_contents, needs_files,
};
use crate::event::Events;
use crate::image::{FileReader, LayerError};
use crate::inventory::{ImageFiles, LayerOwner};
use crate::resolve::image::ResolvedTest;

/// Runs the tests of images.
#[derive(Debug, Clone)]
pub struct Examiner {
    /// Reads the layers.
    pub reader: FileReader,
    /// Runs the commands.
    pub containers: Containers,
    /// Receives the progress.
    pub events: Events,
}

impl Examiner {
    /// Runs all tests on an image. `name` is the name of the image for events. Fails if a layer
    /// cannot be read.
    pub async fn examine(
        &self,
        name: &str,
        image: &ReadableImage,
        tests: &[ResolvedTest],
    ) -> Result<TestedPlatform, LayerError> {
        let commands = self.containers.run(image, tests).await;
        let (mut files, mut contents) = (ImageFiles::default(), BTreeMap::new());
        let needs_files = needs_files(tests);
        // The files of an image take much memory.
        let _turn = if needs_files {
            self.reader.turn().await
        } else {
            None
        };
        if needs_files {
            let layers = image.layers.iter().cloned();
            let layers: Vec<_> = layers.map(|layer| (layer, LayerOwner::Base)).collect();
            files = self.reader.merged(&layers, name, &self.events).await?;
            let needed = needed_contents(tests, &files);
            contents = self.reader.contents(&image.layers, needed).await?;
        }
        let inventory = files.inventory();
        let facts = ImageFacts {
            config: &image.config,
            files: &files,
            inventory: &inventory,
            contents: &contents,
            packed: image.packed(),
        };
        let tests = tests.iter().enumerate().map(|(number, test)| {
            let start = Instant::now();
            if let Some((attempt, duration)) = commands.get(&number) {
                let mut verdict = judge(test, attempt);
                verdict.duration = *duration;
                return verdict;
            }
            let mut verdict = evaluate(test, &facts);
            verdict.duration = start.elapsed();
            verdict
        });
        Ok(TestedPlatform {
            platform: image.platform.clone(),
            tests: tests.collect(),
        })
    }

    /// Runs all tests on the image of each platform. Fails if a layer cannot be read.
    pub async fn examine_all(
        &self,
        name: &str,
        images: &[ReadableImage],
        tests: &[ResolvedTest],
    ) -> Result<Vec<TestedPlatform>, LayerError> {
        let mut tested = Vec::with_capacity(images.len());
        for image in images {
            tested.push(self.examine(name, image, tests).await?);
        }
        need_one_run(&mut tested);
        Ok(tested)
    }
}
