//! Interleavings, explored by shuttle:
//! `RUSTFLAGS="--cfg shuttle" cargo test --no-default-features --target-dir target/shuttle --lib`.
//!
//! A deadlock, and so a waiter that is never woken, fails a test by itself.

use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;

use super::MemoryStore;
use crate::core::clock::{ManualClock, Span, Timestamp};
use crate::core::error::StoreError;
use crate::core::record::{Fingerprint, Payload};
use crate::store::{Begun, ClaimRequest, Claimed, Ending, Held, Hold, Limits, Reply, Store};

const KEY: &str = "s:a:t";
const ROUNDS: usize = 2_000;
const TTL: Span = Span::from_secs(60);

fn explore(test: impl Fn() + Send + Sync + Clone + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 18;
    shuttle::Runner::new(RandomScheduler::new(ROUNDS), config.clone()).run(test.clone());
    shuttle::Runner::new(PctScheduler::new(3, ROUNDS), config).run(test);
}

fn store(max_records: Option<usize>) -> Arc<MemoryStore> {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    Arc::new(MemoryStore::new(clock, Limits { max_records, refuse_when_full: false }))
}

fn ready<T>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(answer) => answer,
        Reply::Pending(_) | Reply::Queued(_) => unreachable!("the memory store answers at once"),
    }
}

fn ask<T>(reply: Reply<T>) -> T {
    ready(reply).expect("the store can answer")
}

fn try_claim(store: &MemoryStore, key: &str) -> Result<Claimed, StoreError> {
    ready(store.claim(&ClaimRequest::plain(key, &Fingerprint([0; 32]), &"host:1".into(), TTL, TTL)))
}

fn claim(store: &MemoryStore, key: &str) -> Claimed {
    try_claim(store, key).expect("the store has room")
}

fn hold(key: &str, begun: Begun) -> Hold {
    Hold { key: key.into(), fence: begun.fence }
}

fn run(store: &MemoryStore, key: &str) -> Hold {
    match claim(store, key) {
        Claimed::Run(begun) => hold(key, begun),
        _ => panic!("{key} is free"),
    }
}

fn complete(store: &MemoryStore, hold: &Hold) -> Held {
    ask(store.finish(hold, Ending::Complete(Payload::Unavailable, TTL)))
}

fn check(store: &MemoryStore) {
    store.check_invariants().expect("the indexes agree with the entries");
}

/// Runs each of these in a thread of its own, to their ends.
fn race(parts: Vec<Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = parts.into_iter().map(thread::spawn).collect();
    for thread in threads {
        thread.join().expect("no part panics");
    }
}

/// Claims until there is an answer, waiting as often as it takes; answers whether this caller was the one to run.
fn claim_and_wait(store: &MemoryStore, ending: &dyn Fn() -> Ending) -> bool {
    loop {
        match claim(store, KEY) {
            Claimed::Run(begun) => {
                assert!(matches!(ask(store.finish(&hold(KEY, begun), ending())), Held::Kept));
                return true;
            }
            Claimed::Busy(wait) => block_on(wait),
            _ => return false,
        }
    }
}

fn completed() -> Ending {
    Ending::Complete(Payload::Unavailable, TTL)
}

#[test]
fn of_racing_claimers_exactly_one_runs() {
    explore(|| {
        let (store, ran) = (store(None), Arc::new(AtomicUsize::new(0)));
        let part = || -> Box<dyn FnOnce() + Send> {
            let (store, ran) = (Arc::clone(&store), Arc::clone(&ran));
            Box::new(move || {
                ran.fetch_add(usize::from(matches!(claim(&store, KEY), Claimed::Run(_))), Ordering::SeqCst);
            })
        };
        race(vec![part(), part(), part()]);
        assert_eq!(ran.load(Ordering::SeqCst), 1);
        check(&store);
    });
}

#[test]
fn a_waiter_never_misses_the_end_of_a_claim() {
    explore(|| {
        let store = store(None);
        let held = run(&store, KEY);
        let (holder, first, second) = (Arc::clone(&store), Arc::clone(&store), Arc::clone(&store));
        race(vec![
            Box::new(move || assert!(matches!(complete(&holder, &held), Held::Kept))),
            Box::new(move || assert!(!claim_and_wait(&first, &completed))),
            Box::new(move || assert!(!claim_and_wait(&second, &completed))),
        ]);
        check(&store);
    });
}

