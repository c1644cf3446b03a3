//! Copies of completed records in this process, so that a duplicate costs no look into the file; and what these
//! duplicates counted.
//!
//! A completed record does not change until it is cleared, marked over or expires. So a copy is good as long as nobody else
//! has changed the file since it was made, which the header of the WAL index tells; what this process changes, it takes
//! out of the copies itself. INVARIANT: a copy is handed out only while the header is the one that was `seen` last, with
//! every commit between the copy's making and that one known to be this process's own.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::wal_index::{Header, WalIndex};
use crate::core::clock::Timestamp;
use crate::core::machine::{Decision, Phase, Request, Stored, decide};
use crate::core::record::{Fence, Fingerprint, Payload};
use crate::store::{ClaimRequest, Claimed};

/// What copies may weigh together, in bytes.
const CAPACITY: u64 = 32 << 20;
/// What a copy weighs beside its key and result, and an average whole.
const OVERHEAD: u64 = 200;
const AVERAGE: u64 = 512;

/// What a completed record says.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: Box<str>,
    pub(super) fence: Fence,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) result: Payload,
    pub(super) executed_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// A completed record.
#[derive(Debug)]
pub(super) struct LocalCopy {
    found: Found,
    /// Calls so far.
    pub(super) attempts: AtomicU32,
    /// Those of them that the file does not know of.
    unwritten: AtomicU32,
}

impl Deref for LocalCopy {
    type Target = Found;

    fn deref(&self) -> &Found {
        &self.found
    }
}

impl LocalCopy {
    /// A copy of a record with so many calls.
    pub(super) fn new(found: Found, attempts: u32) -> Self {
        Self { found, attempts: AtomicU32::new(attempts), unwritten: AtomicU32::new(0) }
    }

