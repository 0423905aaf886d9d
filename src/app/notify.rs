//! Notifies the receivers of `[[notify]]` that the tags of images moved.

use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::image_globs::ImageGlobs;
use super::settings::Settings;
use crate::config_files::notify_table::{NotifyEvent, NotifyTable};
use crate::notify::{CloudEvent, Sender};
use crate::reference::{Digest, Repository};
use crate::registry::{RegistryEnv, web_client};
use crate::workspace::Workspace;

/// The number of notifications that are sent at the same time.
const AT_ONCE: usize = 8;

/// An image whose tags moved.
#[derive(Debug, Clone)]
pub(super) struct MovedTags {
    /// The names that the globs of receivers select.
    pub(super) names: Vec<String>,
    /// The repository of the tags.
    pub(super) repository: Repository,
    /// The digest that the tags point to.
    pub(super) digest: Digest,
    /// The description of the moves.
    pub(super) data: Value,
}

/// Sends an event for each image to each receiver. A failure is a warning: the tags have moved.
pub(super) async fn notify(
    settings: &Settings,
    workspace: &Workspace,
    event: NotifyEvent,
    moved: &[MovedTags],
) {
    let tables = workspace.spec.notify.iter().filter(|one| one.is_on(event));
    let receivers = tables.map(|table| Receiver {
        table,
        images: ImageGlobs::new(table.images.as_ref()),
    });
    let receivers: Vec<Receiver<'_>> = receivers.collect();
    if receivers.is_empty() || moved.is_empty() {
        return;
    }
    let warn = |name: &str, image: &MovedTags, problem: &str| {
        let text = format!("the notification `{name}` was not sent: {problem}");
        settings
            .events
            .warn(image.names.first().map(String::as_str), text);
    };
    let client = match web_client(&RegistryEnv::from_vars(&settings.env)) {
        Ok(client) => client,
        Err(error) => {
            for receiver in &receivers {
                warn(receiver.table.shown_name(), &moved[0], &error.to_string());
            }
            return;
        }
    };
    let sender = Sender {
        root: workspace.root.clone(),
        environment: settings.environment(),
        client,
    };
    let sends = moved.iter().flat_map(|image| {
        let selected = receivers
            .iter()
            .filter(|one| one.images.select(&image.names));
        selected.map(move |receiver| (receiver, image))
    });
    let sends = sends.map(async |(receiver, image): (&Receiver<'_>, &MovedTags)| {
        let MovedTags {
            repository,
            digest,
            data,
            ..
        } = image;
        let event = CloudEvent::new(event, repository, digest, data.clone(), settings.now);
        if let Err(problem) = sender.send(receiver.table, &event).await {
            warn(receiver.table.shown_name(), image, &problem);
        }
    });
    stream::iter(sends)
        .buffer_unordered(AT_ONCE)
        .collect::<()>()
        .await;
}

/// A receiver with its globs compiled.
struct Receiver<'a> {
    table: &'a NotifyTable,
    images: ImageGlobs,
}
