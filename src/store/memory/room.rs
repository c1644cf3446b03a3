//! Making room: expired records go first, then those that finished first in the whole store.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::inner::{Inner, Turn};
use super::list::{List, Through};
use super::shard::Shard;
use super::slab::Slot;
use super::sync::lock;
use crate::core::clock::Timestamp;
use crate::core::error::{NO_ROOM_TO_RESTORE, StoreError};

/// Entries removed in one hold of a lock, or few more.
const BATCH: usize = 512;

/// What becomes of the oldest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// Dropped to make room: counted.
    Eviction,
    /// Removed on demand.
    Demanded,
}

impl Inner {
    /// Makes room for new keys; answers with the number of live records that it cost. The room may be taken
    /// by another caller before this one is back.
    pub(super) fn make_room(&self, now: Timestamp) -> Result<usize, StoreError> {
        let _alone = lock(&self.making_room);
        if self.shared.has_room() {
            return Ok(0);
        }
        self.remove_expired(now);
        let (size, max) = self.shared.fill();
        if size < max {
            return Ok(0);
        }
        if self.shared.refuses_when_full() {
            let reason = StoreError::REFUSES;
            return Err(StoreError::Full { size, max, reason });
        }
        let evicted = if self.unfinished() < max {
            self.remove_oldest(size - max + (max / 5).max(1), Removal::Eviction, now)
        } else {
            0
        };
        if evicted == 0 && !self.shared.has_room() {
            let reason = StoreError::NONE_MAY_GO;
            return Err(StoreError::Full { size, max, reason });
        }
        Ok(evicted)
    }

    /// Makes room for a record that is restored: only what has expired goes.
    pub(super) fn make_room_for_restored(&self, now: Timestamp) -> Result<(), StoreError> {
        let _alone = lock(&self.making_room);
        self.remove_expired(now);
        if self.shared.has_room() { Ok(()) } else { Err(self.has_no_room()) }
    }

    /// What a full store says to a record that is to be restored.
    pub(super) fn has_no_room(&self) -> StoreError {
        let (size, max) = self.shared.fill();
        StoreError::Full { size, max, reason: NO_ROOM_TO_RESTORE }
    }

    fn unfinished(&self) -> usize {
        let of = |shard: &Shard| shard.contents.slab.len() - shard.contents.finished_len;
        self.shards.iter().map(|shard| of(&lock(&shard.0))).sum()
    }

    /// Removes expired records; answers with their number.
    pub(super) fn remove_expired(&self, now: Timestamp) -> usize {
        (0..self.shards.len())
            .map(|shard| {
                std::iter::repeat_with(|| self.remove_some_expired(shard, now))
                    .take_while(|&removed| removed > 0)
                    .sum::<usize>()
            })
            .sum()
    }

    fn remove_some_expired(&self, shard: usize, now: Timestamp) -> usize {
        self.turn_on(shard, now, |shard, turn| {
            let mut slots = Vec::new();
            shard.contents.expiry.expired(&shard.contents.slab, now, BATCH, &mut slots);
            for &slot in &slots {
                shard.remove_expired(slot, turn);
            }
            slots.len()
        })
    }

    /// Removes up to `count` live finished records, those that finished first, and the expired ones among them; answers
    /// with the number of the live. The shards' oldest stand in a heap; a shard gives up its records until one
    /// of another is older.
    pub(super) fn remove_oldest(&self, count: usize, removal: Removal, now: Timestamp) -> usize {
        let oldest = |shard: usize| lock(&self.shards[shard].0).oldest().map(|(age, _)| Reverse((age, shard)));
        let mut heap: BinaryHeap<_> = (0..self.shards.len()).filter_map(oldest).collect();
        let mut removed = 0;
        while removed < count
            && let Some(Reverse((_, shard))) = heap.pop()
        {
            let until = heap.peek().map_or(u64::MAX, |&Reverse((age, _))| age);
            let (live, next) = self.turn_on(shard, now, |shard, turn| {
                let live = shard.remove_until(until, (count - removed).min(BATCH), removal, turn);
                (live, shard.oldest())
            });
            removed += live;
            heap.extend(next.map(|(age, _)| Reverse((age, shard))));
        }
        removed
    }
}

impl Shard {
    /// The finished entry that finished first, with its place among all that ever did.
    fn oldest(&self) -> Option<(u64, Slot)> {
        self.contents.finished.first().map(|slot| (self.contents.slab[slot].finished_as, slot))
    }

    /// Removes the entries that finished before `until`, up to `count` live ones; answers with their number.
    fn remove_until(&mut self, until: u64, count: usize, removal: Removal, turn: &mut Turn<'_>) -> usize {
        let mut live = 0;
        while live < count
            && turn.left.entries.len() < BATCH
            && let Some((_, slot)) = self.oldest().filter(|&(age, _)| age < until)
        {
            if self.contents.slab[slot].has_expired(turn.now) {
                self.remove_expired(slot, turn);
                continue;
            }
            live += 1;
            self.counters.evicted += u64::from(removal == Removal::Eviction);
            self.remove(slot, turn);
        }
        live
    }

    /// The finished entries that are the first and the last in order, expired ones passed over.
    pub(super) fn live_ends(&self, now: Timestamp) -> Option<(Slot, Slot)> {
        let slab = &self.contents.slab;
        let list: List = self.contents.finished;
        let live = |slot: &Slot| !slab[*slot].has_expired(now);
        let first = list.iter(slab, Through::Age).find(live)?;
        let mut backwards =
            std::iter::successors(list.last(slab, Through::Age), |&slot| list.before(slab, Through::Age, slot));
        Some((first, backwards.find(live)?))
    }
}
