//! Tests of every rule, on specs and on configs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use super::finding::{Finding, locate};
use super::sizes::{LayerSize, PreviousSize};
use super::*;
use crate::diagnostic::{Class, NoKeys, Severity};
use crate::reference::Digest;
use crate::resolve::image::{
    Certificate, Config, EnvValue, Family, FamilySource, Layout, Packages, Port, Protocol,
    Provenance, SpecLocations, TrustOptions,
};
use crate::tags::TagRules;

const NOW: i64 = 1_700_000_000;
const DAY: i64 = 86_400;

fn policy(text: &str) -> Policy {
    toml::from_str(text).unwrap()
}

/// An image on `base` that satisfies most policies.
fn image(base: Base) -> ResolvedImage {
    ResolvedImage {
        name: "team/app".parse().unwrap(),
        source: "app/image.toml".into(),
        row: BTreeMap::new(),
        version: semver::Version::new(1, 2, 3),
        variant: None,
        description: None,
        base,
        family: Family::Static,
        family_source: FamilySource::Spec,
        template: "static".to_owned(),
        template_written: false,
        platforms: Vec::new(),
        labels: BTreeMap::from([("version".to_owned(), "1.2.3".to_owned())]),
        suppressed_labels: BTreeSet::new(),
        env: Vec::new(),
        config: Config::default(),
        certificates: Vec::new(),
        trust: TrustOptions::default(),
        packages: Packages::default(),
        files: Vec::new(),
        run: Vec::new(),
        tags: TagRules::default(),
        own_withdrawn: Vec::new(),
        tests: Vec::new(),
        lifecycle: crate::resolve::lifecycle::LifecycleRules::default(),
        channels: std::collections::BTreeMap::new(),
        provenance: Provenance::default(),
        locations: SpecLocations::default(),
    }
}

fn on(reference: &str) -> ResolvedImage {
    image(Base::Reference(reference.parse().unwrap()))
}

fn with(mut image: ResolvedImage, change: impl FnOnce(&mut ResolvedImage)) -> ResolvedImage {
    change(&mut image);
    image
}

fn label(key: &str, value: &str) -> ResolvedImage {
    with(image(Base::Scratch), |image| {
        drop(image.labels.insert(key.to_owned(), value.to_owned()));
    })
}

/// The findings on one image, as `rule: message`.
fn findings(text: &str, image: ResolvedImage) -> Vec<String> {
    findings_of(&policy(text), &[image], false)
}

fn findings_of(policy: &Policy, images: &[ResolvedImage], locked: bool) -> Vec<String> {
    let facts = SpecFacts {
        places: &NoKeys,
        now: NOW,
        is_locked: &|_| locked,
    };
    let found = check_specs(policy, images, &facts);
    found
        .iter()
        .map(|found| format!("{}: {}", found.rule, found.message))
        .collect()
}

/// The violations of a config with these runtime keys, as `rule: message`.
fn built(text: &str, runtime: &serde_json::Value, image: Option<&ResolvedImage>) -> Vec<String> {
    let config = serde_json::json!({ "os": "linux", "config": runtime });
    let config = ImageConfig::parse(config.to_string().as_bytes()).unwrap();
    let found = check_built(
        &policy(text),
        &FinishedImage {
            name: "host/app:1.2.3",
            known_as: &["host/team/app".to_owned(), "team/app".to_owned()],
            now: NOW,
            lacking: &[],
            config: &config,
            user_id: None,
            image,
            is_foreign: false,
        },
    );
    found
        .iter()
        .map(|found| format!("{}: {}", found.rule, found.message))
        .collect()
}

#[test]
fn an_empty_policy_has_no_findings() {
    assert_eq!(findings("", on("debian")), Vec::<String>::new());
}

#[test]
fn required_labels_must_exist_and_not_be_empty() {
    let text = r#"required_labels = ["owner", "version", "org.opencontainers.image.created"]"#;
    assert_eq!(findings(text, label("owner", "me")), Vec::<String>::new());
    assert_eq!(
        findings(text, label("owner", "")),
        ["required_labels: the required label `owner` is empty"]
    );
    let suppressed = with(label("owner", "me"), |image| {
        image
            .suppressed_labels
            .insert("org.opencontainers.image.created".to_owned());
    });
    assert_eq!(
        findings(text, suppressed),
        ["required_labels: the required label `org.opencontainers.image.created` is missing"]
    );
    let labels = serde_json::json!({ "Labels": { "owner": "me", "version": "" } });
    assert_eq!(
        built(text, &labels, None),
        [
            "required_labels: the required label `org.opencontainers.image.created` is missing",
            "required_labels: the required label `version` is empty",
        ]
    );
}

