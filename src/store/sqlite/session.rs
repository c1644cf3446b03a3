//! An open connection to a store's file, its tables of this version.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use super::fork::Counted;
use super::options::Options;
use super::place;
use crate::core::error::StoreError;

/// The tables, at their newest version.
pub const SCHEMA: &str = include_str!("schema.sql");
/// The version of [`SCHEMA`].
pub const VERSION: i64 = 1;
/// Marks a file that holds nothing but a store: "idmp".
const APPLICATION_ID: i64 = 0x6964_6d70;
/// Bytes of a page.
const PAGE: i64 = 2_048;
/// Prepared statements kept for each connection: all there are.
const STATEMENTS: usize = 64;
/// How long a writer of this process rests before it tries again to open a file that others are opening.
const PAUSE: Duration = Duration::from_millis(2);

/// A connection, and what it knows of its file.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) namespace: i64,
    /// Records of the namespace, where that is known.
    pub(super) records: Cell<Option<u64>>,
    /// Records that this connection has left out of the indexes.
    pub(super) unsettled: Cell<u32>,
    queue: Arc<Queue>,
    adrift: Cell<bool>,
    files: Files,
    inodes: [Option<(u64, u64)>; 3],
    /// Last, so that it goes when the connection is closed.
    _counted: Counted,
}

impl Session {
    /// Opens the file, makes or migrates its tables, and waits meanwhile for others that do so. Where there is nothing to
    /// make, it only reads, and stands in no line: who looks again at intervals would wait long beside those who are
    /// called when it is their turn.
    pub(super) fn open(options: &Options) -> Result<Self, StoreError> {
        place::check(&options.path)?;
        let queue = Queue::open(&options.path)?;
        if let Ok((connection, counted)) = connect(options)
            && is_ready(&connection, &options.namespace).unwrap_or(false)
        {
            let opened = Self::on(connection, counted, options, &Arc::new(queue));
            return opened.map_err(|problem| problem.told(&options.path));
        }
        queue.enter_within(options.busy_timeout).map_err(|waited| place::locked(&options.path, waited))?;
        let queue = Arc::new(queue);
        let opened = Self::open_alone(options, &queue).map_err(|problem| problem.told(&options.path));
        queue.leave();
        opened
    }

    /// Opens the file to read: where its tables are there, nobody needs to be waited for.
    pub(super) fn open_to_read(options: &Options) -> Result<Self, StoreError> {
        place::check(&options.path)?;
        let queue = Arc::new(Queue::open(&options.path)?);
        Self::open_alone(options, &queue).map_err(|problem| problem.told(&options.path))
    }

    fn open_alone(options: &Options, queue: &Arc<Queue>) -> Result<Self, Problem> {
        let (connection, counted) = connect(options)?;
        Self::on(connection, counted, options, queue)
    }

    fn on(connection: Connection, counted: Counted, options: &Options, queue: &Arc<Queue>) -> Result<Self, Problem> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        prepare_tables(&connection, &options.path)?;
        connection.pragma_update(None, "synchronous", options.synchronous.word())?;
        // See `checkpoint`.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        let namespace = namespace(&connection, &options.namespace)?;
        // From here on the queue and the callers' own patience decide how long to wait.
        connection.busy_timeout(Duration::ZERO)?;
        let files = Files::of(&options.path)
            .map_err(|error| Problem::Told(StoreError::Unavailable(format!("{}: {error}", options.path.display()))))?;
        let inodes = files.inodes();
        Ok(Self {
            connection,
            namespace,
            records: Cell::new(None),
            unsettled: Cell::new(0),
            queue: Arc::clone(queue),
            adrift: Cell::new(false),
            files,
            inodes,
            _counted: counted,
        })
    }

    /// Where this process stands in line with others that write to the file.
    pub(super) const fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Looks whether the files that are open are still the ones that others find by their names. What is written to a
    /// file that was deleted or replaced underneath is lost with it.
    pub(super) fn notice_place(&self) -> bool {
        let in_place = self.files.inodes() == self.inodes;
        self.adrift.set(!in_place);
        in_place
    }

    /// Whether they were not, when last looked at.
    pub(super) const fn is_adrift(&self) -> bool {
        self.adrift.get()
    }

    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    /// Moves what it can from the log into the database, and waits for nobody.
    pub(super) fn checkpoint(&self) {
        // What can't be moved now stays in the log, where it is as safe; the fault, if it is one, meets a writer.
        drop(self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
    }

    /// Undoes what a transaction has done, unless SQLite has.
    pub(super) fn roll_back(&self) {
        self.records.set(None);
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            // There is no way on with this connection.
            drop(error);
            self.adrift.set(true);
        }
    }

    /// Closes without the last one's tidying up, which takes time.
    pub(super) fn close_quickly(self) {
        // It only decides who moves the log's contents into the database: the next one does.
        drop(self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true));
    }
}

/// Where the files are, as others find them.
struct Files {
    /// Held open, so that a look needs no walk along the path.
    folder: OwnedFd,
    names: [OsString; 3],
}

impl Files {
    /// The database, its write-ahead log and the log's index.
    fn of(path: &Path) -> io::Result<Self> {
        // SQLite keeps its other files where a link leads, not where it is.
        let path = path.canonicalize()?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let names = ["", "-wal", "-shm"].map(|suffix| beside(&path, suffix).file_name().unwrap_or_default().to_owned());
        let folder = rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?;
        Ok(Self { folder, names })
    }

    /// What tells these files from any that come to their places.
    fn inodes(&self) -> [Option<(u64, u64)>; 3] {
        self.names.each_ref().map(|name| {
            let found = rustix::fs::statat(&self.folder, &**name, AtFlags::empty()).ok()?;
            Some((found.st_dev, found.st_ino))
        })
    }
}

