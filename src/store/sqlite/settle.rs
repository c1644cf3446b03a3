//! Putting records into the indexes: many at a time, a moment after they were written.
//!
//! A claim and its completion that kept five indexes would write seven pages, and without them three. What asks the
//! indexes looks at the rest beside them. INVARIANT: each record that is not in them has a fence above the mark in
//! `idempotency_meta`, so that few rows need to be looked at to find them all.

use rusqlite::OptionalExtension;

use super::session::Session;

/// Unsettled records of one process after which it settles them.
const MANY: u32 = 500;
/// Records settled in one transaction, where nobody waits for the rest.
pub(super) const PART: u64 = 1_000;

impl Session {
    /// Called with each record that is written outside the indexes.
    pub(super) fn leave_unsettled(&self) {
        self.unsettled.set(self.unsettled.get().saturating_add(1));
    }

    /// Whether this process has left many; once for each time.
    pub(super) fn has_many_unsettled(&self) -> bool {
        let many = self.unsettled.get() >= MANY;
        if many {
            self.unsettled.set(0);
        }
        many
    }

    /// Puts up to so many that are left into the indexes, the oldest first.
    pub(super) fn settle(&self, most: u64) -> rusqlite::Result<()> {
        const MARK: &str = "SELECT value, (SELECT coalesce(max(fence), 0) FROM idempotency_records) \
                            FROM idempotency_meta WHERE name = 'settled'";
        const LAST: &str = "SELECT fence FROM idempotency_records NOT INDEXED WHERE fence > ?1 AND settled = 0 \
                            ORDER BY fence LIMIT 1 OFFSET ?2";
        const SETTLE: &str =
            "UPDATE idempotency_records SET settled = 1 WHERE fence > ?1 AND fence <= ?2 AND settled = 0";
        const MOVE_MARK: &str = "UPDATE idempotency_meta SET value = ?1 WHERE name = 'settled'";
        let (mark, newest): (i64, i64) =
            self.connection.prepare_cached(MARK)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if newest <= mark {
            return Ok(());
        }
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let last = self.connection.prepare_cached(LAST)?.query_row((mark, most - 1), |row| row.get(0)).optional()?;
        let until = last.unwrap_or(newest);
        self.connection.prepare_cached(SETTLE)?.execute((mark, until))?;
        self.connection.prepare_cached(MOVE_MARK)?.execute([until])?;
        Ok(())
    }
}