    /// Whether a claim is to be answered with it.
    pub(super) fn answers(&self, request: &ClaimRequest<'_>, now: Timestamp) -> bool {
        let stored = Stored {
            phase: Phase::Completed,
            fence: self.fence,
            fingerprint: self.fingerprint.as_ref(),
            expires_at: self.expires_at,
        };
        let fingerprint = request.check_params.then_some(request.fingerprint);
        let claim = Request::Claim { fingerprint, takes_over: request.takes_over };
        decide(Some(stored), claim, now) == Decision::Replay
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Box<str>, (u64, Arc<LocalCopy>)> for Bytes {
    fn weight(&self, key: &Box<str>, (_, copy): &(u64, Arc<LocalCopy>)) -> u64 {
        let result = match &copy.result {
            Payload::Json(bytes) | Payload::Custom(bytes) => bytes.len(),
            Payload::Local(_) | Payload::Unavailable => 0,
        };
        OVERHEAD + (2 * key.len() + result) as u64
    }
}

type Table =
    Cache<Box<str>, (u64, Arc<LocalCopy>), Bytes, RandomState, DefaultLifecycle<Box<str>, (u64, Arc<LocalCopy>)>>;

/// See the module.
pub(super) struct Copies {
    inner: RwLock<Valid>,
    /// Grows with all that this process takes out of the copies: what was read before that is no copy to keep.
    removals: AtomicU64,
    pub(super) counts: Counts,
}

struct Valid {
    index: Option<WalIndex>,
    seen: Header,
    /// Grows with every change of the file that is not this process's own: older copies are no longer good.
    epoch: u64,
    /// Whether there was such a change since the writer was last told.
    changed: bool,
    /// Whether this process is writing a commit: a header that is not the one last seen may be its own.
    committing: bool,
    table: Table,
}

/// When a record was read, to see later whether it may be kept.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    epoch: u64,
    removals: u64,
}

impl Copies {
    pub(super) fn new() -> Self {
        let items = usize::try_from(CAPACITY / AVERAGE).unwrap_or(usize::MAX);
        let table = Cache::with(items, CAPACITY, Bytes, RandomState::default(), DefaultLifecycle::default());
        let valid = Valid { index: None, seen: Header::default(), epoch: 0, changed: false, committing: false, table };
        Self { inner: RwLock::new(valid), removals: AtomicU64::new(0), counts: Counts::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Valid> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Valid> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a claim from a copy, and counts it.
    pub(super) fn replay(&self, request: &ClaimRequest<'_>, now: Timestamp) -> Option<Claimed> {
        let copy = self.get(request.key)?;
        copy.answers(request, now).then(|| self.counts.replayed(&copy, request.shadow))
    }

    /// The copy of a key, if it is good.
    pub(super) fn get(&self, key: &str) -> Option<Arc<LocalCopy>> {
        let valid = self.read();
        let (epoch, copy) = valid.table.get(key)?;
        (epoch == valid.epoch && valid.index.as_ref()?.header() == valid.seen).then_some(copy)
    }

    /// Called before a record is read that may be kept; `None` where it may not.
    pub(super) fn begin_reading(&self) -> Option<Reading> {
        let removals = self.removals.load(Ordering::Acquire);
        {
            let valid = self.read();
            if valid.committing {
                return None;
            }
            if valid.index.as_ref()?.header() == valid.seen {
                return Some(Reading { epoch: valid.epoch, removals });
            }
        }
        let mut valid = self.write();
        let header = valid.index.as_ref()?.header();
        if valid.committing {
            return None;
        }
        valid.notice(header);
        Some(Reading { epoch: valid.epoch, removals })
    }

    /// Keeps a record that was read.
    pub(super) fn keep(&self, reading: Reading, copy: &Arc<LocalCopy>) {
        // Alone, so that nothing is taken out between the check and what follows.
        let valid = self.write();
        if reading.epoch == valid.epoch && reading.removals == self.removals.load(Ordering::Acquire) {
            valid.table.insert(copy.key.clone(), (valid.epoch, Arc::clone(copy)));
        }
        // What was pushed out is dropped by now: it holds bytes, and no foreign object.
    }

    /// Called by the writer when it alone may write; what others have written since is noticed. Answers with the header,
    /// and whether others had written since the last time.
    pub(super) fn begin_commit(&self) -> (Header, bool) {
        let mut valid = self.write();
        let header = valid.index.as_ref().map(WalIndex::header).unwrap_or_default();
        valid.notice(header);
        valid.committing = true;
        (header, std::mem::take(&mut valid.changed))
    }

    /// Called by the writer after its transaction, committed or not; answers with the header. What wrote nothing made no
    /// commit: then one that came meanwhile is another's.
    pub(super) fn end_commit(&self, before: Header, wrote: bool) -> Header {
        let mut valid = self.write();
        valid.committing = false;
        let header = valid.index.as_ref().map(WalIndex::header).unwrap_or_default();
        if wrote && header.is_next_after(before) {
            valid.seen = header;
        } else {
            valid.notice(header);
        }
        header
    }

    /// Keeps a record that this process has just written.
    pub(super) fn remember(&self, copy: &Arc<LocalCopy>) {
        let valid = self.read();
        valid.table.insert(copy.key.clone(), (valid.epoch, Arc::clone(copy)));
    }

    /// Takes a record out.
    pub(super) fn forget(&self, key: &str) {
        self.removals.fetch_add(1, Ordering::AcqRel);
        let gone = self.read().table.remove(key);
        drop(gone);
    }

    /// Takes all records out.
    pub(super) fn forget_all(&self) {
        self.removals.fetch_add(1, Ordering::AcqRel);
        let mut valid = self.write();
        valid.epoch += 1;
        valid.table.clear();
    }

    /// Watches the file through this index, until [`Copies::detach`].
    pub(super) fn attach(&self, index: Option<WalIndex>) {
        let mut valid = self.write();
        let header = index.as_ref().map(WalIndex::header).unwrap_or_default();
        valid.index = index;
        valid.committing = false;
        valid.epoch += 1;
        valid.seen = header;
    }

    /// Hands out nothing any more; the index may go.
    pub(super) fn detach(&self) {
        self.attach(None);
    }

    /// Locks everything, for the thread that is about to fork.
    pub(super) fn freeze(&self) -> impl Sized + use<'_> {
        (self.write(), self.counts.lock())
    }

    /// In a forked child: what the parent has counted, the parent writes.
    pub(super) fn begin_anew(&self) {
        self.forget_all();
        self.counts.begin_anew();
    }
}

impl Valid {
    fn notice(&mut self, header: Header) {
        if self.seen != header {
            self.seen = header;
            self.epoch += 1;
            self.changed = true;
        }
    }
}

/// What was counted and is still to be written.
#[derive(Default)]
pub(super) struct Counts {
    hits: AtomicU64,
    duplicates: AtomicU64,
    /// Duplicates that were not prevented; those that were hits besides are among the hits all the same.
    would_have_prevented: AtomicU64,
    shadow_hits: AtomicU64,
    misses: AtomicU64,
    expired_cleaned: AtomicU64,
    copies: Mutex<Vec<Arc<LocalCopy>>>,
    /// Whether there is anything; set once between two times of writing.
    any: AtomicBool,
    /// Whether what was taken is in a transaction that is not committed yet.
    writing: AtomicBool,
}

/// What was taken to be written.
#[derive(Default)]
pub(super) struct Unwritten {
    pub(super) counters: [(&'static str, u64); 5],
    shadow_hits: u64,
    pub(super) attempts: Vec<(Arc<LocalCopy>, u32)>,
}

impl Counts {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<LocalCopy>>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a duplicate that gets a copy.
    pub(super) fn replayed(&self, copy: &Arc<LocalCopy>, shadow: bool) -> Claimed {
        if shadow {
            self.not_prevented();
        }
        Claimed::Replay { result: copy.result.clone(), attempts: self.hit(copy) }
    }

    /// Counts a look that found a copy; answers with the calls so far.
    pub(super) fn hit(&self, copy: &Arc<LocalCopy>) -> u32 {
        self.hits.fetch_add(1, Ordering::Relaxed);
        let attempts = copy.attempts.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if copy.unwritten.fetch_add(1, Ordering::Relaxed) == 0 {
            self.lock().push(Arc::clone(copy));
        }
        attempts
    }

    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a prevented duplicate that is no hit.
    pub(super) fn refused(&self, shadow: bool) {
        let counter = if shadow { &self.would_have_prevented } else { &self.duplicates };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A hit, counted as one, is no prevented duplicate.
    pub(super) fn not_prevented(&self) {
        self.would_have_prevented.fetch_add(1, Ordering::Relaxed);
        self.shadow_hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn hit_elsewhere(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cleaned(&self, count: u64) {
        self.expired_cleaned.fetch_add(count, Ordering::Relaxed);
    }

    /// Whether there is anything to write.
    pub(super) fn any(&self) -> bool {
        [&self.hits, &self.duplicates, &self.misses, &self.expired_cleaned, &self.would_have_prevented]
            .iter()
            .any(|counter| counter.load(Ordering::Acquire) > 0)
    }

    /// Called where what is to be written must wait: the next that is counted tells somebody again.
    pub(super) fn expect_again(&self) {
        self.any.store(false, Ordering::Release);
    }

    /// Whether somebody must be told that there is something to write: once between two times of writing.
    pub(super) fn needs_writer(&self) -> bool {
        !self.any.load(Ordering::Relaxed) && self.any() && !self.any.swap(true, Ordering::AcqRel)
    }

    /// Whether the file has all that was counted before. Looked at in this order, since writing begins before there is
    /// nothing any more.
    pub(super) fn are_written(&self) -> bool {
        !self.any() && !self.writing.load(Ordering::Acquire)
    }

    /// Called when what was taken is in the file, or given back.
    pub(super) fn end_writing(&self) {
        self.writing.store(false, Ordering::Release);
    }

    /// Takes everything, to be written or given back; until [`Counts::end_writing`], it is neither here nor there.
    pub(super) fn take(&self) -> Unwritten {
        self.writing.store(true, Ordering::Release);
        self.any.store(false, Ordering::Release);
        let copies = std::mem::take(&mut *self.lock());
        let attempts = copies
            .into_iter()
            .map(|copy| {
                let calls = copy.unwritten.swap(0, Ordering::AcqRel);
                (copy, calls)
            })
            .collect();
        let hits = self.hits.swap(0, Ordering::AcqRel);
        let duplicates = hits + self.duplicates.swap(0, Ordering::AcqRel);
        // Each is counted before the hit that it is: one whose hit was not taken yet waits for it.
        let early = self.shadow_hits.swap(0, Ordering::AcqRel);
        let shadow_hits = early.min(duplicates);
        self.shadow_hits.fetch_add(early - shadow_hits, Ordering::AcqRel);
        let counters = [
            ("hits", hits),
            ("duplicates", duplicates - shadow_hits),
            ("misses", self.misses.swap(0, Ordering::AcqRel)),
            ("expired_cleaned", self.expired_cleaned.swap(0, Ordering::AcqRel)),
            ("would_have_prevented", self.would_have_prevented.swap(0, Ordering::AcqRel)),
        ];
        Unwritten { counters, shadow_hits, attempts }
    }

    /// Takes back what could not be written.
    pub(super) fn give_back(&self, unwritten: Unwritten) {
        let [(_, hits), (_, duplicates), (_, misses), (_, cleaned), (_, would_have_prevented)] = unwritten.counters;
        self.hits.fetch_add(hits, Ordering::AcqRel);
        self.shadow_hits.fetch_add(unwritten.shadow_hits, Ordering::AcqRel);
        self.would_have_prevented.fetch_add(would_have_prevented, Ordering::AcqRel);
        self.duplicates.fetch_add(duplicates + unwritten.shadow_hits - hits, Ordering::AcqRel);
        self.misses.fetch_add(misses, Ordering::AcqRel);
        self.cleaned(cleaned);
        for (copy, calls) in unwritten.attempts {
            if copy.unwritten.fetch_add(calls, Ordering::AcqRel) == 0 {
                self.lock().push(copy);
            }
        }
    }

    fn begin_anew(&self) {
        drop(self.take());
        self.end_writing();
    }
}

#[cfg(test)]
#[path = "copies_tests.rs"]
mod tests;
