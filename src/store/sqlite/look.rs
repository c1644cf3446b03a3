//! Looking at many records: by index, in parts, in sum.

use rusqlite::{ToSql, Transaction, params};

use super::row::{self, columns};
use super::session::Session;
use crate::core::clock::Timestamp;
use crate::store::kept::Kept;
use crate::store::{Cursor, Page, Selector, Tally};

/// Of records that are unfinished or not yet expired.
const LIVE: &str = "(executed_at IS NULL OR expires_at > :now)";
/// Of the newest records, which the indexes do not have yet: see `settle`.
pub(super) const NEWEST: &str = "fence > (SELECT value FROM idempotency_meta WHERE name = 'settled') AND settled = 0";

/// A query of an index and, beside it, of what it does not have yet: a reader waits for nobody to put it there. The planner
/// is not left to guess, as it has no statistics to guess by.
fn everywhere(columns: &str, index: &str, condition: &str) -> String {
    format!(
        "SELECT {columns} FROM idempotency_records INDEXED BY {index} WHERE settled = 1 AND {condition} \
         UNION ALL SELECT {columns} FROM idempotency_records NOT INDEXED WHERE {NEWEST} AND {condition}"
    )
}

pub(super) const BY_STATE: &str = "idempotency_by_state";
const BY_NAME: &str = "idempotency_by_name";
const BY_SIGNAL: &str = "idempotency_by_signal";

impl Session {
    /// The keys of the records that fit.
    pub(super) fn select(&self, selector: &Wanted, now: Timestamp) -> rusqlite::Result<Vec<Box<str>>> {
        let one = |text: &str, sql: &str| {
            let values: &[(&str, &dyn ToSql)] = &[(":space", &self.namespace), (":now", &now.0), (":text", &text)];
            self.keys(sql, values)
        };
        match selector {
            Wanted::ActionType(text) => one(text, &by_action()),
            Wanted::Target(text) => one(text, &by_target()),
            Wanted::SignalId(text) => self.by_signal(text, now),
            Wanted::InDoubt => {
                let unfinished = self.unfinished()?.into_iter();
                Ok(unfinished.filter(|kept| kept.is_in_doubt(now)).map(|kept| kept.record.key).collect())
            }
            Wanted::ExpiringUntil(until) => self.keys(
                &format!("SELECT key FROM ({}) ORDER BY expires_at", ending("expires_at <= :until")),
                &[(":space", &self.namespace), (":now", &now.0), (":until", &until.0)],
            ),
        }
    }

    fn keys(&self, sql: &str, values: &[(&str, &dyn ToSql)]) -> rusqlite::Result<Vec<Box<str>>> {
        self.connection.prepare_cached(sql)?.query_map(values, |row| row.get(0))?.collect()
    }

    /// Most records are found by their key, which begins with the signal; the few others have an index of their own.
    /// A signal with a NUL is in both, as SQL's `length` ends there.
    fn by_signal(&self, signal: &str, now: Timestamp) -> rusqlite::Result<Vec<Box<str>>> {
        // ';' comes right after ':'.
        let (from, to) = (format!("{signal}:"), format!("{signal};"));
        let given = "substr(key, 1, length(signal_id) + 1) <> signal_id || ':'";
        let given = format!("namespace_id = :space AND signal_id = :signal AND {given} AND {LIVE}");
        let given = everywhere("key", BY_SIGNAL, &given);
        self.keys(
            &format!(
                "SELECT key FROM idempotency_records INDEXED BY sqlite_autoindex_idempotency_records_1 \
                 WHERE key >= :from AND key < :to AND namespace_id = :space \
                 AND signal_id = :signal AND {LIVE} UNION SELECT key FROM ({given})"
            ),
            &[(":space", &self.namespace), (":now", &now.0), (":from", &from), (":to", &to), (":signal", &signal)],
        )
    }

    /// All rows in progress or in doubt.
    fn unfinished(&self) -> rusqlite::Result<Vec<Kept>> {
        let unfinished = everywhere(columns!(), BY_STATE, "namespace_id = ?1 AND state IN ('in_doubt', 'in_progress')");
        self.connection.prepare_cached(&unfinished)?.query_map([self.namespace], row::kept)?.collect()
    }

