//! Drives a [`Call`] in an asyncio task: a coroutine that hands on what its executor awaits, and awaits the store.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError, PyRuntimeWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::awaiting::{Awaited, Input, Sent, Slot, iterator_of, listen, pass, wait};
use super::call::{Call, Step};
use super::claim::ClaimBlock;
use super::resumed::{Replay, Resumed, add_class, resume, reused, thrown};
use super::{errors, runtime};
use crate::store::Recall;

/// What to call when it is time to execute.
pub(super) struct Executor {
    pub(super) callable: Py<PyAny>,
    pub(super) args: Option<Py<PyTuple>>,
    pub(super) kwargs: Option<Py<PyDict>>,
}

impl Executor {
    pub(super) fn call(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &self.args {
            None => self.callable.call0(py),
            Some(args) => self.callable.call(py, args.bind(py), self.kwargs.as_ref().map(|kwargs| kwargs.bind(py))),
        }
    }
}

/// What a coroutine does when its call is to execute, and with its call at the end.
pub(super) enum Purpose {
    /// Calls it, and awaits what it returns if that can be awaited.
    Execute(Executor),
    /// Hands the right to execute to an `async with` block.
    Enter(Py<ClaimBlock>),
    /// Ends such a block, which was left with this exception.
    Exit(Option<PyErr>),
}

/// What a live coroutine waits for.
enum Delegate {
    Executor(Py<PyAny>),
    Reconciler(Py<PyAny>),
    Store(Py<PyAny>, Arc<Slot>),
}

struct Live {
    call: Call,
    purpose: Purpose,
    delegate: Option<Delegate>,
    next: Option<Step>,
    /// What calls back the errand that was sent last.
    recall: Option<Arc<dyn Recall>>,
}

enum State {
    /// Nobody has awaited it yet. Without a step, it begins with the claim.
    Fresh(Box<Live>),
    Live(Box<Live>),
    Over,
}

/// An idempotent call of a coroutine function.
#[pyclass(name = "idempotent_coroutine", module = "idempotency_manager._core")]
pub(super) struct Coroutine {
    /// Locked only to satisfy the compiler that threads may share it: whoever has the coroutine has it exclusively.
    state: Mutex<State>,
    name: Option<Py<PyAny>>,
}

impl Coroutine {
    /// A coroutine that runs a call; `step` is where it stands, if it has begun.
    pub(super) fn new(call: Call, step: Option<Step>, purpose: Purpose, name: Option<Py<PyAny>>) -> Self {
        Self {
            state: Mutex::new(State::Fresh(Box::new(Live { call, purpose, delegate: None, next: step, recall: None }))),
            name,
        }
    }

    /// A coroutine whose value is at hand.
    pub(super) fn replay(py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        errors::any(py, Bound::new(py, Replay(Some(value)))?)
    }

    fn resume(&mut self, py: Python<'_>, input: Input<'_>) -> PyResult<Sent> {
        match (std::mem::replace(self.state.get_mut(), State::Over), input) {
            (State::Fresh(_) | State::Over, Input::Throw(error)) => Err(error),
            (State::Over, Input::Send(_)) => Err(reused()),
            (State::Fresh(mut live), input @ Input::Send(_)) => {
                if live.next.is_none() {
                    live.next = Some(live.call.begin(py));
                }
                self.go_on(py, live, input)
            }
            (State::Live(live), input) => self.go_on(py, live, input),
        }
    }

    fn go_on(&mut self, py: Python<'_>, mut live: Box<Live>, input: Input<'_>) -> PyResult<Sent> {
        let sent = live.go_on(py, input);
        if matches!(sent, Ok(Sent::Yield(_))) {
            *self.state.get_mut() = State::Live(live);
        } else if let (Ok(_), Purpose::Enter(block)) = (&sent, live.purpose) {
            block.get().keep(live.call);
        }
        sent
    }
}

