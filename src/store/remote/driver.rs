//! The runtime in which all clients of servers live, one for a process, and who drives it.
//!
//! A thread that waits for an answer drives it itself: its request is written and its answer read without another thread's
//! help, which would cost two switches, as long as the round trip itself. While no thread waits, but tasks do, or news may
//! come, a thread of the runtime's own drives it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

/// How long after the last thread that waited the runtime's own thread leaves the driving to another such.
const LINGER: Duration = Duration::from_millis(10);

static DRIVER: Mutex<Option<Arc<Driver>>> = Mutex::new(None);

/// See the module.
pub(super) struct Driver {
    runtime: Runtime,
    /// Threads that drive it, or wait to.
    callers: AtomicUsize,
    /// How often a thread has come to drive it.
    visits: AtomicUsize,
    /// Tasks that somebody waits for without driving.
    wanted: AtomicUsize,
    /// Whether the runtime's own thread drives it.
    attended: AtomicBool,
    leave: Notify,
    attendant: Mutex<Option<Thread>>,
}

fn lock() -> MutexGuard<'static, Option<Arc<Driver>>> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the list of drivers as it is while this thread forks.
pub(super) fn freeze() -> MutexGuard<'static, Option<Arc<Driver>>> {
    lock()
}

/// In a forked child: a parent's runtime has no threads here, and its locks may be held for ever.
pub(super) fn forget(frozen: &mut Option<Arc<Driver>>) {
    std::mem::forget(frozen.take());
}

/// This process's driver.
pub(super) fn driver() -> Arc<Driver> {
    Arc::clone(lock().get_or_insert_with(Driver::start))
}

impl Driver {
    fn start() -> Arc<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap_or_else(|error| panic!("no runtime for the clients of servers could be started: {error}"));
        let driver = Arc::new(Self {
            runtime,
            callers: AtomicUsize::new(0),
            visits: AtomicUsize::new(0),
            wanted: AtomicUsize::new(0),
            attended: AtomicBool::new(false),
            leave: Notify::new(),
            attendant: Mutex::new(None),
        });
        let attended = Arc::clone(&driver);
        let attendant = thread::Builder::new()
            .name("idempotency-net".into())
            .spawn(move || attended.attend())
            .unwrap_or_else(|error| panic!("no thread for the clients of servers could be started: {error}"));
        *driver.attendant() = Some(attendant.thread().clone());
        driver
    }

    fn attendant(&self) -> MutexGuard<'_, Option<Thread>> {
        self.attendant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime's own thread.
    fn attend(&self) {
        let mut seen = self.visits.load(Ordering::SeqCst);
        loop {
            if self.wanted.load(Ordering::SeqCst) == 0 {
                thread::park_timeout(LINGER);
                let visits = self.visits.load(Ordering::SeqCst);
                let busy = self.callers.load(Ordering::SeqCst) > 0 || visits != seen;
                seen = visits;
                if busy && self.wanted.load(Ordering::SeqCst) == 0 {
                    continue;
                }
            }
            self.attended.store(true, Ordering::SeqCst);
            if self.callers.load(Ordering::SeqCst) == 0 || self.wanted.load(Ordering::SeqCst) > 0 {
                self.runtime.block_on(self.leave.notified());
            }
            self.attended.store(false, Ordering::SeqCst);
            seen = self.visits.load(Ordering::SeqCst);
        }
    }

    /// Drives the runtime in this thread until the future ends or the time is over (`None`).
    ///
    /// Here the future has none of tokio's budget for a task: what has used it up is woken later, from a list that this call
    /// would drop where the time is over just then, and a part of the future that is woken by nothing else would be lost.
    pub(super) fn drive<T>(&self, future: impl Future<Output = T>, until: Instant) -> Option<T> {
        self.callers.fetch_add(1, Ordering::SeqCst);
        self.visits.fetch_add(1, Ordering::SeqCst);
        if self.attended.load(Ordering::SeqCst) && self.wanted.load(Ordering::SeqCst) == 0 {
            self.leave.notify_one();
        }
        let future = tokio::task::unconstrained(future);
        let answer = self.runtime.block_on(async { tokio::time::timeout_at(until.into(), future).await.ok() });
        self.callers.fetch_sub(1, Ordering::SeqCst);
        if self.wanted.load(Ordering::SeqCst) > 0 {
            self.call_attendant();
        }
        answer
    }

    /// The runtime itself.
    pub(super) fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    fn call_attendant(&self) {
        if let Some(thread) = &*self.attendant() {
            thread.unpark();
        }
    }

    /// Runs a task that somebody waits for elsewhere.
    pub(super) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let want = self.want();
        self.runtime.spawn(async move {
            task.await;
            drop(want);
        });
    }

    /// Runs a task that may wait until somebody drives the runtime, a moment later.
    pub(super) fn spawn_idle(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Has the runtime driven until this is dropped.
    pub(super) fn want(self: &Arc<Self>) -> Want {
        if self.wanted.fetch_add(1, Ordering::SeqCst) == 0 {
            self.call_attendant();
        }
        Want(Arc::clone(self))
    }
}

/// Somebody's wish that the runtime be driven.
pub(super) struct Want(Arc<Driver>);

impl Drop for Want {
    fn drop(&mut self) {
        if self.0.wanted.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.callers.load(Ordering::SeqCst) > 0 {
            self.0.leave.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::future::join_all;

    use super::*;

    const DRIVEN: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_secs(20);

    /// Waits for its turn again and again, as one of many requests on a connection does.
    async fn part() {
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[test]
    fn what_was_driven_for_a_while_goes_on_as_a_task_with_all_its_parts() {
        let driver = driver();
        let (done, is_done) = mpsc::channel();
        let mut many = Box::pin(async move {
            join_all((0..1_000).map(|_| part())).await;
            _ = done.send(());
        });
        let finished = driver.drive(&mut many, Instant::now() + DRIVEN).is_some();
        assert!(!finished, "there is enough to do");
        driver.spawn(many);
        is_done.recv_timeout(LONG).expect("no part is lost");
    }
}
