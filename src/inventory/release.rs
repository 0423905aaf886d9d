//! The release of the distribution, from `os-release`
//! (<https://www.freedesktop.org/software/systemd/man/latest/os-release.html>).

use serde::{Deserialize, Serialize};

/// The distribution of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The name in lower case, such as `debian`.
    pub id: String,
    /// The version, such as `12`. Rolling releases have none.
    pub version_id: Option<String>,
    /// The name for display, such as `Debian GNU/Linux 12 (bookworm)`.
    pub name: Option<String>,
}

impl Release {
    /// Parses the file. `None` if it has no `ID`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
            let value = value.trim();
            let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
            let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
            let value = value.replace('\\', "");
            (!value.is_empty()).then_some(value)
        };
        Some(Self {
            id: value("ID")?.to_lowercase(),
            version_id: value("VERSION_ID"),
            name: value("PRETTY_NAME"),
        })
    }

    /// The approximate memory of the texts, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let texts = [Some(&self.id), self.version_id.as_ref(), self.name.as_ref()];
        texts
            .into_iter()
            .flatten()
            .map(|text| text.len() as u64)
            .sum()
    }

    /// The distribution as a qualifier of package URLs, such as `debian-12`.
    #[must_use]
    pub fn qualifier(&self) -> String {
        match &self.version_id {
            Some(version) => format!("{}-{version}", self.id),
            None => self.id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_with_and_without_quotes() {
        let text = "# x\nNAME=\"A\"\nID=\"RHEL\"\nVERSION_ID='9.2'\nID_LIKE=\"fedora\"\n";
        let release = Release::parse(text).unwrap();
        assert_eq!(release.qualifier(), "rhel-9.2");
        let rolling = Release::parse("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux sid\"").unwrap();
        assert_eq!(rolling.qualifier(), "debian");
        assert_eq!(rolling.name.as_deref(), Some("Debian GNU/Linux sid"));
        assert_eq!(Release::parse("NAME=x\nVERSION_ID=1\n"), None);
    }
}
