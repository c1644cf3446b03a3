//! `fork`: neither a lock nor a connection may come into the child. SQLite's locks belong to a process, but what it
//! remembers of them lies in memory that the child inherits: with a connection open, the child would take locks for held
//! that it has not got. So the connections are closed before, and opened again at need, on both sides.

use std::cell::RefCell;
use std::sync::{Arc, MutexGuard};

use super::Inner;
use super::desk::Frozen as FrozenDesk;
use super::session::Session;
use super::waiters::Roll;
use crate::store::Limits;

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
