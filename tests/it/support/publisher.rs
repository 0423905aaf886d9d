//! Publishing without an engine: images written by hand that differ in one file, published through
//! the library.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use golden::assemble::{Assembled, AssembledImage, Layer, LayerSource};
use golden::engine::{BuildOutput, BuiltImage, Docker, EngineKind};
use golden::event::Events;
use golden::image::{Blobs, FileReader};
use golden::observe::{self, ConfigCache};
use golden::oci::{Descriptor, ImageConfig, RawManifest, media};
use golden::plan::{self, Plan, PlanOptions};
use golden::platform::Platform;
use golden::publish::{self, Attachments, PublishJob, Receipt};
use golden::reference::{Digest, Repository, Tag};
use golden::registry::{LoginScope, Registries, RegistryEndpoint, RegistryEnv, RetryPolicy};
use golden::render::{Recipe, Rendered};
use golden::resolve::image::{
    Base, Config, Family, FamilySource, Packages, Provenance, SpecLocations,
};
use golden::resolve::{Destination, PinnedBase, ResolvedImage};
use golden::snapshot::Observed;
use golden::tags::TagRules;
use golden::workspace::state::StateDirectory;
use golden::workspace::user_cache::UserCache;

use crate::support::services;

/// A publisher with its own workspace directory, and one or more registries.
pub(crate) struct Publisher {
    directory: tempfile::TempDir,
    registries: Registries,
    destinations: Vec<Destination>,
    /// Build even if the inputs are unchanged.
    pub(crate) force: bool,
    docker: Option<Docker>,
}

/// The result of one run.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) plan: Plan,
    /// The receipts, or the error.
    pub(crate) result: Result<Vec<Receipt>, publish::Error>,
}

impl Publisher {
    /// A publisher to `hosts` that gives up after `attempts` tries of a request.
    pub(crate) fn new(hosts: &[&str], attempts: u32) -> Self {
        Self::with(hosts, attempts, None, None)
    }

