//! Removing what is over, making room, and writing what was counted. What removes much does so in parts, each a transaction
//! of its own, so that other writers wait for none of them long.

use super::copies::Unwritten;
use super::job::Fault;
use super::session::Session;
use super::turn::{Effect, Sum, Turn};
use crate::core::clock::Timestamp;
use crate::core::error::StoreError;
use crate::core::record::Fence;

/// Records removed in one transaction.
const PART: u64 = 500;

/// The finished records of a namespace that come first in an order, as a subquery of fences.
macro_rules! expired {
    () => {
        "SELECT fence FROM idempotency_records WHERE namespace_id = ?1 AND settled = 1 AND state IN ('completed', 'failed') \
         AND expires_at <= ?2 LIMIT ?3"
    };
}

impl Session {
    /// Removes up to `limit` expired records; answers with their number.
    fn remove_expired(&self, now: Timestamp, limit: u64) -> rusqlite::Result<u64> {
        const REMOVE: &str = concat!("DELETE FROM idempotency_records WHERE fence IN (", expired!(), ")");
        Ok(self.removed(self.connection.prepare_cached(REMOVE)?.execute((self.namespace, now.0, signed(limit)))?))
    }

    /// Removes up to `count` live finished records, those that finished first; answers with their number.
    fn remove_oldest(&self, now: Timestamp, count: u64) -> rusqlite::Result<u64> {
        const REMOVE: &str = "DELETE FROM idempotency_records WHERE fence IN (SELECT fence FROM idempotency_records \
                              WHERE namespace_id = ?1 AND settled = 1 AND executed_at IS NOT NULL AND expires_at > ?2 \
                              ORDER BY executed_at, fence LIMIT ?3)";
        Ok(self.removed(self.connection.prepare_cached(REMOVE)?.execute((self.namespace, now.0, signed(count)))?))
    }

    /// Removes up to `limit` records of fences up to `last`; answers with the number of all, and of the live ones.
    fn remove_any(&self, last: Fence, now: Timestamp, limit: u64) -> rusqlite::Result<(u64, u64)> {
        const REMOVE: &str = "DELETE FROM idempotency_records WHERE fence IN (SELECT fence FROM idempotency_records \
                              WHERE namespace_id = ?1 AND settled = 1 AND fence <= ?2 LIMIT ?3) \
                              RETURNING executed_at IS NULL OR expires_at > ?4";
        let values = (self.namespace, last.0.cast_signed(), signed(limit), now.0);
        let mut statement = self.connection.prepare_cached(REMOVE)?;
        let (mut all, mut live) = (0, 0);
        for was_live in statement.query_map(values, |row| row.get::<_, bool>(0))? {
            all += 1;
            live += u64::from(was_live?);
        }
        self.records.set(None);
        Ok((all, live))
    }

    fn removed(&self, count: usize) -> u64 {
        let count = count as u64;
        self.records.set(self.records.get().map(|records| records.saturating_sub(count)));
        count
    }

    fn newest_fence(&self) -> rusqlite::Result<Fence> {
        let newest = "SELECT coalesce(max(fence), 0) FROM idempotency_records";
        self.connection.prepare_cached(newest)?.query_row([], |row| super::row::fence(row, 0))
    }

    /// How many records there are, expired ones included.
    pub(super) fn count(&self) -> rusqlite::Result<u64> {
        const COUNT: &str = "SELECT count(*) FROM idempotency_records WHERE namespace_id = ?1";
        if let Some(count) = self.records.get() {
            return Ok(count);
        }
        let count = self.connection.prepare_cached(COUNT)?.query_row([self.namespace], |row| row.get(0))?;
        self.records.set(Some(count));
        Ok(count)
    }

    fn count_unfinished(&self) -> rusqlite::Result<u64> {
        const COUNT: &str = "SELECT count(*) FROM idempotency_records WHERE namespace_id = ?1 AND settled = 1 \
                             AND state IN ('in_doubt', 'in_progress')";
        self.connection.prepare_cached(COUNT)?.query_row([self.namespace], |row| row.get(0))
    }

    fn add_to_counter(&self, name: &str, value: u64) -> rusqlite::Result<()> {
        const ADD: &str = "INSERT INTO idempotency_counters (namespace_id, name, value) VALUES (?1, ?2, ?3) \
                           ON CONFLICT DO UPDATE SET value = value + excluded.value";
        self.connection.prepare_cached(ADD)?.execute((self.namespace, name, signed(value)))?;
        Ok(())
    }

