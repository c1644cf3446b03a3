//! The native thread that renews the leases of all running actions of a manager and cleans up what has expired.
//! It needs no interpreter, so a Python function that holds the GIL for a minute keeps its lease.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::runtime;
use crate::core::clock::{Clock, Span, SystemClock, Timestamp};
use crate::core::error::StoreError;
use crate::store::{Hold, Queued, Reply, Store};

/// A claim that this process is executing.
pub(super) struct Running {
    pub(super) hold: Hold,
    pub(super) store: Arc<dyn Store>,
    lease: Span,
    leased_until: AtomicI64,
    dispatched: AtomicBool,
    thread: ThreadId,
}

impl Running {
    /// How long the claim is believed without another renewal, by this process's own time.
    pub(super) fn remaining(&self) -> Span {
        Timestamp(self.leased_until.load(Ordering::Acquire)).since(now())
    }

    /// The store has kept that the effect may happen from here on.
    pub(super) fn set_dispatched(&self) {
        self.dispatched.store(true, Ordering::Release);
    }

    /// Whether the effect may have happened, as far as the latch says.
    pub(super) fn is_dispatched(&self) -> bool {
        self.dispatched.load(Ordering::Acquire)
    }

    /// Whether it is to be renewed. A claim that is fresh is left alone, so that a thread which has just been started or
    /// woken renews nothing that a test's clock has let lapse meanwhile; the next turn finds half its lease left or more.
    fn is_due(&self) -> bool {
        self.remaining().as_micros() < self.lease.as_micros() / 6 * 5
    }

    fn renewed(&self, asked_at: Timestamp) {
        self.leased_until.store(asked_at.after(self.lease).0, Ordering::Release);
    }
}

/// This process's own time, whatever clock the store is given.
fn now() -> Timestamp {
    static CLOCK: std::sync::LazyLock<SystemClock> = std::sync::LazyLock::new(SystemClock::new);
    CLOCK.now()
}

/// Proof that a claim is being renewed: its place among the running ones. Given back by [`Keeper::forget`].
pub(super) struct Place(usize);

#[derive(Default)]
struct Roll {
    running: Vec<Option<Arc<Running>>>,
    free: Vec<usize>,
    thread: Option<JoinHandle<()>>,
    stops: bool,
    /// Threads that were started: each but the last is to end, whatever has been said since.
    started: u64,
    next_renewal: Option<Instant>,
    /// Whether the thread is to end with the last claim.
    retires: bool,
    next_cleanup: Option<Instant>,
    /// Whether the thread cleans up at the moment.
    cleaning: bool,
}

/// A keeper's lock, held.
pub(super) struct Roster {
    _roll: MutexGuard<'static, Roll>,
}

/// Locks. The standard library's mutex, not `parking_lot`'s: a child would inherit the queues of that, which are
/// locked while another thread joins one.
fn lock(roll: &Mutex<Roll>) -> MutexGuard<'_, Roll> {
    roll.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module.
#[derive(Default)]
pub(super) struct Keeper {
    roll: Mutex<Roll>,
    changed: Condvar,
    started: AtomicBool,
    cleans: AtomicBool,
}

impl Keeper {
    /// One whose thread will clean up once the first claim or result has started it, or will not.
    pub(super) fn new(cleans: bool) -> Self {
        Self { cleans: cleans.into(), ..Self::default() }
    }

    /// Has a claim renewed until it is forgotten.
    pub(super) fn watch(
        &self,
        engine: &Arc<Engine>,
        hold: Hold,
        store: &Arc<dyn Store>,
        lease: Span,
    ) -> (Place, Arc<Running>) {
        let leased_until = AtomicI64::new(now().after(lease).0);
        let store = Arc::clone(store);
        let dispatched = AtomicBool::new(false);
        let running =
            Arc::new(Running { hold, store, lease, leased_until, dispatched, thread: thread::current().id() });
        let mut roll = lock(&self.roll);
        let place = if let Some(free) = roll.free.pop() {
            roll.running[free] = Some(Arc::clone(&running));
            free
        } else {
            roll.running.push(Some(Arc::clone(&running)));
            roll.running.len() - 1
        };
        if !self.started.load(Ordering::Acquire) {
            self.start(engine, &mut roll);
        }
        (Place(place), running)
    }

