//! A cap on the records of a server, kept by each of its clients: by a count that is looked up, added to and, at the cap or
//! after a moment, looked up again. Clients that add records at the same instant may exceed it by what they add then.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::error::StoreError;
use crate::store::Limits;

/// How long a count is believed, since others add records too.
const BELIEVED: Duration = Duration::from_secs(1);

/// Live records on the server.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store) struct Size {
    /// Of any state.
    pub(in crate::store) live: u64,
    /// Those of them that may not be evicted.
    pub(in crate::store) unfinished: u64,
    /// Expired records that are there beside them, until they are removed.
    pub(in crate::store) expired: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Room(Mutex<Inner>);

#[derive(Default)]
pub(super) struct Inner {
    limits: Limits,
    counted: Option<(u64, Instant)>,
}

impl Room {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Mutex::new(Inner { limits, counted: None }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        *self.lock() = Inner { limits, counted: None };
    }

    /// The cap, if there is one.
    pub(super) fn max(&self) -> Option<usize> {
        self.lock().limits.max_records
    }

    /// Whether there is room for one more, as far as is known; `false` where it must be looked up.
    pub(super) fn has_room(&self) -> bool {
        let inner = self.lock();
        let Some(max) = inner.limits.max_records else { return true };
        inner.counted.is_some_and(|(count, at)| count < max as u64 && at.elapsed() < BELIEVED)
    }

    /// A record may have been added.
    pub(super) fn forget(&self) {
        self.lock().counted = None;
    }

    /// One record was added.
    pub(super) fn added(&self) {
        if let Some((count, _)) = &mut self.lock().counted {
            *count += 1;
        }
    }

    /// How many finished records have to go for a new one; an error where none may.
    pub(super) fn to_evict(&self, size: Size) -> Result<u64, StoreError> {
        let mut inner = self.lock();
        let Some(max) = inner.limits.max_records else { return Ok(0) };
        let full =
            |reason| Err(StoreError::Full { size: usize::try_from(size.live).unwrap_or(usize::MAX), max, reason });
        let most = max as u64;
        let held = size.live + size.expired;
        if held < most {
            inner.counted = Some((held, Instant::now()));
            return Ok(0);
        }
        if inner.limits.refuse_when_full {
            return full(StoreError::REFUSES);
        }
        if size.unfinished >= most {
            return full(StoreError::NONE_MAY_GO);
        }
        Ok(size.live - most + (most / 5).max(1))
    }

    /// So many of them went.
    pub(super) fn evicted(&self, size: Size, count: u64) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let Some(max) = inner.limits.max_records else { return Ok(()) };
        if count == 0 {
            let size = usize::try_from(size.live).unwrap_or(usize::MAX);
            return Err(StoreError::Full { size, max, reason: StoreError::NONE_MAY_GO });
        }
        inner.counted = Some((size.live.saturating_sub(count), Instant::now()));
        Ok(())
    }
}
