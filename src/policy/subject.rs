//! The data that a rule checks, from the spec of an image or from its config.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use super::sizes::ImageSizes;
use super::{FinishedImage, SizedImage, SpecFacts, UsedBase};
use crate::oci::ImageConfig;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Certificate, EnvValue};
use crate::resolve::pin::ParentIndex;

/// The value of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LabelValue<'a> {
    /// The value is known.
    Known(Cow<'a, str>),
    /// golden fills in the value when it builds the image.
    Later,
}

/// An image that the rules check.
#[derive(Debug, Clone)]
pub struct PolicySubject<'a> {
    /// The name in reports; `None` for a base that a file names, whose position is reported.
    pub(super) name: Option<String>,
    /// The names by which an exception may select the image.
    pub(super) known_as: Vec<String>,
    /// The path of `image.toml`; only for a spec.
    pub(super) file: Option<&'a Path>,
    /// For a spec: its own labels and those that golden fills in. For a config: all labels.
    pub(super) labels: BTreeMap<&'a str, LabelValue<'a>>,
    /// Labels inherited from the base; only for a built image with a known spec.
    pub(super) inherited: Vec<(&'a str, &'a str)>,
    /// The health check inherited from a base outside the workspace; only for a built image with a
    /// known spec.
    pub(super) inherited_healthcheck: Option<String>,
    /// The effective user; `None` if it comes from a base that is not known yet.
    pub(super) user: Option<Cow<'a, str>>,
    /// The uid of a user with a name, if known.
    pub(super) user_id: Option<u32>,
    /// Exposed ports: first and last number, and the text for reports.
    pub(super) ports: Vec<(u32, u32, String)>,
    /// Environment variables: the name, and all parts of the value.
    pub(super) env: Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>,
    /// The base; only for a spec.
    pub(super) base: Option<&'a Base>,
    /// True if golden.lock has the digest of the base.
    pub(super) locked: bool,
    /// The required artifacts that a published image lacks, as predicates such as `has no bill of
    /// materials`.
    pub(super) lacking: &'a [String],
    /// The sizes; only for a built or published image.
    pub(super) sizes: Option<&'a ImageSizes>,
    /// The certificates; only for a spec.
    pub(super) certificates: &'a [Certificate],
    /// The current time, in seconds since 1970.
    pub(super) now: i64,
    /// True if another publisher owns the image.
    pub(super) is_foreign: bool,
}

impl<'a> PolicySubject<'a> {
    /// Describes an image by its spec.
    pub(super) fn of_spec(
        image: &'a ResolvedImage,
        all: &ImageSet<'a>,
        facts: &SpecFacts<'_>,
    ) -> Self {
        let ports = image.config.expose.iter();
        let env = image.env.iter();
        Self {
            name: Some(image.display()),
            file: Some(&image.source),
            labels: spec_labels(image),
            user: effective_user(image, all),
            ports: ports
                .map(|p| (p.number.into(), p.number.into(), p.to_string()))
                .collect(),
            env: env
                .map(|(key, value)| (Cow::Borrowed(key.as_str()), texts(value)))
                .collect(),
            base: Some(&image.base),
            locked: (facts.is_locked)(&image.base),
            certificates: &image.certificates,
            ..Self::empty(&[image.name.to_string()], facts.now)
        }
    }

    /// A subject with nothing to check.
    pub(super) fn empty(known_as: &[String], now: i64) -> Self {
        Self {
            name: None,
            known_as: known_as.to_vec(),
            file: None,
            labels: BTreeMap::new(),
            inherited: Vec::new(),
            inherited_healthcheck: None,
            user: None,
            user_id: None,
            ports: Vec::new(),
            env: Vec::new(),
            base: None,
            locked: false,
            lacking: &[],
            sizes: None,
            certificates: &[],
            now,
            is_foreign: false,
        }
    }

    /// Describes a base that a file names.
    pub(super) fn of_used(used: &UsedBase<'a>) -> Self {
        Self {
            base: Some(used.base),
            is_foreign: true,
            ..Self::empty(used.known_as, used.now)
        }
    }

    /// Describes an image by its sizes.
    pub(super) fn of_sizes(image: &SizedImage<'a>) -> Self {
        Self {
            name: Some(image.name.to_owned()),
            sizes: Some(image.sizes),
            ..Self::empty(image.known_as, image.now)
        }
    }

