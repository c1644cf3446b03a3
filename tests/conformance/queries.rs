//! Finding records.

use _core::core::clock::Span;
use _core::core::record::{Labels, Payload, Record, Status};
use _core::store::glance::ENDING;
use _core::store::{Ending, Glance, Selector};

use crate::world::{Factory, World, ask, labels};

pub(crate) fn records_are_found_by_action_type_target_and_signal(store: Factory) {
    let world = World::new(store);
    for key in ["s1:create:trello", "s1:send:slack", "s2:create:jira"] {
        world.execute(key);
    }
    world.run("s3:create:trello");
    world.doubt("s3:send:slack");
    assert_eq!(world.find(Selector::ActionType("create")), ["s1:create:trello", "s2:create:jira", "s3:create:trello"]);
    assert_eq!(world.find(Selector::Target("slack")), ["s1:send:slack", "s3:send:slack"]);
    assert_eq!(world.find(Selector::SignalId("s1")), ["s1:create:trello", "s1:send:slack"]);
    assert!(world.find(Selector::SignalId("s")).is_empty(), "a part of a name is another name");
    assert!(world.find(Selector::ActionType("trello")).is_empty());
}

pub(crate) fn a_label_that_the_key_does_not_have_finds_its_record(store: Factory) {
    let world = World::new(store);
    let given = labels("a:b", "own", "place");
    ask(world.store.mark(world.marking("no key at all", &given, "1")));
    let partial = Labels { signal_id: None, ..labels("", "own", "place") };
    ask(world.store.mark(world.marking("s1:create:trello", &partial, "1")));
    ask(world.store.mark(world.marking("a%3Ab:create:trello", &labels("a:b", "create", "trello"), "1")));
    assert_eq!(world.find(Selector::SignalId("a:b")), ["a%3Ab:create:trello", "no key at all"]);
    assert_eq!(world.find(Selector::ActionType("own")), ["no key at all", "s1:create:trello"]);
    assert!(world.find(Selector::SignalId("s1")).is_empty(), "the key's own part is no label");
    assert_eq!(world.record("a%3Ab:create:trello").labels, labels("a:b", "create", "trello"));
    ask(world.store.clear("no key at all"));
    assert_eq!(world.find(Selector::SignalId("a:b")), ["a%3Ab:create:trello"]);
}

pub(crate) fn a_removed_record_is_not_found(store: Factory) {
    let world = World::new(store);
    for number in 0..20 {
        world.execute(&format!("s:a:t{number}"));
    }
    for number in 0..20 {
        assert_eq!(world.find(Selector::SignalId("s")).len(), 20 - number);
        ask(world.store.clear(&format!("s:a:t{number}")));
        assert!(world.find(Selector::Target(&format!("t{number}"))).is_empty());
    }
    assert!(world.find(Selector::ActionType("a")).is_empty());
    let hold = world.run("s:a:t");
    world.finish(&hold, Ending::Release);
    assert!(world.find(Selector::SignalId("s")).is_empty());
}

pub(crate) fn actions_in_doubt_are_found_lapsed_claims_included(store: Factory) {
    let world = World::new(store);
    world.run("a:b:lapsed");
    world.pass(30);
    world.doubt("a:b:doubt");
    world.run("a:b:busy");
    world.execute("a:b:completed");
    assert_eq!(world.find(Selector::InDoubt), ["a:b:doubt", "a:b:lapsed"]);
}

pub(crate) fn records_that_expire_soon_are_found_the_next_to_end_first(store: Factory) {
    let world = World::new(store);
    for (key, seconds) in [("a:b:3", 300), ("a:b:1", 100), ("a:b:2", 200), ("a:b:4", 400)] {
        world.execute_for(key, Span::from_secs(seconds));
    }
    world.run("a:b:busy");
    let within = |seconds| ask(world.store.find(Selector::ExpiringWithin(Span::from_secs(seconds))));
    assert_eq!(within(300), ["a:b:1", "a:b:2", "a:b:3"].map(Box::from));
    assert_eq!(within(299), ["a:b:1", "a:b:2"].map(Box::from));
    world.pass(150);
    assert_eq!(within(50), ["a:b:2"].map(Box::from), "one has expired");
    assert_eq!(ask(world.store.find(Selector::ExpiringWithin(Span::MAX))).len(), 3);
}

pub(crate) fn a_scan_finds_each_record_once(store: Factory) {
    let world = World::new(store);
    let mut expected: Vec<String> = (0..100).map(|number| format!("s:a:t{number}")).collect();
    for (number, key) in expected.iter().enumerate() {
        if number % 3 == 0 {
            world.run(key);
        } else {
            world.execute(key);
        }
    }
    expected.sort();
    assert_eq!(world.keys(), expected);
}

