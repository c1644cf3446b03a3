//! The calls of a batch: claimed together, dispatched in windows, executed each for itself. Python decides on the order;
//! what each call does is the call's own machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::call::{Arrived, Call, Step, is_interruption};
use super::coroutine::{Coroutine, Executor, Purpose};
use super::engine::{Active, Engine};
use super::operation::Operation;
use super::rules::SharedRules;
use super::{drive, errors, settle};
use crate::core::error::StoreError;
use crate::store::{Claimed, Held, Hold, Reply};

/// Where a call of a batch stands.
pub(super) enum Stage {
    /// Named, and nothing else.
    Made(Box<Call>),
    /// The store has been asked for the right to execute, or to release the latch.
    Asking(Box<Call>),
    /// It has answered.
    Claimed(Box<Call>, Result<Claimed, StoreError>),
    Dispatched(Box<Call>, Result<Held, StoreError>),
    /// Somebody else is at it.
    Busy(Box<Call>),
    /// It has the right to execute, unused.
    Granted(Box<Call>),
    /// It waits for the store.
    Going(Box<Call>, Step),
    Over(PyResult<Py<PyAny>>),
    /// Somebody is moving it on, or has its value.
    Taken,
}

impl Stage {
    /// Where a call stands that goes on with this.
    pub(super) fn of(call: Box<Call>, step: Step) -> Self {
        match step {
            Step::Granted => Self::Granted(call),
            Step::Return(value) => Self::Over(Ok(value)),
            Step::Raise(error) => Self::Over(Err(error)),
            Step::Ask(answer, errand) => {
                errand.hand_over();
                Self::Going(call, Step::Await(answer, None))
            }
            step => Self::Going(call, step),
        }
    }
}

/// A call of a batch.
#[pyclass(frozen, module = "idempotency_manager._core")]
pub(super) struct BatchedCall {
    /// The key.
    #[pyo3(get)]
    key: String,
    replayed: Arc<AtomicBool>,
    stage: Mutex<Stage>,
}

impl BatchedCall {
    pub(super) fn take(&self) -> Stage {
        std::mem::replace(&mut *self.stage.lock(), Stage::Taken)
    }

    pub(super) fn put(&self, stage: Stage) {
        let before = std::mem::replace(&mut *self.stage.lock(), stage);
        drop(before);
    }

    /// The hold whose latch is to be released, if the call is about to execute under one.
    fn ask_to_dispatch(&self) -> Option<Hold> {
        match self.take() {
            Stage::Granted(call) => {
                let hold = call.hold_to_dispatch();
                self.put(if hold.is_some() { Stage::Asking(call) } else { Stage::Granted(call) });
                hold
            }
            other => {
                self.put(other);
                None
            }
        }
    }

    fn answer(&self, answer: impl FnOnce(Box<Call>) -> Stage) {
        match self.take() {
            Stage::Asking(call) => self.put(answer(call)),
            other => self.put(other),
        }
    }

    /// Goes on with an answer, in the thread and the context of the caller.
    fn go_on(&self, py: Python<'_>) {
        let next = match self.take() {
            Stage::Claimed(mut call, Ok(Claimed::Busy(_))) if call.waits() => {
                call.put_off();
                Stage::Busy(call)
            }
            Stage::Claimed(mut call, answer) => {
                let step = call.resume(py, Arrived::Claimed(answer));
                Stage::of(call, step)
            }
            Stage::Dispatched(mut call, answer) => match call.not_dispatched(py, answer) {
                None => Stage::Granted(call),
                Some(step) => Stage::of(call, step),
            },
            other => other,
        };
        self.put(next);
    }

    fn wrong<T>(&self, py: Python<'_>, stage: Stage) -> PyResult<T> {
        self.put(stage);
        Err(errors::configuration(py, "a call of a batch can't go on so from where it stands"))
    }
}

