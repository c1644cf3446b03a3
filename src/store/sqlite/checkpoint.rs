//! Moving what was committed from the write-ahead log into the database, so that the log stays short.
//!
//! SQLite would do it in the commit that makes the log long, while its caller waits. A thread of its own does it here,
//! beside the writers; what was added meanwhile, a writer moves, so that the log can begin anew.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::Inner;
use super::session::Session;
use super::wal_index::Header;

/// Frames of the log after which it is moved; a frame is a page.
const LONG: u32 = 2_000;
/// Frames after which a writer moves it, and lets others wait.
const VERY_LONG: u32 = 32_000;

/// See the module.
#[derive(Default)]
pub(super) struct Checkpoints {
    session: Mutex<Option<Session>>,
    running: AtomicBool,
    /// Whether little is left, so that a writer may do it, and the log begins anew.
    nearly_done: AtomicBool,
    due_at: AtomicU32,
}

impl Checkpoints {
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a log of so many frames is due: once for each so many more.
    fn is_due(&self, frames: u32) -> bool {
        let due_at = self.due_at.load(Ordering::Relaxed).max(LONG);
        if frames < LONG && due_at > LONG {
            self.due_at.store(LONG, Ordering::Relaxed);
        }
        if frames < due_at || self.running.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.due_at.store(frames.saturating_add(LONG), Ordering::Relaxed);
        true
    }

    /// Closes the connection, once nothing is moved through it; a thread that was to do so opens none.
    pub(super) fn call_off(&self) {
        let mut session = self.lock();
        drop(session.take());
        self.running.store(false, Ordering::Release);
    }

    /// In a forked child: the thread is the parent's.
    pub(super) fn begin_anew(&self) {
        self.running.store(false, Ordering::Release);
    }
}

impl Inner {
    /// Called by a writer after its commit, when the log is this long.
    pub(super) fn after_commit(self: &Arc<Self>, session: &Session, header: Header) {
        if session.has_many_unsettled() {
            self.do_there(self.counting());
        } else {
            self.expect_counts();
        }
        let frames = header.frames();
        if frames >= VERY_LONG || self.checkpoints.nearly_done.swap(false, Ordering::AcqRel) {
            session.checkpoint();
        } else if self.checkpoints.is_due(frames) {
            let inner = Arc::clone(self);
            let thread = thread::Builder::new().name("idempotency-checkpoint".into());
            if thread.spawn(move || inner.checkpoint()).is_err() {
                // No thread can be had; the log waits for a writer.
                self.checkpoints.running.store(false, Ordering::Release);
            }
        }
    }

    fn checkpoint(&self) {
        let mut kept = self.checkpoints.lock();
        if !self.checkpoints.running.load(Ordering::Acquire) {
            return;
        }
        if kept.is_none() {
            *kept = Session::open(&self.options).ok();
        }
        if let Some(session) = &*kept {
            session.checkpoint();
        }
        drop(kept);
        self.checkpoints.nearly_done.store(true, Ordering::Release);
        self.checkpoints.running.store(false, Ordering::Release);
    }
}
