//! The Dockerfile templates: the built-in ones, and the workspace's own.

use std::collections::BTreeMap;

/// Templates by name. A workspace's own one goes before the built-in one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Templates {
    own: BTreeMap<String, String>,
}

impl Templates {
    /// How a template's file name ends; what stands before it is the template's name.
    pub const SUFFIX: &'static str = ".Dockerfile.j2";

    /// The built-in templates.
    #[must_use]
    pub fn builtin() -> Self {
        Self::default()
    }

    /// Adds a workspace's own template (the text of `NAME.Dockerfile.j2`). The first one of a name stays.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.own.entry(name.into()).or_insert_with(|| text.into());
    }
}

impl From<BTreeMap<String, String>> for Templates {
    /// A workspace's own templates, name to text, before the built-in ones.
    fn from(own: BTreeMap<String, String>) -> Self {
        Self { own }
    }
}
