//! Artifacts in a registry: how they are shown, and how `verify` checks tags by reference.

use serde_json::{Value, json};

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::workspace::{Golden, Run};

const FOUR: [&str; 4] = ["1.2.3", "1.2", "1", "latest"];
const ZERO: &str = "0001-01-01T00:00:00Z";

/// A signature as cosign writes it: an image config without a platform, created in the year 1.
fn cosign(registry: &FakeRegistry, repository: &str, tag: &str) -> String {
    let config = json!({ "architecture": "", "os": "", "created": ZERO, "config": {},
        "rootfs": { "type": "layers", "diff_ids": [] } });
    let layer = "application/vnd.dev.cosign.simplesigning.v1+json";
    registry.artifact(
        repository,
        None,
        (golden::oci::media::OCI_CONFIG, &config.to_string()),
        (layer, "{}"),
        None,
        &[tag],
    )
}

#[test]
fn artifacts_are_listed_with_their_type() {
    let registry = FakeRegistry::start(Behaviour::default());
    let image = registry.image("app", "a", &["1.2.3"]);
    let name = image.replace(':', "-");
    cosign(&registry, "app", &format!("{name}.sig"));
    let helm = (
        "application/vnd.cncf.helm.config.v1+json",
        "{\"name\":\"chart\"}",
    );
    registry.artifact(
        "app",
        None,
        helm,
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "tar"),
        None,
        &["chart"],
    );
    let sbom = registry.artifact(
        "app",
        Some("application/spdx+json"),
        ("application/vnd.oci.empty.v1+json", "{}"),
        ("application/spdx+json", "{}"),
        Some(&image),
        &["bom"],
    );
    registry.fallback("app", &image, &[&sbom]);
    let at = format!("{}/app", registry.host());
    let run = Golden::new().run(&["ls", &at]).exit(0);
    assert!(!run.stdout.contains(&name), "{}", run.stdout);
    let run = Golden::new().run(&["ls", &at, "--all"]).exit(0);
    let words = |line: &str| {
        line.split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .take(2)
            .collect::<Vec<_>>()
            .join(": ")
    };
    let shown: Vec<String> = run.stdout.lines().map(words).collect();
    let expected = [
        "TAG: KIND".to_owned(),
        "1.2.3: image".to_owned(),
        "bom: SBOM".to_owned(),
        "chart: Helm chart".to_owned(),
        format!("{name}: list of referrers"),
        format!("{name}.sig: signature"),
    ];
    assert_eq!(shown, expected, "{}", run.stdout);
    assert!(!run.stdout.contains("0001-"), "{}", run.stdout);
    let all = ["ls", &at, "--all", "--format", "json"];
    let run = Golden::new().run(&all).exit(0);
    let output: Value = serde_json::from_str(&run.stdout).unwrap();
    let rows = output["tags"].as_array().unwrap();
    let kinds: Vec<_> = rows
        .iter()
        .map(|row| row["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["image", "sbom", "helm-chart", "referrers", "signature"]
    );
    assert_eq!(
        (&rows[4]["created"], &rows[4]["subject"]),
        (&Value::Null, &json!(image))
    );
}

#[test]
fn an_artifact_is_inspected_with_its_type() {
    let registry = FakeRegistry::start(Behaviour::default());
    let image = registry.image("app", "a", &["1.2.3"]);
    let tag = format!("{}.sig", image.replace(':', "-"));
    cosign(&registry, "app", &tag);
    let bom = registry.artifact(
        "app",
        Some("application/spdx+json"),
        ("application/vnd.oci.empty.v1+json", "{}"),
        ("application/spdx+json", "{}"),
        Some(&image),
        &[],
    );
    let inspect = |what: &str| {
        Golden::new()
            .run(&["inspect", &format!("{}/app{what}", registry.host())])
            .exit(0)
            .stdout
    };
    let signature = inspect(&format!(":{tag}"));
    assert!(
        signature.contains("kind        signature") && !signature.contains("linux/amd64"),
        "{signature}"
    );
    assert!(
        signature.contains("application/vnd.dev.cosign.simplesigning.v1+json"),
        "{signature}"
    );
    let bom = inspect(&format!("@{bom}"));
    assert!(
        bom.contains("kind        SBOM") && bom.contains(&format!("refers to   {image}")),
        "{bom}"
    );
    let shown = inspect(":1.2.3");
    assert!(
        shown.contains("linux/amd64") && !shown.contains("kind"),
        "{shown}"
    );
}

