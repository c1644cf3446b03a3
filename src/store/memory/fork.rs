//! `fork`: the child must not inherit a lock that a thread holds which it has not got.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use super::inner::Inner;
use super::shard::Shard;
use super::sync::{MutexGuard, lock};

/// All locks of a store, held from before `fork` until after it.
struct Frozen {
    shards: Vec<MutexGuard<'static, Shard>>,
    _making_room: MutexGuard<'static, ()>,
    /// Last, so that the guards go before what they guard.
    inner: Arc<Inner>,
}

thread_local! {
    /// The stores that this thread has frozen. Guards belong to the thread that took them, and that is the one
    /// that forks; it exists on both sides.
    static FROZEN: RefCell<Vec<Frozen>> = const { RefCell::new(Vec::new()) };
}

/// Takes all locks, once.
pub(super) fn freeze(inner: &Arc<Inner>) {
    FROZEN.with_borrow_mut(|all| {
        if all.iter().any(|frozen| Arc::ptr_eq(&frozen.inner, inner)) {
            return;
        }
        // SAFETY: the guards borrow from `*inner`, which does not move and lives at least as long as the `Arc` that
        // `Frozen` keeps beside them and drops after them.
        let lent: &'static Inner = unsafe { &*Arc::as_ptr(inner) };
        all.push(Frozen {
            _making_room: lock(&lent.making_room),
            shards: lent.shards.iter().map(|shard| lock(&shard.0)).collect(),
            inner: Arc::clone(inner),
        });
    });
}

/// Gives the locks back. In the child the waiters are forgotten first: their wakers belong to threads of the parent.
pub(super) fn thaw(inner: &Arc<Inner>, in_child: bool) {
    let frozen = FROZEN.with_borrow_mut(|all| {
        let at = all.iter().position(|frozen| Arc::ptr_eq(&frozen.inner, inner))?;
        Some(all.swap_remove(at))
    });
    if let Some(mut frozen) = frozen
        && in_child
    {
        frozen.shards.iter_mut().for_each(|shard| mem::take(&mut shard.waiters).abandon());
    }
}
