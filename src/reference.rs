//! Image names: [`Host`], [`Repository`], [`Tag`], [`Digest`] and [`Reference`].
//!
//! The grammar is that of the `distribution/reference` package, with Docker's normalisation:
//! without a host, the host is `docker.io`, and a path of one segment there becomes `library/…`.
//! Every value of these types is valid, so other modules do not check again.
//!
//! This module sends no requests. It defines the API address of `docker.io`
//! ([`Host::api_authority`]), because that is part of the meaning of the name.

mod hash;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use self::hash::{HashedWriter, Hasher, copy};
use crate::secret::redact_userinfo;

/// The maximum length of a repository path in bytes (`RepositoryNameTotalLengthMax`).
pub const MAX_PATH: usize = 255;
/// The maximum length of a tag in bytes.
pub const MAX_TAG: usize = 128;

/// The reason why a text is not a reference, or not a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is empty.
    #[error("a reference cannot be empty")]
    Empty,
    /// The text is a URL. The part after the scheme may be secret and is not shown.
    #[error("a reference has no scheme: remove `{0}://`")]
    Scheme(String),
    /// The part before the first `/` is not a host.
    #[error("`{0}` is not a registry host (expected name[:port], an IPv4 address, or [IPv6])")]
    Host(String),
    /// The path contains upper-case letters.
    #[error("repository `{0}` must be lower case: write `{lower}`", lower = .0.to_lowercase())]
    UpperCase(String),
    /// The path violates the grammar in another way.
    #[error(
        "`{0}` is not a repository path (lower-case letters and digits, separated by `.`, `_`, `__` or `-`, in segments of `/`)"
    )]
    Path(String),
    /// The path is longer than [`MAX_PATH`].
    #[error("the repository path has {0} characters; at most {MAX_PATH} are allowed")]
    TooLong(usize),
    /// The tag does not match `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
    #[error(
        "`{0}` is not a tag (letters, digits, `_`, `.` and `-`, not starting with `.` or `-`, at most {MAX_TAG})"
    )]
    Tag(String),
    /// The digest is not `sha256:` with 64, `sha384:` with 96 or `sha512:` with 128 lower-case hex
    /// digits.
    #[error("{}", not_a_digest(.0))]
    Digest(String),
    /// Docker reads 64 hex digits as an image ID, so a repository cannot have such a name.
    #[error("`{0}` is an image ID, not a repository name")]
    Identifier(String),
}

/// The message about a text that is not a digest. Tables show the first 12 digits of a digest.
fn not_a_digest(text: &str) -> String {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    if (7..64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return format!(
            "`{text}` is only the start of a digest: write the tag instead, or the whole digest, which \
             `golden ls REPOSITORY --format json` shows"
        );
    }
    format!("`{text}` is not a digest (expected sha256: and 64 lower-case hex digits)")
}

/// Fails if the text is a URL, for a place that requires a reference or a part of one.
pub(crate) fn without_scheme(text: &str) -> Result<(), Error> {
    match text.split_once("://") {
        Some((scheme, _))
            if scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'+') =>
        {
            Err(Error::Scheme(scheme.to_owned()))
        }
        _ => Ok(()),
    }
}

/// A registry's host, with its port if one was given: `docker.io`, `localhost:5000`, `[::1]:5000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

impl Host {
    /// The name of Docker Hub.
    pub const HUB: &'static str = "docker.io";

    /// Docker Hub, the host of a reference without a host.
    #[must_use]
    pub fn hub() -> Self {
        Self(Self::HUB.to_owned())
    }

    /// The host as written, except that aliases of Docker Hub become `docker.io`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if this is Docker Hub.
    #[must_use]
    pub fn is_hub(&self) -> bool {
        self.0 == Self::HUB
    }

    /// The host and port that serve `/v2/`: `registry-1.docker.io` for Docker Hub, else the host
    /// itself.
    #[must_use]
    pub fn api_authority(&self) -> &str {
        if self.is_hub() {
            "registry-1.docker.io"
        } else {
            &self.0
        }
    }

    /// The host without its port, and without the brackets of an IPv6 address.
    #[must_use]
    pub fn name(&self) -> &str {
        if let Some(rest) = self.0.strip_prefix('[') {
            return rest.split(']').next().unwrap_or(rest);
        }
        self.0.split(':').next().unwrap_or(&self.0)
    }

    /// The port, if one was given.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let after = self
            .0
            .rsplit_once(']')
            .map_or(self.0.as_str(), |(_, rest)| rest);
        after
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
    }

    /// True if the host is certainly this machine, so that plain HTTP is acceptable: `localhost`,
    /// `*.localhost`, `127.0.0.0/8` and `::1`. Private networks are not included.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let name = self.name().to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Host {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::Host(redact_userinfo(text));
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']').ok_or_else(refuse)?;
                if address.is_empty()
                    || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
                {
                    return Err(refuse());
                }
                match after {
                    "" => (None, None),
                    _ => (None, Some(after.strip_prefix(':').ok_or_else(refuse)?)),
                }
            }
            None => match text.split_once(':') {
                Some((name, port)) => (Some(name), Some(port)),
                None => (Some(text), None),
            },
        };
        if let Some(name) = name {
            let component = |part: &str| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && !part.starts_with('-')
                    && !part.ends_with('-')
            };
            if !name.split('.').all(component) {
                return Err(refuse());
            }
        }
        // The grammar allows any number of digits, but a port above 65535 does not exist.
        if port.is_some_and(|port| {
            !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err()
        }) {
            return Err(refuse());
        }
        Ok(match text {
            "index.docker.io" | "registry-1.docker.io" => Self::hub(),
            _ => Self(text.to_owned()),
        })
    }
}

