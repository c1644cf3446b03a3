//! A part of the records with their indexes: what each verb does under the shard's lock, in steps that
//! keep the indexes and the entries agreed.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::entry::{Body, Entry, Rare, Signal, signal_of};
use super::expiry::Expiry;
use super::inner::{Shared, Turn};
use super::list::{List, Through};
use super::names::{NameId, Names, UNNAMED};
use super::signals::Signals;
use super::slab::{Slab, Slot};
use super::waiters::Waiters;
use crate::core::clock::{Span, Timestamp};
use crate::core::record::{Failure, Labels, Record};

/// A shard that has held more entries than this gives its memory back when the last has left.
const BURST: Slot = 1024;

/// The names an entry is found by, lent.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) signal: Option<&'a str>,
    pub(super) action: Option<&'a str>,
    pub(super) target: Option<&'a str>,
}

impl<'a> From<&'a Labels> for Named<'a> {
    fn from(labels: &'a Labels) -> Self {
        Self {
            signal: labels.signal_id.as_deref(),
            action: labels.action_type.as_deref(),
            target: labels.target.as_deref(),
        }
    }
}

impl Named<'_> {
    /// How an entry of this key keeps its signal.
    pub(super) fn signal_for(&self, key: &str) -> Signal {
        match self.signal {
            None => Signal::Absent,
            Some(signal) if signal == signal_of(key) => Signal::InKey,
            Some(signal) => Signal::Given(signal.into()),
        }
    }
}

/// What a shard has counted.
#[derive(Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) duplicates: u64,
    pub(super) would_have_prevented: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) expired_cleaned: u64,
    pub(super) evicted: u64,
}

impl Counters {
    /// Counts a duplicate: prevented, or not.
    pub(super) const fn duplicate(&mut self, shadow: bool) {
        if shadow {
            self.would_have_prevented += 1;
        } else {
            self.duplicates += 1;
        }
    }
}

/// The records; taken out whole by [`Shard::clear`].
#[derive(Default)]
pub(super) struct Contents {
    pub(super) slab: Slab,
    pub(super) keys: HashTable<Slot>,
    pub(super) actions: Names,
    pub(super) targets: Names,
    pub(super) owners: Names,
    pub(super) signals: Signals,
    pub(super) expiry: Expiry,
    pub(super) finished: List,
    pub(super) finished_len: usize,
    pub(super) unfinished: List,
    /// Whether records were restored: then those that finished first may not stand first.
    pub(super) ages_vary: bool,
}

/// A shard.
pub(super) struct Shard {
    pub(super) hasher: RandomState,
    pub(super) contents: Contents,
    pub(super) waiters: Waiters,
    pub(super) counters: Counters,
}

