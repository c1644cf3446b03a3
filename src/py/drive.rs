//! Drives a [`Call`] in a thread: blocks, detached from the interpreter, where it waits.

use pyo3::prelude::*;

use super::call::{Arrived, Call, Step};
use super::{errors, runtime};
use crate::core::error::StoreError;
use crate::store::{BoxFuture, Reply};

/// Runs a call to its end.
pub(super) fn run(
    py: Python<'_>,
    call: &mut Call,
    step: Step,
    mut execute: impl FnMut() -> PyResult<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let mut step = step;
    loop {
        step = match advance(py, call, step) {
            Paused::Execute => {
                let result = execute().and_then(|value| refuse_awaitable(py, value));
                call.executed(py, result)
            }
            Paused::Over(result) => return result,
        };
    }
}

/// Where a call stands that needs its caller.
pub(super) enum Paused {
    /// To execute.
    Execute,
    /// At its end.
    Over(PyResult<Py<PyAny>>),
}

/// Runs a call until it executes or ends.
pub(super) fn advance(py: Python<'_>, call: &mut Call, step: Step) -> Paused {
    let mut step = step;
    loop {
        step = match step {
            Step::Execute => return Paused::Execute,
            Step::Return(value) => return Paused::Over(Ok(value)),
            Step::Raise(error) => return Paused::Over(Err(error)),
            Step::Reconcile(reconciler, record) => {
                let result = reconciler.call1(py, (record,)).and_then(|value| refuse_awaitable(py, value));
                call.reconciled(py, result)
            }
            Step::Await(future, deadline) => wait(py, call, future, deadline),
        };
    }
}

fn wait(py: Python<'_>, call: &mut Call, mut future: BoxFuture<Arrived>, deadline: Option<std::time::Instant>) -> Step {
    let mut cancelled = None;
    let arrived = runtime::block_on(py, &mut future, deadline, |error| {
        if call.is_shielded() {
            cancelled = Some(error);
            Ok(())
        } else {
            Err(error)
        }
    });
    if let Some(error) = cancelled {
        call.cancel(py, error);
    }
    match arrived {
        Ok(Some(arrived)) => call.resume(py, arrived),
        Ok(None) => call.resume(py, Arrived::Elapsed),
        Err(error) => call.cancel(py, error).unwrap_or_else(|| call.resume(py, Arrived::Elapsed)),
    }
}

/// A synchronous call can't await what its executor handed it; it has not run, so nothing has happened.
fn refuse_awaitable(py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
    let object = value.bind(py);
    // SAFETY: a type check of a live object. Measured reason: every first call makes it.
    let is_coroutine = unsafe { pyo3::ffi::PyCoro_CheckExact(object.as_ptr()) } != 0;
    if !is_coroutine {
        return Ok(value);
    }
    object.call_method0("close")?;
    Err(errors::invalid_action(
        py,
        "the executor returned a coroutine, which a synchronous call can't await: use aexecute, an AsyncIdempotencyManager, \
         or an async def function",
    ))
}

/// A store's answer, waited for detached from the interpreter. A signal handler's exception ends the wait, not the verb.
pub(super) fn settle<T: Send + 'static>(py: Python<'_>, reply: Reply<T>) -> PyResult<Result<T, StoreError>> {
    match reply {
        Reply::Ready(result) => Ok(result),
        Reply::Pending(future) => {
            let verb = runtime::spawn(future);
            let mut answer: BoxFuture<_> =
                Box::pin(async move { verb.await.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string()))) });
            loop {
                if let Some(result) = runtime::block_on(py, &mut answer, None, Err)? {
                    return Ok(result);
                }
            }
        }
    }
}