#[test]
fn label_values_must_satisfy_all_conditions() {
    let text = r#"
        [labels]
        owner = { pattern = '[a-z.-]+@example\.com' }
        framework = { one_of = ["dotnet", "java"] }
        url = { format = "url" }
        both = { pattern = "a|ab", one_of = ["ab", "x"] }
    "#;
    for (key, value, expected) in [
        ("owner", "team@example.com", None),
        ("owner", "x team@example.com", Some("labels.pattern")),
        ("owner", "team@example.com\n", Some("labels.pattern")),
        ("owner", "", Some("labels.pattern")),
        ("framework", "java", None),
        ("framework", "Java", Some("labels.one_of")),
        ("url", "https://example.com", None),
        ("url", "example.com", Some("labels.format")),
        ("both", "ab", None),
        ("both", "x", Some("labels.pattern")),
        ("both", "a", Some("labels.one_of")),
        ("other", "anything", None),
    ] {
        let rules = |found: Vec<String>| -> Vec<String> {
            found
                .iter()
                .map(|line| line.split(": ").next().unwrap().to_owned())
                .collect()
        };
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(
            rules(findings(text, label(key, value))),
            expected,
            "{key} = {value:?}"
        );
        let runtime = serde_json::json!({ "Labels": { key: value } });
        assert_eq!(
            rules(built(text, &runtime, None)),
            expected,
            "{key} = {value:?} in a config"
        );
    }
}

#[test]
fn a_pattern_cannot_escape_its_group() {
    let broken = policy("[labels]\nowner = { pattern = 'a)|(.*' }");
    let found = check_specs(
        &broken,
        &[label("owner", "zzz")],
        &SpecFacts {
            places: &NoKeys,
            now: NOW,
            is_locked: &|_| false,
        },
    );
    assert_eq!(found.worst(), Some(Class::Spec));
    assert_eq!(
        findings(
            "[labels]\nowner = { pattern = '(?x) a b # ab' }",
            label("owner", "ab")
        ),
        Vec::<String>::new()
    );
}

#[test]
fn only_allowed_bases_pass() {
    let text = r#"base = { allow = ["mcr.microsoft.com/**", "docker.io/library/debian", "r.example.com:5000/*/x:1.*"] }"#;
    for base in [
        "debian:12",
        "docker.io/library/debian",
        "mcr.microsoft.com/dotnet/core/aspnet:3.0",
        "r.example.com:5000/team/x:1.2",
    ] {
        assert_eq!(findings(text, on(base)), Vec::<String>::new(), "{base}");
    }
    assert_eq!(findings(text, image(Base::Scratch)), Vec::<String>::new());
    for base in [
        "alpine:3",
        "debian-evil/debian",
        "evil.com/library/debian",
        "docker.io/library/debian-slim",
        "r.example.com:5000/a/b/x:1.2",
        "r.example.com:5000/team/x:2",
    ] {
        assert_eq!(findings(text, on(base)).len(), 1, "{base}");
    }
    assert_eq!(
        findings(text, on("alpine:3")),
        ["base.allow: the base `docker.io/library/alpine:3` is not allowed"]
    );
    assert_eq!(findings("base = { allow = [] }", on("debian")).len(), 1);
}

fn layout(pinned: bool) -> Layout {
    Layout {
        written: "oci:base:app".to_owned(),
        name: Some("app".to_owned()),
        directory: "/base".into(),
        media_type: crate::oci::media::OCI_MANIFEST.to_owned(),
        digest: Digest::of(b"app"),
        pinned,
        platforms: BTreeMap::new(),
    }
}

