//! Letting go of the files: no thread comes back to them unasked, whatever it was about to do behind the callers.

use std::fs;
use std::thread;
use std::time::Duration;

use _core::store::Store;

use crate::world::{Asks, Place, ask};

/// Records after whose completion the store settles them behind the callers: each is written twice.
const SETTLED: usize = 250;
/// How long the log is when it is moved behind the callers, with frames to spare.
const MOVED: u64 = 2_000 * (2_048 + 24) + 32;
/// Longer than counts wait to be written behind.
const A_WHILE: Duration = Duration::from_millis(1_300);

/// Closes as a manager does, and takes the files away.
fn close_and_remove(place: &Place, store: &impl Store) {
    ask(store.flush());
    store.let_go();
    for suffix in ["", "-wal", "-shm", "-queue"] {
        drop(fs::remove_file(place.path(suffix)));
    }
}

fn assert_nothing_came_back(places: &[Place]) {
    // That nothing happens can't be waited for.
    thread::sleep(A_WHILE);
    let back = |place: &&Place| ["", "-wal", "-shm", "-queue"].iter().any(|suffix| place.path(suffix).exists());
    assert_eq!(places.iter().filter(back).count(), 0, "stores of {} whose files were made again", places.len());
}

#[test]
fn records_that_were_to_be_settled_behind_open_nothing_again() {
    let places: Vec<_> = (0..12).map(|_| Place::new()).collect();
    let stores: Vec<_> = places.iter().map(Place::open).collect();
    for (place, store) in places.iter().zip(&stores) {
        (0..SETTLED).for_each(|number| store.execute(&format!("s:a:{number}")));
        close_and_remove(place, store);
    }
    assert_nothing_came_back(&places);
}

#[test]
fn a_log_that_was_to_be_moved_behind_opens_nothing_again() {
    let places: Vec<_> = (0..6).map(|_| Place::new()).collect();
    let stores: Vec<_> = places.iter().map(Place::open).collect();
    for (place, store) in places.iter().zip(&stores) {
        let log = place.path("-wal");
        let mut number = 0;
        while fs::metadata(&log).expect("there is a log").len() < MOVED {
            store.execute(&format!("s:a:{number}"));
            number += 1;
        }
        close_and_remove(place, store);
    }
    assert_nothing_came_back(&places);
}

#[test]
fn counts_that_were_to_be_written_behind_open_nothing_again_when_the_store_is_dropped() {
    let places: Vec<_> = (0..4).map(|_| Place::new()).collect();
    for place in &places {
        let store = place.open();
        store.execute("s:a:t");
        assert!(store.replayed("s:a:t").is_some());
        close_and_remove(place, &store);
    }
    assert_nothing_came_back(&places);
}

#[test]
fn a_store_that_let_go_is_opened_by_the_next_verb() {
    let place = Place::new();
    let store = place.open();
    store.execute("s:a:t");
    for hits in 1..3 {
        store.let_go();
        assert!(ask(store.check("s:a:t")).is_some());
        ask(store.flush());
        assert_eq!(ask(store.tally()).hits, hits);
    }
}
