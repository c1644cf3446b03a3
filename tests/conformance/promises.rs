//! The promises beside the table.

use _core::core::clock::Span;
use _core::core::record::{Labels, Latch, Payload, Status};
use _core::store::{ClaimRequest, Claimed, Ending, MarkRequest, Resolution, Selector};

use crate::world::{
    Factory, KEY, LEASE, OTHER_PARAMS, PARAMS, START, TTL, World, ask, failure, hold, is_lost, json, labels, name, text,
};

pub(crate) fn a_lapsed_claim_is_in_doubt_for_every_reader(store: Factory) {
    let world = World::new(store);
    world.run(KEY);
    world.pass(30);
    assert!(matches!(world.record(KEY).status, Status::InDoubt { error: None }));
    assert_eq!(world.find(Selector::InDoubt), [KEY]);
    let scanned = ask(world.store.scan(None, 10)).records;
    assert!(matches!(scanned.as_slice(), [record] if matches!(record.status, Status::InDoubt { .. })));
    let tally = world.tally();
    assert_eq!((tally.in_progress, tally.in_doubt), (0, 1));
    assert!(ask(world.store.check(KEY)).is_none());
}

pub(crate) fn a_lapsed_claim_that_was_never_dispatched_is_in_progress_for_every_reader(store: Factory) {
    let world = World::new(store);
    world.run_latched(KEY);
    world.pass(30);
    assert!(matches!(world.record(KEY).status, Status::InProgress { latch: Latch::Armed, .. }));
    assert!(world.find(Selector::InDoubt).is_empty(), "nothing has happened, so nobody need look");
    let tally = world.tally();
    assert_eq!((tally.in_progress, tally.in_doubt), (1, 0));
}

pub(crate) fn a_lapsed_claim_can_be_resolved_by_hand(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    world.pass(30);
    ask(world.store.resolve(KEY, Resolution::Executed(json("seen"), TTL)));
    assert!(is_lost(&world.complete(&hold, "late")));
    assert_eq!(name(&world.claim(KEY)), "replay");
}

pub(crate) fn a_lease_lapses_at_its_last_instant(store: Factory) {
    let world = World::new(store);
    world.run(KEY);
    world.clock.set(START.after(Span::from_micros(LEASE.as_micros() - 1)));
    assert_eq!(name(&world.claim(KEY)), "busy");
    world.clock.advance(Span::from_micros(1));
    assert_eq!(name(&world.claim(KEY)), "in doubt");
}

pub(crate) fn a_ttl_never_removes_an_unfinished_record(store: Factory) {
    let world = World::new(store);
    world.run("a:b:busy");
    world.doubt("a:b:doubt");
    world.pass(1_000_000);
    assert_eq!(ask(world.store.cleanup_expired()), 0);
    assert_eq!(world.keys(), ["a:b:busy", "a:b:doubt"]);
    assert_eq!(name(&world.claim("a:b:busy")), "in doubt");
}

pub(crate) fn a_record_expires_at_its_last_instant(store: Factory) {
    let world = World::new(store);
    world.execute(KEY);
    world.clock.set(START.after(Span::from_micros(TTL.as_micros() - 1)));
    assert_eq!(name(&world.claim(KEY)), "replay");
    world.clock.advance(Span::from_micros(1));
    assert_eq!(name(&world.claim(KEY)), "run");
}

pub(crate) fn an_expired_record_is_gone_for_every_verb(store: Factory) {
    let world = World::new(store);
    let hold = world.execute(KEY);
    world.pass(3_600);
    assert!(world.get(KEY).is_none());
    assert!(ask(world.store.check(KEY)).is_none());
    assert!(world.keys().is_empty());
    assert!(world.find(Selector::SignalId("inv-1")).is_empty());
    assert!(world.find(Selector::ExpiringWithin(TTL)).is_empty());
    assert_eq!(world.tally().finished, 0);
    assert_eq!(world.tally().oldest, None);
    assert!(is_lost(&world.complete(&hold, "late")));
    assert!(!ask(world.store.clear(KEY)));
}

