//! Rows of the table of records, and the records they are.

use std::sync::Arc;

use rusqlite::types::{FromSqlError, ToSqlOutput, Value, ValueRef};
use rusqlite::{OptionalExtension, Row};

use super::session::Session;
use crate::core::clock::Timestamp;
use crate::core::record::{Failure, Fence, Fingerprint, Labels, Payload, Record, Status};
use crate::store::kept::{Kept, State, latch_of_word};
use crate::store::process::Reach;

/// The columns in the order in which [`kept`] reads them.
macro_rules! columns {
    () => {
        "fence, key, state, latch, signal_id, action_type, target, fingerprint, owner, owner_process, attempts, \
         started_at, lease_until, executed_at, expires_at, result, error, error_type, error_args, params, context"
    };
}
pub(super) use columns;

/// Reads a row of [`columns`].
pub(super) fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let state = state(row, 2)?;
    let word = row.get_ref(3)?;
    let latch = latch_of_word(word.as_bytes_or_null()?).ok_or_else(|| unreadable(3, &word))?;
    let at = Timestamp(row.get::<_, Option<i64>>(13)?.unwrap_or_default());
    let status = match state {
        State::InProgress => {
            Status::InProgress { lease_until: Timestamp(row.get::<_, Option<i64>>(12)?.unwrap_or_default()), latch }
        }
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
    Ok(Kept::new(record, row.get(9)?, Reach::OneMachine))
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let value = row.get_ref(column)?;
    value.as_bytes().ok().and_then(State::of_word).ok_or_else(|| unreadable(column, &value))
}

/// A value that no version of this code writes.
fn unreadable(column: usize, value: &ValueRef<'_>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), Box::new(FromSqlError::InvalidType))
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
        self.connection.prepare_cached(FIND)?.query_row((key, self.namespace), kept).optional()
    }

    /// The row of a key whose record is live.
    pub(super) fn find_live(&self, key: &str, now: Timestamp) -> rusqlite::Result<Option<Kept>> {
        Ok(self.find(key)?.filter(|kept| !kept.has_expired(now)))
    }
}
