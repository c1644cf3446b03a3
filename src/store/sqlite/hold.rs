//! What a claim's holder, or a person, does to a record that is there.

use std::sync::Arc;

use rusqlite::{OptionalExtension, named_params};

use super::claim::next_fence;
use super::copies::{Found, LocalCopy};
use super::job::Fault;
use super::row::{self, json};
use super::session::Session;
use super::turn::{Effect, Turn};
use crate::core::clock::{Span, Timestamp};
use crate::core::error::StoreError;
use crate::core::machine::{Decision, Phase, Request, Stored, decide};
use crate::core::record::{Failure, Fence, Fingerprint, Latch, Payload};
use crate::store::asked::Marking;
use crate::store::kept::{Kept, State};
use crate::store::process::ProcessIdentity;
use crate::store::{Ending, Held, Hit, Hold, Resolution};

/// As much of a claim as its holder's write needs.
struct Standing {
    phase: Phase,
    fingerprint: Option<Fingerprint>,
    attempts: u32,
}

impl Session {
    /// The record under a fence, if it is still the newest.
    fn standing(&self, hold: &Hold) -> rusqlite::Result<Option<Standing>> {
        const STANDING: &str = "SELECT state, fingerprint, attempts FROM idempotency_records \
                                WHERE fence = ?1 AND key = ?2 AND namespace_id = ?3";
        let mut statement = self.connection.prepare_cached(STANDING)?;
        let found = statement.query_row((signed(hold.fence), &*hold.key, self.namespace), |row| {
            let phase = match row::state(row, 0)? {
                // Whether the lease has lapsed changes nothing for its holder.
                State::InProgress => {
                    Phase::InProgress { lease_until: Timestamp(i64::MAX), owner_dead: false, latch: Latch::Absent }
                }
                State::InDoubt => Phase::InDoubt,
                State::Completed => Phase::Completed,
                State::Failed => Phase::Failed,
            };
            Ok(Standing { phase, fingerprint: row::fingerprint(row, 1)?, attempts: row.get(2)? })
        });
        found.optional()
    }

    fn complete(&self, fence: Fence, result: &Payload, now: Timestamp, ttl: Span) -> rusqlite::Result<usize> {
        const COMPLETE: &str = "UPDATE idempotency_records SET state = 'completed', latch = NULL, lease_until = NULL, \
                                executed_at = ?2, expires_at = ?3, result = ?4, error = NULL WHERE fence = ?1";
        self.connection.prepare_cached(COMPLETE)?.execute((signed(fence), now.0, now.after(ttl).0, row::result(result)))
    }

    fn fail(&self, fence: Fence, failure: &Failure, now: Timestamp, ttl: Span) -> rusqlite::Result<usize> {
        const FAIL: &str = "UPDATE idempotency_records SET state = 'failed', latch = NULL, lease_until = NULL, \
                            executed_at = ?2, expires_at = ?3, error = ?4, error_type = ?5, error_args = ?6 \
                            WHERE fence = ?1";
        let args = failure.args.as_deref().map(json);
        let values = (signed(fence), now.0, now.after(ttl).0, &*failure.text, &*failure.class, args);
        self.connection.prepare_cached(FAIL)?.execute(values)
    }

    fn doubt(&self, fence: Fence, text: &str) -> rusqlite::Result<usize> {
        const DOUBT: &str = "UPDATE idempotency_records SET state = 'in_doubt', lease_until = NULL, error = ?2 \
                             WHERE fence = ?1";
        self.connection.prepare_cached(DOUBT)?.execute((signed(fence), text))
    }

    pub(super) fn delete(&self, fence: Fence) -> rusqlite::Result<usize> {
        const DELETE: &str = "DELETE FROM idempotency_records WHERE fence = ?1";
        self.records.set(self.records.get().map(|count| count.saturating_sub(1)));
        self.connection.prepare_cached(DELETE)?.execute([signed(fence)])
    }

    fn resolve(&self, kept: &Kept, result: &Payload, now: Timestamp, ttl: Span) -> rusqlite::Result<Fence> {
        const RESOLVE: &str = concat!(
            "UPDATE idempotency_records SET fence = ",
            next_fence!(),
            ", state = 'completed', latch = NULL, lease_until = NULL, executed_at = ?2, expires_at = ?3, result = ?4, \
             error = NULL, settled = 0 WHERE fence = ?1 RETURNING fence"
        );
        self.connection
            .prepare_cached(RESOLVE)?
            .query_row((signed(kept.record.fence), now.0, now.after(ttl).0, row::result(result)), |row| {
                row::fence(row, 0)
            })
    }

