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

impl Decision {
    /// The latch of the claim that this grants to a caller who asks for one or not. Over an action in doubt it is never
    /// armed: the doubt is older than the claim, and must outlive a caller that dies while it settles it.
    #[must_use]
    pub const fn latch(self, asked: bool) -> Latch {
        match (asked, self) {
            (false, _) => Latch::Absent,
            (true, Self::TakeOver) => Latch::Dispatched,
            (true, _) => Latch::Armed,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::{Decision, Phase, Request, Stored, decide};
    use crate::core::clock::Timestamp;
    use crate::core::record::{Fence, Fingerprint, Latch};

    const NOW: Timestamp = Timestamp(1_000);
    const PARAMS: Fingerprint = Fingerprint([1; 32]);
    const OTHERS: Fingerprint = Fingerprint([2; 32]);
    const FENCE: Fence = Fence(7);
    const LATCHES: [Latch; 3] = [Latch::Absent, Latch::Armed, Latch::Dispatched];

    fn claimed(lease_until: i64, latch: Latch) -> Phase {
        Phase::InProgress { lease_until: Timestamp(lease_until), owner_dead: false, latch }
    }

    fn stored(phase: Phase) -> Stored<'static> {
        Stored { phase, fence: FENCE, fingerprint: Some(&PARAMS), expires_at: Timestamp(1_001) }
    }

    fn asked(phase: Phase, request: Request<'_>) -> Decision {
        decide(Some(stored(phase)), request, NOW)
    }

    fn claim(takes_over: bool) -> Request<'static> {
        Request::Claim { fingerprint: Some(&PARAMS), takes_over }
    }

    fn all_phases() -> Vec<Phase> {
        let claims = LATCHES.into_iter().flat_map(|latch| [claimed(1_001, latch), claimed(1_000, latch)]);
        claims.chain([Phase::Completed, Phase::Failed, Phase::InDoubt]).collect()
    }

    fn all_by_fence(fence: Fence) -> [Request<'static>; 6] {
        [
            Request::Renew(fence),
            Request::Dispatch(fence),
            Request::Complete(fence),
            Request::Fail(fence),
            Request::Doubt(fence),
            Request::Release(fence),
        ]
    }

    #[test]
    fn nothing_stored_runs_and_has_nothing_else_to_give() {
        assert_eq!(decide(None, claim(false), NOW), Decision::Run);
        assert_eq!(decide(None, Request::Mark, NOW), Decision::CompleteAnew);
        for request in [Request::ResolveExecuted, Request::ResolveNotExecuted] {
            assert_eq!(decide(None, request, NOW), Decision::NotInDoubt);
        }
        for request in all_by_fence(FENCE) {
            assert_eq!(decide(None, request, NOW), Decision::Stale, "{request:?}");
        }
    }

    #[test]
    fn an_expired_record_is_as_nothing() {
        for phase in [Phase::Completed, Phase::Failed] {
            let expired = Some(Stored { expires_at: NOW, ..stored(phase) });
            assert_eq!(decide(expired, claim(false), NOW), Decision::Run);
            let others = Request::Claim { fingerprint: Some(&OTHERS), takes_over: false };
            assert_eq!(decide(expired, others, NOW), Decision::Run);
        }
    }

    #[test]
    fn a_ttl_never_ends_an_unfinished_record() {
        for (phase, decision) in [(claimed(1_001, Latch::Absent), Decision::Busy), (Phase::InDoubt, Decision::InDoubt)]
        {
            let old = Some(Stored { expires_at: Timestamp(0), ..stored(phase) });
            assert_eq!(decide(old, claim(false), NOW), decision);
        }
    }

    #[test]
    fn other_params_are_a_mismatch_before_the_state_is_looked_at() {
        for phase in all_phases() {
            let others = Request::Claim { fingerprint: Some(&OTHERS), takes_over: true };
            assert_eq!(asked(phase, others), Decision::Mismatch, "{phase:?}");
        }
    }

    #[test]
    fn params_that_one_side_does_not_have_always_match() {
        let unchecked = Request::Claim { fingerprint: None, takes_over: false };
        assert_eq!(asked(Phase::Completed, unchecked), Decision::Replay);
        let any = Some(Stored { fingerprint: None, ..stored(Phase::Completed) });
        assert_eq!(decide(any, claim(false), NOW), Decision::Replay);
    }

