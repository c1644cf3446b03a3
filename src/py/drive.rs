//! Drives a [`Call`] in a thread: blocks, detached from the interpreter, where it waits.

use pyo3::prelude::*;

use super::call::{Arrived, Call, Step};
use super::coroutine::Coroutine;
use super::objects::PyRecord;
use super::{errors, runtime};
use crate::core::error::StoreError;
use crate::store::{BoxFuture, Queued, Recall, Reply};

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
            Paused::Execute => execute_once(py, call, &mut execute),
            Paused::Over(result) => return result,
        };
    }
}

/// Runs a call until it waits for the store or ends.
pub(super) fn run_to_wait(
    py: Python<'_>,
    call: &mut Call,
    step: Step,
    mut execute: impl FnMut() -> PyResult<Py<PyAny>>,
) -> Step {
    let mut step = step;
    loop {
        step = match step {
            Step::Granted => call.start(py),
            Step::Execute => execute_once(py, call, &mut execute),
            Step::Reconcile(reconciler, record) => reconcile(py, call, &reconciler, record),
            other => return other,
        };
    }
}

fn execute_once(py: Python<'_>, call: &mut Call, execute: &mut impl FnMut() -> PyResult<Py<PyAny>>) -> Step {
    let executed = match execute() {
        Ok(value) if call.is_shadow() && is_awaitable(value.bind(py)) => return call.hand_out_awaitable(py, value),
        executed => executed,
    };
    match executed.map(|value| refused(py, value)) {
        Ok(Ok(value)) => call.executed(py, Ok(value)),
        Ok(Err(Refused::NotBegun(error))) | Err(error) => call.executed(py, Err(error)),
        Ok(Err(Refused::Begun(error))) => call.doubt(py, error),
    }
}

fn reconcile(py: Python<'_>, call: &mut Call, reconciler: &Py<PyAny>, record: Py<PyRecord>) -> Step {
    let result = reconciler
        .call1(py, (record,))
        .and_then(|value| refused(py, value).map_err(|(Refused::NotBegun(error) | Refused::Begun(error))| error));
    call.reconciled(py, result)
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
            Step::Granted => call.start(py),
            Step::Reconcile(reconciler, record) => reconcile(py, call, &reconciler, record),
            Step::Ask(mut future, errand) => {
                let recall = errand.recall();
                py.detach(|| errand.run());
                match runtime::poll_once(&mut future) {
                    Some(arrived) => call.resume(py, arrived),
                    None => wait(py, call, future, None, recall.as_deref()),
                }
            }
            Step::Await(future, deadline) => wait(py, call, future, deadline, None),
        };
    }
}

fn wait(
    py: Python<'_>,
    call: &mut Call,
    mut future: BoxFuture<Arrived>,
    deadline: Option<std::time::Instant>,
    recall: Option<&dyn Recall>,
) -> Step {
    let (mut cancelled, mut recalled) = (None, false);
    let arrived = runtime::block_on(py, &mut future, deadline, |error| {
        recalled = call.is_claiming() && recall.is_some_and(|recall| give_up(py, recall));
        if call.is_shielded() && !recalled {
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
        Err(error) if recalled => call.give_up(py, error),
        Err(error) => call.cancel(py, error).unwrap_or_else(|| call.resume(py, Arrived::Elapsed)),
    }
}

/// Gives up what has not begun. Where others hold a lock, it is begun and put back all the time, so one look is not enough.
pub(super) fn give_up(py: Python<'_>, recall: &dyn Recall) -> bool {
    const LOOKS: u32 = 20;
    (0..LOOKS).any(|_| {
        let given_up = recall.give_up();
        if !given_up {
            py.detach(|| std::thread::sleep(std::time::Duration::from_millis(1)));
        }
        given_up
    })
}

/// An awaitable that a synchronous call can't await.
enum Refused {
    /// A coroutine: it has not run, so nothing has happened.
    NotBegun(PyErr),
    /// A task or a future may have begun before anybody awaits it.
    Begun(PyErr),
}

fn is_awaitable(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a look at the type of a live object, whose slots live as long as it does. Measured reason: every first call
    // makes it.
    unsafe {
        let slots = (*object.get_type_ptr()).tp_as_async;
        !slots.is_null() && (*slots).am_await.is_some()
    }
}

/// A synchronous call can't await what its executor handed it, and what is still to come is no result.
fn refused(py: Python<'_>, value: Py<PyAny>) -> Result<Py<PyAny>, Refused> {
    let object = value.bind(py);
    if !is_awaitable(object) {
        return Ok(value);
    }
    let error = errors::invalid_action(
        py,
        "the executor returned a coroutine or another awaitable, which a synchronous call can't await: use aexecute, an \
         AsyncIdempotencyManager, or an async def function",
    );
    // SAFETY: as above.
    let is_coroutine = unsafe { pyo3::ffi::PyCoro_CheckExact(object.as_ptr()) } != 0;
    if !is_coroutine && !object.is_instance_of::<Coroutine>() {
        return Err(Refused::Begun(error));
    }
    Err(Refused::NotBegun(object.call_method0("close").err().unwrap_or(error)))
}

/// A store's answer, waited for detached from the interpreter. A signal handler's exception ends the wait, not the verb.
pub(super) fn settle<T: Send + 'static>(py: Python<'_>, reply: Reply<T>) -> PyResult<Result<T, StoreError>> {
    match reply {
        Reply::Ready(result) => Ok(result),
        Reply::Pending(future) => runtime::wait_for(py, runtime::verb(future)),
        Reply::Queued(Queued { answer, errand }) => {
            py.detach(|| errand.run());
            runtime::wait_for(py, answer)
        }
    }
}
