//! Uses several engines together (`[[engine]]`). Each platform of an image is built by an engine
//! that supports it without emulation. The results become one index.
//!
//! golden exports the results from the engines and publishes them like an assembled image. The
//! registry therefore receives no other tags than the fan-out, and the layers of the base keep
//! their blobs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex as BlockingMutex, PoisonError};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::io::SyncIoBridge;

use super::daemon::archive;
use super::daemon::tls::TlsDirectory;
use super::error::trust_hint;
use super::{
    BuildKit, BuildOptions, BuildOutput, BuiltImage, Docker, DockerEnv, Embedded, EngineFacts,
    EngineKind, EngineTrust, Error, Timeouts, fit,
};
use crate::assemble::{Assembled, AssembledImage, BaseImage};
use crate::event::{Events, Step};
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::render::{PinnedBase, Recipe};
use crate::resolve::ResolvedImage;
use crate::resolve::image::Family;

/// One engine of a fleet. It is connected once, at its first use.
#[derive(Debug)]
pub struct FleetEngine {
    name: String,
    platforms: Vec<Platform>,
    /// True if the engine is skipped when it does not answer.
    optional: bool,
    /// True if the engine also builds for the platforms that it emulates.
    emulates: bool,
    /// Held during a build: an engine may have a base for one platform at a time.
    turn: Mutex<()>,
    trust: EngineTrust,
    daemon: Daemon,
}

/// The daemon that executes Dockerfiles.
#[derive(Debug)]
enum Daemon {
    /// A Docker Engine.
    Docker(DockerEnv, OnceCell<Docker>),
    /// A BuildKit daemon at an address, with the directory of its TLS files if it requires TLS.
    BuildKit(String, Option<TlsDirectory>, OnceCell<BuildKit>),
}

