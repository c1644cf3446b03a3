//! Writing records as they are: from another store, or from a file.

use rusqlite::named_params;

use super::claim::next_fence;
use super::job::Fault;
use super::row::{self, json};
use super::session::Session;
use super::turn::{Effect, Turn};
use crate::core::error::{NO_ROOM_TO_RESTORE, StoreError};
use crate::core::imprint::Imprint;
use crate::core::record::{Record, Status};
use crate::store::Restored;
use crate::store::kept::latch_word;

/// What the table has for a state.
#[derive(Default)]
struct Columns<'a> {
    state: &'static str,
    latch: Option<&'static str>,
    lease_until: Option<i64>,
    executed_at: Option<i64>,
    error: Option<&'a str>,
    error_type: Option<&'a str>,
    error_args: Option<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(status: &'a Status) -> Self {
        match status {
            Status::InProgress { lease_until, latch } => Self {
                state: "in_progress",
                latch: latch_word(*latch),
                lease_until: Some(lease_until.0),
                ..Self::default()
            },
            Status::Completed { at, .. } => Self { state: "completed", executed_at: Some(at.0), ..Self::default() },
            Status::Failed { at, failure } => Self {
                state: "failed",
                executed_at: Some(at.0),
                error: Some(&failure.text),
                error_type: Some(&failure.class),
                error_args: failure.args.as_deref(),
                ..Self::default()
            },
            Status::InDoubt { error } => Self { state: "in_doubt", error: error.as_deref(), ..Self::default() },
        }
    }
}

impl Session {
    fn put(&self, record: &Record) -> rusqlite::Result<usize> {
        const PUT: &str = concat!(
            "INSERT INTO idempotency_records (fence, namespace_id, key, state, latch, signal_id, action_type, target, \
             fingerprint, owner, attempts, started_at, lease_until, executed_at, expires_at, result, error, error_type, \
             error_args, params, context, settled) VALUES (",
            next_fence!(),
            ", :namespace, :key, :state, :latch, :signal, :action, :target, :fingerprint, :owner, :attempts, :start, \
             :lease, :executed, :expires, :result, :error, :error_type, :error_args, :params, :context, 0)"
        );
        let Columns { state, latch, lease_until, executed_at, error, error_type, error_args } =
            Columns::of(&record.status);
        let result = match &record.status {
            Status::Completed { result, .. } => Some(row::result(result)),
            _ => None,
        };
        self.connection.prepare_cached(PUT)?.execute(named_params! {
            ":namespace": self.namespace,
            ":key": &*record.key,
            ":state": state,
            ":latch": latch,
            ":signal": record.labels.signal_id.as_deref(),
            ":action": record.labels.action_type.as_deref(),
            ":target": record.labels.target.as_deref(),
            ":fingerprint": record.fingerprint.as_ref().map(|digest| digest.0.as_slice()),
            ":owner": record.owner.as_deref(),
            ":attempts": record.attempts,
            ":start": record.started_at.0,
            ":lease": lease_until,
            ":executed": executed_at,
            ":expires": record.expires_at.0,
            ":result": result,
            ":error": error,
            ":error_type": error_type,
            ":error_args": error_args.map(json),
            ":params": record.params.as_deref().map(json),
            ":context": record.context.as_deref().map(json),
        })
    }
}

impl Turn<'_> {
    /// Writes a record, unless a live one of its key is there.
    pub(super) fn restore(&mut self, record: &Record) -> Result<Restored, Fault> {
        if record.has_ended(self.now) {
            return Ok(Restored::Expired);
        }
        match self.session.find(&record.key)? {
            Some(kept) if !kept.has_expired(self.now) => {
                let same = Imprint::of(&kept.seen(self.now)) == Imprint::of(record);
                return Ok(if same { Restored::Same } else { Restored::Occupied });
            }
            Some(expired) => {
                self.session.delete(expired.record.fence)?;
                self.after_commit(Effect::Cleaned(1));
            }
            None => self.make_room_for_restored()?,
        }
        self.session.put(record)?;
        self.session.leave_unsettled();
        let records = &self.session.records;
        records.set(records.get().map(|count| count + 1));
        self.after_commit(Effect::Forget(record.key.clone()));
        Ok(Restored::Written)
    }

    /// Makes room: only what has expired goes.
    fn make_room_for_restored(&mut self) -> Result<(), Fault> {
        let Some(max) = self.limits.max_records else { return Ok(()) };
        if self.session.count()? < max as u64 {
            return Ok(());
        }
        self.remove_all_expired()?;
        let size = usize::try_from(self.session.count()?).unwrap_or(usize::MAX);
        if size < max {
            return Ok(());
        }
        Err(Fault::Answer(StoreError::Full { size, max, reason: NO_ROOM_TO_RESTORE }))
    }
}