#[test]
fn a_missing_repository_is_an_error_with_similar_names() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("team/app", "a", &["1"]);
    registry.image("empty", "a", &[]);
    let host = registry.host();
    let run = Golden::new()
        .run(&["ls", &format!("{host}/team/apq")])
        .exit(1);
    assert!(
        run.stderr
            .contains(&format!("repository {host}/team/apq not found")),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains(&format!("did you mean {host}/team/app?")),
        "{}",
        run.stderr
    );
    assert_eq!(run.stdout, "");
    Golden::new().run(&["ls", &format!("{host}/empty")]).exit(0);
    let closed = FakeRegistry::start(Behaviour {
        instead: Some(std::sync::Arc::new(
            |seen: &crate::support::server::Seen| {
                seen.path
                    .contains("_catalog")
                    .then(|| refuse(401, "UNAUTHORIZED", "no"))
            },
        )),
        ..Behaviour::default()
    });
    let run = Golden::new()
        .run(&["ls", &format!("{}/nope", closed.host())])
        .exit(1);
    assert!(run.stderr.contains("/nope not found\n"), "{}", run.stderr);
}

fn verify(registry: &FakeRegistry, what: &str) -> Run {
    Golden::new().run(&["verify", &format!("{}/app:{what}", registry.host())])
}

/// The tag rules decide; the labels of the tagged image have no effect.
#[test]
fn a_reference_is_verified_by_the_rules_for_tags() {
    for tag in ["1.2", "1", "latest", "alpine", "1.2-alpine"] {
        let registry = FakeRegistry::start(Behaviour::default());
        registry.image("app", "a", &FOUR);
        registry.image("app", "old", &["1.2.2"]);
        registry.image(
            "app",
            "v",
            &["1.2.3-alpine", "1.2-alpine", "1-alpine", "alpine"],
        );
        verify(&registry, tag).exit(0);
        registry.artifact(
            "app",
            None,
            (golden::oci::media::OCI_CONFIG, "{}"),
            (golden::oci::media::OCI_LAYER, "x"),
            None,
            &[tag],
        );
        let run = verify(&registry, tag).exit(5);
        let own = if tag.contains("alpine") {
            "1.2.3-alpine"
        } else {
            "1.2.3"
        };
        assert!(
            run.stderr.contains(&format!(", like {own}")),
            "{}",
            run.stderr
        );
    }
    // A version tag that was overwritten differs from the moving tags.
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &FOUR);
    registry.image("app", "foreign", &["1.2.3"]);
    verify(&registry, "1.2.3").exit(5);
    // A moving tag that points to an older version.
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1.2.3"]);
    registry.image("app", "old", &["1.2.2", "1.2"]);
    verify(&registry, "1.2").exit(5);
    verify(&registry, "1.2.2").exit(5);
}

/// The tag rules of a workspace apply to references to its images.
#[test]
fn a_reference_to_an_image_of_the_workspace_is_verified_by_its_rules() {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("app", "a", &["1.2.2", "1.2", "1", "latest"]);
    registry.image("app", "withdrawn", &["1.2.3"]);
    let table = format!(
        "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
        registry.host()
    );
    let image = "[image]\nname = \"app\"\nversion = \"1.3.0\"\nbase = \"scratch\"\n[tags]\nwithdrawn = [\"1.2.3\"]\n";
    let golden = Golden::new().workspace(&table).image("app", image);
    let name = format!("{}/app:1.2", registry.host());
    golden.run(&["verify", &name]).exit(0);
    Golden::new().run(&["verify", &name]).exit(5);
}
