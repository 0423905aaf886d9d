//! The values of variables while the instructions are read in order.

use indexmap::IndexMap;

/// The maximum length of all names and values, in bytes.
const MAX_TOTAL: usize = 1 << 20;

/// The build arguments that exist before the first `FROM`. Their values depend on the build.
const PLATFORM_ARGUMENTS: [&str; 8] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
];

/// The value of a variable: text, and values that the base image defines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeValue(pub(super) Vec<Piece>);

/// A part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Literal text.
    Text(String),
    /// The value of a variable of the base, which is not known.
    Inherited(String),
}

impl ScopeValue {
    /// A literal text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    /// The value of a variable of the base.
    #[must_use]
    pub fn inherited(name: &str) -> Self {
        Self(vec![Piece::Inherited(name.to_owned())])
    }

    /// The text, or the name of a variable of the base that the value contains.
    pub fn known(&self) -> Result<String, &str> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Inherited(name) => return Err(name),
            }
        }
        Ok(out)
    }

    /// The text before and after the base's value of `name`, if the value contains nothing else.
    #[must_use]
    pub fn around(&self, name: &str) -> Option<(String, String)> {
        let is_own = |piece: &Piece| matches!(piece, Piece::Inherited(own) if own == name);
        let at = self.0.iter().position(is_own)?;
        let known = |pieces: &[Piece]| Self(pieces.to_vec()).known().ok();
        Some((known(&self.0[..at])?, known(&self.0[at + 1..])?))
    }

    pub(super) fn push(&mut self, c: char) {
        if let Some(Piece::Text(text)) = self.0.last_mut() {
            text.push(c);
        } else {
            self.0.push(Piece::Text(c.to_string()));
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        for piece in other.0 {
            match (self.0.last_mut(), piece) {
                (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(&more),
                (_, piece) => self.0.push(piece),
            }
        }
    }

    /// The length of the known text, in bytes.
    pub(super) fn len(&self) -> usize {
        let lengths = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Inherited(name) => name.len(),
        });
        lengths.sum()
    }
}

/// The values of all variables are longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the values of all variables are longer than {} MiB", MAX_TOTAL >> 20)]
pub struct TooLarge;

/// The variables at one point of a Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    arguments: IndexMap<String, Option<ScopeValue>>,
    env: IndexMap<String, ScopeValue>,
    /// The length of all names and values, in bytes.
    size: usize,
    /// True if a variable that is not set here may be set by the base.
    pub has_base: bool,
}

impl Scope {
    /// The scope of a stage whose base may set every variable.
    #[must_use]
    pub fn on_base() -> Self {
        Self {
            has_base: true,
            ..Self::default()
        }
    }

    /// The scope before the first `FROM`, with the build arguments of the platform.
    pub(super) fn of_platform() -> Self {
        let declared =
            PLATFORM_ARGUMENTS.map(|name| (name.to_owned(), Some(ScopeValue::inherited(name))));
        Self {
            arguments: IndexMap::from(declared),
            size: PLATFORM_ARGUMENTS.iter().map(|name| 2 * name.len()).sum(),
            ..Self::default()
        }
    }

    /// The build arguments that are declared.
    #[must_use]
    pub const fn arguments(&self) -> &IndexMap<String, Option<ScopeValue>> {
        &self.arguments
    }

    /// The environment variables.
    #[must_use]
    pub const fn env(&self) -> &IndexMap<String, ScopeValue> {
        &self.env
    }

    /// Declares a build argument. Fails if all values together are too long.
    pub fn declare(&mut self, name: String, value: Option<ScopeValue>) -> Result<(), TooLarge> {
        let size = |value: &Option<ScopeValue>| value.as_ref().map_or(0, ScopeValue::len);
        let old = self.arguments.get(&name);
        let old = old.map_or(0, |value| name.len() + size(value));
        self.size = total(self.size - old + name.len() + size(&value))?;
        self.arguments.insert(name, value);
        Ok(())
    }

    /// Sets an environment variable. Fails if all values together are too long.
    pub fn set(&mut self, name: String, value: ScopeValue) -> Result<(), TooLarge> {
        let old = self.env.get(&name);
        let old = old.map_or(0, |value| name.len() + value.len());
        self.size = total(self.size - old + name.len() + value.len())?;
        self.env.insert(name, value);
        Ok(())
    }

    /// The value of a variable; an environment variable overrides a build argument.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<ScopeValue> {
        if let Some(value) = self.env.get(name) {
            return Some(value.clone());
        }
        match self.arguments.get(name) {
            Some(Some(value)) => Some(value.clone()),
            // The base may have a variable of this name.
            _ if self.has_base => Some(ScopeValue::inherited(name)),
            _ => None,
        }
    }
}

/// The length, if it is within the limit.
const fn total(size: usize) -> Result<usize, TooLarge> {
    if size > MAX_TOTAL {
        Err(TooLarge)
    } else {
        Ok(size)
    }
}

impl ScopeValue {
    /// True if the value contains a text that is not empty.
    pub(super) fn has_text(&self) -> bool {
        let is_text = |piece: &Piece| matches!(piece, Piece::Text(text) if !text.is_empty());
        self.0.iter().any(is_text)
    }

    /// The name of the variable of the base, if the value is nothing else.
    pub(super) fn only_inherited(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Inherited(name)] => Some(name),
            _ => None,
        }
    }
}
