//! A verb that is asked for: what it does, when it must be done, and who waits for it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::session::Session;
use super::turn::Turn;
use crate::core::clock::Timestamp;
use crate::core::error::StoreError;
use crate::store::Recall;

/// What keeps a verb from being done.
pub(super) enum Fault {
    /// SQLite's error: the transaction is undone, and with it all that it was to do.
    Sql(rusqlite::Error),
    /// An answer that is an error; it concerns this verb only.
    Answer(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// What a verb does in a transaction. It may be called again where the transaction fails; `None` asks to be called again
/// in another transaction, after those who wait.
pub(super) type Verb<T> = Box<dyn FnMut(&mut Turn<'_>) -> Result<Option<T>, Fault> + Send>;

const WAITING: u8 = 0;
const STARTED: u8 = 1;
const GIVEN_UP: u8 = 2;

/// How far a piece of work has come, as its owner may see it who would give it up.
#[derive(Clone)]
pub(super) struct Progress(Arc<Waiting>);

struct Waiting {
    state: AtomicU8,
    due: Mutex<Instant>,
}

impl Progress {
    pub(super) fn new(due: Instant) -> Self {
        Self(Arc::new(Waiting { state: AtomicU8::new(WAITING), due: Mutex::new(due) }))
    }

    /// Begins the work; `false` where it was given up.
    pub(super) fn start(&self) -> bool {
        self.change(WAITING, STARTED)
    }

    /// The work could not be done and waits again.
    pub(super) fn put_back(&self) {
        self.change(STARTED, WAITING);
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.0.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn lock_due(&self) -> MutexGuard<'_, Instant> {
        self.0.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it has waited for long enough.
    pub(super) fn due(&self) -> Instant {
        *self.lock_due()
    }

    /// Waits for its next part, as long as it might for its first.
    fn wait_anew(&self, patience: Duration) {
        *self.lock_due() = Instant::now() + patience;
        self.put_back();
    }
}

impl Recall for Progress {
    fn give_up(&self) -> bool {
        self.change(WAITING, GIVEN_UP)
    }
}

/// What must be written before a verb is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// Nothing.
    Nothing,
    /// What was counted, since it shows counts.
    Counts,
}

/// A piece of work.
pub(super) trait Job: Send {
    fn progress(&self) -> &Progress;
    fn asked_at(&self) -> Timestamp;
    /// What must be written before it.
    fn needs(&self) -> Needs;
    /// Whether nobody waits for it, so that it need not be done at all.
    fn is_behind(&self) -> bool;
    /// Answers without writing, if that can be, through this connection or one for reading.
    fn look(&mut self, at: Option<&Session>) -> bool;
    fn perform(&mut self, turn: &mut Turn<'_>) -> rusqlite::Result<()>;
    /// Tells its owner what became of it; answers with itself where it has more to do.
    fn settle(self: Box<Self>, end: Result<(), StoreError>) -> Option<Box<dyn Job>>;
}

/// Looks for an answer without writing, through this connection or one for reading.
pub(super) type Look<T> = Box<dyn FnMut(Option<&Session>) -> Option<Result<T, StoreError>> + Send>;

/// A verb that is asked for.
pub(super) struct Task<T> {
    pub(super) look: Option<Look<T>>,
    pub(super) verb: Verb<T>,
    pub(super) needs: Needs,
    pub(super) behind: bool,
    pub(super) done: Option<Result<T, StoreError>>,
    pub(super) sender: oneshot::Sender<Result<T, StoreError>>,
    pub(super) progress: Progress,
    /// How long each part of it may wait.
    pub(super) patience: Duration,
    pub(super) asked_at: Timestamp,
}

impl<T: Send + 'static> Job for Task<T> {
    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn asked_at(&self) -> Timestamp {
        self.asked_at
    }

    fn needs(&self) -> Needs {
        self.needs
    }

    fn is_behind(&self) -> bool {
        self.behind
    }

    fn look(&mut self, at: Option<&Session>) -> bool {
        self.done = self.look.as_mut().and_then(|look| look(at));
        self.done.is_some()
    }

    fn perform(&mut self, turn: &mut Turn<'_>) -> rusqlite::Result<()> {
        match (self.verb)(turn) {
            Ok(done) => self.done = done.map(Ok),
            Err(Fault::Answer(error)) => self.done = Some(Err(error)),
            Err(Fault::Sql(error)) => return Err(error),
        }
        Ok(())
    }

    fn settle(mut self: Box<Self>, end: Result<(), StoreError>) -> Option<Box<dyn Job>> {
        let answer = match (end, self.done.take()) {
            (Ok(()), Some(answer)) => answer,
            (Err(error), _) => Err(error),
            (Ok(()), None) => {
                self.progress.wait_anew(self.patience);
                return Some(self);
            }
        };
        // Nobody may be waiting any more; then nobody needs to know.
        drop(self.sender.send(answer));
        None
    }
}