/// A client of a daemon that answered.
enum ConnectedDaemon<'a> {
    Docker(&'a Docker),
    BuildKit(&'a BuildKit),
}

impl FleetEngine {
    /// A Docker Engine that builds for `platforms`, or for its own platform if the list is empty.
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
            emulates: false,
            turn: Mutex::default(),
            trust: EngineTrust::Trusted,
            daemon,
        }
    }

    /// A BuildKit daemon that builds for `platforms`, or for its own platform if the list is empty.
    /// It is reached with TLS if `certs` is given.
    #[must_use]
    pub fn buildkit(
        name: impl Into<String>,
        address: String,
        certs: Option<TlsDirectory>,
        platforms: Vec<Platform>,
    ) -> Self {
        let daemon = Daemon::BuildKit(address, certs, OnceCell::new());
        Self {
            name: name.into(),
            platforms,
            optional: false,
            emulates: false,
            turn: Mutex::default(),
            trust: EngineTrust::Trusted,
            daemon,
        }
    }

    /// The engine that the environment selects. It builds for its own platform, and is skipped if
    /// it does not answer.
    #[must_use]
    pub fn fallback(environment: DockerEnv) -> Self {
        Self {
            optional: true,
            ..Self::docker("default", environment, Vec::new())
        }
    }

    /// The engine that the environment selects. It builds all platforms of an image: its own, those
    /// that it emulates, and every platform for which nothing is executed.
    #[must_use]
    pub fn of_all_platforms(environment: DockerEnv) -> Self {
        Self {
            emulates: true,
            ..Self::docker("default", environment, Vec::new())
        }
    }

    /// The same engine with this trust.
    #[must_use]
    pub fn with_trust(self, trust: EngineTrust) -> Self {
        Self { trust, ..self }
    }

    /// The name of the engine in `[[engine]]`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The trust in the engine.
    #[must_use]
    pub const fn trust(&self) -> EngineTrust {
        self.trust
    }

    /// The facts about the engine. Fails if it does not answer.
    pub async fn facts(&self) -> Result<EngineFacts, Error> {
        match self.connected().await? {
            ConnectedDaemon::Docker(docker) => docker.facts().await,
            ConnectedDaemon::BuildKit(daemon) => Ok(daemon.facts()),
        }
    }

    /// The options of a build without the secrets and logins that this engine must not receive.
    /// Fails if a step requires a secret and the engine is not trusted.
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
        if let Some(need) = recipe.image.step_needs().next() {
            return Err(Error::Untrusted {
                engine,
                need,
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
            ssh: None,
            logins: BTreeMap::new(),
            ..options.clone()
        }))
    }

    async fn connected(&self) -> Result<ConnectedDaemon<'_>, Error> {
        match &self.daemon {
            Daemon::Docker(environment, docker) => connect_once(environment, docker)
                .await
                .map(ConnectedDaemon::Docker),
            Daemon::BuildKit(address, certs, daemon) => {
                let connect = || BuildKit::connect(address, certs.as_ref(), Timeouts::default());
                daemon
                    .get_or_try_init(connect)
                    .await
                    .map(ConnectedDaemon::BuildKit)
            }
        }
    }

    /// The Docker Engine, which stores the images that it builds. `None` for a BuildKit daemon,
    /// which stores none; it is not connected.
    async fn docker_engine(&self) -> Result<Option<&Docker>, Error> {
        match &self.daemon {
            Daemon::Docker(environment, docker) => {
                connect_once(environment, docker).await.map(Some)
            }
            Daemon::BuildKit(..) => Ok(None),
        }
    }

    /// True if this engine builds an image for a platform. An engine without `platforms` is
    /// connected to read its own. Fails if it does not answer.
    async fn builds(&self, image: &ResolvedImage, platform: &Platform) -> Result<bool, Error> {
        if !self.platforms.is_empty() {
            return Ok(self.platforms.contains(platform));
        }
        match self.connected().await {
            Err(_) if self.optional => Ok(false),
            Err(error) => Err(error),
            Ok(ConnectedDaemon::Docker(docker)) if self.emulates => {
                let needs_shell = image.family != Family::Static && !image.certificates.is_empty();
                let executes = image.needs_execution() || needs_shell;
                Ok(!executes || docker.executable_platforms().await?.contains(platform))
            }
            Ok(ConnectedDaemon::Docker(docker)) => Ok(docker.platform() == platform),
            Ok(ConnectedDaemon::BuildKit(daemon)) => Ok(daemon.platform() == platform),
        }
    }
}

/// Connects to the Docker Engine of an environment once.
async fn connect_once<'a>(
    environment: &DockerEnv,
    docker: &'a OnceCell<Docker>,
) -> Result<&'a Docker, Error> {
    docker
        .get_or_try_init(|| Docker::connect(environment))
        .await
}

/// The part of an image that one engine built: the image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformBuild {
    /// The name of the engine in `[[engine]]`.
    pub engine: String,
    /// The platform that the engine built.
    pub platform: Platform,
    /// The image ID in that engine. For a BuildKit daemon, which stores no images, the digest of
    /// the manifest.
    pub id: Digest,
}

/// Several engines that build the platforms of an image together.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<FleetEngine>,
    embedded: Embedded,
    spool: PathBuf,
    /// The built parts, by inputs digest.
    made: BlockingMutex<BTreeMap<Digest, Vec<PlatformBuild>>>,
}

impl Fleet {
    /// A fleet of `members`. `embedded` reads the bases, and stores the built images for their
    /// children. Layers are stored under `spool` until they are published or written.
    #[must_use]
    pub const fn new(members: Vec<FleetEngine>, embedded: Embedded, spool: PathBuf) -> Self {
        Self {
            members,
            embedded,
            spool,
            made: BlockingMutex::new(BTreeMap::new()),
        }
    }

    /// Tags an image of this fleet in every Docker Engine that has a part of it. Returns true if at
    /// least one engine has a part. Fails if an engine refuses a tag.
    pub async fn tag(&self, inputs: &Digest, names: &[Reference]) -> Result<bool, Error> {
        let mut named = false;
        for part in self.parts(inputs) {
            let Some(member) = self.named(&part.engine) else {
                continue;
            };
            let Some(docker) = member.docker_engine().await? else {
                continue;
            };
            for name in names {
                docker.tag(&part.id, name).await?;
            }
            named = true;
        }
        Ok(named)
    }