#[test]
fn a_base_must_be_pinned_by_digest() {
    let text = "base = { require_digest = true }";
    let digest = format!("debian:12@sha256:{}", "a".repeat(64));
    assert_eq!(findings(text, on(&digest)), Vec::<String>::new());
    assert_eq!(findings(text, image(Base::Scratch)), Vec::<String>::new());
    assert_eq!(
        findings(text, on("debian:12")),
        ["base.require_digest: the base `docker.io/library/debian` is not pinned by digest"]
    );
    assert_eq!(
        findings_of(&policy(text), &[on("debian:12")], true),
        Vec::<String>::new()
    );
    let layout = |pinned| image(Base::Layout(layout(pinned)));
    assert_eq!(findings(text, layout(true)), Vec::<String>::new());
    let not_pinned = ["base.require_digest: the base `oci:base:app` is not pinned by digest"];
    assert_eq!(findings(text, layout(false)), not_pinned);
    // golden.lock has no digests of layouts.
    let found = findings_of(&policy(text), &[layout(false)], true);
    assert_eq!(found, not_pinned);
}

#[test]
fn denied_tags_of_bases_are_found() {
    let text = r#"base = { deny_tags = ["latest", "*-rc*"] }"#;
    let pinned = format!("debian@sha256:{}", "a".repeat(64));
    for (base, denied) in [
        ("debian:12", false),
        ("debian:latest", true),
        ("debian", true),
        (pinned.as_str(), false),
        ("x:1-rc1", true),
    ] {
        assert_eq!(
            findings(text, on(base)).len(),
            usize::from(denied),
            "{base}"
        );
    }
}

/// The name of an image in a layout may be a whole reference.
#[test]
fn the_tag_of_a_base_in_a_layout_follows_the_last_colon() {
    let text = r#"base = { deny_tags = ["latest"] }"#;
    for (name, denied) in [
        (Some("latest"), true),
        (Some("debian:latest"), true),
        (Some("registry.example.com:5000/debian:latest"), true),
        (Some("debian:12"), false),
        (None, false),
    ] {
        let layout = Layout {
            name: name.map(str::to_owned),
            ..layout(true)
        };
        let expected = "base.deny_tags: the base has the tag `latest`; the policy denies it";
        let expected: &[&str] = if denied { &[expected] } else { &[] };
        assert_eq!(
            findings(text, image(Base::Layout(layout))),
            expected,
            "{name:?}"
        );
    }
}

#[test]
fn root_is_denied() {
    let text = "config = { deny_root = true }";
    let user = |base: Base, user: Option<&str>| {
        with(image(base), |image| {
            image.config.user = user.map(str::to_owned);
        })
    };
    assert_eq!(findings(text, user(Base::Scratch, None)).len(), 1);
    assert_eq!(
        findings(text, user(Base::Scratch, Some("10001"))),
        Vec::<String>::new()
    );
    assert_eq!(
        findings(text, on("debian")),
        Vec::<String>::new(),
        "the user of the base is not known"
    );
    assert_eq!(
        findings(text, user(on("debian").base, Some("root"))).len(),
        1
    );
    let child = |name: &str| Base::Workspace {
        name: name.parse().unwrap(),
        requirement: None,
        variant: None,
    };
    let parent = with(user(Base::Scratch, Some("0")), |image| {
        image.name = "parent".parse().unwrap();
    });
    let found = findings_of(&policy(text), &[parent, user(child("parent"), None)], false);
    assert_eq!(
        found.len(),
        2,
        "the child runs as the user of its parent: {found:?}"
    );
    assert_eq!(built(text, &serde_json::json!({}), None).len(), 1);
    assert_eq!(
        built(text, &serde_json::json!({ "User": "1000" }), None),
        Vec::<String>::new()
    );
}

#[test]
fn ports_outside_the_range_are_found() {
    let text = "config = { ports = { min = 1024 } }";
    let exposes = |ports: &[u16]| {
        with(image(Base::Scratch), |image| {
            image.config.expose = ports
                .iter()
                .map(|number| Port {
                    number: *number,
                    protocol: Protocol::Tcp,
                })
                .collect();
        })
    };
    assert_eq!(
        findings(text, exposes(&[1024, 65535])),
        Vec::<String>::new()
    );
    let one = "config = { ports = { min = 8080, max = 8080 } }";
    assert_eq!(findings(one, exposes(&[8080])), Vec::<String>::new());
    assert_eq!(
        findings(one, exposes(&[8081])),
        ["config.ports: port 8081/tcp is outside of 8080 to 8080"]
    );
    assert_eq!(
        findings(text, exposes(&[80, 443, 8080])),
        ["config.ports: ports 80/tcp, 443/tcp are outside of 1024 to 65535"]
    );
    let runtime = serde_json::json!({ "ExposedPorts": { "80/tcp": {}, "9000-9010/udp": {} } });
    assert_eq!(
        built(text, &runtime, None),
        ["config.ports: port 80/tcp is outside of 1024 to 65535"]
    );
}

