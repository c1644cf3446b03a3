//! The memory store on both sides of a `fork`, while other threads are at work in it. A process of its own, with one
//! test, since it forks.
#![cfg(all(unix, not(shuttle)))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use _core::core::clock::{Span, SystemClock};
use _core::core::record::{Fingerprint, Payload};
use _core::store::memory::MemoryStore;
use _core::store::{ClaimRequest, Claimed, Ending, Hold, Limits, Reply, Store};

const TTL: Span = Span::from_secs(600);
const FORKS: usize = 50;

fn ask<T>(reply: Reply<T>) -> T {
    match reply {
        Reply::Ready(answer) => answer.expect("the store can answer"),
        Reply::Pending(_) | Reply::Queued(_) => panic!("the memory store answers at once"),
    }
}

fn claim(store: &MemoryStore, key: &str) -> Claimed {
    ask(store.claim(&ClaimRequest::plain(key, &Fingerprint([0; 32]), &"host:1".into(), TTL, TTL)))
}

/// Completes a key, unless it is done.
fn execute(store: &MemoryStore, key: &str) {
    if let Claimed::Run(begun) = claim(store, key) {
        let hold = Hold { key: key.into(), fence: begun.fence };
        ask(store.finish(&hold, Ending::Complete(Payload::Unavailable, TTL)));
    }
}

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// All that the child does; `true` if the store works in it.
fn works_in_the_child(store: &Arc<MemoryStore>, held: &Hold, bell: &Bell) -> bool {
    let threads: Vec<_> = (0..3)
        .map(|number| {
            let store = Arc::clone(store);
            thread::spawn(move || (0..200).for_each(|key| execute(&store, &format!("child:{number}:{}", key % 50))))
        })
        .collect();
    let joined = threads.into_iter().all(|thread| thread.join().is_ok());
    ask(store.finish(held, Ending::Complete(Payload::Unavailable, TTL)));
    let silent = bell.0.load(Ordering::SeqCst) == 0;
    joined && silent && store.check_invariants().is_ok() && matches!(claim(store, &held.key), Claimed::Replay { .. })
}

/// Forks between the two hooks; answers whether the store works on the other side.
fn fork(store: &Arc<MemoryStore>, held: &Hold, bell: &Bell) -> bool {
    store.before_fork();
    // SAFETY: the child uses the standard library's threads and memory, which the C library keeps usable after a fork,
    // and the store, which is what is tested; it leaves by `_exit` at the latest after its alarm.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends the child if it hangs.
        unsafe { libc::alarm(20) };
        store.after_fork(true);
        let works = works_in_the_child(store, held, bell);
        // SAFETY: leaves without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!works)) };
    }
    store.after_fork(false);
    assert!(pid > 0, "the process could be forked");
    let mut status = 0;
    // SAFETY: `status` is a place for the child's status.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    waited == pid && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[test]
fn a_store_works_on_both_sides_of_a_fork_that_comes_while_threads_are_at_work() {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock::new()), Limits::default()));
    let Claimed::Run(begun) = claim(&store, "held") else { panic!("a new key runs") };
    let held = Hold { key: "held".into(), fence: begun.fence };
    let Claimed::Busy(mut wait) = claim(&store, "held") else { panic!("the key is held") };
    let bell = Arc::new(Bell::default());
    assert!(wait.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&bell)))).is_pending());
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..3)
        .map(|number| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    (0..20).for_each(|key| execute(&store, &format!("parent:{number}:{key}")));
                    ask(store.remove_oldest(10));
                }
            })
        })
        .collect();
    let failed = (0..FORKS).filter(|_| !fork(&store, &held, &bell)).count();
    stop.store(true, Ordering::SeqCst);
    for thread in busy {
        thread.join().expect("the parent's threads go on");
    }
    assert_eq!(failed, 0, "the store worked in every child");
    ask(store.finish(&held, Ending::Release));
    assert_eq!(bell.0.load(Ordering::SeqCst), 1, "the parent's waiter was woken, by the parent");
    store.check_invariants().expect("the indexes agree with the entries");
}