/// The path of a repository below its host: `library/debian`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryPath(String);

impl RepositoryPath {
    /// The path as text, without the host.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Prefixes the path with `namespace`, unless that is empty. Fails if the result is not a valid
    /// path.
    pub fn below(&self, namespace: &str) -> Result<Self, Error> {
        if namespace.is_empty() {
            Ok(self.clone())
        } else {
            format!("{namespace}/{}", self.0).parse()
        }
    }
}

impl FromStr for RepositoryPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > MAX_PATH {
            return Err(Error::TooLong(text.len()));
        }
        if text.split('/').all(is_path_component) {
            return Ok(Self(text.to_owned()));
        }
        let lower = text.to_ascii_lowercase();
        if lower != text && lower.split('/').all(is_path_component) {
            return Err(Error::UpperCase(redact_userinfo(text)));
        }
        Err(Error::Path(redact_userinfo(text)))
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let mut separator = String::new();
    let mut seen = false;
    for c in text.chars() {
        match c {
            'a'..='z' | '0'..='9' => {
                let allowed = matches!(separator.as_str(), "" | "." | "_" | "__")
                    || separator.bytes().all(|b| b == b'-');
                if !allowed {
                    return false;
                }
                separator.clear();
                seen = true;
            }
            '.' | '_' | '-' if seen => separator.push(c),
            _ => return false,
        }
    }
    seen && separator.is_empty()
}

/// A repository: a host and a path, `docker.io/library/debian`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    /// The registry host.
    pub host: Host,
    /// The path on that host.
    pub path: RepositoryPath,
}

impl Repository {
    /// The reference of a tag of the repository.
    #[must_use]
    pub fn tag(&self, tag: &Tag) -> Reference {
        Reference {
            tag: Some(tag.clone()),
            ..self.clone().into()
        }
    }

    /// The reference of a digest in the repository.
    #[must_use]
    pub fn digest(&self, digest: &Digest) -> Reference {
        Reference {
            digest: Some(digest.clone()),
            ..self.clone().into()
        }
    }
}

/// The repository as a reference, without tag and digest.
impl From<Repository> for Reference {
    fn from(repository: Repository) -> Self {
        Self {
            repository,
            tag: None,
            digest: None,
        }
    }
}

impl FromStr for Repository {
    type Err = Error;

    /// Parses a name without tag and digest, with Docker's normalisation.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() == 64
            && text
                .bytes()
                .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
        {
            return Err(Error::Identifier(redact_userinfo(text)));
        }
        let (host, path) = match text.split_once('/') {
            Some((first, rest)) if is_host_segment(first) => (first.parse()?, rest),
            _ => (Host::hub(), text),
        };
        let path: RepositoryPath = path.parse()?;
        let path = if host.is_hub() && !path.as_str().contains('/') {
            path.below("library")?
        } else {
            path
        };
        Ok(Self { host, path })
    }
}

/// Docker's rule: the first segment is a host if it contains `.` or `:`, is `localhost`, or has
/// upper-case letters, which a path cannot have.
fn is_host_segment(segment: &str) -> bool {
    segment.contains(['.', ':'])
        || segment == "localhost"
        || segment.bytes().any(|b| b.is_ascii_uppercase())
}

/// A tag, `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag `latest`.
    #[must_use]
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let fits = text.len() <= MAX_TAG
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|b| word(b) || b == b'.' || b == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Tag(redact_userinfo(text)))
        }
    }
}

/// A content digest, `algorithm:hex`. The supported algorithms are `sha256`, `sha384` and `sha512`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The sha256 digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Creates a digest from a finished hash.
    fn new(algorithm: &str, hash: &[u8]) -> Self {
        use fmt::Write as _;
        let mut text = format!("{algorithm}:");
        for byte in hash {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The whole digest as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The algorithm: `sha256`, `sha384` or `sha512`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The hex digits after the colon.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    /// True if this is the digest of `bytes`, computed with its own algorithm.
    #[must_use]
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        let mut hasher = Hasher::of(self);
        hasher.update(bytes);
        hasher.matches(self)
    }

    /// The algorithm and the first twelve hex digits, for display.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}:{}", self.algorithm(), &self.hex()[..12])
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::Digest(redact_userinfo(text));
        let (algorithm, hex) = text.split_once(':').ok_or_else(refuse)?;
        let length = match algorithm {
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ => return Err(refuse()),
        };
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() == length && hex.bytes().all(lower_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(refuse())
        }
    }
}

