//! Bills of materials and provenance statements are attached to published images.

use std::collections::BTreeSet;

use golden::oci::media;
use golden::reference::Digest;
use serde_json::{Value, json};

use crate::support::curl::curl;
use crate::support::layout::{Base, index, index_of, tar};
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::{Golden, Run};

const PASSWORD: &str = "correct horse battery";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
pub(crate) const IN_TOTO: &str = "application/vnd.in-toto+json";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
const RELEASE: &str = "ID=debian\nVERSION_ID=\"12\"\n";
const PACKAGES: &str =
    "Package: adduser\nStatus: install ok installed\nArchitecture: all\nVersion: 3.134\n\n";
pub(crate) const SPEC: &str = "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"oci:../base\"\n\
    platforms = [\"linux/amd64\", \"linux/arm64\"]\n\
    [[files]]\ncontent = \"x\"\ntarget = \"/x\"\n";

/// An image of Debian with these packages.
fn debian(platform: &str, packages: &str) -> Base {
    let plain = tar(&[
        ("etc/os-release", 'f', RELEASE),
        ("var/lib/dpkg/status", 'f', packages),
    ]);
    let diff_id = Digest::of(&plain);
    Base::new(platform).layer_as(media::OCI_LAYER, plain, diff_id)
}

/// A workspace with a registry and a base for two platforms.
pub(crate) struct App {
    pub(crate) registry: FakeRegistry,
    pub(crate) golden: Golden,
}

impl App {
    pub(crate) fn new(behaviour: Behaviour, tables: &str) -> Self {
        Self::with_packages(behaviour, tables, PACKAGES)
    }

    fn with_packages(behaviour: Behaviour, tables: &str, packages: &str) -> Self {
        let registry = FakeRegistry::start(behaviour);
        let golden = Golden::new()
            .env("GOLDEN_SIGNING_PASSWORD", PASSWORD)
            .image("app", SPEC);
        let base = golden.path().join("base");
        let images = ["linux/amd64", "linux/arm64"].map(|platform| debian(platform, packages));
        let top = index_of(&base, &images.each_ref());
        index(&base, &[(&top, None)]);
        if tables.contains("[signing]") {
            golden.write_key_pair("team");
        }
        let app = Self { registry, golden };
        app.configure(tables);
        app
    }

    pub(crate) fn configure(&self, tables: &str) {
        let host = self.registry.host();
        let text = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n{tables}");
        self.golden.write("golden.toml", text);
    }

    #[track_caller]
    pub(crate) fn run(&self, args: &[&str], code: i32) -> Run {
        self.golden.run(args).exit(code)
    }

    /// The requests that write.
    fn writes(&self) -> Vec<String> {
        let requests = self.registry.requests();
        let is_write = |line: &String| !line.starts_with("GET ") && !line.starts_with("HEAD ");
        requests.into_iter().filter(is_write).collect()
    }

    pub(crate) fn tree(&self, reference: &str) -> Value {
        let run = self.run(&["referrers", reference, "--format", "json"], 0);
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// The content of an artifact.
    fn content(&self, repository: &str, manifest: &str) -> Value {
        let host = self.registry.host();
        let manifest = curl("GET", &host, &format!("{repository}/manifests/{manifest}")).json();
        let blob = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
        curl("GET", &host, &format!("{repository}/blobs/{blob}")).json()
    }

    /// The provenance statement of a node of the tree.
    pub(crate) fn provenance(&self, node: &Value) -> Value {
        let nodes = node["referrers"].as_array().unwrap();
        let found = nodes
            .iter()
            .find(|node| predicate(node) == PROVENANCE)
            .unwrap();
        statement(&self.content("app", found["digest"].as_str().unwrap()))
    }
}

/// The levels in the verification summary of the published image.
fn verified_levels(app: &App) -> Value {
    let tree = app.tree("app:1.2.3");
    let nodes = tree["referrers"].as_array().unwrap().iter();
    let mut summaries =
        nodes.filter(|node| predicate(node) == "https://slsa.dev/verification_summary/v1");
    let summary = summaries.next_back().unwrap();
    let summary = statement(&app.content("app", summary["digest"].as_str().unwrap()));
    summary["predicate"]["verifiedLevels"].clone()
}

#[test]
fn a_summary_has_the_level_that_the_provenance_of_the_image_shows() {
    let signing = "[signing]\nkey = \"team.key\"\n";
    let policy = "[policy.published]\nrequire = [\"provenance\"]\n";
    let except =
        "[[policy.except]]\nrule = \"published.require\"\nreason = \"x\"\nuntil = 2999-01-01\n";
    let one = json!(["SLSA_BUILD_LEVEL_1"]);
    let unevaluated = json!(["SLSA_BUILD_LEVEL_UNEVALUATED"]);
    for (provenance, except, is_annotated, expected) in [
        ("[provenance]\n", "", false, &one),
        ("[provenance]\n", except, false, &unevaluated),
        ("", except, false, &unevaluated),
        ("", "", true, &unevaluated),
    ] {
        let behaviour = Behaviour {
            referrers: true,
            ..Behaviour::default()
        };
        let app = App::new(behaviour, &format!("{provenance}{signing}{policy}{except}"));
        app.run(&["build", "--push"], 0);
        if is_annotated {
            let top = app.registry.tags("app")["1.2.3"].clone();
            let blob = curl("GET", &app.registry.host(), &format!("app/manifests/{top}")).json();
            let manifest = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
                "artifactType": BUNDLE, "config": blob["config"], "layers": [],
                "annotations": { "dev.sigstore.bundle.predicateType": PROVENANCE },
                "subject": { "mediaType": media::OCI_INDEX, "digest": top, "size": 1 } });
            app.registry
                .manifest("app", media::OCI_MANIFEST, &manifest, &[]);
        }
        app.run(&["audit", "app:1.2.3", "--attest"], 0);
        let found = verified_levels(&app);
        assert_eq!(found, *expected, "{provenance}{except}{is_annotated}");
    }
}

