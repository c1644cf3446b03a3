//! What a claim's holder, or a person, does to a record that is there.

use super::entry::{Body, Entry, Rare};
use super::inner::Turn;
use super::list::{LISTS, Link};
use super::names::UNNAMED;
use super::shard::{Named, Shard};
use super::slab::Slot;
use crate::core::clock::Span;
use crate::core::error::StoreError;
use crate::core::machine::{Decision, Phase, Request, decide};
use crate::core::record::{Fingerprint, Latch};
use crate::store::{Ending, Held, Hit, Hold, MarkRequest, Resolution};

impl Shard {
    /// What the table says of a key.
    fn decide(&self, key: &str, request: Request<'_>, turn: &Turn<'_>) -> (Decision, Option<Slot>) {
        let slot = self.find(turn.hash, key);
        (decide(slot.map(|slot| self.contents.slab[slot].stored()), request, turn.now), slot)
    }

    /// The slot of a hold that is kept, or what its holder is told.
    fn held(&self, hold: &Hold, request: Request<'_>, turn: &Turn<'_>) -> Result<Slot, Held> {
        match self.decide(&hold.key, request, turn) {
            (Decision::Stale, _) | (_, None) => {
                let live = self.find_live(turn.hash, &hold.key, turn.now);
                Err(Held::Lost(live.map(|slot| Box::new(self.record(slot, turn.now)))))
            }
            (_, Some(slot)) => Ok(slot),
        }
    }

    /// Extends a lease; answers whether the hold was kept.
    pub(super) fn renew(&mut self, hold: &Hold, lease: Span, turn: &Turn<'_>) -> bool {
        let (decision, slot) = self.decide(&hold.key, Request::Renew(hold.fence), turn);
        let slot = slot.filter(|_| decision == Decision::Extend);
        if let Some(slot) = slot {
            self.entry(slot).lease(turn.now, lease);
        }
        slot.is_some()
    }

    /// Releases a latch.
    pub(super) fn dispatch(&mut self, hold: &Hold, turn: &Turn<'_>) -> Held {
        match self.held(hold, Request::Dispatch(hold.fence), turn) {
            Ok(slot) => {
                self.entry(slot).body = Body::InProgress(Latch::Dispatched);
                Held::Kept
            }
            Err(lost) => lost,
        }
    }

    /// Ends a claim.
    pub(super) fn finish(&mut self, hold: &Hold, ending: Ending, turn: &mut Turn<'_>) -> Held {
        let request = match &ending {
            Ending::Complete(..) => Request::Complete(hold.fence),
            Ending::Fail(..) => Request::Fail(hold.fence),
            Ending::Doubt(_) => Request::Doubt(hold.fence),
            Ending::Release => Request::Release(hold.fence),
        };
        let slot = match self.held(hold, request, turn) {
            Ok(slot) => slot,
            Err(lost) => {
                if let Ending::Complete(payload, _) = ending {
                    turn.left.body = Some(payload.into());
                }
                return lost;
            }
        };
        match ending {
            Ending::Complete(payload, ttl) => self.settle(slot, Ok(payload.into()), ttl, turn),
            Ending::Fail(failure, ttl) => self.settle(slot, Err(failure), ttl, turn),
            Ending::Release => self.remove(slot, turn),
            Ending::Doubt(text) => {
                self.waiters.discharge(slot, &mut turn.left.wakers);
                let entry = self.entry(slot);
                entry.body = Body::InDoubt;
                entry.rare_mut().doubt = Some(text);
            }
        }
        Held::Kept
    }

