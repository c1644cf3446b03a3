//! The stores that are set beside the model.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use _core::core::clock::ManualClock;
use _core::store::faulty::FaultyStore;
use _core::store::memory::MemoryStore;
use _core::store::postgres::{self, PostgresStore};
use _core::store::redis::{self, RedisStore};
use _core::store::sqlite::{Options, SqliteStore, Synchronous};
use _core::store::{Limits, Store};
use tempfile::TempDir;

use crate::model::Order;
use crate::servers;
pub(crate) use crate::support::{answer, ask};

/// Makes a subject that takes its time from this clock.
pub(crate) type Make = fn(&Arc<ManualClock>, Limits) -> Subject;

/// A store, through one handle or several.
pub(crate) struct Subject {
    /// Each step is taken through one of them.
    pub(crate) handles: Vec<Arc<dyn Store>>,
    /// What goes first where room must be made.
    pub(crate) order: Order,
    check: Box<dyn Fn() -> Result<(), String>>,
    /// Last, so that it goes after what is open in it.
    _folder: Option<TempDir>,
}

impl Subject {
    pub(crate) fn memory(clock: &Arc<ManualClock>, limits: Limits) -> Self {
        let store = Arc::new(MemoryStore::new(Arc::<ManualClock>::clone(clock), limits));
        let handles = vec![Arc::clone(&store) as Arc<dyn Store>];
        Self { handles, order: Order::Finishing, check: Box::new(move || store.check_invariants()), _folder: None }
    }

    /// One file through two stores, which know of each other as little as two processes do; a verb is done by its caller
    /// or by the store's own thread.
    pub(crate) fn sqlite(clock: &Arc<ManualClock>, limits: Limits) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let path = folder.path().join("store.db");
        let open = || {
            let options = Options { synchronous: Synchronous::Normal, ..Options::new(&path) };
            let store = SqliteStore::open(options, Arc::<ManualClock>::clone(clock), limits);
            Arc::new(store.expect("the file can be opened")) as Arc<dyn Store>
        };
        let elsewhere = |store: &Arc<dyn Store>| Arc::new(FaultyStore::new(Arc::clone(store), Arc::default()));
        let stores = [open(), open()];
        let handles = stores.iter().flat_map(|store| [Arc::clone(store), elsewhere(store)]).collect();
        Self { handles, order: Order::Time, check: Box::new(move || check_file(&path)), _folder: Some(folder) }
    }

    /// One server through two stores, as for a file. A cap is a client's own: through several it holds a moment later.
    pub(crate) fn redis(clock: &Arc<ManualClock>, limits: Limits) -> Self {
        static TIMES: AtomicU64 = AtomicU64::new(0);
        let namespace = format!("model-{}-{}", std::process::id(), TIMES.fetch_add(1, Ordering::Relaxed));
        let (host, port) = servers::nodes(servers::REDIS)[0].clone();
        let open = || {
            let options = redis::Options { namespace: namespace.clone(), ..redis::Options::new(&host, port) };
            let store = RedisStore::open(options, Some(Arc::<ManualClock>::clone(clock)), limits);
            Arc::new(store.expect("the server answers")) as Arc<dyn Store>
        };
        let handles = if limits.max_records.is_some() { vec![open()] } else { vec![open(), open()] };
        Self { handles, order: Order::Time, check: Box::new(|| Ok(())), _folder: None }
    }

    /// A database through two stores, which know of each other as little as two processes do; one where a cap is counted.
    pub(crate) fn postgres(clock: &Arc<ManualClock>, limits: Limits) -> Self {
        static TIMES: AtomicU64 = AtomicU64::new(0);
        let namespace = format!("model-{}-{}", std::process::id(), TIMES.fetch_add(1, Ordering::Relaxed));
        let open = || {
            let options = postgres::Options { namespace: namespace.clone(), ..servers::database(servers::POSTGRES) };
            let store = PostgresStore::open(options, Some(Arc::<ManualClock>::clone(clock)), limits);
            Arc::new(store.expect("the server answers")) as Arc<dyn Store>
        };
        let handles = if limits.max_records.is_some() { vec![open()] } else { vec![open(), open()] };
        Self { handles, order: Order::Time, check: Box::new(|| Ok(())), _folder: None }
    }

    /// What must hold after each step, whatever was done.
    pub(crate) fn check_invariants(&self) -> Result<(), String> {
        (self.check)()
    }
}

/// Looks at the tables through a connection of its own.
fn check_file(path: &PathBuf) -> Result<(), String> {
    const UNFOUND: &str = "SELECT count(*) FROM idempotency_records WHERE settled = 0 AND fence <= \
                           (SELECT value FROM idempotency_meta WHERE name = 'settled')";
    let checked = || {
        let connection = rusqlite::Connection::open(path)?;
        let whole: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
        let unfound: i64 = connection.query_row(UNFOUND, [], |row| row.get(0))?;
        Ok::<_, rusqlite::Error>((whole, unfound))
    };
    match checked() {
        Ok((whole, 0)) if whole == "ok" => Ok(()),
        other => Err(format!("what quick_check says, and records that no search finds: {other:?}")),
    }
}
