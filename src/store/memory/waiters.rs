//! Who waits for a claim to end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hashbrown::HashMap;

use super::inner::Inner;
use super::slab::Slot;
use super::sync::lock;

/// A waiter, never used again in its shard.
type WaiterId = u64;

/// The waiters of a shard's entries. One is enlisted in the same step that found its key busy, so it misses no end.
#[derive(Default)]
pub(super) struct Waiters {
    of: HashMap<Slot, Vec<(WaiterId, Option<Waker>)>>,
    issued: WaiterId,
}

impl Waiters {
    pub(super) fn enlist(&mut self, slot: Slot) -> WaiterId {
        self.issued += 1;
        self.of.entry(slot).or_default().push((self.issued, None));
        self.issued
    }

    /// Takes the waiters of an entry off the list; their wakers are to be woken outside the lock.
    pub(super) fn discharge(&mut self, slot: Slot, wakers: &mut Vec<Waker>) {
        if self.of.is_empty() {
            return;
        }
        if let Some(waiters) = self.of.remove(&slot) {
            wakers.extend(waiters.into_iter().filter_map(|(_, waker)| waker));
        }
    }

    /// Takes all waiters off the list.
    pub(super) fn discharge_all(&mut self, wakers: &mut Vec<Waker>) {
        let all = std::mem::take(&mut self.of);
        wakers.extend(all.into_values().flatten().filter_map(|(_, waker)| waker));
    }

    /// Forgets the waiters without a trace: their wakers belong to threads that are not in this process.
    pub(super) fn abandon(&mut self) {
        std::mem::forget(std::mem::take(&mut self.of));
    }

    /// Sets a waiter's waker, and answers with the one to be dropped outside the lock: the old one where it still
    /// waits (`Ok`), the new one where its wait is over (`Err`).
    fn arm(&mut self, slot: Slot, id: WaiterId, waker: Waker) -> Result<Option<Waker>, Waker> {
        let waiters = self.of.get_mut(&slot);
        match waiters.and_then(|waiters| waiters.iter_mut().find(|(other, _)| *other == id)) {
            Some((_, armed)) => Ok(armed.replace(waker)),
            None => Err(waker),
        }
    }

    fn resign(&mut self, slot: Slot, id: WaiterId) -> Option<Waker> {
        let waiters = self.of.get_mut(&slot)?;
        let at = waiters.iter().position(|(other, _)| *other == id)?;
        let (_, waker) = waiters.swap_remove(at);
        if waiters.is_empty() {
            self.of.remove(&slot);
        }
        waker
    }

    /// The slots that are waited for.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.of.keys().copied()
    }
}

/// Ends when the claim it was made for is finished, resolved, marked over or cleared. It needs no runtime; a lease that
/// lapses does not end it, so its caller bounds the wait. Dropped, it leaves the list.
pub(super) struct Wait {
    pub(super) inner: Arc<Inner>,
    pub(super) shard: usize,
    pub(super) slot: Slot,
    pub(super) id: WaiterId,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let armed = lock(&self.inner.shards[self.shard].0).waiters.arm(self.slot, self.id, waker);
        match armed {
            Ok(_) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let waker = lock(&self.inner.shards[self.shard].0).waiters.resign(self.slot, self.id);
        drop(waker);
    }
}
