//! The claim: the one step that grants the right to execute.

use std::sync::Arc;

use rusqlite::{OptionalExtension, named_params};

use super::Inner;
use super::copies::{Found, LocalCopy};
use super::job::Fault;
use super::row::{self, json};
use super::session::Session;
use super::turn::{Effect, Turn};
use crate::core::clock::Timestamp;
use crate::core::error::StoreError;
use crate::core::machine::{Decision, decide};
use crate::core::record::{Fence, Record, Status};
use crate::store::asked::Asked;
use crate::store::kept::{Kept, State};
use crate::store::{Begun, Claimed, Hit};

/// The next fence, greater than all there are and all there were.
macro_rules! next_fence {
    () => {
        "(SELECT 1 + max(value, (SELECT coalesce(max(fence), 0) FROM idempotency_records)) FROM idempotency_meta \
         WHERE name = 'fence')"
    };
}
pub(super) use next_fence;

/// A first look at a key.
enum Seen {
    Absent,
    Completed(Arc<LocalCopy>),
    Other,
}

impl Session {
    fn peek(&self, key: &str) -> rusqlite::Result<Seen> {
        const PEEK: &str = "SELECT state, fence, fingerprint, expires_at, attempts, executed_at, result \
                            FROM idempotency_records \
                            WHERE key = ?1 AND namespace_id = ?2";
        let peeked = self.connection.prepare_cached(PEEK)?.query_row((key, self.namespace), |row| {
            if row::state(row, 0)? != State::Completed {
                return Ok(Seen::Other);
            }
            let found = Found {
                key: key.into(),
                fence: row::fence(row, 1)?,
                fingerprint: row::fingerprint(row, 2)?,
                result: row::payload(row, 6)?,
                executed_at: Timestamp(row.get(5)?),
                expires_at: Timestamp(row.get(3)?),
            };
            Ok(Seen::Completed(Arc::new(LocalCopy::new(found, row.get(4)?))))
        });
        Ok(peeked.optional()?.unwrap_or(Seen::Absent))
    }

    /// Writes a claim of a key that is not there; `None` where it is.
    fn insert(&self, asked: &Asked, now: Timestamp) -> rusqlite::Result<Option<Fence>> {
        const INSERT: &str = concat!(
            "INSERT INTO idempotency_records (fence, namespace_id, key, state, latch, signal_id, action_type, target, \
             fingerprint, owner, owner_process, attempts, started_at, lease_until, expires_at, params, context, settled) VALUES (",
            next_fence!(),
            ", ?1, ?2, 'in_progress', ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, ?11, ?12, ?13, ?14, 0) \
             ON CONFLICT (key, namespace_id) DO NOTHING RETURNING fence"
        );
        let mut statement = self.connection.prepare_cached(INSERT)?;
        let written = statement.query_row(
            (
                self.namespace,
                &*asked.key,
                asked.latch_word(Decision::Run),
                &*asked.signal_id,
                &*asked.action_type,
                &*asked.target,
                asked.fingerprint.0.as_slice(),
                &*asked.owner,
                &*asked.owner_process,
                now.0,
                now.after(asked.lease).0,
                now.after(asked.ttl).0,
                asked.params.as_deref().map(json),
                asked.context.as_deref().map(json),
            ),
            |row| row::fence(row, 0),
        );
        written.optional()
    }