#[test]
fn secrets_are_denied_and_never_printed() {
    let text = "env = { deny_secrets = true }";
    let secret = with(image(Base::Scratch), |image| {
        image.env = vec![
            (
                "DB_PASSWORD".to_owned(),
                EnvValue::Set("hunter2".to_owned()),
            ),
            (
                "PATH".to_owned(),
                EnvValue::Extend {
                    prepend: "/opt:".to_owned(),
                    append: String::new(),
                },
            ),
            (
                "CONFIG".to_owned(),
                EnvValue::Set("postgres://app:hunter2@db/app".to_owned()),
            ),
            ("EMPTY_TOKEN".to_owned(), EnvValue::Set(String::new())),
        ];
    });
    let expected = [
        "env.deny_secrets: the variable `CONFIG` looks like a secret: its value has the form of a credential",
        "env.deny_secrets: the variable `DB_PASSWORD` looks like a secret: it has the name of a credential",
    ];
    assert_eq!(findings(text, secret), expected);
    let env = serde_json::json!({ "Env": ["DB_PASSWORD=hunter2", "CONFIG=postgres://app:hunter2@db/app", "A=b"] });
    assert_eq!(built(text, &env, None), expected);
}

#[test]
fn certificates_that_expire_soon_are_found() {
    let expires_in = |days: i64| {
        with(image(Base::Scratch), |image| {
            image.certificates = vec![Certificate {
                file: "certs/ca.crt".into(),
                name: "ca.crt".to_owned(),
                pem: String::new(),
                der: Vec::new(),
                not_after: NOW + days * DAY,
                subject: "CN=Root".to_owned(),
            }];
        })
    };
    let text = "certs = { min_days_left = 30 }";
    assert_eq!(findings(text, expires_in(30)), Vec::<String>::new());
    assert_eq!(
        findings(text, expires_in(29)),
        [
            "certs.min_days_left: the certificate `CN=Root` of certs/ca.crt expires in 29 days; the policy requires 30 days"
        ]
    );
    assert_eq!(
        findings(text, expires_in(0)),
        [
            "certs.min_days_left: the certificate `CN=Root` of certs/ca.crt expires in 0 days; the policy requires 30 days"
        ]
    );
    assert_eq!(
        findings(text, expires_in(-1)),
        [
            "certs.min_days_left: the certificate `CN=Root` of certs/ca.crt expired 1 day ago; the policy requires 30 days"
        ]
    );
}

#[test]
fn inherited_labels_that_describe_the_base_are_found() {
    let runtime = serde_json::json!({ "Labels": {
        "version": "1.2.3", "maintainer": "Base Team", "framework": "base's", "io.k8s.description": "the base", "url": "",
    } });
    let own = image(Base::Scratch);
    assert_eq!(
        built("", &runtime, Some(&own)),
        [
            "labels.inherited: label `io.k8s.description` is inherited and describes the base: `the base`",
            "labels.inherited: label `maintainer` is inherited and describes the base: `Base Team`",
        ]
    );
    assert_eq!(
        built(
            "[severity]\n\"labels.inherited\" = \"off\"",
            &runtime,
            Some(&own)
        ),
        Vec::<String>::new()
    );
    let found = check_built(
        &Policy::default(),
        &FinishedImage {
            user_id: None,
            name: "x",
            known_as: &[],
            now: NOW,
            lacking: &[],
            config: &ImageConfig::parse(
                serde_json::json!({ "config": runtime })
                    .to_string()
                    .as_bytes(),
            )
            .unwrap(),
            is_foreign: false,
            image: Some(&own),
        },
    );
    assert!(
        found
            .iter()
            .all(|found| found.severity == Severity::Warning)
            && !found.has_errors()
    );
}

