//! The rows of the transition table.

use _core::core::clock::Span;
use _core::core::error::StoreError;
use _core::core::record::Status;
use _core::store::{ClaimRequest, Claimed, Ending, Held, Hold, Resolution};

use crate::world::{
    Factory, KEY, OTHER_PARAMS, START, TTL, World, answer, ask, failure, hold, is_lost, json, name, text,
};

pub(crate) fn a_claim_of_nothing_runs(store: Factory) {
    let world = World::new(store);
    let Claimed::Run(begun) = world.claim(KEY) else { panic!("a new key runs") };
    assert_eq!((begun.attempts, begun.evicted), (1, 0));
    assert!(matches!(world.record(KEY).status, Status::InProgress { .. }));
}

pub(crate) fn a_claim_of_an_expired_record_runs_under_a_newer_fence(store: Factory) {
    let world = World::new(store);
    let before = world.execute(KEY);
    world.pass(3_600);
    let Claimed::Run(begun) = world.claim(KEY) else { panic!("an expired key runs") };
    assert!(begun.fence > before.fence);
    assert_eq!(begun.attempts, 1, "an expired record's attempts are gone with it");
}

pub(crate) fn a_claim_with_other_params_is_a_mismatch_in_every_state(store: Factory) {
    let world = World::new(store);
    world.run("a:b:busy");
    world.execute("a:b:completed");
    let hold = world.run("a:b:failed");
    world.finish(&hold, Ending::Fail(failure(), TTL));
    world.doubt("a:b:doubt");
    for key in ["a:b:busy", "a:b:completed", "a:b:failed", "a:b:doubt"] {
        let request = ClaimRequest { fingerprint: &OTHER_PARAMS, takes_over: true, ..world.request(key) };
        let claimed = ask(world.store.claim(&request));
        let Claimed::Mismatch(record) = claimed else { panic!("{key} is a mismatch, not {}", name(&claimed)) };
        assert_eq!(&*record.key, key);
    }
}

pub(crate) fn a_claim_that_does_not_check_params_never_mismatches(store: Factory) {
    let world = World::new(store);
    world.execute(KEY);
    let request = ClaimRequest { fingerprint: &OTHER_PARAMS, check_params: false, ..world.request(KEY) };
    assert_eq!(name(&ask(world.store.claim(&request))), "replay");
}

