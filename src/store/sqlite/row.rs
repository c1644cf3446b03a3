//! Rows of the table of records, and the records they are.

use std::sync::Arc;

use rusqlite::types::{FromSqlError, ToSqlOutput, Value, ValueRef};
use rusqlite::{OptionalExtension, Row};

use super::session::Session;
use crate::core::clock::Timestamp;
use crate::core::machine::{Phase, Stored};
use crate::core::record::{Failure, Fence, Fingerprint, Labels, Latch, Payload, Record, Status};
use crate::store::process;

/// The columns in the order in which [`Kept::of`] reads them.
macro_rules! columns {
    () => {
        "fence, key, state, latch, signal_id, action_type, target, fingerprint, owner, owner_process, attempts, \
         started_at, lease_until, executed_at, expires_at, result, error, error_type, error_args, params, context"
    };
}
pub(super) use columns;

/// The table's word for each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Claimed.
    InProgress,
    /// Done.
    Completed,
    /// Finished with an exception that is an answer.
    Failed,
    /// Started, never finished.
    InDoubt,
}

impl State {
    pub(super) fn read(row: &Row<'_>, column: usize) -> rusqlite::Result<Self> {
        let value = row.get_ref(column)?;
        value.as_bytes().ok().and_then(Self::of_word).ok_or_else(|| unreadable(column, &value))
    }

    /// The state that the table calls so.
    pub const fn of_word(word: &[u8]) -> Option<Self> {
        match word {
            b"completed" => Some(Self::Completed),
            b"in_progress" => Some(Self::InProgress),
            b"failed" => Some(Self::Failed),
            b"in_doubt" => Some(Self::InDoubt),
            _ => None,
        }
    }
}

pub(super) const fn latch_word(latch: Latch) -> Option<&'static str> {
    match latch {
        Latch::Absent => None,
        Latch::Armed => Some("armed"),
        Latch::Dispatched => Some("dispatched"),
    }
}

/// The latch that the table calls so.
pub const fn latch_of_word(word: Option<&[u8]>) -> Option<Latch> {
    match word {
        None => Some(Latch::Absent),
        Some(b"armed") => Some(Latch::Armed),
        Some(b"dispatched") => Some(Latch::Dispatched),
        Some(_) => None,
    }
}

/// A value that no version of this code writes.
fn unreadable(column: usize, value: &ValueRef<'_>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), Box::new(FromSqlError::InvalidType))
}

/// A row as it is stored, expired, lapsed or not.
pub struct Kept {
    pub(super) record: Record,
    pub(super) state: State,
    pub(super) latch: Latch,
    pub(super) lease_until: Timestamp,
    pub(super) owner_process: Option<Box<str>>,
}

impl Kept {
    /// Reads a row of [`columns`].
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state = State::read(row, 2)?;
        let word = row.get_ref(3)?;
        let latch = latch_of_word(word.as_bytes_or_null()?).ok_or_else(|| unreadable(3, &word))?;
        let lease_until = Timestamp(row.get::<_, Option<i64>>(12)?.unwrap_or_default());
        let at = Timestamp(row.get::<_, Option<i64>>(13)?.unwrap_or_default());
        let status = match state {
            State::InProgress => Status::InProgress { lease_until, latch },
            State::InDoubt => Status::InDoubt { error: row.get(16)? },
            State::Completed => Status::Completed { at, result: payload(row, 15)? },
            State::Failed => Status::Failed { at, failure: failure(row)? },
        };
        let record = Record {
            key: row.get(1)?,
            labels: Labels { signal_id: row.get(4)?, action_type: row.get(5)?, target: row.get(6)? },
            fingerprint: fingerprint(row, 7)?,
            fence: fence(row, 0)?,
            status,
            started_at: Timestamp(row.get(11)?),
            expires_at: Timestamp(row.get(14)?),
            attempts: row.get(10)?,
            owner: row.get(8)?,
            params: text(row, 19)?,
            context: text(row, 20)?,
        };
        Ok(Self { record, state, latch, lease_until, owner_process: row.get(9)? })
    }

    /// A row that was read through another connection than a store's. Of a record in doubt or finished, latch and lease are
    /// asked no more.
    pub fn new(record: Record, owner_process: Option<Box<str>>) -> Self {
        let (state, latch, lease_until) = match record.status {
            Status::InProgress { lease_until, latch } => (State::InProgress, latch, lease_until),
            Status::InDoubt { .. } => (State::InDoubt, Latch::Absent, Timestamp(0)),
            Status::Completed { .. } => (State::Completed, Latch::Absent, Timestamp(0)),
            Status::Failed { .. } => (State::Failed, Latch::Absent, Timestamp(0)),
        };
        Self { record, state, latch, lease_until, owner_process }
    }

    /// What the table of transitions looks at. A live lease is believed only while its owner may be alive.
    pub fn stored(&self, now: Timestamp) -> Stored<'_> {
        let phase = match self.state {
            State::Completed => Phase::Completed,
            State::Failed => Phase::Failed,
            State::InDoubt => Phase::InDoubt,
            State::InProgress => Phase::InProgress {
                lease_until: self.lease_until,
                owner_dead: now < self.lease_until && self.is_orphaned(),
                latch: self.latch,
            },
        };
        Stored {
            phase,
            fence: self.record.fence,
            fingerprint: self.record.fingerprint.as_ref(),
            expires_at: self.record.expires_at,
        }
    }

    fn is_orphaned(&self) -> bool {
        self.record
            .owner
            .as_deref()
            .is_some_and(|owner| process::is_known_dead_on_this_machine(owner, self.owner_process.as_deref()))
    }

    /// The attempts with one more call, whether it executes or is answered.
    pub fn attempts_after(&self, now: Timestamp) -> u32 {
        if self.has_expired(now) { 1 } else { self.record.attempts.saturating_add(1) }
    }

    /// Whether it is finished and its time is over: as good as gone.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Completed | State::Failed) && self.record.expires_at <= now
    }

    /// Whether nobody knows if it happened. A lapsed claim whose latch is still armed is not in doubt: nothing has
    /// happened, and the next caller runs it.
    pub(super) fn is_in_doubt(&self, now: Timestamp) -> bool {
        match self.stored(now).phase {
            Phase::InDoubt => true,
            phase @ Phase::InProgress { latch, .. } => latch != Latch::Armed && phase.has_lapsed(now),
            Phase::Completed | Phase::Failed => false,
        }
    }

    /// The record as a reader sees it.
    pub fn seen(mut self, now: Timestamp) -> Record {
        if self.state == State::InProgress && self.is_in_doubt(now) {
            self.record.status = Status::InDoubt { error: None };
        }
        self.record
    }
}

