//! The claim: the one step that grants the right to execute.
//!
//! A first call is one `INSERT`, a duplicate one `SELECT`, and each is one round trip where it is what was expected; what
//! neither settles is decided by `idempotency_claim`, which alone would do as well, at twice the price to the server. Asked
//! again after its answer was lost, a claim is found under its token there.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokio_postgres::Row;

use super::engine::{PostgresEngine, fits, key};
use super::row::{self, kept, time, unreadable};
use super::statement::Statement;
use super::text;
use crate::core::clock::Span;
use crate::core::machine::Decision;
use crate::core::record::{Payload, Record, Status};
use crate::store::asked::Asked;
use crate::store::kept::Kept;
use crate::store::remote::engine::{Claim, Fault, Finished, Met};

/// A span as a `bigint`.
pub(super) fn micros(span: Span) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

impl PostgresEngine {
    /// A span that a statement may add to the time: cut off at the end of time.
    pub(super) fn until_end(&self, span: Span) -> i64 {
        // The server's own clock shows less than 2^52.
        let now = self.now().unwrap_or(1 << 52);
        micros(span).min(i64::MAX - now.max(0))
    }
}

/// A fence, or a number of calls, as the server counts.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

impl PostgresEngine {
    pub(super) async fn claim_one(&self, claim: Claim<'_>) -> Result<Met, Fault> {
        let asked = claim.asked;
        let key = key(&asked.key)?;
        fits("what an action is named", asked.action_type.len() + asked.target.len())?;
        let familiar = self.familiar.knows(&key);
        let looks = asked.asks_again || familiar || self.meets_duplicates.load(Ordering::Relaxed);
        if claim.orphan.is_none() && looks {
            if let Some(replay) = self.peek(&claim, &key).await? {
                self.familiar.met(&key);
                return Ok(replay);
            }
        } else if claim.orphan.is_none() && claim.may_add {
            match self.begin(&claim, &key).await {
                Ok(Some(run)) => return Ok(run),
                Ok(None) => {}
                // A server that takes no writes still has its results.
                Err(Fault::Answer(error)) => {
                    let replay = self.peek(&claim, &key).await?;
                    return replay.ok_or(Fault::Answer(error));
                }
                Err(fault) => return Err(fault),
            }
        }
        let met = self.decide(&claim, &key).await?;
        if matches!(met, Met::Replay(_)) {
            self.familiar.met(&key);
        } else {
            self.familiar.forget(&key);
        }
        if !familiar {
            let is_new = matches!(met, Met::Run(_, 1));
            self.meets_duplicates.store(!is_new, Ordering::Relaxed);
        }
        Ok(met)
    }

    /// The result of a completed record, if that is the answer.
    async fn peek(&self, claim: &Claim<'_>, key: &str) -> Result<Option<Met>, Fault> {
        let rows = self.ask(Statement::Peek, &[&self.namespace, &key, &self.now()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (now, expires_at, fingerprint) = (time(row, 0)?, time(row, 5)?, row::fingerprint(row, 2)?);
        let differs = claim.asked.check_params && fingerprint.is_some_and(|kept| kept != claim.asked.fingerprint);
        if differs || expires_at <= now {
            return Ok(None);
        }
        Ok(Some(Met::Replay(Finished {
            outcome: row::payload(row, 6)?,
            fence: row::fence(row, 1)?,
            fingerprint,
            attempts: row::attempts(row, 3)?,
            executed_at: time(row, 4)?,
            ttl: expires_at.since(now),
        })))
    }

    /// The claim of a key that is new.
    async fn begin(&self, claim: &Claim<'_>, key: &str) -> Result<Option<Met>, Fault> {
        let Claim { asked, token, .. } = *claim;
        let labels = Labels::of(asked);
        let fingerprint: &[u8] = &asked.fingerprint.0;
        let (latch, lease, ttl) =
            (asked.latch_word(Decision::Run), self.until_end(asked.lease), self.until_end(asked.ttl));
        let (owner, process) = (text::stored(&asked.owner), text::stored(&asked.owner_process));
        let (params, context) = (stored_json(asked.params.as_deref()), stored_json(asked.context.as_deref()));
        let rows = self
            .ask(
                Statement::Begin,
                &[
                    &self.namespace,
                    &key,
                    &self.now(),
                    &fingerprint,
                    &latch,
                    &labels.signal,
                    &labels.action,
                    &labels.target,
                    &lease,
                    &ttl,
                    &owner,
                    &process,
                    &token,
                    &params,
                    &context,
                ],
            )
            .await?;
        rows.first().map(|row| Ok(Met::Run(row::fence(row, 0)?, 1))).transpose()
    }

    async fn decide(&self, claim: &Claim<'_>, key: &str) -> Result<Met, Fault> {
        let Claim { asked, token, orphan, may_add, untold, .. } = *claim;
        let waits = claim.waits && self.listener.listens();
        let labels = Labels::of(asked);
        let fingerprint: &[u8] = &asked.fingerprint.0;
        let orphan = orphan.map(|fence| signed(fence.0));
        let untold = i32::try_from(untold).unwrap_or(i32::MAX);
        let (lease, ttl) = (micros(asked.lease), micros(asked.ttl));
        let (owner, process) = (text::stored(&asked.owner), text::stored(&asked.owner_process));
        let (params, context) = (stored_json(asked.params.as_deref()), stored_json(asked.context.as_deref()));
        let row = self
            .ask_one(
                Statement::Claim,
                &[
                    &self.namespace,
                    &key,
                    &self.now(),
                    &fingerprint,
                    &asked.check_params,
                    &asked.takes_over,
                    &asked.latch,
                    &labels.signal,
                    &labels.action,
                    &labels.target,
                    &lease,
                    &ttl,
                    &owner,
                    &process,
                    &token,
                    &orphan,
                    &may_add,
                    &waits,
                    &untold,
                    &params,
                    &context,
                ],
            )
            .await?;
        met(&row)
    }

    pub(super) async fn claim_all(&self, claims: &[Claim<'_>]) -> Result<Vec<Met>, Fault> {
        let mut items = Vec::with_capacity(claims.len());
        for (position, claim) in claims.iter().enumerate() {
            key(&claim.asked.key)?;
            items.push((&*claim.asked.key, position, self.item(claim, position)));
        }
        // In one order everywhere, so that no two calls wait for each other; a key that comes twice in its own.
        items.sort_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)));
        let items = Value::Array(items.into_iter().map(|(_, _, item)| item).collect()).to_string();
        let rows = self.ask(Statement::ClaimMany, &[&self.namespace, &self.now(), &items]).await?;
        let mut answers: Vec<Option<Met>> = std::iter::repeat_with(|| None).take(claims.len()).collect();
        for row in &rows {
            let position: i32 = row::value(row, 26)?;
            if let Some(answer) = usize::try_from(position).ok().and_then(|position| answers.get_mut(position)) {
                *answer = Some(met(row)?);
            }
        }
        answers.into_iter().map(|answer| answer.ok_or_else(|| unreadable("a claim was not answered"))).collect()
    }

