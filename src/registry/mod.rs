//! The registry client (OCI distribution spec 1.1, Docker registry v2): one client, used by every command.
//!
//! A [`Registry`] is a handle on one host: cheap to clone, sharing connections, credentials and tokens.

use std::path::PathBuf;

use crate::oci::{Bytes, Descriptor, RawManifest};
use crate::reference::{Digest, Host, Repository, RepositoryPath, Tag, Target};

pub mod error;

pub use error::Error;

/// How a registry is reached: from a `[[registry]]` table, or from a bare host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// An extra root certificate for TLS, PEM.
    pub ca: Option<PathBuf>,
    /// Plain HTTP is wanted although the host is not this machine.
    pub http: bool,
    /// Whether `GOLDEN_REGISTRY_USER` and `GOLDEN_REGISTRY_PASSWORD` are meant for it (it is a destination).
    pub destination: bool,
}

/// A handle on one registry.
#[derive(Debug, Clone)]
pub struct Registry {
    host: Host,
}

/// What became of an attempt to mount a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mount {
    /// The repository has the blob now.
    Done,
    /// The registry would not; the blob must be uploaded.
    Refused,
}

/// What an upload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// The registry had it already; nothing was sent.
    Present,
    /// So many bytes were sent.
    Sent(u64),
}

/// Bytes to upload that can be read again from any offset, so that an upload can resume.
#[async_trait::async_trait]
pub trait BlobSource: Send + Sync {
    /// A reader from `offset` to the end.
    async fn open(&self, offset: u64) -> std::io::Result<Box<dyn tokio::io::AsyncRead + Send + Unpin>>;
}

impl Registry {
    /// The host that this is a handle on.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// `GET /v2/`: whether the registry answers and takes the credentials.
    pub async fn ping(&self) -> Result<(), Error> {
        todo!()
    }

    /// Every repository, sorted, all pages.
    pub async fn catalog(&self) -> Result<Vec<RepositoryPath>, Error> {
        todo!()
    }

    /// Every tag of a repository, sorted, all pages. A repository that does not exist has none.
    pub async fn tags(&self, _repository: &RepositoryPath) -> Result<Vec<Tag>, Error> {
        todo!()
    }

    /// Digest, size and media type of a manifest by HEAD: good for polling, no proof. None when there is none.
    pub async fn head_manifest(&self, _: &RepositoryPath, _: &Target) -> Result<Option<Descriptor>, Error> {
        todo!()
    }

    /// A manifest by GET; its bytes are hashed and compared with what was asked for and with what the registry
    /// claims. None when the registry says, in its own words, that there is none.
    pub async fn get_manifest(&self, _: &RepositoryPath, _: &Target) -> Result<Option<RawManifest>, Error> {
        todo!()
    }

    /// Puts a manifest under a tag or its digest.
    pub async fn put_manifest(&self, _: &RepositoryPath, _: &Target, _: &RawManifest) -> Result<(), Error> {
        todo!()
    }

    /// Puts one manifest under several tags: in one request where the registry speaks it (`?tag=…`, believed as
    /// far as `OCI-Tag` goes), one after the other, in this order, where it does not.
    pub async fn put_tags(&self, _: &RepositoryPath, _: &[Tag], _: &RawManifest) -> Result<(), Error> {
        todo!()
    }

    /// Deletes a manifest by digest. False when it was not there.
    pub async fn delete_manifest(&self, _: &RepositoryPath, _: &Digest) -> Result<bool, Error> {
        todo!()
    }

    /// Whether a repository has a blob, by HEAD.
    pub async fn has_blob(&self, _: &RepositoryPath, _: &Digest) -> Result<bool, Error> {
        todo!()
    }

    /// A small blob (a config) in memory, hashed; refused when larger than `limit` bytes.
    pub async fn get_blob(&self, _: &RepositoryPath, _: &Descriptor, _limit: u64) -> Result<Bytes, Error> {
        todo!()
    }

    /// A blob as a stream that fails at its end when digest or size are not the descriptor's.
    pub async fn read_blob(
        &self,
        _: &RepositoryPath,
        _: &Descriptor,
    ) -> Result<Box<dyn tokio::io::AsyncRead + Send + Unpin>, Error> {
        todo!()
    }

    /// Asks the registry to take a blob from another of its repositories.
    pub async fn mount_blob(
        &self,
        _: &RepositoryPath,
        _: &Digest,
        _from: &RepositoryPath,
    ) -> Result<Mount, Error> {
        todo!()
    }

    /// Uploads a blob unless the repository has it: streamed, resumed after a break, memory flat.
    pub async fn push_blob(
        &self,
        _: &RepositoryPath,
        _: &Descriptor,
        _: &dyn BlobSource,
    ) -> Result<Upload, Error> {
        todo!()
    }
}

/// All registries of a run: one [`Registry`] a host, made when it is first asked for.
#[derive(Debug, Clone)]
pub struct Registries {}

impl Registries {
    /// The handle for the registry of a repository. Endpoints that the workspace names are used with their
    /// settings; any other host with the defaults.
    pub fn of(&self, _repository: &Repository) -> Result<Registry, Error> {
        todo!()
    }
}
