//! Here-documents (<https://docs.docker.com/reference/dockerfile/#here-documents>).

/// A here-document of `RUN`, `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HereDocument {
    /// The delimiter; for `COPY` and `ADD` also the name of the file.
    pub name: String,
    /// The lines, each with its line break.
    pub content: String,
    /// True if variables in the content are evaluated: the delimiter has no quotes.
    pub expands: bool,
    /// True if the tabs at the start of each line do not belong to the content: `<<-`.
    pub strips_tabs: bool,
}

impl HereDocument {
    /// The content as it is used, without the tabs that `<<-` strips.
    #[must_use]
    pub fn text(&self) -> String {
        if !self.strips_tabs {
            return self.content.clone();
        }
        let lines = self.content.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }

    /// True if a word opens it.
    #[must_use]
    pub fn is_opened_by(&self, word: &str) -> bool {
        of(word).is_some_and(|document| document.name == self.name)
    }
}

/// The here-documents that a line opens, without their content.
pub(super) fn opened_by(line: &str) -> Vec<HereDocument> {
    words(line).iter().filter_map(|word| of(word)).collect()
}

/// The here-document that a word opens, such as `<<EOF`, `<<-"EOF"` or `3<<EOF`.
pub(super) fn of(word: &str) -> Option<HereDocument> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix("<<")?;
    let (rest, strips_tabs) = match rest.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    if rest.is_empty() || rest.starts_with(['<', '-']) {
        return None;
    }
    let name = unquoted(rest)?;
    Some(HereDocument {
        expands: name == rest,
        name,
        content: String::new(),
        strips_tabs,
    })
    .filter(|document| !document.name.is_empty())
}

/// A delimiter without its quotes; `None` if it is not one word with closed quotes.
fn unquoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => out.push(chars.next()?),
            (c, _) => out.push(c),
        }
    }
    quote.is_none().then_some(out)
}

/// The words of a shell line, with their quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => {
                words.push(String::new());
                continue;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
            if c == '\\' && quote != Some('\'') {
                word.extend(chars.next());
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
