//! `golden audit` on whole repositories and namespaces, which need not be in the workspace.

use serde_json::{Value, json};

use crate::support::curl::curl;
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

const POLICY: &str = "[policy]\nrequired_labels = [\"owner\"]\n[policy.config]\ndeny_root = true\n\
    [policy.severity]\n\"config.deny_root\" = \"warn\"\n";

/// A registry with images of two teams. Each image runs as root.
fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start(Behaviour::default());
    let owned = json!({ "owner": "team" });
    registry.labelled("team/app", "a", &owned, &["1.0.0", "1.0", "latest"]);
    registry.labelled("team/app", "b", &json!({}), &["0.9.0"]);
    registry.labelled("team/sub/tool", "c", &owned, &["2"]);
    registry.labelled("other/app", "d", &json!({}), &["1"]);
    registry
}

fn text(run: crate::support::workspace::Run, registry: &FakeRegistry) -> (String, String) {
    let hide = |text: String| {
        let text = text.replace(&registry.host(), "HOST");
        let digest = regex::Regex::new("sha256:[0-9a-f]{12}").unwrap();
        digest.replace_all(&text, "DIGEST").into_owned()
    };
    (hide(run.stdout), hide(run.stderr))
}

#[test]
fn every_tag_of_a_repository_is_checked_and_shown_in_a_table() {
    let registry = registry();
    let golden = Golden::new().workspace(POLICY);
    let host = registry.host();
    let run = golden.run(&["audit", &format!("{host}/team/app")]).exit(3);
    let (table, findings) = text(run, &registry);
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "RESULT IMAGE DIGEST PLATFORMS FINDINGS",
            "1 error HOST/team/app:0.9.0 DIGEST linux/amd64 config.deny_root, required_labels",
            "1 warning HOST/team/app:1.0.0 DIGEST linux/amd64 config.deny_root",
        ]
    );
    assert!(
        findings.contains(
            "its publisher must set it, such as with LABEL owner=\"…\" in the Dockerfile"
        ) && findings.contains("USER 10001:10001 in the Dockerfile")
            && !findings.contains("[labels]"),
        "{findings}"
    );
    assert!(
        findings.ends_with("2 images in 1 repository checked: 1 complies, 1 violates the policy\n"),
        "{findings}"
    );
    for (glob, images) in [("team/**", 3), ("team/*", 2), ("**", 4), ("*/app", 3)] {
        let glob = format!("{host}/{glob}");
        let run = golden.run(&["audit", &glob]);
        assert_eq!(
            run.stdout.lines().count(),
            images + 1,
            "{glob}: {}",
            run.stdout
        );
    }
    let run = golden.run(&["audit", &format!("{host}/none/**")]).exit(1);
    assert!(run.stderr.contains("no repository of"), "{}", run.stderr);
    let run = golden.run(&["audit", "team/**"]).exit(2);
    assert!(run.stderr.contains("write HOST/** for"), "{}", run.stderr);
    let absent = format!("{host}/team/none");
    let run = golden
        .run(&["audit", &absent, &format!("{host}/team/sub/tool")])
        .exit(1);
    assert!(
        run.stderr.contains("team/none") && run.stdout.contains("tool:2"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_document_of_a_survey_lists_every_image() {
    let registry = registry();
    let golden = Golden::new().workspace(POLICY);
    let all = format!("{}/**", registry.host());
    let run = golden.run(&["audit", &all, "--format", "json"]).exit(3);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let images = document["images"].as_array().unwrap().iter();
    let compliant: Vec<bool> = images
        .clone()
        .map(|image| image["compliant"].as_bool().unwrap())
        .collect();
    assert_eq!(compliant.iter().filter(|one| **one).count(), 2);
    let tags: Vec<usize> = images
        .map(|image| image["tags"].as_array().unwrap().len())
        .collect();
    assert_eq!(tags.iter().sum::<usize>(), 6);
    let summary = &document["summary"];
    assert_eq!(
        (
            &summary["images"],
            &summary["compliant"],
            &summary["repositories"],
            &summary["unreadable"]
        ),
        (&json!(4), &json!(2), &json!(3), &json!(0))
    );
    assert_eq!(
        (&document["errors"], &document["warnings"]),
        (&json!(2), &json!(4))
    );
    let run = golden.run(&["audit", &all, "--format", "sarif"]).exit(3);
    let sarif: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 6);
}

#[test]
fn the_page_of_a_survey_shows_which_images_comply_and_explains_the_rules() {
    let registry = registry();
    let host = registry.host();
    registry.labelled("team/app", "x", &json!({ "owner": "<script>" }), &["2.0.0"]);
    let golden = Golden::new()
        .workspace(POLICY)
        .env("SOURCE_DATE_EPOCH", "1795219200");
    let all = format!("{host}/**");
    let run = golden.run(&["audit", &all, "--format", "html"]).exit(3);
    assert_eq!(run.stderr, "");
    let page = run.stdout.replace("&#x2f;", "/");
    let (head, body) = page.split_once("<body>").unwrap();
    assert!(
        head.starts_with("<!doctype html>\n<html lang=\"en\">"),
        "{head}"
    );
    assert!(head.contains("default-src 'none'"), "{head}");
    for words in [
        "5 images in 3 repositories checked: 3 comply, 2 violate the policy",
        "<nav aria-label=\"Images by result\">",
        "<strong>2</strong> with errors",
        "<strong>3</strong> with warnings only",
        "<span class=\"badge bad\">1 error, 1 warning</span>",
        "<span class=\"badge warn\">1 warning</span>",
        "the required label `owner` is missing",
        "LABEL owner=",
        "<strong>the image does not run as root</strong>",
        "<code>[policy.config] deny_root = true</code>",
        "Written by <code>golden audit</code>",
    ] {
        assert!(body.contains(words), "{words}: {body}");
    }
    assert_eq!(body.matches("<tr data-states=").count(), 5);
    // The page loads nothing, and does not count as the page of a report.
    for word in ["src=\"", "url(", "@import", "<!--"] {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("<script").count(), 1);

    // An image that cannot be read is named.
    let absent = format!("{host}/team/app:9.9.9");
    let tool = format!("{host}/team/sub/tool:2");
    let run = golden
        .run(&["audit", &absent, &tool, "--format", "html"])
        .exit(1);
    let page = run.stdout.replace("&#x2f;", "/");
    for words in [
        "This page is incomplete",
        "has no tag `9.9.9`",
        "1 image checked: 1 complies, 0 violate the policy",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn the_page_about_files_has_a_row_for_each_file_with_findings() {
    let registry = registry();
    let host = registry.host();
    let golden = Golden::new()
        .workspace("[policy.base]\ndeny_tags = [\"latest\"]\n")
        .file("a/Dockerfile", format!("FROM {host}/team/app:latest\n"))
        .file("b/Dockerfile", format!("FROM {host}/team/app:1.0.0\n"));
    let audit = ["audit", "--dockerfile", "*/Dockerfile", "--format", "html"];
    let page = golden.run(&audit).exit(3).stdout.replace("&#x2f;", "/");
    for words in [
        "2 images in 2 files checked",
        "<nav aria-label=\"Files by result\">",
        "<strong>1</strong> with errors",
        "<h2 id=\"results-title\">Files with findings</h2>",
        "a/<wbr>Dockerfile</th>",
        "a/Dockerfile:1</span>",
        "base.deny_tags",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(
        !page.contains("b/Dockerfile") && !page.contains(">Digest<"),
        "{page}"
    );
    assert!(!page.contains("This page is incomplete"), "{page}");

    // An image that only the build knows is not checked, and the page says so.
    golden.write("a/Dockerfile", "FROM ${BASE}\n");
    let page = golden.run(&audit).exit(0).stdout.replace("&#x2f;", "/");
    for words in [
        "This page is incomplete",
        "<li>a/Dockerfile:1: the image cannot be checked: ",
        "1 image in 2 files checked, 1 not checked</p>",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let audit = ["audit", "--dockerfile", "*/Dockerfile", "--format", "json"];
    let document: Value = serde_json::from_str(&golden.run(&audit).exit(0).stdout).unwrap();
    assert_eq!(document["summary"]["images"], 2);
    let unchecked = document["summary"]["unchecked"][0].as_str().unwrap();
    assert!(unchecked.starts_with("a/Dockerfile:1: "), "{unchecked}");
}

#[test]
fn many_findings_are_counted_by_rule() {
    let registry = FakeRegistry::start(Behaviour::default());
    for repository in 0..20 {
        for tag in 0..3 {
            let name = format!("fleet/i{repository:02}");
            let tag = format!("1.0.{tag}");
            registry.labelled(&name, &format!("{name}{tag}"), &json!({}), &[&tag]);
        }
    }
    let golden = Golden::new().workspace(POLICY);
    let run = golden
        .run(&["audit", &format!("{}/fleet/**", registry.host())])
        .exit(3);
    let (table, findings) = text(run, &registry);
    assert_eq!(table.lines().count(), 61);
    insta::assert_snapshot!(findings, @r"
    RULE              IMAGES  SUCH AS
    config.deny_root  60      HOST/fleet/i00:1.0.0
    required_labels   60      HOST/fleet/i00:1.0.0
    `golden audit REF` shows the findings of one image; --format json shows all of them
    60 images in 20 repositories checked: 0 comply, 60 violate the policy
    ");
    let requests = registry.requests();
    // The catalog, one list for each repository, and for each image its manifest, its config and the
    // list of its referrers, which this registry has only under a fallback tag.
    assert!(requests.len() <= 1 + 20 + 60 * 4 + 2, "{}", requests.len());
}

/// The images of the workspace keep the hint about their spec.
#[test]
fn the_hints_for_an_image_of_the_workspace_name_its_spec() {
    let registry = registry();
    let host = registry.host();
    let golden = Golden::new()
        .workspace(&format!(
            "{POLICY}[[registry]]\nname = \"r\"\nhost = \"{host}\"\nnamespace = \"team\"\n"
        ))
        .image(
            "app",
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n",
        );
    for argument in ["app:0.9.0".to_owned(), format!("{host}/team/app:0.9.0")] {
        let run = golden.run(&["audit", &argument]).exit(3);
        assert!(run.stderr.contains("add it to [labels]"), "{}", run.stderr);
    }
    let run = golden.run(&["audit", "app"]).exit(3);
    assert_eq!(run.stdout.lines().count(), 3, "{}", run.stdout);
}

/// The predicates of the verification summaries of an image.
fn summaries(golden: &Golden, registry: &FakeRegistry, reference: &str) -> Vec<Value> {
    use base64::Engine as _;
    let tree = golden
        .run(&["referrers", reference, "--format", "json"])
        .exit(0);
    let tree: Value = serde_json::from_str(&tree.stdout).unwrap();
    let nodes = tree["referrers"].as_array().unwrap().iter();
    let host = registry.host();
    let predicate = |node: &Value| {
        let manifest = node["digest"].as_str().unwrap();
        let manifest = curl("GET", &host, &format!("team/app/manifests/{manifest}")).json();
        let blob = manifest["layers"][0]["digest"].as_str().unwrap();
        let bundle = curl("GET", &host, &format!("team/app/blobs/{blob}")).json();
        let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
        let payload = base64::engine::general_purpose::STANDARD.decode(payload);
        let statement: Value = serde_json::from_slice(&payload.unwrap()).unwrap();
        assert_eq!(
            statement["predicateType"],
            "https://slsa.dev/verification_summary/v1"
        );
        statement["predicate"].clone()
    };
    nodes.map(predicate).collect()
}

#[test]
fn a_summary_is_attached_to_images_that_comply_once_for_each_policy() {
    let registry = registry();
    let host = registry.host();
    let golden = Golden::new().workspace(&format!("{POLICY}[signing]\nkey = \"team.key\"\n"));
    golden.write_key_pair("team");
    let writes = || {
        let requests = registry.requests();
        requests
            .iter()
            .filter(|line| line.starts_with("PUT"))
            .count()
    };
    let all = format!("{host}/team/app");
    let good = format!("{host}/team/app:1.0.0");
    let run = golden.run(&["audit", &all, "--attest"]).exit(3);
    assert_eq!(
        run.stderr.matches("summary attached").count(),
        1,
        "{}",
        run.stderr
    );
    let expected = summaries(&golden, &registry, &good);
    assert_eq!(expected.len(), 1);
    assert_eq!(expected[0]["verificationResult"], "PASSED");
    assert_eq!(expected[0]["resourceUri"], format!("oci://{all}"));
    assert_eq!(
        expected[0]["verifiedLevels"],
        json!(["SLSA_BUILD_LEVEL_UNEVALUATED"])
    );
    let policy = &expected[0]["policy"]["uri"];
    assert_eq!(*policy, "https://golden.dev/policy/v1");
    let bad = format!("{host}/team/app:0.9.0");
    assert_eq!(summaries(&golden, &registry, &bad), [json!(null); 0]);
    let before = writes();
    let run = golden
        .run(&["audit", &good, "--attest", "--format", "json"])
        .exit(0);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let policy = expected[0]["policy"]["digest"]["sha256"].as_str().unwrap();
    assert_eq!(
        document["attested"][0]["policy"],
        format!("sha256:{policy}")
    );
    assert_eq!(document["attested"][0]["added"], json!(null));
    assert_eq!(run.stderr, "");
    for format in ["text", "html", "github", "sarif"] {
        let run = golden.run(&["audit", &good, "--attest", "--format", format]);
        let line = format!("{good}: verification summary already attached (policy sha256:");
        assert_eq!(run.exit(0).stderr.matches(&line).count(), 1, "{format}");
    }
    assert_eq!(writes(), before);
    // Another policy is another statement; the rest of golden.toml does not count.
    let policy = POLICY.replace("\"warn\"", "\"off\"");
    for _ in 0..2 {
        golden.write(
            "golden.toml",
            format!("{policy}[signing]\nkey = \"team.key\"\n"),
        );
        golden.run(&["audit", &good, "--attest"]).exit(0);
        golden.write("golden.toml", format!("{policy}[vars]\nx = \"y\"\n"));
        golden
            .run(&["audit", &good, "--attest", "--key", "team.key"])
            .exit(0);
    }
    assert_eq!(summaries(&golden, &registry, &good).len(), 2);
    let run = golden.run(&["audit", &good, "--attest"]).exit(2);
    assert!(
        run.stderr.contains("there is no key to sign with"),
        "{}",
        run.stderr
    );
    golden.write("golden.toml", "");
    let run = golden
        .run(&["audit", &good, "--attest", "--key", "team.key"])
        .exit(2);
    assert!(run.stderr.contains("has no [policy]"), "{}", run.stderr);
}

/// The number of requests that write.
fn writes(registry: &FakeRegistry) -> usize {
    let requests = registry.requests().into_iter();
    requests.filter(|line| line.starts_with("PUT")).count()
}

#[test]
fn rules_that_an_audit_does_not_evaluate_are_not_attested() {
    let registry = registry();
    let good = format!("{}/team/app:1.0.0", registry.host());
    let golden = Golden::new();
    golden.write_key_pair("team");
    let before = writes(&registry);
    for policy in [
        "[policy.size]\nunpacked = \"1B\"\n",
        "[policy.base]\nallow = []\n",
        "[policy]\nrequired_labels = [\"none\"]\n[policy.severity]\nrequired_labels = \"warn\"\n",
    ] {
        golden.write("golden.toml", policy);
        let run = golden
            .run(&["audit", &good, "--attest", "--key", "team.key"])
            .exit(2);
        assert!(
            run.stderr
                .contains("has no rule that an audit of published images checks"),
            "{policy}: {}",
            run.stderr
        );
    }
    assert_eq!(writes(&registry), before);
}

/// The digest of the policy in an audit that attests an image.
fn attested_policy(golden: &Golden, reference: &str) -> Value {
    let args = ["audit", reference, "--attest", "--format", "json"];
    let run = golden.run(&args).exit(0);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    document["attested"][0]["policy"].clone()
}

#[test]
fn the_digest_of_the_policy_depends_on_exceptions_in_force_and_on_trusted_keys() {
    let registry = registry();
    let host = registry.host();
    let good = format!("{host}/team/app:1.0.0");
    let policy = "[policy]\nrequired_labels = [\"owner\"]\n";
    let signing = "[signing]\nkey = \"team.key\"\n";
    let golden = Golden::new();
    golden.write_key_pair("team");
    let with_exception_until = |until: &str| {
        let except = "[[policy.except]]\nrule = \"required_labels\"\nreason = \"x\"\nuntil = ";
        golden.write("golden.toml", format!("{policy}{except}{until}\n{signing}"));
        attested_policy(&golden, &good)
    };
    let excepted = with_exception_until("2999-01-01");
    let strict = with_exception_until("2026-01-02");
    assert_ne!(excepted, strict);
    golden.write("golden.toml", format!("{policy}{signing}"));
    assert_eq!(attested_policy(&golden, &good), strict);
    let trust = format!("[[trust]]\nname = \"a\"\nimages = [\"{host}/**\"]\nkeys = [\"a.pub\"]\n");
    golden.write("golden.toml", format!("{policy}{signing}{trust}"));
    let mut found = Vec::from([strict]);
    for _ in 0..2 {
        golden.write_key_pair("a");
        let next = attested_policy(&golden, &good);
        assert_eq!(attested_policy(&golden, &good), next);
        assert!(!found.contains(&next), "{found:?}");
        found.push(next);
    }
}