    fn mark(&self, marking: &Marking, anew: bool, now: Timestamp) -> rusqlite::Result<()> {
        const MARK: &str = concat!(
            "INSERT INTO idempotency_records (fence, namespace_id, key, state, signal_id, action_type, target, \
             fingerprint, owner, owner_process, attempts, started_at, executed_at, expires_at, result, params, context, settled) \
             VALUES (",
            next_fence!(),
            ", :namespace, :key, 'completed', :signal, :action, :target, :fingerprint, :owner, :process, 1, :now, :now, \
             :expires, :result, :params, :context, 0) ON CONFLICT (key, namespace_id) DO UPDATE SET fence = excluded.fence, \
             state = 'completed', latch = NULL, signal_id = excluded.signal_id, action_type = excluded.action_type, \
             target = excluded.target, fingerprint = excluded.fingerprint, owner = excluded.owner, \
             owner_process = excluded.owner_process, attempts = iif(:anew, 1, attempts), \
             started_at = iif(:anew, excluded.started_at, started_at), lease_until = NULL, \
             executed_at = excluded.executed_at, expires_at = excluded.expires_at, result = excluded.result, \
             error = NULL, error_type = NULL, error_args = NULL, params = excluded.params, context = excluded.context, \
             settled = 0"
        );
        self.connection.prepare_cached(MARK)?.execute(named_params! {
            ":namespace": self.namespace,
            ":key": &*marking.key,
            ":signal": marking.labels.signal_id.as_deref(),
            ":action": marking.labels.action_type.as_deref(),
            ":target": marking.labels.target.as_deref(),
            ":fingerprint": marking.fingerprint.as_ref().map(|digest| digest.0.as_slice()),
            ":owner": &*marking.owner,
            ":process": ProcessIdentity::current().text(),
            ":now": now.0,
            ":expires": now.after(marking.ttl).0,
            ":result": row::result(&marking.result),
            ":params": marking.params.as_deref().map(json),
            ":context": marking.context.as_deref().map(json),
            ":anew": anew,
        })?;
        Ok(())
    }
}

fn signed(fence: Fence) -> i64 {
    fence.0.cast_signed()
}

