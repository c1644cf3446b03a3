//! Putting records into the indexes: many at a time, a moment after they were written.
//!
//! A claim and its completion that kept five indexes would write seven pages, and without them three. What asks the
//! indexes looks at the rest beside them. INVARIANT: each record that is not in them has a fence above the mark in
//! `idempotency_meta`, so that few rows need to be looked at to find them all.

use super::session::Session;

/// Unsettled records of one process after which it settles them.
const MANY: u32 = 500;
/// Fences passed over in one transaction, where nobody waits for the rest.
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

    /// Puts the oldest that are left into the indexes, as far as so many fences reach.
    pub(super) fn settle(&self, fences: u64) -> rusqlite::Result<()> {
        const MARK: &str = "SELECT value, (SELECT coalesce(max(fence), 0) FROM idempotency_records) \
                            FROM idempotency_meta WHERE name = 'settled'";
        const SETTLE: &str =
            "UPDATE idempotency_records SET settled = 1 WHERE fence > ?1 AND fence <= ?2 AND settled = 0";
        const MOVE_MARK: &str = "UPDATE idempotency_meta SET value = ?1 WHERE name = 'settled'";
        let (mark, newest): (i64, i64) =
            self.connection.prepare_cached(MARK)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if newest <= mark {
            return Ok(());
        }
        let until = newest.min(mark.saturating_add_unsigned(fences));
        self.connection.prepare_cached(SETTLE)?.execute((mark, until))?;
        self.connection.prepare_cached(MOVE_MARK)?.execute([until])?;
        Ok(())
    }
}
