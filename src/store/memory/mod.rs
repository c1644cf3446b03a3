//! Records in this process.
//!
//! Keys are spread over shards by their hash, each under a lock of its own. A shard's entries lie in a slab
//! that never moves them; every index is a table of slot numbers or a list through the entries themselves, so it
//! has no second copy of any text. Each index answers or removes at the cost of what it finds.
//!
//! Two locks are never held at once, but by the one that makes room (its own lock, then one shard after the other)
//! and by `fork`. The cap is exact under races: room is taken before an entry is made. Only a cap that is set below
//! what is held leaves more than it allows, until the next new key.

use std::fmt;
use std::sync::Arc;

use self::claim::Answer;
use self::inner::{Inner, Turn};
use self::room::Removal;
use self::shard::{Contents, Shard};
use self::slab::Slot;
use self::waiters::Wait;
use super::{
    ClaimRequest, Claimed, Cursor, Ending, Glance, Held, Hit, Hold, Limits, MarkRequest, Page, Reply, Resolution,
    Restored, Selector, Store, Tally,
};
use crate::core::clock::{Clock, Span, Timestamp};
use crate::core::record::Record;

mod claim;
mod entry;
mod expiry;
mod fork;
mod glance;
mod hold;
mod inner;
mod invariants;
mod list;
mod look;
mod names;
mod restore;
mod room;
mod shard;
#[cfg(all(test, shuttle))]
mod shuttle_tests;
mod signals;
mod slab;
mod sync;
mod waiters;

/// A store in this process's memory. Every verb answers at once.
///
/// Fences are counted for all keys together, so every claim's is greater than all before it, of any key. A record that
/// was marked keeps its attempts, or has one. A lapsed claim whose latch was never released is shown as in progress:
/// nothing has happened, and the next caller runs it.
pub struct MemoryStore(Arc<Inner>);

impl MemoryStore {
    /// An empty store that takes its time from `clock`.
    pub fn new(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self(Arc::new(Inner::new(clock, limits)))
    }

