//! The options that select images of the workspace.

use super::context::Context;
use super::error::Failure;
use crate::app::{Selection, Settings};

/// The options of every command on images.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SelectionArgs {
    /// Images to select, by name or glob [default: all].
    pub images: Vec<String>,
    /// Select only images that changed since this commit.
    #[arg(long, value_name = "SINCE", help_heading = "Selection options")]
    pub changed: Option<String>,
    /// Also select the images that are built on the selected ones.
    #[arg(long, help_heading = "Selection options")]
    pub with_dependants: bool,
    /// Trust this `[[engine]]` of golden.toml: send logins and secrets to it.
    #[arg(long, value_name = "NAME", help_heading = "Build options")]
    pub trust_engine: Vec<String>,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Selection options")]
    pub set: Vec<String>,
}

impl SelectionArgs {
    /// The options of a command that selects these images and has no other option for it.
    #[must_use]
    pub fn of(images: Vec<String>, set: Vec<String>) -> Self {
        Self {
            images,
            set,
            ..Self::default()
        }
    }

    /// The settings of a command with these options. Fails if a value of `--set` has no `=`.
    pub fn settings(self, context: &Context) -> Result<Settings, Failure> {
        let mut set = Vec::with_capacity(self.set.len());
        for assignment in &self.set {
            match assignment.split_once('=') {
                Some((name, value)) if !name.is_empty() => {
                    set.push((name.to_owned(), value.to_owned()));
                }
                _ => {
                    return Err(Failure::usage(format!(
                        "--set takes NAME=VALUE, not `{assignment}`"
                    )));
                }
            }
        }
        Ok(Settings {
            selection: Selection {
                images: self.images,
                changed: self.changed,
                with_dependants: self.with_dependants,
            },
            trusted_engines: self.trust_engine,
            set,
            ..context.settings()
        })
    }
}