    /// Writes what was counted.
    pub(super) fn write_counts(&self, counts: &Unwritten) -> rusqlite::Result<()> {
        const ATTEMPTS: &str = "UPDATE idempotency_records SET attempts = attempts + ?3 \
                                WHERE fence = ?1 AND key = ?2 AND namespace_id = ?4";
        for &(name, value) in counts.counters.iter().filter(|(_, value)| *value > 0) {
            self.add_to_counter(name, value)?;
        }
        let mut statement = self.connection.prepare_cached(ATTEMPTS)?;
        for (copy, calls) in counts.attempts.iter().filter(|(_, calls)| *calls > 0) {
            statement.execute((copy.fence.0.cast_signed(), &*copy.key, calls, self.namespace))?;
        }
        Ok(())
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Turn<'_> {
    /// Makes room for a new key: what has expired goes first, then what finished first. Answers with the number of live
    /// records that it cost.
    pub(super) fn make_room(&mut self) -> Result<usize, Fault> {
        let Some(max) = self.limits.max_records else { return Ok(0) };
        if self.session.count()? < max as u64 {
            return Ok(0);
        }
        self.remove_all_expired()?;
        let size = self.session.count()?;
        let full = |reason| {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            Err(Fault::Answer(StoreError::Full { size, max, reason }))
        };
        if size < max as u64 {
            return Ok(0);
        }
        if self.limits.refuse_when_full {
            return full(StoreError::REFUSES);
        }
        let mut evicted = 0;
        if self.session.count_unfinished()? < max as u64 {
            evicted = self.session.remove_oldest(self.now, size - max as u64 + (max as u64 / 5).max(1))?;
        }
        if evicted == 0 {
            return full(StoreError::NONE_MAY_GO);
        }
        self.session.add_to_counter("evicted", evicted)?;
        self.after_commit(Effect::ForgetAll);
        Ok(usize::try_from(evicted).unwrap_or(usize::MAX))
    }

    /// Removes all that has expired.
    pub(super) fn remove_all_expired(&mut self) -> Result<(), Fault> {
        self.session.settle(u64::MAX)?;
        let cleaned = self.session.remove_expired(self.now, u64::MAX)?;
        if cleaned > 0 {
            self.after_commit(Effect::Cleaned(cleaned));
        }
        Ok(())
    }

    /// Removes some of what has expired, and adds to the sum; the sum at the end.
    pub(super) fn cleanup_part(&mut self, sum: &Sum) -> Result<Option<u64>, Fault> {
        self.session.settle(u64::MAX)?;
        let removed = self.session.remove_expired(self.now, PART)?;
        self.after_commit(Effect::Cleaned(removed));
        let sum = self.add(sum, removed);
        Ok((removed < PART).then_some(sum))
    }

    /// The same for what finished first.
    pub(super) fn remove_oldest_part(&mut self, count: u64, sum: &Sum) -> Result<Option<u64>, Fault> {
        self.session.settle(u64::MAX)?;
        let part = PART.min(count - sum.get());
        let removed = self.session.remove_oldest(self.now, part)?;
        let sum = self.add(sum, removed);
        self.after_commit(Effect::ForgetAll);
        Ok((removed < part || sum == count).then_some(sum))
    }

    /// The same for all that was there at the first part.
    pub(super) fn clear_part(&mut self, last: &mut Option<Fence>, sum: &Sum) -> Result<Option<u64>, Fault> {
        let last = match *last {
            Some(last) => last,
            None => *last.insert(self.session.newest_fence()?),
        };
        self.session.settle(u64::MAX)?;
        let (all, live) = self.session.remove_any(last, self.now, PART)?;
        let sum = self.add(sum, live);
        self.after_commit(Effect::Cleaned(all - live));
        self.after_commit(Effect::ForgetAll);
        Ok((all < PART).then_some(sum))
    }

    /// Sets all counters to zero.
    pub(super) fn reset_tally(&self) -> Result<(), Fault> {
        const RESET: &str = "DELETE FROM idempotency_counters WHERE namespace_id = ?1";
        self.session.connection.prepare_cached(RESET)?.execute([self.session.namespace])?;
        Ok(())
    }
}
