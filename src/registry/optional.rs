//! Optional features of a registry that only a request can find out about.

use std::sync::atomic::{AtomicU8, Ordering};

/// Records whether the registry supports a feature.
#[derive(Debug, Default)]
pub(super) struct OptionalFeature(AtomicU8);

impl OptionalFeature {
    /// No request was sent yet.
    const UNKNOWN: u8 = 0;
    /// The first request that uses the feature is in progress.
    const PENDING: u8 = 1;
    const SUPPORTED: u8 = 2;
    const UNSUPPORTED: u8 = 3;

    /// True if a request that uses the feature may be sent. Only one request tries it; until its
    /// response, the others do without.
    pub(super) fn may_try(&self) -> bool {
        let order = Ordering::Relaxed;
        self.0
            .compare_exchange(Self::UNKNOWN, Self::PENDING, order, order)
            .is_ok()
            || self.0.load(order) == Self::SUPPORTED
    }

    pub(super) fn record(&self, is_supported: bool) {
        self.0.store(
            if is_supported {
                Self::SUPPORTED
            } else {
                Self::UNSUPPORTED
            },
            Ordering::Relaxed,
        );
    }

    /// Resets the state after a request that gave no result.
    pub(super) fn forget(&self) {
        self.0.store(Self::UNKNOWN, Ordering::Relaxed);
    }
}
