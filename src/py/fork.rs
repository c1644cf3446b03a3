//! `fork`: the child must not inherit a lock that a thread holds which it has not got.
//!
//! The locks are taken in `fork` itself, by handlers of `pthread_atfork`, and not in hooks of the `os` module: between a
//! hook and the `fork` other threads run Python, and one that then waited for a lock while it holds the interpreter would
//! keep the forking thread from ever giving that lock back. Nobody who holds one of these locks waits for the
//! interpreter, so the handlers always get them.

use std::cell::RefCell;
use std::sync::{Arc, MutexGuard, Weak};

use parking_lot::Mutex;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use tokio::runtime::Runtime;

use super::bell;
use super::engine::{Engine, Settled};
use super::keeper::Roster;
use super::runtime;
use crate::store::{Store, remote, sqlite};

/// All engines of this process.
static ENGINES: Mutex<Vec<Weak<Engine>>> = Mutex::new(Vec::new());
/// All stores of this process: one that its manager has exchanged for another still serves the calls that began on it.
static STORES: Mutex<Vec<Weak<dyn Store>>> = Mutex::new(Vec::new());

/// What is locked while a thread forks. The locks go before what they lock.
struct Frozen {
    _runtime: MutexGuard<'static, Option<(u32, Runtime)>>,
    stores: Vec<Arc<dyn Store>>,
    locked: Vec<(Settled, Roster)>,
    _engines: Vec<Arc<Engine>>,
}

thread_local! {
    /// What this thread has locked. The thread that forks exists on both sides.
    static FROZEN: RefCell<Option<Frozen>> = const { RefCell::new(None) };
}

fn enlist<T: ?Sized>(all: &Mutex<Vec<Weak<T>>>, one: &Arc<T>) {
    let mut all = all.lock();
    all.retain(|other| other.strong_count() > 0);
    all.push(Arc::downgrade(one));
}

fn living<T: ?Sized>(all: &Mutex<Vec<Weak<T>>>) -> Vec<Arc<T>> {
    all.lock().iter().filter_map(Weak::upgrade).collect()
}

/// Has an engine's locks kept whole.
pub(super) fn enlist_engine(engine: &Arc<Engine>) {
    enlist(&ENGINES, engine);
}

/// Has a store's locks kept whole.
pub(super) fn enlist_store(store: &Arc<dyn Store>) {
    enlist(&STORES, store);
}

/// All engines.
pub(super) fn engines() -> Vec<Arc<Engine>> {
    living(&ENGINES)
}

/// All stores.
pub(super) fn stores() -> Vec<Arc<dyn Store>> {
    living(&STORES)
}

extern "C" fn prepare() {
    let (engines, stores) = (engines(), stores());
    let locked = engines.iter().map(|engine| engine.freeze()).collect();
    sqlite::freeze_all();
    for store in &stores {
        store.before_fork();
    }
    remote::freeze_driver();
    FROZEN.set(Some(Frozen { _runtime: runtime::freeze(), stores, locked, _engines: engines }));
}

fn thaw(in_child: bool) {
    let Some(frozen) = FROZEN.take() else { return };
    frozen.stores.iter().for_each(|store| store.after_fork(in_child));
    remote::thaw_driver(in_child);
    sqlite::thaw_all(in_child);
    drop(frozen.locked);
}

extern "C" fn in_parent() {
    thaw(false);
}

extern "C" fn in_child() {
    thaw(true);
}

/// Called by a child before it goes on.
#[pyfunction]
fn after_fork_in_child(py: Python<'_>) {
    bell::begin_anew();
    for engine in engines() {
        engine.begin_anew(py);
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // SAFETY: the handlers are functions of this library, which is never unloaded. Measured reason: see the module.
    let failed = unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    if failed != 0 {
        return Err(PyOSError::new_err((failed, "the handlers for fork could not be registered")));
    }
    module.add_function(wrap_pyfunction!(after_fork_in_child, module)?)
}
