//! Foreign code that the memory store sets off, the drop of a result and a waker, may call the store: no lock is held then.
#![cfg(not(shuttle))]

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use _core::core::clock::{ManualClock, Span, Timestamp};
use _core::core::record::{Fingerprint, Labels, Payload};
use _core::store::memory::MemoryStore;
use _core::store::{ClaimRequest, Claimed, Ending, Hold, Limits, MarkRequest, Reply, Store};

const TTL: Span = Span::from_secs(60);
const KEY: &str = "s:a:t";

fn ask<T>(reply: Reply<T>) -> T {
    match reply {
        Reply::Ready(answer) => answer.expect("the store can answer"),
        Reply::Pending(_) | Reply::Queued(_) => panic!("the memory store answers at once"),
    }
}

/// Asks the store about everything when it is dropped or woken, which would never end under a lock.
struct Meddler(Weak<World>, std::sync::mpsc::Sender<()>);

impl Meddler {
    fn meddle(&self) {
        if let Some(world) = self.0.upgrade() {
            ask(world.store.tally());
            ask(world.store.get(KEY));
        }
        self.1.send(()).unwrap_or_default();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle();
    }
}

struct Ring(Meddler);

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.0.meddle();
    }
}

struct World {
    store: MemoryStore,
    clock: Arc<ManualClock>,
    owner: Arc<str>,
}

impl World {
    fn claim(&self, key: &str) -> Claimed {
        ask(self.store.claim(&ClaimRequest::plain(key, &Fingerprint([0; 32]), &self.owner, TTL, TTL)))
    }

    fn hold(&self) -> Hold {
        let Claimed::Run(begun) = self.claim(KEY) else { panic!("{KEY} is free") };
        Hold { key: KEY.into(), fence: begun.fence }
    }

    fn mark(&self, result: Payload) {
        ask(self.store.mark(MarkRequest {
            key: KEY,
            labels: &Labels::default(),
            fingerprint: None,
            result,
            ttl: TTL,
            owner: &self.owner,
            params: None,
            context: None,
        }));
    }
}

/// Runs a test that would hang if it failed.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (done, waits) = channel();
    let thread = thread::spawn(move || {
        test();
        drop(done);
    });
    let ended: Result<(), _> = waits.recv_timeout(Duration::from_secs(20));
    assert_eq!(ended, Err(RecvTimeoutError::Disconnected), "foreign code ran under a lock");
    thread.join().expect("the test passes");
}

fn world() -> Arc<World> {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let limits = Limits { max_records: Some(1), refuse_when_full: false };
    let store = MemoryStore::new(Arc::<ManualClock>::clone(&clock), limits);
    Arc::new(World { store, clock, owner: "host:1".into() })
}

type Step = fn(&World);

#[test]
fn a_result_is_dropped_outside_the_locks_whatever_removes_it() {
    let removals: [(&str, Step); 9] = [
        ("clear", |world| assert!(ask(world.store.clear(KEY)))),
        ("clear all", |world| assert_eq!(ask(world.store.clear_all()), 1)),
        ("remove the oldest", |world| assert_eq!(ask(world.store.remove_oldest(1)), 1)),
        ("evict", |world| drop(world.claim("s:a:other"))),
        ("mark over", |world| world.mark(Payload::Unavailable)),
        ("clean up", |world| {
            world.clock.advance(TTL);
            assert_eq!(ask(world.store.cleanup_expired()), 1);
        }),
        ("claim over an expired one", |world| {
            world.clock.advance(TTL);
            assert!(matches!(world.claim(KEY), Claimed::Run(_)));
        }),
        ("mark over an expired one", |world| {
            world.clock.advance(TTL);
            world.mark(Payload::Unavailable);
        }),
        ("clear an expired one", |world| {
            world.clock.advance(TTL);
            assert!(!ask(world.store.clear(KEY)));
        }),
    ];
    for (how, remove) in removals {
        in_time(move || {
            let (world, (sender, dropped)) = (world(), channel());
            let result = Payload::Local(Arc::new(Meddler(Arc::downgrade(&world), sender)));
            let hold = world.hold();
            ask(world.store.finish(&hold, Ending::Complete(result, TTL)));
            assert!(dropped.try_recv().is_err(), "the result is kept");
            remove(&world);
            assert!(dropped.try_recv().is_ok(), "the result is gone after: {how}");
        });
    }
}

#[test]
fn the_result_of_a_stale_holder_is_dropped_outside_the_locks() {
    in_time(|| {
        let (world, (sender, dropped)) = (world(), channel());
        let hold = world.hold();
        ask(world.store.clear(KEY));
        let result = Payload::Local(Arc::new(Meddler(Arc::downgrade(&world), sender)));
        ask(world.store.finish(&hold, Ending::Complete(result, TTL)));
        assert!(dropped.try_recv().is_ok());
    });
}

#[test]
fn a_waker_is_woken_and_dropped_outside_the_locks() {
    in_time(|| {
        let (world, (sender, calls)) = (world(), channel());
        let hold = world.hold();
        let ring = || Waker::from(Arc::new(Ring(Meddler(Arc::downgrade(&world), sender.clone()))));
        let (Claimed::Busy(mut stays), Claimed::Busy(mut goes)) = (world.claim(KEY), world.claim(KEY)) else {
            panic!("{KEY} is busy")
        };
        for _ in 0..2 {
            assert!(stays.as_mut().poll(&mut Context::from_waker(&ring())).is_pending());
            assert!(goes.as_mut().poll(&mut Context::from_waker(&ring())).is_pending());
        }
        drop(goes);
        ask(world.store.finish(&hold, Ending::Release));
        assert!(stays.as_mut().poll(&mut Context::from_waker(&ring())).is_ready());
        assert!(calls.try_iter().count() >= 3);
    });
}
