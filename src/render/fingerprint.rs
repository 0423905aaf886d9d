//! Computes the inputs digest: two images with equal inputs are the same image and are not rebuilt.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::labels::INPUTS;
use super::{PinnedBase, Rendered};
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, FileEntry, FileKind, Packages};

/// `dev.golden.inputs`: the digest of canonical JSON (sorted keys, no white space) over the
/// resolved spec without its tags and provenance, the Dockerfile, every file and certificate, the
/// base and the platforms. The path of the spec, the engine and the version of golden do not
/// change it.
#[must_use]
pub fn fingerprint(image: &ResolvedImage, rendered: &Rendered, base: &PinnedBase) -> Digest {
    let mut inputs = inputs(image, rendered);
    inputs["base"] = match base {
        PinnedBase::Scratch => Value::Null,
        PinnedBase::Registry {
            digest, platforms, ..
        } => manifests(image, digest, platforms),
        PinnedBase::Layout(layout) => manifests(image, &layout.digest, &layout.platforms),
        PinnedBase::Local { id, .. } => id.as_str().into(),
        PinnedBase::Workspace { inputs, .. } => inputs.as_str().into(),
    };
    inputs.sort_all_objects();
    Digest::of(inputs.to_string().as_bytes())
}

/// All inputs except the content of the base.
fn inputs(image: &ResolvedImage, rendered: &Rendered) -> Value {
    let certificates = image.certificates.iter();
    json!({
        "spec": spec(image),
        "dockerfile": rendered.dockerfile,
        "files": image.files.iter().map(file).collect::<Vec<_>>(),
        "certificates": certificates
            .map(|certificate| json!([certificate.name, Digest::of(certificate.pem.as_bytes()).as_str()]))
            .collect::<Vec<_>>(),
        "platforms": image.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// `dev.golden.inputs.spec`: the digest of the same inputs without the packages and the version of
/// the base, which can change while the spec stays the same. Another base repository changes it.
/// `rendered` is the image without its packages.
#[must_use]
pub fn spec_fingerprint(image: &ResolvedImage, rendered: &Rendered) -> Digest {
    let image = ResolvedImage {
        packages: Packages::default(),
        ..image.clone()
    };
    let mut inputs = inputs(&image, rendered);
    inputs["spec"]["base"] = match &image.base {
        Base::Reference(reference) => reference.repository.to_string().into(),
        Base::Requirement { repository, .. } => repository.to_string().into(),
        Base::Workspace { name, variant, .. } => {
            json!({ "image": name.to_string(), "variant": variant.as_ref().map(ToString::to_string) })
        }
        unversioned @ (Base::Scratch | Base::Layout(_)) => base(unversioned),
    };
    inputs.sort_all_objects();
    Digest::of(inputs.to_string().as_bytes())
}

/// The digest of the base's manifest for each platform of the image. A platform that is added to
/// the base's index and that the image does not use changes nothing.
fn manifests(
    image: &ResolvedImage,
    digest: &Digest,
    platforms: &BTreeMap<Platform, Digest>,
) -> Value {
    let manifest_digest = |platform: &Platform| {
        let without_variant = Platform {
            variant: None,
            ..platform.clone()
        };
        let manifest = platforms
            .get(platform)
            .or_else(|| platforms.get(&without_variant));
        manifest.unwrap_or(digest).as_str()
    };
    match image.platforms.as_slice() {
        [] => manifest_digest(&Platform::host()).into(),
        named => named
            .iter()
            .map(|platform| (platform.to_string(), Value::from(manifest_digest(platform))))
            .collect(),
    }
}

fn spec(image: &ResolvedImage) -> Value {
    let labels = image
        .labels
        .iter()
        .filter(|(key, _)| key.as_str() != INPUTS);
    json!({
        "name": image.name.to_string(),
        "version": image.version.to_string(),
        "variant": image.variant.as_ref().map(ToString::to_string),
        "description": image.description,
        "base": base(&image.base),
        "family": image.family,
        "template": image.template,
        "labels": labels.collect::<BTreeMap<_, _>>(),
        "suppressed_labels": image.suppressed_labels,
        "env": image.environment(),
        "config": image.config,
        "packages": image.packages,
        "run": image.run,
    })
}

fn base(base: &Base) -> Value {
    match base {
        Base::Scratch => "scratch".into(),
        // The caller adds the digest of the base to the inputs.
        Base::Reference(reference) => Reference {
            digest: None,
            ..reference.clone()
        }
        .to_string()
        .into(),
        Base::Layout(layout) => json!({ "layout": layout.written }),
        Base::Requirement {
            repository,
            requirement,
        } => {
            json!({ "ref": repository.to_string(), "version": requirement.to_string() })
        }
        Base::Workspace {
            name,
            requirement,
            variant,
        } => json!({
            "image": name.to_string(),
            "version": requirement.as_ref().map(ToString::to_string),
            "variant": variant.as_ref().map(ToString::to_string),
        }),
    }
}

fn file(file: &FileEntry) -> Value {
    let content = match &file.kind {
        FileKind::File(content) => json!({ "file": content.digest().as_str() }),
        FileKind::Directory => json!("directory"),
        FileKind::Symlink(target) => json!({ "symlink": target }),
    };
    let mut entry =
        json!({ "path": file.path, "mode": file.mode, "owner": file.owner, "content": content });
    if let Some(name) = &file.name_inside {
        entry["name_inside"] = name.as_str().into();
    }
    entry
}
