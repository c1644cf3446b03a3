//! The SQLite store on both sides of a `fork`. A process of its own, with one test, since it forks.
#![cfg(all(unix, not(shuttle)))]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use _core::core::clock::{Span, SystemClock};
use _core::core::error::StoreError;
use _core::core::record::{Fingerprint, Payload};
use _core::store::sqlite::{Options, SqliteStore, Synchronous};
use _core::store::{ClaimRequest, Claimed, Ending, Hold, Limits, Queued, Reply, Selector, Store};
use rustix::fs::FlockOperation;
use tempfile::TempDir;

const TTL: Span = Span::from_secs(600);
const LONG: Duration = Duration::from_secs(30);

fn open(path: &Path) -> SqliteStore {
    let options = Options { synchronous: Synchronous::Normal, ..Options::new(path) };
    SqliteStore::open(options, Arc::new(SystemClock::new()), Limits::default()).expect("the file can be opened")
}

/// What a store answers, or that it does not.
fn answer<T>(reply: Reply<T>) -> Result<T, StoreError> {
    let mut future = match reply {
        Reply::Ready(answer) => return answer,
        Reply::Pending(future) => future,
        Reply::Queued(Queued { answer, errand }) => {
            errand.run();
            answer
        }
    };
    let began = Instant::now();
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
        assert!(began.elapsed() < LONG, "the store answers");
        thread::sleep(Duration::from_micros(200));
    }
}

fn ask<T>(reply: Reply<T>) -> T {
    answer(reply).expect("the store can answer")
}

fn claim(store: &SqliteStore, key: &str) -> Reply<Claimed> {
    let owner: Arc<str> = "elsewhere:1".into();
    let request = ClaimRequest {
        signal_id: "s",
        action_type: "a",
        target: "t",
        ..ClaimRequest::plain(key, &Fingerprint([0; 32]), &owner, TTL, TTL)
    };
    store.replay(&request).unwrap_or_else(|| store.claim(&request))
}

/// Completes a key, unless it is done; answers whether it was done here.
fn execute(store: &SqliteStore, key: &str) -> bool {
    match ask(claim(store, key)) {
        Claimed::Run(begun) => {
            let hold = Hold { key: key.into(), fence: begun.fence };
            ask(store.finish(&hold, Ending::Complete(Payload::Unavailable, TTL)));
            true
        }
        _ => false,
    }
}

/// A child process, and how it went.
struct Child(libc::pid_t);

