//! What is counted: attempts of a record, numbers of a store.

use _core::core::clock::Span;
use _core::store::{ClaimRequest, Claimed, Ending, Tally};

use crate::world::{Factory, KEY, OTHER_PARAMS, START, TTL, World, ask, failure, hold, text};

pub(crate) fn every_answer_but_a_wait_is_an_attempt(store: Factory) {
    let world = World::new(store);
    let first = world.run(KEY);
    for _ in 0..3 {
        assert!(matches!(world.claim(KEY), Claimed::Busy(_)));
    }
    assert_eq!(world.record(KEY).attempts, 1, "a wait is none");
    ask(world.store.claim(&ClaimRequest { refuses_to_wait: true, ..world.request(KEY) }));
    assert_eq!(world.record(KEY).attempts, 2, "a refusal is one");
    ask(world.store.claim(&ClaimRequest { fingerprint: &OTHER_PARAMS, ..world.request(KEY) }));
    assert_eq!(world.record(KEY).attempts, 3, "a mismatch is one");
    world.finish(&first, Ending::Doubt("late".into()));
    world.claim(KEY);
    assert_eq!(world.record(KEY).attempts, 4, "an answer in doubt is one");
    let hold = hold(KEY, &world.take_over(KEY));
    assert_eq!(world.record(KEY).attempts, 5, "taking over is one");
    world.complete(&hold, "1");
    ask(world.store.claim(&ClaimRequest { asks_again: true, ..world.request(KEY) }));
    assert_eq!(world.record(KEY).attempts, 6, "a replay is one, after a wait too");
    ask(world.store.check(KEY));
    assert_eq!(world.record(KEY).attempts, 7, "a look that finds it is one");
}

pub(crate) fn a_check_is_a_look_that_counts_and_claims_nothing(store: Factory) {
    let world = World::new(store);
    assert!(ask(world.store.check(KEY)).is_none());
    assert!(world.get(KEY).is_none());
    let hold = world.run(KEY);
    assert!(ask(world.store.check(KEY)).is_none(), "an unfinished record is no result");
    world.complete(&hold, "1");
    world.pass(600);
    let hit = ask(world.store.check(KEY)).expect("it is completed");
    assert_eq!((hit.executed_at, hit.ttl), (START, Span::from_secs(3_000)));
    assert_eq!(hit.outcome.map(|payload| text(&payload)), Ok("1".to_owned()));
    let tally = world.tally();
    assert_eq!((tally.hits, tally.misses, tally.duplicates_prevented), (1, 3, 1));
}

pub(crate) fn a_replay_is_a_hit_and_a_run_is_a_miss(store: Factory) {
    let world = World::new(store);
    world.execute(KEY);
    world.claim(KEY);
    world.claim(KEY);
    let hold = world.run("a:b:failed");
    world.finish(&hold, Ending::Fail(failure(), TTL));
    world.claim("a:b:failed");
    let tally = world.tally();
    assert_eq!((tally.hits, tally.misses, tally.duplicates_prevented), (3, 2, 3));
}

pub(crate) fn a_caller_that_refuses_to_wait_is_a_prevented_duplicate(store: Factory) {
    let world = World::new(store);
    world.run(KEY);
    world.claim(KEY);
    assert_eq!(world.tally().duplicates_prevented, 0);
    ask(world.store.claim(&ClaimRequest { refuses_to_wait: true, ..world.request(KEY) }));
    let tally = world.tally();
    assert_eq!((tally.hits, tally.misses, tally.duplicates_prevented), (0, 1, 1));
}

pub(crate) fn a_duplicate_in_shadow_mode_is_one_that_would_have_been_prevented(store: Factory) {
    let world = World::new(store);
    let shadow =
        |key| ask(world.store.claim(&ClaimRequest { shadow: true, refuses_to_wait: true, ..world.request(key) }));
    world.run(KEY);
    assert!(matches!(shadow(KEY), Claimed::Busy(_)));
    world.execute("a:b:done");
    world.claim("a:b:done");
    for _ in 0..2 {
        assert!(matches!(shadow("a:b:done"), Claimed::Replay { .. }));
    }
    let hold = world.run("a:b:failed");
    world.finish(&hold, Ending::Fail(failure(), TTL));
    shadow("a:b:failed");
    let tally = world.tally();
    assert_eq!((tally.hits, tally.misses, tally.duplicates_prevented, tally.would_have_prevented), (4, 3, 1, 4));
    assert_eq!(world.record("a:b:done").attempts, 4, "each is an attempt");
}

pub(crate) fn a_get_counts_nothing(store: Factory) {
    let world = World::new(store);
    world.execute(KEY);
    let before = world.tally();
    world.get(KEY);
    world.get("a:b:absent");
    ask(world.store.scan(None, 10));
    assert_eq!(world.tally(), before);
    assert_eq!(world.record(KEY).attempts, 1);
}

pub(crate) fn a_tally_counts_each_state(store: Factory) {
    let world = World::new(store);
    assert_eq!(world.tally(), Tally::default());
    world.run("a:b:lapsed");
    world.pass(30);
    world.run("a:b:busy");
    world.doubt("a:b:doubt");
    world.execute_for("a:b:short", Span::from_secs(1));
    world.execute("a:b:long");
    let tally = world.tally();
    assert_eq!((tally.finished, tally.in_progress, tally.in_doubt), (2, 1, 2));
    world.pass(1);
    let tally = world.tally();
    assert_eq!((tally.finished, tally.expired_cleaned), (1, 0), "an expired record is not held, removed or not");
}

pub(crate) fn a_tally_knows_the_oldest_and_the_newest(store: Factory) {
    let world = World::new(store);
    let at = |seconds| Some(START.after(Span::from_secs(seconds)));
    for number in 0..10 {
        world.execute_for(&format!("a:b:{number}"), Span::from_secs(100 - number));
        world.pass(1);
    }
    assert_eq!((world.tally().oldest, world.tally().newest), (at(0), at(9)));
    world.run("a:b:busy");
    assert_eq!((world.tally().oldest, world.tally().newest), (at(0), at(10)));
    world.pass(88);
    assert_eq!((world.tally().oldest, world.tally().newest), (at(0), at(10)), "98 s on, all are live");
    world.pass(3);
    assert_eq!((world.tally().oldest, world.tally().newest), (at(10), at(10)), "all finished ones have expired");
}

pub(crate) fn a_reset_tally_keeps_the_records(store: Factory) {
    let world = World::new(store);
    world.execute(KEY);
    world.claim(KEY);
    ask(world.store.reset_tally());
    let tally = world.tally();
    assert_eq!((tally.finished, tally.hits, tally.misses, tally.duplicates_prevented), (1, 0, 0, 0));
    assert_eq!(world.record(KEY).attempts, 2);
}