impl Live {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.purpose {
            Purpose::Execute(executor) => {
                visit.call(&executor.callable)?;
                visit.call(&executor.args)?;
                visit.call(&executor.kwargs)?;
            }
            Purpose::Enter(block) => visit.call(block)?,
            Purpose::Exit(_) => {}
        }
        match &self.delegate {
            Some(Delegate::Executor(iterator) | Delegate::Reconciler(iterator) | Delegate::Store(iterator, _)) => {
                visit.call(iterator)
            }
            None => Ok(()),
        }
    }

    fn go_on(&mut self, py: Python<'_>, input: Input<'_>) -> PyResult<Sent> {
        let mut input = input;
        loop {
            if let Some(delegate) = self.delegate.take() {
                match self.hand_on(py, delegate, input) {
                    Ok(yielded) => return Ok(Sent::Yield(yielded)),
                    Err(step) => self.next = Some(step),
                }
            }
            input = Input::Send(py.None().into_bound(py));
            let Some(step) = self.next.take() else {
                return Err(PyRuntimeError::new_err("this coroutine has nothing to go on with"));
            };
            match step {
                Step::Return(value) => return self.returned(py, value),
                Step::Raise(error) => return self.raised(py, error),
                Step::Granted => self.next = Some(self.call.start(py)),
                Step::Execute => {
                    if let Some(entered) = self.execute(py) {
                        return entered.map(Sent::Return);
                    }
                }
                Step::Reconcile(reconciler, record) => {
                    let result = reconciler.call1(py, (record,)).and_then(|value| iterator_of(py, value));
                    match result {
                        Ok(Awaited::Iterator(iterator)) => self.delegate = Some(Delegate::Reconciler(iterator)),
                        Ok(Awaited::Value(value)) => self.next = Some(self.call.reconciled(py, Ok(value))),
                        Err(error) => self.next = Some(self.call.reconciled(py, Err(error))),
                    }
                }
                Step::Ask(future, errand) => {
                    self.recall = errand.recall();
                    let by_itself = errand.answers_by_itself();
                    errand.hand_over();
                    self.await_answer(py, if by_itself { listen(future) } else { wait(future, None) })?;
                }
                Step::Await(future, deadline) => self.await_answer(py, wait(future, deadline))?,
            }
        }
    }

    fn await_answer(&mut self, py: Python<'_>, slot: Arc<Slot>) -> PyResult<()> {
        match slot.iterator(py) {
            Ok(iterator) => self.delegate = Some(Delegate::Store(iterator, slot)),
            Err(error) => {
                self.leave_to_run(slot);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Calls the executor; or answers with what an `async with` block gets.
    fn execute(&mut self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let executor = match &self.purpose {
            Purpose::Execute(executor) => executor,
            Purpose::Enter(block) => return Some(ClaimBlock::attempt(block.bind(py), None)),
            Purpose::Exit(_) => return Some(Err(PyRuntimeError::new_err("a claim that ends can't execute"))),
        };
        match executor.call(py).and_then(|value| iterator_of(py, value)) {
            Ok(Awaited::Iterator(iterator)) => self.delegate = Some(Delegate::Executor(iterator)),
            Ok(Awaited::Value(value)) => self.next = Some(self.call.executed(py, Ok(value))),
            Err(error) => self.next = Some(self.call.executed(py, Err(error))),
        }
        None
    }

    fn returned(&self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Sent> {
        let value = match &self.purpose {
            Purpose::Execute(_) => value,
            Purpose::Enter(block) => ClaimBlock::attempt(block.bind(py), Some(value))?,
            Purpose::Exit(_) => errors::any(py, false)?,
        };
        Ok(Sent::Return(value))
    }

    /// A block that is left with an exception goes on with it by itself.
    fn raised(&self, py: Python<'_>, error: PyErr) -> PyResult<Sent> {
        if let Purpose::Exit(Some(left_with)) = &self.purpose
            && left_with.value(py).is(error.value(py))
        {
            return errors::any(py, false).map(Sent::Return);
        }
        Err(error)
    }

    /// Passes the input on to what is awaited: what it yields goes up to the event loop, and what it ends with tells
    /// the call how to go on.
    fn hand_on(&mut self, py: Python<'_>, delegate: Delegate, input: Input<'_>) -> Result<Py<PyAny>, Step> {
        match delegate {
            Delegate::Executor(iterator) => match pass(py, &iterator, input) {
                Ok(Sent::Yield(yielded)) => {
                    self.delegate = Some(Delegate::Executor(iterator));
                    Ok(yielded)
                }
                Ok(Sent::Return(value)) => Err(self.call.executed(py, Ok(value))),
                Err(error) => Err(self.call.executed(py, Err(error))),
            },
            Delegate::Reconciler(iterator) => match pass(py, &iterator, input) {
                Ok(Sent::Yield(yielded)) => {
                    self.delegate = Some(Delegate::Reconciler(iterator));
                    Ok(yielded)
                }
                Ok(Sent::Return(value)) => Err(self.call.reconciled(py, Ok(value))),
                Err(error) => Err(self.call.reconciled(py, Err(error))),
            },
            Delegate::Store(iterator, slot) => self.hand_on_to_store(py, iterator, slot, input),
        }
    }

    fn hand_on_to_store(
        &mut self,
        py: Python<'_>,
        iterator: Py<PyAny>,
        slot: Arc<Slot>,
        input: Input,
    ) -> Result<Py<PyAny>, Step> {
        let mut iterator = iterator;
        let mut input = input;
        loop {
            let passed = pass(py, &iterator, input);
            let arrived = slot.take();
            match (passed, arrived) {
                (Ok(Sent::Yield(yielded)), None) => {
                    self.delegate = Some(Delegate::Store(iterator, slot));
                    return Ok(yielded);
                }
                (Ok(_), Some(arrived)) => return Err(self.call.resume(py, arrived)),
                (Err(error), None) if self.gives_up_claiming() => {
                    slot.abandon();
                    return Err(self.call.give_up(py, error));
                }
                (Err(error), arrived) => {
                    if let Some(step) = self.call.cancel(py, error) {
                        slot.abandon();
                        return Err(step);
                    }
                    if let Some(arrived) = arrived {
                        return Err(self.call.resume(py, arrived));
                    }
                }
                (Ok(Sent::Return(_)), None) => {}
            }
            // Shielded: the verb at hand ends whatever happens to the task; wait on.
            match slot.iterator(py) {
                Ok(next) => iterator = next,
                Err(error) => return Err(Step::Raise(error)),
            }
            input = Input::Send(py.None().into_bound(py));
        }
    }

    /// Whether a claim that is being asked for need not be waited for: it is not made, or given back by the store.
    fn gives_up_claiming(&mut self) -> bool {
        self.call.is_claiming() && self.recall.take().is_some_and(|recall| recall.give_up())
    }

    /// Lets the books be kept without this coroutine, which nobody will resume.
    fn leave_to_run(&mut self, slot: Arc<Slot>) {
        if let Some(rest) = self.call.unattended() {
            drop(runtime::spawn(async move { rest.go_on(slot.answer().await).await }));
        }
    }

    /// Ends without another chance to wait: what the store was asked to do, it does.
    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        let exit = PyGeneratorExit::new_err(());
        let step = match self.delegate.take() {
            Some(Delegate::Executor(iterator)) => {
                let closed = iterator.call_method0(py, "close");
                self.call.executed(py, Err(closed.err().unwrap_or(exit)))
            }
            Some(Delegate::Reconciler(iterator)) => {
                let closed = iterator.call_method0(py, "close");
                self.call.reconciled(py, Err(closed.err().unwrap_or(exit)))
            }
            Some(Delegate::Store(_, slot)) => {
                let Some(step) = self.call.cancel(py, exit) else {
                    self.leave_to_run(slot);
                    return Ok(());
                };
                slot.abandon();
                step
            }
            None => return Ok(()),
        };
        match step {
            Step::Raise(error) if !error.is_instance_of::<PyGeneratorExit>(py) => Err(error),
            _ => Ok(()),
        }
    }
}

#[pymethods]
impl Coroutine {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.send(py, py.None())
    }

    /// Resumes the coroutine with a value.
    fn send(&mut self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        resume(self, py, Input::Send(value.into_bound(py)))
    }

    /// Resumes the coroutine with an exception.
    #[pyo3(signature = (typ, val=None, tb=None))]
    fn throw(
        &mut self,
        py: Python<'_>,
        typ: Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let _ = tb;
        resume(self, py, Input::Throw(thrown(typ, val)?))
    }

    /// A task that is never resumed and what it waits for hold each other: the collector must see that.
    #[expect(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.name)?;
        let Some(state) = self.state.try_lock() else { return Ok(()) };
        match &*state {
            State::Fresh(live) | State::Live(live) => live.traverse(&visit),
            State::Over => Ok(()),
        }
    }

    fn __clear__(&mut self, py: Python<'_>) {
        if let Err(error) = self.close(py) {
            error.write_unraisable(py, None);
        }
    }

    /// Ends the coroutine where it stands; an action that was executing is in doubt.
    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        match std::mem::replace(self.state.get_mut(), State::Over) {
            State::Live(mut live) => live.close(py),
            _ => Ok(()),
        }
    }
}

impl Drop for Coroutine {
    /// Forgetting `await` means that nothing ran: say so, as Python does of its own coroutines.
    fn drop(&mut self) {
        let name = self.name.take();
        if let (State::Fresh(_), Some(name)) = (&*self.state.get_mut(), name) {
            Python::try_attach(|py| {
                let text = format!("coroutine '{name}' was never awaited");
                let warned = std::ffi::CString::new(text)
                    .map_err(|error| PyValueError::new_err(error.to_string()))
                    .and_then(|text| PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1));
                if let Err(error) = warned {
                    error.write_unraisable(py, None);
                }
            });
        } else if let State::Live(live) = self.state.get_mut() {
            Python::try_attach(|py| {
                if let Err(error) = live.close(py) {
                    error.write_unraisable(py, None);
                }
            });
        }
    }
}

impl Resumed for Coroutine {
    /// Attached in PyO3's eyes too: what is dropped on the way is then dropped at once, and not by whoever attaches next.
    fn resume(&mut self, py: Python<'_>, input: Input<'_>) -> PyResult<Sent> {
        Python::attach(|_| Self::resume(self, py, input))
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_class::<Coroutine>(module)?;
    add_class::<Replay>(module)
}