    /// The same, with a user and a password in the GOLDEN_ variables, and with a CA that signed the
    /// registries' certificates.
    pub(crate) fn with(
        hosts: &[&str],
        attempts: u32,
        login: Option<(&str, &str)>,
        ca: Option<&Path>,
    ) -> Self {
        let names = ["GOLDEN_REGISTRY_USER", "GOLDEN_REGISTRY_PASSWORD"].map(str::to_owned);
        let login = login.map(|(user, password)| [user, password].map(str::to_owned));
        let variables = login
            .map(|login| names.into_iter().zip(login).collect())
            .unwrap_or_default();
        let mut env = RegistryEnv::from_vars(&variables);
        let short = std::time::Duration::from_millis(5);
        env.retry_policy = RetryPolicy {
            attempts,
            pause: short,
            longest_pause: short,
            ..env.retry_policy
        };
        let destinations: Vec<Destination> = hosts
            .iter()
            .map(|host| format!("{host}/golden").parse().unwrap())
            .collect();
        env.scope = LoginScope::of(destinations.iter().map(|to| to.host.clone()));
        let endpoint = |to: &Destination| RegistryEndpoint {
            ca: ca.map(Path::to_owned),
            ..RegistryEndpoint::of(to.host.clone())
        };
        let endpoints = destinations.iter().map(endpoint).collect();
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            registries: Registries::new(endpoints, env),
            destinations,
            force: false,
            docker: None,
        }
    }

    /// The same, with images that a Docker Engine builds and pushes.
    pub(crate) fn through(mut self, docker: Docker) -> Self {
        self.docker = Some(docker);
        self
    }

    pub(crate) fn state(&self) -> StateDirectory {
        StateDirectory::of(self.directory.path())
            .with_user_cache(UserCache::at(self.directory.path().join(".user-cache")))
    }

    pub(crate) fn registries(&self) -> &Registries {
        &self.registries
    }

    /// The repository of an image in the first registry.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        self.destinations[0]
            .repository(&name.parse().unwrap())
            .unwrap()
    }

    /// Reads the registries and plans.
    pub(crate) async fn plan(
        &self,
        images: &[&Image],
    ) -> Result<(Vec<Recipe>, Plan), observe::Error> {
        let recipes: Vec<Recipe> = images.iter().map(|image| image.recipe()).collect();
        let mut observed = Observed::default();
        let cache = ConfigCache::of(self.state());
        observe::repositories(
            &recipes,
            &self.destinations,
            &self.registries,
            &cache,
            &mut observed,
        )
        .await?;
        let options = PlanOptions {
            destinations: self.destinations.clone(),
            force: self.force,
        };
        let plan = plan::plan(&recipes, &observed, &options).unwrap();
        Ok((recipes, plan))
    }

    /// Runs the steps of `build --push` for an image, except for the build.
    pub(crate) async fn publish(&self, image: &Image) -> Done {
        let (recipes, plan) = match self.plan(&[image]).await {
            Ok(planned) => planned,
            Err(error) => {
                return Done {
                    plan: Plan { images: Vec::new() },
                    result: Err(error.into()),
                };
            }
        };
        let built = plan.images[0].step.is_build().then(|| match self.docker {
            Some(_) => image.built_by_the_engine(),
            None => image.built(),
        });
        let blobs = Blobs::new(self.registries.clone());
        let files = FileReader::new(blobs, UserCache::default());
        let job = PublishJob {
            recipe: &recipes[0],
            planned: &plan.images[0],
            built: built.as_ref(),
            registries: &self.registries,
            docker: self.docker.as_ref(),
            logins: &BTreeMap::new(),
            attachments: Attachments {
                signing: None,
                sbom: &[],
                provenance: None,
                files: &files,
            },
            cache: &ConfigCache::of(self.state()),
            state: &self.state(),
            now: 1_700_000_000,
            durations: &BTreeMap::new(),
            events: &Events::silent(),
        };
        let limit = std::time::Duration::from_mins(1);
        let publishing = async {
            let mut receipts = Vec::new();
            publish::release(publish::upload(job, None).await?, &mut receipts).await?;
            Ok(receipts)
        };
        let result = tokio::time::timeout(limit, publishing).await.unwrap();
        Done { plan, result }
    }

    /// Every tag of an image in the first registry, with its digest.
    pub(crate) async fn tags(&self, name: &str) -> BTreeMap<String, Digest> {
        self.tags_in(&self.repository(name)).await
    }

    /// Every tag of a repository, with its digest.
    pub(crate) async fn tags_in(&self, repository: &Repository) -> BTreeMap<String, Digest> {
        let repo = self.registries.repo(repository);
        let mut found = BTreeMap::new();
        for tag in repo.tags().await.unwrap() {
            let manifest = repo.manifest(&tag).await.unwrap().unwrap();
            found.insert(tag.to_string(), manifest.digest);
        }
        found
    }

    /// Points `tag` to the image of `from`, as another tool does.
    pub(crate) async fn retag(&self, name: &str, from: &str, tag: &str) {
        let repository = self.repository(name);
        let repo = self.registries.repo(&repository);
        let (from, tag): (Tag, Tag) = (from.parse().unwrap(), tag.parse().unwrap());
        let raw = repo.manifest(&from).await.unwrap().unwrap();
        repo.put(&tag, &raw).await.unwrap();
    }
}

impl Done {
    /// The planned step, as one word.
    pub(crate) fn step(&self) -> &'static str {
        match self.plan.images.first().map(|image| &image.step) {
            Some(plan::PlanStep::Build { .. }) => "build",
            Some(plan::PlanStep::Skip { .. }) => "skip",
            Some(plan::PlanStep::Retag { .. }) => "retag",
            Some(plan::PlanStep::Attach { .. }) => "attach",
            Some(plan::PlanStep::Copy { .. }) => "copy",
            Some(plan::PlanStep::Refuse { .. }) => "refuse",
            None => "none",
        }
    }

    /// The receipts of a successful run.
    #[track_caller]
    pub(crate) fn receipts(self) -> Vec<Receipt> {
        self.result.unwrap()
    }
}

/// A name that no other test uses.
pub(crate) fn fresh_name(prefix: &str) -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!(
        "{prefix}-{nanos:x}-{}",
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// An image of scratch with one layer.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) version: String,
    /// May be empty.
    pub(crate) variant: String,
    /// The content of the file; different content results in different inputs.
    pub(crate) content: String,
    pub(crate) rules: TagRules,
}

