//! Several engines as one (`[[engine]]`): every platform of an image is built by an engine that builds it
//! for real, and what they made becomes one image under an index.
//!
//! The results are taken out of the engines and published by golden like anything assembled. So no tags but the
//! fan-out reach the registry, and the base's layers stay the blobs that the registry has.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tokio_util::io::SyncIoBridge;

use super::daemon::archive;
use super::error::trust_hint;
use super::{
    Artifact, BuildKit, BuildOptions, BuiltImage, Docker, DockerEnv, Embedded, Engine, EngineKind,
    EngineTrust, Error, fit,
};
use crate::assemble::{Assembled, AssembledImage, BaseImage};
use crate::event::Events;
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::render::{PinnedBase, Recipe};

/// One engine of a fleet. It is connected when it is first needed, once.
#[derive(Debug)]
pub struct FleetEngine {
    name: String,
    platforms: Vec<Platform>,
    /// It is passed over when it does not answer.
    optional: bool,
    trust: EngineTrust,
    daemon: Daemon,
}

/// Who executes Dockerfiles there.
#[derive(Debug)]
enum Daemon {
    /// A Docker Engine.
    Docker(DockerEnv, OnceCell<Docker>),
    /// A BuildKit daemon at an address, with a directory of TLS files where it wants them.
    BuildKit(String, Option<PathBuf>, OnceCell<BuildKit>),
}

/// A daemon that is connected.
enum Connected<'a> {
    Docker(&'a Docker),
    BuildKit(&'a BuildKit),
}

impl FleetEngine {
    /// A Docker Engine that builds for `platforms`; for its own when none is named.
    #[must_use]
    pub fn docker(
        name: impl Into<String>,
        environment: DockerEnv,
        platforms: Vec<Platform>,
    ) -> Self {
        let daemon = Daemon::Docker(environment, OnceCell::new());
        Self {
            name: name.into(),
            platforms,
            optional: false,
            trust: EngineTrust::Trusted,
            daemon,
        }
    }

    /// A BuildKit daemon that builds for `platforms`; for its own when none is named. `certs` is a directory with ca.pem,
    /// cert.pem and key.pem.
    #[must_use]
    pub fn buildkit(
        name: impl Into<String>,
        address: String,
        certs: Option<PathBuf>,
        platforms: Vec<Platform>,
    ) -> Self {
        let daemon = Daemon::BuildKit(address, certs, OnceCell::new());
        Self {
            name: name.into(),
            platforms,
            optional: false,
            trust: EngineTrust::Trusted,
            daemon,
        }
    }

    /// The engine of the surroundings: it builds for its own platform, if it answers.
    #[must_use]
    pub fn fallback(environment: DockerEnv) -> Self {
        Self {
            optional: true,
            ..Self::docker("default", environment, Vec::new())
        }
    }

    /// The same engine, as far as the user trusts it.
    #[must_use]
    pub fn with_trust(self, trust: EngineTrust) -> Self {
        Self { trust, ..self }
    }

    /// The options of a build, without what this engine must not receive.
    fn options<'o>(
        &self,
        recipe: &Recipe,
        options: &'o BuildOptions,
        events: &Events,
    ) -> Result<Cow<'o, BuildOptions>, Error> {
        if self.trust == EngineTrust::Trusted {
            return Ok(Cow::Borrowed(options));
        }
        let (engine, trust) = (self.name.clone(), self.trust);
        if let Some(secret) = recipe
            .image
            .run
            .iter()
            .flat_map(|step| &step.secrets)
            .next()
        {
            return Err(Error::Untrusted {
                engine,
                secret: secret.clone(),
                trust,
            });
        }
        let is_needed = matches!(&recipe.base, PinnedBase::Registry { reference, .. }
            if options.logins.contains_key(&reference.repository.host));
        if is_needed {
            let note = format!("the engine `{engine}` receives no login: {trust}");
            events.warn(
                Some(&recipe.image.display()),
                format!("{note}; {}", trust_hint(&engine, trust)),
            );
        }
        let proxies = options
            .proxy_args
            .iter()
            .filter(|(_, value)| !value.contains('@'));
        Ok(Cow::Owned(BuildOptions {
            proxy_args: proxies
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            secrets: BTreeMap::new(),
            logins: BTreeMap::new(),
            ..options.clone()
        }))
    }

    async fn connected(&self) -> Result<Connected<'_>, Error> {
        match &self.daemon {
            Daemon::Docker(environment, docker) => {
                once(environment, docker).await.map(Connected::Docker)
            }
            Daemon::BuildKit(address, certs, daemon) => {
                let connect = || BuildKit::connect(address, certs.as_deref());
                daemon
                    .get_or_try_init(connect)
                    .await
                    .map(Connected::BuildKit)
            }
        }
    }

    /// The Docker Engine, which keeps what it built. None for a BuildKit daemon, which keeps nothing and is not asked.
    async fn keeper(&self) -> Result<Option<&Docker>, Error> {
        match &self.daemon {
            Daemon::Docker(environment, docker) => once(environment, docker).await.map(Some),
            Daemon::BuildKit(..) => Ok(None),
        }
    }

    /// Whether this engine builds for a platform. One that names none is asked for its own.
    async fn builds(&self, platform: &Platform) -> Result<bool, Error> {
        if !self.platforms.is_empty() {
            return Ok(self.platforms.contains(platform));
        }
        match self.connected().await {
            Err(_) if self.optional => Ok(false),
            Err(error) => Err(error),
            Ok(Connected::Docker(docker)) => Ok(docker.platform() == platform),
            Ok(Connected::BuildKit(daemon)) => Ok(daemon.platform() == platform),
        }
    }
}

