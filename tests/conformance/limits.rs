//! A store with a cap.

use _core::core::clock::Span;
use _core::core::error::StoreError;
use _core::store::{Claimed, Limits};

use crate::world::{Factory, TTL, World, answer, labels, name};

fn fill(world: &World, count: usize) {
    for number in 0..count {
        world.execute(&format!("a:b:{number:03}"));
    }
}

fn is_full(world: &World, key: &str) -> bool {
    matches!(answer(world.store.claim(&world.request(key))), Err(StoreError::Full { .. }))
}

pub(crate) fn a_full_store_drops_its_oldest_fifth_for_a_new_key(store: Factory) {
    let world = World::capped(store, 100);
    fill(&world, 100);
    let Claimed::Run(begun) = world.claim("new:b:c") else { panic!("room was made") };
    assert_eq!(begun.evicted, 20);
    let keys = world.keys();
    assert_eq!((keys.len(), keys[0].as_str()), (81, "a:b:020"));
    assert_eq!((world.tally().evicted, world.tally().expired_cleaned), (20, 0));
    let Claimed::Run(begun) = world.claim("newer:b:c") else { panic!("there is room") };
    assert_eq!(begun.evicted, 0, "a burst costs one eviction");
}

pub(crate) fn a_full_store_drops_at_least_one(store: Factory) {
    let world = World::capped(store, 2);
    fill(&world, 10);
    assert_eq!(world.keys(), ["a:b:008", "a:b:009"]);
    assert_eq!(world.tally().evicted, 8);
}

pub(crate) fn a_mark_of_a_new_key_makes_room_too(store: Factory) {
    let world = World::capped(store, 10);
    fill(&world, 10);
    assert_eq!(world.mark("new:b:c", "1"), 2);
    assert_eq!(world.mark("new:b:c", "2"), 0, "the key is known now");
    assert_eq!(world.keys().len(), 9);
}

pub(crate) fn a_full_store_removes_what_has_expired_before_it_drops_anything(store: Factory) {
    let world = World::capped(store, 10);
    fill(&world, 9);
    world.execute_for("a:b:short", Span::from_secs(1));
    world.pass(1);
    let Claimed::Run(begun) = world.claim("new:b:c") else { panic!("room was made") };
    assert_eq!(begun.evicted, 0);
    assert_eq!((world.tally().evicted, world.tally().finished), (0, 9));
}

pub(crate) fn a_full_store_never_drops_an_unfinished_record(store: Factory) {
    let world = World::capped(store, 4);
    world.run("a:b:busy");
    world.doubt("a:b:doubt");
    world.run("a:b:lapsed");
    world.pass(1_000);
    world.execute("a:b:done");
    world.run("a:b:new");
    assert!(is_full(&world, "a:b:newer"), "nothing finished is left to drop");
    let marked = answer(world.store.mark(world.marking("a:b:newest", &labels("a", "b", "newest"), "1")));
    assert!(matches!(marked, Err(StoreError::Full { size: 4, max: 4, .. })));
    assert_eq!(world.keys(), ["a:b:busy", "a:b:doubt", "a:b:lapsed", "a:b:new"]);
    assert_eq!(world.tally().misses, 5, "a refused claim is no look-up");
}

pub(crate) fn a_full_store_that_refuses_drops_nothing(store: Factory) {
    let world = World::limited(store, Limits { max_records: Some(10), refuse_when_full: true });
    fill(&world, 10);
    assert!(is_full(&world, "new:b:c"));
    assert_eq!((world.keys().len(), world.tally().evicted), (10, 0));
    world.clock.advance(TTL);
    assert!(!is_full(&world, "new:b:c"), "what has expired takes no room");
}

pub(crate) fn a_known_key_needs_no_room(store: Factory) {
    let world = World::limited(store, Limits { max_records: Some(3), refuse_when_full: true });
    world.execute("a:b:done");
    world.doubt("a:b:doubt");
    world.execute_for("a:b:expired", Span::from_secs(1));
    world.pass(1);
    assert_eq!(name(&world.claim("a:b:done")), "replay");
    assert_eq!(name(&world.take_over("a:b:doubt")), "take over");
    assert_eq!(name(&world.claim("a:b:expired")), "run");
    assert_eq!(world.mark("a:b:done", "2"), 0);
    assert!(is_full(&world, "new:b:c"));
}

pub(crate) fn a_lower_cap_holds_from_the_next_new_key_on(store: Factory) {
    let world = World::new(store);
    fill(&world, 30);
    world.store.set_limits(Limits { max_records: Some(10), refuse_when_full: false });
    assert_eq!(world.keys().len(), 30, "a new cap drops nothing by itself");
    assert_eq!(name(&world.claim("a:b:029")), "replay");
    let Claimed::Run(begun) = world.claim("new:b:c") else { panic!("room was made") };
    assert_eq!(begun.evicted, 22, "what is over the cap, and a fifth of the cap");
    assert_eq!(world.keys().len(), 9);
}

pub(crate) fn a_store_without_a_cap_is_never_full(store: Factory) {
    let world = World::capped(store, 1);
    world.store.set_limits(Limits::default());
    fill(&world, 100);
    assert_eq!((world.keys().len(), world.tally().evicted), (100, 0));
}
