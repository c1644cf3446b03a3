//! What was counted in this process and is still to be told to the server: a duplicate writes nothing there.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::engine::Counted;
use crate::core::record::Fence;

/// A counter of the store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counter {
    Hits,
    Duplicates,
    Misses,
    Evicted,
    WouldHavePrevented,
}

impl Counter {
    /// Of a duplicate: prevented, or not.
    pub(super) const fn duplicate(shadow: bool) -> Self {
        if shadow { Self::WouldHavePrevented } else { Self::Duplicates }
    }
}

/// Of the counters that processes tell a server.
pub(in crate::store) const NAMES: [&str; 5] = ["hits", "duplicates", "misses", "evicted", "would_have_prevented"];

#[derive(Default)]
pub(super) struct Pending {
    attempts: HashMap<Box<str>, (Fence, u32)>,
    counters: [u64; 5],
    /// What is on its way: neither here nor, for all that is known, there.
    on_its_way: HashSet<Box<str>>,
    /// Whether a task that tells the server is under way or awaited.
    is_due: bool,
}

impl Pending {
    fn attempt(&mut self, key: &str, fence: Fence) -> u32 {
        if let Some((of, calls)) = self.attempts.get_mut(key) {
            if *of != fence {
                (*of, *calls) = (fence, 0);
            }
            *calls = calls.saturating_add(1);
            return *calls;
        }
        self.attempts.insert(key.into(), (fence, 1));
        1
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Counts(Mutex<Pending>);

impl Counts {
    pub(super) fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call that found a result under this fence; answers with all calls of that record not told yet.
    pub(super) fn hit(&self, key: &str, fence: Fence, shadow: bool) -> u32 {
        let mut pending = self.lock();
        pending.counters[Counter::Hits as usize] += 1;
        pending.counters[Counter::duplicate(shadow) as usize] += 1;
        pending.attempt(key, fence)
    }

    /// The calls of a key that are not told yet.
    pub(super) fn untold(&self, key: &str) -> u32 {
        let pending = self.lock();
        if pending.attempts.is_empty() {
            return 0;
        }
        pending.attempts.get(key).map_or(0, |(_, calls)| *calls)
    }

    /// The calls of a key have been told with a claim.
    pub(super) fn told(&self, key: &str) {
        let mut pending = self.lock();
        if !pending.attempts.is_empty() {
            pending.attempts.remove(key);
        }
    }

    /// Counts a call that was answered from the record of this fence; answers with all such calls not told yet.
    pub(super) fn attempt(&self, key: &str, fence: Fence) -> u32 {
        self.lock().attempt(key, fence)
    }

    pub(super) fn add(&self, counter: Counter, count: u64) {
        self.lock().counters[counter as usize] += count;
    }

    /// Whether somebody must see to it that the server is told: once between two times.
    pub(super) fn becomes_due(&self) -> bool {
        let mut pending = self.lock();
        let any = !pending.attempts.is_empty() || pending.counters.iter().any(|count| *count > 0);
        any && !std::mem::replace(&mut pending.is_due, true)
    }

    /// Whether anything is still to be told, or on its way.
    pub(super) fn are_told(&self) -> bool {
        let pending = self.lock();
        pending.attempts.is_empty() && pending.on_its_way.is_empty() && pending.counters.iter().all(|count| *count == 0)
    }

    /// Whether calls of this key are on their way.
    pub(super) fn is_on_its_way(&self, key: &str) -> bool {
        let pending = self.lock();
        !pending.on_its_way.is_empty() && pending.on_its_way.contains(key)
    }

    /// Takes all there is; `None` where there is nothing.
    pub(super) fn take(&self) -> Option<Counted> {
        let mut pending = self.lock();
        pending.is_due = false;
        let attempts = std::mem::take(&mut pending.attempts);
        let numbers = std::mem::take(&mut pending.counters);
        if attempts.is_empty() && numbers.iter().all(|number| *number == 0) {
            return None;
        }
        pending.on_its_way = attempts.keys().cloned().collect();
        drop(pending);
        let mut counters = [("", 0); 5];
        for (counter, (name, number)) in counters.iter_mut().zip(NAMES.into_iter().zip(numbers)) {
            *counter = (name, number);
        }
        let attempts = attempts.into_iter().map(|(key, (fence, calls))| (key, fence, calls)).collect();
        Some(Counted { attempts, counters })
    }

    /// What was taken has been told, or may have been.
    pub(super) fn arrived(&self) {
        self.lock().on_its_way.clear();
    }

    /// What was taken has not been told: it is told with the next.
    pub(super) fn give_back(&self, counted: Counted) {
        let mut pending = self.lock();
        pending.on_its_way.clear();
        for (total, (_, number)) in pending.counters.iter_mut().zip(counted.counters) {
            *total += number;
        }
        for (key, fence, calls) in counted.attempts {
            match pending.attempts.entry(key) {
                Entry::Vacant(entry) => drop(entry.insert((fence, calls))),
                Entry::Occupied(mut entry) if entry.get().0 == fence => entry.get_mut().1 += calls,
                Entry::Occupied(_) => {}
            }
        }
    }

    /// Forgets everything: a forked child's parent tells it.
    pub(super) fn begin_anew(pending: &mut Pending) {
        *pending = Pending::default();
    }
}