/// The file of the same name with something after it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

enum Problem {
    Sql(rusqlite::Error),
    Told(StoreError),
}

impl Problem {
    fn told(self, path: &Path) -> StoreError {
        match self {
            Self::Sql(error) => place::explain(path, &error),
            Self::Told(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Opens the file, and waits for a while where others lock it.
fn connect(options: &Options) -> rusqlite::Result<(Connection, Counted)> {
    let counted = Counted::new();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.path, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    Ok((connection, counted))
}

/// Whether the tables of this version and the namespace are there.
fn is_ready(connection: &Connection, namespace: &str) -> rusqlite::Result<bool> {
    Ok(version(connection)? == Some(VERSION) && find_namespace(connection, namespace)?.is_some())
}

/// Makes the tables where there are none, and migrates older ones, in one transaction.
fn prepare_tables(connection: &Connection, path: &Path) -> Result<(), Problem> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let version = match version(connection)? {
        Some(version) => version,
        None if number("application_id")? == APPLICATION_ID => number("user_version")?,
        None => 0,
    };
    if version > VERSION {
        return Err(Problem::Told(place::newer(path, version, VERSION)));
    }
    if version == VERSION {
        return use_write_ahead_log(connection, path);
    }
    let is_empty = number("schema_version")? == 0;
    if !is_empty && (number("user_version")?, number("application_id")?) != (0, 0) {
        return Err(Problem::Told(place::foreign(path)));
    }
    // Before there is anything in it: a claim writes to few places of many pages, and small pages make it cheaper.
    connection.pragma_update(None, "page_size", PAGE)?;
    use_write_ahead_log(connection, path)?;
    let transaction = connection.unchecked_transaction_immediate()?;
    transaction.execute_batch(SCHEMA)?;
    if is_empty {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(transaction.commit()?)
}

/// The version of the tables in a file; `None` where there are none. In a file that is the store's own it is
/// `user_version`; in an application's, `user_version` is the application's, and the tables have their own.
fn version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let exists = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'idempotency_meta'";
    if connection.query_row(exists, [], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let kept =
        connection.query_row("SELECT value FROM idempotency_meta WHERE name = 'schema'", [], |row| row.get(0))?;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let own = number("application_id")? == APPLICATION_ID;
    Ok(Some(if own { number("user_version")?.max(kept) } else { kept }))
}

/// Without the log there is neither the durability that is promised nor the index that tells of changes.
fn use_write_ahead_log(connection: &Connection, path: &Path) -> Result<(), Problem> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    let path = path.display();
    Err(Problem::Told(StoreError::Unavailable(format!(
        "the SQLite file {path} can't keep a write-ahead log (its journal mode stays {mode:?}): put it on a local disk whose \
         file system has locks and shared memory, and let no other program hold it open in another mode"
    ))))
}

/// The number of a namespace, new or not.
fn namespace(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    if let Some(id) = find_namespace(connection, name)? {
        return Ok(id);
    }
    connection.execute("INSERT OR IGNORE INTO idempotency_namespaces (name) VALUES (?)", params![name])?;
    find_namespace(connection, name)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

fn find_namespace(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    const FIND: &str = "SELECT id FROM idempotency_namespaces WHERE name = ?";
    connection.query_row(FIND, [name], |row| row.get(0)).optional()
}

/// Begins a transaction through a shared reference, as statements that are kept prepared need one.
trait Immediate {
    fn unchecked_transaction_immediate(&self) -> rusqlite::Result<rusqlite::Transaction<'_>>;
}

impl Immediate for Connection {
    fn unchecked_transaction_immediate(&self) -> rusqlite::Result<rusqlite::Transaction<'_>> {
        rusqlite::Transaction::new_unchecked(self, TransactionBehavior::Immediate)
    }
}

/// The queue of the processes that write to a file: a lock on a file beside it, which the system grants in the
/// order in which it was asked for. SQLite's own lock is tried again at intervals, so that a busy process would starve
/// the others.
#[derive(Debug)]
pub(super) struct Queue(File);

impl Queue {
    /// The queue of a database.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let path = beside(path, "-queue");
        File::options().create(true).truncate(false).write(true).open(&path).map(Self).map_err(|error| {
            StoreError::Unavailable(format!(
                "{} can't be opened ({error}): let this user write to its folder",
                path.display()
            ))
        })
    }

    /// Enters if nobody is before us.
    pub(super) fn try_enter(&self) -> bool {
        rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// Enters when it is our turn.
    pub(super) fn enter(&self) {
        while rustix::fs::flock(&self.0, FlockOperation::LockExclusive) == Err(rustix::io::Errno::INTR) {}
    }

    /// Enters within so long, or says how long it has waited.
    fn enter_within(&self, timeout: Duration) -> Result<(), Duration> {
        let began = Instant::now();
        while !self.try_enter() {
            if began.elapsed() >= timeout {
                return Err(began.elapsed());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Lets the next one in.
    pub(super) fn leave(&self) {
        // It can only fail for a file that is not open; closing it would do the same.
        rustix::fs::flock(&self.0, FlockOperation::Unlock).unwrap_or_default();
    }

    /// In a forked child: lets go of what the parent holds, without giving up the parent's lock.
    pub(super) fn close_in_child(&self) {
        // SAFETY: the descriptor is open, and nobody uses it after this: the thread that did is the parent's, and who calls
        // this forgets the file. Measured reason: a child that kept it would keep the parent's lock, even after that has died.
        unsafe { rustix::io::close(self.0.as_raw_fd()) };
    }
}