    /// Ends the renewal of a claim.
    #[expect(clippy::needless_pass_by_value, reason = "a place is spent: nobody can give it back twice")]
    pub(super) fn forget(&self, place: Place) {
        let mut roll = lock(&self.roll);
        let Place(place) = place;
        let forgotten = roll.running.get_mut(place).and_then(Option::take);
        if forgotten.is_some() {
            roll.free.push(place);
        }
        let retired = roll.retires.then(|| self.end_when_idle(&mut roll)).flatten();
        drop(roll);
        drop((forgotten, retired));
    }

    /// Cleans up at every interval from here on, or no longer.
    pub(super) fn set_cleaning(&self, engine: &Arc<Engine>, cleans: bool) {
        self.cleans.store(cleans, Ordering::Release);
        let mut roll = lock(&self.roll);
        if cleans && !self.started.load(Ordering::Acquire) {
            self.start(engine, &mut roll);
        }
        drop(roll);
        self.reschedule();
    }

    /// Starts the thread, where it is to clean up and has not been started by a claim.
    pub(super) fn expect_cleaning(&self, engine: &Arc<Engine>) {
        if self.cleans.load(Ordering::Acquire) && !self.started.load(Ordering::Acquire) {
            let mut roll = lock(&self.roll);
            if !self.started.load(Ordering::Acquire) {
                self.start(engine, &mut roll);
            }
        }
    }

    /// Has a new interval count from now.
    pub(super) fn reschedule(&self) {
        lock(&self.roll).next_cleanup = None;
        self.changed.notify_all();
    }

