//! Notifications in the JSON format of CloudEvents 1.0 (cloudevents.io, json-format.md).

use serde::Serialize;
use serde_json::Value;

use crate::config_files::notify_table::NotifyEvent;
use crate::oci::rfc3339;
use crate::reference::{Digest, Repository};

/// The media type of an event in JSON.
pub(super) const MEDIA_TYPE: &str = "application/cloudevents+json";

/// An event in the structured mode of CloudEvents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    /// Different for different events; the same if an event is sent again.
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    data: Value,
}

impl CloudEvent {
    /// Creates the event that the tags of an image moved. `data` describes the moves; `now` is in
    /// seconds since 1970.
    #[must_use]
    pub fn new(
        event: NotifyEvent,
        repository: &Repository,
        digest: &Digest,
        data: Value,
        now: i64,
    ) -> Self {
        let kind = match event {
            NotifyEvent::Push => "dev.golden.image.published.v1",
            NotifyEvent::Promote => "dev.golden.image.promoted.v1",
            NotifyEvent::Rollback => "dev.golden.image.rolledback.v1",
        };
        let time = rfc3339(now);
        let unique = format!("{kind}\n{repository}\n{digest}\n{time}\n{data}");
        Self {
            specversion: "1.0",
            id: Digest::of(unique.as_bytes()).hex().to_owned(),
            source: format!("oci://{repository}"),
            kind,
            subject: digest.to_string(),
            time,
            datacontenttype: "application/json",
            data,
        }
    }

    /// The bytes that are sent.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // The struct has only string keys and plain values, so that serialization cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_has_the_required_attributes_and_a_stable_id() {
        let repository: Repository = "registry.example.com/team/app".parse().unwrap();
        let digest = Digest::of(b"image");
        let event = |event, now| CloudEvent::new(event, &repository, &digest, json!({"a": 1}), now);
        let first = event(NotifyEvent::Push, 0);
        let parsed: Value = serde_json::from_slice(&first.to_json()).unwrap();
        assert_eq!(
            parsed,
            json!({
                "specversion": "1.0",
                "id": first.id,
                "source": "oci://registry.example.com/team/app",
                "type": "dev.golden.image.published.v1",
                "subject": digest.to_string(),
                "time": "1970-01-01T00:00:00Z",
                "datacontenttype": "application/json",
                "data": { "a": 1 },
            })
        );
        assert_eq!(first, event(NotifyEvent::Push, 0));
        assert_ne!(first.id, event(NotifyEvent::Push, 1).id);
        assert_ne!(first.id, event(NotifyEvent::Rollback, 0).id);
    }
}
