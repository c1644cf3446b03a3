//! Doubly linked lists through the entries themselves, by slot number.

use super::slab::{Slab, Slot};

/// No slot.
pub(super) const NIL: Slot = Slot::MAX;

/// Which of an entry's links a list goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// The entries of one action type.
    Action,
    /// The entries of one target.
    Target,
    /// The entries of one signal.
    Signal,
    /// The finished ones in order of finishing, or the unfinished ones in order of beginning.
    Age,
    /// The finished ones that expire at about the same time.
    Expiry,
}

/// How many lists an entry may be in at once.
pub(super) const LISTS: usize = 5;

/// An entry's neighbours in one list. The first entry's `prev` is the last, so that a list needs no tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    prev: Slot,
    next: Slot,
}

impl Link {
    /// In no list.
    pub(super) const NONE: Self = Self { prev: NIL, next: NIL };
}

/// A list: its first entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    head: Slot,
}

impl Default for List {
    fn default() -> Self {
        Self { head: NIL }
    }
}

impl List {
    pub(super) const fn is_empty(self) -> bool {
        self.head == NIL
    }

    pub(super) fn first(self) -> Option<Slot> {
        (self.head != NIL).then_some(self.head)
    }

    pub(super) fn last(self, slab: &Slab, through: Through) -> Option<Slot> {
        self.first().map(|head| slab[head].link(through).prev)
    }

    /// The entry before `slot`; `None` before the first.
    pub(super) fn before(self, slab: &Slab, through: Through, slot: Slot) -> Option<Slot> {
        (slot != self.head).then(|| slab[slot].link(through).prev)
    }

    /// The entry after `slot`; `None` after the last.
    pub(super) fn after(slab: &Slab, through: Through, slot: Slot) -> Option<Slot> {
        let next = slab[slot].link(through).next;
        (next != NIL).then_some(next)
    }

    pub(super) fn iter(self, slab: &Slab, through: Through) -> impl Iterator<Item = Slot> {
        std::iter::successors(self.first(), move |&slot| Self::after(slab, through, slot))
    }

    pub(super) fn push_back(&mut self, slab: &mut Slab, through: Through, slot: Slot) {
        if self.head == NIL {
            self.head = slot;
            *slab[slot].link_mut(through) = Link { prev: slot, next: NIL };
            return;
        }
        let tail = std::mem::replace(&mut slab[self.head].link_mut(through).prev, slot);
        slab[tail].link_mut(through).next = slot;
        *slab[slot].link_mut(through) = Link { prev: tail, next: NIL };
    }

    pub(super) fn unlink(&mut self, slab: &mut Slab, through: Through, slot: Slot) {
        let Link { prev, next } = std::mem::replace(slab[slot].link_mut(through), Link::NONE);
        if slot == self.head {
            self.head = next;
        } else {
            slab[prev].link_mut(through).next = next;
        }
        let follower = if next == NIL { self.head } else { next };
        if follower != NIL {
            slab[follower].link_mut(through).prev = prev;
        }
    }
}
