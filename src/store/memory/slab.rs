//! Where entries lie: in chunks that never move, their slots used again.

use std::ops::{Index, IndexMut};

use super::entry::Entry;
use super::list::NIL;

/// An entry's place, its own as long as the entry lives.
pub(super) type Slot = u32;

const CHUNK_BITS: u32 = 8;
const CHUNK: usize = 1 << CHUNK_BITS;

enum Cell {
    Used(Entry),
    Free { next: Slot },
}

/// The entries of a shard. The first chunk grows as vectors do, so that a small store stays small; the others are
/// made whole, so that a large store is never copied.
pub(super) struct Slab {
    chunks: Vec<Vec<Cell>>,
    free: Slot,
    len: usize,
}

impl Default for Slab {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: NIL, len: 0 }
    }
}

const fn place(slot: Slot) -> (usize, usize) {
    ((slot >> CHUNK_BITS) as usize, slot as usize & (CHUNK - 1))
}

impl Slab {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// One more than the highest slot that was ever used.
    pub(super) fn end(&self) -> Slot {
        let Some(last) = self.chunks.last() else { return 0 };
        Slot::try_from((self.chunks.len() - 1) * CHUNK + last.len()).unwrap_or(NIL)
    }

    pub(super) fn insert(&mut self, entry: Entry) -> Slot {
        self.len += 1;
        if self.free != NIL {
            let slot = self.free;
            let cell = self.cell_mut(slot);
            let Cell::Free { next } = std::mem::replace(cell, Cell::Used(entry)) else {
                unreachable!("a slot on the free list is free")
            };
            self.free = next;
            return slot;
        }
        let slot = self.end();
        assert!(slot < NIL, "a shard holds fewer than 2^32 - 1 entries");
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(if self.chunks.is_empty() { Vec::new() } else { Vec::with_capacity(CHUNK) });
        }
        self.chunks.last_mut().unwrap_or_else(|| unreachable!("a chunk was just made")).push(Cell::Used(entry));
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Entry {
        let next = std::mem::replace(&mut self.free, slot);
        self.len -= 1;
        match std::mem::replace(self.cell_mut(slot), Cell::Free { next }) {
            Cell::Used(entry) => entry,
            Cell::Free { .. } => unreachable!("only a used slot is freed"),
        }
    }

    /// The entry at a slot, where one is.
    pub(super) fn get(&self, slot: Slot) -> Option<&Entry> {
        let (chunk, offset) = place(slot);
        match self.chunks.get(chunk)?.get(offset)? {
            Cell::Used(entry) => Some(entry),
            Cell::Free { .. } => None,
        }
    }

    fn cell_mut(&mut self, slot: Slot) -> &mut Cell {
        let (chunk, offset) = place(slot);
        &mut self.chunks[chunk][offset]
    }
}

impl Index<Slot> for Slab {
    type Output = Entry;

    fn index(&self, slot: Slot) -> &Entry {
        self.get(slot).unwrap_or_else(|| unreachable!("an index names used slots only"))
    }
}

impl IndexMut<Slot> for Slab {
    fn index_mut(&mut self, slot: Slot) -> &mut Entry {
        match self.cell_mut(slot) {
            Cell::Used(entry) => entry,
            Cell::Free { .. } => unreachable!("an index names used slots only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Entry};

    #[test]
    fn a_cell_is_as_small_as_the_entry_in_it() {
        assert_eq!(size_of::<Cell>(), size_of::<Entry>());
        assert!(size_of::<Entry>() <= 176, "an entry takes {} bytes", size_of::<Entry>());
    }
}