    /// Writes a result by hand; `false`, and nothing done, where the key is new and the store is full.
    pub(super) fn mark(&mut self, request: &MarkRequest<'_>, turn: &mut Turn<'_>) -> bool {
        let mut found = self.find(turn.hash, request.key);
        if let Some(slot) = found.filter(|&slot| self.contents.slab[slot].has_expired(turn.now)) {
            self.remove_expired(slot, turn);
            found = None;
        }
        let slot = match found {
            Some(slot) => slot,
            None if turn.shared.reserve() => self.add_marked(request, turn),
            None => return false,
        };
        self.hand_to(slot, request.owner);
        self.rename(slot, request.labels.into());
        let entry = self.entry(slot);
        let signal = std::mem::take(&mut entry.rare_mut().signal);
        entry.rare = Rare {
            params: request.params.map(Into::into),
            context: request.context.map(Into::into),
            signal,
            any_params: request.fingerprint.is_none(),
            ..Rare::default()
        }
        .boxed();
        entry.fingerprint = request.fingerprint.unwrap_or(Fingerprint([0; 32]));
        entry.fence = turn.shared.next_fence();
        self.settle(slot, Ok(request.result.clone().into()), request.ttl, turn);
        true
    }

    /// An entry to be marked, as if it had begun now.
    fn add_marked(&mut self, request: &MarkRequest<'_>, turn: &Turn<'_>) -> Slot {
        let named: Named<'_> = request.labels.into();
        let entry = Entry {
            key: request.key.into(),
            body: Body::InDoubt,
            rare: Rare { signal: named.signal_for(request.key), ..Rare::default() }.boxed(),
            fingerprint: Fingerprint([0; 32]),
            fence: turn.shared.next_fence(),
            finished_as: 0,
            started_at: turn.now,
            moment: turn.now,
            expires_at: turn.now,
            attempts: 1,
            owner: self.owner(request.owner),
            action: UNNAMED,
            target: UNNAMED,
            links: [Link::NONE; LISTS],
        };
        self.add(turn.hash, entry, named)
    }

    /// Settles an action in doubt.
    pub(super) fn resolve(&mut self, key: &str, word: Resolution, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let request = match word {
            Resolution::Executed(..) => Request::ResolveExecuted,
            Resolution::NotExecuted => Request::ResolveNotExecuted,
        };
        let (decision, slot) = self.decide(key, request, turn);
        match (slot.filter(|_| decision != Decision::NotInDoubt), word) {
            (Some(slot), Resolution::Executed(payload, ttl)) => {
                self.entry(slot).fence = turn.shared.next_fence();
                self.settle(slot, Ok(payload.into()), ttl, turn);
                Ok(())
            }
            (Some(slot), Resolution::NotExecuted) => {
                self.remove(slot, turn);
                Ok(())
            }
            (None, word) => {
                if let Resolution::Executed(payload, _) = word {
                    turn.left.body = Some(payload.into());
                }
                Err(StoreError::NotInDoubt { key: key.into(), state: self.state(key, turn) })
            }
        }
    }

    fn state(&self, key: &str, turn: &Turn<'_>) -> Option<&'static str> {
        let slot = self.find_live(turn.hash, key, turn.now)?;
        Some(match self.contents.slab[slot].phase() {
            Phase::InProgress { .. } => "in progress",
            Phase::Completed => "completed",
            Phase::Failed => "failed",
            Phase::InDoubt => "in doubt",
        })
    }

    /// Looks a result up.
    pub(super) fn check(&mut self, key: &str, turn: &Turn<'_>) -> Option<Hit> {
        let slot = self.find_live(turn.hash, key, turn.now).filter(|&slot| self.contents.slab[slot].is_finished());
        let Some(slot) = slot else {
            self.counters.misses += 1;
            return None;
        };
        self.counters.hits += 1;
        self.counters.duplicates += 1;
        let entry = self.entry(slot);
        entry.attempts = entry.attempts.saturating_add(1);
        Some(entry.hit(turn.now))
    }

    /// Removes a record of any state; answers whether a live one was there.
    pub(super) fn clear_key(&mut self, key: &str, turn: &mut Turn<'_>) -> bool {
        let Some(slot) = self.find(turn.hash, key) else { return false };
        let live = !self.contents.slab[slot].has_expired(turn.now);
        if live {
            self.remove(slot, turn);
        } else {
            self.remove_expired(slot, turn);
        }
        live
    }
}
