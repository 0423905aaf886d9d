//! The chapters of the guide, which `golden help TOPIC` shows. They are Markdown files that are
//! compiled into the program.

mod reference;
mod rules;
mod terminal;

pub use terminal::{TextStyle, render};

/// A chapter of the guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// The TOPIC of `golden help TOPIC`.
    pub name: &'static str,
    /// One line for the list of topics.
    pub summary: &'static str,
    text: &'static str,
}

macro_rules! topics {
    ($($module:ident $name:literal $summary:literal;)*) => {
        /// All chapters, in reading order.
        pub const TOPICS: &[Topic] =
            &[$(Topic { name: $name, summary: $summary, text: include_str!(concat!($name, ".md")) }),*];

        $(#[doc = include_str!(concat!($name, ".md"))] pub mod $module {})*
    };
}

topics! {
    getting_started "getting-started" "a first workspace, and the daily work";
    spec "spec" "every key of golden.toml and image.toml";
    tags "tags" "the fan-out, and which tags may move";
    policy "policy" "rules that images must follow";
    gates "gates" "tests and commands that decide if tags move";
    engines "engines" "how images are built";
    registry "registry" "logins, publishing, verifying, promoting, deleting";
    trust "trust" "signatures, bills of materials, provenance";
    lifecycle "lifecycle" "end of life, revoked images, and the files of consumers";
    fleets "fleets" "many images, the lock file, several platforms";
    ci "ci" "GitHub Actions, GitLab, other CI";
    json "json" "the output for programs";
    exit_codes "exit-codes" "the meaning of each exit code";
    environment "environment" "the environment variables that golden reads";
    troubleshooting "troubleshooting" "common problems and their solutions";
    migration "migration" "from Dockerfiles, bake, metadata-action and scripts";
    glossary "glossary" "golden's own terms";
    changes "changes" "the changes of each version";
}

impl Topic {
    /// The chapter with this name; `None` if there is none.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|topic| topic.name == name)
    }

    /// The Markdown text of the chapter. The chapter `spec` ends with a reference of all keys,
    /// which is generated from the JSON Schema, and `policy` with the rules.
    #[must_use]
    pub fn text(&self) -> String {
        match self.name {
            "spec" => format!("{}\n{}", self.text, reference::reference()),
            "policy" => format!("{}\n{}", self.text, rules::rules()),
            _ => self.text.to_owned(),
        }
    }
}
