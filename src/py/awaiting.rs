//! What a coroutine awaits: another awaitable, resumed as the interpreter would, or a store's answer.

use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::exceptions::PyStopIteration;
use pyo3::ffi;
use pyo3::prelude::*;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::bell::Bell;
use super::call::Arrived;
use super::runtime;
use crate::store::BoxFuture;

pub(super) enum Sent {
    Yield(Py<PyAny>),
    Return(Py<PyAny>),
}

pub(super) enum Input<'py> {
    Send(Bound<'py, PyAny>),
    Throw(PyErr),
}

pub(super) enum Awaited {
    Value(Py<PyAny>),
    Iterator(Py<PyAny>),
}

/// What `await` would iterate over; a value that can't be awaited is itself.
pub(super) fn iterator_of(py: Python<'_>, value: Py<PyAny>) -> PyResult<Awaited> {
    let object = value.bind(py);
    // SAFETY: a type check of a live object. Measured reason: every first call of a coroutine function makes it, and
    // a coroutine needs no wrapper to be sent to.
    if unsafe { ffi::PyCoro_CheckExact(object.as_ptr()) } != 0 {
        return Ok(Awaited::Iterator(value));
    }
    match object.getattr_opt(pyo3::intern!(py, "__await__"))? {
        Some(awaits) => awaits.call0().map(|iterator| Awaited::Iterator(iterator.unbind())),
        None => Ok(Awaited::Value(value)),
    }
}

pub(super) fn pass(py: Python<'_>, iterator: &Py<PyAny>, input: Input<'_>) -> PyResult<Sent> {
    match input {
        Input::Send(value) => {
            let mut result = ptr::null_mut();
            // SAFETY: both objects are alive, and `result` is a new reference unless it is an error. Measured reason: it
            // is the interpreter's own way to resume a coroutine without making a StopIteration.
            let sent = unsafe { ffi::PyIter_Send(iterator.as_ptr(), value.as_ptr(), &raw mut result) };
            // SAFETY: as above.
            let result = unsafe { Bound::from_owned_ptr_or_opt(py, result) };
            match (sent, result) {
                (ffi::PySendResult::PYGEN_NEXT, Some(yielded)) => Ok(Sent::Yield(yielded.unbind())),
                (ffi::PySendResult::PYGEN_RETURN, Some(value)) => Ok(Sent::Return(value.unbind())),
                _ => Err(PyErr::fetch(py)),
            }
        }
        Input::Throw(error) => {
            let Some(throw) = iterator.bind(py).getattr_opt("throw")? else { return Err(error) };
            match throw.call1((error.into_value(py),)) {
                Ok(yielded) => Ok(Sent::Yield(yielded.unbind())),
                Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => {
                    stop.value(py).getattr("value").map(|value| Sent::Return(value.unbind()))
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// Waits for an answer without a runtime, for one that needs no timer; it will be in the slot. Whoever brings the answer
/// leaves it there, which saves a thread between the two.
pub(super) fn listen(future: BoxFuture<Arrived>) -> Arc<Slot> {
    let slot = Arc::new(Slot::new());
    let listening =
        Arc::new(Listening { future: Mutex::new(Some(future)), wakes: AtomicUsize::new(0), slot: Arc::clone(&slot) });
    *slot.waiting.lock() = Some(Waiting::Listening(Arc::downgrade(&listening)));
    listening.wake();
    slot
}

/// A future that is polled by who wakes it.
struct Listening {
    future: Mutex<Option<BoxFuture<Arrived>>>,
    /// Calls since the last time that it was polled: who makes the first polls it, until there are no more.
    wakes: AtomicUsize,
    slot: Arc<Slot>,
}

impl Wake for Listening {
    fn wake(self: Arc<Self>) {
        if self.wakes.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let waker = Waker::from(Arc::clone(&self));
        let mut seen = 1;
        loop {
            self.poll(&waker);
            match self.wakes.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(more) => seen = more,
            }
        }
    }
}

impl Listening {
    fn poll(&self, waker: &Waker) {
        let mut kept = self.future.lock();
        let Some(future) = kept.as_mut() else { return };
        // What it is polled in may have had its share of a runtime.
        let mut future = tokio::task::unconstrained(future.as_mut());
        if let Poll::Ready(arrived) = Pin::new(&mut future).poll(&mut Context::from_waker(waker)) {
            let over = kept.take();
            drop(kept);
            self.slot.fill(arrived);
            drop(over);
        }
    }
}

/// Waits for an answer in the runtime; it will be in the slot.
pub(super) fn wait(future: BoxFuture<Arrived>, deadline: Option<Instant>) -> Arc<Slot> {
    let slot = Arc::new(Slot::new());
    let answer = Arc::clone(&slot);
    let waiting = runtime::spawn(async move {
        answer.fill(match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), future).await.unwrap_or(Arrived::Elapsed),
            None => future.await,
        });
    });
    *slot.waiting.lock() = Some(Waiting::Task(waiting));
    slot
}

#[derive(Default)]
struct Inner {
    arrived: Option<Arrived>,
    /// What the coroutine awaits meanwhile.
    awaited: Option<(Arc<Bell>, Py<PyAny>)>,
}

/// Who waits for an answer.
enum Waiting {
    Task(JoinHandle<()>),
    Listening(Weak<Listening>),
}

/// Where a store's answer is left for the coroutine.
pub(super) struct Slot {
    inner: Mutex<Inner>,
    here: Notify,
    waiting: Mutex<Option<Waiting>>,
}

impl Slot {
    fn new() -> Self {
        Self { inner: Mutex::default(), here: Notify::new(), waiting: Mutex::new(None) }
    }

    fn fill(&self, arrived: Arrived) {
        let awaited = {
            let mut inner = self.inner.lock();
            inner.arrived = Some(arrived);
            inner.awaited.take()
        };
        self.here.notify_one();
        if let Some((bell, future)) = awaited {
            bell.ring(future);
        }
    }

    /// The answer, if it is here.
    pub(super) fn take(&self) -> Option<Arrived> {
        self.inner.lock().arrived.take()
    }

    /// Something to iterate over until the answer is here.
    pub(super) fn iterator(self: &Arc<Self>, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let bell = Bell::here(py)?;
        let future = bell.future(py)?;
        let is_here = {
            let mut inner = self.inner.lock();
            let is_here = inner.arrived.is_some();
            let before = (!is_here).then(|| inner.awaited.replace((bell, future.clone().unbind())));
            drop(inner);
            drop(before);
            is_here
        };
        if is_here {
            future.call_method1(pyo3::intern!(py, "set_result"), (py.None(),))?;
        }
        future.call_method0(pyo3::intern!(py, "__await__")).map(Bound::unbind)
    }

    /// The answer, for who waits in the runtime.
    pub(super) async fn answer(&self) -> Arrived {
        loop {
            if let Some(arrived) = self.take() {
                return arrived;
            }
            self.here.notified().await;
        }
    }

    /// Nobody waits for the answer any more.
    pub(super) fn abandon(&self) {
        let waiting = self.waiting.lock().take();
        match waiting {
            Some(Waiting::Task(task)) => task.abort(),
            Some(Waiting::Listening(listening)) => {
                let given_up = listening.upgrade().and_then(|listening| listening.future.lock().take());
                drop(given_up);
            }
            None => {}
        }
    }
}
