//! The locks and atomics, so that a build with `--cfg shuttle` explores their interleavings.
//!
//! The standard library's mutex, not `parking_lot`'s: after `fork`, the child would inherit `parking_lot`'s
//! process-wide queues with threads in them that no longer exist, and wake those instead of living ones.

use std::sync::PoisonError;

#[cfg(shuttle)]
pub(super) use shuttle::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(shuttle))]
pub(super) use std::sync::{Mutex, MutexGuard, atomic};

/// Locks; a panic of another holder is that holder's problem.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
