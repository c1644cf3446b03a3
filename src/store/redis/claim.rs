//! The claim: what its script is told, and what its answer means.

use redis::{Cmd, Value};

use super::client::RedisEngine;
use super::fields::{self, failure, fingerprint, number, owned, payload, text, time};
use super::script;
use crate::core::clock::{Span, Timestamp};
use crate::core::record::{Fence, Record, Status};
use crate::store::asked::Asked;
use crate::store::remote::LocalCopies;
use crate::store::remote::engine::{Claim, Engine, Fault, Finished, Met};

const fn flag(set: bool) -> &'static str {
    if set { "1" } else { "0" }
}

impl RedisEngine {
    pub(super) async fn ask_for_claim(&self, claim: Claim<'_>) -> Result<Met, Fault> {
        let (record, counter) = self.names.of(&claim.asked.key);
        let now = self.now_argument();
        let wants_time = self.options.local_copies != LocalCopies::Off;
        let (answer, replicas) = self
            .run_and_wait(&script::CLAIM, &[&record, &counter], |command| arguments(command, &claim, &now, wants_time))
            .await?;
        let met = met(claim.asked, answer)?;
        if replicas < self.options.wait_replicas
            && let Met::Run(..) | Met::TakeOver(..) = met
        {
            self.abandon(&claim.asked.key, claim.token).await?;
            return Err(self.too_few_replicas(replicas));
        }
        Ok(met)
    }
}

fn arguments(command: &mut Cmd, claim: &Claim<'_>, now: &str, wants_time: bool) {
    let asked = claim.asked;
    let digest = fields::hex(&asked.fingerprint);
    command
        .arg(if asked.check_params { &*digest } else { "" })
        .arg(flag(asked.takes_over))
        .arg(claim.token)
        .arg(claim.orphan.map(|fence| fence.0.to_string()).unwrap_or_default())
        .arg(flag(claim.may_add))
        .arg(flag(claim.waits))
        .arg(now)
        .arg(asked.lease.as_micros())
        .arg(asked.ttl.as_micros())
        .arg(claim.untold)
        .arg(flag(wants_time))
        .arg(&["fingerprint", &*digest])
        .arg(&["signal_id", &*asked.signal_id])
        .arg(&["action_type", &*asked.action_type])
        .arg(&["target", &*asked.target])
        .arg(&["owner", &*asked.owner]);
    for (name, part) in fields::of_process(&asked.owner_process) {
        command.arg(name).arg(part);
    }
    if let Some(latch) = fields::latch_asked(asked.latch) {
        command.arg(&["latch", latch]);
    }
    if let Some(params) = &asked.params {
        command.arg("params").arg(&**params);
    }
    if let Some(context) = &asked.context {
        command.arg("context").arg(&**context);
    }
}

fn met(asked: &Asked, answer: Value) -> Result<Met, Fault> {
    let Value::Array(mut parts) = answer else { return Err(fields::unreadable("the answer to a claim")) };
    let mut take = |index: usize| parts.get_mut(index).map_or(Value::Nil, |part| std::mem::replace(part, Value::Nil));
    let word = take(0);
    let fence = |value: &Value| number(value).map(Fence);
    match text(&word).unwrap_or_default() {
        b"run" => Ok(Met::Run(fence(&take(1))?, number(&take(2))?)),
        b"take_over" => {
            let (fence, attempts, now) = (fence(&take(1))?, number(&take(2))?, time(&take(3))?);
            Ok(Met::TakeOver(fence, attempts, record(asked, take(4), now)?))
        }
        b"again" => again(asked, fence(&take(1))?, number(&take(2))?, time(&take(3))?, take(4)),
        // Where no copies are kept, nobody asks for more.
        b"replayed" => Ok(Met::Replay(Finished {
            fence: fence(&take(1))?,
            attempts: number(&take(2))?,
            outcome: payload(&take(3), &take(4)),
            fingerprint: None,
            executed_at: Timestamp(0),
            ttl: Span::from_micros(0),
        })),
        b"replay" => {
            let (json, custom) = (take(7), take(8));
            finished([take(1), take(2), take(3), take(4), take(5), take(6)], payload(&json, &custom)).map(Met::Replay)
        }
        b"replay_failure" => {
            let failure = failure(&take(7), &take(8), &take(9));
            finished([take(1), take(2), take(3), take(4), take(5), take(6)], failure).map(Met::ReplayFailure)
        }
        b"busy" => Ok(Met::Busy {
            fence: fence(&take(1))?,
            owner: owned(&take(2)),
            owner_process: fields::process(&take(3), &take(4)),
        }),
        b"in_doubt" => {
            let now = time(&take(1))?;
            Ok(Met::InDoubt(record(asked, take(2), now)?))
        }
        b"mismatch" => {
            let now = time(&take(1))?;
            Ok(Met::Mismatch(record(asked, take(2), now)?))
        }
        b"full" => Ok(Met::Full),
        _ => Err(fields::unreadable("the answer to a claim")),
    }
}

fn record(asked: &Asked, all: Value, now: Timestamp) -> Result<Box<Record>, Fault> {
    let kept = fields::kept(&asked.key, all)?.ok_or_else(|| fields::unreadable("the record of a claim"))?;
    Ok(Box::new(kept.seen(now)))
}

/// The claim that this very call was granted before, its answer lost.
fn again(asked: &Asked, fence: Fence, attempts: u32, now: Timestamp, all: Value) -> Result<Met, Fault> {
    let over_doubt = match &all {
        Value::Map(pairs) => pairs.iter().any(|(name, _)| text(name) == Some(b"over_doubt")),
        Value::Array(flat) => flat.iter().step_by(2).any(|name| text(name) == Some(b"over_doubt")),
        _ => false,
    };
    if !over_doubt {
        return Ok(Met::Run(fence, attempts));
    }
    let error = match &all {
        Value::Map(pairs) => {
            pairs.iter().find(|(name, _)| text(name) == Some(b"error")).and_then(|(_, text)| owned(text))
        }
        _ => None,
    };
    let mut record = record(asked, all, now)?;
    record.status = Status::InDoubt { error };
    Ok(Met::TakeOver(fence, attempts, record))
}

fn finished<T>(
    [fence, digest, attempts, executed_at, expires_at, now]: [Value; 6],
    outcome: T,
) -> Result<Finished<T>, Fault> {
    let (executed_at, expires_at) = (time(&executed_at)?, time(&expires_at)?);
    // Without a time, nobody asks how long it is still kept.
    let now = if matches!(now, Value::Nil) { expires_at } else { time(&now)? };
    Ok(Finished {
        outcome,
        fence: Fence(number(&fence)?),
        fingerprint: fingerprint(&digest)?,
        attempts: number(&attempts)?,
        executed_at,
        ttl: if now < expires_at { expires_at.since(now) } else { Span::from_micros(0) },
    })
}