pub(crate) fn a_fence_outlives_its_record(store: Factory) {
    let world = World::new(store);
    let mut last = world.execute(KEY).fence;
    let mut newer = |world: &World, how: &str| {
        let fence = world.execute(KEY).fence;
        assert!(fence > last, "a fence after {how} is newer");
        last = fence;
    };
    ask(world.store.clear(KEY));
    newer(&world, "a clear");
    world.pass(3_600);
    ask(world.store.cleanup_expired());
    newer(&world, "a cleanup");
    ask(world.store.remove_oldest(1));
    newer(&world, "a removal of the oldest");
    ask(world.store.clear_all());
    newer(&world, "a clear of all");
}

pub(crate) fn a_renewed_lease_is_counted_from_now(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    world.pass(20);
    assert!(ask(world.store.renew(&[hold], LEASE)).is_empty());
    world.pass(29);
    assert_eq!(name(&world.claim(KEY)), "busy");
    world.pass(1);
    assert_eq!(name(&world.claim(KEY)), "in doubt");
}

pub(crate) fn a_renewal_names_the_holds_that_were_lost(store: Factory) {
    let world = World::new(store);
    let holds = [world.run("a:b:kept"), world.run("a:b:cleared"), world.run("a:b:lapsed"), world.run("a:b:done")];
    ask(world.store.clear("a:b:cleared"));
    world.complete(&holds[3], "1");
    world.pass(30);
    let lost = ask(world.store.renew(&holds, LEASE));
    assert_eq!(lost, [holds[1].clone(), holds[3].clone()], "a lapsed claim that nobody took is renewed");
    assert_eq!(name(&world.claim("a:b:lapsed")), "busy");
}

pub(crate) fn marking_a_claim_makes_its_holder_stale(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    world.mark(KEY, "by hand");
    assert!(is_lost(&world.complete(&hold, "late")));
    let record = world.record(KEY);
    assert!(record.fence > hold.fence);
    assert_eq!(record.attempts, 1, "a mark is no further attempt");
    let Claimed::Replay { result, .. } = world.claim(KEY) else { panic!("it is completed") };
    assert_eq!(text(&result), "by hand");
}

pub(crate) fn marking_an_action_in_doubt_completes_it(store: Factory) {
    let world = World::new(store);
    world.doubt(KEY);
    world.mark(KEY, "by hand");
    assert!(matches!(world.record(KEY).status, Status::Completed { .. }));
    assert!(world.find(Selector::InDoubt).is_empty());
}

pub(crate) fn marking_a_completed_key_replaces_the_result_and_restarts_the_ttl(store: Factory) {
    let world = World::new(store);
    world.execute(KEY);
    world.pass(3_000);
    world.mark(KEY, "by hand");
    world.pass(3_000);
    let Claimed::Replay { result, .. } = world.claim(KEY) else { panic!("the TTL started again") };
    assert_eq!(text(&result), "by hand");
    assert_eq!(world.tally().finished, 1);
}

pub(crate) fn marking_a_new_key_completes_it(store: Factory) {
    let world = World::new(store);
    assert_eq!(world.mark(KEY, "by hand"), 0);
    let record = world.record(KEY);
    assert_eq!(record.attempts, 1);
    assert_eq!(record.labels, labels("inv-1", "create_card", "trello"));
    assert_eq!((record.started_at, record.expires_at), (START, START.after(TTL)));
    assert_eq!(record.owner.as_deref(), Some("host:1"));
    assert_eq!(name(&world.claim(KEY)), "replay");
}

pub(crate) fn a_mark_without_params_matches_any(store: Factory) {
    let world = World::new(store);
    let none = Labels::default();
    ask(world.store.mark(MarkRequest { fingerprint: None, ..world.marking(KEY, &none, "1") }));
    assert_eq!(world.record(KEY).fingerprint, None);
    for fingerprint in [&PARAMS, &OTHER_PARAMS] {
        let claimed = ask(world.store.claim(&ClaimRequest { fingerprint, ..world.request(KEY) }));
        assert_eq!(name(&claimed), "replay");
    }
    world.mark(KEY, "2");
    let request = ClaimRequest { fingerprint: &OTHER_PARAMS, ..world.request(KEY) };
    assert_eq!(name(&ask(world.store.claim(&request))), "mismatch", "a mark with params has them");
}

