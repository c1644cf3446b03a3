//! Transactions that many verbs share, and verbs that take many transactions.

use std::sync::{Arc, Barrier};
use std::thread;

use _core::core::clock::Span;
use _core::store::sqlite::{Options, Synchronous};
use _core::store::{Claimed, Ending, Hold, Queued, Reply, Selector, Store};

use crate::world::{Asks, Place, TTL, answer, ask, block_on, json, request};

#[test]
fn verbs_that_wait_together_share_a_transaction() {
    let place = Place::new();
    let store = place.open();
    let before = place.commits();
    let line = place.hold_the_line();
    let waiting: Vec<_> = (0..1_000).map(|number| store.claimed(&format!("s:a:t{number}")).called()).collect();
    drop(line);
    for claimed in waiting {
        assert!(matches!(block_on(claimed), Ok(Claimed::Run(_))), "each key is new");
    }
    let commits = place.commits() - before;
    assert!(commits <= 10, "1000 claims took {commits} commits");
}

fn claim_many(store: &dyn Store, keys: &[String]) -> Vec<Claimed> {
    let owner = Arc::from("elsewhere:1");
    let requests: Vec<_> = keys.iter().map(|key| request(key, &owner)).collect();
    ask(store.claim_many(&requests)).into_iter().map(|claimed| claimed.expect("there is room")).collect()
}

#[test]
fn a_batch_is_claimed_and_dispatched_in_a_commit_each_and_answered_in_none() {
    let place = Place::new();
    let store = place.open();
    let keys: Vec<_> = (0..100).map(|number| format!("s:a:t{number}")).collect();
    let before = place.commits();
    let claimed = claim_many(&store, &keys);
    let holds: Vec<_> = keys.iter().zip(&claimed).map(|(key, claimed)| held(key, claimed)).collect();
    ask(store.dispatch_many(&holds));
    let commits = place.commits() - before;
    assert!(commits <= 3, "one for each, and one for what was counted: {commits}");
    for hold in &holds {
        store.complete(hold, json("1"), TTL);
    }
    let before = place.commits();
    assert!(claim_many(&store, &keys).iter().all(|claimed| matches!(claimed, Claimed::Replay { .. })));
    let names: Vec<_> = keys.iter().map(String::as_str).collect();
    assert!(ask(store.check_many(&names)).iter().all(Option::is_some));
    assert!(place.commits() - before <= 1, "duplicates write nothing but counts, later");
}

fn held(key: &str, claimed: &Claimed) -> Hold {
    let Claimed::Run(begun) = claimed else { panic!("{key} is new") };
    Hold { key: key.into(), fence: begun.fence }
}

#[test]
fn a_batch_with_a_claim_that_can_not_be_written_grants_none() {
    let place = Place::new();
    let store = place.open();
    place.outsider().execute_batch(POISON).expect("the trigger is made");
    let owner = Arc::from("elsewhere:1");
    let requests = ["s:a:before", "poison", "s:a:after"].map(|key| request(key, &owner));
    assert!(answer(store.claim_many(&requests)).is_err());
    assert_eq!(ask(store.tally()).in_progress, 0);
}

/// Asks while nobody may write, waits until all have asked, and then for the answer.
fn ask_with_the_others<T>(reply: Reply<T>, others: &Barrier) -> T {
    let Reply::Queued(Queued { answer, errand }) = reply else { panic!("it is to be written") };
    errand.run();
    others.wait();
    block_on(answer).expect("the store can answer")
}

#[test]
fn sixty_four_threads_that_ask_at_the_same_time_share_their_commits() {
    const THREADS: usize = 64;
    let place = Place::new();
    let store = place.open_with(Options { synchronous: Synchronous::Full, ..place.options() });
    let (before, all) = (place.commits(), Barrier::new(THREADS + 1));
    let execute = &|thread: usize| {
        let key = format!("s:a:t{thread}");
        let claimed = ask_with_the_others(store.claimed(&key), &all);
        let Claimed::Run(begun) = claimed else { panic!("the key is new") };
        all.wait();
        // Nobody may write again.
        all.wait();
        let hold = Hold { key: key.into(), fence: begun.fence };
        ask_with_the_others(store.finish(&hold, Ending::Complete(json("1"), TTL)), &all);
    };
    let line = place.hold_the_line();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || execute(thread));
        }
        all.wait();
        drop(line);
        all.wait();
        let line = place.hold_the_line();
        all.wait();
        all.wait();
        drop(line);
    });
    let commits = place.commits() - before;
    assert!(commits <= 10, "{} writes took {commits} commits", 2 * THREADS);
    assert_eq!(ask(store.tally()).finished, THREADS as u64);
}

