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
}

/// A written name and the place of its value in the dict's own order.
pub(super) struct Segment {
    place: u32,
    length: u32,
    /// The written name, where it fits; copying all of it at once is cheaper than copying what there is.
    short: [u8; SHORT],
    /// The written name, where it does not.
    long: Box<[u8]>,
}

const SHORT: usize = 24;

impl Segment {
    /// What is written before the value at this place.
    pub(super) fn new(place: u32, written: &[u8]) -> Self {
        let mut short = [0; SHORT];
        let mut long = Box::default();
        match short.get_mut(..written.len()) {
            Some(fitting) => fitting.copy_from_slice(written),
            None => long = written.into(),
        }
        Self { place, length: u32::try_from(written.len()).unwrap_or(u32::MAX), short, long }
    }

    #[inline]
    pub(super) fn place(&self) -> usize {
        self.place as usize
    }

    #[inline]
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        let length = self.length as usize;
        if length <= SHORT {
            out.extend_from_slice(&self.short);
            out.truncate(out.len() - (SHORT - length));
        } else {
            out.extend_from_slice(&self.long);
        }
    }
}

impl Shape {
    /// Makes a shape of a dict's keys, in its own order, and of its names, sorted.
    pub(super) fn new(keys: Box<[Py<PyString>]>, segments: Box<[Segment]>) -> Self {
        Self { keys, segments }
    }

    /// The names, sorted.
    #[inline]
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
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
    pub(super) fn sight(
        &mut self,
        keys: impl ExactSizeIterator<Item = *mut ffi::PyObject> + DoubleEndedIterator + Clone,
    ) -> Sight {
        let mut ends = keys.clone().map(|key| key.addr() as u64);
        let (first, length) = (ends.next().unwrap_or(0), keys.len() as u64);
        let last = ends.next_back().unwrap_or(first);
        // Two ends and a length tell most shapes apart; all addresses together would take longer than the names.
        let hash = (first ^ last.rotate_left(25) ^ length.rotate_left(50)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = (hash >> 57) as usize;
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
