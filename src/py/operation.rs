//! A store's answer as Python gets it: one object that a synchronous caller waits for and an asynchronous one awaits,
//! so that no verb is written twice.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::coroutine::Coroutine;
use super::runtime::Answer;
use super::{drive, errors, runtime};
use crate::core::error::StoreError;
use crate::store::{BoxFuture, Errand, Queued, Recall, Reply};

enum State {
    Ready(PyResult<Py<PyAny>>),
    Pending(BoxFuture<Answer>, Option<Box<dyn Errand>>),
    Taken,
}

/// See the module.
#[pyclass(frozen, module = "idempotency_manager._core")]
pub(super) struct Operation {
    state: Mutex<State>,
    /// Calls back what a task awaits.
    recall: Mutex<Option<Arc<dyn Recall>>>,
}

impl Operation {
    /// An operation whose value `convert` makes of a store's answer.
    pub(super) fn new<T: Send + 'static>(
        py: Python<'_>,
        reply: Reply<T>,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        Self::of(py, reply, move |py, result| match result {
            Ok(value) => convert(py, value),
            Err(error) => Err(errors::of_store(py, &error)),
        })
    }

    /// The same of an answer that is an error too. In a task, `finish` is called by a thread of the runtime.
    pub(super) fn of<T: Send + 'static>(
        py: Python<'_>,
        reply: Reply<T>,
        finish: impl FnOnce(Python<'_>, Result<T, StoreError>) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        let state = Mutex::new(match reply {
            Reply::Ready(result) => State::Ready(finish(py, result)),
            Reply::Pending(future) => State::Pending(answered(runtime::verb(future), finish), None),
            Reply::Queued(Queued { answer, errand }) => State::Pending(answered(answer, finish), Some(errand)),
        });
        Self { state, recall: Mutex::default() }
    }

    fn take(&self) -> State {
        std::mem::replace(&mut *self.state.lock(), State::Taken)
    }
}

fn answered<T: Send + 'static>(
    future: BoxFuture<Result<T, StoreError>>,
    finish: impl FnOnce(Python<'_>, Result<T, StoreError>) -> PyResult<Py<PyAny>> + Send + 'static,
) -> BoxFuture<Answer> {
    Box::pin(async move {
        let result = future.await;
        Box::new(move |py: Python<'_>| finish(py, result)) as Answer
    })
}

#[pymethods]
impl Operation {
    /// The value, waited for in this thread.
    pub(super) fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.take() {
            State::Ready(result) => result,
            State::Pending(future, errand) => {
                if let Some(errand) = errand {
                    py.detach(|| errand.run());
                }
                runtime::wait_for(py, future)?(py)
            }
            State::Taken => Err(errors::configuration(py, "an operation can be waited for once")),
        }
    }

    /// The value, waited for whatever comes, unless what was asked for was given up before it began: an exception of a
    /// signal handler is raised when the answer is here.
    fn wait_out(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (mut future, errand) = match self.take() {
            State::Pending(future, errand) => (future, errand),
            other => {
                *self.state.lock() = other;
                return self.wait(py);
            }
        };
        let recall = errand.as_ref().and_then(|errand| errand.recall());
        if let Some(errand) = errand {
            py.detach(|| errand.run());
        }
        let mut interrupted = None;
        loop {
            let answer = runtime::block_on(py, &mut future, None, |error| {
                if recall.as_deref().is_some_and(|recall| drive::give_up(py, recall)) {
                    return Err(error);
                }
                interrupted.get_or_insert(error);
                Ok(())
            })?;
            if let Some(answer) = answer {
                let value = answer(py);
                return interrupted.map_or(value, Err);
            }
        }
    }

    /// Gives up what a task has begun to await, unless it has begun; answers whether it will not have happened.
    fn give_up(&self) -> bool {
        self.recall.lock().take().is_some_and(|recall| recall.give_up())
    }

    /// The value, awaited in the running asyncio task.
    fn __await__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.take() {
            State::Ready(result) => Coroutine::replay(py, result?),
            State::Pending(future, errand) => {
                if let Some(errand) = errand {
                    *self.recall.lock() = errand.recall();
                    errand.hand_over();
                }
                runtime::awaitable(py, future)?.call_method0(py, "__await__")
            }
            State::Taken => Err(errors::configuration(py, "an operation can be awaited once")),
        }
    }
}
