//! Records in a file on this host, shared by any number of processes.
//!
//! Every verb that writes is done in a transaction that holds SQLite's write lock from its start, so what it reads is what
//! it decides upon. Verbs that are asked for at the same time share a transaction, and with it the sync. What only
//! reads uses a second connection and waits for no writer. Duplicates of a completed action are answered from copies in
//! this process; what they count is written a moment later.
//!
//! Time is the host's wall clock, which all its processes share.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::checkpoint::Checkpoints;
use self::copies::Copies;
use self::desk::Desk;
use self::errand::{Answer, Trip};
use self::job::{Fault, Look, Needs, Progress, Task, Verb};
use self::look::Wanted;
use self::session::Session;
use self::turn::{Sum, Turn};
use self::wal_index::WalIndex;
use super::asked::{Asked, Marking};
use super::waiters::Waiters;
use super::{
    ClaimRequest, Claimed, Cursor, Ending, Glance, Held, Hit, Hold, Limits, MarkRequest, Page, Queued, Reply,
    Resolution, Restored, Selector, Store, Tally,
};
use crate::core::clock::{Clock, Span};
use crate::core::error::StoreError;
use crate::core::record::Record;

mod batch;
mod checkpoint;
mod claim;
mod copies;
mod desk;
mod errand;
mod fork;
mod glance;
mod hold;
mod job;
mod lead;
mod look;
mod options;
mod place;
mod restore;
mod row;
mod session;
mod settle;
mod turn;
mod upkeep;
mod wal_index;

pub use self::fork::{freeze_all, thaw_all};
pub use self::options::{Options, Synchronous};
pub use self::session::{SCHEMA, VERSION};

/// A store in a file.
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    options: Options,
    clock: Arc<dyn Clock>,
    limits: Mutex<Limits>,
    desk: Desk,
    reader: Mutex<Option<Session>>,
    copies: Copies,
    checkpoints: Checkpoints,
    waiters: Arc<Waiters>,
}

impl SqliteStore {
    /// The store in a file, which is made if there is none; the error says what is wrong with the file or its place.
    pub fn open(options: Options, clock: Arc<dyn Clock>, limits: Limits) -> Result<Self, StoreError> {
        let store = Self::unopened(options, clock, limits);
        // With the seat, so that no thread forks meanwhile.
        let Some(seated) = store.0.desk.sit_down() else { return Ok(store) };
        let (session, opened) = match store.0.open() {
            Ok(session) => (Some(session), Ok(())),
            Err(error) => (seated.session, Err(error)),
        };
        store.0.desk.stand_up(session, seated.jobs, Vec::new());
        opened.map(|()| store)
    }

    /// The same, opened by the first verb: until the file can be opened, each one fails.
    pub fn unopened(options: Options, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let inner = Arc::new(Inner {
            options,
            clock,
            limits: Mutex::new(limits),
            desk: Desk::default(),
            reader: Mutex::default(),
            copies: Copies::new(),
            checkpoints: Checkpoints::default(),
            waiters: Arc::default(),
        });
        fork::enlist(&inner);
        Self(inner)
    }

    fn write<T: Send + 'static>(
        &self,
        mut verb: impl FnMut(&mut Turn<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Reply<T> {
        self.ask(None, Box::new(move |turn| verb(turn).map(Some)), Needs::Nothing)
    }

    /// Reads without waiting for a writer, unless something is to be written first.
    fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&Session) -> rusqlite::Result<T> + Send + Sync + 'static,
    ) -> Reply<T> {
        let read = Arc::new(read);
        let (inner, reader) = (Arc::clone(&self.0), Arc::clone(&read));
        let look: Look<T> = Box::new(move |_| {
            if !inner.copies.counts.are_written() {
                return None;
            }
            inner.reading(None, &*reader).map(Ok)
        });
        self.ask(Some(look), Box::new(move |turn| Ok(Some(read(turn.session)?))), Needs::Counts)
    }

    fn ask<T: Send + 'static>(&self, look: Option<Look<T>>, verb: Verb<T>, needs: Needs) -> Reply<T> {
        self.0.ask(look, verb, needs)
    }
}

/// Has every store of this process write what it counted: also one that was dropped, and is not done with it.
pub fn flush_all() -> Vec<Reply<()>> {
    fork::living().iter().map(Inner::flush).collect()
}