impl Image {
    /// An image whose content is its version.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        let (name, version, variant) = (name.to_owned(), version.to_owned(), String::new());
        Self {
            name,
            content: version.clone(),
            version,
            variant,
            rules: TagRules::default(),
        }
    }

    /// Sets the content.
    pub(crate) fn content(mut self, content: &str) -> Self {
        content.clone_into(&mut self.content);
        self
    }

    /// Sets the variant.
    pub(crate) fn variant(mut self, variant: &str) -> Self {
        variant.clone_into(&mut self.variant);
        self
    }

    /// Sets the tag rules.
    pub(crate) fn rules(mut self, rules: TagRules) -> Self {
        self.rules = rules;
        self
    }

    fn inputs(&self) -> Digest {
        Digest::of(format!("{} {} {}", self.version, self.variant, self.content).as_bytes())
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (
                "org.opencontainers.image.version".to_owned(),
                self.version.clone(),
            ),
            ("content".to_owned(), self.content.clone()),
        ])
    }

    pub(crate) fn recipe(&self) -> Recipe {
        let image = ResolvedImage {
            name: self.name.parse().unwrap(),
            source: "image.toml".into(),
            row: BTreeMap::new(),
            version: self.version.parse().unwrap(),
            variant: (!self.variant.is_empty()).then(|| self.variant.parse().unwrap()),
            description: None,
            base: Base::Scratch,
            family: Family::Static,
            family_source: FamilySource::Spec,
            template: "static".to_owned(),
            template_written: false,
            platforms: Vec::new(),
            labels: self.labels(),
            suppressed_labels: BTreeSet::new(),
            env: Vec::new(),
            config: Config::default(),
            certificates: Vec::new(),
            trust: golden::resolve::image::TrustOptions::default(),
            packages: Packages::default(),
            files: Vec::new(),
            run: Vec::new(),
            own_withdrawn: Vec::new(),
            tags: self.rules.clone(),
            tests: Vec::new(),
            lifecycle: golden::resolve::lifecycle::LifecycleRules::default(),
            channels: std::collections::BTreeMap::new(),
            provenance: Provenance::default(),
            locations: SpecLocations::default(),
        };
        let rendered = Rendered {
            dockerfile: String::new(),
            context: Vec::new(),
            build_args: BTreeMap::new(),
            api_labels: BTreeMap::new(),
        };
        Recipe {
            image,
            base: PinnedBase::Scratch,
            rendered,
            inputs: self.inputs(),
            spec_inputs: Digest::of(b"spec"),
            templates: std::sync::Arc::default(),
        }
    }

    /// The image in the form that the embedded engine returns.
    pub(crate) fn built(&self) -> BuiltImage {
        let mut labels = self.labels();
        labels.insert("dev.golden.inputs".to_owned(), self.inputs().to_string());
        let layer = self.content.repeat(100).into_bytes();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
        });
        let config = serde_json::to_vec(&config).unwrap();
        let descriptor = Descriptor::of(media::OCI_LAYER, &layer);
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
            "config": Descriptor::of(media::OCI_CONFIG, &config), "layers": [&descriptor],
        });
        let manifest =
            RawManifest::new(media::OCI_MANIFEST, serde_json::to_vec(&manifest).unwrap());
        let platform: Platform = "linux/amd64".parse().unwrap();
        let image = AssembledImage {
            platform: platform.clone(),
            manifest: manifest.clone(),
            config: config.clone().into(),
            layers: vec![Layer {
                descriptor,
                source: LayerSource::Inline(layer.into()),
            }],
        };
        BuiltImage {
            inputs: self.inputs(),
            engine: EngineKind::Embedded,
            platforms: vec![platform],
            config: ImageConfig::parse(&config).unwrap(),
            output: BuildOutput::Assembled(Assembled {
                top: manifest,
                images: vec![image],
            }),
        }
    }

    /// The image in the first Docker Engine.
    pub(crate) fn built_by_the_engine(&self) -> BuiltImage {
        let mut labels = self.labels();
        labels.insert("dev.golden.inputs".to_owned(), self.inputs().to_string());
        let changes = labels
            .iter()
            .map(|(key, value)| format!("--change 'LABEL {key}={value}'"));
        let changes = changes.collect::<Vec<_>>().join(" ");
        let import = format!(
            "tar -cf - -C / etc/hostname | docker -H {} import {changes} -",
            services::docker_host()
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &import])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{import}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let id = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        BuiltImage {
            engine: EngineKind::Docker,
            output: BuildOutput::Docker { id },
            ..self.built()
        }
    }

    /// The digest of [`Self::built`].
    pub(crate) fn digest(&self) -> Digest {
        match self.built().output {
            BuildOutput::Assembled(assembled) => assembled.top.digest,
            BuildOutput::Docker { id } => id,
        }
    }
}