/// A reference to an image: a repository with a tag, a digest, both or neither.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// The repository of the image.
    pub repository: Repository,
    /// The tag in the text, if any.
    pub tag: Option<Tag>,
    /// The digest in the text, if any. It takes precedence over the tag.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The target of a request: the digest if there is one, else the tag, else `latest`.
    #[must_use]
    pub fn target(&self) -> Target {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Target::Digest(digest.clone()),
            (None, Some(tag)) => Target::Tag(tag.clone()),
            (None, None) => Target::Tag(Tag::latest()),
        }
    }

    /// Returns a reference to `digest` in the same repository, without a tag.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.repository.clone().into()
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        without_scheme(text)?;
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // A colon after the last slash starts a tag; one before it belongs to the host's port.
        let name_end = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_end..].find(':') {
            Some(colon) => {
                let (name, tag) = rest.split_at(name_end + colon);
                (name, Some(tag[1..].parse()?))
            }
            None => (rest, None),
        };
        Ok(Self {
            repository: name.parse()?,
            tag,
            digest,
        })
    }
}

/// The name of a manifest within a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A tag, which can move to another manifest.
    Tag(Tag),
    /// A digest, which always identifies the same manifest.
    Digest(Digest),
}

impl From<&Self> for Target {
    fn from(target: &Self) -> Self {
        target.clone()
    }
}

impl From<&Tag> for Target {
    fn from(tag: &Tag) -> Self {
        Self::Tag(tag.clone())
    }
}

impl From<&Digest> for Target {
    fn from(digest: &Digest) -> Self {
        Self::Digest(digest.clone())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

macro_rules! text_newtype {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text_newtype!(Host, RepositoryPath, Tag, Digest);

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}
text_conversions!(Host, RepositoryPath, Repository, Tag, Digest, Reference);

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_normalised_like_docker_does() {
        for (written, canonical) in [
            ("debian", "docker.io/library/debian"),
            ("debian:12", "docker.io/library/debian:12"),
            ("team/app", "docker.io/team/app"),
            ("index.docker.io/debian", "docker.io/library/debian"),
            ("localhost/app", "localhost/app"),
            ("localhost:5000/app:1.2", "localhost:5000/app:1.2"),
            ("[::1]:5000/app", "[::1]:5000/app"),
            ("[2001:db8::1]/a/b", "[2001:db8::1]/a/b"),
            ("Registry/app", "Registry/app"),
            (
                "registry.example.com/a__b/c---d/e.f",
                "registry.example.com/a__b/c---d/e.f",
            ),
        ] {
            assert_eq!(
                written.parse::<Reference>().map(|r| r.to_string()),
                Ok(canonical.to_owned()),
                "{written}"
            );
        }
    }

    #[test]
    fn invalid_references_are_rejected() {
        for bad in [
            "",
            ":1",
            "@sha256:",
            "Debian",
            "a/B",
            "a//b",
            "-a",
            "a-",
            "a___b",
            "a..b",
            "a/",
            "/a",
            "a:",
            "a:.x",
            "a b",
            "-host.com/a",
            "host:port/a",
            "host:70000/a",
            "[::1/a",
            "[]/a",
            "a@sha256:abc",
            "http://a/b",
            HEX,
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?} was accepted");
        }
        for url in [
            "https://example.com/a:1",
            "http://user:secret@example.com/a",
            "docker://busybox",
        ] {
            let message = url.parse::<Reference>().unwrap_err().to_string();
            assert!(
                message.contains("has no scheme") && !message.contains("secret"),
                "{url}: {message}"
            );
        }
    }

    #[test]
    fn tag_and_digest_are_kept_and_the_digest_takes_precedence() {
        let reference: Reference = format!("a/b:1@sha256:{HEX}").parse().unwrap();
        assert_eq!(reference.tag.as_ref().unwrap().as_str(), "1");
        assert_eq!(reference.target().to_string(), format!("sha256:{HEX}"));
    }

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        for (host, loopback) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("a.localhost", true),
            ("127.0.0.1:1", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("10.0.0.1", false),
            ("192.168.1.1:5000", false),
            ("localhost.example.com", false),
        ] {
            assert_eq!(
                host.parse::<Host>().unwrap().is_loopback(),
                loopback,
                "{host}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_causes_a_panic(text in ".*") {
            drop(text.parse::<Reference>());
            drop(text.parse::<Host>());
            drop(text.parse::<Digest>());
        }

        #[test]
        fn a_reference_survives_formatting_and_parsing(
            text in "(([a-zA-Z0-9.-]{1,8}|\\[[a-f0-9:]{2,8}\\])(:[0-9]{1,5})?/)?[a-z0-9._-]{1,8}(/[a-z0-9_]{1,6}){0,3}(:[A-Za-z0-9._-]{1,12})?(@sha256:[a-f0-9]{64})?"
        ) {
            if let Ok(reference) = text.parse::<Reference>() {
                proptest::prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
            }
        }
    }
}