#[test]
fn the_policy_sets_the_severity_of_a_rule() {
    let check_with = |level: &str| {
        let text = format!("required_labels = [\"x\"]\n[severity]\nrequired_labels = \"{level}\"");
        let facts = SpecFacts {
            places: &NoKeys,
            now: NOW,
            is_locked: &|_| false,
        };
        check_specs(&policy(&text), &[image(Base::Scratch)], &facts)
    };
    assert_eq!(check_with("error").worst(), Some(Class::Policy));
    assert!(!check_with("warn").has_errors() && !check_with("warn").is_empty());
    assert!(check_with("off").is_empty());
    let runtime = serde_json::json!({ "Labels": { "maintainer": "Base Team" } });
    let config = serde_json::json!({ "config": runtime }).to_string();
    let config = ImageConfig::parse(config.as_bytes()).unwrap();
    let own = image(Base::Scratch);
    for (level, severity) in [("error", Severity::Error), ("warn", Severity::Warning)] {
        let policy = policy(&format!(
            "severity = {{ 'labels.inherited' = \"{level}\" }}"
        ));
        let found = check_built(
            &policy,
            &FinishedImage {
                name: "x",
                known_as: &[],
                now: NOW,
                lacking: &[],
                config: &config,
                user_id: None,
                image: Some(&own),
                is_foreign: false,
            },
        );
        let severities: Vec<Severity> = found.iter().map(|found| found.severity).collect();
        assert_eq!(severities, [severity], "{level}");
    }
}

#[test]
fn the_severity_of_a_built_in_rule_does_not_change() {
    for (id, level, expected) in [
        ("certs.private_key", "off", Some(Severity::Error)),
        ("certs.private_key", "warn", Some(Severity::Error)),
        ("config.deny_root", "off", None),
        ("config.deny_root", "warn", Some(Severity::Warning)),
        ("config.deny_root", "error", Some(Severity::Error)),
    ] {
        let policy = policy(&format!("severity = {{ '{id}' = '{level}' }}"));
        let (compiled, _) = CompiledPolicy::new(&policy, &NoKeys);
        let found = apply::severity(&compiled, rule(id).unwrap());
        assert_eq!(found, expected, "{id} {level}");
    }
}

#[test]
fn a_broken_policy_is_an_error_of_the_spec() {
    for (text, message) in [
        (
            "[labels]\na = { pattern = '(' }",
            "`(` is not a regular expression: unclosed group",
        ),
        (
            "[labels]\na = {}",
            "the rule for label `a` has no condition",
        ),
        (
            "base = { allow = ['a{b'] }",
            "`a{b` is not a valid glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
        ),
        (
            "config = { ports = { min = 5, max = 4 } }",
            "the port range 5 to 4 is empty",
        ),
        (
            "[severity]\n'base.alow' = 'off'",
            "there is no rule `base.alow`",
        ),
        (
            "[severity]\n'certs.private_key' = 'off'",
            "the rule `certs.private_key` is built in and cannot be changed",
        ),
    ] {
        let facts = SpecFacts {
            places: &NoKeys,
            now: NOW,
            is_locked: &|_| false,
        };
        let found = check_specs(&policy(text), &[], &facts);
        assert_eq!(found.worst(), Some(Class::Spec), "{text}");
        assert_eq!(found.iter().next().unwrap().message, message, "{text}");
    }
}

/// Spans of a few keys in two files.
struct KnownKeys;

impl KeyFinder for KnownKeys {
    fn key(&self, file: &Path, path: &[&str]) -> Option<Range<usize>> {
        match (file.to_str()?, path) {
            ("app/image.toml", ["image"]) => Some(1..6),
            ("app/image.toml", ["env"]) => Some(20..23),
            ("golden.toml", ["defaults", "env", "DB_PASSWORD"]) => Some(40..51),
            ("golden.toml", ["policy"]) => Some(60..66),
            ("golden.toml", ["policy", "env", "deny_secrets"]) => Some(70..82),
            _ => None,
        }
    }

    fn value(&self, file: &Path, path: &[&str]) -> Option<Range<usize>> {
        self.key(file, path)
            .filter(|span| span.start >= 40)
            .map(|span| span.end + 3..span.end + 9)
    }
}

