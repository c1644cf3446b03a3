//! Copies of completed records in this process, where they are wanted: a duplicate that finds one costs no round trip.
//!
//! INVARIANT: a copy is handed out only while the server would tell of a change, or until it is older than the user
//! allows; one that was read before a change was told is not kept.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::engine::Finished;
use crate::core::clock::Span;
use crate::core::record::{Fence, Fingerprint, Payload};
use crate::store::{ClaimRequest, Hit};

/// How long a copy is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalCopies {
    /// There are none.
    Off,
    /// Until the server tells of a change.
    Told,
    /// So long: a change elsewhere is seen that much later at most.
    Aged(Duration),
}

/// What copies may weigh together, in bytes.
const CAPACITY: u64 = 32 << 20;
const OVERHEAD: u64 = 200;
const AVERAGE: u64 = 512;

/// A completed record.
pub(super) struct LocalCopy {
    pub(super) fence: Fence,
    fingerprint: Option<Fingerprint>,
    pub(super) result: Payload,
    executed_at: crate::core::clock::Timestamp,
    ttl: Span,
    /// Calls so far.
    pub(super) attempts: AtomicU32,
    read_at: Instant,
}

impl LocalCopy {
    fn is_good(&self, age: Duration) -> bool {
        let old = self.read_at.elapsed();
        old < age && old < Duration::from_micros(self.ttl.as_micros())
    }

    /// As a look-up finds it.
    pub(super) fn hit(&self) -> Hit {
        let old = u64::try_from(self.read_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        let ttl = Span::from_micros(self.ttl.as_micros().saturating_sub(old));
        Hit { outcome: Ok(self.result.clone()), executed_at: self.executed_at, ttl }
    }
}

#[derive(Clone)]
pub(super) struct Bytes;

impl Weighter<Box<str>, Arc<LocalCopy>> for Bytes {
    fn weight(&self, key: &Box<str>, copy: &Arc<LocalCopy>) -> u64 {
        let result = match &copy.result {
            Payload::Json(bytes) | Payload::Custom(bytes) => bytes.len(),
            Payload::Local(_) | Payload::Unavailable => 0,
        };
        OVERHEAD + (key.len() + result) as u64
    }
}

pub(super) type Table = Cache<Box<str>, Arc<LocalCopy>, Bytes, RandomState, DefaultLifecycle<Box<str>, Arc<LocalCopy>>>;

/// See the module. Nothing is allocated before a copy is kept.
pub(in crate::store) struct Copies {
    table: RwLock<Option<Table>>,
    mode: LocalCopies,
    /// Whether the server tells of changes at the moment.
    is_told: AtomicBool,
    /// Grows with all that is taken out: what was read before that is no copy to keep.
    removals: AtomicU64,
}

impl Copies {
    pub(super) fn new(mode: LocalCopies) -> Self {
        Self { table: RwLock::default(), mode, is_told: AtomicBool::new(false), removals: AtomicU64::new(0) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Table>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Option<Table>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What copies there are to be.
    pub(in crate::store) const fn mode(&self) -> LocalCopies {
        self.mode
    }

    /// How old a copy may be; `None` where none is good at the moment.
    fn age(&self) -> Option<Duration> {
        match self.mode {
            LocalCopies::Told if self.is_told.load(Ordering::Acquire) => Some(Duration::MAX),
            LocalCopies::Aged(age) => Some(age),
            LocalCopies::Off | LocalCopies::Told => None,
        }
    }

    /// The copy of a key, if it is good.
    pub(super) fn get(&self, key: &str) -> Option<Arc<LocalCopy>> {
        let age = self.age()?;
        self.read().as_ref()?.get(key).filter(|copy| copy.is_good(age))
    }

    /// The copy that answers a claim.
    pub(super) fn answer(&self, request: &ClaimRequest<'_>) -> Option<Arc<LocalCopy>> {
        self.get(request.key)
            .filter(|copy| !request.check_params || copy.fingerprint.is_none_or(|kept| kept == *request.fingerprint))
    }

    /// Called before a record is read that may be kept.
    pub(super) fn begin_reading(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
    }

    /// Keeps a record that was read since [`Copies::begin_reading`] gave `reading`, with so many calls.
    pub(super) fn keep(&self, reading: u64, key: &str, found: &Finished<Payload>, attempts: u32) {
        if self.age().is_none() {
            return;
        }
        let copy = LocalCopy {
            fence: found.fence,
            fingerprint: found.fingerprint,
            result: found.outcome.clone(),
            executed_at: found.executed_at,
            ttl: found.ttl,
            attempts: AtomicU32::new(attempts),
            read_at: Instant::now(),
        };
        let mut table = self.write();
        let table = table.get_or_insert_with(|| {
            let items = usize::try_from(CAPACITY / AVERAGE).unwrap_or(usize::MAX);
            Cache::with(items, CAPACITY, Bytes, RandomState::default(), DefaultLifecycle::default())
        });
        // Alone, so that nothing is taken out between the check and what follows.
        if self.removals.load(Ordering::Acquire) == reading {
            table.insert(key.into(), Arc::new(copy));
        }
    }

    /// Takes a record out.
    pub(in crate::store) fn forget(&self, key: &str) {
        self.removals.fetch_add(1, Ordering::AcqRel);
        if let Some(table) = &*self.read() {
            table.remove(key);
        }
    }

    /// Takes all records out.
    pub(in crate::store) fn forget_all(&self) {
        self.removals.fetch_add(1, Ordering::AcqRel);
        if let Some(table) = &*self.read() {
            table.clear();
        }
    }

    /// Says whether the server tells of changes from now on.
    pub(in crate::store) fn set_told(&self, told: bool) {
        self.is_told.store(told, Ordering::Release);
        if !told {
            self.forget_all();
        }
    }
}
