//! A manager's native half: each verb once, as an [`Operation`] that threads wait for and tasks await.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::{PyTraverseError, PyVisit};
use serde::de::DeserializeOwned;

use super::batch::Batch;
use super::call::Call;
use super::canonical::ActionFields;
use super::claim::ClaimBlock;
use super::coroutine::{Coroutine, Executor, Purpose};
use super::engine::{Active, Engine};
use super::faults::FaultPlan;
use super::log::About;
use super::metadata::Metadata;
use super::objects::{CacheInfo, CheckResult, IdempotencyStats, PyRecord};
use super::operation::Operation;
use super::rules::SharedRules;
use super::{drive, errors, naming, notify, outcome};
use crate::core::clock::Span;
use crate::core::record::{Labels, Payload, Record};
use crate::store::{Cursor, MarkRequest, Reply, Resolution, Restored, Selector};

/// A manager's native half; use `IdempotencyManager`.
#[pyclass(frozen, weakref, module = "idempotency_manager._core")]
pub(super) struct Core {
    pub(super) engine: Arc<Engine>,
}

impl Drop for Core {
    /// A manager that is forgotten without `close` takes its thread with it, once nothing runs any more.
    fn drop(&mut self) {
        self.engine.keeper.dismiss();
    }
}

fn settings<T: DeserializeOwned>(plain: &Bound<'_, PyDict>) -> PyResult<T> {
    pythonize::depythonize(plain)
        .map_err(|error| errors::configuration(plain.py(), format!("the settings could not be read: {error}")))
}

fn records(py: Python<'_>, records: Vec<Record>, codec: Option<&Py<PyAny>>) -> PyResult<Py<PyAny>> {
    let records: Vec<_> = records
        .into_iter()
        .map(|record| PyRecord::new(Box::new(record), codec.map(|codec| codec.clone_ref(py))))
        .map(|record| Py::new(py, record))
        .collect::<PyResult<_>>()?;
    errors::any(py, records)
}

/// A count or a truth, as it is.
fn plain<T>(py: Python<'_>, reply: Reply<T>) -> Operation
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    Operation::new(py, reply, |py, value| errors::any(py, value))
}

/// A manager's codec, for records of functions it does not know.
fn codec_of(py: Python<'_>, active: &Active) -> Option<Py<PyAny>> {
    active.rules.codec.as_ref().map(|codec| codec.clone_ref(py))
}

impl Core {
    fn rules(&self, py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<(Arc<Active>, SharedRules)> {
        let active = self.engine.active(py)?;
        let rules = match options {
            Some(options) if !options.is_empty() => Arc::new(active.rules.overlaid(options)?),
            _ => Arc::clone(&active.rules),
        };
        Ok((active, rules))
    }

    fn call(&self, py: Python<'_>, action: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Call> {
        let (active, rules) = self.rules(py, options)?;
        Call::of_action(&self.engine, &active, &rules, action)
    }

    /// The result as it is stored, for a verb that stores one by hand.
    fn payload(py: Python<'_>, active: &Active, result: &Bound<'_, PyAny>) -> PyResult<Payload> {
        match outcome::payload(result, &active.rules, active.store.is_local())? {
            (payload, None) => Ok(payload),
            (_, Some(reason)) => Err(errors::configuration(py, format!("result: {reason}"))),
        }
    }

    fn ttl(active: &Active, ttl: Option<u64>) -> Span {
        ttl.map_or(active.rules.ttl, Span::from_micros)
    }

    fn keys(&self, py: Python<'_>, selector: Selector<'_>) -> PyResult<Operation> {
        let reply = self.engine.active(py)?.store.find(selector);
        Ok(Operation::new(py, reply, |py, keys| {
            errors::any(py, keys.iter().map(|key| PyString::new(py, key)).collect::<Vec<_>>())
        }))
    }
}

#[pymethods]
impl Core {
    /// A manager whose `on_event` knows it is a cycle.
    #[expect(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        Engine::traverse(&self.engine, &visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        self.engine.forget_listener(py);
    }

