//! Removing records.

use _core::core::clock::Span;

use crate::world::{Factory, KEY, World, ask, name};

pub(crate) fn a_cleanup_removes_what_has_expired_and_nothing_else(store: Factory) {
    let world = World::new(store);
    for number in 1..=50 {
        world.execute_for(&format!("a:b:{number}"), Span::from_secs(number));
    }
    for number in 1..=20 {
        world.execute_for(&format!("a:c:{number}"), Span::from_micros(25_000_000 + number));
    }
    world.run("a:b:busy");
    world.pass(25);
    assert_eq!(ask(world.store.cleanup_expired()), world.cleaned(25));
    assert_eq!(ask(world.store.cleanup_expired()), 0);
    world.clock.advance(Span::from_micros(10));
    assert_eq!(ask(world.store.cleanup_expired()), world.cleaned(10));
    assert_eq!(world.keys().len(), 36);
}

pub(crate) fn a_cleanup_counts_what_it_removes(store: Factory) {
    let world = World::new(store);
    for number in 0..5 {
        world.execute(&format!("a:b:{number}"));
    }
    world.pass(3_600);
    ask(world.store.cleanup_expired());
    assert_eq!((world.tally().expired_cleaned, world.tally().evicted), (world.cleaned(5), 0));
}

pub(crate) fn the_oldest_finished_records_are_removed_first(store: Factory) {
    let world = World::new(store);
    let holds: Vec<_> = (0..40).map(|number| world.run(&format!("a:b:{number:02}"))).collect();
    for hold in holds.iter().rev() {
        world.clock.advance(Span::from_micros(1));
        world.complete(hold, "1");
    }
    assert_eq!(ask(world.store.remove_oldest(30)), 30);
    let left: Vec<String> = (0..10).map(|number| format!("a:b:{number:02}")).collect();
    assert_eq!(world.keys(), left, "those that began last finished first");
    assert_eq!(ask(world.store.remove_oldest(30)), 10);
    assert_eq!(world.tally().evicted, 0, "nothing had to make room");
}

pub(crate) fn removing_the_oldest_leaves_unfinished_records(store: Factory) {
    let world = World::new(store);
    world.run("a:b:busy");
    world.doubt("a:b:doubt");
    world.execute_for("a:b:expired", Span::from_secs(1));
    world.execute("a:b:old");
    world.execute("a:b:new");
    world.pass(1);
    assert_eq!(ask(world.store.remove_oldest(1)), 1, "an expired record is gone already");
    assert_eq!(world.keys(), ["a:b:busy", "a:b:doubt", "a:b:new"]);
    assert_eq!(ask(world.store.remove_oldest(u64::MAX)), 1);
    assert_eq!(ask(world.store.remove_oldest(0)), 0);
    assert_eq!(world.keys(), ["a:b:busy", "a:b:doubt"]);
}

pub(crate) fn clearing_a_key_removes_it_in_any_state(store: Factory) {
    let world = World::new(store);
    world.run("a:b:busy");
    world.doubt("a:b:doubt");
    world.execute("a:b:completed");
    for key in ["a:b:busy", "a:b:doubt", "a:b:completed"] {
        assert!(ask(world.store.clear(key)), "{key} was there");
        assert!(!ask(world.store.clear(key)), "{key} is gone");
        assert_eq!(name(&world.claim(key)), "run");
    }
}

pub(crate) fn clearing_an_expired_key_finds_nothing(store: Factory) {
    let world = World::new(store);
    world.execute(KEY);
    world.pass(3_600);
    assert!(!ask(world.store.clear(KEY)));
}

pub(crate) fn clearing_all_leaves_nothing_and_forgets_no_fence(store: Factory) {
    let world = World::new(store);
    let last = world.execute(KEY).fence;
    world.run("a:b:busy");
    world.doubt("a:b:doubt");
    world.execute_for("a:b:expired", Span::from_secs(1));
    world.pass(1);
    assert_eq!(ask(world.store.clear_all()), 3);
    assert_eq!(ask(world.store.clear_all()), 0);
    assert!(world.keys().is_empty());
    let tally = world.tally();
    assert_eq!((tally.finished, tally.in_progress, tally.in_doubt), (0, 0, 0));
    assert!(world.run(KEY).fence > last);
}