    #[test]
    fn a_claim_of_a_finished_record_replays_it() {
        assert_eq!(asked(Phase::Completed, claim(true)), Decision::Replay);
        assert_eq!(asked(Phase::Failed, claim(true)), Decision::ReplayFailure);
    }

    #[test]
    fn a_claim_of_a_live_claim_is_busy_whatever_the_latch() {
        for latch in LATCHES {
            assert_eq!(asked(claimed(1_001, latch), claim(true)), Decision::Busy);
        }
    }

    #[test]
    fn a_lapsed_claim_is_in_doubt_but_where_nothing_was_dispatched() {
        for (latch, plain, taking_over) in [
            (Latch::Absent, Decision::InDoubt, Decision::TakeOver),
            (Latch::Dispatched, Decision::InDoubt, Decision::TakeOver),
            (Latch::Armed, Decision::Run, Decision::Run),
        ] {
            assert_eq!(asked(claimed(1_000, latch), claim(false)), plain);
            assert_eq!(asked(claimed(1_000, latch), claim(true)), taking_over);
        }
    }

    #[test]
    fn a_dead_owner_has_lapsed_before_its_lease() {
        let dead = Phase::InProgress { lease_until: Timestamp(9_999), owner_dead: true, latch: Latch::Absent };
        assert!(dead.has_lapsed(NOW));
        assert_eq!(asked(dead, claim(false)), Decision::InDoubt);
        assert_eq!(asked(dead, Request::Complete(FENCE)), Decision::Complete, "its last word still counts");
    }

    #[test]
    fn an_action_in_doubt_is_met_or_taken_over() {
        assert_eq!(asked(Phase::InDoubt, claim(false)), Decision::InDoubt);
        assert_eq!(asked(Phase::InDoubt, claim(true)), Decision::TakeOver);
    }

    #[test]
    fn a_holder_does_what_it_likes_while_in_progress_lapsed_or_not() {
        let decisions = [
            Decision::Extend,
            Decision::Dispatched,
            Decision::Complete,
            Decision::Fail,
            Decision::Doubt,
            Decision::Remove,
        ];
        for lease_until in [1_001, 1_000] {
            for latch in LATCHES {
                let got = all_by_fence(FENCE).map(|request| asked(claimed(lease_until, latch), request));
                assert_eq!(got, decisions);
            }
        }
    }

    #[test]
    fn a_holder_in_doubt_may_only_say_what_it_knows() {
        let got = all_by_fence(FENCE).map(|request| asked(Phase::InDoubt, request));
        let (stale, said) = got.split_at(2);
        assert_eq!(stale, [Decision::Stale; 2]);
        assert_eq!(said, [Decision::Complete, Decision::Fail, Decision::Doubt, Decision::Remove]);
    }

    #[test]
    fn a_finished_record_has_no_holder() {
        for phase in [Phase::Completed, Phase::Failed] {
            assert_eq!(all_by_fence(FENCE).map(|request| asked(phase, request)), [Decision::Stale; 6]);
        }
    }

    #[test]
    fn any_other_fence_is_stale_in_every_state() {
        for phase in all_phases() {
            for fence in [Fence(6), Fence(8)] {
                assert_eq!(all_by_fence(fence).map(|request| asked(phase, request)), [Decision::Stale; 6]);
            }
        }
    }

    #[test]
    fn a_mark_completes_anew_whatever_is_there() {
        for phase in all_phases() {
            assert_eq!(asked(phase, Request::Mark), Decision::CompleteAnew, "{phase:?}");
        }
    }

    #[test]
    fn only_what_is_in_doubt_can_be_resolved() {
        for phase in all_phases() {
            let resolvable = phase == Phase::InDoubt || phase.has_lapsed(NOW);
            let expected = if resolvable {
                [Decision::CompleteAnew, Decision::Remove]
            } else {
                [Decision::NotInDoubt, Decision::NotInDoubt]
            };
            let got = [Request::ResolveExecuted, Request::ResolveNotExecuted].map(|request| asked(phase, request));
            assert_eq!(got, expected, "{phase:?}");
        }
    }
}
