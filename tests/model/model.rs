//! A store as simple as it can be: one map, every question answered by looking at all of it.

use std::collections::BTreeMap;

use _core::core::record::Fence;

pub(crate) const LEASE: i64 = 30;
pub(crate) const MAX_KEYS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    InProgress { lease_until: i64, armed: bool },
    InDoubt,
    Completed,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) state: State,
    pub(crate) fence: Fence,
    pub(crate) params: Option<u8>,
    pub(crate) labels: [Option<String>; 3],
    pub(crate) started: i64,
    pub(crate) finished: i64,
    pub(crate) finished_as: u64,
    pub(crate) expires: i64,
    pub(crate) attempts: u32,
    pub(crate) result: String,
}

impl Row {
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.state, State::Completed | State::Failed)
    }

    pub(crate) fn is_in_doubt(&self, now: i64) -> bool {
        match self.state {
            State::InProgress { lease_until, armed } => lease_until <= now && !armed,
            state => state == State::InDoubt,
        }
    }

    pub(crate) fn can_be_resolved(&self, now: i64) -> bool {
        match self.state {
            State::InProgress { lease_until, .. } => lease_until <= now,
            state => state == State::InDoubt,
        }
    }

    fn is_expired(&self, now: i64) -> bool {
        self.is_finished() && self.expires <= now
    }
}

/// What goes first where room must be made. The stores promise no more than that what finished earlier does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// In the order of finishing; what has expired goes on the way.
    #[default]
    Finishing,
    /// By the time of finishing, then by fence; what has expired stays for the cleanup.
    Time,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) rows: BTreeMap<String, Row>,
    pub(crate) now: i64,
    pub(crate) max: Option<usize>,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) duplicates: u64,
    pub(crate) evicted: u64,
    pub(crate) expired_cleaned: u64,
    pub(crate) finishes: u64,
    pub(crate) order: Order,
    /// Whether the store leaves what has expired to its engine, and counts nothing of it.
    pub(crate) expires_by_itself: bool,
}

impl Model {
    pub(crate) fn live(&self, key: &str) -> Option<&Row> {
        self.rows.get(key).filter(|row| !row.is_expired(self.now))
    }

    pub(crate) fn live_rows(&self) -> impl Iterator<Item = (&String, &Row)> {
        self.rows.iter().filter(|(_, row)| !row.is_expired(self.now))
    }

    /// The keys of live records that fit.
    pub(crate) fn keys(&self, fits: impl Fn(&Row) -> bool) -> Vec<String> {
        self.live_rows().filter(|(_, row)| fits(row)).map(|(key, _)| key.clone()).collect()
    }

    /// The row of a key, to be changed.
    pub(crate) fn row(&mut self, key: &str) -> &mut Row {
        self.rows.get_mut(key).expect("the model has the key")
    }

    /// Removes an expired record that is in a new one's place.
    pub(crate) fn forget_expired(&mut self, key: &str) {
        if self.rows.get(key).is_some_and(|row| row.is_expired(self.now)) {
            self.rows.remove(key);
            self.clean(1);
        }
    }

    pub(crate) fn cleanup(&mut self) -> u64 {
        let (before, now) = (self.rows.len(), self.now);
        self.rows.retain(|_, row| !row.is_expired(now));
        self.clean((before - self.rows.len()) as u64)
    }

    /// Counts what was cleaned, where that is counted.
    fn clean(&mut self, count: u64) -> u64 {
        let counted = if self.expires_by_itself { 0 } else { count };
        self.expired_cleaned += counted;
        counted
    }

    /// The key of the finished record that goes first.
    fn oldest(&self) -> Option<String> {
        let finished = self.rows.iter().filter(|(_, row)| row.is_finished());
        let oldest = match self.order {
            Order::Finishing => finished.min_by_key(|(_, row)| row.finished_as),
            Order::Time => {
                finished.filter(|(_, row)| !row.is_expired(self.now)).min_by_key(|(_, row)| (row.finished, row.fence))
            }
        };
        oldest.map(|(key, _)| key.clone())
    }

    /// Removes live finished records, those that finished first.
    pub(crate) fn remove_oldest(&mut self, count: usize) -> usize {
        let mut removed = 0;
        while removed < count {
            let Some(row) = self.oldest().and_then(|key| self.rows.remove(&key)) else { break };
            if row.is_expired(self.now) {
                self.clean(1);
            } else {
                removed += 1;
            }
        }
        removed
    }

    /// Makes room for a new key; `None` where there is none to be had.
    pub(crate) fn make_room(&mut self, key: &str) -> Option<usize> {
        self.forget_expired(key);
        let Some(max) = self.max.filter(|&max| self.rows.len() >= max && !self.rows.contains_key(key)) else {
            return Some(0);
        };
        self.cleanup();
        if self.rows.len() < max {
            return Some(0);
        }
        if self.rows.values().filter(|row| !row.is_finished()).count() >= max {
            return None;
        }
        let evicted = self.remove_oldest(self.rows.len() - max + (max / 5).max(1));
        self.evicted += evicted as u64;
        Some(evicted)
    }

    pub(crate) fn finish(&mut self, key: &str, state: State, result: &str, ttl: i64) {
        self.finishes += 1;
        let (now, finished_as) = (self.now, self.finishes);
        let row = self.row(key);
        row.state = state;
        row.result = result.into();
        row.finished = now;
        row.finished_as = finished_as;
        row.expires = now + ttl;
    }
}
