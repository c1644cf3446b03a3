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
        let names = self.names.of(&claim.asked.key);
        let now = self.now_argument();
        // By another clock than the server's, it may have expired.
        let wants_times = self.options.local_copies != LocalCopies::Off || !now.is_empty();
        let (answer, replicas) = self
            .run_and_wait(&script::CLAIM, &[names.record(), names.counter()], |command| {
                arguments(command, &claim, &now, wants_times);
            })
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

/// Texts as one array in `MessagePack`, so that a script need not take apart what it does not look at.
struct Packed {
    count: u32,
    bytes: Vec<u8>,
}

impl Packed {
    fn put(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        // Writing into memory does not fail; and no field comes near four gigabytes.
        _ = rmp::encode::write_str_len(&mut self.bytes, u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(text);
        self.count += 1;
    }

    fn array(self) -> Vec<u8> {
        let mut array = Vec::with_capacity(self.bytes.len() + 5);
        _ = rmp::encode::write_array_len(&mut array, self.count);
        array.extend_from_slice(&self.bytes);
        array
    }
}

fn arguments(command: &mut Cmd, claim: &Claim<'_>, now: &str, wants_times: bool) {
    let asked = claim.asked;
    let digest = fields::hex(&asked.fingerprint);
    command.arg(if asked.check_params { &*digest } else { "" }).arg(flag(!wants_times)).arg(rest(claim, now, &digest));
}

fn rest(claim: &Claim<'_>, now: &str, digest: &str) -> Vec<u8> {
    let asked = claim.asked;
    let mut all = Packed { count: 0, bytes: Vec::with_capacity(512) };
    let mut number = itoa::Buffer::new();
    all.put(flag(asked.takes_over));
    all.put(claim.token);
    all.put(claim.orphan.map_or("", |fence| number.format(fence.0)));
    all.put(flag(claim.may_add));
    all.put(flag(claim.waits));
    all.put(now);
    all.put(number.format(asked.lease.as_micros()));
    all.put(number.format(asked.ttl.as_micros()));
    all.put(number.format(claim.untold));
    let mut field = |name: &str, value: &[u8]| {
        all.put(name);
        all.put(value);
    };
    field("fingerprint", digest.as_bytes());
    field("signal_id", asked.signal_id.as_bytes());
    field("action_type", asked.action_type.as_bytes());
    field("target", asked.target.as_bytes());
    field("owner", asked.owner.as_bytes());
    for (name, part) in fields::of_process(&asked.owner_process) {
        field(name, part.as_bytes());
    }
    if let Some(latch) = fields::latch_asked(asked.latch) {
        field("latch", latch.as_bytes());
    }
    if let Some(params) = &asked.params {
        field("params", params);
    }
    if let Some(context) = &asked.context {
        field("context", context);
    }
    all.array()
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
        // The short answer, where no copies are kept: nobody asks for more.
        b"completed" => Ok(Met::Replay(Finished {
            fence: fence(&take(1))?,
            attempts: number(&take(2))?,
            outcome: payload(&take(3), &Value::Nil),
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
    let all = fields::pairs(all)?;
    let field = |wanted: &[u8]| all.iter().find(|(name, _)| text(name) == Some(wanted)).map(|(_, value)| value);
    if field(b"over_doubt").is_none() {
        return Ok(Met::Run(fence, attempts));
    }
    let error = field(b"error").and_then(owned);
    let mut record = record(asked, Value::Map(all), now)?;
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