    fn item(&self, claim: &Claim<'_>, position: usize) -> Value {
        let Claim { asked, token, orphan, may_add, untold, .. } = *claim;
        json!({
            "position": position,
            "key": text::stored(&asked.key),
            "fingerprint": format!("\\x{:?}", asked.fingerprint),
            "checks": asked.check_params,
            "takes_over": asked.takes_over,
            "latch": asked.latch,
            "signal": text::stored(&asked.signal_id),
            "action": text::stored(&asked.action_type),
            "target": text::stored(&asked.target),
            "lease": micros(asked.lease),
            "ttl": micros(asked.ttl),
            "owner": text::stored(&asked.owner),
            "process": text::stored(&asked.owner_process),
            "token": token,
            "orphan": orphan.map(|fence| signed(fence.0)),
            "may_add": may_add,
            "waits": claim.waits && self.listener.listens(),
            "untold": untold,
            "params": stored_json(asked.params.as_deref()),
            "context": stored_json(asked.context.as_deref()),
        })
    }
}

/// JSON, where it is kept.
pub(super) fn stored_json(bytes: Option<&[u8]>) -> Option<std::borrow::Cow<'_, str>> {
    bytes.map(text::json)
}

/// The names an action is found by, as they are stored.
struct Labels<'a> {
    signal: std::borrow::Cow<'a, str>,
    action: std::borrow::Cow<'a, str>,
    target: std::borrow::Cow<'a, str>,
}

impl<'a> Labels<'a> {
    fn of(asked: &'a Asked) -> Self {
        Self {
            signal: text::stored(&asked.signal_id),
            action: text::stored(&asked.action_type),
            target: text::stored(&asked.target),
        }
    }
}

/// What a row of `idempotency_claim` says.
fn met(row: &Row) -> Result<Met, Fault> {
    let (now, granted, calls) = (time(row, 1)?, row::fence(row, 2)?, row::attempts(row, 3)?);
    let seen = || -> Result<Box<Record>, Fault> { Ok(Box::new(Kept::seen(kept(row, 4)?, now))) };
    Ok(match row::value::<&str>(row, 0)? {
        "full" => Met::Full,
        "run" => Met::Run(granted, calls),
        "take_over" => Met::TakeOver(granted, calls, in_doubt(seen()?)),
        "replay" | "replay_failure" => finished(*seen()?, now)?,
        "busy" => {
            Met::Busy { fence: row::fence(row, 4)?, owner: row::text(row, 12)?, owner_process: row::text(row, 13)? }
        }
        "in_doubt" => Met::InDoubt(in_doubt(seen()?)),
        "mismatch" => Met::Mismatch(seen()?),
        _ => return Err(unreadable("an answer without a name")),
    })
}

/// A record that a claim has met in doubt, whatever its own clock or owner says.
fn in_doubt(mut record: Box<Record>) -> Box<Record> {
    if let Status::InProgress { .. } = record.status {
        record.status = Status::InDoubt { error: None };
    }
    record
}

fn finished(record: Record, now: crate::core::clock::Timestamp) -> Result<Met, Fault> {
    let Record { fence, fingerprint, attempts, expires_at, .. } = record;
    let ttl = expires_at.since(now);
    match record.status {
        Status::Completed { at: executed_at, result } => {
            Ok(Met::Replay(Finished::<Payload> { outcome: result, fence, fingerprint, attempts, executed_at, ttl }))
        }
        Status::Failed { at: executed_at, failure } => {
            Ok(Met::ReplayFailure(Finished { outcome: failure, fence, fingerprint, attempts, executed_at, ttl }))
        }
        Status::InProgress { .. } | Status::InDoubt { .. } => Err(unreadable("a result of an unfinished record")),
    }
}
