//! Finished entries by the time they end, in lists of about 65 ms each.

use std::collections::BTreeMap;

use super::list::{List, Through};
use super::slab::{Slab, Slot};
use crate::core::clock::Timestamp;

/// So many low bits of a timestamp in microseconds are one list's.
const BUCKET_BITS: u32 = 16;

const fn bucket(time: Timestamp) -> i64 {
    time.0 >> BUCKET_BITS
}

/// The finished entries of a shard; no list is empty.
#[derive(Default)]
pub(super) struct Expiry(BTreeMap<i64, List>);

impl Expiry {
    pub(super) fn link(&mut self, slab: &mut Slab, slot: Slot) {
        let list = self.0.entry(bucket(slab[slot].expires_at)).or_default();
        list.push_back(slab, Through::Expiry, slot);
    }

    pub(super) fn unlink(&mut self, slab: &mut Slab, slot: Slot) {
        let bucket = bucket(slab[slot].expires_at);
        if let Some(list) = self.0.get_mut(&bucket) {
            list.unlink(slab, Through::Expiry, slot);
            if list.is_empty() {
                self.0.remove(&bucket);
            }
        }
    }

    /// Puts the slots of expired entries into `found`, `limit` of them or few more: the list that time is passing
    /// through is looked at once and whole, since it also has entries that are still to end.
    pub(super) fn expired(&self, slab: &Slab, now: Timestamp, limit: usize, found: &mut Vec<Slot>) {
        for (&at, list) in self.0.range(..=bucket(now)) {
            let slots = list.iter(slab, Through::Expiry);
            if at < bucket(now) {
                found.extend(slots.take(limit.saturating_sub(found.len())));
            } else {
                found.extend(slots.filter(|&slot| slab[slot].expires_at <= now));
            }
            if found.len() >= limit {
                return;
            }
        }
    }

    /// So many entries that end next, or more: lists are looked at whole, since they have no order inside.
    pub(super) fn next_to_end(&self, slab: &Slab, now: Timestamp, limit: usize) -> Vec<Slot> {
        let mut found = Vec::new();
        for list in self.0.range(bucket(now)..).map(|(_, list)| list) {
            found.extend(list.iter(slab, Through::Expiry).filter(|&slot| slab[slot].expires_at > now));
            if found.len() >= limit {
                break;
            }
        }
        found
    }

    /// How many entries have expired; costs their number.
    pub(super) fn count_expired(&self, slab: &Slab, now: Timestamp) -> usize {
        let lists = self.0.range(..=bucket(now));
        lists
            .flat_map(|(_, list)| list.iter(slab, Through::Expiry))
            .filter(|&slot| slab[slot].expires_at <= now)
            .count()
    }

    /// The entries that end after `from`, and by `until` at the latest.
    pub(super) fn between(&self, slab: &Slab, from: Timestamp, until: Timestamp) -> impl Iterator<Item = Slot> {
        self.0
            .range(bucket(from)..=bucket(until))
            .flat_map(|(_, list)| list.iter(slab, Through::Expiry))
            .filter(move |&slot| from < slab[slot].expires_at && slab[slot].expires_at <= until)
    }

    /// The lists, each with a test of the times it is for.
    pub(super) fn iter(&self) -> impl Iterator<Item = (List, impl Fn(Timestamp) -> bool)> {
        self.0.iter().map(|(&at, &list)| (list, move |time| bucket(time) == at))
    }
}