    /// Writes a claim over a record that is there.
    fn claim_over(
        &self,
        kept: &Kept,
        asked: &Asked,
        decision: Decision,
        start: Timestamp,
        attempts: u32,
        now: Timestamp,
    ) -> rusqlite::Result<Fence> {
        const OVER: &str = concat!(
            "UPDATE idempotency_records SET fence = ",
            next_fence!(),
            ", state = 'in_progress', latch = :latch, signal_id = :signal, action_type = :action, target = :target, \
             fingerprint = :fingerprint, owner = :owner, owner_process = :process, attempts = :attempts, \
             started_at = :start, lease_until = :lease, executed_at = NULL, expires_at = :expires, result = NULL, \
             error = NULL, error_type = NULL, error_args = NULL, params = :params, context = :context, \
             settled = 0 WHERE fence = :fence RETURNING fence"
        );
        self.connection.prepare_cached(OVER)?.query_row(
            named_params! {
                ":latch": asked.latch_word(decision),
                ":signal": &*asked.signal_id,
                ":action": &*asked.action_type,
                ":target": &*asked.target,
                ":fingerprint": asked.fingerprint.0.as_slice(),
                ":owner": &*asked.owner,
                ":process": &*asked.owner_process,
                ":attempts": attempts,
                ":start": start.0,
                ":lease": now.after(asked.lease).0,
                ":expires": now.after(asked.ttl).0,
                ":params": asked.params.as_deref().map(json),
                ":context": asked.context.as_deref().map(json),
                ":fence": kept.record.fence.0.cast_signed(),
            },
            |row| row::fence(row, 0),
        )
    }

    /// Counts a call that was answered from a record which is no copy.
    pub(super) fn count_attempt(&self, fence: Fence, before: u32) -> rusqlite::Result<u32> {
        const COUNT: &str = "UPDATE idempotency_records SET attempts = attempts + 1 WHERE fence = ?1";
        self.connection.prepare_cached(COUNT)?.execute([fence.0.cast_signed()])?;
        Ok(before.saturating_add(1))
    }
}

impl Inner {
    /// The copy of a completed record, made now if there is none yet; `None` where the file can't be read.
    fn peek(&self, key: &str, at: Option<&Session>) -> Option<Seen> {
        if let Some(copy) = self.copies.get(key) {
            return Some(Seen::Completed(copy));
        }
        let reading = self.copies.begin_reading();
        let seen = self.reading(at, |session| session.peek(key))?;
        if let (Seen::Completed(copy), Some(reading)) = (&seen, reading) {
            self.copies.keep(reading, copy);
        }
        Some(seen)
    }

    /// Answers a claim without writing, where it is a duplicate of what is completed or has to wait.
    pub(super) fn look_at_claim(
        &self,
        asked: &Asked,
        now: Timestamp,
        at: Option<&Session>,
    ) -> Option<Result<Claimed, StoreError>> {
        match self.peek(&asked.key, at)? {
            Seen::Completed(copy) if copy.answers(&asked.request(), now) => {
                Some(Ok(self.copies.counts.replayed(&copy, asked.shadow)))
            }
            Seen::Absent | Seen::Completed(_) => None,
            Seen::Other if asked.refuses_to_wait => None,
            Seen::Other => {
                // Enlisted first, so that an end between the two misses no waiter.
                let wait = self.waiters.enlist(&asked.key);
                let kept = self.reading(at, |session| session.find(&asked.key))??;
                let decision = decide(Some(kept.stored(now)), asked.asks(), now);
                (decision == Decision::Busy).then(|| Ok(Claimed::Busy(Box::pin(wait))))
            }
        }
    }
}

impl Inner {
    /// Looks a result up without writing; `None` where that can't be.
    pub(super) fn look_up(
        &self,
        key: &str,
        now: Timestamp,
        at: Option<&Session>,
    ) -> Option<Result<Option<Hit>, StoreError>> {
        let copy = match self.peek(key, at)? {
            Seen::Absent => None,
            Seen::Completed(copy) => Some(copy),
            Seen::Other => return None,
        };
        let Some(copy) = copy.filter(|copy| now < copy.expires_at) else {
            self.copies.counts.miss();
            return Some(Ok(None));
        };
        self.copies.counts.hit(&copy);
        let ttl = copy.expires_at.since(now);
        Some(Ok(Some(Hit { outcome: Ok(copy.result.clone()), executed_at: copy.executed_at, ttl })))
    }
}