/// Makes a transaction fail in which this key is written.
const POISON: &str = "CREATE TRIGGER poison BEFORE INSERT ON idempotency_records WHEN NEW.key = 'poison' \
                      BEGIN SELECT RAISE(ABORT, 'this key can''t be written'); END";

#[test]
fn a_verb_that_fails_fails_alone() {
    let place = Place::new();
    let store = place.open();
    place.outsider().execute_batch(POISON).expect("the trigger is made");
    let line = place.hold_the_line();
    let before = store.claimed("s:a:before").called();
    let poison = store.claimed("poison").called();
    let after = store.claimed("s:a:after").called();
    drop(line);
    assert!(matches!(block_on(before), Ok(Claimed::Run(_))), "what came before is done");
    assert!(block_on(poison).is_err(), "the verb at fault is told");
    assert!(matches!(block_on(after), Ok(Claimed::Run(_))), "what came after is done");
    let tally = ask(store.tally());
    assert_eq!((tally.in_progress, tally.misses), (2, 2), "each is counted once");
}

#[test]
fn a_sum_counts_nothing_that_was_undone() {
    let place = Place::new();
    let store = place.open();
    place.outsider().execute_batch(POISON).expect("the trigger is made");
    (0..10).for_each(|number| store.execute_for(&format!("s:a:brief{number}"), Span::from_secs(1)));
    (0..10).for_each(|number| store.execute(&format!("s:a:long{number}")));
    place.pass(2);
    let line = place.hold_the_line();
    let (cleaned, removed) = (store.cleanup_expired().called(), store.remove_oldest(4).called());
    let poison = store.claimed("poison").called();
    drop(line);
    assert_eq!((block_on(cleaned), block_on(removed)), (Ok(10), Ok(4)));
    assert!(block_on(poison).is_err(), "the transaction that all three shared failed");
    assert_eq!(store.found(Selector::ActionType("a")).len(), 6);
    assert_eq!(ask(store.clear_all()), 6);
}

/// Many expired records, which a cleanup removes in parts.
fn expired(place: &Place, count: usize) {
    let insert = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1) \
                  INSERT INTO idempotency_records (fence, namespace_id, key, state, attempts, started_at, executed_at, \
                  expires_at) SELECT n, 1, 'k' || n, 'completed', 1, 1, 1, 2 FROM numbers";
    place.outsider().execute(insert, [count]).expect("the records are written");
}

#[test]
fn a_cleanup_of_many_is_many_short_transactions() {
    let place = Place::new();
    let store = place.open();
    expired(&place, 3_000);
    let before = place.commits();
    assert_eq!(ask(store.cleanup_expired()), 3_000);
    assert!(place.commits() - before >= 6, "others may come in between");
}

#[test]
fn a_cleanup_that_takes_longer_than_a_writer_may_wait_is_done_to_its_end() {
    let place = Place::new();
    drop(place.open());
    expired(&place, 60_000);
    let store = place.open_impatient(150);
    assert_eq!(ask(store.cleanup_expired()), 60_000);
}

#[test]
fn a_cleanup_that_is_kept_waiting_between_two_parts_is_told_of() {
    let place = Place::new();
    drop(place.open());
    expired(&place, 30_000);
    let store = place.open_impatient(100);
    let line = place.hold_the_line();
    let cleaned = store.cleanup_expired().called();
    thread::scope(|scope| {
        // Comes to its turn between two of the parts, and stays.
        let other = scope.spawn(|| place.hold_the_line());
        drop(line);
        let other = other.join().expect("it has its turn");
        assert!(block_on(cleaned).is_err(), "nobody waits for ever");
        drop(other);
    });
    assert!(ask(store.cleanup_expired()) > 0, "there was more to do");
}
