//! What a rule looks at: an image as its spec says, or as its config is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use super::{Built, SpecFacts};
use crate::oci::ImageConfig;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Certificate, EnvValue};
use crate::resolve::pin::ParentIndex;

/// A label's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LabelValue<'a> {
    /// Known.
    Known(Cow<'a, str>),
    /// Filled in when the image is built.
    Later,
}

/// An image under judgement.
#[derive(Debug, Clone)]
pub struct PolicySubject<'a> {
    /// What people call it.
    pub(super) name: String,
    /// Its `image.toml`, when its spec is judged.
    pub(super) file: Option<&'a Path>,
    /// Own and filled-in labels; of a built image all that it has.
    pub(super) labels: BTreeMap<&'a str, LabelValue<'a>>,
    /// Labels that came from the base, of a built image whose spec is known.
    pub(super) inherited: Vec<(&'a str, &'a str)>,
    /// The health check that came from a base outside of the workspace, of a built image whose spec is known.
    pub(super) inherited_healthcheck: Option<String>,
    /// The effective user; None while only the base knows it.
    pub(super) user: Option<Cow<'a, str>>,
    /// The number of a user that is named, as far as it is known.
    pub(super) user_id: Option<u32>,
    /// Exposed ports, as ranges of numbers with their text.
    pub(super) ports: Vec<(u32, u32, String)>,
    /// The environment: names, and every text that goes into the value.
    pub(super) env: Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>,
    /// The base, when the spec is judged.
    pub(super) base: Option<&'a Base>,
    /// Whether golden.lock has the base's digest.
    pub(super) locked: bool,
    /// Certificates, when the spec is judged.
    pub(super) certificates: &'a [Certificate],
    /// Seconds since 1970.
    pub(super) now: i64,
}

impl<'a> PolicySubject<'a> {
    /// An image as its spec says.
    pub(super) fn of_spec(
        image: &'a ResolvedImage,
        all: &ImageSet<'a>,
        facts: &SpecFacts<'_>,
    ) -> Self {
        Self {
            name: image.display(),
            file: Some(&image.source),
            labels: spec_labels(image),
            inherited: Vec::new(),
            inherited_healthcheck: None,
            user: effective_user(image, all),
            user_id: None,
            ports: image
                .config
                .expose
                .iter()
                .map(|p| (p.number.into(), p.number.into(), p.to_string()))
                .collect(),
            env: image
                .env
                .iter()
                .map(|(key, value)| (Cow::Borrowed(key.as_str()), texts(value)))
                .collect(),
            base: Some(&image.base),
            locked: (facts.is_locked)(&image.base),
            certificates: &image.certificates,
            now: facts.now,
        }
    }

    /// An image as its config is.
    pub(super) fn of_config(built: &Built<'a>) -> Self {
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
            name: built.name.to_owned(),
            file: None,
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
            base: None,
            locked: false,
            certificates: &[],
            now: 0,
        }
    }
}

/// The health check of a built image that its spec does not have. A parent in the same workspace set its own on purpose.
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

/// The images of a workspace, each of which finds the one that it is built on.
pub(super) struct ImageSet<'a> {
    images: &'a [ResolvedImage],
    parents: ParentIndex<'a>,
}

impl<'a> ImageSet<'a> {
    /// Indexes the images of a workspace.
    pub(super) fn of(images: &'a [ResolvedImage]) -> Self {
        Self {
            images,
            parents: ParentIndex::new(images),
        }
    }
}

/// Own and filled-in labels of a spec, those of the build itself included.
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

/// The user that the image will run as: its own, its workspace parent's, root on scratch; else the base's, unknown.
fn effective_user<'a>(image: &'a ResolvedImage, all: &ImageSet<'a>) -> Option<Cow<'a, str>> {
    let mut image = image;
    // A cycle is an error of the graph; here it only must not hang.
    for _ in 0..=all.images.len() {
        match (&image.config.user, &image.base) {
            (Some(user), _) => return Some(user.as_str().into()),
            (None, Base::Scratch) => return Some("".into()),
            (None, Base::Workspace { .. }) => image = &all.images[all.parents.of(image)?],
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

/// `80/tcp`, `80`, `8000-8010/udp`; what is none of these is no port.
fn port_range(text: &str) -> Option<(u32, u32, String)> {
    let numbers = text.split('/').next()?;
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    Some((first.parse().ok()?, last.parse().ok()?, text.to_owned()))
}
