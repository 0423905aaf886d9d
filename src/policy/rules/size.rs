//! Functions that the rules of `[policy.size]` share.

use crate::config_files::byte_size::ByteSize;
use crate::config_files::policy::SizePolicy;
use crate::policy::compiled::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::sizes::{FileSize, ImageSizes};
use crate::policy::subject::PolicySubject;

/// The finding that a size is larger than its limit. `key` is the key below `[policy.size]`.
pub(super) fn too_large(
    what: &str,
    bytes: u64,
    limit: ByteSize,
    largest: &[FileSize],
    key: &str,
) -> Finding {
    let (size, limit) = (ByteSize(bytes).exact(), limit.exact());
    let message = format!("{what} {size}, more than {limit}");
    Finding::new(with_files(message, largest)).required_by(&["size", key])
}

/// Adds the largest files to a message.
pub(super) fn with_files(message: String, largest: &[FileSize]) -> String {
    let shown: Vec<String> = largest
        .iter()
        .map(|(path, size)| format!("/{path} ({})", ByteSize(*size)))
        .collect();
    if shown.is_empty() {
        message
    } else {
        format!("{message}; the largest files: {}", shown.join(", "))
    }
}

/// The sizes of a subject, and the limits.
pub(super) fn measured<'s>(
    compiled: &CompiledPolicy<'_>,
    subject: &PolicySubject<'s>,
) -> Option<(&'s ImageSizes, SizePolicy)> {
    subject.sizes.map(|sizes| (sizes, compiled.policy.size))
}
