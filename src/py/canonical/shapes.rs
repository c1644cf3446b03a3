//! Dicts that look alike, as the rows of a list do: their names are sorted and escaped once.

use pyo3::ffi;

/// A name, written out, and where its value stands in the dict.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    /// The value's place in the dict's own order.
    pub(super) place: u32,
    start: u32,
    end: u32,
}

/// The names of the dicts that were seen in one walk. Their key objects are told apart by address, which is sound while
/// the dicts that hold them live: for the length of the walk.
#[derive(Default)]
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    keys: Vec<*mut ffi::PyObject>,
    segments: Vec<Segment>,
    written: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Shape {
    keys: usize,
    length: usize,
    segments: Option<usize>,
}

/// What is known of a dict's names.
pub(super) enum Sight {
    /// Their segments begin here, as many as there are names.
    Known(usize),
    /// Seen once: to be learnt, under this index.
    Second(usize),
    /// Never seen, or not to be remembered.
    First,
}

impl Shapes {
    /// More shapes than this in one walk are not remembered: looking for one must stay cheaper than sorting.
    const MOST: usize = 8;

    pub(super) fn clear(&mut self) {
        self.shapes.clear();
        self.keys.clear();
        self.segments.clear();
        self.written.clear();
    }

    /// Looks for the shape of a dict with these keys, in its own order; remembers one that is new.
    pub(super) fn sight(&mut self, keys: impl ExactSizeIterator<Item = *mut ffi::PyObject> + Clone) -> Sight {
        let length = keys.len();
        for (index, shape) in self.shapes.iter().enumerate() {
            let known = &self.keys[shape.keys..shape.keys + shape.length];
            if shape.length == length && keys.clone().eq(known.iter().copied()) {
                return shape.segments.map_or(Sight::Second(index), Sight::Known);
            }
        }
        if self.shapes.len() < Self::MOST {
            self.shapes.push(Shape { keys: self.keys.len(), length, segments: None });
            self.keys.extend(keys);
        }
        Sight::First
    }

    /// Begins to learn a shape seen before; [`learn`](Self::learn) is called for each of its names in sorted order next.
    pub(super) fn begin(&mut self, shape: usize) -> usize {
        let first = self.segments.len();
        self.shapes[shape].segments = Some(first);
        first
    }

    /// Adds a name as `write` writes it.
    pub(super) fn learn(&mut self, place: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let start = offset(self.written.len());
        write(&mut self.written);
        self.segments.push(Segment { place, start, end: offset(self.written.len()) });
    }

    #[inline]
    pub(super) fn segment(&self, index: usize) -> Segment {
        self.segments[index]
    }

    #[inline]
    pub(super) fn written(&self, segment: Segment) -> &[u8] {
        &self.written[segment.start as usize..segment.end as usize]
    }
}

fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
