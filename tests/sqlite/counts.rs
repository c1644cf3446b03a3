//! Counts of duplicates: gathered in this process, written behind, never lost and never doubled.

use _core::store::Store;

use crate::world::{Asks, Place, answer, ask, block_on, eventually};

const KEY: &str = "s:a:t";

#[test]
fn duplicates_are_written_before_they_are_shown() {
    let place = Place::new();
    let store = place.open();
    store.execute(KEY);
    for attempts in 2..6 {
        assert!(store.replayed(KEY).is_some());
        assert_eq!(ask(store.get(KEY)).expect("it is there").attempts, attempts);
    }
    assert!(store.replayed(KEY).is_some());
    assert_eq!(ask(store.scan(None, 10)).records[0].attempts, 6);
    assert!(store.replayed(KEY).is_some());
    let tally = ask(store.tally());
    assert_eq!((tally.hits, tally.duplicates_prevented, tally.misses), (6, 6, 1));
}

#[test]
fn a_flush_shows_them_to_others() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    store.execute(KEY);
    assert!(store.replayed(KEY).is_some());
    assert_eq!(ask(other.tally()).hits, 0);
    ask(store.flush());
    assert_eq!((ask(other.tally()).hits, ask(other.get(KEY)).expect("it is there").attempts), (1, 2));
}

#[test]
fn they_are_written_a_moment_later_unasked() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    store.execute(KEY);
    for hits in 1..3 {
        assert!(store.replayed(KEY).is_some() || answer(store.check(KEY)).is_ok());
        eventually("the duplicate is written", || ask(other.tally()).hits == hits);
    }
}

#[test]
fn what_could_not_be_written_is_written_with_the_next() {
    let place = Place::new();
    let (store, outsider) = (place.open(), place.outsider());
    store.execute(KEY);
    ask(store.flush());
    let fails = "CREATE TRIGGER fails BEFORE UPDATE ON idempotency_records BEGIN SELECT RAISE(ABORT, 'no'); END";
    outsider.execute_batch(fails).expect("the trigger is made");
    assert!(matches!(answer(store.check(KEY)), Ok(Some(_))));
    assert!(store.replayed(KEY).is_some());
    assert!(answer(store.flush()).is_err() && answer(store.tally()).is_err(), "they can't be written");
    assert!(store.replayed(KEY).is_some());
    outsider.execute_batch("DROP TRIGGER fails").expect("the trigger is dropped");
    let tally = ask(store.tally());
    assert_eq!((tally.hits, tally.duplicates_prevented, tally.misses), (3, 3, 1));
    assert_eq!(ask(store.get(KEY)).expect("it is there").attempts, 4);
}

#[test]
fn they_are_written_behind_again_after_the_file_was_locked_for_long() {
    let place = Place::new();
    let (store, other) = (place.open_impatient(50), place.open());
    store.execute(KEY);
    ask(store.flush());
    let outsider = place.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    assert!(store.replayed(KEY).is_some());
    assert!(answer(store.marked("s:a:other", "1")).is_err(), "the file is locked");
    // Long enough for the counts to come due, and to be given up.
    std::thread::sleep(std::time::Duration::from_millis(1_300));
    outsider.execute_batch("ROLLBACK").expect("the lock is given back");
    assert!(store.replayed(KEY).is_some());
    eventually("both are written", || ask(other.tally()).hits == 2);
}

#[test]
fn a_store_that_is_dropped_writes_them() {
    let place = Place::new();
    let store = place.open();
    store.execute(KEY);
    assert!(store.replayed(KEY).is_some());
    drop(store);
    assert_eq!(ask(place.open().tally()).hits, 1);
}

#[test]
fn a_store_that_is_dropped_does_what_was_asked_for_and_counts_it() {
    let place = Place::new();
    let store = place.open();
    let line = place.hold_the_line();
    let waiting: Vec<_> = (0..5).map(|number| store.claimed(&format!("s:a:t{number}")).called()).collect();
    drop(store);
    drop(line);
    for claimed in waiting {
        assert!(block_on(claimed).is_ok(), "a verb that was called happens");
    }
    let later = place.open();
    assert_eq!(ask(later.tally()).in_progress, 5);
    eventually("they are counted", || ask(later.tally()).misses == 5);
}