pub(crate) fn a_claim_of_a_completed_record_replays_it(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    world.complete(&hold, r#"{"card":1}"#);
    for attempt in 2..5 {
        let Claimed::Replay { result, attempts } = world.claim(KEY) else { panic!("a completed key replays") };
        assert_eq!((text(&result).as_str(), attempts), (r#"{"card":1}"#, attempt));
    }
}

pub(crate) fn a_claim_of_a_failed_record_replays_the_failure(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    world.finish(&hold, Ending::Fail(failure(), TTL));
    let Claimed::ReplayFailure { failure: replayed, attempts } = world.claim(KEY) else {
        panic!("a failed key replays its failure")
    };
    assert_eq!((replayed, attempts), (failure(), 2));
}

pub(crate) fn a_claim_of_a_live_claim_is_busy(store: Factory) {
    let world = World::new(store);
    world.run(KEY);
    world.pass(29);
    assert_eq!(name(&world.claim(KEY)), "busy");
    assert_eq!(name(&world.take_over(KEY)), "busy", "a live claim is nobody's to take over");
}

pub(crate) fn a_claim_of_a_lapsed_claim_meets_an_action_in_doubt(store: Factory) {
    let world = World::new(store);
    world.run(KEY);
    world.pass(30);
    let Claimed::InDoubt(record) = world.claim(KEY) else { panic!("a lapsed claim is in doubt") };
    assert!(matches!(record.status, Status::InDoubt { error: None }));
    assert_eq!(record.attempts, 2);
}

pub(crate) fn a_taker_over_gets_a_lapsed_claim(store: Factory) {
    let world = World::new(store);
    let before = world.run(KEY);
    world.pass(30);
    let Claimed::TakeOver(begun, record) = world.take_over(KEY) else { panic!("a lapsed claim can be taken over") };
    assert!(begun.fence > before.fence);
    assert_eq!((record.fence, record.attempts, begun.attempts), (before.fence, 1, 2));
    assert!(matches!(world.record(KEY).status, Status::InProgress { .. }));
    assert_eq!(name(&world.take_over(KEY)), "busy", "two callers never reconcile at once");
}

pub(crate) fn a_taker_over_keeps_the_time_since_when_the_effect_may_have_happened(store: Factory) {
    let world = World::new(store);
    world.run(KEY);
    world.pass(30);
    let Claimed::TakeOver(begun, _) = world.take_over(KEY) else { panic!("a lapsed claim can be taken over") };
    assert_eq!(world.record(KEY).started_at, START);
    let hold = Hold { key: KEY.into(), fence: begun.fence };
    ask(world.store.finish(&hold, Ending::Doubt("the reconciler failed".into())));
    assert_eq!(world.record(KEY).started_at, START, "the next reconciler must look as far back");
}

pub(crate) fn a_claim_of_a_lapsed_claim_that_was_never_dispatched_runs(store: Factory) {
    let world = World::new(store);
    let before = world.run_latched(KEY);
    world.pass(30);
    let Claimed::Run(begun) = world.claim(KEY) else { panic!("nothing has happened, so it runs") };
    assert!(begun.fence > before.fence);
    assert_eq!(begun.attempts, 2);
    assert!(is_lost(&world.complete(&before, "late")));
}

pub(crate) fn a_claim_of_a_lapsed_claim_that_was_dispatched_meets_an_action_in_doubt(store: Factory) {
    let world = World::new(store);
    let hold = world.run_latched(KEY);
    assert!(!is_lost(&ask(world.store.dispatch(&hold))));
    world.pass(30);
    assert_eq!(name(&world.claim(KEY)), "in doubt");
}

pub(crate) fn a_doubt_outlives_a_taker_over_with_a_latch_that_dies_before_it_has_settled_it(store: Factory) {
    let world = World::new(store);
    world.doubt(KEY);
    let claimed = ask(world.store.claim(&ClaimRequest { latch: true, takes_over: true, ..world.request(KEY) }));
    assert_eq!(name(&claimed), "take over");
    world.pass(30);
    assert_eq!(name(&world.claim(KEY)), "in doubt", "the first effect may have happened, and nobody has found out");
}

pub(crate) fn a_claim_of_an_action_in_doubt_meets_it(store: Factory) {
    let world = World::new(store);
    world.doubt(KEY);
    let Claimed::InDoubt(record) = world.claim(KEY) else { panic!("it is in doubt") };
    let Status::InDoubt { error: Some(error) } = record.status else { panic!("its text is kept") };
    assert_eq!(&*error, "TimeoutError: late");
}

pub(crate) fn a_taker_over_gets_an_action_in_doubt(store: Factory) {
    let world = World::new(store);
    let before = world.doubt(KEY);
    let claimed = world.take_over(KEY);
    assert_eq!(name(&claimed), "take over");
    let hold = hold(KEY, &claimed);
    assert!(hold.fence > before.fence);
    assert!(is_lost(&world.complete(&before, "late")), "the one that left it in doubt is stale now");
    assert!(!is_lost(&world.complete(&hold, "found")));
    assert_eq!(name(&world.claim(KEY)), "replay");
}

pub(crate) fn a_holder_completes_its_claim_and_the_ttl_starts_then(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    world.pass(20);
    assert!(!is_lost(&world.complete(&hold, "1")));
    let record = world.record(KEY);
    let Status::Completed { at, .. } = record.status else { panic!("it is completed") };
    assert_eq!(at.since(record.started_at), Span::from_secs(20));
    assert_eq!(record.expires_at, at.after(TTL));
    assert_eq!(record.fence, hold.fence);
}

pub(crate) fn a_holder_completes_its_claim_after_the_lease_has_lapsed(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    world.pass(300);
    assert!(!is_lost(&world.complete(&hold, "1")));
    assert_eq!(name(&world.claim(KEY)), "replay");
}

pub(crate) fn a_holder_with_a_stale_fence_writes_nothing(store: Factory) {
    let world = World::new(store);
    let stale = world.run(KEY);
    world.pass(30);
    let newer = hold(KEY, &world.take_over(KEY));
    for ending in [
        Ending::Complete(json("late"), TTL),
        Ending::Fail(failure(), TTL),
        Ending::Doubt("late".into()),
        Ending::Release,
    ] {
        let Held::Lost(Some(record)) = world.finish(&stale, ending) else { panic!("a stale holder has lost") };
        assert_eq!(record.fence, newer.fence, "it is told what is stored now");
    }
    assert!(is_lost(&ask(world.store.dispatch(&stale))));
    assert_eq!(ask(world.store.renew(std::slice::from_ref(&stale), TTL)), vec![stale]);
    assert!(!is_lost(&world.complete(&newer, "1")), "the newest holder noticed nothing");
}

pub(crate) fn a_holder_releases_its_claim_and_the_next_one_runs(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    assert!(!is_lost(&world.finish(&hold, Ending::Release)));
    assert!(world.get(KEY).is_none());
    assert!(world.run(KEY).fence > hold.fence);
}

pub(crate) fn a_holder_leaves_its_claim_in_doubt_with_the_text(store: Factory) {
    let world = World::new(store);
    let hold = world.doubt(KEY);
    let record = world.record(KEY);
    assert!(matches!(&record.status, Status::InDoubt { error: Some(error) } if &**error == "TimeoutError: late"));
    assert_eq!(record.fence, hold.fence);
}

pub(crate) fn a_holder_in_doubt_completes_after_all(store: Factory) {
    let world = World::new(store);
    let hold = world.doubt(KEY);
    assert!(!is_lost(&world.complete(&hold, "after all")));
    let Claimed::Replay { result, .. } = world.claim(KEY) else { panic!("it is completed") };
    assert_eq!(text(&result), "after all");
}

pub(crate) fn a_holder_in_doubt_renews_and_dispatches_nothing(store: Factory) {
    let world = World::new(store);
    let hold = world.doubt(KEY);
    assert!(is_lost(&ask(world.store.dispatch(&hold))));
    assert_eq!(ask(world.store.renew(std::slice::from_ref(&hold), TTL)), vec![hold]);
    assert!(matches!(world.record(KEY).status, Status::InDoubt { .. }));
}

pub(crate) fn a_holder_whose_claim_was_cleared_writes_nothing(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    assert!(ask(world.store.clear(KEY)));
    assert!(matches!(world.complete(&hold, "late"), Held::Lost(None)));
    assert!(matches!(world.finish(&hold, Ending::Release), Held::Lost(None)));
    assert_eq!(ask(world.store.renew(std::slice::from_ref(&hold), TTL)), vec![hold.clone()]);
    assert!(world.get(KEY).is_none());
    world.run(KEY);
    assert!(is_lost(&world.complete(&hold, "late")), "a new claim has a fence of its own");
}

pub(crate) fn a_finished_claim_is_finished_once(store: Factory) {
    let world = World::new(store);
    let hold = world.execute(KEY);
    assert!(is_lost(&world.complete(&hold, "again")));
    assert!(is_lost(&world.finish(&hold, Ending::Release)));
    assert!(is_lost(&world.finish(&hold, Ending::Doubt("late".into()))));
    let Claimed::Replay { result, .. } = world.claim(KEY) else { panic!("it is completed") };
    assert_eq!(text(&result), KEY);
}

pub(crate) fn a_person_resolves_an_action_in_doubt_with_a_result(store: Factory) {
    let world = World::new(store);
    let hold = world.doubt(KEY);
    world.pass(5);
    ask(world.store.resolve(KEY, Resolution::Executed(json("seen"), TTL)));
    let record = world.record(KEY);
    let Status::Completed { at, result } = record.status else { panic!("it is completed") };
    assert_eq!((text(&result).as_str(), record.expires_at), ("seen", at.after(TTL)));
    assert!(record.fence > hold.fence);
    assert!(is_lost(&world.complete(&hold, "late")), "a late holder is stale");
}

pub(crate) fn a_person_resolves_an_action_in_doubt_as_not_executed(store: Factory) {
    let world = World::new(store);
    let hold = world.doubt(KEY);
    ask(world.store.resolve(KEY, Resolution::NotExecuted));
    assert!(world.get(KEY).is_none());
    assert!(world.run(KEY).fence > hold.fence);
}

pub(crate) fn nothing_but_an_action_in_doubt_can_be_resolved(store: Factory) {
    let world = World::new(store);
    world.run("a:b:busy");
    world.execute("a:b:completed");
    for key in ["a:b:busy", "a:b:completed", "a:b:absent"] {
        for word in [Resolution::Executed(json("1"), TTL), Resolution::NotExecuted] {
            let refused = answer(world.store.resolve(key, word));
            assert!(matches!(refused, Err(StoreError::NotInDoubt { .. })), "{key} can't be resolved: {refused:?}");
        }
    }
    assert_eq!(world.keys(), ["a:b:busy", "a:b:completed"]);
}
