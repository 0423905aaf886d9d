//! The data that registries and engines exchange: media types, [`Descriptor`], manifests, the image
//! config and deterministic layers. The raw bytes are authoritative; the structs are views of them.

pub mod artifact;
pub mod config;
pub mod content;
pub mod descriptor;
pub(crate) mod extended;
mod fields;
mod gzip;
pub mod layer;
pub mod layout;
pub mod lifecycle;
pub mod manifest;
pub mod tar;
mod timestamp;
pub(crate) mod unpacked;

pub use config::ImageConfig;
pub use content::{Bytes, Content};
pub use descriptor::{Descriptor, EntryRole, packed_size};
pub use manifest::{ImageManifest, Index, Manifest, RawManifest};
pub use timestamp::{LAST_TIME, rfc3339};

/// Media types (OCI image spec 1.1 and Docker distribution, schema 2).
pub mod media {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, plain tar.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, zstd: containerd's media type, which BuildKit writes on request.
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker layer, plain tar.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker manifest, schema 1, signed. golden always refuses it.
    pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

    /// The OCI media type for a Docker config or layer type. Other types are returned unchanged.
    #[must_use]
    pub fn as_oci(media_type: &str) -> &str {
        match media_type {
            DOCKER_CONFIG => OCI_CONFIG,
            DOCKER_LAYER => OCI_LAYER,
            DOCKER_LAYER_GZIP => OCI_LAYER_GZIP,
            DOCKER_LAYER_ZSTD => OCI_LAYER_ZSTD,
            other => other,
        }
    }

    /// The `Accept` header for every HEAD and GET of a manifest. With fewer types, some registries
    /// respond with the digest of another manifest, or with 404.
    pub const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
        application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
}