/// The statement in a bundle, or an unsigned statement itself.
fn statement(content: &Value) -> Value {
    use base64::Engine as _;
    match content["dsseEnvelope"]["payload"].as_str() {
        None => content.clone(),
        Some(payload) => {
            let payload = base64::engine::general_purpose::STANDARD.decode(payload);
            serde_json::from_slice(&payload.unwrap()).unwrap()
        }
    }
}

fn predicate(node: &Value) -> &str {
    let annotations = &node["annotations"];
    annotations["in-toto.io/predicate-type"]
        .as_str()
        .unwrap_or_default()
}

/// The type and the predicate type of each referrer of a node.
fn kinds(node: &Value) -> BTreeSet<(String, String)> {
    let nodes = node["referrers"].as_array().unwrap().iter();
    let kind = |node: &Value| node["artifactType"].as_str().unwrap().to_owned();
    nodes
        .map(|node| (kind(node), predicate(node).to_owned()))
        .collect()
}

fn set(kinds: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    let owned = kinds
        .iter()
        .map(|(kind, of)| ((*kind).to_owned(), (*of).to_owned()));
    owned.collect()
}

const ALL: &str = "[signing]\nkey = \"team.key\"\n[sbom]\n[provenance]\n";

#[test]
fn statements_are_attached_with_one_write_of_each_list_before_a_tag_points_to_the_image() {
    for (has_api, tables, statements) in [
        (false, ALL, BUNDLE),
        (true, ALL, BUNDLE),
        (false, "[sbom]\n[provenance]\n", IN_TOTO),
        (true, "[sbom]\n[provenance]\n", IN_TOTO),
    ] {
        let behaviour = Behaviour {
            referrers: has_api,
            ..Behaviour::default()
        };
        let app = App::new(behaviour, tables);
        app.run(&["build", "--push"], 0);
        let signature = [
            (BUNDLE, "https://sigstore.dev/cosign/sign/v1"),
            ("application/vnd.dev.cosign.simplesigning.v1+json", ""),
        ];
        let signature = if tables == ALL { &signature[..] } else { &[] };
        let of_index = [&[(statements, PROVENANCE)], signature].concat();
        let of_image = [
            &of_index[..],
            &[
                (statements, "https://cyclonedx.org/bom"),
                (statements, "https://spdx.dev/Document"),
                (CYCLONEDX, ""),
            ],
        ]
        .concat();
        let tree = app.tree("app:1.2.3");
        assert_eq!(kinds(&tree), set(&of_index));
        let images = tree["images"].as_array().unwrap();
        assert_eq!(images.len(), 2);
        for image in images {
            assert_eq!(kinds(image), set(&of_image));
        }
        let writes = app.writes();
        let tag = writes
            .iter()
            .position(|it| it.ends_with("/manifests/1.2.3"))
            .unwrap();
        let is_list =
            |write: &&String| write.contains("/manifests/sha256-") && !write.contains(".sig");
        let lists = writes.iter().filter(is_list).count();
        assert_eq!(lists, if has_api { 0 } else { 3 }, "{writes:?}");
        let late = writes[tag..]
            .iter()
            .find(|it| it.contains("/manifests/sha256") && !it.contains("?tag="));
        assert_eq!(late, None, "{writes:?}");
        // The second run writes nothing.
        let plan = app.run(&["plan"], 0).stdout;
        assert!(plan.contains("skip") && !plan.contains("attach"), "{plan}");
        app.run(&["build", "--push"], 0);
        app.run(&["push"], 0);
        assert_eq!(app.writes().len(), writes.len(), "{:?}", app.writes());
    }
}

