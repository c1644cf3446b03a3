//! What a claim's holder, or a person, does to a record that is there.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use super::claim::{micros, signed, stored_json};
use super::engine::{PostgresEngine, fits, key};
use super::row::{self, kept, time, unreadable};
use super::statement::Statement;
use super::text;
use crate::core::clock::Span;
use crate::core::error::StoreError;
use crate::core::record::{Fence, Payload, Record};
use crate::store::asked::Marking;
use crate::store::process::{self, ProcessIdentity};
use crate::store::remote::engine::{Fault, Marked};
use crate::store::{Ending, Held, Hit, Hold, Resolution};

/// A result as its two columns have it. An object without an encoding can't be kept outside its process.
pub(super) fn columns_of(payload: &Payload) -> (Option<std::borrow::Cow<'_, str>>, Option<&[u8]>) {
    match payload {
        Payload::Json(bytes) => (Some(text::json(bytes)), None),
        Payload::Custom(bytes) => (None, Some(bytes)),
        Payload::Local(_) | Payload::Unavailable => (None, None),
    }
}

/// Keys and fences as two arrays.
fn arrays(holds: &[Hold]) -> (Vec<std::borrow::Cow<'_, str>>, Vec<i64>) {
    holds.iter().map(|hold| (text::stored(&hold.key), signed(hold.fence.0))).unzip()
}

/// Which of the holds an answer names.
fn named(rows: &[Row]) -> Result<HashSet<(Box<str>, Fence)>, Fault> {
    rows.iter().map(|row| Ok((row::text(row, 0)?.unwrap_or_default(), row::fence(row, 1)?))).collect()
}

impl PostgresEngine {
    pub(super) async fn renew_all(&self, holds: &[Hold], lease: Span) -> Result<Vec<Hold>, Fault> {
        let (keys, fences) = arrays(holds);
        let rows = self.ask(Statement::Renew, &[&self.namespace, &keys, &fences, &self.now(), &micros(lease)]).await?;
        let renewed = named(&rows)?;
        let is_lost = |hold: &&Hold| !renewed.contains(&(hold.key.as_ref().into(), hold.fence));
        Ok(holds.iter().filter(is_lost).cloned().collect())
    }

    pub(super) async fn dispatch_all(&self, holds: &[Hold]) -> Result<Vec<Held>, Fault> {
        let (keys, fences) = arrays(holds);
        let dispatched = named(&self.ask(Statement::Dispatch, &[&self.namespace, &keys, &fences]).await?)?;
        let is_kept = |hold: &Hold| dispatched.contains(&(hold.key.as_ref().into(), hold.fence));
        let lost: Vec<&str> = holds.iter().filter(|hold| !is_kept(hold)).map(|hold| &*hold.key).collect();
        let found = if lost.is_empty() { HashMap::new() } else { self.records(&lost).await? };
        let held = |hold: &Hold| {
            if is_kept(hold) { Held::Kept } else { Held::Lost(found.get(&*hold.key).cloned().map(Box::new)) }
        };
        Ok(holds.iter().map(held).collect())
    }

    pub(super) async fn finish_one(&self, hold: &Hold, ending: &Ending) -> Result<Held, Fault> {
        let (key, fence, now) = (key(&hold.key)?, signed(hold.fence.0), self.now());
        let rows = match ending {
            Ending::Complete(payload, ttl) => {
                let ((json, bytes), ttl) = (columns_of(payload), self.until_end(*ttl));
                self.familiar.met(&key);
                self.ask(Statement::Complete, &[&self.namespace, &key, &fence, &now, &ttl, &json, &bytes]).await?
            }
            Ending::Fail(failure, ttl) => {
                let (error, class) = (text::stored(&failure.text), text::stored(&failure.class));
                let (args, ttl) = (stored_json(failure.args.as_deref()), self.until_end(*ttl));
                self.ask(Statement::Fail, &[&self.namespace, &key, &fence, &now, &ttl, &error, &class, &args]).await?
            }
            Ending::Doubt(why) => {
                self.ask(Statement::Doubt, &[&self.namespace, &key, &fence, &text::stored(why)]).await?
            }
            Ending::Release => self.ask(Statement::Release, &[&self.namespace, &key, &fence]).await?,
        };
        let Some(row) = rows.first() else {
            return Ok(Held::Lost(self.records(&[&*hold.key]).await?.remove(&*hold.key).map(Box::new)));
        };
        if row::value(row, 0)? {
            // Who waits looks for itself, too: what can't be told is no reason to say that it was not kept.
            _ = self.ask(Statement::Tell, &[&self.namespace, &key]).await;
        }
        Ok(Held::Kept)
    }