/// The engine of an environment, connected once.
async fn once<'a>(
    environment: &DockerEnv,
    docker: &'a OnceCell<Docker>,
) -> Result<&'a Docker, Error> {
    docker
        .get_or_try_init(|| Docker::connect(environment))
        .await
}

/// What one engine made of an image: its part for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformBuild {
    /// The engine's name.
    pub engine: String,
    /// The platform.
    pub platform: Platform,
    /// The image ID in that engine; for a BuildKit daemon, which keeps no images, the digest of the manifest.
    pub id: Digest,
}

/// Several engines.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<FleetEngine>,
    embedded: Embedded,
    spool: PathBuf,
    /// What was built, by inputs.
    made: Mutex<BTreeMap<Digest, Vec<PlatformBuild>>>,
}

impl Fleet {
    /// A fleet. `embedded` reads the bases, and learns of what is made, for images that are built on it; layers are
    /// kept under `spool` until they are published or written.
    #[must_use]
    pub const fn new(members: Vec<FleetEngine>, embedded: Embedded, spool: PathBuf) -> Self {
        Self {
            members,
            embedded,
            spool,
            made: Mutex::new(BTreeMap::new()),
        }
    }

    /// Gives an image that was built here its names, in every Docker Engine that has a part of it. Whether one has.
    pub async fn tag(&self, inputs: &Digest, names: &[Reference]) -> Result<bool, Error> {
        let mut named = false;
        for part in self.parts(inputs) {
            let Some(member) = self.named(&part.engine) else {
                continue;
            };
            let Some(docker) = member.keeper().await? else {
                continue;
            };
            for name in names {
                docker.tag(&part.id, name).await?;
            }
            named = true;
        }
        Ok(named)
    }

