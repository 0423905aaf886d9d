//! Work that is done once a run, however many images ask for it at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// Results by key. A failure is not kept: the next one who asks tries again.
#[derive(Debug)]
pub(super) struct Memo<T>(Mutex<BTreeMap<String, Arc<OnceCell<T>>>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Memo<T> {
    /// The result of `work` for this key, from now or from before. Work that is not needed is not begun.
    pub(super) async fn get<E>(
        &self,
        key: String,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        // What is under the lock is whole after every statement, so a panic elsewhere does it no harm.
        let cell = Arc::clone(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(key)
                .or_default(),
        );
        cell.get_or_try_init(|| work).await.cloned()
    }
}
