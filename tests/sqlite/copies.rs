//! Copies in this process of what is completed: never stale, and bounded.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use _core::core::clock::Span;
use _core::core::record::Payload;
use _core::store::{Claimed, Ending, Hold, Resolution, Store};

use crate::world::{Asks, Place, TTL, ask, json};

const KEY: &str = "inv-1:create_card:trello:0123456789abcdef";

#[test]
fn a_clear_by_another_is_seen_by_the_very_next_replay() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    for _ in 0..50 {
        store.execute(KEY);
        assert_eq!(store.replayed(KEY).as_deref(), Some(KEY));
        assert!(ask(other.clear(KEY)), "the other one finds it");
        assert_eq!(store.replayed(KEY), None);
    }
}

#[test]
fn a_mark_by_another_is_seen_by_the_very_next_claim() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    store.execute(KEY);
    for number in 0..50 {
        let result = number.to_string();
        ask(other.marked(KEY, &result));
        assert_eq!(store.replayed(KEY), None, "what was known is no longer");
        assert!(matches!(ask(store.claimed(KEY)), Claimed::Replay { .. }));
        assert_eq!(store.replayed(KEY), Some(result));
    }
}

#[test]
fn a_resolution_by_another_is_seen_by_the_very_next_claim() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    ask(store.finish(&store.hold(KEY), Ending::Doubt("late".into())));
    assert!(matches!(ask(store.claimed(KEY)), Claimed::InDoubt(_)));
    ask(other.resolve(KEY, Resolution::Executed(json("done"), TTL)));
    assert!(matches!(ask(store.claimed(KEY)), Claimed::Replay { .. }));
    assert_eq!(store.replayed(KEY).as_deref(), Some("done"));
}

#[test]
fn a_change_by_another_program_is_seen_by_the_very_next_replay() {
    let place = Place::new();
    let store = place.open();
    let outsider = place.outsider();
    store.execute(KEY);
    assert!(store.replayed(KEY).is_some());
    outsider.execute("DELETE FROM idempotency_records", []).expect("it can write");
    assert_eq!(store.replayed(KEY), None);
    assert!(matches!(ask(store.claimed(KEY)), Claimed::Run(_)));
}

#[test]
fn copies_outlast_what_their_own_process_writes() {
    let place = Place::new();
    let store = place.open();
    store.execute(KEY);
    (0..50).for_each(|number| store.execute(&format!("s:a:t{number}")));
    ask(store.flush());
    assert_eq!(store.replayed(KEY).as_deref(), Some(KEY));
}

#[test]
fn what_has_expired_is_not_replayed() {
    let place = Place::new();
    let store = place.open();
    store.execute_for(KEY, Span::from_secs(10));
    place.pass(9);
    assert!(store.replayed(KEY).is_some());
    place.pass(1);
    assert_eq!(store.replayed(KEY), None);
    assert!(matches!(ask(store.claimed(KEY)), Claimed::Run(_)));
}

#[test]
fn copies_take_a_bounded_part_of_the_memory() {
    const SIZE: usize = 64 << 10;
    let place = Place::new();
    let store = place.open();
    let result = Payload::Json(vec![b'1'; SIZE].into());
    let keys: Vec<String> = (0..1_000).map(|number| format!("s:a:t{number}")).collect();
    for key in &keys {
        store.complete(&store.hold(key), result.clone(), TTL);
    }
    let kept = keys.iter().filter(|key| store.replayed(key).is_some()).count();
    assert!(kept > 0 && kept * SIZE <= 32 << 20, "{kept} copies are kept");
    assert!(keys.iter().all(|key| matches!(ask(store.claimed(key)), Claimed::Replay { .. })), "none is lost");
}

#[test]
fn what_is_cleared_or_marked_over_is_never_replayed_while_others_look_at_it() {
    let place = Place::new();
    let (store, done) = (place.open(), AtomicBool::new(false));
    let change = || {
        for round in 0..1_500 {
            ask(store.marked(KEY, &round.to_string()));
            let seen = store.replayed(KEY);
            assert!(seen.is_none_or(|seen| seen == round.to_string()), "the newest mark is seen, in round {round}");
            assert!(ask(store.clear(KEY)), "it is there");
            assert_eq!(store.replayed(KEY), None, "it was cleared, in round {round}");
        }
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(ask(store.check(KEY)));
                }
            });
        }
        let changed = catch_unwind(AssertUnwindSafe(change));
        done.store(true, Ordering::Relaxed);
        changed.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

#[test]
fn a_fence_that_was_lost_completes_nothing_and_leaves_no_copy() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let hold = store.hold(KEY);
    ask(other.clear(KEY));
    let newer: Hold = other.hold(KEY);
    ask(store.finish(&hold, Ending::Complete(json("late"), TTL)));
    assert_eq!(store.replayed(KEY), None);
    other.complete(&newer, json("in time"), TTL);
    assert!(matches!(ask(store.claimed(KEY)), Claimed::Replay { .. }));
    assert_eq!(store.replayed(KEY).as_deref(), Some("in time"));
}