impl Turn<'_> {
    /// Answers a claim.
    pub(super) fn claim(&mut self, asked: &Asked) -> Result<Claimed, Fault> {
        if self.limits.max_records.is_none()
            && let Some(fence) = self.session.insert(asked, self.now)?
        {
            return Ok(self.begun(fence, 0));
        }
        let Some(kept) = self.session.find(&asked.key)? else {
            let evicted = self.make_room()?;
            let Some(fence) = self.session.insert(asked, self.now)? else { return self.claim(asked) };
            return Ok(self.begun(fence, evicted));
        };
        let decision = decide(Some(kept.stored(self.now)), asked.asks(), self.now);
        match decision {
            Decision::Replay | Decision::ReplayFailure => {
                let replay = self.replay(kept)?;
                if asked.shadow {
                    self.after_commit(Effect::NotPrevented);
                }
                Ok(replay)
            }
            Decision::Busy => Ok(self.busy(&kept, asked)?),
            Decision::InDoubt | Decision::Mismatch => {
                let attempts = self.session.count_attempt(kept.record.fence, kept.record.attempts)?;
                self.after_commit(Effect::Forget(asked.key.as_ref().into()));
                let mut record = kept.seen(self.now);
                record.attempts = attempts;
                Ok(match decision {
                    Decision::InDoubt => Claimed::InDoubt(Box::new(record)),
                    _ => Claimed::Mismatch(Box::new(record)),
                })
            }
            Decision::TakeOver => {
                let start = kept.record.started_at;
                let begun = self.begin_again(&kept, asked, decision, start)?;
                Ok(Claimed::TakeOver(begun, Box::new(kept.seen(self.now))))
            }
            _ => Ok(Claimed::Run(self.begin_again(&kept, asked, decision, self.now)?)),
        }
    }

    fn begun(&mut self, fence: Fence, evicted: usize) -> Claimed {
        self.after_commit(Effect::Miss);
        self.session.leave_unsettled();
        let records = &self.session.records;
        records.set(records.get().map(|count| count + 1));
        Claimed::Run(Begun { fence, attempts: 1, evicted })
    }

    fn replay(&mut self, kept: Kept) -> rusqlite::Result<Claimed> {
        let Record { key, fence, fingerprint, status, expires_at, attempts, .. } = kept.record;
        match status {
            Status::Completed { at: executed_at, result } => {
                let found = Found { key, fence, fingerprint, result: result.clone(), executed_at, expires_at };
                self.after_commit(Effect::Replayed(Arc::new(LocalCopy::new(found, attempts))));
                Ok(Claimed::Replay { result, attempts: attempts.saturating_add(1) })
            }
            Status::Failed { failure, .. } => {
                let attempts = self.session.count_attempt(fence, attempts)?;
                self.after_commit(Effect::Hit);
                Ok(Claimed::ReplayFailure { failure, attempts })
            }
            Status::InProgress { .. } | Status::InDoubt { .. } => unreachable!("only what is finished is replayed"),
        }
    }

    fn busy(&mut self, kept: &Kept, asked: &Asked) -> rusqlite::Result<Claimed> {
        if asked.refuses_to_wait {
            self.session.count_attempt(kept.record.fence, kept.record.attempts)?;
            self.after_commit(Effect::Refused { shadow: asked.shadow });
        }
        Ok(Claimed::Busy(Box::pin(self.waiters.enlist(&asked.key))))
    }

    /// A new claim over an unfinished record, or over one that has expired and is as good as gone.
    fn begin_again(
        &mut self,
        kept: &Kept,
        asked: &Asked,
        decision: Decision,
        start: Timestamp,
    ) -> rusqlite::Result<Begun> {
        let expired = kept.has_expired(self.now);
        let attempts = kept.attempts_after(self.now);
        self.session.leave_unsettled();
        let fence = self.session.claim_over(kept, asked, decision, start, attempts, self.now)?;
        self.after_commit(Effect::Miss);
        if expired {
            self.after_commit(Effect::Cleaned(1));
            self.after_commit(Effect::Forget(asked.key.as_ref().into()));
        }
        Ok(Begun { fence, attempts, evicted: 0 })
    }
}