impl Inner {
    fn ask<T: Send + 'static>(self: &Arc<Self>, look: Option<Look<T>>, verb: Verb<T>, needs: Needs) -> Reply<T> {
        let (task, answer) = self.task(look, verb, needs);
        Reply::Queued(Queued { answer: Box::pin(answer), errand: Box::new(Trip::new(self, Box::new(task))) })
    }

    fn flush(self: &Arc<Self>) -> Reply<()> {
        let inner = Arc::clone(self);
        let look: Look<()> = Box::new(move |_| inner.copies.counts.are_written().then_some(Ok(())));
        self.ask(Some(look), Box::new(|turn| Ok(turn.session.settle(settle::PART).map(Some)?)), Needs::Counts)
    }

    /// A verb to be done, and where its answer comes.
    fn task<T: Send + 'static>(&self, look: Option<Look<T>>, verb: Verb<T>, needs: Needs) -> (Task<T>, Answer<T>) {
        let (sender, receiver) = oneshot::channel();
        let patience = self.options.busy_timeout;
        let progress = Progress::new(Instant::now() + patience);
        let answer = Answer::new(receiver, progress.clone(), patience, self.options.path.clone());
        let asked_at = self.clock.now();
        (Task { look, verb, needs, behind: false, done: None, sender, progress, patience, asked_at }, answer)
    }

    /// Opens a connection to write, and watches the file through it.
    fn open(&self) -> Result<Session, StoreError> {
        let session = Session::open(&self.options)?;
        // SAFETY: the copies are detached before the connection is closed: see `close`. Measured reason: see `WalIndex`.
        let index = unsafe { WalIndex::of(&session.connection) };
        self.copies.attach(index);
        Ok(session)
    }

    /// Closes a connection that wrote.
    fn close(&self, session: Session) {
        self.copies.detach();
        drop(session);
    }

    /// Closes the connections that nobody uses at the moment.
    fn close_idle(&self) {
        self.desk.close_idle(|session| self.close(session));
        drop(self.reader().take());
        self.checkpoints.call_off();
    }

    /// Waits for the verbs that were asked for, calls off what was to be done behind them, and closes the connections: no
    /// thread opens one again before a verb needs it.
    fn let_go(&self) {
        self.desk.call_off(self.options.busy_timeout);
        self.copies.counts.expect_again();
        self.close_idle();
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Option<Session>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads through this connection, or one that waits for no writer; `None` where that fails, so that the writer meets
    /// the fault, and says what it is.
    fn reading<T>(&self, at: Option<&Session>, read: impl FnOnce(&Session) -> rusqlite::Result<T>) -> Option<T> {
        if let Some(session) = at {
            return read(session).ok();
        }
        let mut reader = self.reader();
        if reader.is_none() {
            *reader = Session::open_to_read(&self.options).ok();
        }
        let answer = read(reader.as_ref()?).ok();
        if answer.is_none() {
            *reader = None;
        }
        answer
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.0.retire();
        self.0.close_idle();
    }
}

