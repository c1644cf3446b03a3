//! Verbs of many keys at once, and records that come from elsewhere.

use _core::core::clock::{Span, Timestamp};
use _core::core::error::StoreError;
use _core::core::imprint::Imprint;
use _core::core::record::{Fence, Labels, Latch, Payload, Record, Status};
use _core::store::{ClaimRequest, Claimed, Ending, Hold, Limits, Restored, Selector};

use crate::world::{
    Factory, KEY, LEASE, OTHER_PARAMS, PARAMS, START, TTL, World, answer, ask, failure, hold, is_lost, json, labels,
    name, text,
};

/// What each claim of a batch got.
fn claim_many(world: &World, keys: &[&str]) -> Vec<Claimed> {
    let requests: Vec<_> = keys.iter().map(|key| world.request(key)).collect();
    let claimed = ask(world.store.claim_many(&requests));
    claimed.into_iter().map(|answer| answer.expect("the store has room")).collect()
}

fn names(claimed: &[Claimed]) -> Vec<&'static str> {
    claimed.iter().map(name).collect()
}

pub(crate) fn claims_of_a_batch_are_answered_in_order_each_as_one_alone(store: Factory) {
    let world = World::new(store);
    world.execute("a:b:done");
    world.run("a:b:busy");
    world.doubt("a:b:doubt");
    let failed = world.run("a:b:failed");
    world.finish(&failed, Ending::Fail(failure(), TTL));
    world.execute("a:b:other");
    let mut requests: Vec<_> = ["a:b:done", "a:b:new", "a:b:busy", "a:b:doubt", "a:b:failed", "a:b:other"]
        .iter()
        .map(|key| world.request(key))
        .collect();
    requests[5] = ClaimRequest { fingerprint: &OTHER_PARAMS, ..world.request("a:b:other") };
    let claimed: Vec<_> = ask(world.store.claim_many(&requests)).into_iter().map(Result::unwrap).collect();
    assert_eq!(names(&claimed), ["replay", "run", "busy", "in doubt", "replay failure", "mismatch"]);
    let Claimed::Replay { result, attempts } = &claimed[0] else { panic!("it is completed") };
    assert_eq!((text(result).as_str(), *attempts), ("a:b:done", 2));
    let hold = hold("a:b:new", &claimed[1]);
    assert!(!is_lost(&world.complete(&hold, "1")), "a claim of a batch is held as any other");
    let tally = world.tally();
    assert_eq!((tally.hits, tally.misses), (2, 6), "each is counted as one alone");
}

pub(crate) fn a_key_that_comes_twice_in_a_batch_is_busy_the_second_time(store: Factory) {
    let world = World::new(store);
    assert_eq!(names(&claim_many(&world, &[KEY, "a:b:c", KEY])), ["run", "run", "busy"]);
    assert_eq!(names(&claim_many(&world, &[])), [""; 0]);
}

pub(crate) fn a_batch_claims_what_there_is_room_for(store: Factory) {
    let world = World::limited(store, Limits { max_records: Some(2), refuse_when_full: true });
    world.execute("a:b:done");
    let requests = ["a:b:1", "a:b:2", "a:b:done"].map(|key| world.request(key));
    let claimed = ask(world.store.claim_many(&requests));
    assert!(matches!(&claimed[0], Ok(Claimed::Run(_))));
    assert!(matches!(&claimed[1], Err(StoreError::Full { size: 2, max: 2, .. })));
    assert!(matches!(&claimed[2], Ok(Claimed::Replay { .. })), "what has no room keeps nobody else from an answer");
}

pub(crate) fn a_batch_wakes_nobody_and_a_waiter_of_it_is_woken(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    let mut claimed = claim_many(&world, &["a:b:c", KEY]);
    let Some(Claimed::Busy(wait)) = claimed.pop() else { panic!("somebody is at it") };
    world.complete(&hold, "1");
    crate::support::block_on(wait);
}

pub(crate) fn a_batch_is_dispatched_and_says_which_claims_were_lost(store: Factory) {
    let world = World::new(store);
    let holds = ["a:b:kept", "a:b:cleared", "a:b:doubt"].map(|key| world.run_latched(key));
    ask(world.store.clear("a:b:cleared"));
    world.finish(&holds[2], Ending::Doubt("late".into()));
    let held = ask(world.store.dispatch_many(&holds));
    assert_eq!(held.iter().map(is_lost).collect::<Vec<_>>(), [false, true, true]);
    assert!(matches!(world.record("a:b:kept").status, Status::InProgress { latch: Latch::Dispatched, .. }));
    world.pass(30);
    assert_eq!(name(&world.claim("a:b:kept")), "in doubt");
    assert!(ask(world.store.dispatch_many(&[])).is_empty());
}