impl Child {
    /// Forks; the child does this and ends.
    fn new(works: impl FnOnce() -> bool) -> Self {
        // SAFETY: the child uses the standard library's threads and memory, which the C library keeps usable after a
        // fork, and the store, which is what is tested; it leaves by `_exit` at the latest after its alarm.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: ends the child if it hangs.
            unsafe { libc::alarm(40) };
            let works = std::panic::catch_unwind(std::panic::AssertUnwindSafe(works));
            // SAFETY: leaves without the parent's exit handlers.
            unsafe { libc::_exit(i32::from(!works.unwrap_or(false))) };
        }
        assert!(pid > 0, "the process could be forked");
        Self(pid)
    }

    /// The same between a store's two hooks.
    fn of(store: &SqliteStore, works: impl FnOnce() -> bool) -> Self {
        store.before_fork();
        let child = Self::new(|| {
            store.after_fork(true);
            works()
        });
        store.after_fork(false);
        child
    }

    fn went_well(self) -> bool {
        let mut status = 0;
        // SAFETY: `status` is a place for the child's status.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        waited == self.0 && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}

/// Stands first in the line of writers, as another process does.
fn hold_the_line(path: &Path) -> File {
    let line = File::options().write(true).open(path.with_file_name("store.db-queue")).expect("there is a line");
    rustix::fs::flock(&line, FlockOperation::LockExclusive).expect("it can be locked");
    line
}

fn new_path(folders: &mut Vec<TempDir>) -> PathBuf {
    let folder = TempDir::new().expect("a folder can be made");
    let path = folder.path().join("store.db");
    folders.push(folder);
    path
}

fn processes_open_a_new_file_at_the_same_time(path: &Path) {
    let execute_all = || {
        let store = open(path);
        (0..40).filter(|number| execute(&store, &format!("key:{number}"))).count() <= 40
    };
    let children: Vec<_> = (0..6).map(|_| Child::new(execute_all)).collect();
    assert!(children.into_iter().all(Child::went_well), "each could open it");
    let store = open(path);
    let tally = ask(store.tally());
    assert_eq!((tally.finished, tally.in_progress), (40, 0), "each key was done by one");
}

fn a_child_works_and_the_parent_is_unharmed_while_nothing_is_under_way(path: &Path) {
    let store = open(path);
    execute(&store, "before");
    // Starts the desk's thread, which then waits; and leaves a duplicate to be counted, by the parent.
    assert!(matches!(answer(claim(&store, "before")), Ok(Claimed::Replay { .. })));
    let child = Child::of(&store, || {
        let replays = matches!(answer(claim(&store, "before")), Ok(Claimed::Replay { .. }));
        let works = execute(&store, "by the child") && !execute(&store, "by the child");
        replays && works && is_served_in_the_child(&store)
    });
    assert!(child.went_well(), "the store works in the child");
    assert!(!execute(&store, "by the child"), "the parent sees what the child did");
    assert!(execute(&store, "after"), "the store works in the parent");
    let tally = ask(store.tally());
    // One and one of "before", two of "by the child".
    assert_eq!((tally.finished, tally.hits), (3, 4), "each duplicate is counted once");
}

/// Does a verb by the store's own thread, which the child has to start anew, and writes what was counted.
fn is_served_in_the_child(store: &SqliteStore) -> bool {
    let found = answer(Reply::Pending(store.find(Selector::Target("t")).called()));
    found.is_ok_and(|keys| keys.len() == 2) && answer(store.flush()).is_ok()
}

fn a_fork_while_the_store_stands_in_line_costs_no_verb(path: &Path) {
    let store = open(path);
    let line = hold_the_line(path);
    let waits: Vec<_> = (0..3).map(|number| claim(&store, &format!("waits:{number}")).called()).collect();
    // Until the store's thread stands in line, or not: the fork must be right in both cases.
    thread::sleep(Duration::from_millis(100));
    let child = Child::of(&store, || execute(&store, "by the child"));
    // For the child too, which has a copy of the file: closing this one would leave it locked.
    rustix::fs::flock(&line, FlockOperation::Unlock).expect("it is locked");
    for claimed in waits {
        let claimed = answer(Reply::Pending(claimed));
        assert!(matches!(claimed, Ok(Claimed::Run(_))), "what the parent waits for is done: {:?}", claimed.err());
    }
    assert!(child.went_well(), "the child has its turn");
    assert_eq!(ask(store.find(Selector::ActionType("a"))).len(), 4);
}

fn who_forks_waits_for_one_transaction_at_most(path: &Path) {
    let (store, done) = (open(path), AtomicBool::new(false));
    let children = thread::scope(|scope| {
        for number in 0..4 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut at = 0;
                while !done.load(Ordering::Relaxed) {
                    at += 1;
                    execute(store, &format!("{number}:{at}"));
                    let waits: Vec<_> =
                        (0..50).map(|each| claim(store, &format!("{number}:{at}:{each}")).called()).collect();
                    for claimed in waits {
                        ask(Reply::Pending(claimed));
                    }
                }
            });
        }
        let began = Instant::now();
        let children: Vec<_> = (0..10)
            .map(|number| {
                thread::sleep(Duration::from_millis(5));
                Child::of(&store, || execute(&store, &format!("child:{number}")))
            })
            .collect();
        let took = began.elapsed();
        done.store(true, Ordering::Relaxed);
        assert!(took < Duration::from_secs(10), "ten forks took {took:?}");
        children
    });
    assert!(children.into_iter().all(Child::went_well), "the store works in each child");
    assert!(execute(&store, "after"), "the store works in the parent");
}

#[test]
fn a_store_works_on_both_sides_of_a_fork() {
    let mut folders = Vec::new();
    // First, while this process has not opened anything.
    processes_open_a_new_file_at_the_same_time(&new_path(&mut folders));
    a_child_works_and_the_parent_is_unharmed_while_nothing_is_under_way(&new_path(&mut folders));
    a_fork_while_the_store_stands_in_line_costs_no_verb(&new_path(&mut folders));
    who_forks_waits_for_one_transaction_at_most(&new_path(&mut folders));
}