    pub(super) async fn mark_one(&self, marking: &Marking, may_add: bool) -> Result<Marked, Fault> {
        let key = key(&marking.key)?;
        let labels = &marking.labels;
        let length = |label: &Option<Box<str>>| label.as_ref().map_or(0, |label| label.len());
        fits("what an action is named", length(&labels.action_type) + length(&labels.target))?;
        fits("a signal_id", length(&labels.signal_id))?;
        let label = |label: &'_ Option<Box<str>>| label.as_deref().map(|label| text::stored(label).into_owned());
        let (signal, action, target) = (label(&labels.signal_id), label(&labels.action_type), label(&labels.target));
        let fingerprint = marking.fingerprint.as_ref().map(|digest| digest.0.as_slice());
        let (ttl, process) = (micros(marking.ttl), ProcessIdentity::current());
        let (owner, process) = (text::stored(&marking.owner), text::stored(process.text()).into_owned());
        let (json, bytes) = columns_of(&marking.result);
        let (params, context) = (stored_json(marking.params.as_deref()), stored_json(marking.context.as_deref()));
        let row = self
            .ask_one(
                Statement::Mark,
                &[
                    &self.namespace,
                    &key,
                    &self.now(),
                    &may_add,
                    &fingerprint,
                    &signal,
                    &action,
                    &target,
                    &ttl,
                    &owner,
                    &process,
                    &json,
                    &bytes,
                    &params,
                    &context,
                ],
            )
            .await?;
        Ok(if row::value(&row, 0)? { Marked::Written } else { Marked::Full })
    }

    pub(super) async fn resolve_one(&self, of: &str, resolution: &Resolution) -> Result<(), Fault> {
        let key = key(of)?;
        let (happened, ttl, payload) = match resolution {
            Resolution::Executed(payload, ttl) => (true, *ttl, Some(payload)),
            Resolution::NotExecuted => (false, Span::default(), None),
        };
        let (json, bytes) = payload.map_or((None, None), columns_of);
        let mut orphan = None::<i64>;
        loop {
            let (now, ttl) = (self.now(), micros(ttl));
            let row = self
                .ask_one(Statement::Resolve, &[&self.namespace, &key, &now, &orphan, &happened, &ttl, &json, &bytes])
                .await?;
            let state = match row::value::<Option<&str>>(&row, 0)? {
                None => return Ok(()),
                Some("in_progress") if orphan.is_none() && is_orphaned(&row, 2)? => {
                    orphan = Some(signed(row::fence(&row, 1)?.0));
                    continue;
                }
                Some("in_progress") => Some("in progress"),
                Some("completed") => Some("completed"),
                Some("failed") => Some("failed"),
                Some(_) => None,
            };
            return Err(Fault::Answer(StoreError::NotInDoubt { key: of.into(), state }));
        }
    }

    pub(super) async fn check_all(&self, keys: &[Box<str>]) -> Result<Vec<Option<(Fence, Hit)>>, Fault> {
        let mut found = HashMap::new();
        for (now, kept) in self.kept(keys.iter().map(|key| &**key)).await? {
            if let Some(hit) = kept.hit(now).filter(|_| !kept.has_expired(now)) {
                found.insert(kept.record.key.clone(), (kept.record.fence, hit));
            }
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// The rows of keys, with the time.
    async fn kept<'a>(
        &self,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<(crate::core::clock::Timestamp, crate::store::kept::Kept)>, Fault> {
        let keys: Vec<_> = keys.map(text::stored).collect();
        let rows = self.ask(Statement::Get, &[&self.namespace, &keys, &self.now()]).await?;
        rows.iter().map(|row| Ok((time(row, 0)?, kept(row, 1)?))).collect()
    }

    /// The live records of keys.
    pub(super) async fn records(&self, keys: &[&str]) -> Result<HashMap<Box<str>, Record>, Fault> {
        let rows = self.kept(keys.iter().copied()).await?.into_iter();
        let live = rows.filter(|(now, kept)| !kept.has_expired(*now)).map(|(now, kept)| kept.seen(now));
        Ok(live.map(|record| (record.key.clone(), record)).collect())
    }
}

/// Whether the owner that a row names, and its identity beside it, is known to be dead.
pub(super) fn is_orphaned(row: &Row, owner: usize) -> Result<bool, Fault> {
    let (owner, identity) = (row::text(row, owner)?, row::text(row, owner + 1)?);
    Ok(owner.is_some_and(|owner| process::is_known_dead(&owner, identity.as_deref())))
}

/// What a statement of many did not answer.
pub(super) fn unanswered() -> Fault {
    unreadable("an answer is missing")
}