    #[new]
    fn new(place: &Bound<'_, PyDict>, scalars: &Bound<'_, PyDict>, policies: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Self { engine: Engine::new(settings(place)?, settings(scalars)?, policies)? })
    }

    /// Applies new settings at once.
    fn configure(
        &self,
        place: &Bound<'_, PyDict>,
        scalars: &Bound<'_, PyDict>,
        policies: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        self.engine.configure(settings(place)?, settings(scalars)?, policies)
    }

    /// Puts a plan of faults between the calls that follow and the store, for tests.
    fn inject(&self, py: Python<'_>, plan: &Bound<'_, FaultPlan>) -> PyResult<()> {
        self.engine.inject(py, &plan.get().plan)
    }

    /// Has a test's witness see the executions of the calls that follow; `None` for nobody any more.
    #[pyo3(signature = (witness))]
    fn observe(&self, py: Python<'_>, witness: Option<Py<PyAny>>) {
        self.engine.observe(py, witness);
    }

    /// Whether the records are in this process, so that nothing waits for a disk or a network.
    fn is_local(&self) -> bool {
        self.engine.current().store.is_local()
    }

    /// Waits for what the background threads have begun, and lets go of files and connections that no call uses.
    fn let_go(&self, py: Python<'_>) {
        py.detach(|| {
            self.engine.keeper.await_cleaning();
            self.engine.current().store.let_go();
        });
    }

    /// Ends the background thread and refuses further calls.
    fn close(&self) {
        self.engine.close();
    }

    /// Writes what was counted, also when closed.
    fn flush(&self, py: Python<'_>) -> Operation {
        Operation::new(py, self.engine.current().store.flush(), |py, ()| Ok(py.None()))
    }

    /// Starts the cleaning of expired records at every interval.
    fn start_auto_cleanup(&self, py: Python<'_>) -> PyResult<()> {
        self.engine.active(py)?;
        self.engine.keeper.set_cleaning(&self.engine, true);
        Ok(())
    }

    /// Stops it.
    fn stop_auto_cleanup(&self) {
        self.engine.keeper.set_cleaning(&self.engine, false);
    }

    /// Runs an executor once, in this thread. `options` as `Rules::overlaid` reads them.
    #[pyo3(signature = (action, executor, options=None))]
    fn execute(
        &self,
        py: Python<'_>,
        action: &Bound<'_, PyAny>,
        executor: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let mut call = self.call(py, action, options)?;
        let step = call.begin(py);
        drive::run(py, &mut call, step, || executor.call0().map(Bound::unbind))
    }

    /// The coroutine that runs an executor once.
    #[pyo3(signature = (action, executor, options=None))]
    fn aexecute(
        &self,
        py: Python<'_>,
        action: &Bound<'_, PyAny>,
        executor: Py<PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Coroutine> {
        let call = self.call(py, action, options)?;
        let executor = Executor { callable: executor, args: None, kwargs: None };
        Ok(Coroutine::new(call, None, Purpose::Execute(executor), None))
    }

    /// A block with the right to execute.
    #[pyo3(signature = (action, options=None))]
    fn claim(
        &self,
        py: Python<'_>,
        action: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<ClaimBlock> {
        let call = self.call(py, action, options)?;
        Ok(ClaimBlock::new(&call.key(), call))
    }

    /// The key of an action under these settings.
    fn key(&self, py: Python<'_>, action: &Bound<'_, PyAny>) -> PyResult<String> {
        let active = self.engine.active(py)?;
        let fields = ActionFields::extract(action)?;
        fields.compose(active.settings.include_params_in_key).map(|(key, _)| key)
    }

    fn check(&self, py: Python<'_>, key: String) -> PyResult<Operation> {
        let active = self.engine.active(py)?;
        let reply = active.store.check(&key);
        Ok(Operation::new(py, reply, move |py, hit| {
            let result = CheckResult::new(py, key, hit.as_ref(), codec_of(py, &active).as_ref())?;
            errors::any(py, Py::new(py, result)?)
        }))
    }

    fn check_many(&self, py: Python<'_>, keys: Vec<String>) -> PyResult<Operation> {
        let active = self.engine.active(py)?;
        let reply = active.store.check_many(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        Ok(Operation::new(py, reply, move |py, hits| {
            let codec = codec_of(py, &active);
            let results = keys.into_iter().zip(hits).map(|(key, hit)| {
                CheckResult::new(py, key, hit.as_ref(), codec.as_ref()).and_then(|result| Py::new(py, result))
            });
            errors::any(py, results.collect::<PyResult<Vec<_>>>()?)
        }))
    }

    /// What the calls of a batch have in common.
    #[pyo3(signature = (options=None))]
    fn batch(&self, py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Batch> {
        let (active, rules) = self.rules(py, options)?;
        Ok(Batch::new(Arc::clone(&self.engine), active, rules))
    }

    #[pyo3(signature = (key, result, ttl, metadata))]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over what it reads")]
    fn mark(
        &self,
        py: Python<'_>,
        key: &str,
        result: &Bound<'_, PyAny>,
        ttl: Option<u64>,
        metadata: Metadata<'_>,
    ) -> PyResult<Operation> {
        let active = self.engine.active(py)?;
        let fingerprint = metadata.fingerprint(py)?;
        let params = metadata.params.as_ref().map(naming::kept_params).transpose()?;
        let context = metadata.context.as_ref().map(|context| naming::kept("context", context)).transpose()?;
        self.engine.keeper.expect_cleaning(&self.engine);
        let labels = metadata.labels(key);
        let reply = active.store.mark(MarkRequest {
            key,
            labels: &labels,
            fingerprint,
            result: Self::payload(py, &active, result)?,
            ttl: Self::ttl(&active, ttl),
            owner: &active.owner,
            params: params.as_deref(),
            context: context.as_deref(),
        });
        let key = String::from(key);
        Ok(Operation::new(py, reply, move |py, evicted| {
            if evicted > 0 {
                let Labels { signal_id, action_type, target } = &labels;
                let [signal_id, action_type, target] =
                    [signal_id, action_type, target].map(|label| label.as_deref().unwrap_or_default());
                notify::evicted(py, &active, About { key: &key, signal_id, action_type, target, attempts: 1 }, evicted);
            }
            Ok(py.None())
        }))
    }

    /// `executed`: whether there is a result; else the action did not happen.
    #[pyo3(signature = (key, executed, result))]
    fn resolve(&self, py: Python<'_>, key: &str, executed: bool, result: &Bound<'_, PyAny>) -> PyResult<Operation> {
        let active = self.engine.active(py)?;
        let resolution = if executed {
            Resolution::Executed(Self::payload(py, &active, result)?, active.rules.ttl)
        } else {
            Resolution::NotExecuted
        };
        let reply = active.store.resolve(key, resolution);
        let key = key.to_owned();
        Ok(Operation::new(py, reply, move |py, ()| {
            notify::event(py, &active, "resolved", &key, None);
            Ok(py.None())
        }))
    }

    pub(super) fn get(&self, py: Python<'_>, key: &str) -> PyResult<Operation> {
        let active = self.engine.active(py)?;
        let reply = active.store.get(key);
        Ok(Operation::new(py, reply, move |py, record| {
            let record = record.map(|record| Py::new(py, PyRecord::new(Box::new(record), codec_of(py, &active))));
            errors::any(py, record.transpose()?)
        }))
    }

    fn find_by_action_type(&self, py: Python<'_>, action_type: &str) -> PyResult<Operation> {
        self.keys(py, Selector::ActionType(action_type))
    }

    fn find_by_target(&self, py: Python<'_>, target: &str) -> PyResult<Operation> {
        self.keys(py, Selector::Target(target))
    }

    fn find_by_signal_id(&self, py: Python<'_>, signal_id: &str) -> PyResult<Operation> {
        self.keys(py, Selector::SignalId(signal_id))
    }

    fn find_in_doubt(&self, py: Python<'_>) -> PyResult<Operation> {
        self.keys(py, Selector::InDoubt)
    }

    fn find_expiring(&self, py: Python<'_>, within: u64) -> PyResult<Operation> {
        self.keys(py, Selector::ExpiringWithin(Span::from_micros(within)))
    }

    /// A part of all records: a list of them, and the text from which to go on, or `None`.
    #[pyo3(signature = (cursor, limit))]
    fn scan(&self, py: Python<'_>, cursor: Option<String>, limit: usize) -> PyResult<Operation> {
        let active = self.engine.active(py)?;
        let reply = active.store.scan(cursor.map(|cursor| Cursor(cursor.into())), limit);
        Ok(Operation::new(py, reply, move |py, page| {
            let codec = codec_of(py, &active);
            let next = page.next.map(|Cursor(next)| String::from(next));
            errors::any(py, (records(py, page.records, codec.as_ref())?, next))
        }))
    }

    /// Writes records as they are, unless a live one of their key is there; answers with what became of each.
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over what it reads")]
    fn restore(&self, py: Python<'_>, records: Vec<PyRef<'_, PyRecord>>) -> PyResult<Operation> {
        let active = self.engine.active(py)?;
        self.engine.keeper.expect_cleaning(&self.engine);
        let reply = active.store.restore(records.iter().map(|record| record.record().clone()).collect());
        Ok(Operation::new(py, reply, |py, restored| {
            let words = restored.into_iter().map(|restored| match restored {
                Restored::Written => "written",
                Restored::Same => "same",
                Restored::Occupied => "occupied",
                Restored::Expired => "expired",
            });
            errors::any(py, words.collect::<Vec<_>>())
        }))
    }

    fn cleanup_expired(&self, py: Python<'_>) -> PyResult<Operation> {
        let reply = self.engine.active(py)?.store.cleanup_expired();
        Ok(plain(py, reply))
    }

    fn remove_oldest(&self, py: Python<'_>, count: u64) -> PyResult<Operation> {
        let reply = self.engine.active(py)?.store.remove_oldest(count);
        Ok(plain(py, reply))
    }

    pub(super) fn clear(&self, py: Python<'_>, key: &str) -> PyResult<Operation> {
        let reply = self.engine.active(py)?.store.clear(key);
        Ok(plain(py, reply))
    }

    fn clear_all(&self, py: Python<'_>) -> PyResult<Operation> {
        let reply = self.engine.active(py)?.store.clear_all();
        Ok(plain(py, reply))
    }

    fn stats(&self, py: Python<'_>) -> PyResult<Operation> {
        let reply = self.engine.active(py)?.store.tally();
        Ok(Operation::new(py, reply, |py, tally| errors::any(py, Py::new(py, IdempotencyStats::new(&tally))?)))
    }

    fn reset_stats(&self, py: Python<'_>) -> PyResult<Operation> {
        let reply = self.engine.active(py)?.store.reset_tally();
        Ok(Operation::new(py, reply, |py, ()| Ok(py.None())))
    }

    fn cache_info(&self, py: Python<'_>) -> PyResult<Operation> {
        let active = self.engine.active(py)?;
        let max_size = active.settings.max_cache_size;
        let reply = active.store.tally();
        Ok(Operation::new(py, reply, move |py, tally| {
            errors::any(py, Py::new(py, CacheInfo::new(py, &tally, max_size)?)?)
        }))
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Core>()?;
    module.add_class::<Operation>()
}
