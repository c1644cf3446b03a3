//! The transition table: one pure function from what is stored, what is asked and the time to what follows.
//!
//! The stores inside this process call [`decide`]; scripts and statements of the others restate it, and one
//! conformance suite, a case for each row, runs against all of them.

use super::clock::Timestamp;
use super::record::{Fence, Fingerprint, Latch};

/// As much of a stored record as the table looks at.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Where the record stands.
    pub phase: Phase,
    /// The newest claim's fence.
    pub fence: Fence,
    /// The digest of its params, where it has one.
    pub fingerprint: Option<&'a Fingerprint>,
    /// When it ends, if it is finished.
    pub expires_at: Timestamp,
}

/// A record's state, with what the table asks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Claimed.
    InProgress {
        /// When the claim is no longer believed.
        lease_until: Timestamp,
        /// Whether the owner's process is known to have ended.
        owner_dead: bool,
        /// Whether the effect may have happened.
        latch: Latch,
    },
    /// Done.
    Completed,
    /// Finished with an exception that is an answer.
    Failed,
    /// Started, never finished.
    InDoubt,
}

impl Phase {
    /// Whether it is over: only then does a TTL or an eviction end it.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// Whether a claim in progress is no longer believed.
    pub fn has_lapsed(self, now: Timestamp) -> bool {
        matches!(self, Self::InProgress { lease_until, owner_dead, .. } if owner_dead || lease_until <= now)
    }
}

/// What is asked of a key.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// The right to execute.
    Claim {
        /// The digest of the params, where they must match the stored ones.
        fingerprint: Option<&'a Fingerprint>,
        /// Whether the caller will settle or retry an action in doubt.
        takes_over: bool,
    },
    /// A longer lease.
    Renew(Fence),
    /// "The effect may happen from here on."
    Dispatch(Fence),
    /// To keep a result.
    Complete(Fence),
    /// To keep an exception as the answer.
    Fail(Fence),
    /// To say that nobody knows.
    Doubt(Fence),
    /// To say that nothing happened.
    Release(Fence),
    /// A result by hand, whatever the state.
    Mark,
    /// A person's word on an action in doubt: it happened.
    ResolveExecuted,
    /// A person's word on an action in doubt: it did not happen.
    ResolveNotExecuted,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// In progress under a new fence: run.
    Run,
    /// In progress under a new fence, over an action in doubt: reconcile or run again.
    TakeOver,
    /// Nothing written: hand out the result.
    Replay,
    /// Nothing written: hand out the failure.
    ReplayFailure,
    /// Nothing written: somebody is at it.
    Busy,
    /// Nothing written: nobody knows whether it happened.
    InDoubt,
    /// Nothing written: the live record is of other params.
    Mismatch,
    /// The same claim with a new lease.
    Extend,
    /// The same claim, its latch released.
    Dispatched,
    /// Completed under the same fence; the TTL starts now.
    Complete,
    /// Completed under a new fence, so that a late holder is stale; the TTL starts now.
    CompleteAnew,
    /// Failed under the same fence; the TTL starts now.
    Fail,
    /// In doubt under the same fence.
    Doubt,
    /// Gone; the fence counter stays.
    Remove,
    /// Nothing written: another claim, or a person, has taken it away.
    Stale,
    /// Nothing written: only a record in doubt can be resolved.
    NotInDoubt,
}

/// The table. `stored` is what the store has of the key, expired or not.
pub fn decide(stored: Option<Stored<'_>>, request: Request<'_>, now: Timestamp) -> Decision {
    let live = stored.filter(|record| !record.phase.is_finished() || now < record.expires_at);
    match request {
        Request::Claim { fingerprint, takes_over } => {
            live.map_or(Decision::Run, |record| claim(record, fingerprint, takes_over, now))
        }
        Request::Mark => Decision::CompleteAnew,
        Request::ResolveExecuted | Request::ResolveNotExecuted => match live {
            Some(Stored { phase, .. }) if phase == Phase::InDoubt || phase.has_lapsed(now) => match request {
                Request::ResolveExecuted => Decision::CompleteAnew,
                _ => Decision::Remove,
            },
            _ => Decision::NotInDoubt,
        },
        Request::Renew(fence)
        | Request::Dispatch(fence)
        | Request::Complete(fence)
        | Request::Fail(fence)
        | Request::Doubt(fence)
        | Request::Release(fence) => {
            live.filter(|record| record.fence == fence).map_or(Decision::Stale, |record| hold(record.phase, request))
        }
    }
}

fn claim(record: Stored<'_>, fingerprint: Option<&Fingerprint>, takes_over: bool, now: Timestamp) -> Decision {
    if let (Some(asked), Some(kept)) = (fingerprint, record.fingerprint)
        && asked != kept
    {
        return Decision::Mismatch;
    }
    match record.phase {
        Phase::Completed => Decision::Replay,
        Phase::Failed => Decision::ReplayFailure,
        Phase::InProgress { latch, .. } if record.phase.has_lapsed(now) => match latch {
            Latch::Armed => Decision::Run,
            Latch::Absent | Latch::Dispatched => in_doubt(takes_over),
        },
        Phase::InProgress { .. } => Decision::Busy,
        Phase::InDoubt => in_doubt(takes_over),
    }
}

const fn in_doubt(takes_over: bool) -> Decision {
    if takes_over { Decision::TakeOver } else { Decision::InDoubt }
}

/// What the holder of the newest fence may do: everything while in progress, lapsed or not; once in doubt,
/// it may still say what it knows after all.
const fn hold(phase: Phase, request: Request<'_>) -> Decision {
    match (phase, request) {
        (Phase::Completed | Phase::Failed, _) => Decision::Stale,
        (Phase::InProgress { .. }, Request::Renew(_)) => Decision::Extend,
        (Phase::InProgress { .. }, Request::Dispatch(_)) => Decision::Dispatched,
        (_, Request::Complete(_)) => Decision::Complete,
        (_, Request::Fail(_)) => Decision::Fail,
        (_, Request::Doubt(_)) => Decision::Doubt,
        (_, Request::Release(_)) => Decision::Remove,
        _ => Decision::Stale,
    }
}