#[test]
fn the_attached_documents_are_those_of_the_command() {
    let app = App::new(Behaviour::default(), "[sbom]\nformats = [\"cyclonedx\"]\n");
    app.run(&["build", "--push"], 0);
    let tree = app.tree("app:1.2.3");
    for (image, platform) in tree["images"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["amd64", "arm64"])
    {
        let platform = format!("linux/{platform}");
        let run = app.run(&["sbom", "app:1.2.3", "--platform", &platform], 0);
        let printed: Value = serde_json::from_str(&run.stdout).unwrap();
        for referrer in image["referrers"].as_array().unwrap() {
            let content = app.content("app", referrer["digest"].as_str().unwrap());
            match referrer["artifactType"].as_str().unwrap() {
                CYCLONEDX => assert_eq!(content, printed),
                _ => assert_eq!(statement(&content)["predicate"], printed),
            }
        }
    }
}

#[test]
fn a_published_image_that_lacks_statements_is_repaired() {
    for behaviour in Behaviour::both() {
        let app = App::new(behaviour, "[signing]\nkey = \"team.key\"\n");
        app.run(&["build", "--push"], 0);
        app.configure(ALL);
        let plan = app.run(&["plan"], 0).stdout;
        assert!(plan.contains("app:1.2.3  attach: "), "{plan}");
        assert!(plan.contains("attach SBOM\n"), "{plan}");
        assert!(plan.contains("attach provenance\n"), "{plan}");
        assert!(!plan.contains("attach signature"), "{plan}");
        let json = app.run(&["plan", "--format", "json"], 0).stdout;
        let json: Value = serde_json::from_str(&json).unwrap();
        let destination = &json["images"][0]["destinations"][0];
        assert_eq!(destination["attach"], json!(["sbom", "provenance"]));
        let run = app.run(&["build", "--push"], 0);
        assert!(run.stdout.contains("attached"), "{}", run.stdout);
        let before = app.writes().len();
        let plan = app.run(&["plan"], 0).stdout;
        assert!(plan.contains("skip"), "{plan}");
        app.run(&["build", "--push"], 0);
        assert_eq!(app.writes().len(), before);
        // The statement does not claim an engine that it does not know.
        let statement = app.provenance(&app.tree("app:1.2.3"));
        let internal = &statement["predicate"]["buildDefinition"]["internalParameters"];
        assert_eq!(internal["engine"], Value::Null, "{internal}");
        assert!(internal["dev.golden.inputs"].is_string());
    }
}

#[test]
fn a_damaged_package_database_is_named_in_the_document_and_in_a_warning() {
    let damaged = format!("{PACKAGES}Package: cut\nStatus: install ok installed\nVers");
    let app = App::with_packages(Behaviour::default(), "[sbom]\n", &damaged);
    let run = app.run(&["build", "--push"], 0);
    assert!(
        run.stderr
            .contains("its bill of materials lacks packages: var/lib/dpkg/status cannot be read"),
        "{}",
        run.stderr
    );
    let tree = app.tree("app:1.2.3");
    let referrers = tree["images"][0]["referrers"].as_array().unwrap();
    for referrer in referrers {
        let content = app.content("app", referrer["digest"].as_str().unwrap());
        let text = content.to_string();
        assert!(
            text.contains("Packages are missing: var/lib/dpkg/status"),
            "{text}"
        );
        assert!(text.contains("adduser"), "{text}");
    }
}

/// Commits all files of the workspace. Returns the commit.
pub(crate) fn commit(golden: &Golden) -> String {
    golden.write(".gitignore", ".golden/\n*.key\n");
    if !golden.path().join(".git").exists() {
        golden.git(&["init", "-q"]);
        let url = "https://user:hunter2@git.example.com/o/r.git";
        golden.git(&["remote", "add", "origin", url]);
    }
    golden.git(&["add", "-A"]);
    golden.git(&["commit", "-qm", "x"]);
    golden.git(&["rev-parse", "HEAD"])
}

