//! The claim: the one step that grants the right to execute.

use super::entry::{Body, Entry, Rare};
use super::inner::Turn;
use super::list::{LISTS, Link};
use super::names::UNNAMED;
use super::shard::{Named, Shard};
use super::slab::Slot;
use crate::core::clock::Timestamp;
use crate::core::machine::{Decision, Request, decide};
use crate::core::record::{Fence, Latch};
use crate::store::{Begun, ClaimRequest, Claimed};

/// What a shard has to say to a claim.
pub(super) enum Answer {
    /// The claim's answer.
    Claimed(Claimed),
    /// Somebody is at it; the waiter with this number is enlisted at this slot.
    Busy(Slot, u64),
    /// The key is new and the store is full. Nothing has been done.
    NoRoom,
}

fn named<'a>(request: &ClaimRequest<'a>) -> Named<'a> {
    Named { signal: Some(request.signal_id), action: Some(request.action_type), target: Some(request.target) }
}

fn rare(request: &ClaimRequest<'_>) -> Option<Box<Rare>> {
    let signal = named(request).signal_for(request.key);
    Rare { params: request.params.map(Into::into), context: request.context.map(Into::into), signal, ..Rare::default() }
        .boxed()
}

fn asked<'a>(request: &ClaimRequest<'a>) -> Request<'a> {
    let fingerprint = request.check_params.then_some(request.fingerprint);
    Request::Claim { fingerprint, takes_over: request.takes_over }
}

impl Shard {
    /// Answers a claim of a completed record, which most claims are, at once; `None`, and nothing done, of any other.
    #[inline]
    pub(super) fn replay(&mut self, hash: u64, request: &ClaimRequest<'_>, now: Timestamp) -> Option<Claimed> {
        let slot = self.find(hash, request.key)?;
        let entry = &mut self.contents.slab[slot];
        if decide(Some(entry.stored()), asked(request), now) != Decision::Replay {
            return None;
        }
        self.counters.hits += 1;
        self.counters.duplicate(request.shadow);
        entry.attempts = entry.attempts.saturating_add(1);
        Some(Claimed::Replay { result: entry.payload(), attempts: entry.attempts })
    }

    /// Answers a claim.
    pub(super) fn claim(&mut self, request: &ClaimRequest<'_>, turn: &mut Turn<'_>) -> Answer {
        let Some(slot) = self.find(turn.hash, request.key) else { return self.claim_new(request, turn) };
        let entry = &mut self.contents.slab[slot];
        let decision = decide(Some(entry.stored()), asked(request), turn.now);
        match decision {
            Decision::Replay | Decision::ReplayFailure => {
                self.counters.hits += 1;
                self.counters.duplicate(request.shadow);
                entry.attempts = entry.attempts.saturating_add(1);
                Answer::Claimed(replay(entry))
            }
            Decision::Busy => self.busy(slot, request),
            Decision::InDoubt | Decision::Mismatch => {
                entry.attempts = entry.attempts.saturating_add(1);
                let record = Box::new(self.record(slot, turn.now));
                Answer::Claimed(match decision {
                    Decision::InDoubt => Claimed::InDoubt(record),
                    _ => Claimed::Mismatch(record),
                })
            }
            Decision::TakeOver => {
                let before = Box::new(self.record(slot, turn.now));
                let begun = self.begin_again(slot, request, decision.latch(request.latch), turn);
                self.entry(slot).started_at = before.started_at;
                Answer::Claimed(Claimed::TakeOver(begun, before))
            }
            _ if entry.is_finished() => {
                self.remove_expired(slot, turn);
                self.claim_new(request, turn)
            }
            _ => Answer::Claimed(Claimed::Run(self.begin_again(slot, request, decision.latch(request.latch), turn))),
        }
    }

    fn busy(&mut self, slot: Slot, request: &ClaimRequest<'_>) -> Answer {
        if request.refuses_to_wait {
            self.counters.duplicate(request.shadow);
            let entry = self.entry(slot);
            entry.attempts = entry.attempts.saturating_add(1);
        }
        Answer::Busy(slot, self.waiters.enlist(slot))
    }

    fn claim_new(&mut self, request: &ClaimRequest<'_>, turn: &Turn<'_>) -> Answer {
        if !turn.shared.reserve() {
            return Answer::NoRoom;
        }
        self.counters.misses += 1;
        let fence = turn.shared.next_fence();
        let entry = Entry {
            key: request.key.into(),
            body: Body::InProgress(Decision::Run.latch(request.latch)),
            rare: rare(request),
            fingerprint: *request.fingerprint,
            fence,
            finished_as: 0,
            started_at: turn.now,
            moment: turn.now.after(request.lease),
            expires_at: turn.now.after(request.ttl),
            attempts: 1,
            owner: self.owner(request.owner),
            action: UNNAMED,
            target: UNNAMED,
            links: [Link::NONE; LISTS],
        };
        self.add(turn.hash, entry, named(request));
        Answer::Claimed(Claimed::Run(Begun { fence, attempts: 1, evicted: 0 }))
    }

    /// A new claim over an unfinished one. Who waits for the old one waits for the new one.
    fn begin_again(&mut self, slot: Slot, request: &ClaimRequest<'_>, latch: Latch, turn: &Turn<'_>) -> Begun {
        self.counters.misses += 1;
        self.hand_to(slot, request.owner);
        self.rename(slot, named(request));
        let fence: Fence = turn.shared.next_fence();
        let entry = self.entry(slot);
        entry.rare = rare(request);
        entry.body = Body::InProgress(latch);
        entry.fingerprint = *request.fingerprint;
        entry.fence = fence;
        entry.started_at = turn.now;
        entry.lease(turn.now, request.lease);
        entry.expires_at = turn.now.after(request.ttl);
        entry.attempts = entry.attempts.saturating_add(1);
        Begun { fence, attempts: entry.attempts, evicted: 0 }
    }
}

fn replay(entry: &Entry) -> Claimed {
    let attempts = entry.attempts;
    if matches!(entry.body, Body::Failed) {
        return Claimed::ReplayFailure { failure: entry.failure(), attempts };
    }
    Claimed::Replay { result: entry.payload(), attempts }
}
