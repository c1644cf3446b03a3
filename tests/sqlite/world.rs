//! A file, stores on it, and looks at it from outside.
//!
//! Nothing here opens the database itself but SQLite: closing it again would drop the locks of this process.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use _core::core::clock::{ManualClock, Span, Timestamp};
use _core::core::error::StoreError;
use _core::core::record::{Labels, Payload};
use _core::store::sqlite::{Options, SqliteStore, Synchronous};
use _core::store::{ClaimRequest, Claimed, Ending, Held, Hold, Limits, MarkRequest, Reply, Selector, Store};
use rustix::fs::FlockOperation;
use tempfile::TempDir;

use crate::asking::{PARAMS, hold};
pub(crate) use crate::asking::{TTL, json, request, text};
use crate::support::LONG;
pub(crate) use crate::support::{answer, ask, block_on};

pub(crate) struct Place {
    pub(crate) clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        Self { clock: Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000))), folder }
    }

    /// The database's path with this at its end.
    pub(crate) fn path(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("store.db{suffix}"))
    }

    pub(crate) fn options(&self) -> Options {
        Options { synchronous: Synchronous::Normal, ..Options::new(self.path("")) }
    }

    pub(crate) fn try_open(&self, options: Options) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(options, Arc::<ManualClock>::clone(&self.clock), Limits::default())
    }

    pub(crate) fn open_with(&self, options: Options) -> SqliteStore {
        self.try_open(options).expect("the file can be opened")
    }

    pub(crate) fn open(&self) -> SqliteStore {
        self.open_with(self.options())
    }

    /// A store that waits for others no longer than this.
    pub(crate) fn open_impatient(&self, millis: u64) -> SqliteStore {
        self.open_with(Options { busy_timeout: Duration::from_millis(millis), ..self.options() })
    }

    /// A connection of another program.
    pub(crate) fn outsider(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.path("")).expect("SQLite can open it");
        connection.busy_timeout(LONG).expect("it can wait");
        connection
    }

    /// Stands first in the line of writers, as another process that writes does, until dropped.
    pub(crate) fn hold_the_line(&self) -> File {
        let line = File::options().write(true).create(true).truncate(false).open(self.path("-queue"));
        let line = line.expect("the line is a file");
        rustix::fs::flock(&line, FlockOperation::LockExclusive).expect("it can be locked");
        line
    }

    /// Commits in the write-ahead log: frames that say how long the database is after them.
    pub(crate) fn commits(&self) -> usize {
        let log = fs::read(self.path("-wal")).expect("there is a log");
        let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().expect("four bytes"));
        let (header, frame) = (32, 24 + number(8) as usize);
        let frames = (header..log.len()).step_by(frame).filter(|at| at + frame <= log.len());
        frames.filter(|at| log[at + 8..at + 16] == log[16..24] && number(at + 4) > 0).count()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Span::from_secs(seconds));
    }
}

/// Waits for what another thread is about to do.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A plain request; its labels are the key's first three parts.
pub(crate) fn with_request<T>(key: &str, use_it: impl FnOnce(&ClaimRequest<'_>) -> T) -> T {
    use_it(&request(key, &Arc::from("elsewhere:1")))
}

/// Short ways to ask a store.
pub(crate) trait Asks {
    fn claimed(&self, key: &str) -> Reply<Claimed>;
    fn replayed(&self, key: &str) -> Option<String>;
    fn marked(&self, key: &str, result: &str) -> Reply<usize>;
    fn hold(&self, key: &str) -> Hold;
    fn complete(&self, hold: &Hold, result: Payload, ttl: Span);
    fn execute_for(&self, key: &str, ttl: Span);
    fn found(&self, selector: Selector<'_>) -> Vec<String>;

    fn execute(&self, key: &str) {
        self.execute_for(key, TTL);
    }
}

impl Asks for SqliteStore {
    fn claimed(&self, key: &str) -> Reply<Claimed> {
        with_request(key, |request| self.claim(request))
    }

    /// The result that is at hand without waiting.
    fn replayed(&self, key: &str) -> Option<String> {
        match ask(with_request(key, |request| self.replay(request))?) {
            Claimed::Replay { result, .. } => Some(text(&result)),
            _ => None,
        }
    }

    fn marked(&self, key: &str, result: &str) -> Reply<usize> {
        let labels = with_request(key, |request| Labels {
            signal_id: Some(request.signal_id.into()),
            action_type: Some(request.action_type.into()),
            target: Some(request.target.into()),
        });
        self.mark(MarkRequest {
            key,
            labels: &labels,
            fingerprint: Some(PARAMS),
            result: json(result),
            ttl: TTL,
            owner: &"elsewhere:1".into(),
            params: None,
            context: None,
        })
    }

    fn hold(&self, key: &str) -> Hold {
        hold(key, &ask(self.claimed(key)))
    }

    fn complete(&self, hold: &Hold, result: Payload, ttl: Span) {
        assert!(matches!(ask(self.finish(hold, Ending::Complete(result, ttl))), Held::Kept), "{hold:?} is kept");
    }

    /// Claims and completes with the key as the result.
    fn execute_for(&self, key: &str, ttl: Span) {
        self.complete(&self.hold(key), json(key), ttl);
    }

    fn found(&self, selector: Selector<'_>) -> Vec<String> {
        let mut keys: Vec<String> = ask(self.find(selector)).into_iter().map(String::from).collect();
        keys.sort();
        keys
    }
}
