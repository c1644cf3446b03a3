//! A record as an engine outside this process keeps it, and what the table of transitions looks at.

use super::Hit;
use super::process::{self, Reach};
use crate::core::clock::Timestamp;
use crate::core::machine::{Phase, Stored};
use crate::core::record::{Latch, Record, Status};

/// The word for each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Claimed.
    InProgress,
    /// Done.
    Completed,
    /// Finished with an exception that is an answer.
    Failed,
    /// Started, never finished.
    InDoubt,
}

impl State {
    /// What a person calls it.
    pub const fn plain(self) -> &'static str {
        match self {
            Self::InProgress => "in progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::InDoubt => "in doubt",
        }
    }

    /// The state of this word.
    pub const fn of_word(word: &[u8]) -> Option<Self> {
        match word {
            b"completed" => Some(Self::Completed),
            b"in_progress" => Some(Self::InProgress),
            b"failed" => Some(Self::Failed),
            b"in_doubt" => Some(Self::InDoubt),
            _ => None,
        }
    }
}

/// The word for a latch.
pub const fn latch_word(latch: Latch) -> Option<&'static str> {
    match latch {
        Latch::Absent => None,
        Latch::Armed => Some("armed"),
        Latch::Dispatched => Some("dispatched"),
    }
}

/// The latch of this word.
pub const fn latch_of_word(word: Option<&[u8]>) -> Option<Latch> {
    match word {
        None => Some(Latch::Absent),
        Some(b"armed") => Some(Latch::Armed),
        Some(b"dispatched") => Some(Latch::Dispatched),
        Some(_) => None,
    }
}

/// A record as it is stored, expired, lapsed or not.
pub struct Kept {
    pub(super) record: Record,
    pub(super) state: State,
    latch: Latch,
    lease_until: Timestamp,
    owner_process: Option<Box<str>>,
    reach: Reach,
}

impl Kept {
    /// A record with the text of its owner's identity, and who can reach the engine. Of a record in doubt or finished, latch
    /// and lease are asked no more.
    pub fn new(record: Record, owner_process: Option<Box<str>>, reach: Reach) -> Self {
        let (state, latch, lease_until) = match record.status {
            Status::InProgress { lease_until, latch } => (State::InProgress, latch, lease_until),
            Status::InDoubt { .. } => (State::InDoubt, Latch::Absent, Timestamp(0)),
            Status::Completed { .. } => (State::Completed, Latch::Absent, Timestamp(0)),
            Status::Failed { .. } => (State::Failed, Latch::Absent, Timestamp(0)),
        };
        Self { record, state, latch, lease_until, owner_process, reach }
    }

    /// What the table of transitions looks at. A live lease is believed only while its owner may be alive.
    pub fn stored(&self, now: Timestamp) -> Stored<'_> {
        let phase = match self.state {
            State::Completed => Phase::Completed,
            State::Failed => Phase::Failed,
            State::InDoubt => Phase::InDoubt,
            State::InProgress => Phase::InProgress {
                lease_until: self.lease_until,
                owner_dead: now < self.lease_until && self.is_orphaned(),
                latch: self.latch,
            },
        };
        Stored {
            phase,
            fence: self.record.fence,
            fingerprint: self.record.fingerprint.as_ref(),
            expires_at: self.record.expires_at,
        }
    }

    fn is_orphaned(&self) -> bool {
        self.record
            .owner
            .as_deref()
            .is_some_and(|owner| process::judge(owner, self.owner_process.as_deref(), self.reach))
    }

    /// The attempts with one more call, whether it executes or is answered.
    pub fn attempts_after(&self, now: Timestamp) -> u32 {
        if self.has_expired(now) { 1 } else { self.record.attempts.saturating_add(1) }
    }

    /// Whether it is finished and its time is over: as good as gone.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Completed | State::Failed) && self.record.expires_at <= now
    }

    /// Whether nobody knows if it happened. A lapsed claim whose latch is still armed is not in doubt: nothing has
    /// happened, and the next caller runs it.
    pub(super) fn is_in_doubt(&self, now: Timestamp) -> bool {
        match self.stored(now).phase {
            Phase::InDoubt => true,
            phase @ Phase::InProgress { latch, .. } => latch != Latch::Armed && phase.has_lapsed(now),
            Phase::Completed | Phase::Failed => false,
        }
    }

    /// The record as a reader sees it.
    pub fn seen(mut self, now: Timestamp) -> Record {
        if self.state == State::InProgress && self.is_in_doubt(now) {
            self.record.status = Status::InDoubt { error: None };
        }
        self.record
    }

    /// A finished record as a look-up finds it.
    pub(super) fn hit(&self, now: Timestamp) -> Option<Hit> {
        let ttl = self.record.expires_at.since(now);
        match &self.record.status {
            Status::Completed { at, result } => Some(Hit { outcome: Ok(result.clone()), executed_at: *at, ttl }),
            Status::Failed { at, failure } => Some(Hit { outcome: Err(failure.clone()), executed_at: *at, ttl }),
            Status::InProgress { .. } | Status::InDoubt { .. } => None,
        }
    }
}
