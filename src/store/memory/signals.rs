//! Entries by signal. The texts are the entries' own: a table of lists, compared by what their first entry says.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::list::{List, Through};
use super::slab::{Slab, Slot};

/// The lists of the entries of each signal; none is empty.
#[derive(Default)]
pub(super) struct Signals(HashTable<List>);

fn hash_of(hasher: &RandomState, slab: &Slab, slot: Slot) -> Option<u64> {
    slab[slot].signal().map(|signal| hasher.hash_one(&*signal))
}

fn same(slab: &Slab, list: List, slot: Slot) -> bool {
    list.first().is_some_and(|first| first == slot || slab[first].signal() == slab[slot].signal())
}

impl Signals {
    pub(super) fn link(&mut self, hasher: &RandomState, slab: &mut Slab, slot: Slot) {
        let Some(hash) = hash_of(hasher, slab, slot) else { return };
        if let Some(list) = self.0.find_mut(hash, |&list| same(slab, list, slot)) {
            list.push_back(slab, Through::Signal, slot);
            return;
        }
        let mut list = List::default();
        list.push_back(slab, Through::Signal, slot);
        self.0.insert_unique(hash, list, |list| {
            list.first().and_then(|first| hash_of(hasher, slab, first)).unwrap_or_default()
        });
    }

    pub(super) fn unlink(&mut self, hasher: &RandomState, slab: &mut Slab, slot: Slot) {
        let Some(hash) = hash_of(hasher, slab, slot) else { return };
        if let Ok(mut entry) = self.0.find_entry(hash, |&list| same(slab, list, slot)) {
            entry.get_mut().unlink(slab, Through::Signal, slot);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    pub(super) fn find(&self, hasher: &RandomState, slab: &Slab, signal: &str) -> List {
        let says =
            |list: &List| list.first().is_some_and(|first| slab[first].signal().is_some_and(|text| text == signal));
        self.0.find(hasher.hash_one(signal), says).copied().unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = List> {
        self.0.iter().copied()
    }
}