pub(crate) fn a_scan_keeps_its_promise_while_records_come_and_go(store: Factory) {
    let world = World::new(store);
    for number in 0..50 {
        world.execute(&format!("s:stays:{number}"));
        world.execute(&format!("s:goes:{number}"));
    }
    let (mut seen, mut cursor, mut number) = (Vec::new(), None, 0);
    loop {
        let page = ask(world.store.scan(cursor, 5));
        seen.extend(page.records.into_iter().map(|record| String::from(record.key)));
        ask(world.store.clear(&format!("s:goes:{number}")));
        world.execute(&format!("s:comes:{number}"));
        world.mark(&format!("s:stays:{number}"), "again");
        number += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for number in 0..50 {
        let key = format!("s:stays:{number}");
        assert_eq!(seen.iter().filter(|seen| **seen == key).count(), 1, "{key} is seen once");
    }
}

pub(crate) fn nothing_is_found_in_an_empty_store(store: Factory) {
    let world = World::new(store);
    assert!(world.keys().is_empty());
    for selector in [
        Selector::ActionType(""),
        Selector::Target("x"),
        Selector::SignalId(""),
        Selector::InDoubt,
        Selector::ExpiringWithin(Span::MAX),
    ] {
        assert!(world.find(selector).is_empty());
    }
}

fn keys_of(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| &*record.key).collect()
}

/// All that a glance shows, of every part of a walk where the engine has no order.
fn glances(world: &World, limit: usize) -> Vec<Glance> {
    let mut all = vec![ask(world.store.glance(None, limit))];
    while let Some(next) = all.last_mut().and_then(|glance| glance.next.take()) {
        all.push(ask(world.store.glance(Some(next), limit)));
    }
    all
}

pub(crate) fn a_glance_shows_the_newest_and_what_ends_next(store: Factory) {
    let world = World::new(store);
    for (key, ttl) in [("a:b:1", 300), ("a:b:2", 100), ("a:b:3", 200)] {
        world.pass(1);
        world.execute_for(key, Span::from_secs(ttl));
    }
    world.pass(1);
    world.run("a:b:busy");
    world.pass(1);
    world.doubt("a:b:doubt");
    let looks = glances(&world, 100);
    if looks[0].is_newest {
        assert_eq!(keys_of(&looks[0].recent), ["a:b:doubt", "a:b:busy", "a:b:3", "a:b:2", "a:b:1"]);
        assert_eq!(keys_of(&looks[0].ending), ["a:b:2", "a:b:3", "a:b:1"]);
        assert_eq!(looks.len(), 1);
    } else {
        // A look may be taken up by the keys of others.
        let mut seen: Vec<&str> = looks.iter().flat_map(|look| keys_of(&look.recent)).collect();
        seen.sort_unstable();
        assert_eq!(seen, ["a:b:1", "a:b:2", "a:b:3", "a:b:busy", "a:b:doubt"]);
    }
    world.pass(100);
    let states = glances(&world, 100).into_iter().flat_map(|look| look.recent).map(|record| record.status);
    let doubts = states.filter(|status| matches!(status, Status::InDoubt { .. })).count();
    assert_eq!(doubts, 2, "a lapsed claim is in doubt for this reader, too");
}

pub(crate) fn a_glance_is_bounded_and_passes_over_what_has_expired(store: Factory) {
    let world = World::new(store);
    for number in 0..100 {
        world.execute_for(&format!("s:a:t{number}"), Span::from_secs(1_000 + number));
        world.pass(1);
    }
    for number in 0..20 {
        world.execute_for(&format!("s:a:short{number}"), Span::from_secs(1));
    }
    world.pass(1);
    for glance in glances(&world, 10) {
        assert!(glance.ending.len() <= ENDING);
        assert!(glance.recent.iter().chain(&glance.ending).all(|record| !record.key.contains("short")));
        if glance.is_newest {
            assert_eq!(keys_of(&glance.recent), (90..100).rev().map(|at| format!("s:a:t{at}")).collect::<Vec<_>>());
            let first: Vec<String> = (0..ENDING).map(|at| format!("s:a:t{at}")).collect();
            assert_eq!(keys_of(&glance.ending), first);
        }
    }
    let mut seen: Vec<String> =
        glances(&world, 200).iter().flat_map(|glance| keys_of(&glance.recent)).map(String::from).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 100, "all that live");
}

pub(crate) fn a_glance_has_the_counters_and_no_results(store: Factory) {
    let world = World::new(store);
    world.execute("a:b:c");
    world.claim("a:b:c");
    ask(world.store.check("a:b:none"));
    let counters = ask(world.store.glance(None, 10)).counters;
    assert_eq!((counters.hits, counters.misses, counters.duplicates_prevented), (1, 2, 1));
    // Where there is no order, others' keys may fill a whole look.
    let recent: Vec<Record> = glances(&world, 10).into_iter().flat_map(|glance| glance.recent).collect();
    assert_eq!(recent[0].attempts, 2);
    if !world.store.is_local() {
        assert!(matches!(recent[0].status, Status::Completed { result: Payload::Unavailable, .. }));
    }
    assert!(ask(World::new(store).store.glance(None, 10)).recent.is_empty());
}