#[test]
fn a_release_hands_the_claim_over_to_exactly_one() {
    explore(|| {
        let (store, ran) = (store(None), Arc::new(AtomicUsize::new(0)));
        let held = run(&store, KEY);
        let holder = Arc::clone(&store);
        let waiter = || -> Box<dyn FnOnce() + Send> {
            let (store, ran) = (Arc::clone(&store), Arc::clone(&ran));
            Box::new(move || {
                ran.fetch_add(usize::from(claim_and_wait(&store, &completed)), Ordering::SeqCst);
            })
        };
        race(vec![
            Box::new(move || assert!(matches!(ask(holder.finish(&held, Ending::Release)), Held::Kept))),
            waiter(),
            waiter(),
        ]);
        assert_eq!(ran.load(Ordering::SeqCst), 1);
        check(&store);
    });
}

#[test]
fn a_dropped_wait_leaves_the_other_waiters_their_wake_up() {
    explore(|| {
        let store = store(None);
        let held = run(&store, KEY);
        let (holder, goes, stays) = (Arc::clone(&store), Arc::clone(&store), Arc::clone(&store));
        race(vec![
            Box::new(move || drop(complete(&holder, &held))),
            Box::new(move || drop(claim(&goes, KEY))),
            Box::new(move || assert!(!claim_and_wait(&stays, &completed))),
        ]);
        check(&store);
    });
}

#[test]
fn a_clear_and_a_finish_leave_nothing_half_done() {
    explore(|| {
        let store = store(None);
        let held = run(&store, KEY);
        let fence = held.fence;
        let (finisher, clearer, waiter) = (Arc::clone(&store), Arc::clone(&store), Arc::clone(&store));
        race(vec![
            Box::new(move || drop(complete(&finisher, &held))),
            Box::new(move || assert!(ask(clearer.clear(KEY)), "the record was there, finished or not")),
            Box::new(move || {
                claim_and_wait(&waiter, &|| Ending::Release);
            }),
        ]);
        assert!(ask(store.get(KEY)).is_none());
        assert!(run(&store, KEY).fence > fence);
        check(&store);
    });
}

#[test]
fn racing_evictions_keep_the_cap_and_lose_no_claim() {
    explore(|| {
        let store = store(Some(2));
        for key in ["s:a:1", "s:a:2"] {
            let held = run(&store, key);
            complete(&store, &held);
        }
        let part = |key: &'static str| -> Box<dyn FnOnce() + Send> {
            let store = Arc::clone(&store);
            Box::new(move || {
                let claimed = try_claim(&store, key);
                assert!(ask(store.tally()).in_progress <= 2, "the cap holds");
                if let Ok(Claimed::Run(begun)) = claimed {
                    assert!(matches!(complete(&store, &hold(key, begun)), Held::Kept), "no claim is evicted");
                }
            })
        };
        race(vec![part("s:a:1"), part("s:a:3"), part("s:a:4")]);
        check(&store);
        assert!(store.0.shared.fill().0 <= 2);
    });
}

#[test]
fn verbs_that_go_over_all_shards_meet_without_a_deadlock() {
    explore(|| {
        let store = store(Some(2));
        let held = run(&store, KEY);
        let [one, two, three] = [(); 3].map(|()| Arc::clone(&store));
        race(vec![
            Box::new(move || {
                drop(complete(&one, &held));
                ask(one.remove_oldest(1));
            }),
            Box::new(move || {
                ask(two.clear_all());
                ask(two.cleanup_expired());
            }),
            Box::new(move || {
                for key in ["s:a:1", "s:a:2", "s:a:3"] {
                    if let Ok(Claimed::Run(begun)) = try_claim(&three, key) {
                        drop(complete(&three, &hold(key, begun)));
                    }
                }
                ask(three.tally());
            }),
        ]);
        check(&store);
    });
}