#[test]
fn locations_point_to_the_defaults_and_to_the_policy() {
    let facts = SpecFacts {
        places: &KnownKeys,
        now: NOW,
        is_locked: &|_| false,
    };
    let secret = with(image(Base::Scratch), |image| {
        image.env = vec![(
            "DB_PASSWORD".to_owned(),
            EnvValue::Set("hunter2".to_owned()),
        )];
    });
    let text = "env = { deny_secrets = true }\nrequired_labels = ['owner']";
    let found = check_specs(&policy(text), &[secret], &facts);
    let places: Vec<_> = found
        .iter()
        .map(|found| {
            found
                .labels
                .iter()
                .map(|l| (l.file.to_str().unwrap(), l.span.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    // The label is missing, so the table of the image is shown. The variable is in the defaults,
    // and its value is hidden.
    assert_eq!(
        places,
        [
            vec![("app/image.toml", 1..6)],
            vec![("golden.toml", 40..51), ("golden.toml", 85..91)]
        ]
    );
    assert_eq!(
        found.iter().nth(1).unwrap().hidden,
        [("golden.toml".into(), 54..60)]
    );
}

#[test]
fn a_rule_that_no_key_enables_has_no_location_in_the_policy() {
    let mut diagnostic = Diagnostic::error("certs.private_key", "");
    let finding = Finding::new("").key(&["env", "A"], "");
    locate(
        &mut diagnostic,
        &finding,
        Path::new("app/image.toml"),
        &KnownKeys,
    );
    let places = diagnostic.labels.iter();
    let places = places.map(|label| (label.file.to_str().unwrap(), label.span.clone()));
    assert_eq!(places.collect::<Vec<_>>(), [("app/image.toml", 20..23)]);
}

/// NOW is 2023-11-14.
#[test]
fn an_exception_counts_until_its_date_for_the_images_that_it_names() {
    let except = |rule: &str, images: &str, until: &str| {
        format!(
            "config.deny_root = true\n[[except]]\nrule = \"{rule}\"\nimages = [{images}]\nreason = \"legacy\"\nuntil = \"{until}\"\n"
        )
    };
    let violation = "config.deny_root: the image runs as root";
    for (rule, images, until, is_excepted) in [
        ("config.deny_root", "'team/*'", "2023-12-31", true),
        ("config.deny_root", "'**'", "2023-11-14", true),
        (
            "config.deny_root",
            "'other', 'team/app'",
            "2023-11-15",
            true,
        ),
        ("config.deny_root", "'**'", "2023-11-13", false),
        ("config.deny_root", "'*'", "2023-12-31", false),
        ("config.deny_root", "'team'", "2023-12-31", false),
        ("config.deny_root", "", "2023-12-31", false),
        ("config.ports", "'**'", "2023-12-31", false),
    ] {
        let text = except(rule, images, until);
        let of_spec = findings(&text, image(Base::Scratch));
        let of_config = built(&text, &serde_json::json!({}), None);
        for found in [&of_spec, &of_config] {
            let is_found = found.iter().any(|line| line.starts_with(violation));
            assert_eq!(is_found, !is_excepted, "{text}\n{found:?}");
        }
    }
}

#[test]
fn the_end_of_an_exception_is_announced_for_two_weeks_and_reported_afterwards() {
    let warnings = |until: &str| {
        let text = format!(
            "[[except]]\nrule = \"config.ports\"\nreason = \"legacy\"\nuntil = \"{until}\"\n"
        );
        findings(&text, image(Base::Scratch)).join("\n")
    };
    for (until, expected) in [
        ("2023-11-29", ""),
        ("2023-11-28", "ends in 14 days (2023-11-28)"),
        ("2023-11-15", "ends tomorrow (2023-11-15)"),
        ("2023-11-14", "ends today (2023-11-14)"),
        (
            "2023-11-13",
            "ended on 2023-11-13, so the rule counts again",
        ),
    ] {
        let expected = match expected {
            "" => String::new(),
            text => format!("policy.expired: the exception from `config.ports` {text}"),
        };
        assert_eq!(warnings(until), expected, "{until}");
    }
}

#[test]
fn a_wrong_exception_is_reported_and_does_not_count() {
    for (rule, images, reason, expected) in [
        ("config.port", "**", "x", "there is no rule `config.port`"),
        (
            "certs.private_key",
            "**",
            "x",
            "the rule `certs.private_key` is built in and cannot be changed",
        ),
        (
            "config.deny_root",
            "**",
            " ",
            "the exception from `config.deny_root` has no reason",
        ),
        ("config.deny_root", "[", "x", "`[` is not a valid glob"),
    ] {
        let text = format!(
            "config.deny_root = true\n[[except]]\nrule = \"{rule}\"\nimages = [\"{images}\"]\nreason = \"{reason}\"\nuntil = \"2030-01-01\"\n"
        );
        let found = findings(&text, image(Base::Scratch)).join("\n");
        assert!(found.contains(expected), "{text}{found}");
        assert!(
            found.contains("config.deny_root: the image runs as root"),
            "{found}"
        );
    }
}

fn sizes_of_two_layers() -> ImageSizes {
    let file = |name: &str, size| (name.to_owned(), size);
    ImageSizes {
        packed: 1_200_000,
        layers: vec![
            LayerSize {
                unpacked: 2_000_000,
                largest: vec![file("lib/a", 1_500_000), file("lib/b", 500_000)],
            },
            LayerSize {
                unpacked: 1_000_000,
                largest: vec![file("app", 1_000_000)],
            },
        ],
        largest: vec![file("lib/a", 1_500_000), file("app", 1_000_000)],
        previous: Some(PreviousSize {
            reference: "host/app:1.2.2".to_owned(),
            packed: 1_000_000,
        }),
    }
}

fn sized(text: &str, sizes: &ImageSizes) -> Vec<String> {
    let image = SizedImage {
        name: "app:1.2.3",
        known_as: &["team/app".to_owned()],
        now: NOW,
        sizes,
    };
    let found = check_sizes(&policy(text), &image);
    found
        .iter()
        .map(|found| format!("{}: {}", found.rule, found.message))
        .collect()
}

#[test]
fn a_size_equal_to_its_limit_is_accepted_and_the_largest_files_are_named() {
    let sizes = sizes_of_two_layers();
    for (limits, expected) in [
        ("packed = \"1.2MB\"", ""),
        (
            "packed = 1199999",
            "size.packed: the compressed layers have 1.2 MB (1200000 bytes), more than 1.2 MB (1199999 bytes); \
             the largest files: /lib/a (1.5 MB), /app (1.0 MB)",
        ),
        ("unpacked = \"3MB\"", ""),
        (
            "unpacked = \"2.5MB\"",
            "size.unpacked: the files of the layers have 3.0 MB (3000000 bytes), more than 2.5 MB (2500000 bytes); \
             the largest files: /lib/a (1.5 MB), /app (1.0 MB)",
        ),
        ("layer = \"2MB\"", ""),
        (
            "layer = \"1MB\"",
            "size.layer: the files of layer 1 of 2 have 2.0 MB (2000000 bytes), more than 1.0 MB (1000000 bytes); \
             the largest files: /lib/a (1.5 MB), /lib/b (500.0 kB)",
        ),
        ("growth = \"20%\"", ""),
        ("growth = \"200kB\"", ""),
        (
            "growth = \"19.99%\"",
            "size.growth: the compressed layers grew by 200.0 kB (200000 bytes), from 1.0 MB (1000000 bytes) \
             in host/app:1.2.2 to 1.2 MB (1200000 bytes), more than 19.99%; \
             the largest files: /lib/a (1.5 MB), /app (1.0 MB)",
        ),
        (
            "growth = 0",
            "size.growth: the compressed layers grew by 200.0 kB (200000 bytes), from 1.0 MB (1000000 bytes) \
             in host/app:1.2.2 to 1.2 MB (1200000 bytes), more than 0 B; \
             the largest files: /lib/a (1.5 MB), /app (1.0 MB)",
        ),
    ] {
        let found = sized(&format!("[size]\n{limits}"), &sizes).join("\n");
        assert_eq!(found, expected, "{limits}");
    }
    let smaller = ImageSizes {
        packed: 999_999,
        ..sizes
    };
    assert_eq!(sized("[size]\ngrowth = 0", &smaller), [""; 0]);
}

#[test]
fn the_rules_about_sizes_have_severities_and_exceptions() {
    let sizes = sizes_of_two_layers();
    let limit = "[size]\npacked = 1\n";
    assert_eq!(sized(limit, &sizes).len(), 1);
    let off = format!("{limit}[severity]\n\"size.packed\" = \"off\"\n");
    assert_eq!(sized(&off, &sizes), [""; 0]);
    let exception = |images: &str, until: &str| {
        format!(
            "{limit}[[except]]\nrule = \"size.packed\"\nimages = [\"{images}\"]\nreason = \"r\"\nuntil = \"{until}\"\n"
        )
    };
    assert_eq!(sized(&exception("team/*", "2100-01-01"), &sizes), [""; 0]);
    assert_eq!(sized(&exception("other/*", "2100-01-01"), &sizes).len(), 1);
    assert_eq!(sized(&exception("team/*", "2000-01-01"), &sizes).len(), 1);
}

#[test]
fn advice_about_labels_is_valid_toml() {
    let advice = |text: &str, image: ResolvedImage| {
        let facts = SpecFacts {
            places: &NoKeys,
            now: NOW,
            is_locked: &|_| false,
        };
        let found = check_specs(&policy(text), &[image], &facts);
        found.iter().next().unwrap().help.clone().unwrap()
    };
    for (key, written) in [
        ("owner", "owner"),
        ("a_b-C9", "a_b-C9"),
        ("com.example.owner", "\"com.example.owner\""),
        ("the \"owner\"", "'the \"owner\"'"),
    ] {
        let text = format!("required_labels = [{}]", toml::Value::from(key));
        let found = advice(&text, image(Base::Scratch));
        assert_eq!(found, format!("add it to [labels]: {written} = \"…\""));
    }
    let text = r#"labels = { size = { one_of = ["13\"", "15"] } }"#;
    assert_eq!(
        advice(text, label("size", "x")),
        "the allowed values are '13\"', \"15\""
    );
    assert_eq!(
        advice(text, label("size", "13")),
        "did you mean '13\"'? The allowed values are '13\"', \"15\""
    );
}

#[test]
fn an_inherited_health_check_is_found() {
    let runtime = |test: &[&str]| serde_json::json!({ "Healthcheck": { "Test": test } });
    let inherited = runtime(&["CMD", "curl", "localhost"]);
    let own = with(on("debian"), |image| {
        image.config.healthcheck = Some(crate::oci::config::Healthcheck {
            test: vec!["CMD".to_owned(), "true".to_owned()],
            ..Default::default()
        });
    });
    let child = image(Base::Workspace {
        name: "parent".parse().unwrap(),
        requirement: None,
        variant: None,
    });
    let found = "config.healthcheck_inherited: the health check of the base is inherited: CMD curl localhost";
    assert_eq!(built("", &inherited, Some(&on("debian"))), [found]);
    for (runtime, image) in [
        (&inherited, Some(&own)),
        (&inherited, Some(&child)),
        (&inherited, None),
        (&runtime(&["NONE"]), Some(&on("debian"))),
        (&runtime(&[]), Some(&on("debian"))),
    ] {
        assert_eq!(built("", runtime, image), Vec::<String>::new());
    }
}

#[test]
fn advice_about_an_image_of_another_publisher_is_for_its_publisher() {
    let config = ImageConfig::parse(b"{}").unwrap();
    for (is_foreign, expected) in [
        (false, "add it to [labels]: owner = \"…\""),
        (
            true,
            "its publisher must set it, such as with LABEL owner=\"…\" in the Dockerfile",
        ),
    ] {
        let lacking = ["has no signature".to_owned()];
        let found = check_built(
            &policy("required_labels = [\"owner\"]"),
            &FinishedImage {
                name: "host/app:1.2.3",
                known_as: &[],
                now: NOW,
                lacking: &lacking,
                config: &config,
                user_id: None,
                image: None,
                is_foreign,
            },
        );
        let of_rule = |rule: &str| found.iter().find(|found| found.rule == rule).unwrap();
        let label = of_rule("required_labels");
        assert_eq!(label.help.as_deref(), Some(expected));
        assert_eq!(label.image.as_deref(), Some("host/app:1.2.3"));
        let lacks = of_rule("published.require");
        assert_eq!(lacks.message, "the image has no signature");
    }
}