#[pymethods]
impl BatchedCall {
    /// Whether it was answered from a record.
    #[getter]
    fn replayed(&self) -> bool {
        self.replayed.load(Ordering::Acquire)
    }

    /// Where it stands.
    #[getter]
    fn stage(&self) -> &'static str {
        match &*self.stage.lock() {
            Stage::Made(_) => "made",
            Stage::Asking(_) | Stage::Claimed(..) | Stage::Dispatched(..) => "asking",
            Stage::Busy(_) => "busy",
            Stage::Granted(_) => "granted",
            Stage::Going(..) => "going",
            Stage::Over(_) => "over",
            Stage::Taken => "taken",
        }
    }

    /// Executes in this thread and sends the end to the store without waiting for it; answers whether the batch goes on:
    /// it does not after what is to end its caller, such as Ctrl-C.
    fn send(&self, py: Python<'_>, executor: &Bound<'_, PyAny>) -> PyResult<bool> {
        let mut call = match self.take() {
            Stage::Granted(call) => call,
            other => return self.wrong(py, other),
        };
        let step = drive::run_to_wait(py, &mut call, Step::Granted, || executor.call0().map(Bound::unbind));
        let goes_on = match &step {
            Step::Raise(error) => !is_interruption(py, error),
            _ => !call.is_interrupted(py),
        };
        self.put(Stage::of(call, step));
        Ok(goes_on)
    }

    /// Runs it to its end in this thread, wherever it stands.
    fn run(&self, py: Python<'_>, executor: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let (mut call, step) = match self.take() {
            Stage::Over(result) => return result,
            Stage::Made(mut call) | Stage::Busy(mut call) => {
                let step = call.begin(py);
                (call, step)
            }
            Stage::Granted(call) => (call, Step::Granted),
            Stage::Going(call, step) => (call, step),
            other => return self.wrong(py, other),
        };
        drive::run(py, &mut call, step, || executor.call0().map(Bound::unbind))
    }

    /// The coroutine that runs it to its end.
    fn coroutine(&self, py: Python<'_>, executor: Py<PyAny>) -> PyResult<Coroutine> {
        let (call, step) = match self.take() {
            Stage::Made(call) | Stage::Busy(call) => (call, None),
            Stage::Granted(call) => (call, Some(Step::Granted)),
            Stage::Going(call, step) => (call, Some(step)),
            other => return self.wrong(py, other),
        };
        let executor = Executor { callable: executor, args: None, kwargs: None };
        Ok(Coroutine::new(*call, step, Purpose::Execute(executor), None))
    }

    /// Gives the right to execute back, if it has it and has not used it.
    fn release(&self, py: Python<'_>) {
        match self.take() {
            Stage::Granted(mut call) => {
                let step = call.give_back(py);
                self.put(Stage::of(call, step));
            }
            other => self.put(other),
        }
    }
}

/// What the calls of a batch have in common.
#[pyclass(frozen, module = "idempotency_manager._core")]
pub(super) struct Batch {
    engine: Arc<Engine>,
    active: Arc<Active>,
    rules: SharedRules,
}

type Calls = Vec<Py<BatchedCall>>;

impl Batch {
    pub(super) fn new(engine: Arc<Engine>, active: Arc<Active>, rules: SharedRules) -> Self {
        Self { engine, active, rules }
    }

    /// Whether claims are granted with a latch of the batch's own: a process that dies leaves what it has not dispatched as
    /// it was. What dies with the process needs none.
    fn has_own_latch(&self) -> bool {
        !self.rules.latch && !self.active.store.is_local()
    }

    fn call(&self, py: Python<'_>, action: &Bound<'_, PyAny>) -> PyResult<Py<BatchedCall>> {
        let replayed = Arc::new(AtomicBool::new(false));
        let call = Call::of_action(&self.engine, &self.active, &self.rules, action)?.in_batch(Arc::clone(&replayed));
        let key = String::from(&*call.key());
        Py::new(py, BatchedCall { key, replayed, stage: Mutex::new(Stage::Made(Box::new(call))) })
    }
}