    /// A part of all live records, in the order of their keys.
    pub(super) fn scan(&self, from: Option<&Cursor>, limit: usize, now: Timestamp) -> rusqlite::Result<Page> {
        const SCAN: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM idempotency_records WHERE key > ?1 AND namespace_id = ?2 AND (executed_at IS NULL OR expires_at > ?3) \
             ORDER BY key LIMIT ?4"
        );
        let limit = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
        let after = from.map_or("", |cursor| &cursor.0);
        let mut statement = self.connection.prepare_cached(SCAN)?;
        let rows = statement.query_map((after, self.namespace, now.0, limit), row::kept)?;
        let records = rows.map(|row| row.map(|kept| kept.seen(now))).collect::<rusqlite::Result<Vec<_>>>()?;
        let whole = i64::try_from(records.len()).is_ok_and(|count| count == limit);
        let next = records.last().filter(|_| whole).map(|record| Cursor(record.key.clone()));
        Ok(Page { records, next })
    }

    /// What was counted and what is held.
    pub(super) fn tally(&self, now: Timestamp) -> rusqlite::Result<Tally> {
        let _view = self.one_view()?;
        let mut tally = self.counters()?;
        tally.finished = self.count_finished(now)?;
        let mut seen = |time: Timestamp| {
            tally.oldest = Some(tally.oldest.map_or(time, |oldest| oldest.min(time)));
            tally.newest = tally.newest.max(Some(time));
        };
        for end in self.ends(now)? {
            seen(end);
        }
        for kept in self.unfinished()? {
            seen(kept.record.started_at);
            if kept.is_in_doubt(now) {
                tally.in_doubt += 1;
            } else {
                tally.in_progress += 1;
            }
        }
        Ok(tally)
    }

    /// Has the queries that follow see the same records; in a transaction they do.
    pub(super) fn one_view(&self) -> rusqlite::Result<Option<Transaction<'_>>> {
        self.connection.is_autocommit().then(|| self.connection.unchecked_transaction()).transpose()
    }

    fn count_finished(&self, now: Timestamp) -> rusqlite::Result<u64> {
        let live = "namespace_id = :space AND state IN ('completed', 'failed') AND expires_at > :now";
        let sum = format!("SELECT sum(records) FROM ({})", everywhere("count(*) AS records", BY_STATE, live));
        let values: &[(&str, &dyn ToSql)] = &[(":space", &self.namespace), (":now", &now.0)];
        self.connection.prepare_cached(&sum)?.query_row(values, |row| row.get(0))
    }

    /// When records finished that are still live, the first and the last among them.
    fn ends(&self, now: Timestamp) -> rusqlite::Result<Vec<Timestamp>> {
        let live = "namespace_id = :space AND executed_at IS NOT NULL AND expires_at > :now";
        let newest = format!("FROM idempotency_records NOT INDEXED WHERE {NEWEST} AND {live}");
        let end = |order: &str| {
            format!(
                "SELECT * FROM (SELECT executed_at FROM idempotency_records WHERE settled = 1 AND {live} \
                     ORDER BY executed_at {order} LIMIT 1)"
            )
        };
        let all = format!(
            "{} UNION ALL {} UNION ALL SELECT min(executed_at) {newest} UNION ALL SELECT max(executed_at) {newest}",
            end("ASC"),
            end("DESC")
        );
        let values: &[(&str, &dyn ToSql)] = &[(":space", &self.namespace), (":now", &now.0)];
        let mut statement = self.connection.prepare_cached(&all)?;
        let ends = statement.query_map(values, |row| row.get::<_, Option<i64>>(0))?;
        ends.filter_map(|end| end.map(|end| end.map(Timestamp)).transpose()).collect()
    }

    pub(super) fn counters(&self) -> rusqlite::Result<Tally> {
        const COUNTERS: &str = "SELECT name, value FROM idempotency_counters WHERE namespace_id = ?1";
        let mut tally = Tally::default();
        let mut statement = self.connection.prepare_cached(COUNTERS)?;
        let mut rows = statement.query(params![self.namespace])?;
        while let Some(row) = rows.next()? {
            tally.note(row.get_ref(0)?.as_str()?, row.get(1)?);
        }
        Ok(tally)
    }
}

/// A [`Selector`] that waits for its turn.
pub(super) enum Wanted {
    ActionType(Box<str>),
    Target(Box<str>),
    SignalId(Box<str>),
    InDoubt,
    ExpiringUntil(Timestamp),
}

impl Wanted {
    pub(super) fn new(selector: Selector<'_>, now: Timestamp) -> Self {
        match selector {
            Selector::ActionType(text) => Self::ActionType(text.into()),
            Selector::Target(text) => Self::Target(text.into()),
            Selector::SignalId(text) => Self::SignalId(text.into()),
            Selector::InDoubt => Self::InDoubt,
            Selector::ExpiringWithin(span) => Self::ExpiringUntil(now.after(span)),
        }
    }
}

fn by_action() -> String {
    everywhere("key", BY_NAME, &format!("namespace_id = :space AND action_type = :text AND {LIVE}"))
}

/// Finished records, with the time when they end.
fn ending(condition: &str) -> String {
    let finished = "namespace_id = :space AND state IN ('completed', 'failed')";
    everywhere("key, expires_at", BY_STATE, &format!("{finished} AND expires_at > :now AND {condition}"))
}

/// Targets come second in their index: each action type is visited once.
fn by_target() -> String {
    let settled = "FROM idempotency_records WHERE namespace_id = :space AND settled = 1";
    format!(
        "WITH RECURSIVE actions (name) AS (\
         SELECT min(action_type) {settled} \
         UNION ALL SELECT (SELECT min(action_type) {settled} AND action_type > actions.name) \
         FROM actions WHERE actions.name IS NOT NULL) \
         SELECT key FROM actions JOIN idempotency_records ON namespace_id = :space AND settled = 1 \
         AND action_type = actions.name AND target = :text WHERE {LIVE} \
         UNION ALL SELECT key {settled} AND action_type IS NULL AND target = :text AND {LIVE} \
         UNION ALL SELECT key FROM idempotency_records NOT INDEXED WHERE {NEWEST} \
         AND namespace_id = :space AND target = :text AND {LIVE}"
    )
}
