//! The execution that is running now, as the executor sees it, and the signal that surrounds it.

use std::ffi::CStr;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::py::once::Once;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::keeper::Running;
use super::log;
use super::objects::PyRecord;
use super::rules::Rules;
use super::{convert, drive, errors};
use crate::core::clock::Span;
use crate::store::{Held, Store};

/// A context variable, which follows asyncio tasks and threads started with a copied context.
pub(super) struct ContextVariable {
    name: &'static CStr,
    variable: PyOnceLock<Py<PyAny>>,
}

impl ContextVariable {
    const fn new(name: &'static CStr) -> Self {
        Self { name, variable: PyOnceLock::new() }
    }

    fn variable<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let variable = self.variable.made(py, || {
            // SAFETY: the name is a C string, no default is given, and the new reference is owned here. Measured reason:
            // importing `contextvars` and calling it costs more than the calls this serves.
            unsafe {
                let variable = ffi::PyContextVar_New(self.name.as_ptr(), ptr::null_mut());
                Bound::from_owned_ptr_or_err(py, variable).map(Bound::unbind)
            }
        })?;
        Ok(variable.bind(py))
    }

    /// The value in the current context.
    pub(super) fn get<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let variable = self.variable(py)?;
        let mut value = ptr::null_mut();
        // SAFETY: `variable` is a context variable; on success `value` is null or a new reference.
        unsafe {
            if ffi::PyContextVar_Get(variable.as_ptr(), ptr::null_mut(), &raw mut value) < 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(Bound::from_owned_ptr_or_opt(py, value))
        }
    }

    /// Sets the value in the current context; the token undoes it.
    pub(super) fn set(&self, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = value.py();
        let variable = self.variable(py)?;
        // SAFETY: `variable` is a context variable and `value` an object; the answer is a new reference or null.
        unsafe {
            let token = ffi::PyContextVar_Set(variable.as_ptr(), value.as_ptr());
            Bound::from_owned_ptr_or_err(py, token).map(Bound::unbind)
        }
    }

    /// Undoes a [`set`](Self::set).
    pub(super) fn reset(&self, token: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = token.py();
        let variable = self.variable(py)?;
        // SAFETY: `variable` is a context variable; `token` is checked by the call.
        let failed = unsafe { ffi::PyContextVar_Reset(variable.as_ptr(), token.as_ptr()) } < 0;
        if failed { Err(PyErr::fetch(py)) } else { Ok(()) }
    }
}

/// The running [`Execution`].
pub(super) static EXECUTION: ContextVariable = ContextVariable::new(c"idempotency_manager.execution");
/// The surrounding `signal(…)`.
pub(super) static SIGNAL: ContextVariable = ContextVariable::new(c"idempotency_manager.signal");

/// The execution that is running now: what to hand on to the service that is called.
#[pyclass(frozen, module = "idempotency_manager")]
pub(super) struct Execution {
    key: Arc<str>,
    attempts: u32,
    running: Option<Arc<Running>>,
    /// What is left of the lease where no claim is renewed.
    lease: Span,
    latch: bool,
    /// Whether what the store has to say disturbs nobody.
    shadow: bool,
    over: AtomicBool,
    outer: Option<Py<PyAny>>,
    codec: Option<Py<PyAny>>,
}

impl Execution {
    /// The execution of a claim; `running` is `None` for one without a store's protection.
    pub(super) fn new(
        py: Python<'_>,
        key: Arc<str>,
        attempts: u32,
        running: Option<Arc<Running>>,
        rules: Option<&Rules>,
    ) -> PyResult<Self> {
        let outer = innermost(py)?.map(Bound::unbind);
        Ok(Self {
            key,
            attempts,
            running,
            lease: Span::default(),
            latch: rules.is_some_and(|rules| rules.latch),
            shadow: rules.is_some_and(|rules| rules.shadow),
            over: AtomicBool::new(false),
            outer,
            codec: rules.and_then(|rules| rules.codec.as_ref()).map(|codec| codec.clone_ref(py)),
        })
    }

    /// The same with so much of its lease before it, always, where no claim is renewed.
    pub(super) fn leased_for(self, lease: Span) -> Self {
        Self { lease, ..self }
    }

    /// Makes the execution of a key that a transaction protects the current one: as long as it is open nobody can take the
    /// action over, so its lease is always a whole one. Answers with what [`leave`](Self::leave) takes.
    pub(super) fn enter_in_transaction(
        py: Python<'_>,
        key: &str,
        attempts: u32,
        lease: Span,
    ) -> PyResult<(Py<Self>, Py<PyAny>)> {
        let execution = Py::new(py, Self::new(py, key.into(), attempts, None, None)?.leased_for(lease))?;
        let token = EXECUTION.set(execution.bind(py))?;
        Ok((execution, token))
    }

    /// Ends an execution that was entered, and makes the one around it the current one.
    pub(super) fn leave(py: Python<'_>, execution: &Py<Self>, token: &Py<PyAny>) {
        execution.get().end();
        // What can't be left is not there any more, and the body has run.
        drop(EXECUTION.reset(token.bind(py)));
    }

