//! What all shards share: the counts, the limits, and the way from a key to its shard.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::task::Waker;

use foldhash::fast::RandomState;

use super::claim::Answer;
use super::entry::{Body, Entry};
use super::shard::Shard;
use super::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use super::sync::{Mutex, lock};
use crate::core::clock::{Clock, Timestamp};
use crate::core::record::Fence;
use crate::store::{ClaimRequest, Claimed, Limits};

const SHARD_BITS: u32 = 4;
pub(super) const SHARDS: usize = 1 << SHARD_BITS;

/// A shard on cache lines of its own.
#[repr(align(128))]
pub(super) struct Padded(pub(super) Mutex<Shard>);

/// What a verb has taken out of a shard: dropped and woken after the lock is released, as foreign code may run then.
#[derive(Default)]
pub(super) struct Leftovers {
    pub(super) body: Option<Body>,
    pub(super) entries: Vec<Entry>,
    pub(super) wakers: Vec<Waker>,
}

impl Leftovers {
    pub(super) fn settle(self) {
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

/// The numbers of the whole store. None of them guards other data, so their order is free.
pub(super) struct Shared {
    records: AtomicUsize,
    fences: AtomicU64,
    finished: AtomicU64,
    max_records: AtomicUsize,
    refuse_when_full: AtomicBool,
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        let shared = Self {
            records: AtomicUsize::new(0),
            fences: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            max_records: AtomicUsize::new(usize::MAX),
            refuse_when_full: AtomicBool::new(false),
        };
        shared.set_limits(limits);
        shared
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        self.max_records.store(limits.max_records.unwrap_or(usize::MAX), Ordering::Relaxed);
        self.refuse_when_full.store(limits.refuse_when_full, Ordering::Relaxed);
    }

    pub(super) fn refuses_when_full(&self) -> bool {
        self.refuse_when_full.load(Ordering::Relaxed)
    }

    /// Records held, of any state, and records allowed.
    pub(super) fn fill(&self) -> (usize, usize) {
        (self.records.load(Ordering::Relaxed), self.max_records.load(Ordering::Relaxed))
    }

    pub(super) fn has_room(&self) -> bool {
        let (records, max) = self.fill();
        records < max
    }

    /// Takes room for one more record; never more than there is.
    pub(super) fn reserve(&self) -> bool {
        let max = self.max_records.load(Ordering::Relaxed);
        let one_more = |records| (records < max).then_some(records + 1);
        self.records.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    pub(super) fn give_back(&self, records: usize) {
        self.records.fetch_sub(records, Ordering::Relaxed);
    }

    pub(super) fn next_fence(&self) -> Fence {
        Fence(self.fences.fetch_add(1, Ordering::Relaxed)).next()
    }

    /// The number of the entry that finishes now; taken under the shard's lock, so a shard's list is in its order.
    pub(super) fn next_finished(&self) -> u64 {
        self.finished.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a verb brings to a shard.
pub(super) struct Turn<'a> {
    pub(super) hash: u64,
    pub(super) now: Timestamp,
    pub(super) shared: &'a Shared,
    pub(super) left: Leftovers,
}

/// The store proper, shared with those who wait in it.
pub(super) struct Inner {
    pub(super) clock: Arc<dyn Clock>,
    hasher: RandomState,
    pub(super) shared: Shared,
    /// Held by the one that makes room, so that two don't drop twice what one would. Taken before any shard.
    pub(super) making_room: Mutex<()>,
    pub(super) shards: [Padded; SHARDS],
}

impl Inner {
    pub(super) fn new(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let hasher = RandomState::default();
        Self {
            clock,
            shared: Shared::new(limits),
            making_room: Mutex::new(()),
            shards: std::array::from_fn(|_| Padded(Mutex::new(Shard::new(hasher.clone())))),
            hasher,
        }
    }

    pub(super) fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The shard of a key. The table within it uses the lowest bits of the hash and the highest seven.
    pub(super) const fn shard_of(hash: u64) -> usize {
        (hash >> (57 - SHARD_BITS)) as usize & (SHARDS - 1)
    }

    /// The way of a claim of a completed record: one hash, one lock, one comparison of keys, no allocation. Any other
    /// claim goes on in the same turn.
    pub(super) fn claim(&self, request: &ClaimRequest<'_>, now: Timestamp) -> Answer {
        let hash = self.hash(request.key);
        let mut shard = lock(&self.shards[Self::shard_of(hash)].0);
        if let Some(replay) = shard.replay(hash, request, now) {
            return Answer::Claimed(replay);
        }
        let mut turn = Turn { hash, now, shared: &self.shared, left: Leftovers::default() };
        let answer = shard.claim(request, &mut turn);
        drop(shard);
        turn.left.settle();
        answer
    }

    /// What [`claim`](Self::claim) answers, if it is a replay.
    pub(super) fn replay(&self, request: &ClaimRequest<'_>, now: Timestamp) -> Option<Claimed> {
        let hash = self.hash(request.key);
        lock(&self.shards[Self::shard_of(hash)].0).replay(hash, request, now)
    }

    /// One step on a key's shard, of time `now`.
    pub(super) fn step<R>(&self, key: &str, now: Timestamp, step: impl FnOnce(&mut Shard, &mut Turn<'_>) -> R) -> R {
        let hash = self.hash(key);
        let turn = Turn { hash, now, shared: &self.shared, left: Leftovers::default() };
        self.take(Self::shard_of(hash), turn, step)
    }

    /// One step on a shard, of time `now`.
    pub(super) fn turn_on<R>(
        &self,
        shard: usize,
        now: Timestamp,
        step: impl FnOnce(&mut Shard, &mut Turn<'_>) -> R,
    ) -> R {
        self.take(shard, Turn { hash: 0, now, shared: &self.shared, left: Leftovers::default() }, step)
    }

    fn take<R>(&self, shard: usize, mut turn: Turn<'_>, step: impl FnOnce(&mut Shard, &mut Turn<'_>) -> R) -> R {
        let answer = step(&mut lock(&self.shards[shard].0), &mut turn);
        turn.left.settle();
        answer
    }

    /// One step on each shard in turn; never holds two.
    pub(super) fn each(&self, now: Timestamp, mut step: impl FnMut(&mut Shard, &mut Turn<'_>)) {
        (0..SHARDS).for_each(|shard| self.turn_on(shard, now, &mut step));
    }
}
