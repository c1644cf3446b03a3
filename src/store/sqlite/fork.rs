//! `fork`: neither a lock nor a connection may come into the child. SQLite's locks belong to a process, but what it
//! remembers of them lies in memory that the child inherits: with a connection open, the child would take locks for held
//! that it has not got. So the connections are closed before, and opened again at need, on both sides.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::Inner;
use super::desk::Frozen as FrozenDesk;
use super::session::Session;
use crate::store::Limits;
use crate::store::waiters::Roll;

/// How long a fork waits at most for connections that are just being closed.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stores of this process, from before a file is opened until its last connection is closed: also those that nobody
/// has got yet, or that somebody has just dropped.
static STORES: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());
/// Connections that are open, being opened or being closed.
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
/// Threads that are about to fork.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// A connection, as long as SQLite knows of it.
pub(super) struct Counted(());

impl Counted {
    pub(super) fn new() -> Self {
        CONNECTIONS.fetch_add(1, Ordering::AcqRel);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Has a store's connections closed when a thread forks.
pub(super) fn enlist(inner: &Arc<Inner>) {
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.retain(|other| other.strong_count() > 0);
    stores.push(Arc::downgrade(inner));
}

/// The stores of this process.
pub(super) fn living() -> Vec<Arc<Inner>> {
    STORES.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
}

/// Whether a thread is about to fork, or has and is not done with it.
pub(super) fn is_under_way() -> bool {
    FORKS.load(Ordering::Acquire) > 0
}

/// Called by a thread that is about to fork: closes all connections and takes all locks of all stores.
pub fn freeze_all() {
    FORKS.fetch_add(1, Ordering::AcqRel);
    let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.iter().filter_map(Weak::upgrade).for_each(|inner| freeze(&inner));
    // What is left is in the hands of threads that drop a store, and wait for nobody.
    let until = Instant::now() + PATIENCE;
    while CONNECTIONS.load(Ordering::Acquire) > 0 && Instant::now() < until {
        thread::yield_now();
    }
    ALL.set(Some(stores));
}

/// Called by the same thread afterwards, on either side.
pub fn thaw_all(in_child: bool) {
    let frozen: Vec<_> = FROZEN.with_borrow(|all| all.iter().map(|frozen| Arc::clone(&frozen.inner)).collect());
    for inner in &frozen {
        thaw(inner, in_child);
    }
    if in_child {
        CONNECTIONS.store(0, Ordering::Release);
        FORKS.store(0, Ordering::Release);
    } else {
        FORKS.fetch_sub(1, Ordering::AcqRel);
    }
    drop(ALL.take());
}

/// All locks of a store, held from before `fork` until after it.
struct Frozen {
    desk: FrozenDesk<'static>,
    waiters: MutexGuard<'static, Roll>,
    _others: Box<dyn Guards>,
    /// Last, so that the guards go before what they guard.
    inner: Arc<Inner>,
}

/// What is only kept to be dropped.
trait Guards {}
impl<T> Guards for T {}

thread_local! {
    /// The stores that this thread has frozen: it is the one that forks, and exists on both sides.
    static FROZEN: RefCell<Vec<Frozen>> = const { RefCell::new(Vec::new()) };
    /// The list of stores, which stays as it is meanwhile.
    static ALL: RefCell<Option<MutexGuard<'static, Vec<Weak<Inner>>>>> = const { RefCell::new(None) };
}

/// Closes the connections and takes all locks, once. Waits for a transaction that is under way.
pub(super) fn freeze(inner: &Arc<Inner>) {
    FROZEN.with_borrow_mut(|all| {
        if all.iter().any(|frozen| Arc::ptr_eq(&frozen.inner, inner)) {
            return;
        }
        // SAFETY: the guards borrow from `*inner`, which does not move and lives at least as long as the `Arc` that
        // `Frozen` keeps beside them and drops after them. Measured reason: none of speed; guards can't be kept otherwise.
        let lent: &'static Inner = unsafe { &*Arc::as_ptr(inner) };
        let desk = lent.desk.freeze(|session| {
            lent.copies.detach();
            session.close_quickly();
        });
        let mut reader: MutexGuard<'static, Option<Session>> = lent.reader();
        if let Some(session) = reader.take() {
            session.close_quickly();
        }
        let mut checkpoints = lent.checkpoints.lock();
        if let Some(session) = checkpoints.take() {
            session.close_quickly();
        }
        let limits: MutexGuard<'static, Limits> = lent.limits();
        let others = Box::new((reader, checkpoints, limits, lent.copies.freeze()));
        all.push(Frozen { desk, waiters: lent.waiters.lock(), _others: others, inner: Arc::clone(inner) });
    });
}

/// Gives the locks back. What the parent's threads wait for and have counted is the parent's.
pub(super) fn thaw(inner: &Arc<Inner>, in_child: bool) {
    let frozen = FROZEN.with_borrow_mut(|all| {
        let at = all.iter().position(|frozen| Arc::ptr_eq(&frozen.inner, inner))?;
        Some(all.swap_remove(at))
    });
    let Some(mut frozen) = frozen else { return };
    if in_child {
        frozen.desk.begin_anew();
        frozen.waiters.abandon();
    }
    drop(frozen);
    if in_child {
        inner.copies.begin_anew();
        inner.checkpoints.begin_anew();
    }
}
