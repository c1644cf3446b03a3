//! Asking a server, and telling it what was counted.

use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex as AsyncMutex;

use super::Inner;
use super::copies::LocalCopy;
use super::driver::driver;
use super::engine::{Engine, Fault};
use super::tries::{Patience, Tries, ask};
use crate::core::error::StoreError;
use crate::store::asked::Asked;

/// How long what was counted may wait to be told.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// What a walk over all records may take, each of whose requests is bounded by itself.
const WALK: Duration = Duration::from_secs(3_600);

impl<E: Engine> Inner<E> {
    pub(super) fn tries(&self, patience: Patience) -> Tries<'_> {
        Tries::new(&self.engine, self.timeout, patience)
    }

    /// Asks until there is an answer, or none is to be hoped for soon.
    pub(super) async fn persist<T, F>(&self, verb: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        ask(self.tries(Patience::Short), verb).await
    }

    /// The same for what must not be forgotten, as long as there is time.
    pub(super) async fn insist<T, F>(&self, verb: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        ask(self.tries(Patience::Long), verb).await
    }

    /// The same for a walk over all records, each of whose requests is bounded by itself.
    pub(super) async fn walk<T, F>(&self, verb: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        ask(Tries::new(&self.engine, WALK, Patience::Short), verb).await
    }

    /// Names a call among all calls of all processes.
    pub(super) fn token(&self, asked: &Asked) -> String {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // A forked child has its parent's seed, but an identity of its own.
        let mark = self.seed.hash_one((&*asked.owner_process, now.as_nanos(), number));
        let mut token = String::with_capacity(32);
        // Writing to a text does not fail.
        _ = write!(token, "{mark:x}{number:x}");
        token
    }

    pub(super) fn telling(&self) -> MutexGuard<'_, Arc<AsyncMutex<()>>> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the server what was counted; waits for another who is at it.
    pub(super) async fn tell_counts(&self) -> Result<(), StoreError> {
        if self.counts.are_told() {
            return Ok(());
        }
        let telling = Arc::clone(&self.telling());
        let _alone = telling.lock().await;
        let Some(counted) = self.counts.take() else { return Ok(()) };
        let told = tokio::time::timeout(self.timeout, self.engine.count(&counted)).await;
        match told {
            Ok(Ok(())) => self.counts.arrived(),
            Ok(Err(Fault::Unsent(text))) => {
                self.counts.give_back(counted);
                return Err(StoreError::Unavailable(text));
            }
            // Told once or not at all, but never twice.
            Ok(Err(Fault::Lost(text))) => {
                self.counts.arrived();
                return Err(StoreError::Unavailable(text));
            }
            Ok(Err(Fault::Answer(error))) => {
                self.counts.give_back(counted);
                return Err(error);
            }
            Err(_) => {
                self.counts.arrived();
                return Err(StoreError::Unavailable(format!(
                    "{} did not take what was counted in time",
                    self.engine.place()
                )));
            }
        }
        Ok(())
    }

    /// Sees to it that what was counted is told.
    pub(super) fn expect_telling(self: &Arc<Self>) {
        if self.counts.becomes_due() {
            let inner = Arc::clone(self);
            driver().spawn_idle(async move {
                tokio::time::sleep(TOLD_AFTER).await;
                // Counters are no result: what can't be told now is told with the next, or not at all.
                _ = inner.tell_counts().await;
            });
        }
    }

    /// Counts a look that found a copy.
    pub(super) fn found_copy(self: &Arc<Self>, key: &str, copy: &LocalCopy, shadow: bool) -> u32 {
        self.counts.hit(key, copy.fence, shadow);
        self.expect_telling();
        copy.attempts.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// What another than the engine ended or changed is news here, too.
    pub(super) fn ended(&self, key: &str) {
        self.news.copies.forget(key);
        self.news.waiters.discharge(key);
    }
}