#[test]
fn the_provenance_names_what_the_image_is_built_from() {
    let tables = "[vars]\nteam = \"a\"\n[sbom]\nformats = [\"cyclonedx\"]\n[provenance]\n";
    let app = App::new(Behaviour::default(), tables);
    let head = commit(&app.golden);
    let mut command = app.golden.command(&["build", "--push", "--set", "team=b"]);
    command.envs([
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "o/r"),
        (
            "GITHUB_WORKFLOW_REF",
            "o/r/.github/workflows/b.yml@refs/heads/main",
        ),
        ("GITHUB_RUN_ID", "7"),
        ("GITHUB_RUN_ATTEMPT", "2"),
        ("GITHUB_TOKEN", "hunter2"),
    ]);
    Run::of(command.output().unwrap()).exit(0);
    let tree = app.tree("app:1.2.3");
    let statement = app.provenance(&tree);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], PROVENANCE);
    let subject = &statement["subject"][0]["digest"]["sha256"];
    assert_eq!(
        format!("sha256:{}", subject.as_str().unwrap()),
        app.registry.tags("app")["1.2.3"]
    );
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["buildType"], "https://golden.dev/build/v1");
    let spec = Digest::of(SPEC.as_bytes());
    assert_eq!(
        definition["externalParameters"],
        json!({
            "image": "app", "version": "1.2.3", "platforms": ["linux/amd64", "linux/arm64"],
            "set": { "team": "b" },
            "spec": { "uri": "git+https://git.example.com/o/r.git", "path": "app/image.toml", "sha256": spec.hex() },
        })
    );
    let internal = &definition["internalParameters"];
    assert_eq!(internal["engine"], "embedded");
    assert_eq!(internal["golden"], env!("CARGO_PKG_VERSION"));
    assert_eq!(internal["created"], "2026-01-02T03:04:05Z");
    let dependencies = definition["resolvedDependencies"].as_array().unwrap();
    assert_eq!(dependencies[0]["digest"], json!({ "gitCommit": head }));
    let names: Vec<&str> = dependencies
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["git", "oci:../base", "/x", "golden.toml"]);
    let details = &statement["predicate"]["runDetails"];
    let builder = "https://github.com/o/r/.github/workflows/b.yml@refs/heads/main";
    assert_eq!(details["builder"]["id"], builder);
    let run = "https://github.com/o/r/actions/runs/7/attempts/2";
    assert_eq!(details["metadata"], json!({ "invocationId": run }));
    let byproducts = details["byproducts"].as_array().unwrap();
    assert_eq!(byproducts.len(), 2);
    let bare = tree["images"][0]["referrers"].as_array().unwrap().iter();
    let mut bare = bare.filter(|node| node["artifactType"] == CYCLONEDX);
    let bare = bare.next().unwrap()["digest"].as_str().unwrap();
    let manifest = curl(
        "GET",
        &app.registry.host(),
        &format!("app/manifests/{bare}"),
    )
    .json();
    let document = byproducts[0]["digest"]["sha256"].as_str().unwrap();
    assert_eq!(
        manifest["layers"][0]["digest"],
        format!("sha256:{document}")
    );
    assert!(!statement.to_string().contains("hunter2"), "{statement}");
}

#[test]
fn the_builder_comes_from_golden_toml_or_gitlab_and_is_otherwise_local() {
    let gitlab = [
        ("GITLAB_CI", "true"),
        ("CI_PROJECT_URL", "https://gitlab.com/o/r"),
        ("CI_RUNNER_ID", "12"),
        ("CI_JOB_URL", "https://gitlab.com/o/r/-/jobs/5"),
        ("CI_JOB_TOKEN", "hunter2"),
    ];
    for (table, variables, builder) in [
        (
            "[provenance]\n",
            &gitlab[..],
            "https://gitlab.com/o/r/-/runners/12",
        ),
        ("[provenance]\n", &[], "https://golden.dev/builders/local"),
        (
            "[provenance]\nbuilder = \"https://ci.example.com/golden\"\n",
            &gitlab,
            "https://ci.example.com/golden",
        ),
    ] {
        let app = App::new(Behaviour::default(), table);
        let mut command = app.golden.command(&["build", "--push"]);
        command.envs(variables.iter().copied());
        Run::of(command.output().unwrap()).exit(0);
        let statement = app.provenance(&app.tree("app:1.2.3"));
        let details = &statement["predicate"]["runDetails"];
        assert_eq!(details["builder"]["id"], builder);
        let invocation = &details["metadata"]["invocationId"];
        assert_eq!(invocation.is_string(), !variables.is_empty());
    }
}

