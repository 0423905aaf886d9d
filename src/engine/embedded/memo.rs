//! Runs work once per run, even if several images request its result at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// Results by key. A failure is not stored: the next caller runs the work again.
#[derive(Debug)]
pub(super) struct Memo<T>(Mutex<BTreeMap<String, Arc<OnceCell<T>>>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Memo<T> {
    /// Returns the stored result for this key, or runs `work` and stores its result. Fails if
    /// `work` fails.
    pub(super) async fn get<E>(
        &self,
        key: String,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        // The map is valid after every statement, so a panic of another lock holder does not damage
        // it.
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
