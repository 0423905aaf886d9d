//! The sizes of an image, for the rules of `[policy.size]`.

/// A file and its size in bytes.
pub type FileSize = (String, u64);

/// The sizes of the image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageSizes {
    /// The size of the layers as a registry stores them, in bytes.
    pub packed: u64,
    /// The layers, the lowest first; empty if their content is not known.
    pub layers: Vec<LayerSize>,
    /// The largest files of the image, the largest first.
    pub largest: Vec<FileSize>,
    /// The earlier version that the image is compared with; `None` if there is none, or if it was
    /// not read.
    pub previous: Option<PreviousSize>,
}

/// The size of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSize {
    /// The size of its regular files, in bytes.
    pub unpacked: u64,
    /// Its largest files, the largest first.
    pub largest: Vec<FileSize>,
}

/// The size of an earlier version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSize {
    /// The reference of the earlier version.
    pub reference: String,
    /// The size of its layers as the registry stores them, in bytes.
    pub packed: u64,
}
