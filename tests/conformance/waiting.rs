//! Waiting for a claim to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use _core::store::{BoxFuture, Claimed, Ending, Hold, Resolution};

use crate::world::{Factory, KEY, LEASE, TTL, World, ask, failure, json};

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn wait(world: &World, key: &str) -> BoxFuture<()> {
    match world.claim(key) {
        Claimed::Busy(wait) => wait,
        _ => panic!("{key} is busy"),
    }
}

fn is_over(wait: &mut BoxFuture<()>, bell: &Arc<Bell>) -> bool {
    wait.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell)))).is_ready()
}

type End = fn(&World, &Hold);

const ENDS: [(&str, End); 8] = [
    ("completed", |world, hold| drop(world.complete(hold, "1"))),
    ("failed", |world, hold| drop(world.finish(hold, Ending::Fail(failure(), TTL)))),
    ("in doubt", |world, hold| drop(world.finish(hold, Ending::Doubt("late".into())))),
    ("released", |world, hold| drop(world.finish(hold, Ending::Release))),
    ("marked", |world, hold| assert_eq!(world.mark(&hold.key, "1"), 0)),
    ("cleared", |world, hold| assert!(ask(world.store.clear(&hold.key)))),
    ("cleared with all", |world, _| assert_eq!(ask(world.store.clear_all()), 1)),
    ("resolved", |world, hold| {
        world.clock.advance(LEASE);
        ask(world.store.resolve(&hold.key, Resolution::Executed(json("1"), TTL)));
    }),
];

pub(crate) fn a_waiter_is_woken_by_every_end_of_a_claim(store: Factory) {
    for (how, end) in ENDS {
        let world = World::new(store);
        let hold = world.run(KEY);
        let (mut wait, bell) = (wait(&world, KEY), Arc::new(Bell::default()));
        assert!(!is_over(&mut wait, &bell), "nothing has ended yet");
        end(&world, &hold);
        assert!(bell.rung() > 0, "a waiter is woken when its key is {how}");
        assert!(is_over(&mut wait, &bell), "a wait is over when its key is {how}");
    }
}

pub(crate) fn a_waiter_that_has_not_been_polled_misses_no_end(store: Factory) {
    for (how, end) in ENDS {
        let world = World::new(store);
        let hold = world.run(KEY);
        let mut wait = wait(&world, KEY);
        end(&world, &hold);
        assert!(is_over(&mut wait, &Arc::default()), "a late waiter sees that its key was {how}");
    }
}

pub(crate) fn all_waiters_are_woken(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    let bell = Arc::new(Bell::default());
    let mut waits: Vec<_> = (0..10).map(|_| wait(&world, KEY)).collect();
    assert!(!waits.iter_mut().any(|wait| is_over(wait, &bell)));
    world.complete(&hold, "1");
    assert!(bell.rung() >= 10);
    assert!(waits.iter_mut().all(|wait| is_over(wait, &bell)));
}

pub(crate) fn a_dropped_waiter_is_not_woken(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    let (mut gone, mut stays) = (wait(&world, KEY), wait(&world, KEY));
    let (silent, bell) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    assert!(!is_over(&mut gone, &silent) && !is_over(&mut stays, &bell));
    drop(gone);
    assert_eq!(Arc::strong_count(&silent), 1, "its waker went with it");
    world.complete(&hold, "1");
    assert_eq!(silent.rung(), 0);
    assert!(bell.rung() > 0);
}

pub(crate) fn a_renewal_wakes_nobody(store: Factory) {
    let world = World::new(store);
    let hold = world.run(KEY);
    let (mut wait, bell) = (wait(&world, KEY), Arc::new(Bell::default()));
    assert!(!is_over(&mut wait, &bell));
    ask(world.store.renew(&[hold], LEASE));
    assert_eq!(bell.rung(), 0);
    assert!(!is_over(&mut wait, &bell));
}
