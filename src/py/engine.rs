//! A manager's running parts: its store, its settings, and the claims that it holds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use super::keeper::{Keeper, Roster};
use super::lint::Lint;
use super::place::Place;
use super::rules::{Rules, Settings, SharedRules};
use super::{errors, fork, runtime};
use crate::store::faulty::{FaultyStore, Plan};
use crate::store::sqlite;
use crate::store::{Reply, Store};

/// A manager's store and settings, all of one `configure`: a call that began under one keeps it to its end.
pub(super) struct Active {
    pub(super) store: Arc<dyn Store>,
    pub(super) settings: Settings,
    pub(super) rules: SharedRules,
    pub(super) owner: Arc<str>,
    pub(super) on_event: Option<Py<PyAny>>,
    /// One for all settings of an engine.
    pub(super) lint: Arc<Lint>,
    /// A test's, which sees executions and has faults happen to them.
    pub(super) witness: Option<Py<PyAny>>,
    place: Place,
    clock: Py<PyAny>,
}

/// What a manager runs on.
pub(super) struct Engine {
    active: RwLock<Arc<Active>>,
    version: AtomicU64,
    closed: AtomicBool,
    pub(super) keeper: Keeper,
}

/// An engine's settings, which nobody can change meanwhile.
pub(super) struct Settled {
    _active: RwLockWriteGuard<'static, Arc<Active>>,
}

impl Engine {
    /// An engine on the store at this place. `settings` are plain values; `policies` as [`Rules::of_settings`] has
    /// them, and `clock` and `on_event`.
    pub(super) fn new(place: Place, settings: Settings, policies: &Bound<'_, PyDict>) -> PyResult<Arc<Self>> {
        let clock = object(policies, "clock")?;
        let store = open(&place, &settings, &clock)?;
        let cleans = settings.enable_auto_cleanup;
        let active = Active::new(place, store, settings, policies, clock.unbind())?;
        let engine = Arc::new(Self {
            active: RwLock::new(Arc::new(active)),
            version: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            keeper: Keeper::new(cleans),
        });
        fork::enlist_engine(&engine);
        Ok(engine)
    }

    /// What a new call runs on; an error once closed.
    pub(super) fn active(&self, py: Python<'_>) -> PyResult<Arc<Active>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(errors::exception(
                py,
                "IdempotencyError",
                ("this manager is closed: make a new one, or close it later",),
            ));
        }
        Ok(self.current())
    }

    /// The same, closed or not.
    pub(super) fn current(&self) -> Arc<Active> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Grows with every `configure` and `close`: what was derived from older settings is stale.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Applies new settings at once; another place or clock opens another store.
    pub(super) fn configure(
        self: &Arc<Self>,
        place: Place,
        settings: Settings,
        policies: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let before = self.active(policies.py())?;
        let clock = object(policies, "clock")?;
        let store = if place == before.place && clock.is(&before.clock) {
            Arc::clone(&before.store)
        } else {
            open(&place, &settings, &clock)?
        };
        let lint = Arc::clone(&before.lint);
        let witness = before.witness.as_ref().map(|witness| witness.clone_ref(policies.py()));
        let active = Active { lint, witness, ..Active::new(place, store, settings, policies, clock.unbind())? };
        let active = Arc::new(active);
        active.store.set_limits(active.settings.limits());
        let cleans = active.settings.enable_auto_cleanup;
        let switched = cleans != before.settings.enable_auto_cleanup;
        drop(std::mem::replace(&mut *self.active.write().unwrap_or_else(PoisonError::into_inner), active));
        self.version.fetch_add(1, Ordering::AcqRel);
        // What `start_auto_cleanup` or `stop_auto_cleanup` said stands until the setting itself is changed.
        if switched {
            self.keeper.set_cleaning(self, cleans);
        } else {
            self.keeper.reschedule();
        }
        Ok(())
    }

    /// Puts a plan of faults between the calls that follow and the store.
    pub(super) fn inject(&self, py: Python<'_>, plan: &Arc<Plan>) -> PyResult<()> {
        let before = self.active(py)?;
        let store: Arc<dyn Store> = Arc::new(FaultyStore::new(Arc::clone(&before.store), Arc::clone(plan)));
        fork::enlist_store(&store);
        self.replace(before.on(py, store));
        Ok(())
    }

    /// Has a test's witness see the executions of the calls that follow, or nobody any more.
    pub(super) fn observe(&self, py: Python<'_>, witness: Option<Py<PyAny>>) {
        let before = self.current();
        self.replace(Active { witness, ..before.on(py, Arc::clone(&before.store)) });
    }

    /// Has the calls that follow go by this.
    fn replace(&self, active: Active) {
        let replaced =
            std::mem::replace(&mut *self.active.write().unwrap_or_else(PoisonError::into_inner), Arc::new(active));
        drop(replaced);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Shows the collector the listener, unless something else than the manager keeps it.
    pub(super) fn traverse(engine: &Arc<Self>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match engine.active.try_read() {
            Ok(active) if Arc::strong_count(engine) == 1 && Arc::strong_count(&active) == 1 => {
                visit.call(&active.on_event)
            }
            _ => Ok(()),
        }
    }

    /// Tells nobody any more.
    pub(super) fn forget_listener(&self, py: Python<'_>) {
        let before = self.current();
        let deaf = Active { on_event: None, ..before.on(py, Arc::clone(&before.store)) };
        let replaced =
            std::mem::replace(&mut *self.active.write().unwrap_or_else(PoisonError::into_inner), Arc::new(deaf));
        drop((before, replaced));
    }

    /// Takes all locks, for the thread that is about to fork.
    pub(super) fn freeze(&self) -> (Settled, Roster) {
        // SAFETY: `fork` keeps the engine longer than the guard. Measured reason: a child forked while the keeper looks at the
        // settings would otherwise never be able to change them.
        let lent: &'static Self = unsafe { &*std::ptr::from_ref(self) };
        (Settled { _active: lent.active.write().unwrap_or_else(PoisonError::into_inner) }, self.keeper.freeze())
    }

    /// Makes what belongs to a process anew, in a forked child.
    pub(super) fn begin_anew(&self, py: Python<'_>) {
        self.keeper.begin_anew();
        let renewed = Arc::new(self.current().in_child(py));
        let parents = std::mem::replace(&mut *self.active.write().unwrap_or_else(PoisonError::into_inner), renewed);
        drop(parents);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends the background thread and refuses further calls. Calls that are under way end as they would have: the
    /// thread renews their leases until then.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.version.fetch_add(1, Ordering::AcqRel);
        self.keeper.dismiss();
    }
}

