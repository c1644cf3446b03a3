//! Keys that this process has seen finished: a claim of one is most likely a duplicate's, so it looks before it writes.
//!
//! A guess, which costs a round trip where it is wrong: keys share places, and what others clear is not noticed.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many keys have a place; a power of two.
const PLACES: usize = 1 << 13;

/// See the module.
pub(super) struct Familiar {
    hasher: RandomState,
    /// What the hash of the key that came last to each place has beside the place; 0: none came.
    marks: Box<[AtomicU32]>,
}

impl Familiar {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), marks: (0..PLACES).map(|_| AtomicU32::new(0)).collect() }
    }

    fn place(&self, key: &str) -> (&AtomicU32, u32) {
        let hash = self.hasher.hash_one(key);
        #[expect(clippy::cast_possible_truncation, reason = "two parts of a hash")]
        let (place, mark) = (hash as usize % PLACES, (hash >> 32) as u32 | 1);
        (&self.marks[place], mark)
    }

    /// The key has a finished record.
    pub(super) fn met(&self, key: &str) {
        let (place, mark) = self.place(key);
        place.store(mark, Ordering::Relaxed);
    }

    /// The key has none any more.
    pub(super) fn forget(&self, key: &str) {
        let (place, mark) = self.place(key);
        _ = place.compare_exchange(mark, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether the key was finished when it was last met.
    pub(super) fn knows(&self, key: &str) -> bool {
        let (place, mark) = self.place(key);
        place.load(Ordering::Relaxed) == mark
    }
}
