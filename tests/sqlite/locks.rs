//! Others that write: in line, or not.

use std::thread;
use std::time::{Duration, Instant};

use _core::core::error::StoreError;
use _core::store::{Claimed, Selector, Store};

use crate::world::{Asks, Place, answer, ask, block_on};

#[test]
fn a_program_that_writes_for_a_while_is_waited_for() {
    let place = Place::new();
    let (store, outsider) = (place.open(), place.outsider());
    outsider.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    let claimed = store.claimed("s:a:t").called();
    thread::sleep(Duration::from_millis(50));
    outsider.execute_batch("COMMIT").expect("the lock is given back");
    assert!(matches!(block_on(claimed), Ok(Claimed::Run(_))));
}

/// Asks for a claim, here or elsewhere, which must be refused in time, and never be done.
fn is_told(place: &Place, lock: impl FnOnce() -> Box<dyn FnOnce()>) {
    let store = place.open_impatient(100);
    store.execute("s:a:done");
    let unlock = lock();
    let began = Instant::now();
    let called = store.claimed("s:a:called").called();
    let run = answer(store.claimed("s:a:run"));
    for told in [run, block_on(called)] {
        let Err(StoreError::Unavailable(told)) = told else { panic!("the file is locked") };
        assert!(told.contains("busy_timeout (0.1 s)") && told.contains("store.db"), "{told}");
    }
    assert!(began.elapsed() >= Duration::from_millis(100), "it was waited for");
    assert!(store.replayed("s:a:done").is_some(), "a duplicate waits for nobody");
    unlock();
    ask(store.marked("s:a:later", "1"));
    assert_eq!(store.found(Selector::ActionType("a")), ["s:a:done", "s:a:later"], "what was refused is not done");
}

#[test]
fn a_program_that_writes_for_too_long_is_told_of() {
    let place = Place::new();
    is_told(&place, || {
        let outsider = place.outsider();
        outsider.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
        Box::new(move || outsider.execute_batch("ROLLBACK").expect("the lock is given back"))
    });
}

#[test]
fn a_process_that_stands_in_line_for_too_long_is_told_of() {
    let place = Place::new();
    is_told(&place, || {
        let line = place.hold_the_line();
        Box::new(move || drop(line))
    });
}

#[test]
fn who_only_reads_waits_for_no_writer() {
    let place = Place::new();
    let store = place.open();
    place.open().execute("s:a:t");
    // Everything is written, and in the indexes.
    assert_eq!(store.found(Selector::ActionType("a")), ["s:a:t"]);
    let store = place.open();
    let (line, outsider) = (place.hold_the_line(), place.outsider());
    outsider.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    // Long enough for the store's own thread to stand in line.
    let waits = store.claimed("s:a:new").called();
    thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    assert!(ask(store.get("s:a:t")).is_some());
    assert_eq!(store.found(Selector::ActionType("a")), ["s:a:t"]);
    assert!(matches!(ask(store.claimed("s:a:t")), Claimed::Replay { .. }));
    assert!(matches!(block_on(store.claimed("s:a:t").called()), Ok(Claimed::Replay { .. })));
    assert!(began.elapsed() < Duration::from_secs(4), "nobody waited as long as a writer may");
    drop((line, outsider));
    assert!(matches!(block_on(waits), Ok(Claimed::Run(_))));
}

#[test]
fn writers_take_their_turns() {
    let place = Place::new();
    let stores = [place.open(), place.open(), place.open()];
    thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            for thread in 0..4 {
                scope.spawn(move || {
                    (0..30).for_each(|at| store.execute(&format!("s{number}:a{thread}:t{at}")));
                });
            }
        }
    });
    assert_eq!(ask(stores[0].tally()).finished, 3 * 4 * 30);
}