impl Turn<'_> {
    /// What stands under a hold that is kept, or what its holder is told.
    fn held(&self, hold: &Hold, request: Request<'_>) -> rusqlite::Result<Result<Standing, Held>> {
        let standing = self.session.standing(hold)?;
        let stored = standing.as_ref().map(|standing| Stored {
            phase: standing.phase,
            fence: hold.fence,
            fingerprint: standing.fingerprint.as_ref(),
            expires_at: Timestamp(i64::MAX),
        });
        if decide(stored, request, self.now) != Decision::Stale
            && let Some(standing) = standing
        {
            return Ok(Ok(standing));
        }
        let live = self.session.find_live(&hold.key, self.now)?;
        Ok(Err(Held::Lost(live.map(|kept| Box::new(kept.seen(self.now))))))
    }

    /// Extends leases; answers with the holds that were lost.
    pub(super) fn renew(&self, holds: &[Hold], lease: Span) -> Result<Vec<Hold>, Fault> {
        const RENEW: &str = "UPDATE idempotency_records SET lease_until = ?4 WHERE fence = ?1 AND key = ?2 \
                             AND namespace_id = ?3 AND state = 'in_progress'";
        let mut statement = self.session.connection.prepare_cached(RENEW)?;
        let until = self.now.after(lease).0;
        let mut lost = Vec::new();
        for hold in holds {
            if statement.execute((signed(hold.fence), &*hold.key, self.session.namespace, until))? == 0 {
                lost.push(hold.clone());
            }
        }
        Ok(lost)
    }

    /// Releases a latch.
    pub(super) fn dispatch(&self, hold: &Hold) -> Result<Held, Fault> {
        const DISPATCH: &str = "UPDATE idempotency_records SET latch = 'dispatched' WHERE fence = ?1";
        match self.held(hold, Request::Dispatch(hold.fence))? {
            Ok(_) => {
                self.session.connection.prepare_cached(DISPATCH)?.execute([signed(hold.fence)])?;
                Ok(Held::Kept)
            }
            Err(lost) => Ok(lost),
        }
    }

    /// Ends a claim.
    pub(super) fn finish(&mut self, hold: &Hold, ending: &Ending) -> Result<Held, Fault> {
        let request = match ending {
            Ending::Complete(..) => Request::Complete(hold.fence),
            Ending::Fail(..) => Request::Fail(hold.fence),
            Ending::Doubt(_) => Request::Doubt(hold.fence),
            Ending::Release => Request::Release(hold.fence),
        };
        let standing = match self.held(hold, request)? {
            Ok(standing) => standing,
            Err(lost) => return Ok(lost),
        };
        let key: Box<str> = hold.key.as_ref().into();
        let effect = match ending {
            Ending::Complete(payload, ttl) => {
                self.session.complete(hold.fence, payload, self.now, *ttl)?;
                let found = Found {
                    key,
                    fence: hold.fence,
                    fingerprint: standing.fingerprint,
                    result: if let Payload::Local(_) = payload { Payload::Unavailable } else { payload.clone() },
                    executed_at: self.now,
                    expires_at: self.now.after(*ttl),
                };
                Effect::Remember(Arc::new(LocalCopy::new(found, standing.attempts)))
            }
            Ending::Fail(failure, ttl) => {
                self.session.fail(hold.fence, failure, self.now, *ttl)?;
                Effect::Forget(key)
            }
            Ending::Doubt(text) => {
                self.session.doubt(hold.fence, text)?;
                Effect::Forget(key)
            }
            Ending::Release => {
                self.session.delete(hold.fence)?;
                Effect::Forget(key)
            }
        };
        self.after_commit(effect);
        Ok(Held::Kept)
    }

    /// Writes a result by hand; answers with the number of live records dropped to make room.
    pub(super) fn mark(&mut self, marking: &Marking) -> Result<usize, Fault> {
        let kept = self.session.find(&marking.key)?;
        let expired = kept.as_ref().is_some_and(|kept| kept.has_expired(self.now));
        let evicted = if kept.is_none() { self.make_room()? } else { 0 };
        self.session.mark(marking, expired, self.now)?;
        self.session.leave_unsettled();
        if kept.is_none() {
            let records = &self.session.records;
            records.set(records.get().map(|count| count + 1));
        }
        if expired {
            self.after_commit(Effect::Cleaned(1));
        }
        self.after_commit(Effect::Forget(marking.key.clone()));
        Ok(evicted)
    }

    /// Settles an action in doubt.
    pub(super) fn resolve(&mut self, key: &str, word: &Resolution) -> Result<(), Fault> {
        let kept = self.session.find(key)?;
        let request = match word {
            Resolution::Executed(..) => Request::ResolveExecuted,
            Resolution::NotExecuted => Request::ResolveNotExecuted,
        };
        let decision = decide(kept.as_ref().map(|kept| kept.stored(self.now)), request, self.now);
        let Some(kept) = kept.as_ref().filter(|_| decision != Decision::NotInDoubt) else {
            let state = kept.filter(|kept| !kept.has_expired(self.now)).map(|kept| kept.state.plain());
            return Err(Fault::Answer(StoreError::NotInDoubt { key: key.into(), state }));
        };
        match word {
            Resolution::Executed(payload, ttl) => {
                self.session.resolve(kept, payload, self.now, *ttl)?;
                self.session.leave_unsettled();
            }
            Resolution::NotExecuted => drop(self.session.delete(kept.record.fence)?),
        }
        self.after_commit(Effect::Forget(key.into()));
        Ok(())
    }

    /// Looks a result up.
    pub(super) fn check(&mut self, key: &str) -> Result<Option<Hit>, Fault> {
        let kept = self.session.find_live(key, self.now)?;
        let Some((kept, hit)) = kept.and_then(|kept| kept.hit(self.now).map(|hit| (kept, hit))) else {
            self.after_commit(Effect::Miss);
            return Ok(None);
        };
        self.session.count_attempt(kept.record.fence, kept.record.attempts)?;
        self.after_commit(Effect::Forget(key.into()));
        self.after_commit(Effect::Hit);
        Ok(Some(hit))
    }

    /// Removes a record of any state; answers whether a live one was there.
    pub(super) fn clear(&mut self, key: &str) -> Result<bool, Fault> {
        let Some(kept) = self.session.find(key)? else { return Ok(false) };
        self.session.delete(kept.record.fence)?;
        let expired = kept.has_expired(self.now);
        if expired {
            self.after_commit(Effect::Cleaned(1));
        }
        self.after_commit(Effect::Forget(key.into()));
        Ok(!expired)
    }
}
