//! Dicts that look alike, as those of one call site and the rows of a list do: their names are sorted and escaped once.

use std::rc::Rc;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The names of a dict in its own order, by the very objects, and how they are written.
///
/// The key objects are owned, so that no other str can come to stand at the address of one while the shape lives.
pub(super) struct Shape {
    keys: Box<[Py<PyString>]>,
    segments: Box<[Segment]>,
    written: Box<[u8]>,
}

struct Segment {
    /// The value's place in the dict's own order.
    place: u32,
    /// Where the written name ends; it begins where the one before ends.
    end: u32,
}

impl Shape {
    /// Makes a shape of a dict's keys, in its own order, and of the places of the sorted names with the lengths
    /// they have within `written`.
    pub(super) fn new(keys: Box<[Py<PyString>]>, places: impl Iterator<Item = (u32, u32)>, written: Vec<u8>) -> Self {
        let segments = places.map(|(place, end)| Segment { place, end }).collect();
        Self { keys, segments, written: written.into_boxed_slice() }
    }

    /// For each name in sorted order: the place of its value, and what is written before the value.
    #[inline]
    pub(super) fn segments(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut start = 0;
        self.segments.iter().map(move |segment| {
            let end = segment.end as usize;
            let written = &self.written[start..end];
            start = end;
            (segment.place as usize, written)
        })
    }

    fn is_of(&self, keys: impl ExactSizeIterator<Item = *mut ffi::PyObject>) -> bool {
        self.keys.len() == keys.len() && self.keys.iter().zip(keys).all(|(known, key)| known.as_ptr() == key)
    }
}

/// What is known of a dict's names.
pub(super) enum Sight {
    /// How they are written.
    Known(Rc<Shape>),
    /// Seen before: worth learning, for this slot.
    Again(usize),
    /// Not seen lately.
    New,
}

/// The shapes that a thread has met of late. A dict whose keys are made anew each time is never met twice, and leaves
/// no more than a number here.
pub(super) struct Shapes(Box<[Slot; Self::SLOTS]>);

#[derive(Default)]
struct Slot {
    /// The hash of the last unknown shape that fell here.
    seen: u64,
    shape: Option<Rc<Shape>>,
}

impl Default for Shapes {
    fn default() -> Self {
        Self(Box::new(std::array::from_fn(|_| Slot::default())))
    }
}

impl Shapes {
    const SLOTS: usize = 128;
    /// A dict of more names than this is not remembered: what is kept must stay small.
    pub(super) const MOST_NAMES: usize = 64;

    /// Looks for the shape of a dict with these keys, in its own order.
    #[inline]
    pub(super) fn sight(&mut self, keys: impl ExactSizeIterator<Item = *mut ffi::PyObject> + Clone) -> Sight {
        let hash = keys.clone().fold(keys.len() as u64, |hash, key| {
            (hash ^ key.addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        });
        let index = (hash % Self::SLOTS as u64) as usize;
        let slot = &mut self.0[index];
        match &slot.shape {
            Some(shape) if shape.is_of(keys) => Sight::Known(Rc::clone(shape)),
            _ if slot.seen == hash => Sight::Again(index),
            _ => {
                slot.seen = hash;
                Sight::New
            }
        }
    }

    /// Keeps a shape that was seen again.
    pub(super) fn keep(&mut self, slot: usize, shape: &Rc<Shape>) {
        self.0[slot].shape = Some(Rc::clone(shape));
    }
}
