//! The single steps that the verbs are made of.

use redis::{Cmd, Value};

use super::client::RedisEngine;
use super::fields::{self, Fields, number, time};
use super::script;
use crate::core::clock::Timestamp;
use crate::core::record::{Fence, Record};
use crate::store::remote::counts::NAMES;
use crate::store::remote::engine::{Fault, Put, Time};
use crate::store::{Held, Hit, Hold, Resolution, Tally};

/// Adds fields to a command.
pub(super) fn put(command: &mut Cmd, fields: &Fields) {
    for (name, value) in fields {
        command.arg(*name).arg(value);
    }
}

/// The longest that a server can be told to keep a record, in milliseconds.
const LONGEST: u64 = (1 << 53) / 1_000;

/// What the holder of a claim that is not its any more is told.
pub(super) fn held(key: &str, answer: Value) -> Result<Held, Fault> {
    let parts = match answer {
        Value::Array(parts) => parts,
        Value::Nil => return Ok(Held::Kept),
        _ => return Err(fields::unreadable("what became of a claim")),
    };
    let mut parts = parts.into_iter();
    let (Some(now), Some(all)) = (parts.next(), parts.next()) else {
        return Err(fields::unreadable("what became of a claim"));
    };
    let now = time(&now)?;
    let live = fields::kept(key, all)?.filter(|kept| !kept.has_expired(now));
    Ok(Held::Lost(live.map(|kept| Box::new(kept.seen(now)))))
}

impl RedisEngine {
    /// How much longer than its time the server keeps a record, in milliseconds: where another clock than the server's
    /// decides, the scripts tell what has expired, and the server only removes it some day.
    pub(super) fn spare(&self) -> u64 {
        match self.time {
            Time::Server => 0,
            Time::Given(_) => 86_400_000,
        }
    }

    /// How long the server keeps a finished record.
    pub(super) fn millis(&self, ttl: u64) -> u64 {
        ttl.div_ceil(1_000).saturating_add(self.spare()).clamp(1, LONGEST)
    }

    pub(super) async fn hold_on(&self, hold: &Hold) -> Result<Held, Fault> {
        let names = self.names.of(&hold.key);
        let now = self.now_argument();
        let (answer, replicas) = self
            .run_and_wait(&script::DISPATCH, &[names.record()], |command| {
                command.arg(hold.fence.0).arg(&now);
            })
            .await?;
        let outcome = held(&hold.key, answer)?;
        // A failover that forgot it would take the effect for one that can't have happened.
        if matches!(outcome, Held::Kept) && replicas < self.options.wait_replicas {
            return Err(self.too_few_replicas(replicas));
        }
        Ok(outcome)
    }

    /// Removes a record; `fence` is that of the finished one that is meant, if only that one is.
    pub(super) async fn remove(&self, key: &str, fence: Option<Fence>) -> Result<bool, Fault> {
        let now = self.now_argument();
        let answer = self
            .run(&script::CLEAR, &[&self.names.record(key)], |command| {
                let fence = fence.map(|fence| fence.0.to_string()).unwrap_or_default();
                command.arg(&now).arg(self.names.channel()).arg(key).arg(fence);
            })
            .await?;
        Ok(number::<u8>(&answer)? == 1)
    }

    pub(super) async fn look_up(&self, key: &str, now: Timestamp) -> Result<Option<(Fence, Hit)>, Fault> {
        let kept = self.whole(&self.names.record(key), key).await?.filter(|kept| !kept.has_expired(now));
        Ok(kept.and_then(|kept| Some((kept.record.fence, kept.hit(now)?))))
    }

    pub(super) async fn put_one(&self, record: &Record, now: &str) -> Result<Put, Fault> {
        let names = self.names.of(&record.key);
        let ends = if record.is_finished() { record.expires_at.0.to_string() } else { String::new() };
        let fields = fields::of_record(record);
        let answer = self
            .run(&script::PUT, &[names.record(), names.counter()], |command| {
                command.arg(now).arg(&ends).arg(self.spare());
                put(command, &fields);
            })
            .await?;
        match fields::text(&answer) {
            Some(b"written") => Ok(Put::Written),
            Some(b"occupied") => Ok(Put::Occupied),
            Some(b"expired") => Ok(Put::Expired),
            _ => Err(fields::unreadable("what became of a record")),
        }
    }

    pub(super) async fn count_one(&self, key: &str, fence: Fence, calls: u32) -> Result<(), Fault> {
        self.run(&script::COUNT, &[&self.names.record(key)], |command| {
            command.arg(fence.0).arg(calls);
        })
        .await
        .map(drop)
    }

    pub(super) async fn add_to_counter(&self, name: &str, count: u64) -> Result<(), Fault> {
        let mut command = redis::cmd("HINCRBY");
        self.send(command.arg(self.names.statistics()).arg(name).arg(count)).await.map(drop)
    }

    pub(super) async fn try_to_resolve(
        &self,
        key: &str,
        word: &Resolution,
        orphan: Option<Fence>,
    ) -> Result<Value, Fault> {
        let names = self.names.of(key);
        let (now, channel) = (self.now_argument(), self.names.channel());
        let (executed, ttl, fields) = match word {
            Resolution::Executed(payload, ttl) => ("executed", ttl.as_micros(), fields::result(payload)),
            Resolution::NotExecuted => ("not_executed", 0, Fields::new()),
        };
        self.run(&script::RESOLVE, &[names.record(), names.counter()], |command| {
            let orphan = orphan.map(|fence| fence.0.to_string()).unwrap_or_default();
            command.arg(executed).arg(orphan).arg(&now).arg(ttl).arg(&channel).arg(key).arg(self.millis(ttl));
            put(command, &fields);
        })
        .await
    }

    pub(super) async fn counters(&self) -> Result<Tally, Fault> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.names.statistics()).arg(&NAMES);
        let Value::Array(values) = self.send(&command).await? else { return Err(fields::unreadable("the counters")) };
        let mut tally = Tally::default();
        for (name, value) in NAMES.iter().zip(&values) {
            tally.note(name, number(value).unwrap_or(0));
        }
        Ok(tally)
    }
}
