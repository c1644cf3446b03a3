//! Looking at many records: by index, in parts, in sum.

use super::inner::Inner;
use super::list::Through;
use super::shard::{Contents, Shard};
use super::slab::Slot;
use super::sync::lock;
use crate::core::clock::Timestamp;
use crate::store::{Cursor, Page, Selector, Tally};

/// Slots looked at in one hold of a lock.
const STRIDE: u32 = 512;

impl Inner {
    /// The keys of the records that fit.
    pub(super) fn select(&self, selector: Selector<'_>, now: Timestamp) -> Vec<Box<str>> {
        let mut found: Vec<(Timestamp, Box<str>)> = Vec::new();
        for shard in &self.shards {
            let shard = lock(&shard.0);
            let slab = &shard.contents.slab;
            shard.select(selector, now, &mut |slot| {
                let entry = &slab[slot];
                if !entry.has_expired(now) {
                    found.push((entry.expires_at, entry.key.clone()));
                }
            });
        }
        if let Selector::ExpiringWithin(_) = selector {
            found.sort_unstable();
        }
        found.into_iter().map(|(_, key)| key).collect()
    }

    /// A part of all live records. A cursor is a shard and a slot: an entry keeps its own for life.
    pub(super) fn scan(&self, from: Option<Cursor>, limit: usize, now: Timestamp) -> Page {
        let from = from.and_then(|cursor| cursor.0.parse().ok()).unwrap_or(0_u64);
        let mut records = Vec::new();
        let mut slot = Slot::try_from(from & u64::from(u32::MAX)).unwrap_or_default();
        for (number, shard) in self.shards.iter().enumerate().skip(usize::try_from(from >> 32).unwrap_or(usize::MAX)) {
            loop {
                let shard = lock(&shard.0);
                let stop = slot.saturating_add(STRIDE).min(shard.contents.slab.end());
                while slot < stop && records.len() < limit.max(1) {
                    if shard.contents.slab.get(slot).is_some_and(|entry| !entry.has_expired(now)) {
                        records.push(shard.record(slot, now));
                    }
                    slot += 1;
                }
                if records.len() >= limit.max(1) {
                    let next = (number as u64) << 32 | u64::from(slot);
                    let next = Some(Cursor(next.to_string().into()));
                    return Page { records, next };
                }
                if slot >= shard.contents.slab.end() {
                    break;
                }
            }
            slot = 0;
        }
        Page { records, next: None }
    }

    /// What was counted and what is held.
    pub(super) fn tally(&self, now: Timestamp) -> Tally {
        let mut tally = Tally::default();
        for shard in &self.shards {
            lock(&shard.0).tally(now, &mut tally);
        }
        tally
    }
}

impl Shard {
    fn select(&self, selector: Selector<'_>, now: Timestamp, found: &mut dyn FnMut(Slot)) {
        let Contents { slab, actions, targets, signals, expiry, unfinished, .. } = &self.contents;
        let (list, through) = match selector {
            Selector::ActionType(text) => (actions.find(&self.hasher, text), Through::Action),
            Selector::Target(text) => (targets.find(&self.hasher, text), Through::Target),
            Selector::SignalId(text) => (signals.find(&self.hasher, slab, text), Through::Signal),
            Selector::InDoubt => {
                let slots = unfinished.iter(slab, Through::Age);
                return slots.filter(|&slot| slab[slot].is_in_doubt(now)).for_each(found);
            }
            Selector::ExpiringWithin(span) => return expiry.between(slab, now, now.after(span)).for_each(found),
        };
        list.iter(slab, through).for_each(found);
    }

    /// Adds this shard's numbers, at the cost of what is unfinished and what has expired; where records were
    /// restored, of all that is finished too.
    fn tally(&self, now: Timestamp, tally: &mut Tally) {
        let Contents { slab, expiry, finished, finished_len, unfinished, ages_vary, .. } = &self.contents;
        tally.duplicates_prevented += self.counters.duplicates;
        tally.would_have_prevented += self.counters.would_have_prevented;
        tally.hits += self.counters.hits;
        tally.misses += self.counters.misses;
        tally.expired_cleaned += self.counters.expired_cleaned;
        tally.evicted += self.counters.evicted;
        tally.finished += (finished_len - expiry.count_expired(slab, now)) as u64;
        let mut seen = |time: Timestamp| {
            tally.oldest = Some(tally.oldest.map_or(time, |oldest| oldest.min(time)));
            tally.newest = tally.newest.max(Some(time));
        };
        if *ages_vary {
            let live = finished.iter(slab, Through::Age).filter(|&slot| !slab[slot].has_expired(now));
            live.for_each(|slot| seen(slab[slot].moment));
        } else if let Some((first, last)) = self.live_ends(now) {
            seen(slab[first].moment);
            seen(slab[last].moment);
        }
        for slot in unfinished.iter(slab, Through::Age) {
            let entry = &slab[slot];
            seen(entry.started_at);
            if entry.is_in_doubt(now) {
                tally.in_doubt += 1;
            } else {
                tally.in_progress += 1;
            }
        }
    }
}
