//! The rule `labels.inherited`.

use super::Rule;
use crate::config_files::typed::bare_or_quoted;
use crate::diagnostic::Severity;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "labels.inherited",
    severity: Severity::Warning,
    fixed: false,
    summary: "no inherited label describes the base instead of the image",
    docs: "\
An image inherits the labels of its base, and Docker cannot delete them. Some labels identify an image:
title, description, version, revision, source, created, url, documentation, authors, vendor, maintainer,
name, release, summary, vcs-ref, vcs-type, vcs-url, build-date, com.redhat.*, io.openshift.* and io.k8s.*.
If they are inherited, they describe the base instead of the image. golden overwrites those that it fills
in; this rule reports the others in the built image.

Set the label in [labels], or overwrite it with the empty string: KEY = \"\".
",
    check: Some(check),
};

/// Names of identity labels, bare or after one of [`PREFIXES`].
const IDENTITY: [&str; 18] = [
    "title",
    "description",
    "version",
    "revision",
    "source",
    "created",
    "url",
    "documentation",
    "authors",
    "vendor",
    "maintainer",
    "name",
    "release",
    "summary",
    // Labels that build systems such as Red Hat's add about the source and the build.
    "vcs-ref",
    "vcs-type",
    "vcs-url",
    "build-date",
];

/// Further names that OCI defines; they identify an image only after a prefix.
const OCI: [&str; 4] = ["licenses", "ref.name", "base.name", "base.digest"];

/// The prefixes of identity labels.
const PREFIXES: [&str; 2] = ["org.opencontainers.image.", "org.label-schema."];

/// Namespaces in which every label is an identity label.
const NAMESPACES: [&str; 3] = ["com.redhat.", "io.openshift.", "io.k8s."];

fn check(_: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    for (key, value) in &subject.inherited {
        if value.is_empty() || !is_identity(key) {
            continue;
        }
        found.push(
            Finding::new(format!(
                "label `{key}` is inherited and describes the base: `{value}`"
            ))
            .key(&["labels", key], "")
            .help(format!(
                "set it in [labels], or overwrite it with {} = \"\"",
                bare_or_quoted(key)
            )),
        );
    }
}

/// True if a label identifies an image.
fn is_identity(key: &str) -> bool {
    if NAMESPACES
        .iter()
        .any(|namespace| key.starts_with(namespace))
    {
        return true;
    }
    let prefix = PREFIXES.iter().find(|prefix| key.starts_with(**prefix));
    let name = prefix.map_or(key, |prefix| &key[prefix.len()..]);
    IDENTITY.contains(&name) || (prefix.is_some() && OCI.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_labels_are_recognised() {
        for key in [
            "maintainer",
            "version",
            "org.opencontainers.image.url",
            "io.k8s.display-name",
            "com.redhat.component",
            "vcs-ref",
            "build-date",
            "org.label-schema.vcs-ref",
            "org.label-schema.name",
        ] {
            assert!(is_identity(key), "{key}");
        }
        for key in [
            "framework",
            "licenses",
            "org.example.version",
            "io.k8sx.name",
            "org.opencontainers.image.extra",
        ] {
            assert!(!is_identity(key), "{key}");
        }
    }
}
