//! The forms of output that `--format` names.

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// GitHub Actions: annotations, or a matrix.
    Github,
    /// SARIF 2.1.0.
    Sarif,
    /// GitLab CI: a child pipeline.
    Gitlab,
    /// A mermaid diagram.
    Mermaid,
    /// A graphviz diagram.
    Dot,
    /// A picture.
    Svg,
}

impl OutputFormat {
    /// Every form.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Json,
        Self::Github,
        Self::Sarif,
        Self::Gitlab,
        Self::Mermaid,
        Self::Dot,
        Self::Svg,
    ];

    /// The name that `--format` takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Github => "github",
            Self::Sarif => "sarif",
            Self::Gitlab => "gitlab",
            Self::Mermaid => "mermaid",
            Self::Dot => "dot",
            Self::Svg => "svg",
        }
    }
}