    /// Whether every index agrees with the entries; for tests. Says what does not.
    #[doc(hidden)]
    pub fn check_invariants(&self) -> Result<(), String> {
        self.0.check_invariants()
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn step<R>(&self, key: &str, step: impl FnOnce(&mut Shard, &mut Turn<'_>) -> R) -> R {
        self.0.step(key, self.now(), step)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("records", &self.0.shared.fill().0).finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn claim(&self, request: &ClaimRequest<'_>) -> Reply<Claimed> {
        let now = self.now();
        let mut evicted = 0;
        loop {
            match self.0.claim(request, now) {
                Answer::Claimed(Claimed::Run(mut begun)) => {
                    begun.evicted = evicted;
                    return Reply::Ready(Ok(Claimed::Run(begun)));
                }
                Answer::Claimed(claimed) => return Reply::Ready(Ok(claimed)),
                Answer::Busy(slot, id) => return Reply::Ready(Ok(Claimed::Busy(self.wait(request.key, slot, id)))),
                Answer::NoRoom => match self.0.make_room(now) {
                    Ok(dropped) => evicted += dropped,
                    Err(full) => return Reply::Ready(Err(full)),
                },
            }
        }
    }

    fn replay(&self, request: &ClaimRequest<'_>) -> Option<Reply<Claimed>> {
        self.0.replay(request, self.now()).map(|replay| Reply::Ready(Ok(replay)))
    }

    fn is_local(&self) -> bool {
        true
    }

    fn renew(&self, holds: &[Hold], lease: Span) -> Reply<Vec<Hold>> {
        let now = self.now();
        let lost = |hold: &&Hold| !self.0.step(&hold.key, now, |shard, turn| shard.renew(hold, lease, turn));
        Reply::Ready(Ok(holds.iter().filter(lost).cloned().collect()))
    }

    fn dispatch(&self, hold: &Hold) -> Reply<Held> {
        Reply::Ready(Ok(self.step(&hold.key, |shard, turn| shard.dispatch(hold, turn))))
    }

    fn finish(&self, hold: &Hold, ending: Ending) -> Reply<Held> {
        Reply::Ready(Ok(self.step(&hold.key, |shard, turn| shard.finish(hold, ending, turn))))
    }

    fn mark(&self, request: MarkRequest<'_>) -> Reply<usize> {
        let now = self.now();
        let mut evicted = 0;
        while !self.0.step(request.key, now, |shard, turn| shard.mark(&request, turn)) {
            match self.0.make_room(now) {
                Ok(dropped) => evicted += dropped,
                Err(full) => return Reply::Ready(Err(full)),
            }
        }
        Reply::Ready(Ok(evicted))
    }

    fn resolve(&self, key: &str, resolution: Resolution) -> Reply<()> {
        Reply::Ready(self.step(key, |shard, turn| shard.resolve(key, resolution, turn)))
    }

    fn check(&self, key: &str) -> Reply<Option<Hit>> {
        Reply::Ready(Ok(self.step(key, |shard, turn| shard.check(key, turn))))
    }

    fn restore(&self, records: Vec<Record>) -> Reply<Vec<Restored>> {
        let now = self.now();
        let restore = |record: Record| {
            let step = || self.0.step(&record.key, now, |shard, turn| shard.restore(&record, turn));
            match step() {
                Some(restored) => Ok(restored),
                None => self.0.make_room_for_restored(now).and_then(|()| step().ok_or_else(|| self.0.has_no_room())),
            }
        };
        Reply::Ready(records.into_iter().map(restore).collect())
    }

    fn get(&self, key: &str) -> Reply<Option<Record>> {
        let found = self.step(key, |shard, turn| {
            let slot = shard.find_live(turn.hash, key, turn.now)?;
            Some(shard.record(slot, turn.now))
        });
        Reply::Ready(Ok(found))
    }

    fn find(&self, selector: Selector<'_>) -> Reply<Vec<Box<str>>> {
        Reply::Ready(Ok(self.0.select(selector, self.now())))
    }

    fn scan(&self, from: Option<Cursor>, limit: usize) -> Reply<Page> {
        Reply::Ready(Ok(self.0.scan(from, limit, self.now())))
    }

    fn glance(&self, _from: Option<Cursor>, limit: usize) -> Reply<Glance> {
        Reply::Ready(Ok(self.0.glance(limit, self.now())))
    }

    fn cleanup_expired(&self) -> Reply<u64> {
        Reply::Ready(Ok(self.0.remove_expired(self.now()) as u64))
    }

    fn remove_oldest(&self, count: u64) -> Reply<u64> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Reply::Ready(Ok(self.0.remove_oldest(count, Removal::Demanded, self.now()) as u64))
    }

    fn clear(&self, key: &str) -> Reply<bool> {
        Reply::Ready(Ok(self.step(key, |shard, turn| shard.clear_key(key, turn))))
    }

    fn clear_all(&self) -> Reply<u64> {
        let mut cleared = 0;
        let mut contents: Vec<Contents> = Vec::new();
        self.0.each(self.now(), |shard, turn| {
            shard.waiters.discharge_all(&mut turn.left.wakers);
            let (taken, live) = shard.clear(turn.now, turn.shared);
            contents.push(taken);
            cleared += live as u64;
        });
        Reply::Ready(Ok(cleared))
    }

    fn tally(&self) -> Reply<Tally> {
        Reply::Ready(Ok(self.0.tally(self.now())))
    }

    fn reset_tally(&self) -> Reply<()> {
        self.0.each(self.now(), |shard, _| shard.counters = shard::Counters::default());
        Reply::Ready(Ok(()))
    }

    fn set_limits(&self, limits: Limits) {
        self.0.shared.set_limits(limits);
    }

    fn before_fork(&self) {
        fork::freeze(&self.0);
    }

    fn after_fork(&self, in_child: bool) {
        fork::thaw(&self.0, in_child);
    }
}

impl MemoryStore {
    fn wait(&self, key: &str, slot: Slot, id: u64) -> super::BoxFuture<()> {
        let shard = Inner::shard_of(self.0.hash(key));
        Box::pin(Wait { inner: Arc::clone(&self.0), shard, slot, id })
    }
}