    /// The parts of an image that this fleet built. A later run uses them to find the image again.
    #[must_use]
    pub fn parts(&self, inputs: &Digest) -> Vec<PlatformBuild> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(inputs).cloned().unwrap_or_default()
    }

    /// Exports an image that an earlier run built. Returns `None` if one of its engines is no
    /// longer in the workspace, or no longer has its part. Fails if an engine cannot export its
    /// part.
    pub async fn built_before(
        &self,
        recipe: &Recipe,
        parts: &[PlatformBuild],
        options: &BuildOptions,
        events: &Events,
    ) -> Result<Option<BuiltImage>, Error> {
        // The parts are in the order of their completion; the index needs the order of the spec.
        let export = async |platform: &Platform| {
            let of_platform = parts.iter().find(|part| part.platform == *platform);
            let known = of_platform.and_then(|part| Some((part, self.named(&part.engine)?)));
            let Some((part, member)) = known else {
                return Ok(None);
            };
            let image = self.export(member, recipe, part, options, events).await?;
            if image.is_some() {
                self.keep(&recipe.inputs, part.clone());
            }
            Ok::<_, Error>(image)
        };
        let images: Option<Vec<AssembledImage>> =
            try_join_all(recipe.image.platforms.iter().map(export))
                .await?
                .into_iter()
                .collect();
        images
            .map(|images| self.combine(recipe, options, images))
            .transpose()
    }

    fn named(&self, engine: &str) -> Option<&FleetEngine> {
        self.members.iter().find(|member| member.name == engine)
    }

    /// The first engine that builds an image for a platform. Fails if there is none.
    async fn member(
        &self,
        image: &ResolvedImage,
        platform: &Platform,
    ) -> Result<&FleetEngine, Error> {
        for member in &self.members {
            if member.builds(image, platform).await? {
                return Ok(member);
            }
        }
        let what = if let [FleetEngine { emulates: true, .. }] = self.members.as_slice() {
            format!(
                "the Docker Engine cannot execute steps for {platform}: its machine has no emulator for this platform; \
                 install one (qemu-user-static, binfmt), or add an [[engine]] of this platform to golden.toml"
            )
        } else {
            let names: Vec<&str> = self
                .members
                .iter()
                .map(|member| member.name.as_str())
                .collect();
            format!(
                "no [[engine]] builds for {platform}; the engines are: {}",
                names.join(", ")
            )
        };
        Err(Error::Unsupported {
            what,
            engine: EngineKind::Docker,
        })
    }

    /// Builds for one platform and exports the result.
    async fn build_one(
        &self,
        recipe: &Recipe,
        platform: &Platform,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<AssembledImage, Error> {
        let member = self.member(&recipe.image, platform).await?;
        let _turn = member.turn.lock().await;
        let allowed = member.options(recipe, options, events)?;
        let allowed = allowed.as_ref();
        let step = Step::BuildOn {
            platform: platform.clone(),
            engine: member.name.clone(),
        };
        events.step(&recipe.image.display(), step);
        let mut recipe = recipe.clone();
        recipe.image.platforms = vec![platform.clone()];
        let part = |id| PlatformBuild {
            engine: member.name.clone(),
            platform: platform.clone(),
            id,
        };
        let docker = match member.connected().await? {
            ConnectedDaemon::Docker(docker) => docker,
            ConnectedDaemon::BuildKit(daemon) => {
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
        let BuildOutput::Docker { id } = built.output else {
            unreachable!("a Docker Engine stores the image that it builds")
        };
        let part = part(id);
        self.keep(&recipe.inputs, part.clone());
        let exported = self.export(member, &recipe, &part, options, events).await?;
        exported.ok_or_else(|| Error::Request {
            what: format!("export the image {}", part.id.short()),
            message: "it was removed right after it was built".to_owned(),
        })
    }

    /// Exports a part from its engine. Returns `None` if the engine no longer has it.
    async fn export(
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
        let Some(docker) = member.docker_engine().await? else {
            let image = archive::kept_image(id, platform, &base().await, &self.spool);
            return Ok(image.map_err(crate::store::Error::from)?);
        };
        if docker.image_by_id(id).await?.is_none() {
            return Ok(None);
        }
        let step = Step::Export {
            platform: platform.clone(),
            engine: engine.clone(),
        };
        events.step(&recipe.image.display(), step);
        self.unpacked(docker, part, base().await).await.map(Some)
    }

    /// Exports an image of a Docker Engine that is not a part of a fleet. If `options` is given, base
    /// layers keep the compression of the registry. Fails if the engine cannot export the image.
    pub async fn export_of(
        &self,
        docker: &Docker,
        recipe: &Recipe,
        platform: &Platform,
        id: &Digest,
        options: Option<&BuildOptions>,
        events: &Events,
    ) -> Result<Assembled, Error> {
        let part = PlatformBuild {
            engine: "docker".to_owned(),
            platform: platform.clone(),
            id: id.clone(),
        };
        let step = Step::Export {
            platform: platform.clone(),
            engine: part.engine.clone(),
        };
        events.step(&recipe.image.display(), step);
        let base = match options {
            Some(options) => self.known_base(recipe, platform, options, events).await,
            None => BaseImage::scratch(platform),
        };
        let image = self.unpacked(docker, &part, base).await?;
        Ok(Assembled::new(vec![image]))
    }

    /// Reads an image of a Docker Engine from the archive that the engine exports.
    async fn unpacked(
        &self,
        docker: &Docker,
        part: &PlatformBuild,
        base: BaseImage,
    ) -> Result<AssembledImage, Error> {
        let reader = SyncIoBridge::new(docker.save(&part.id));
        let (directory, platform) = (self.spool.clone(), part.platform.clone());
        let unpacking = tokio::task::spawn_blocking(move || {
            let mut members = archive::unpack(reader, &directory)?;
            archive::compose(&mut members, platform, &base, &directory)
        });
        let unpacked = unpacking
            .await
            .unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        unpacked.map_err(|error| Error::Request {
            what: format!("export the image {}", part.id.short()),
            message: error.to_string(),
        })
    }

    fn keep(&self, inputs: &Digest, part: PlatformBuild) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(inputs.clone()).or_default().push(part);
    }

    /// Combines the images of the platforms to one image.
    fn combine(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        images: Vec<AssembledImage>,
    ) -> Result<BuiltImage, Error> {
        let [first, ..] = images.as_slice() else {
            let what = "[[engine]] needs an image with `platforms`".to_owned();
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
            output: BuildOutput::Assembled(assembled),
        })
    }

    /// The base as its registry has it, so that its layers are not uploaded again. If it cannot be
    /// read, scratch is returned and the layers are uploaded.
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
                    "the layers of the base are uploaded as well, because its manifest could not be read: {error}"
                );
                events.note(Some(&recipe.image.display()), note);
                BaseImage::scratch(platform)
            }
        }
    }
}

impl Fleet {
    /// Builds an image and sends its progress to `events`. Dropping the future cancels the build.
    ///
    /// # Errors
    ///
    /// Fails if the engine cannot be reached, lacks a feature that the recipe needs, or if the
    /// build itself fails.
    pub async fn build(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<BuiltImage, Error> {
        // Fail before building if a platform has no engine.
        try_join_all(
            recipe
                .image
                .platforms
                .iter()
                .map(|platform| self.member(&recipe.image, platform)),
        )
        .await?;
        let build_for = |platform| self.build_one(recipe, platform, options, events);
        let images = try_join_all(recipe.image.platforms.iter().map(build_for)).await?;
        self.combine(recipe, options, images)
    }
}
