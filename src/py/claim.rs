//! The `claim` block: the right to execute, for code that is no function.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyTraceback, PyType};

use super::call::{Call, Step};
use super::coroutine::{Coroutine, Purpose};
use super::drive::{self, Paused};
use super::errors;

enum Stage {
    /// Not entered yet.
    Made(Box<Call>),
    /// Inside the block, with the right to execute.
    Held(Box<Call>),
    /// The attempt has ended, but the store has not been heard: the end of the block awaits it.
    Ending(Box<Call>, Step),
    /// Nothing left to do.
    Over,
}

/// A context manager, synchronous and asynchronous, that hands its block an `Attempt`.
#[pyclass(frozen, module = "idempotency_manager._core")]
pub(super) struct ClaimBlock {
    key: String,
    stage: Mutex<Stage>,
    is_async: std::sync::atomic::AtomicBool,
}

impl ClaimBlock {
    pub(super) fn new(key: &str, call: Call) -> Self {
        Self { key: key.into(), stage: Mutex::new(Stage::Made(Box::new(call))), is_async: false.into() }
    }

    fn take(&self) -> Stage {
        std::mem::replace(&mut *self.stage.lock(), Stage::Over)
    }

    fn put(&self, stage: Stage) {
        let before = std::mem::replace(&mut *self.stage.lock(), stage);
        drop(before);
    }

    /// Takes the call back from the coroutine that claimed.
    pub(super) fn keep(&self, call: Call) {
        if call.is_executing() {
            self.put(Stage::Held(Box::new(call)));
        }
    }

    /// What the block gets: a finished result, or the right to execute.
    pub(super) fn attempt(block: &Bound<'_, Self>, result: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let py = block.py();
        let executed = result.is_some();
        let result = result.unwrap_or_else(|| py.None());
        let attempt = Attempt { key: block.get().key.clone(), executed, result, block: block.clone().unbind() };
        errors::any(py, Py::new(py, attempt)?)
    }

    fn begin(&self, py: Python<'_>) -> PyResult<(Box<Call>, Step)> {
        match self.take() {
            Stage::Made(mut call) => {
                let step = call.begin(py);
                Ok((call, step))
            }
            _ => Err(errors::invalid_action(py, "a claim block can be entered once: call claim(…) again")),
        }
    }

    fn end(&self, py: Python<'_>, end: impl FnOnce(&mut Call) -> Step) -> PyResult<()> {
        let mut call = match self.take() {
            Stage::Held(call) => call,
            other => {
                self.put(other);
                let text = "this attempt has ended already: complete() or release() once, inside its block";
                return Err(errors::invalid_action(py, text));
            }
        };
        let step = end(&mut call);
        if self.is_async.load(std::sync::atomic::Ordering::Acquire) && matches!(step, Step::Await(..) | Step::Ask(..)) {
            self.put(Stage::Ending(call, step));
            return Ok(());
        }
        match drive::advance(py, &mut call, step) {
            Paused::Over(result) => result.map(drop),
            Paused::Execute => Ok(()),
        }
    }

    /// How the call goes on when the block is left with `error`, or without a word.
    fn leave(&self, py: Python<'_>, error: Option<&PyErr>) -> Option<(Box<Call>, Step)> {
        match self.take() {
            Stage::Held(mut call) => {
                let step = if let Some(error) = error {
                    call.executed(py, Err(error.clone_ref(py)))
                } else {
                    let text = "the claim block ended without attempt.complete(result) or attempt.release(): \
                                nobody knows whether the action happened, so it is in doubt";
                    call.doubt(py, errors::invalid_action(py, text))
                };
                Some((call, step))
            }
            Stage::Ending(call, step) => Some((call, step)),
            Stage::Made(_) | Stage::Over => None,
        }
    }
}

#[pymethods]
impl ClaimBlock {
    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let block = slf.get();
        let (mut call, step) = block.begin(py)?;
        match drive::advance(py, &mut call, step) {
            Paused::Execute => {
                block.put(Stage::Held(call));
                Self::attempt(slf, None)
            }
            Paused::Over(result) => Self::attempt(slf, Some(result?)),
        }
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _class: Option<Bound<'_, PyType>>,
        error: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyTraceback>>,
    ) -> PyResult<bool> {
        let error = error.map(PyErr::from_value);
        let Some((mut call, step)) = self.leave(py, error.as_ref()) else { return Ok(false) };
        match drive::advance(py, &mut call, step) {
            Paused::Over(Err(raised)) if !error.is_some_and(|error| error.value(py).is(raised.value(py))) => {
                Err(raised)
            }
            _ => Ok(false),
        }
    }

    fn __aenter__(slf: &Bound<'_, Self>) -> PyResult<Coroutine> {
        let py = slf.py();
        slf.get().is_async.store(true, std::sync::atomic::Ordering::Release);
        match slf.get().take() {
            Stage::Made(call) => Ok(Coroutine::new(*call, None, Purpose::Enter(slf.clone().unbind()), None)),
            _ => Err(errors::invalid_action(py, "a claim block can be entered once: call aclaim(…) again")),
        }
    }

    fn __aexit__(
        &self,
        py: Python<'_>,
        _class: Option<Bound<'_, PyType>>,
        error: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyTraceback>>,
    ) -> PyResult<Py<PyAny>> {
        let error = error.map(PyErr::from_value);
        match self.leave(py, error.as_ref()) {
            None => Coroutine::replay(py, errors::any(py, false)?),
            Some((call, step)) => errors::any(py, Coroutine::new(*call, Some(step), Purpose::Exit(error), None)),
        }
    }
}

/// What `claim` hands the block: either a finished execution to reuse, or the right to execute.
#[pyclass(frozen, module = "idempotency_manager")]
pub(super) struct Attempt {
    /// The key.
    #[pyo3(get)]
    key: String,
    /// Whether it has been executed before: then `result` is its result, and there is nothing to complete.
    #[pyo3(get)]
    executed: bool,
    /// The result of an earlier execution.
    #[pyo3(get)]
    result: Py<PyAny>,
    block: Py<ClaimBlock>,
}

#[pymethods]
impl Attempt {
    /// Keep the result: the action has happened.
    ///
    /// Args:
    ///     result: What every duplicate gets.
    ///
    /// Raises:
    ///     InvalidActionError: The attempt has ended, or an earlier execution is all there is.
    ///     LeaseLostError: The claim was taken over meanwhile; the error carries the result.
    #[pyo3(signature = (result, /))]
    fn complete(&self, py: Python<'_>, result: Py<PyAny>) -> PyResult<()> {
        self.block.get().end(py, |call| call.executed(py, Ok(result)))
    }

    /// Give the right to execute back: nothing happened, and the next caller may execute.
    ///
    /// Raises:
    ///     InvalidActionError: The attempt has ended, or an earlier execution is all there is.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.block.get().end(py, |call| call.release(py))
    }

    fn __repr__(&self) -> String {
        format!("Attempt(key={:?}, executed={})", self.key, if self.executed { "True" } else { "False" })
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ClaimBlock>()?;
    module.add_class::<Attempt>()
}