/// Leaves each call its answer; an error is each one's.
fn deliver<T>(
    calls: &[Py<BatchedCall>],
    answers: Result<Vec<Result<T, StoreError>>, StoreError>,
    stage: fn(Box<Call>, Result<T, StoreError>) -> Stage,
) {
    let answers = answers.unwrap_or_else(|error| calls.iter().map(|_| Err(error.clone())).collect());
    for (call, answer) in calls.iter().zip(answers) {
        call.get().answer(|call| stage(call, answer));
    }
}

#[pymethods]
impl Batch {
    /// Names actions: a call for each, or the exception that says why it can't be.
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over what it reads")]
    fn name(&self, py: Python<'_>, actions: Vec<Bound<'_, PyAny>>) -> PyResult<Vec<Py<PyAny>>> {
        let name = |action| match self.call(py, action) {
            Ok(call) => Ok(call.into_any()),
            Err(error) if is_interruption(py, &error) => Err(error),
            Err(error) => Ok(error.into_value(py).into_any()),
        };
        actions.iter().map(name).collect()
    }

    /// Asks for the right to execute each of these; [`take`](Self::take) what was answered.
    fn claim(&self, py: Python<'_>, calls: Calls) -> Operation {
        let latch = self.rules.latch || self.has_own_latch();
        let taken: Vec<_> = calls.iter().map(|call| call.get().take()).collect();
        let requests: Vec<_> = taken
            .iter()
            .filter_map(|stage| match stage {
                Stage::Made(call) if !call.is_unnamed() => Some(call.request(latch)),
                _ => None,
            })
            .collect();
        let reply = self.active.store.claim_many(&requests);
        drop(requests);
        let mut asked = Vec::with_capacity(calls.len());
        for (call, stage) in calls.into_iter().zip(taken) {
            match stage {
                Stage::Made(mut made) if made.is_unnamed() => {
                    let step = made.begin(py);
                    call.get().put(Stage::of(made, step));
                }
                Stage::Made(made) => {
                    call.get().put(Stage::Asking(made));
                    asked.push(call);
                }
                other => call.get().put(other),
            }
        }
        Operation::of(py, reply, move |py, answers| {
            deliver(&asked, answers, Stage::Claimed);
            Ok(py.None())
        })
    }

    /// Has the store keep that these may be executed from here on; [`take`](Self::take) what was answered.
    fn dispatch(&self, py: Python<'_>, calls: Calls) -> Operation {
        if !self.has_own_latch() {
            return Operation::of(py, Reply::Ready(Ok(())), |py, _| Ok(py.None()));
        }
        let asked = calls.into_iter().filter_map(|call| {
            let hold = call.get().ask_to_dispatch()?;
            Some((call, hold))
        });
        let (calls, holds): (Calls, Vec<_>) = asked.unzip();
        let reply = self.active.store.dispatch_many(&holds);
        Operation::of(py, reply, move |py, answers| {
            deliver(&calls, answers.map(|held| held.into_iter().map(Ok).collect()), Stage::Dispatched);
            Ok(py.None())
        })
    }

    /// Goes on with what was answered, in this thread.
    #[expect(clippy::needless_pass_by_value, clippy::unused_self, reason = "PyO3 hands over what it reads")]
    fn take(&self, py: Python<'_>, calls: Calls) {
        for call in &calls {
            call.get().go_on(py);
        }
    }

    /// Waits in this thread for all of these that wait for the store. A signal handler's exception is raised at the end.
    #[expect(clippy::needless_pass_by_value, clippy::unused_self, reason = "PyO3 hands over what it reads")]
    fn settle(&self, py: Python<'_>, calls: Calls) -> PyResult<()> {
        settle::all(py, &calls)
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Batch>()?;
    module.add_class::<BatchedCall>()
}