fn object<'py>(policies: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let value = policies.get_item(name)?.unwrap_or_else(|| policies.py().None().into_bound(policies.py()));
    if policies.contains(name)? {
        policies.del_item(name)?;
    }
    Ok(value)
}

fn open(place: &Place, settings: &Settings, clock: &Bound<'_, PyAny>) -> PyResult<Arc<dyn Store>> {
    let store = place.open(settings, clock)?;
    fork::enlist_store(&store);
    Ok(store)
}

impl Active {
    fn new(
        place: Place,
        store: Arc<dyn Store>,
        settings: Settings,
        policies: &Bound<'_, PyDict>,
        clock: Py<PyAny>,
    ) -> PyResult<Self> {
        let on_event = object(policies, "on_event")?;
        let rules = Arc::new(Rules::of_settings(&settings, policies)?);
        let on_event = (!on_event.is_none()).then(|| on_event.unbind());
        let lint = Arc::default();
        Ok(Self { store, settings, rules, owner: owner(), on_event, lint, witness: None, place, clock })
    }

    /// Whether the lint wants to see the params of a call of this key.
    pub(super) fn watches(&self, key: &str) -> bool {
        self.lint.watches(key) && self.settings.include_params_in_key && self.settings.warn_volatile_after.is_some()
    }

    /// The same in a forked child, whose claims are its own.
    fn in_child(&self, py: Python<'_>) -> Self {
        self.on(py, Arc::clone(&self.store))
    }

    /// The same on another store.
    fn on(&self, py: Python<'_>, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            settings: self.settings.clone(),
            rules: Arc::clone(&self.rules),
            owner: owner(),
            on_event: self.on_event.as_ref().map(|callable| callable.clone_ref(py)),
            lint: Arc::clone(&self.lint),
            witness: self.witness.as_ref().map(|witness| witness.clone_ref(py)),
            place: self.place.clone(),
            clock: self.clock.clone_ref(py),
        }
    }
}

/// `host:pid` of this process.
pub(super) fn owner() -> Arc<str> {
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), std::process::id()).into()
}

/// How long the end of a process waits for its counters to be written, where another program locks a file.
const FLUSH: Duration = Duration::from_millis(700);

/// Writes what all stores have counted. What can't be written in time is lost with the process: counters are no result.
fn flush() {
    let all = fork::stores().into_iter().map(|store| store.flush()).chain(sqlite::flush_all());
    let waiting = all.filter(|reply| !matches!(reply, Reply::Ready(_))).map(Reply::called).collect();
    runtime::settle_within(waiting, FLUSH);
}

/// Called at exit: ends every background thread.
#[pyfunction]
pub(super) fn stop_all(py: Python<'_>) {
    for engine in fork::engines() {
        py.detach(|| engine.keeper.stop());
    }
    py.detach(flush);
    py.detach(runtime::stop);
}

/// Writes what all stores have counted.
#[pyfunction]
pub(super) fn flush_all(py: Python<'_>) {
    py.detach(flush);
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(flush_all, module)?)?;
    module.add_function(wrap_pyfunction!(stop_all, module)?)
}