pub(crate) fn a_mark_replaces_the_labels(store: Factory) {
    let world = World::new(store);
    world.execute(KEY);
    let others = labels("other", "send", "slack");
    ask(world.store.mark(world.marking(KEY, &others, "1")));
    assert_eq!(world.record(KEY).labels, others);
    assert_eq!(world.find(Selector::SignalId("other")), [KEY]);
    assert!(world.find(Selector::SignalId("inv-1")).is_empty());
    let none = Labels::default();
    ask(world.store.mark(world.marking(KEY, &none, "1")));
    assert_eq!(world.record(KEY).labels, none);
    assert!(world.find(Selector::Target("slack")).is_empty());
}

pub(crate) fn a_record_says_all_that_was_claimed(store: Factory) {
    let world = World::new(store);
    let (params, context) = (br#"{"a":1}"#.as_slice(), br#"{"by":"cron"}"#.as_slice());
    let request = ClaimRequest { params: Some(params), context: Some(context), ..world.request(KEY) };
    let hold = hold(KEY, &ask(world.store.claim(&request)));
    let record = world.record(KEY);
    assert_eq!((&*record.key, record.fence, record.attempts), (KEY, hold.fence, 1));
    assert_eq!(record.labels, labels("inv-1", "create_card", "trello"));
    assert_eq!(record.fingerprint, Some(PARAMS));
    assert_eq!((record.started_at, record.expires_at), (START, START.after(TTL)));
    let Status::InProgress { lease_until, latch: Latch::Absent } = record.status else { panic!("it is in progress") };
    assert_eq!(lease_until, START.after(LEASE));
    world.complete(&hold, "1");
    let record = world.record(KEY);
    assert_eq!(record.owner.as_deref(), Some("host:1"));
    assert_eq!(record.params.as_deref(), Some(params), "the params stay when it is completed");
    assert_eq!(record.context.as_deref(), Some(context));
}

pub(crate) fn a_failure_is_kept_whole(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    world.finish(&hold, Ending::Fail(failure(), TTL));
    let Status::Failed { at, failure: kept } = world.record(KEY).status else { panic!("it failed") };
    assert_eq!((at, kept), (START, failure()));
    let hit = ask(world.store.check(KEY)).expect("a failure is an answer");
    assert_eq!(hit.outcome.err(), Some(failure()));
}

pub(crate) fn an_empty_result_is_a_result(store: Factory) {
    let world = World::new(store);
    let hold = world.run("a:b:empty");
    world.complete(&hold, "");
    let hold = world.run("a:b:unavailable");
    world.finish(&hold, Ending::Complete(Payload::Unavailable, TTL));
    let hold = world.run("a:b:custom");
    world.finish(&hold, Ending::Complete(Payload::Custom([0, 255].as_slice().into()), TTL));
    let replay = |key| match world.claim(key) {
        Claimed::Replay { result, .. } => result,
        other => panic!("{key} replays, not {}", name(&other)),
    };
    assert!(matches!(replay("a:b:empty"), Payload::Json(bytes) if bytes.is_empty()));
    assert!(matches!(replay("a:b:unavailable"), Payload::Unavailable));
    assert!(matches!(replay("a:b:custom"), Payload::Custom(bytes) if *bytes == [0, 255]));
}

pub(crate) fn keys_with_escapes_and_any_script_are_kept_apart(store: Factory) {
    let world = World::new(store);
    let keys = ["a%3Ab:c:d", "a:b%3Ac:d", "подпись:действие:цель", "'; drop table records; --", "🧾:送信:Slack"];
    for key in keys {
        world.execute(key);
    }
    for key in keys {
        let Claimed::Replay { result, attempts } = world.claim(key) else { panic!("{key} replays") };
        assert_eq!((text(&result).as_str(), attempts), (key, 2));
    }
}
