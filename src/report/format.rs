//! The output formats of `--format`.

/// The format of the output of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Text for a terminal or a log.
    Text,
    /// One JSON document.
    Json,
    /// GitHub Actions: annotations, or a matrix.
    Github,
    /// SARIF 2.1.0.
    Sarif,
    /// GitLab CI: a code quality report, or a child pipeline.
    Gitlab,
    /// A tree of text.
    Tree,
    /// A Mermaid diagram.
    Mermaid,
    /// A Graphviz diagram.
    Dot,
    /// An SVG image.
    Svg,
    /// A page for a browser.
    Html,
    /// Markdown for release notes.
    Markdown,
    /// JUnit XML.
    Junit,
    /// A bill of materials in CycloneDX.
    CycloneDx,
    /// A bill of materials in SPDX.
    Spdx,
}

impl OutputFormat {
    /// The value of `--format`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Github => "github",
            Self::Sarif => "sarif",
            Self::Gitlab => "gitlab",
            Self::Tree => "tree",
            Self::Mermaid => "mermaid",
            Self::Dot => "dot",
            Self::Svg => "svg",
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Junit => "junit",
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx",
        }
    }
}
