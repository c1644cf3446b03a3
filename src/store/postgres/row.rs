//! Rows of the table of records, and the records they are.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::text;
use crate::core::clock::Timestamp;
use crate::core::error::StoreError;
use crate::core::record::{Failure, Fence, Fingerprint, Labels, Payload, Record, Status};
use crate::store::kept::{Kept, State, latch_of_word};
use crate::store::process::Reach;
use crate::store::remote::engine::Fault;

/// The columns in the order in which [`kept`] reads them.
macro_rules! columns {
    () => {
        "fence, key, state, latch, signal_id, action_type, target, fingerprint, owner, owner_process, attempts, \
         started_at, lease_until, executed_at, expires_at, result, result_bytes, error, error_type, error_args, params, \
         context"
    };
}
pub(super) use columns;

/// The same without what may be large.
macro_rules! slim {
    () => {
        "fence, key, state, latch, signal_id, action_type, target, fingerprint, owner, owner_process, attempts, \
         started_at, lease_until, executed_at, expires_at, NULL::text, NULL::bytea, error, error_type, NULL::text, \
         NULL::text, NULL::text"
    };
}
pub(super) use slim;

/// A value that no version of this code writes.
pub(super) fn unreadable(what: &str) -> Fault {
    let remedy = "run this version's `idempotency schema --print --engine postgresql` against the database, or let it be made anew";
    Fault::Answer(StoreError::Failed(format!("the tables in PostgreSQL are not this version's ({what}): {remedy}")))
}

/// The value of a column.
pub(super) fn value<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Fault> {
    row.try_get(column).map_err(|error| unreadable(&error.to_string()))
}

/// A text, NULs and all.
pub(super) fn text(row: &Row, column: usize) -> Result<Option<Box<str>>, Fault> {
    Ok(value::<Option<&str>>(row, column)?.map(|stored| text::read(stored).into()))
}

pub(super) fn time(row: &Row, column: usize) -> Result<Timestamp, Fault> {
    Ok(Timestamp(value::<Option<i64>>(row, column)?.unwrap_or_default()))
}

pub(super) fn fence(row: &Row, column: usize) -> Result<Fence, Fault> {
    Ok(Fence(value::<Option<i64>>(row, column)?.unwrap_or_default().cast_unsigned()))
}

pub(super) fn number(row: &Row, column: usize) -> Result<u64, Fault> {
    Ok(u64::try_from(value::<Option<i64>>(row, column)?.unwrap_or_default()).unwrap_or_default())
}

pub(super) fn attempts(row: &Row, column: usize) -> Result<u32, Fault> {
    Ok(u32::try_from(value::<Option<i32>>(row, column)?.unwrap_or_default()).unwrap_or_default())
}

pub(super) fn state(row: &Row, column: usize) -> Result<State, Fault> {
    let word: Option<&str> = value(row, column)?;
    word.and_then(|word| State::of_word(word.as_bytes())).ok_or_else(|| unreadable("a state without a name"))
}

pub(super) fn fingerprint(row: &Row, column: usize) -> Result<Option<Fingerprint>, Fault> {
    let Some(bytes) = value::<Option<&[u8]>>(row, column)? else { return Ok(None) };
    bytes.try_into().map(|digest| Some(Fingerprint(digest))).map_err(|_| unreadable("a fingerprint of another length"))
}

/// The result of a completed record, in this column or the next.
pub(super) fn payload(row: &Row, column: usize) -> Result<Payload, Fault> {
    if let Some(json) = json(row, column)? {
        return Ok(Payload::Json(json));
    }
    let bytes: Option<&[u8]> = value(row, column + 1)?;
    Ok(bytes.map_or(Payload::Unavailable, |bytes| Payload::Custom(bytes.into())))
}

fn json(row: &Row, column: usize) -> Result<Option<Arc<[u8]>>, Fault> {
    Ok(value::<Option<&str>>(row, column)?.map(|stored| text::read(stored).as_bytes().into()))
}

/// Reads [`columns`], the first of which is this one.
pub(super) fn kept(row: &Row, first: usize) -> Result<Kept, Fault> {
    let at = |offset| first + offset;
    let word: Option<&str> = value(row, at(3))?;
    let latch = latch_of_word(word.map(str::as_bytes)).ok_or_else(|| unreadable("a latch without a name"))?;
    let executed_at = time(row, at(13))?;
    let status = match state(row, at(2))? {
        State::InProgress => Status::InProgress { lease_until: time(row, at(12))?, latch },
        State::InDoubt => Status::InDoubt { error: text(row, at(17))? },
        State::Completed => Status::Completed { at: executed_at, result: payload(row, at(15))? },
        State::Failed => {
            let failure = Failure {
                class: text(row, at(18))?.unwrap_or_default(),
                text: text(row, at(17))?.unwrap_or_default(),
                args: json(row, at(19))?,
            };
            Status::Failed { at: executed_at, failure }
        }
    };
    let record = Record {
        key: text(row, at(1))?.unwrap_or_default(),
        labels: Labels { signal_id: text(row, at(4))?, action_type: text(row, at(5))?, target: text(row, at(6))? },
        fingerprint: fingerprint(row, at(7))?,
        fence: fence(row, at(0))?,
        status,
        started_at: time(row, at(11))?,
        expires_at: time(row, at(14))?,
        attempts: attempts(row, at(10))?,
        owner: text(row, at(8))?,
        params: json(row, at(20))?,
        context: json(row, at(21))?,
    };
    Ok(Kept::new(record, text(row, at(9))?, Reach::ManyMachines))
}