impl Store for SqliteStore {
    fn claim(&self, request: &ClaimRequest<'_>) -> Reply<Claimed> {
        if let Some(replay) = self.replay(request) {
            return replay;
        }
        let asked = Arc::new(Asked::new(request));
        let (inner, looked, now) = (Arc::clone(&self.0), Arc::clone(&asked), self.0.clock.now());
        let look: Look<Claimed> = Box::new(move |at| {
            let answer = inner.look_at_claim(&looked, now, at);
            inner.expect_counts();
            answer
        });
        self.ask(Some(look), Box::new(move |turn| turn.claim(&asked).map(Some)), Needs::Nothing)
    }

    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method is not general enough in its lifetime")]
    fn claim_many(&self, requests: &[ClaimRequest<'_>]) -> Reply<Vec<Result<Claimed, StoreError>>> {
        let now = self.0.clock.now();
        let at_hand = |request| self.0.copies.replay(request, now).map(Ok);
        self.ask_each(
            requests.iter().map(|request| (Asked::new(request), at_hand(request))),
            Inner::look_at_claim,
            |turn, asked| turn.claim(asked),
        )
    }

    fn replay(&self, request: &ClaimRequest<'_>) -> Option<Reply<Claimed>> {
        let claimed = self.0.copies.replay(request, self.0.clock.now())?;
        self.0.expect_counts();
        Some(Reply::Ready(Ok(claimed)))
    }

    fn renew(&self, holds: &[Hold], lease: Span) -> Reply<Vec<Hold>> {
        let holds = holds.to_vec();
        self.write(move |turn| turn.renew(&holds, lease))
    }

    fn dispatch(&self, hold: &Hold) -> Reply<Held> {
        let hold = hold.clone();
        self.write(move |turn| turn.dispatch(&hold))
    }

    fn dispatch_many(&self, holds: &[Hold]) -> Reply<Vec<Held>> {
        let holds = holds.to_vec();
        self.write(move |turn| holds.iter().map(|hold| turn.dispatch(hold)).collect())
    }

    fn finish(&self, hold: &Hold, ending: Ending) -> Reply<Held> {
        let hold = hold.clone();
        self.write(move |turn| turn.finish(&hold, &ending))
    }

    fn mark(&self, request: MarkRequest<'_>) -> Reply<usize> {
        let marking = Marking::new(request);
        self.write(move |turn| turn.mark(&marking))
    }

    fn resolve(&self, key: &str, resolution: Resolution) -> Reply<()> {
        let key = Box::<str>::from(key);
        self.write(move |turn| turn.resolve(&key, &resolution))
    }

    fn check(&self, key: &str) -> Reply<Option<Hit>> {
        let key = Box::<str>::from(key);
        let (inner, looked, now) = (Arc::clone(&self.0), key.clone(), self.0.clock.now());
        let look: Look<Option<Hit>> = Box::new(move |at| {
            let answer = inner.look_up(&looked, now, at);
            inner.expect_counts();
            answer
        });
        self.ask(Some(look), Box::new(move |turn| turn.check(&key).map(Some)), Needs::Nothing)
    }

    fn check_many(&self, keys: &[&str]) -> Reply<Vec<Option<Hit>>> {
        self.ask_each(
            keys.iter().map(|&key| (Box::<str>::from(key), None)),
            |inner, key, now, at| inner.look_up(key, now, at),
            |turn, key| turn.check(key),
        )
        .map(|answers| answers.into_iter().collect())
    }

    fn restore(&self, records: Vec<Record>) -> Reply<Vec<Restored>> {
        self.write(move |turn| records.iter().map(|record| turn.restore(record)).collect())
    }

    fn get(&self, key: &str) -> Reply<Option<Record>> {
        let (key, now) = (Box::<str>::from(key), self.0.clock.now());
        self.read(move |session| Ok(session.find_live(&key, now)?.map(|kept| kept.seen(now))))
    }

    fn find(&self, selector: Selector<'_>) -> Reply<Vec<Box<str>>> {
        let now = self.0.clock.now();
        let wanted = Wanted::new(selector, now);
        self.read(move |session| session.select(&wanted, now))
    }

    fn scan(&self, from: Option<Cursor>, limit: usize) -> Reply<Page> {
        let now = self.0.clock.now();
        self.read(move |session| session.scan(from.as_ref(), limit, now))
    }

    fn glance(&self, _from: Option<Cursor>, limit: usize) -> Reply<Glance> {
        let now = self.0.clock.now();
        self.read(move |session| session.glance(limit, now))
    }

    fn cleanup_expired(&self) -> Reply<u64> {
        let sum = Sum::default();
        self.ask(None, Box::new(move |turn| turn.cleanup_part(&sum)), Needs::Nothing)
    }

    fn remove_oldest(&self, count: u64) -> Reply<u64> {
        let sum = Sum::default();
        self.ask(None, Box::new(move |turn| turn.remove_oldest_part(count, &sum)), Needs::Nothing)
    }

    fn clear(&self, key: &str) -> Reply<bool> {
        let key = Box::<str>::from(key);
        self.write(move |turn| turn.clear(&key))
    }

    fn clear_all(&self) -> Reply<u64> {
        let (mut last, sum) = (None, Sum::default());
        self.ask(None, Box::new(move |turn| turn.clear_part(&mut last, &sum)), Needs::Nothing)
    }

    fn tally(&self) -> Reply<Tally> {
        let now = self.0.clock.now();
        self.read(move |session| session.tally(now))
    }

    fn reset_tally(&self) -> Reply<()> {
        self.ask(None, Box::new(|turn| turn.reset_tally().map(Some)), Needs::Counts)
    }

    fn set_limits(&self, limits: Limits) {
        *self.0.limits() = limits;
    }

    fn flush(&self) -> Reply<()> {
        self.0.flush()
    }

    fn let_go(&self) {
        self.0.let_go();
    }

    fn look_again(&self) -> Duration {
        Duration::from_millis(20)
    }

    fn before_fork(&self) {
        fork::freeze(&self.0);
    }

    fn after_fork(&self, in_child: bool) {
        fork::thaw(&self.0, in_child);
    }
}