    /// Where the parts of an image are that was built here, for a later run to find them.
    #[must_use]
    pub fn parts(&self, inputs: &Digest) -> Vec<PlatformBuild> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(inputs).cloned().unwrap_or_default()
    }

    /// What an earlier run built, taken out of its engines once more. None when one of them is not in the workspace
    /// any more, or has lost its part.
    pub async fn built_before(
        &self,
        recipe: &Recipe,
        parts: &[PlatformBuild],
        options: &BuildOptions,
        events: &Events,
    ) -> Result<Option<BuiltImage>, Error> {
        // Parts stand in the order in which they were done, an index in that of the spec.
        let take = async |platform: &Platform| {
            let of_platform = parts.iter().find(|part| part.platform == *platform);
            let known = of_platform.and_then(|part| Some((part, self.named(&part.engine)?)));
            let Some((part, member)) = known else {
                return Ok(None);
            };
            let image = self.take_out(member, recipe, part, options, events).await?;
            if image.is_some() {
                self.keep(&recipe.inputs, part.clone());
            }
            Ok::<_, Error>(image)
        };
        let images: Option<Vec<AssembledImage>> =
            try_join_all(recipe.image.platforms.iter().map(take))
                .await?
                .into_iter()
                .collect();
        images
            .map(|images| self.together(recipe, options, images))
            .transpose()
    }

    fn named(&self, engine: &str) -> Option<&FleetEngine> {
        self.members.iter().find(|member| member.name == engine)
    }

    /// The first engine that builds for a platform.
    async fn member(&self, platform: &Platform) -> Result<&FleetEngine, Error> {
        for member in &self.members {
            if member.builds(platform).await? {
                return Ok(member);
            }
        }
        let names: Vec<&str> = self
            .members
            .iter()
            .map(|member| member.name.as_str())
            .collect();
        Err(Error::Unsupported {
            what: format!(
                "no [[engine]] builds for {platform} (there are: {})",
                names.join(", ")
            ),
            engine: EngineKind::Docker,
        })
    }

    /// Builds for one platform, and takes the result out of its engine.
    async fn build_one(
        &self,
        recipe: &Recipe,
        platform: &Platform,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<AssembledImage, Error> {
        let member = self.member(platform).await?;
        let allowed = member.options(recipe, options, events)?;
        let allowed = allowed.as_ref();
        events.step(
            &recipe.image.display(),
            format!("{platform} on the engine {}", member.name),
        );
        let mut recipe = recipe.clone();
        recipe.image.platforms = vec![platform.clone()];
        let part = |id| PlatformBuild {
            engine: member.name.clone(),
            platform: platform.clone(),
            id,
        };
        let docker = match member.connected().await? {
            Connected::Docker(docker) => docker,
            Connected::BuildKit(daemon) => {
                let image = daemon
                    .build(&recipe, &self.embedded, allowed, events, &self.spool)
                    .await?;
                self.keep(&recipe.inputs, part(image.manifest.digest.clone()));
                return Ok(image);
            }
        };
        let base_config = self.embedded.base_config(&recipe.base, platform).await?;
        let allowed = &BuildOptions {
            base_config,
            ..allowed.clone()
        };
        let fitted = Box::pin(fit::for_docker(
            docker,
            &self.embedded,
            &recipe,
            allowed,
            events,
        ))
        .await?;
        let built = docker.build(&fitted, allowed, events).await?;
        let Artifact::Docker { id } = built.artifact else {
            unreachable!("a Docker Engine keeps what it built")
        };
        let part = part(id);
        self.keep(&recipe.inputs, part.clone());
        let taken = self
            .take_out(member, &recipe, &part, options, events)
            .await?;
        taken.ok_or_else(|| Error::Request {
            what: format!("hand over the image {}", part.id.short()),
            message: "it is gone right after it was built".to_owned(),
        })
    }

    /// Takes a part out of its engine; none when it is not there any more.
    async fn take_out(
        &self,
        member: &FleetEngine,
        recipe: &Recipe,
        part: &PlatformBuild,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<Option<AssembledImage>, Error> {
        let PlatformBuild {
            engine,
            platform,
            id,
        } = part;
        let base = async || self.known_base(recipe, platform, options, events).await;
        let Some(docker) = member.keeper().await? else {
            let image = archive::kept_image(id, platform, &base().await, &self.spool);
            return Ok(image.map_err(crate::store::Error::from)?);
        };
        if docker.image_by_id(id).await?.is_none() {
            return Ok(None);
        }
        events.step(
            &recipe.image.display(),
            format!("take {platform} out of the engine {engine}"),
        );
        self.unpacked(docker, part, base().await).await.map(Some)
    }

    /// An image as a Docker Engine has it, read out of the archive that it saves.
    async fn unpacked(
        &self,
        docker: &Docker,
        part: &PlatformBuild,
        base: BaseImage,
    ) -> Result<AssembledImage, Error> {
        let reader = SyncIoBridge::new(docker.save(&part.id));
        let (directory, platform) = (self.spool.clone(), part.platform.clone());
        let taking = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&directory)?;
            let mut members = archive::unpack(reader, &directory)?;
            archive::compose(&mut members, platform, &base, &directory)
        });
        let taken = taking
            .await
            .unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        taken.map_err(|error| Error::Request {
            what: format!("hand over the image {}", part.id.short()),
            message: error.to_string(),
        })
    }

    fn keep(&self, inputs: &Digest, part: PlatformBuild) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(inputs.clone()).or_default().push(part);
    }

    /// One image of the parts for its platforms.
    fn together(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        images: Vec<AssembledImage>,
    ) -> Result<BuiltImage, Error> {
        let [first, ..] = images.as_slice() else {
            let what = "several engines build images that name their platforms".to_owned();
            return Err(Error::Unsupported {
                what,
                engine: EngineKind::Docker,
            });
        };
        let config = ImageConfig::parse(&first.config).map_err(|error| Error::Build {
            message: error.to_string(),
        })?;
        let assembled = Assembled::new(images);
        if !options.childless {
            self.embedded.remember(recipe, &assembled);
        }
        Ok(BuiltImage {
            inputs: recipe.inputs.clone(),
            engine: EngineKind::Docker,
            platforms: recipe.image.platforms.clone(),
            config,
            artifact: Artifact::Assembled(assembled),
        })
    }

    /// The base as its registry has it, so that its layers need not be sent again. Without, they are.
    async fn known_base(
        &self,
        recipe: &Recipe,
        platform: &Platform,
        options: &BuildOptions,
        events: &Events,
    ) -> BaseImage {
        match self.embedded.base_of(recipe, options, platform).await {
            Ok(base) => base,
            Err(error) => {
                let note = format!(
                    "the base's layers are sent along, since its manifest could not be read: {error}"
                );
                events.note(Some(&recipe.image.display()), note);
                BaseImage::scratch(platform)
            }
        }
    }
}

#[async_trait::async_trait]
impl Engine for Fleet {
    fn kind(&self) -> EngineKind {
        EngineKind::Docker
    }

    async fn build(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<BuiltImage, Error> {
        // Who lacks an engine hears of it before any build begins.
        try_join_all(
            recipe
                .image
                .platforms
                .iter()
                .map(|platform| self.member(platform)),
        )
        .await?;
        let one = |platform| self.build_one(recipe, platform, options, events);
        let images = try_join_all(recipe.image.platforms.iter().map(one)).await?;
        self.together(recipe, options, images)
    }
}