    /// A manager without this thread would lose its leases, so a host that has none to give stops the call.
    fn start(&self, engine: &Arc<Engine>, roll: &mut Roll) {
        let keeper = Arc::downgrade(engine);
        roll.stops = false;
        roll.started += 1;
        roll.next_renewal = None;
        let number = roll.started;
        let thread = thread::Builder::new()
            .name("idempotency-keeper".into())
            .spawn(move || run(&keeper, number))
            .unwrap_or_else(|error| panic!("no thread to renew leases with could be started: {error}"));
        roll.thread = Some(thread);
        self.started.store(true, Ordering::Release);
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        let thread = {
            let mut roll = lock(&self.roll);
            roll.stops = true;
            self.started.store(false, Ordering::Release);
            roll.thread.take()
        };
        self.changed.notify_all();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            // A thread that panicked has said so on stderr, and is as good as stopped.
            drop(thread.join());
        }
    }

    /// Has the thread end by itself with the last claim, without waiting for it: it may be waiting for the
    /// interpreter.
    pub(super) fn dismiss(&self) {
        self.cleans.store(false, Ordering::Release);
        let mut roll = lock(&self.roll);
        roll.retires = true;
        let retired = self.end_when_idle(&mut roll);
        drop(roll);
        drop(retired);
    }

    /// Has the thread end if no claim is running; its handle is for the caller to drop, outside the lock.
    fn end_when_idle(&self, roll: &mut Roll) -> Option<JoinHandle<()>> {
        if roll.running.iter().any(Option::is_some) {
            return None;
        }
        roll.stops = true;
        self.started.store(false, Ordering::Release);
        self.changed.notify_all();
        roll.thread.take()
    }

    /// Begins to clean up, unless that was stopped meanwhile.
    fn begin_cleaning(&self) -> bool {
        let mut roll = lock(&self.roll);
        roll.cleaning = self.cleans.load(Ordering::Acquire);
        roll.cleaning
    }

    fn end_cleaning(&self) {
        lock(&self.roll).cleaning = false;
        self.changed.notify_all();
    }

    /// Waits until the thread does not clean up, for a manager that has stopped that: within a bounded time.
    pub(super) fn await_cleaning(&self) {
        let until = Instant::now() + LONGEST_CLEANING;
        let mut roll = lock(&self.roll);
        while roll.cleaning {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            roll = self.changed.wait_timeout(roll, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the keeper's lock, for the thread that is about to fork.
    pub(super) fn freeze(&self) -> Roster {
        // SAFETY: `fork` keeps the engine, which this is a part of, longer than the guard. Measured reason: a child forked
        // while the keeper works would otherwise find its lock taken by a thread that is not there.
        let lent: &'static Self = unsafe { &*std::ptr::from_ref(self) };
        Roster { _roll: lock(&lent.roll) }
    }

    /// In a forked child: it has no keeper thread until it needs one, and of the claims keeps those that the forking
    /// thread is executing. The others run in the parent.
    pub(super) fn begin_anew(&self) {
        self.started.store(false, Ordering::Release);
        let mine = thread::current().id();
        let mut roll = lock(&self.roll);
        std::mem::forget(roll.thread.take());
        roll.cleaning = false;
        for place in 0..roll.running.len() {
            if roll.running[place].as_ref().is_some_and(|running| running.thread != mine) {
                std::mem::forget(roll.running[place].take());
                roll.free.push(place);
            }
        }
    }

    /// Waits until something is due; `false` when the thread is to end.
    fn wait(&self, number: u64, until: Instant) -> bool {
        let mut roll = lock(&self.roll);
        let goes_on = |roll: &Roll| !roll.stops && roll.started == number;
        if goes_on(&roll) {
            let left = until.saturating_duration_since(Instant::now());
            roll = self.changed.wait_timeout(roll, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        goes_on(&roll)
    }
}

fn run(engine: &Weak<Engine>, number: u64) {
    loop {
        let due = {
            let Some(engine) = engine.upgrade() else { return };
            engine.keep(Instant::now())
        };
        // The engine must not be kept alive by its own thread: it looks for it again each time.
        let Some(keeper) = engine.upgrade() else { return };
        let until = due.min(Instant::now() + LONGEST_SLEEP);
        if !keeper.keeper.wait(number, until) {
            return;
        }
    }
}

/// How long closing a manager waits at most for a cleaning that is under way.
const LONGEST_CLEANING: Duration = Duration::from_secs(5);
/// How long the thread sleeps at most, so that it notices an engine that is no longer used.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

impl Engine {
    /// Renews and cleans up; answers when to do so again.
    fn keep(self: &Arc<Self>, now: Instant) -> Instant {
        let active = self.current();
        let mut next = self.renew_in_time(now, active.settings.lease());
        if self.keeper.cleans.load(Ordering::Acquire) {
            let due = lock(&self.keeper.roll).next_cleanup;
            let interval = active.settings.cleanup_interval().into();
            let due = match due {
                Some(due) if due > now => due,
                Some(_) => {
                    if self.keeper.begin_cleaning() {
                        // What could not be cleaned up now is still there the next time; nothing depends on it.
                        let removed = settle(active.store.cleanup_expired());
                        if let (Ok(removed), Some(timings)) = (removed, &active.timings) {
                            timings.cleaned(removed);
                        }
                        self.keeper.end_cleaning();
                    }
                    now + interval
                }
                None => now + interval,
            };
            lock(&self.keeper.roll).next_cleanup = Some(due);
            next = next.min(due);
        }
        next
    }

    /// Renews at every third of the shortest lease, however often the thread is woken in between; answers when to do so
    /// again. A claim has its first third before it.
    fn renew_in_time(&self, now: Instant, lease: Span) -> Instant {
        let (next, is_due) = {
            let mut roll = lock(&self.keeper.roll);
            let running = || roll.running.iter().flatten();
            let third = running().map(|running| running.lease).fold(lease, Span::min).third();
            let at_latest = now + Duration::from(third);
            let (next, is_due) = match roll.next_renewal {
                Some(due) => (due.min(at_latest), due <= now),
                None => (at_latest, running().any(|running| running.is_due())),
            };
            let next = if is_due { at_latest } else { next };
            roll.next_renewal = Some(next);
            (next, is_due)
        };
        if is_due {
            self.renew_all();
        }
        next
    }

    fn renew_all(&self) {
        let due = |running: &&Arc<Running>| running.is_due();
        let running: Vec<_> = lock(&self.keeper.roll).running.iter().flatten().filter(due).cloned().collect();
        let mut rest = running.as_slice();
        while let Some(first) = rest.first() {
            let alike = |other: &&Arc<Running>| Arc::ptr_eq(&other.store, &first.store) && other.lease == first.lease;
            let count = rest.iter().take_while(alike).count();
            let (group, others) = rest.split_at(count);
            let holds: Vec<_> = group.iter().map(|running| running.hold.clone()).collect();
            let asked_at = now();
            // A renewal that fails is tried again at the next third of the lease, until it has really lapsed.
            if let Ok(lost) = settle(first.store.renew(&holds, first.lease)) {
                group
                    .iter()
                    .filter(|running| !lost.contains(&running.hold))
                    .for_each(|running| running.renewed(asked_at));
            }
            rest = others;
        }
    }
}

/// The value of a reply, waited for in this thread, which is no interpreter's.
pub(super) fn settle<T: Send + 'static>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(result) => result,
        Reply::Pending(future) => runtime::settle(future),
        Reply::Queued(Queued { answer, errand }) => {
            errand.run();
            runtime::settle(answer)
        }
    }
}
