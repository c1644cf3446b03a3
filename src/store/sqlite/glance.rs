//! A look for people, through the indexes.

use rusqlite::ToSql;

use super::look::{BY_STATE, NEWEST};
use super::row;
use super::session::Session;
use crate::core::clock::Timestamp;
use crate::core::record::Record;
use crate::store::glance::{ENDING, Glance, ending, newest};

/// The columns of [`row::columns`] in their order, without what may be large.
const SLIM: &str = "fence, key, state, latch, signal_id, action_type, target, fingerprint, owner, owner_process, attempts, \
                    started_at, lease_until, executed_at, expires_at, NULL, error, error_type, NULL, NULL, NULL";
/// Rows that are looked at for each that is wanted: where so many have expired and are not yet removed, fewer are found.
const EXPIRED_BETWEEN: i64 = 4;

impl Session {
    /// Some of the newest records, what ends next, and the counters.
    pub(super) fn glance(&self, limit: usize, now: Timestamp) -> rusqlite::Result<Glance> {
        let _view = self.one_view()?;
        let mut recent = self.slim(&recent(), limit, now)?;
        newest(&mut recent, limit);
        let mut first = self.slim(&next_to_end(), ENDING, now)?;
        ending(&mut first);
        Ok(Glance { counters: self.counters()?, recent, is_newest: true, next: None, ending: first })
    }

    fn slim(&self, sql: &str, limit: usize, now: Timestamp) -> rusqlite::Result<Vec<Record>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let most = limit.saturating_mul(EXPIRED_BETWEEN);
        let values: &[(&str, &dyn ToSql)] =
            &[(":space", &self.namespace), (":now", &now.0), (":limit", &limit), (":most", &most)];
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(values, row::kept)?;
        rows.map(|row| row.map(|kept| kept.seen(now))).collect()
    }
}

/// One part of a union that has an order of its own.
fn part(condition: &str, order: &str) -> String {
    format!(
        "SELECT * FROM (SELECT * FROM (SELECT {SLIM} FROM idempotency_records {condition} ORDER BY {order} LIMIT :most) \
         WHERE executed_at IS NULL OR expires_at > :now LIMIT :limit)"
    )
}

/// INVARIANT: each part walks down an index, or the few rows that no index has, and stops at its limit.
fn recent() -> String {
    let unfinished = |state: &str| {
        let condition =
            format!("INDEXED BY {BY_STATE} WHERE settled = 1 AND namespace_id = :space AND state = '{state}'");
        part(&condition, "expires_at DESC")
    };
    let all = [
        part(
            "INDEXED BY idempotency_by_end WHERE settled = 1 AND executed_at IS NOT NULL AND namespace_id = :space",
            "executed_at DESC",
        ),
        unfinished("in_progress"),
        unfinished("in_doubt"),
        part(&format!("NOT INDEXED WHERE {NEWEST} AND namespace_id = :space"), "fence DESC"),
    ];
    all.join(" UNION ALL ")
}

fn next_to_end() -> String {
    let of = |state: &str| {
        let indexed = format!("INDEXED BY {BY_STATE} WHERE settled = 1 AND namespace_id = :space");
        part(&format!("{indexed} AND state = '{state}' AND expires_at > :now"), "expires_at")
    };
    let unsettled = format!(
        "NOT INDEXED WHERE {NEWEST} AND namespace_id = :space AND executed_at IS NOT NULL AND expires_at > :now"
    );
    [of("completed"), of("failed"), part(&unsettled, "expires_at")].join(" UNION ALL ")
}
