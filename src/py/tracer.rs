//! Who makes spans of a manager's executions and events of its replays: an object of Python's, asked for a replay only
//! where a span is current that is recorded.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::engine::Active;
use super::log::About;
use super::manager::Core;
use super::meter::Meter;

/// Where `OpenTelemetry` keeps the current span: a dict in a context variable.
struct Current {
    variable: Py<PyAny>,
    name: Py<PyString>,
    /// The class of spans that record nothing.
    silent: Py<PyType>,
}

/// See the module.
pub(super) struct Tracer {
    /// Has the methods `begin` and `replayed`.
    object: Py<PyAny>,
    /// `None` where it is not known where the current span is: the object is asked each time, then.
    current: Option<Current>,
}

/// The span of an execution: has the methods `leave` and `end`.
pub(super) struct Span(Py<PyAny>);

impl Tracer {
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.object)
    }

    /// Begins a span, and makes it the current one.
    pub(super) fn begin(&self, py: Python<'_>, about: About<'_>, reconciles: bool) -> Option<Span> {
        let About { key, signal_id, action_type, target, attempts } = about;
        let args = (key, signal_id, action_type, target, attempts, reconciles);
        let span = self.object.bind(py).call_method1(intern!(py, "begin"), args);
        match span {
            Ok(span) if span.is_none() => None,
            Ok(span) => Some(Span(span.unbind())),
            Err(error) => {
                error.write_unraisable(py, None);
                None
            }
        }
    }

    /// Notes a replay on the span that is current, if there is one that is recorded.
    pub(super) fn replayed(&self, py: Python<'_>, about: About<'_>, waited: Option<f64>) {
        let noted = self.is_recorded(py).and_then(|is_recorded| {
            if !is_recorded {
                return Ok(());
            }
            let args = (about.key, about.action_type, about.target, about.attempts, waited);
            self.object.bind(py).call_method1(intern!(py, "replayed"), args).map(drop)
        });
        if let Err(error) = noted {
            error.write_unraisable(py, None);
        }
    }

    fn is_recorded(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(current) = &self.current else { return Ok(true) };
        let mut context = std::ptr::null_mut();
        // SAFETY: `variable` was found to be a context variable; on success `context` is null or a new reference. Measured
        // reason: a call of its `get` costs more than all else that a replay pays for spans.
        let context = unsafe {
            if ffi::PyContextVar_Get(current.variable.as_ptr(), std::ptr::null_mut(), &raw mut context) < 0 {
                return Err(PyErr::fetch(py));
            }
            Bound::from_owned_ptr_or_opt(py, context)
        };
        let Some(context) = context else { return Ok(false) };
        let Ok(context) = context.cast_into::<PyDict>() else { return Ok(true) };
        if context.is_empty() {
            return Ok(false);
        }
        let span = context.get_item(&current.name)?;
        Ok(span.is_some_and(|span| !span.get_type().is(&current.silent)))
    }
}

impl Span {
    /// The span is no longer the current one: the executor has ended.
    pub(super) fn leave(&self, py: Python<'_>) {
        if let Err(error) = self.0.bind(py).call_method0(intern!(py, "leave")) {
            error.write_unraisable(py, None);
        }
    }

    /// The span ends: what became of the execution is known.
    pub(super) fn end(self, py: Python<'_>, outcome: &str, error: Option<&PyErr>) {
        let error = error.map(|error| error.value(py));
        if let Err(error) = self.0.bind(py).call_method1(intern!(py, "end"), (outcome, error)) {
            error.write_unraisable(py, None);
        }
    }
}

/// An execution that another than a [`Call`](super::call::Call) drives: measured, and with a span, where somebody has asked
/// for it.
#[pyclass(frozen, module = "idempotency_manager._core")]
pub(super) struct Watched {
    meter: Option<Meter>,
    since: Instant,
    span: Mutex<Option<Span>>,
}

impl Watched {
    /// Begins to watch, if anybody has asked for it.
    pub(super) fn begin(py: Python<'_>, active: &Active, about: About<'_>, reconciles: bool) -> Option<Self> {
        let meter = active.meter(&about.action_type.into()).filter(|_| !reconciles);
        let span = active.tracer.as_ref().and_then(|tracer| tracer.begin(py, about, reconciles));
        let watches = meter.is_some() || span.is_some();
        watches.then(|| Self { meter, since: Instant::now(), span: Mutex::new(span) })
    }
}

#[pymethods]
impl Watched {
    /// The executor has ended.
    fn leave(&self, py: Python<'_>, with_a_result: bool) {
        if let Some(meter) = &self.meter {
            meter.executed(self.since.elapsed(), with_a_result);
        }
        let span = self.span.lock().take();
        if let Some(span) = span {
            span.leave(py);
            *self.span.lock() = Some(span);
        }
    }

    /// What became of the execution is known.
    #[pyo3(signature = (outcome, error))]
    fn end(&self, py: Python<'_>, outcome: &str, error: Option<Bound<'_, PyAny>>) {
        let span = self.span.lock().take();
        if let Some(span) = span {
            span.end(py, outcome, error.map(PyErr::from_value).as_ref());
        }
    }
}

/// Has this object make spans of a manager's executions; `None` ends it. `current`: the context variable, the name and the
/// class of silent spans by which it is known whether a recorded span is current.
#[pyfunction]
#[pyo3(signature = (core, tracer, current))]
fn trace(
    core: &Bound<'_, Core>,
    tracer: Option<Py<PyAny>>,
    current: Option<(Py<PyAny>, Py<PyString>, Py<PyType>)>,
) -> PyResult<()> {
    let py = core.py();
    if let Some((variable, ..)) = &current {
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        if !variable.bind(py).get_type().is(&class) {
            return Err(pyo3::exceptions::PyTypeError::new_err("current: a ContextVar comes first"));
        }
    }
    let current = current.map(|(variable, name, silent)| Current { variable, name, silent });
    let tracer = tracer.map(|object| Arc::new(Tracer { object, current }));
    core.get().engine.trace(py, tracer)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Watched>()?;
    module.add_function(wrap_pyfunction!(trace, module)?)
}
