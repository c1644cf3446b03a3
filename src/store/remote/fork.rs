//! `fork`: no lock of a store's, and no connection, may come into the child as it is.

use std::cell::RefCell;
use std::sync::{Arc, MutexGuard};

use super::Inner;
use super::counts::Counts;
use super::driver::{self, Driver};
use super::engine::{Engine, Frozen};

trait FrozenStore {
    fn begin_anew(self: Box<Self>);
    fn is_of(&self, store: *const ()) -> bool;
}

/// All locks of a store, held across a `fork`. The guards go before what they guard.
struct Locked<E: Engine> {
    engine: Box<dyn Frozen>,
    waiters: MutexGuard<'static, crate::store::waiters::Roll>,
    counts: MutexGuard<'static, super::counts::Pending>,
    telling: MutexGuard<'static, Arc<tokio::sync::Mutex<()>>>,
    copies: std::sync::RwLockWriteGuard<'static, Option<super::copies::Table>>,
    _room: MutexGuard<'static, super::room::Inner>,
    inner: Arc<Inner<E>>,
}

impl<E: Engine> FrozenStore for Locked<E> {
    fn begin_anew(mut self: Box<Self>) {
        self.engine.begin_anew();
        self.waiters.abandon();
        Counts::begin_anew(&mut self.counts);
        // A task of the parent's may hold it.
        std::mem::forget(std::mem::take(&mut *self.telling));
        *self.copies = None;
        self.inner.listens.store(false, std::sync::atomic::Ordering::Release);
    }

    fn is_of(&self, store: *const ()) -> bool {
        Arc::as_ptr(&self.inner).cast() == store
    }
}

thread_local! {
    /// The stores that this thread has frozen: it is the one that forks, and exists on both sides.
    static FROZEN: RefCell<Vec<Box<dyn FrozenStore>>> = const { RefCell::new(Vec::new()) };
    static DRIVER: RefCell<Option<MutexGuard<'static, Option<Arc<Driver>>>>> = const { RefCell::new(None) };
}

/// Called by a thread that is about to fork.
pub fn freeze_driver() {
    DRIVER.set(Some(driver::freeze()));
}

/// Called by the same thread afterwards, on either side.
pub fn thaw_driver(in_child: bool) {
    if let Some(mut frozen) = DRIVER.take()
        && in_child
    {
        driver::forget(&mut frozen);
    }
}

/// Takes all locks of a store.
pub(super) fn freeze<E: Engine>(inner: &Arc<Inner<E>>) {
    // SAFETY: the guards borrow from `*inner`, which does not move and lives at least as long as the `Arc` that `Locked`
    // keeps beside them and drops after them. Measured reason: none of speed; guards can't be kept otherwise.
    let lent: &'static Inner<E> = unsafe { &*Arc::as_ptr(inner) };
    let locked = Locked {
        telling: lent.telling(),
        copies: lent.news.copies.write(),
        counts: lent.counts.lock(),
        _room: lent.room.lock(),
        waiters: lent.news.waiters.lock(),
        engine: lent.engine.freeze(),
        inner: Arc::clone(inner),
    };
    FROZEN.with_borrow_mut(|all| all.push(Box::new(locked)));
}

/// Gives the locks back.
pub(super) fn thaw<E: Engine>(inner: &Arc<Inner<E>>, in_child: bool) {
    let place: *const () = Arc::as_ptr(inner).cast();
    let locked = FROZEN.with_borrow_mut(|all| {
        let at = all.iter().position(|locked| locked.is_of(place))?;
        Some(all.swap_remove(at))
    });
    if let Some(locked) = locked
        && in_child
    {
        locked.begin_anew();
    }
}
