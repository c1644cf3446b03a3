//! Who waits in this process for a claim to end.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The waiters of each key. The standard library's mutex, as in the memory store: a forked child can use it.
#[derive(Default)]
pub(super) struct Waiters(Mutex<Roll>);

#[derive(Default)]
pub(super) struct Roll {
    of: HashMap<Box<str>, Vec<(u64, Option<Waker>)>>,
    issued: u64,
}

impl Waiters {
    pub(super) fn lock(&self) -> MutexGuard<'_, Roll> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A wait that ends when the key is next discharged.
    pub(super) fn enlist(self: &Arc<Self>, key: &str) -> Wait {
        let mut roll = self.lock();
        roll.issued += 1;
        let id = roll.issued;
        roll.of.entry(key.into()).or_default().push((id, None));
        Wait { waiters: Arc::clone(self), key: key.into(), id }
    }

    /// Ends the waits for a key.
    pub(super) fn discharge(&self, key: &str) {
        let waiters = {
            let mut roll = self.lock();
            if roll.of.is_empty() {
                return;
            }
            roll.of.remove(key)
        };
        waiters.into_iter().flatten().filter_map(|(_, waker)| waker).for_each(Waker::wake);
    }

    /// Ends all waits.
    pub(super) fn discharge_all(&self) {
        let all = std::mem::take(&mut self.lock().of);
        all.into_values().flatten().filter_map(|(_, waker)| waker).for_each(Waker::wake);
    }
}

impl Roll {
    /// Forgets the waiters without a trace: their wakers belong to threads that are not in this process.
    pub(super) fn abandon(&mut self) {
        std::mem::forget(std::mem::take(&mut self.of));
    }
}

/// Ends when the key's claim is ended by this process; what another does, its caller must look for. Dropped, it leaves
/// the list.
pub(super) struct Wait {
    waiters: Arc<Waiters>,
    key: Box<str>,
    id: u64,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let mut roll = self.waiters.lock();
        let waiter = roll.of.get_mut(&self.key).and_then(|all| all.iter_mut().find(|(id, _)| *id == self.id));
        let Some((_, armed)) = waiter else { return Poll::Ready(()) };
        let before = armed.replace(waker);
        drop(roll);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut roll = self.waiters.lock();
        let Some(all) = roll.of.get_mut(&self.key) else { return };
        let gone = all.iter().position(|(id, _)| *id == self.id).map(|at| all.swap_remove(at));
        if all.is_empty() {
            roll.of.remove(&self.key);
        }
        drop(roll);
        drop(gone);
    }
}