pub(crate) fn a_batch_is_looked_up_in_order_and_each_look_counts(store: Factory) {
    let world = World::new(store);
    world.execute("a:b:done");
    world.run("a:b:busy");
    let failed = world.run("a:b:failed");
    world.finish(&failed, Ending::Fail(failure(), TTL));
    let before = world.tally();
    let hits = ask(world.store.check_many(&["a:b:none", "a:b:done", "a:b:busy", "a:b:failed", "a:b:done"]));
    let found: Vec<_> = hits
        .into_iter()
        .map(|hit| hit.map(|hit| hit.outcome.map_or_else(|failure| failure.text.to_string(), |result| text(&result))))
        .collect();
    let done = Some("a:b:done".to_owned());
    assert_eq!(found, [None, done.clone(), None, Some("no".to_owned()), done]);
    let tally = world.tally();
    assert_eq!((tally.hits - before.hits, tally.misses - before.misses), (3, 2));
    assert_eq!(world.record("a:b:done").attempts, 3);
    assert!(ask(world.store.check_many(&[])).is_empty());
}

/// A record of each state, as a reader elsewhere saw it.
fn records() -> Vec<Record> {
    let at = Timestamp(START.0 - 5_000_000);
    let plain = |key: &str, status| Record {
        key: key.into(),
        labels: labels("s", "act", "tgt"),
        fingerprint: Some(PARAMS),
        fence: Fence(77),
        status,
        started_at: Timestamp(START.0 - 9_000_000),
        expires_at: START.after(TTL),
        attempts: 4,
        owner: Some("elsewhere:12".into()),
        params: Some(br#"{"a":1}"#.as_slice().into()),
        context: Some(br#"{"by":"cron"}"#.as_slice().into()),
    };
    let lease_until = START.after(LEASE);
    let bare = Record {
        labels: Labels::default(),
        fingerprint: None,
        owner: None,
        params: None,
        context: None,
        ..plain("r:bare", Status::Completed { at, result: Payload::Unavailable })
    };
    vec![
        plain("r:json", Status::Completed { at, result: json(r#"{"id":"é"}"#) }),
        plain("r:custom", Status::Completed { at, result: Payload::Custom([0, 255].as_slice().into()) }),
        plain("r:failed", Status::Failed { at, failure: failure() }),
        plain("r:doubt", Status::InDoubt { error: Some("TimeoutError: late".into()) }),
        plain("r:doubt-silent", Status::InDoubt { error: None }),
        plain("r:busy", Status::InProgress { lease_until, latch: Latch::Absent }),
        plain("r:armed", Status::InProgress { lease_until, latch: Latch::Armed }),
        plain("r:dispatched", Status::InProgress { lease_until, latch: Latch::Dispatched }),
        bare,
    ]
}

/// All that a record says but its fence.
fn said(record: &Record) -> String {
    format!("{:?}", Record { fence: Fence(0), ..record.clone() })
}

pub(crate) fn a_restored_record_is_as_it_was(store: Factory) {
    let world = World::new(store);
    let records = records();
    assert_eq!(ask(world.store.restore(records.clone())), vec![Restored::Written; records.len()]);
    for record in &records {
        let kept = world.record(&record.key);
        assert_eq!(said(&kept), said(record));
        assert_eq!(Imprint::of(&kept), Imprint::of(record));
    }
    assert_eq!(world.keys().len(), records.len());
    let tally = world.tally();
    assert_eq!((tally.finished, tally.in_progress, tally.in_doubt), (4, 3, 2));
    assert_eq!((tally.hits, tally.misses, tally.duplicates_prevented), (0, 0, 0));
    let first = records[0].started_at;
    assert_eq!((tally.oldest, tally.newest), (Some(first), Some(Timestamp(START.0 - 5_000_000))));
    assert_eq!(world.find(Selector::SignalId("s")).len(), records.len() - 1);
    assert_eq!(world.find(Selector::InDoubt), ["r:doubt", "r:doubt-silent"]);
}

pub(crate) fn a_restored_record_answers_a_claim_as_it_did(store: Factory) {
    let world = World::new(store);
    ask(world.store.restore(records()));
    let expected = [
        ("r:json", "replay"),
        ("r:failed", "replay failure"),
        ("r:doubt", "in doubt"),
        ("r:busy", "busy"),
        ("r:armed", "busy"),
    ];
    for (key, answered) in expected {
        assert_eq!(name(&world.claim(key)), answered, "{key}");
    }
    let other = ClaimRequest { fingerprint: &OTHER_PARAMS, ..world.request("r:json") };
    assert_eq!(name(&ask(world.store.claim(&other))), "mismatch");
    let any = ClaimRequest { fingerprint: &OTHER_PARAMS, ..world.request("r:bare") };
    assert_eq!(name(&ask(world.store.claim(&any))), "replay", "it has no params to differ from");
    world.pass(30);
    for (key, answered) in [("r:busy", "in doubt"), ("r:armed", "run"), ("r:dispatched", "in doubt")] {
        assert_eq!(name(&world.claim(key)), answered, "{key} after its lease");
    }
}

pub(crate) fn a_restored_record_ends_when_it_would_have(store: Factory) {
    let world = World::new(store);
    ask(world.store.restore(records()));
    world.clock.set(START.after(Span::from_micros(TTL.as_micros() - 1)));
    assert_eq!(name(&world.claim("r:json")), "replay");
    world.clock.advance(Span::from_micros(1));
    assert!(world.get("r:json").is_none());
    assert_eq!(ask(world.store.cleanup_expired()), world.cleaned(4));
    assert!(world.get("r:doubt").is_some(), "what is unfinished does not end");
}

pub(crate) fn a_record_is_restored_once(store: Factory) {
    let world = World::new(store);
    ask(world.store.restore(records()));
    let counted = Record { fence: Fence(5), attempts: 40, ..records().remove(0) };
    assert_eq!(ask(world.store.restore(vec![counted])), [Restored::Same]);
    assert_eq!(world.record("r:json").attempts, 4, "nothing is written");
    assert_eq!(ask(world.store.restore(records())), vec![Restored::Same; records().len()]);
    world.pass(30);
    assert_eq!(
        ask(world.store.restore(records())),
        vec![Restored::Same; records().len()],
        "a claim that lapsed meanwhile is the same"
    );
}

pub(crate) fn a_restored_record_never_replaces_a_live_one(store: Factory) {
    let world = World::new(store);
    let hold = world.run("r:json");
    world.doubt("r:custom");
    world.execute("r:failed");
    let restored = ask(world.store.restore(records()));
    assert_eq!(restored[..3], [Restored::Occupied; 3]);
    assert_eq!(restored[3..], vec![Restored::Written; restored.len() - 3]);
    assert!(!is_lost(&world.complete(&hold, "1")), "the claim that was there is held as before");
    assert_eq!(ask(world.store.restore(records()))[0], Restored::Occupied);
}

pub(crate) fn an_expired_record_is_not_restored_but_one_that_is_there_gives_way(store: Factory) {
    let world = World::new(store);
    let over = Record { expires_at: START, ..records().remove(0) };
    assert_eq!(ask(world.store.restore(vec![over])), [Restored::Expired]);
    assert!(world.get("r:json").is_none());
    let unfinished = Record { expires_at: START, ..records().remove(3) };
    assert_eq!(ask(world.store.restore(vec![unfinished])), [Restored::Written], "a TTL ends nothing unfinished");
    world.execute_for("r:json", Span::from_secs(1));
    world.pass(1);
    assert_eq!(ask(world.store.restore(records()))[0], Restored::Written);
    assert_eq!(text_of(&world, "r:json"), r#"{"id":"é"}"#);
}

fn text_of(world: &World, key: &str) -> String {
    let Claimed::Replay { result, .. } = world.claim(key) else { panic!("{key} is completed") };
    text(&result)
}

pub(crate) fn a_restored_record_has_a_newer_fence_than_any_before(store: Factory) {
    let world = World::new(store);
    let hold = world.run("r:busy");
    ask(world.store.clear("r:busy"));
    ask(world.store.restore(records()));
    let fence = world.record("r:busy").fence;
    assert!(fence > hold.fence);
    assert!(is_lost(&world.complete(&hold, "late")));
    let restored = Hold { key: "r:busy".into(), fence };
    assert!(!is_lost(&world.complete(&restored, "1")));
    ask(world.store.clear("r:busy"));
    assert!(world.run("r:busy").fence > fence);
}

pub(crate) fn a_store_without_room_restores_what_it_can_and_evicts_nothing(store: Factory) {
    let world = World::capped(store, 3);
    world.execute("a:b:kept");
    world.execute_for("a:b:short", Span::from_secs(1));
    world.pass(1);
    let full = answer(world.store.restore(records().into_iter().take(3).collect()));
    assert!(matches!(full, Err(StoreError::Full { size: 3, max: 3, .. })));
    assert_eq!(world.keys(), ["a:b:kept", "r:custom", "r:json"]);
    assert_eq!(world.tally().evicted, 0);
    world.store.set_limits(Limits::default());
    let again = ask(world.store.restore(records().into_iter().take(3).collect()));
    assert_eq!(again, [Restored::Same, Restored::Same, Restored::Written]);
}