#[test]
fn wrong_values_of_the_tables_are_reported_where_they_are() {
    for (tables, message) in [
        (
            "[sbom]\nformats = []\n",
            "no format of bills of materials is listed",
        ),
        ("[sbom]\nformats = [\"cyclondx\"]\n", "cyclonedx"),
        ("[sbom]\nformat = [\"spdx\"]\n", "formats"),
        (
            "[provenance]\nbuilder = \"our ci\"\n",
            "`our ci` is not a URI",
        ),
    ] {
        let app = App::new(Behaviour::default(), tables);
        let run = app.run(&["check"], 2);
        assert!(run.stderr.contains(message), "{tables}: {}", run.stderr);
        assert!(
            run.stderr.contains("golden.toml:"),
            "{tables}: {}",
            run.stderr
        );
    }
}

/// A fleet of 40 images, and the whole life of its artifacts.
#[test]
fn a_fleet_has_all_artifacts_and_leaves_no_orphan() {
    let app = App::new(Behaviour::default(), ALL);
    let spec = |name: &str, version: &str| {
        let spec = format!(
            "[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = \"oci:../base\"\n\
             platforms = [\"linux/amd64\"]\n[[files]]\ncontent = \"{version}\"\ntarget = \"/x\"\n"
        );
        app.golden.write(&format!("{name}/image.toml"), spec);
    };
    let names: Vec<String> = (0..40).map(|n| format!("svc{n}")).collect();
    for name in &names {
        spec(name, "1.0.0");
    }
    app.run(&["build", "--push"], 0);
    for name in &names {
        let tree = app.tree(&format!("{name}:1.0.0"));
        assert_eq!(kinds(&tree).len(), 6, "{name}: {tree}");
    }
    let before = app.writes().len();
    app.run(&["build", "--push"], 0);
    assert_eq!(app.writes().len(), before);
    // The life of one of them.
    let name = names[0].as_str();
    let everything = |repository: &str| {
        let reachable = app.registry.tags(repository);
        let reachable: BTreeSet<String> = reachable.into_values().collect();
        (app.registry.manifests(repository), reachable)
    };
    let prod = format!("{}/prod/{name}", app.registry.host());
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        spec(name, version);
        app.run(&["build", name, "--push"], 0);
        app.run(
            &["promote", &format!("{name}:{version}"), &prod, "--tags"],
            0,
        );
    }
    let tree = app.tree(&format!("{prod}:1.1.0"));
    assert_eq!(kinds(&tree).len(), 6, "{tree}");
    app.run(&["rollback", name, "--to", "1.1.0", "--yes"], 0);
    app.run(&["prune", name, "--keep", "1", "--yes"], 0);
    for repository in [name.to_owned(), format!("prod/{name}")] {
        let left: Vec<String> = app.registry.tags(&repository).into_keys().collect();
        let versions = left
            .iter()
            .filter(|tag| tag.parse::<semver::Version>().is_ok());
        for version in versions.cloned().collect::<Vec<_>>() {
            let host = app.registry.host();
            let reference = format!("{host}/{repository}:{version}");
            app.golden
                .run(&["delete", &reference, "--all-tags", "--yes"])
                .exit(0);
        }
        let (manifests, tags) = everything(&repository);
        assert_eq!(
            (manifests.len(), tags.len()),
            (0, 0),
            "{repository}: {manifests:?} {tags:?}"
        );
    }
}

#[test]
fn keys_and_passwords_appear_in_no_output_and_no_request() {
    let app = App::new(Behaviour::default(), ALL);
    for name in ["team.key", "team.pub"] {
        std::fs::remove_file(app.golden.path().join(name)).unwrap();
    }
    app.run(&["key", "new", "--out", "team"], 0);
    let key = std::fs::read_to_string(app.golden.path().join("team.key")).unwrap();
    let line = key.lines().nth(1).unwrap().to_owned();
    commit(&app.golden);
    let mut outputs = String::new();
    for args in [
        &["plan"][..],
        &["build", "--push", "-vv"],
        &["referrers", "app:1.2.3", "--format", "json"],
        &["verify", "app", "--signed"],
        &["reproduce", "app:1.2.3", "-vv"],
    ] {
        let run = app.run(args, 0);
        outputs.push_str(&run.stdout);
        outputs.push_str(&run.stderr);
    }
    let sent = app.registry.server.seen();
    let bodies = sent
        .iter()
        .map(|seen| String::from_utf8_lossy(&seen.body).into_owned());
    outputs.extend(bodies);
    for secret in [PASSWORD, line.as_str(), "hunter2"] {
        assert!(!outputs.contains(secret), "{secret} is shown");
    }
}
