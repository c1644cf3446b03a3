//! Writing records as they are: from another store, or from a file.

use super::entry::{Body, Entry, Rare};
use super::inner::Turn;
use super::list::{LISTS, Link};
use super::names::UNNAMED;
use super::shard::{Named, Shard};
use crate::core::clock::Timestamp;
use crate::core::imprint::Imprint;
use crate::core::record::{Failure, Fingerprint, Record, Status};
use crate::store::Restored;

/// Where a record stands, as an entry has it.
struct State {
    body: Body,
    moment: Timestamp,
    failure: Option<Failure>,
    doubt: Option<Box<str>>,
}

impl State {
    fn of(status: &Status) -> Self {
        let plain = |body, moment| Self { body, moment, failure: None, doubt: None };
        match status {
            Status::InProgress { lease_until, latch } => plain(Body::InProgress(*latch), *lease_until),
            Status::Completed { at, result } => plain(result.clone().into(), *at),
            Status::Failed { at, failure } => Self { failure: Some(failure.clone()), ..plain(Body::Failed, *at) },
            Status::InDoubt { error } => Self { doubt: error.clone(), ..plain(Body::InDoubt, Timestamp(0)) },
        }
    }
}

impl Shard {
    /// Writes a record; `None`, and nothing done, where the store is full.
    pub(super) fn restore(&mut self, record: &Record, turn: &mut Turn<'_>) -> Option<Restored> {
        if record.has_ended(turn.now) {
            return Some(Restored::Expired);
        }
        if let Some(slot) = self.find(turn.hash, &record.key) {
            if !self.contents.slab[slot].has_expired(turn.now) {
                let same = Imprint::of(&self.record(slot, turn.now)) == Imprint::of(record);
                return Some(if same { Restored::Same } else { Restored::Occupied });
            }
            self.remove_expired(slot, turn);
        }
        turn.shared.reserve().then(|| {
            self.put(record, turn);
            Restored::Written
        })
    }

    fn put(&mut self, record: &Record, turn: &Turn<'_>) {
        let named: Named<'_> = (&record.labels).into();
        let State { body, moment, failure, doubt } = State::of(&record.status);
        let entry = Entry {
            key: record.key.clone(),
            body: Body::InDoubt,
            rare: Rare {
                params: record.params.clone(),
                context: record.context.clone(),
                signal: named.signal_for(&record.key),
                any_params: record.fingerprint.is_none(),
                failure,
                doubt,
            }
            .boxed(),
            expires_at: record.expires_at,
            attempts: record.attempts,
            owner: self.contents.owners.acquire(&self.hasher, record.owner.as_deref()),
            fingerprint: record.fingerprint.unwrap_or(Fingerprint([0; 32])),
            fence: turn.shared.next_fence(),
            finished_as: 0,
            started_at: record.started_at,
            moment,
            action: UNNAMED,
            target: UNNAMED,
            links: [Link::NONE; LISTS],
        };
        let slot = self.add(turn.hash, entry, named);
        if record.is_finished() {
            self.contents.unlink_age(slot);
            self.entry(slot).finished_as = turn.shared.next_finished();
            self.entry(slot).body = body;
            self.contents.link_finished(slot);
            self.contents.ages_vary = true;
        } else {
            self.entry(slot).body = body;
        }
    }
}