    /// Describes an image by its config.
    pub(super) fn of_config(built: &FinishedImage<'a>) -> Self {
        let runtime = built.config.runtime();
        let table = |key: &str| {
            runtime
                .and_then(|r| r.get(key))
                .and_then(serde_json::Value::as_object)
        };
        let labels: BTreeMap<&str, &str> = table("Labels")
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect();
        let own = built.image.map(spec_labels);
        let inherited = own.map_or_else(Vec::new, |own| {
            labels
                .iter()
                .filter(|(key, _)| !own.contains_key(*key))
                .map(|(key, value)| (*key, *value))
                .collect()
        });
        Self {
            name: Some(built.name.to_owned()),
            labels: labels
                .into_iter()
                .map(|(k, v)| (k, LabelValue::Known(v.into())))
                .collect(),
            inherited,
            inherited_healthcheck: built
                .image
                .and_then(|image| inherited_healthcheck(image, built.config)),
            user: Some(built.config.user().into()),
            user_id: built.user_id,
            ports: table("ExposedPorts")
                .into_iter()
                .flatten()
                .filter_map(|(text, _)| port_range(text))
                .collect(),
            env: built.config.env().into_iter().map(split_variable).collect(),
            lacking: built.lacking,
            is_foreign: built.is_foreign,
            ..Self::empty(built.known_as, built.now)
        }
    }
}

/// The health check of a built image if its spec has none. A health check of a parent in the same
/// workspace is intended and not returned.
fn inherited_healthcheck(image: &ResolvedImage, config: &ImageConfig) -> Option<String> {
    if image.config.healthcheck.is_some() || matches!(image.base, Base::Workspace { .. }) {
        return None;
    }
    let test = config
        .runtime()?
        .get("Healthcheck")?
        .get("Test")?
        .as_array()?;
    let words: Vec<&str> = test.iter().filter_map(serde_json::Value::as_str).collect();
    match words.as_slice() {
        [] | ["NONE", ..] => None,
        words => Some(words.join(" ")),
    }
}

/// The images of a workspace, with an index of their parents.
pub(super) struct ImageSet<'a> {
    images: Vec<&'a ResolvedImage>,
    parents: ParentIndex<'a>,
}

impl<'a> ImageSet<'a> {
    pub(super) fn of(images: &[&'a ResolvedImage]) -> Self {
        Self {
            images: images.to_vec(),
            parents: ParentIndex::new(images.iter().copied()),
        }
    }
}

/// The labels of a spec and those that golden fills in, also during the build.
fn spec_labels(image: &ResolvedImage) -> BTreeMap<&str, LabelValue<'_>> {
    let known = |text: &'_ str| LabelValue::Known(text.to_owned().into());
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.created", LabelValue::Later),
        ("dev.golden.inputs", LabelValue::Later),
    ]);
    if let Some(revision) = &image.provenance.revision {
        labels.insert("org.opencontainers.image.revision", known(revision));
    }
    if let Some(source) = &image.provenance.source {
        labels.insert("org.opencontainers.image.source", known(source));
    }
    if image.base != Base::Scratch {
        labels.insert("org.opencontainers.image.base.name", LabelValue::Later);
        labels.insert("org.opencontainers.image.base.digest", LabelValue::Later);
    }
    labels.retain(|key, _| !image.suppressed_labels.contains(*key));
    labels.extend(
        image
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), known(value))),
    );
    labels
}

/// The user that the image will run as: its own user, the user of its parent in the workspace, or
/// root on scratch. `None` if it is the user of another base, which is not known yet.
fn effective_user<'a>(image: &'a ResolvedImage, all: &ImageSet<'a>) -> Option<Cow<'a, str>> {
    let mut image = image;
    // A cycle is reported elsewhere; the limit ensures that this loop ends.
    for _ in 0..=all.images.len() {
        match (&image.config.user, &image.base) {
            (Some(user), _) => return Some(user.as_str().into()),
            (None, Base::Scratch) => return Some("".into()),
            (None, Base::Workspace { .. }) => image = all.images[all.parents.of(image)?],
            (None, Base::Reference(_) | Base::Layout(_) | Base::Requirement { .. }) => return None,
        }
    }
    None
}

fn texts(value: &EnvValue) -> Vec<Cow<'_, str>> {
    match value {
        EnvValue::Set(value) => vec![value.as_str().into()],
        EnvValue::Extend { prepend, append } => {
            vec![prepend.as_str().into(), append.as_str().into()]
        }
    }
}

fn split_variable(variable: String) -> (Cow<'static, str>, Vec<Cow<'static, str>>) {
    match variable.split_once('=') {
        Some((key, value)) => (key.to_owned().into(), vec![value.to_owned().into()]),
        None => (variable.into(), Vec::new()),
    }
}

/// Parses `80/tcp`, `80` or `8000-8010/udp`. Returns `None` for any other text.
fn port_range(text: &str) -> Option<(u32, u32, String)> {
    let numbers = text.split('/').next()?;
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    Some((first.parse().ok()?, last.parse().ok()?, text.to_owned()))
}