pub(super) fn fence(row: &Row<'_>, column: usize) -> rusqlite::Result<Fence> {
    row.get::<_, i64>(column).map(|fence| Fence(fence.cast_unsigned()))
}

pub(super) fn fingerprint(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Fingerprint>> {
    let value = row.get_ref(column)?;
    let Some(bytes) = value.as_blob_or_null()? else { return Ok(None) };
    bytes.try_into().map(|digest| Some(Fingerprint(digest))).map_err(|_| unreadable(column, &value))
}

/// The result of a completed record: text is JSON, a blob is a codec's.
pub(super) fn payload(row: &Row<'_>, column: usize) -> rusqlite::Result<Payload> {
    match row.get_ref(column)? {
        ValueRef::Text(json) => Ok(Payload::Json(json.into())),
        ValueRef::Blob(bytes) => Ok(Payload::Custom(bytes.into())),
        ValueRef::Null => Ok(Payload::Unavailable),
        other => Err(unreadable(column, &other)),
    }
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Arc<[u8]>>> {
    Ok(row.get_ref(column)?.as_bytes_or_null()?.map(Into::into))
}

fn failure(row: &Row<'_>) -> rusqlite::Result<Failure> {
    Ok(Failure {
        class: row.get::<_, Option<_>>(17)?.unwrap_or_default(),
        text: row.get::<_, Option<_>>(16)?.unwrap_or_default(),
        args: text(row, 18)?,
    })
}

/// Text as SQLite keeps it; bytes that are no text stay bytes.
pub(super) fn json(bytes: &[u8]) -> ToSqlOutput<'_> {
    let value = if std::str::from_utf8(bytes).is_ok() { ValueRef::Text(bytes) } else { ValueRef::Blob(bytes) };
    ToSqlOutput::Borrowed(value)
}

/// A result as the column has it. An object without an encoding can't be kept outside its process.
pub(super) fn result(payload: &Payload) -> ToSqlOutput<'_> {
    match payload {
        Payload::Json(bytes) => json(bytes),
        Payload::Custom(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        Payload::Local(_) | Payload::Unavailable => ToSqlOutput::Owned(Value::Null),
    }
}

impl Session {
    /// The row of a key.
    pub(super) fn find(&self, key: &str) -> rusqlite::Result<Option<Kept>> {
        const FIND: &str =
            concat!("SELECT ", columns!(), " FROM idempotency_records WHERE key = ?1 AND namespace_id = ?2");
        self.connection.prepare_cached(FIND)?.query_row((key, self.namespace), Kept::of).optional()
    }

    /// The row of a key whose record is live.
    pub(super) fn find_live(&self, key: &str, now: Timestamp) -> rusqlite::Result<Option<Kept>> {
        Ok(self.find(key)?.filter(|kept| !kept.has_expired(now)))
    }
}
