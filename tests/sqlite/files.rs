//! Files: new, another's, and gone.

use std::collections::HashSet;
use std::fs;
use std::sync::Barrier;
use std::thread;

use _core::core::error::StoreError;
use _core::store::sqlite::VERSION;
use _core::store::{Claimed, Selector};

use crate::world::{Asks, Place, answer, ask, eventually};

fn number(place: &Place, sql: &str) -> i64 {
    place.outsider().query_row(sql, [], |row| row.get(0)).expect("SQLite can read it")
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let place = Place::new();
    place.open().execute("s:a:t");
    place.outsider().pragma_update(None, "user_version", VERSION + 1).expect("it can write");
    let Err(StoreError::Failed(told)) = place.try_open(place.options()) else { panic!("it is refused") };
    assert!(told.contains("newer") && told.contains("store.db"), "{told}");
    assert_eq!(number(&place, "SELECT count(*) FROM idempotency_records"), 1);
}

#[test]
fn the_database_of_another_application_is_refused_and_left_alone() {
    for mark in ["PRAGMA user_version = 3", "PRAGMA application_id = 7"] {
        let place = Place::new();
        place.outsider().execute_batch(&format!("CREATE TABLE cards (id); {mark}")).expect("it can write");
        let Err(StoreError::Failed(told)) = place.try_open(place.options()) else { panic!("it is refused") };
        assert!(told.contains("another application"), "{told}");
        assert_eq!(number(&place, "SELECT count(*) FROM sqlite_schema"), 1, "nothing was added");
    }
}

#[test]
fn the_tables_can_stand_beside_an_applications_own_whose_versions_are_its_own() {
    let place = Place::new();
    place.outsider().execute_batch("CREATE TABLE cards (id); INSERT INTO cards VALUES (5)").expect("it can write");
    place.open().execute("s:a:t");
    let marks =
        "SELECT (SELECT user_version FROM pragma_user_version) + (SELECT application_id FROM pragma_application_id)";
    assert_eq!(number(&place, marks), 0, "the application's marks are the application's");
    place.outsider().execute_batch("PRAGMA user_version = 99; PRAGMA application_id = 7").expect("it can write");
    assert_eq!(place.open().found(Selector::ActionType("a")), ["s:a:t"]);
    assert_eq!(number(&place, "SELECT id FROM cards"), 5);
}

#[test]
fn tables_of_a_newer_version_beside_an_applications_own_are_refused() {
    let place = Place::new();
    place.outsider().execute_batch("CREATE TABLE cards (id)").expect("it can write");
    drop(place.open());
    let newer = "UPDATE idempotency_meta SET value = value + 1 WHERE name = 'schema'";
    place.outsider().execute_batch(newer).expect("it can write");
    assert!(matches!(place.try_open(place.options()), Err(StoreError::Failed(told)) if told.contains("newer")));
}

#[test]
fn a_new_file_can_be_opened_by_many_at_once() {
    for _ in 0..5 {
        let (place, start) = (Place::new(), Barrier::new(12));
        let fences: Vec<_> = thread::scope(|scope| {
            let open = |number| {
                start.wait();
                place.open().hold(&format!("s:a:t{number}")).fence
            };
            let threads: Vec<_> = (0..12).map(|number| scope.spawn(move || open(number))).collect();
            threads.into_iter().map(|thread| thread.join().expect("each can open it")).collect()
        });
        assert_eq!(fences.iter().collect::<HashSet<_>>().len(), 12, "no fence was issued twice");
    }
}

fn remove(place: &Place, suffixes: &[&str]) {
    for suffix in suffixes {
        fs::remove_file(place.path(suffix)).expect("it is there");
    }
}

#[test]
fn a_file_that_was_deleted_is_an_error_once_and_then_a_new_file() {
    let place = Place::new();
    let store = place.open();
    store.execute("s:a:t1");
    remove(&place, &["", "-wal", "-shm"]);
    let told = answer(store.claimed("s:a:t2")).err().expect("what is written now would be lost");
    assert!(told.to_string().contains("store.db"), "{told}");
    store.execute("s:a:t2");
    assert_eq!(store.replayed("s:a:t1"), None, "it is not in the file");
    assert_eq!(place.open().found(Selector::ActionType("a")), ["s:a:t2"]);
}

#[test]
fn a_file_that_was_replaced_is_an_error_once_and_then_what_it_holds() {
    let (place, backup) = (Place::new(), Place::new());
    backup.open().execute("s:a:restored");
    let store = place.open();
    store.execute("s:a:t1");
    remove(&place, &["-wal", "-shm"]);
    fs::rename(backup.path(""), place.path("")).expect("both are on one disk");
    assert!(answer(store.claimed("s:a:t2")).is_err(), "what is written now would be lost");
    assert!(matches!(ask(store.claimed("s:a:restored")), Claimed::Replay { .. }));
    assert_eq!(store.found(Selector::ActionType("a")), ["s:a:restored"]);
}

#[test]
fn a_log_that_was_deleted_is_an_error_and_then_a_new_log() {
    let place = Place::new();
    let store = place.open();
    // Enough to be moved into the database by the thread that does so, with a connection that it keeps.
    for number in 0..1_200 {
        store.execute(&format!("s:a:t{number}"));
    }
    eventually("the log was moved", || fs::metadata(place.path("")).is_ok_and(|file| file.len() > 200_000));
    remove(&place, &["-wal"]);
    assert!(answer(store.claimed("s:b:t")).is_err(), "what is written now would be lost");
    for number in 0..50 {
        store.execute(&format!("s:c:t{number}"));
    }
    assert_eq!(place.open().found(Selector::ActionType("c")).len(), 50);
    drop(store);
    let whole: String = place.outsider().query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it reads");
    assert_eq!(whole, "ok");
}
