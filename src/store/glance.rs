//! A look for people who watch a store, at a cost that a limit bounds and the number of records does not.

use super::{Cursor, Tally};
use crate::core::clock::Timestamp;
use crate::core::record::{Record, Status};

/// Records that are about to end in one look.
pub const ENDING: usize = 50;

/// What a look found. Its records have no result, no params and no context.
#[derive(Debug)]
pub struct Glance {
    /// What was counted; what is held is not, and zero here.
    pub counters: Tally,
    /// Some live records, those first that finished or began last.
    pub recent: Vec<Record>,
    /// Whether `recent` are the newest of all. Where the engine has no order of them, they are a part of a walk.
    pub is_newest: bool,
    /// Where that walk goes on; `None` at its end, and where there is none.
    pub next: Option<Cursor>,
    /// Finished records that end next, the first of them first: of all, or where `is_newest` is not so, of `recent`.
    pub ending: Vec<Record>,
}

/// When a record finished, or began.
pub fn last_change(record: &Record) -> Timestamp {
    match record.status {
        Status::Completed { at, .. } | Status::Failed { at, .. } => at,
        Status::InProgress { .. } | Status::InDoubt { .. } => record.started_at,
    }
}

/// Puts the newest first, and keeps so many.
pub fn newest(records: &mut Vec<Record>, limit: usize) {
    records.sort_by_cached_key(|record| std::cmp::Reverse((last_change(record), record.fence)));
    records.truncate(limit);
}

/// Puts those first that end first, and keeps [`ENDING`].
pub fn ending(records: &mut Vec<Record>) {
    records.retain(Record::is_finished);
    records.sort_by_key(|record| record.expires_at);
    records.truncate(ENDING);
}
