//! Searches find every record, in the indexes or not yet, whoever wrote it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use _core::core::clock::Span;
use _core::store::{Claimed, Ending, Selector, Store};

use crate::world::{Asks, Place, TTL, ask};

#[test]
fn records_that_another_has_just_written_are_found_in_every_way() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let selectors = [Selector::SignalId("s"), Selector::ActionType("a"), Selector::Target("t")];
    store.execute("s:a:t:1");
    for selector in selectors {
        assert_eq!(other.found(selector), ["s:a:t:1"], "{selector:?}");
    }
    assert_eq!(other.found(Selector::ExpiringWithin(TTL)), ["s:a:t:1"]);
    // Now that one is in the indexes, another is not.
    ask(store.finish(&store.hold("s:a:t:2"), Ending::Doubt("late".into())));
    for selector in selectors {
        assert_eq!(other.found(selector), ["s:a:t:1", "s:a:t:2"], "{selector:?}");
        store.execute(&format!("other:{selector:?}"));
    }
    assert_eq!(other.found(Selector::InDoubt), ["s:a:t:2"]);
    assert_eq!(ask(other.tally()).in_doubt, 1);
    place.pass(31);
    store.hold("s:a:t:3");
    place.pass(31);
    assert_eq!(other.found(Selector::InDoubt), ["s:a:t:2", "s:a:t:3"]);
}

#[test]
fn a_record_that_changes_meanwhile_is_found_all_the_same() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    ask(store.marked("s:a:t", "0"));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..2_000 {
                ask(other.marked("s:a:t", &number.to_string()));
                // Puts it into the indexes again.
                ask(other.find(Selector::InDoubt));
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut missed = 0;
        while !done.load(Ordering::Relaxed) {
            missed += usize::from(store.found(Selector::ActionType("a")).is_empty());
            missed += usize::from(ask(store.tally()).finished != 1);
        }
        assert_eq!(missed, 0, "times that it was not found");
    });
}

#[test]
fn names_with_a_nul_and_with_what_sql_uses_are_names_like_any_other() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    for name in ["a\0b", "\0", "a'b", "a%b", "a_b", "a;b", "\u{10FFFF}", "ä\u{301}"] {
        let key = format!("{name}:{name}:{name}:1");
        store.execute(&key);
        store.hold(&format!("{name}:{name}:{name}:2"));
        assert!(ask(store.clear(&format!("{name}:{name}:{name}:2"))));
        for selector in [Selector::SignalId(name), Selector::ActionType(name), Selector::Target(name)] {
            assert_eq!(other.found(selector), [&*key], "{selector:?}");
        }
        assert_eq!(&*ask(other.get(&key)).expect("it is there").key, &*key);
        assert!(matches!(ask(other.claimed(&key)), Claimed::Replay { .. }));
    }
    assert_eq!(ask(other.scan(None, 100)).records.len(), 8);
}

#[test]
fn namespaces_see_nothing_of_each_other() {
    let place = Place::new();
    let one = place.open();
    let two = place.open_with(_core::store::sqlite::Options { namespace: "two".into(), ..place.options() });
    one.execute("s:a:t");
    assert_eq!(two.found(Selector::ActionType("a")), [""; 0]);
    two.execute_for("s:a:t", Span::from_secs(1));
    place.pass(2);
    assert_eq!((ask(two.cleanup_expired()), ask(two.clear_all()), ask(two.tally()).hits), (1, 0, 0));
    assert_eq!(one.found(Selector::ActionType("a")), ["s:a:t"]);
}
