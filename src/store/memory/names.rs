//! Texts that many entries share, each kept once and as long as an entry has it, with the list of those entries.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::list::List;

/// A text of a [`Names`].
pub(super) type NameId = u32;

/// No text.
pub(super) const UNNAMED: NameId = NameId::MAX;

struct Name {
    text: Box<str>,
    uses: u32,
    list: List,
}

/// The texts of one sort: action types, targets, owners.
#[derive(Default)]
pub(super) struct Names {
    table: HashTable<NameId>,
    by_id: Vec<Name>,
    free: Vec<NameId>,
    /// The one that was asked for last, which is often asked for next.
    newest: NameId,
}

impl Names {
    /// The text's number, for one more entry; [`UNNAMED`] for no text.
    pub(super) fn acquire(&mut self, hasher: &RandomState, text: Option<&str>) -> NameId {
        let Some(text) = text else { return UNNAMED };
        let Self { table, by_id: names, free, newest } = self;
        if let Some(name) = names.get_mut(*newest as usize).filter(|name| name.uses > 0 && &*name.text == text) {
            name.uses += 1;
            return *newest;
        }
        let hash = hasher.hash_one(text);
        if let Some(&id) = table.find(hash, |&id| &*names[id as usize].text == text) {
            names[id as usize].uses += 1;
            *newest = id;
            return id;
        }
        let name = Name { text: text.into(), uses: 1, list: List::default() };
        let id = free.pop().unwrap_or_else(|| NameId::try_from(names.len()).unwrap_or(UNNAMED));
        assert!(id != UNNAMED, "a shard holds fewer than 2^32 - 1 names");
        match names.get_mut(id as usize) {
            Some(unused) => *unused = name,
            None => names.push(name),
        }
        table.insert_unique(hash, id, |&id| hasher.hash_one(&*names[id as usize].text));
        *newest = id;
        id
    }

    /// One entry less has the text; the last takes it along.
    pub(super) fn release(&mut self, hasher: &RandomState, id: NameId) {
        let Some(name) = self.by_id.get_mut(id as usize) else { return };
        name.uses -= 1;
        if name.uses > 0 {
            return;
        }
        let text = std::mem::take(&mut name.text);
        if let Ok(entry) = self.table.find_entry(hasher.hash_one(&*text), |&other| other == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    pub(super) fn text(&self, id: NameId) -> Option<&str> {
        self.by_id.get(id as usize).map(|name| &*name.text)
    }

    /// The list of the entries that have the text; `None` for no text.
    pub(super) fn list_mut(&mut self, id: NameId) -> Option<&mut List> {
        self.by_id.get_mut(id as usize).map(|name| &mut name.list)
    }

    /// The list of the entries that have this text.
    pub(super) fn find(&self, hasher: &RandomState, text: &str) -> List {
        let found = self.table.find(hasher.hash_one(text), |&id| &*self.by_id[id as usize].text == text);
        found.map_or_else(List::default, |&id| self.by_id[id as usize].list)
    }

    /// The texts in use: each with the number of its entries and their list.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u32, List)> {
        self.table.iter().map(|&id| {
            let Name { text, uses, list } = &self.by_id[id as usize];
            (&**text, *uses, *list)
        })
    }
}
