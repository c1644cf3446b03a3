//! The verbs, each a script or a command.

use futures_util::future::{join_all, try_join_all};
use redis::Value;

use super::client::RedisEngine;
use super::fields::{self, Fields, number, owned};
use super::script;
use super::steps::{self, put};
use crate::core::clock::{Span, Timestamp};
use crate::core::error::StoreError;
use crate::core::record::{Fence, Record, Status};
use crate::store::asked::Marking;
use crate::store::glance::last_change;
use crate::store::kept::State;
use crate::store::process;
use crate::store::remote::engine::{Claim, Counted, Engine, Fault, Frozen, Marked, Met, Named, Put};
use crate::store::remote::room::Size;
use crate::store::{Cursor, Ending, Glance, Held, Hit, Hold, Page, Resolution, Selector, Tally};

impl Named for RedisEngine {
    fn place(&self) -> String {
        self.options.place()
    }
}

impl Engine for RedisEngine {
    const EXPIRES_BY_ITSELF: bool = true;

    async fn claim(&self, claim: Claim<'_>) -> Result<Met, Fault> {
        self.ask_for_claim(claim).await
    }

    async fn claim_many(&self, claims: &[Claim<'_>]) -> Result<Vec<Met>, Fault> {
        // Side by side they are one stream of requests; the answers come in as one.
        join_all(claims.iter().map(|claim| self.ask_for_claim(*claim))).await.into_iter().collect()
    }

    async fn abandon(&self, key: &str, token: &str) -> Result<(), Fault> {
        self.run(&script::ABANDON, &[&self.names.record(key)], |command| {
            command.arg(token).arg(self.names.channel()).arg(key);
        })
        .await
        .map(drop)
    }

    async fn renew(&self, holds: &[Hold], lease: Span) -> Result<Vec<Hold>, Fault> {
        let now = &self.now_argument();
        let renewals = holds.iter().map(|hold| async move {
            let renewed = self
                .run(&script::RENEW, &[&self.names.record(&hold.key)], |command| {
                    command.arg(hold.fence.0).arg(lease.as_micros()).arg(now);
                })
                .await?;
            Ok::<_, Fault>((number::<u8>(&renewed)? == 0).then(|| hold.clone()))
        });
        Ok(try_join_all(renewals).await?.into_iter().flatten().collect())
    }

    async fn dispatch(&self, holds: &[Hold]) -> Result<Vec<Held>, Fault> {
        try_join_all(holds.iter().map(|hold| self.hold_on(hold))).await
    }

    async fn finish(&self, hold: &Hold, ending: &Ending) -> Result<Held, Fault> {
        let (word, ttl, fields) = match ending {
            Ending::Complete(payload, ttl) => ("complete", ttl.as_micros(), fields::result(payload)),
            Ending::Fail(failure, ttl) => ("fail", ttl.as_micros(), fields::of_failure(failure)),
            Ending::Doubt(text) => ("doubt", 0, vec![("error", text.as_bytes().to_vec())]),
            Ending::Release => ("release", 0, Fields::new()),
        };
        let (record, now, channel) = (self.names.record(&hold.key), self.now_argument(), self.names.channel());
        let answer = self
            .run(&script::FINISH, &[&record], |command| {
                command.arg(word).arg(hold.fence.0).arg(&now).arg(ttl).arg(&channel).arg(&*hold.key);
                command.arg(self.millis(ttl));
                put(command, &fields);
            })
            .await?;
        steps::held(&hold.key, answer)
    }

    async fn mark(&self, marking: &Marking, may_add: bool) -> Result<Marked, Fault> {
        let names = self.names.of(&marking.key);
        let (now, channel) = (self.now_argument(), self.names.channel());
        let mut fields = fields::result(&marking.result);
        fields.extend(fields::of_labels(&marking.labels));
        fields.extend(marking.fingerprint.as_ref().map(|digest| ("fingerprint", fields::hex(digest).into_bytes())));
        fields.push(("owner", marking.owner.as_bytes().to_vec()));
        fields.extend(marking.params.as_ref().map(|json| ("params", json.to_vec())));
        fields.extend(marking.context.as_ref().map(|json| ("context", json.to_vec())));
        let answer = self
            .run(&script::MARK, &[names.record(), names.counter()], |command| {
                let may_add = if may_add { "1" } else { "0" };
                command.arg(&now).arg(marking.ttl.as_micros()).arg(may_add).arg(&channel).arg(&*marking.key);
                command.arg(self.millis(marking.ttl.as_micros()));
                put(command, &fields);
            })
            .await?;
        Ok(if fields::text(&answer) == Some(b"full") { Marked::Full } else { Marked::Written })
    }

    async fn resolve(&self, key: &str, word: &Resolution) -> Result<(), Fault> {
        let mut orphan = None;
        loop {
            let Value::Array(parts) = self.try_to_resolve(key, word, orphan).await? else { return Ok(()) };
            let at = |index: usize| parts.get(index).unwrap_or(&Value::Nil);
            if orphan.is_none() && parts.len() > 1 {
                let (owner, process) = (owned(at(2)), fields::process(at(3), at(4)));
                if owner.is_some_and(|owner| process::is_known_dead(&owner, process.as_deref())) {
                    orphan = Some(Fence(number(at(1))?));
                    continue;
                }
            }
            let state = fields::text(at(0)).and_then(State::of_word).map(State::plain);
            return Err(Fault::Answer(StoreError::NotInDoubt { key: key.into(), state }));
        }
    }

    async fn check(&self, keys: &[Box<str>]) -> Result<Vec<Option<(Fence, Hit)>>, Fault> {
        let now = self.now().await?;
        try_join_all(keys.iter().map(|key| self.look_up(key, now))).await
    }

    async fn get(&self, key: &str) -> Result<Option<Record>, Fault> {
        let now = self.now().await?;
        let kept = self.whole(&self.names.record(key), key).await?;
        Ok(kept.filter(|kept| !kept.has_expired(now)).map(|kept| kept.seen(now)))
    }

    async fn find(&self, selector: Selector<'_>) -> Result<Vec<Box<str>>, Fault> {
        let until = match selector {
            Selector::ExpiringWithin(span) => Some(self.now().await?.after(span)),
            _ => None,
        };
        let mut found: Vec<(Timestamp, Box<str>)> = Vec::new();
        self.each(|record| {
            let labels = &record.labels;
            let fits = match selector {
                Selector::ActionType(name) => labels.action_type.as_deref() == Some(name),
                Selector::Target(name) => labels.target.as_deref() == Some(name),
                Selector::SignalId(name) => labels.signal_id.as_deref() == Some(name),
                Selector::InDoubt => matches!(record.status, Status::InDoubt { .. }),
                Selector::ExpiringWithin(_) => {
                    record.is_finished() && until.is_some_and(|until| record.expires_at <= until)
                }
            };
            if fits {
                found.push((record.expires_at, record.key));
            }
        })
        .await?;
        if until.is_some() {
            found.sort();
        }
        Ok(found.into_iter().map(|(_, key)| key).collect())
    }

    async fn scan(&self, from: Option<&Cursor>, limit: usize) -> Result<Page, Fault> {
        self.page(from, limit).await
    }

    async fn glance(&self, from: Option<&Cursor>, limit: usize) -> Result<Glance, Fault> {
        self.part_of_all(from, limit).await
    }

    async fn cleanup_part(&self) -> Result<(u64, bool), Fault> {
        // The server removes what has expired by itself.
        Ok((0, false))
    }

    async fn remove_oldest(&self, count: u64) -> Result<u64, Fault> {
        let mut finished: Vec<(Timestamp, Fence, Box<str>)> = Vec::new();
        self.each(|record| {
            if record.is_finished() {
                finished.push((last_change(&record), record.fence, record.key));
            }
        })
        .await?;
        finished.sort_unstable();
        finished.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        let mut removed = 0;
        for part in finished.chunks(1_000) {
            let gone = part.iter().map(|(_, fence, key)| self.remove(key, Some(*fence)));
            removed += try_join_all(gone).await?.into_iter().map(u64::from).sum::<u64>();
        }
        Ok(removed)
    }

    async fn clear(&self, key: &str) -> Result<bool, Fault> {
        self.remove(key, None).await
    }

    async fn clear_part(&self, from: Option<&Cursor>) -> Result<(u64, Option<Cursor>), Fault> {
        let Page { records, next } = self.page(from, 1_000).await?;
        let gone = records.iter().map(|record| self.remove(&record.key, None));
        let removed = try_join_all(gone).await?.into_iter().map(u64::from).sum();
        Ok((removed, next))
    }

    async fn put(&self, records: &[Record]) -> Result<Vec<Put>, Fault> {
        let now = &self.now_argument();
        try_join_all(records.iter().map(|record| self.put_one(record, now))).await
    }

    async fn tally(&self) -> Result<Tally, Fault> {
        let mut tally = self.counters().await?;
        self.each(|record| {
            match record.status {
                Status::Completed { .. } | Status::Failed { .. } => tally.finished += 1,
                Status::InProgress { .. } => tally.in_progress += 1,
                Status::InDoubt { .. } => tally.in_doubt += 1,
            }
            let at = last_change(&record);
            tally.oldest = Some(tally.oldest.map_or(at, |oldest| oldest.min(at)));
            tally.newest = Some(tally.newest.map_or(at, |newest| newest.max(at)));
        })
        .await?;
        Ok(tally)
    }

    async fn reset_tally(&self) -> Result<(), Fault> {
        let mut command = redis::cmd("DEL");
        self.send(command.arg(self.names.statistics())).await.map(drop)
    }

    async fn count(&self, counted: &Counted) -> Result<(), Fault> {
        let counters = counted.counters.iter().filter(|(_, count)| *count > 0);
        let counters = counters.map(|(name, count)| self.add_to_counter(name, *count));
        let attempts = counted.attempts.iter().map(|(key, fence, calls)| self.count_one(key, *fence, *calls));
        let (counters, attempts) = tokio::join!(try_join_all(counters), try_join_all(attempts));
        counters.and(attempts).map(drop)
    }

    async fn size(&self) -> Result<Size, Fault> {
        let mut size = Size::default();
        self.each(|record| {
            size.live += 1;
            size.unfinished += u64::from(!record.is_finished());
        })
        .await?;
        Ok(size)
    }

    async fn listen(&self) -> Result<bool, Fault> {
        self.subscribe().await.map(|()| true)
    }

    fn warnings(&self) -> Vec<String> {
        self.known_warnings().clone()
    }

    fn let_go(&self) {
        self.links.let_go();
    }

    fn freeze(&'static self) -> Box<dyn Frozen> {
        Box::new(Locked { slot: self.links.lock(), _shown: self.walks.lock(), _warnings: self.known_warnings() })
    }
}

struct Locked {
    slot: std::sync::MutexGuard<'static, super::link::Slot>,
    _shown: std::sync::MutexGuard<'static, super::walk::Shown>,
    _warnings: std::sync::MutexGuard<'static, Vec<String>>,
}

impl Frozen for Locked {
    fn begin_anew(&mut self) {
        self.slot.begin_anew();
    }
}