impl Shard {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { hasher, contents: Contents::default(), waiters: Waiters::default(), counters: Counters::default() }
    }

    /// The slot of a key, expired or not.
    pub(super) fn find(&self, hash: u64, key: &str) -> Option<Slot> {
        let Contents { slab, keys, .. } = &self.contents;
        keys.find(hash, |&slot| *slab[slot].key == *key).copied()
    }

    /// The slot of a key whose record is live.
    pub(super) fn find_live(&self, hash: u64, key: &str, now: Timestamp) -> Option<Slot> {
        self.find(hash, key).filter(|&slot| !self.contents.slab[slot].has_expired(now))
    }

    pub(super) fn entry(&mut self, slot: Slot) -> &mut Entry {
        &mut self.contents.slab[slot]
    }

    pub(super) fn owner(&mut self, owner: &str) -> NameId {
        self.contents.owners.acquire(&self.hasher, Some(owner))
    }

    /// Takes in an unfinished entry of a key that is not there.
    pub(super) fn add(&mut self, hash: u64, entry: Entry, named: Named<'_>) -> Slot {
        let Self { hasher, contents, .. } = self;
        let slot = contents.slab.insert(entry);
        let Contents { slab, keys, .. } = contents;
        keys.insert_unique(hash, slot, |&slot| hasher.hash_one(&*slab[slot].key));
        contents.unfinished.push_back(&mut contents.slab, Through::Age, slot);
        contents.link_names(hasher, slot, named);
        slot
    }

    /// Takes an entry out of everything; its waiters are discharged.
    pub(super) fn remove(&mut self, slot: Slot, turn: &mut Turn<'_>) {
        self.waiters.discharge(slot, &mut turn.left.wakers);
        let Self { hasher, contents, .. } = self;
        contents.unlink_names(hasher, slot);
        contents.owners.release(hasher, contents.slab[slot].owner);
        contents.unlink_age(slot);
        let hash = hasher.hash_one(&*contents.slab[slot].key);
        if let Ok(occupied) = contents.keys.find_entry(hash, |&other| other == slot) {
            occupied.remove();
        }
        turn.left.entries.push(contents.slab.remove(slot));
        turn.shared.give_back(1);
        if contents.slab.len() == 0 && contents.slab.end() > BURST {
            // Nothing is left: the memory of a burst goes back.
            *contents = Contents::default();
        }
    }

    /// Removes an expired entry and counts it.
    pub(super) fn remove_expired(&mut self, slot: Slot, turn: &mut Turn<'_>) {
        self.counters.expired_cleaned += 1;
        self.remove(slot, turn);
    }

    /// Lets an entry be found by these names instead.
    pub(super) fn rename(&mut self, slot: Slot, named: Named<'_>) {
        let Self { hasher, contents, .. } = self;
        contents.unlink_names(hasher, slot);
        let entry = &mut contents.slab[slot];
        let signal = named.signal_for(&entry.key);
        if signal != Signal::InKey || entry.rare.is_some() {
            entry.rare_mut().signal = signal;
        }
        contents.link_names(hasher, slot, named);
    }

    /// Puts another owner down.
    pub(super) fn hand_to(&mut self, slot: Slot, owner: &str) {
        let owner = self.owner(owner);
        let before = std::mem::replace(&mut self.entry(slot).owner, owner);
        self.contents.owners.release(&self.hasher, before);
    }

    /// Finishes an entry, finished before or not: its TTL starts now, and who waits for it is woken.
    pub(super) fn settle(&mut self, slot: Slot, outcome: Result<Body, Failure>, ttl: Span, turn: &mut Turn<'_>) {
        self.waiters.discharge(slot, &mut turn.left.wakers);
        self.contents.unlink_age(slot);
        let entry = self.entry(slot);
        if let Some(rare) = entry.rare.take() {
            entry.rare = Rare { doubt: None, failure: None, ..*rare }.boxed();
        }
        let body = outcome.unwrap_or_else(|failure| {
            entry.rare_mut().failure = Some(failure);
            Body::Failed
        });
        turn.left.body = Some(std::mem::replace(&mut entry.body, body));
        entry.moment = turn.now;
        entry.expires_at = turn.now.after(ttl);
        entry.finished_as = turn.shared.next_finished();
        self.contents.link_finished(slot);
    }

    /// A copy of a record for its reader.
    pub(super) fn record(&self, slot: Slot, now: Timestamp) -> Record {
        let Contents { slab, actions, targets, owners, .. } = &self.contents;
        let entry = &slab[slot];
        let rare = entry.rare.as_ref();
        Record {
            key: entry.key.clone(),
            labels: Labels {
                signal_id: entry.signal().map(|signal| signal.into_owned().into()),
                action_type: actions.text(entry.action).map(Into::into),
                target: targets.text(entry.target).map(Into::into),
            },
            fingerprint: entry.fingerprint().copied(),
            fence: entry.fence,
            status: entry.status(now),
            started_at: entry.started_at,
            expires_at: entry.expires_at,
            attempts: entry.attempts,
            owner: owners.text(entry.owner).map(Into::into),
            params: rare.and_then(|rare| rare.params.clone()),
            context: rare.and_then(|rare| rare.context.clone()),
        }
    }

    /// Takes all records out; answers with them and the number of those that are live.
    pub(super) fn clear(&mut self, now: Timestamp, shared: &Shared) -> (Contents, usize) {
        let contents = std::mem::take(&mut self.contents);
        let expired = contents.expiry.count_expired(&contents.slab, now);
        let held = contents.slab.len();
        shared.give_back(held);
        self.counters.expired_cleaned += expired as u64;
        (contents, held - expired)
    }
}

impl Contents {
    fn link_names(&mut self, hasher: &RandomState, slot: Slot, named: Named<'_>) {
        let action = self.actions.acquire(hasher, named.action);
        let target = self.targets.acquire(hasher, named.target);
        let entry = &mut self.slab[slot];
        (entry.action, entry.target) = (action, target);
        if let Some(list) = self.actions.list_mut(action) {
            list.push_back(&mut self.slab, Through::Action, slot);
        }
        if let Some(list) = self.targets.list_mut(target) {
            list.push_back(&mut self.slab, Through::Target, slot);
        }
        self.signals.link(hasher, &mut self.slab, slot);
    }

    fn unlink_names(&mut self, hasher: &RandomState, slot: Slot) {
        self.signals.unlink(hasher, &mut self.slab, slot);
        let entry = &mut self.slab[slot];
        let action = std::mem::replace(&mut entry.action, UNNAMED);
        let target = std::mem::replace(&mut entry.target, UNNAMED);
        if let Some(list) = self.actions.list_mut(action) {
            list.unlink(&mut self.slab, Through::Action, slot);
        }
        if let Some(list) = self.targets.list_mut(target) {
            list.unlink(&mut self.slab, Through::Target, slot);
        }
        self.actions.release(hasher, action);
        self.targets.release(hasher, target);
    }

    pub(super) fn unlink_age(&mut self, slot: Slot) {
        if self.slab[slot].is_finished() {
            self.finished.unlink(&mut self.slab, Through::Age, slot);
            self.finished_len -= 1;
            self.expiry.unlink(&mut self.slab, slot);
        } else {
            self.unfinished.unlink(&mut self.slab, Through::Age, slot);
        }
    }

    pub(super) fn link_finished(&mut self, slot: Slot) {
        self.finished.push_back(&mut self.slab, Through::Age, slot);
        self.finished_len += 1;
        self.expiry.link(&mut self.slab, slot);
    }
}