    /// It has ended: what still runs in a copy of its context is no longer a part of it.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether the current context is inside an execution of `key` in `store`, which to wait for would never end.
    pub(super) fn surrounds(py: Python<'_>, key: &str, store: &Arc<dyn Store>) -> PyResult<bool> {
        let mut next = EXECUTION.get(py)?;
        while let Some(object) = next {
            let Ok(execution) = object.cast_exact::<Self>() else { return Ok(false) };
            let execution = execution.get();
            let same = execution.running.as_ref().is_some_and(|running| Arc::ptr_eq(&running.store, store));
            if same && *execution.key == *key && !execution.over.load(Ordering::Acquire) {
                return Ok(true);
            }
            next = execution.outer.as_ref().map(|outer| outer.bind(py).clone());
        }
        Ok(false)
    }
}

#[pymethods]
impl Execution {
    /// The key.
    #[getter]
    fn key(&self) -> &str {
        &self.key
    }

    /// Executions and prevented duplicates so far, this one included.
    #[getter]
    fn attempt_count(&self) -> u32 {
        self.attempts
    }

    /// A `UUIDv5` of the key as text, the same on every retry: for services that take a client-made id.
    #[getter]
    fn uuid(&self, py: Python<'_>) -> PyResult<String> {
        py.import("idempotency_manager._revive")?.call_method1("uuid_of_key", (&*self.key,))?.extract()
    }

    /// Say that the effect may happen from here on.
    ///
    /// Kept in the store, so that it survives a crash. After an error the effect must not happen.
    ///
    /// Raises:
    ///     LeaseLostError: Another caller or a person has taken the action over.
    ///     StoreError: The store could not keep it.
    fn dispatched(&self, py: Python<'_>) -> PyResult<()> {
        let Some(running) = self.running.as_ref().filter(|_| self.latch) else { return Ok(()) };
        if self.over.load(Ordering::Acquire) {
            return Err(PyRuntimeError::new_err("dispatched() belongs inside the execution, and this one has ended"));
        }
        match drive::settle(py, running.store.dispatch(&running.hold))? {
            Ok(Held::Kept) => {
                running.set_dispatched();
                Ok(())
            }
            Ok(Held::Lost(_)) if self.shadow => {
                log::warn(py, &format!("shadow: the lease was lost before dispatched(): {}", self.key));
                Ok(())
            }
            Err(error) if self.shadow => {
                // It may happen all the same, and what cuts it off leaves a doubt.
                running.set_dispatched();
                log::warn(py, &format!("shadow: dispatched() can't be kept, because {error}: {}", self.key));
                Ok(())
            }
            Ok(Held::Lost(record)) => {
                let codec = self.codec.as_ref().map(|codec| codec.clone_ref(py));
                let record = record.map(|record| PyRecord::new(record, codec));
                Err(errors::exception(py, "LeaseLostError", (record, py.None(), &*self.key, false)))
            }
            Err(error) => Err(errors::of_store(py, &error)),
        }
    }

    /// Give the lease time that is left, a `timedelta`.
    ///
    /// The lease is renewed while the action runs, so less than half of one means that renewals fail.
    fn remaining<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let left = self.running.as_ref().map_or(self.lease, |running| running.remaining());
        convert::timedelta(py, left).map(Bound::into_any)
    }

    fn __repr__(&self) -> String {
        format!("Execution(key={:?}, attempt_count={})", self.key, self.attempts)
    }
}

/// The innermost execution of this context that has not ended: a task that outlives the execution that started it
/// keeps the old one in its context, and must not keep a chain of them alive.
fn innermost(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let mut next = EXECUTION.get(py)?;
    while let Some(object) = next {
        let outer = match object.cast_exact::<Execution>() {
            Ok(execution) if execution.get().over.load(Ordering::Acquire) => &execution.get().outer,
            _ => return Ok(Some(object)),
        };
        next = outer.as_ref().map(|outer| outer.bind(py).clone());
    }
    Ok(None)
}

/// Give the execution that is running in this context, or None outside of any.
#[pyfunction]
fn current_execution(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    innermost(py)
}

/// Sets the surrounding signal in the current context; answers with what undoes it.
#[pyfunction]
fn enter_signal(signal_id: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    SIGNAL.set(signal_id)
}

/// Undoes [`enter_signal`].
#[pyfunction]
fn leave_signal(token: &Bound<'_, PyAny>) -> PyResult<()> {
    SIGNAL.reset(token)
}

/// The surrounding signal, or `None`.
#[pyfunction]
fn current_signal(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    SIGNAL.get(py)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Execution>()?;
    module.add_function(wrap_pyfunction!(current_execution, module)?)?;
    module.add_function(wrap_pyfunction!(enter_signal, module)?)?;
    module.add_function(wrap_pyfunction!(leave_signal, module)?)?;
    module.add_function(wrap_pyfunction!(current_signal, module)?)
}
