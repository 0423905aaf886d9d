//! A target of a bake file, after its variables are evaluated.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::expression::text;

/// A target of a bake file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BakeTarget {
    /// The name.
    pub name: String,
    /// The build context.
    pub context: Option<String>,
    /// The Dockerfile, relative to the build context.
    pub dockerfile: Option<String>,
    /// The text of the Dockerfile.
    pub inline: Option<String>,
    /// The build stage.
    pub stage: Option<String>,
    /// The build arguments.
    pub arguments: BTreeMap<String, String>,
    /// The labels.
    pub labels: IndexMap<String, String>,
    /// The references of the image.
    pub tags: Vec<String>,
    /// The platforms.
    pub platforms: Vec<String>,
    /// The named build contexts.
    pub contexts: BTreeMap<String, String>,
    /// The keys that a spec cannot express, each with the reason.
    pub left_out: IndexMap<String, String>,
}

impl BakeTarget {
    /// Sets the value of a key. A later value of a map adds to it, as inheritance does in bake.
    pub(super) fn set(&mut self, key: &str, value: &Value) {
        if value.is_null() {
            return;
        }
        let strings = || -> Vec<String> {
            let items = value.as_array().into_iter().flatten();
            items.map(text).filter(|item| !item.is_empty()).collect()
        };
        let pairs = || {
            let object = value.as_object().into_iter().flatten();
            let known = object.filter(|(_, value)| !value.is_null());
            known.map(|(key, value)| (key.clone(), text(value)))
        };
        match key {
            "context" => self.context = Some(text(value)),
            "dockerfile" => self.dockerfile = Some(text(value)),
            "dockerfile-inline" => self.inline = Some(text(value)),
            "target" => self.stage = Some(text(value)),
            "args" => self.arguments.extend(pairs()),
            "labels" => self.labels.extend(pairs()),
            "tags" => self.tags = strings(),
            "platforms" => self.platforms = strings(),
            "contexts" => self.contexts.extend(pairs()),
            // These describe the file or the work of the builder, not the image.
            "description" | "inherits" | "matrix" | "name" | "output" | "pull" | "no-cache" => {}
            "cache-from" | "cache-to" => {
                self.leave_out(key, "golden keeps its own build cache");
            }
            "secret" => self.leave_out(key, "give it with `golden build --secret`"),
            "ssh" => self.leave_out(key, "give it with `golden build --ssh`"),
            _ => self.leave_out(key, "a spec has no such key"),
        }
    }

    pub(super) fn leave_out(&mut self, key: &str, reason: impl Into<String>) {
        self.left_out.insert(key.to_owned(), reason.into());
    }
}
