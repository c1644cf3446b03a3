//! How an asyncio task learns that a store's answer is here.
//!
//! Answers come from other threads, many at a time where many writes share a commit. An event loop is rung once for all
//! that have come, so that a thread waits for the interpreter, and the loop for its wake-up call, once.

use std::cell::RefCell;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::once::Once;

/// An event loop's bell.
pub(super) struct Bell {
    event_loop: Py<PyAny>,
    waiting: Mutex<Vec<Py<PyAny>>>,
}

thread_local! {
    /// The bell of the loop that this thread ran last.
    static LAST: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
}

/// Calls the futures of a bell that were rung for.
#[pyclass(frozen, module = "idempotency_manager._core")]
struct Ringing(Arc<Bell>);

#[pymethods]
impl Ringing {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let rung = std::mem::take(&mut *self.0.waiting.lock());
        for future in rung {
            let future = future.bind(py);
            if !future.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
                future.call_method1(pyo3::intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }
}

impl Bell {
    /// The bell of the running loop.
    pub(super) fn here(py: Python<'_>) -> PyResult<Arc<Self>> {
        static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let running =
            RUNNING_LOOP.made(py, || Ok(py.import("asyncio")?.getattr("get_running_loop")?.unbind()))?.call0(py)?;
        let last = LAST.with_borrow(|last| last.as_ref().filter(|bell| bell.event_loop.is(&running)).map(Arc::clone));
        if let Some(bell) = last {
            return Ok(bell);
        }
        let bell = Arc::new(Self { event_loop: running, waiting: Mutex::default() });
        let before = LAST.with_borrow_mut(|last| last.replace(Arc::clone(&bell)));
        drop(before);
        Ok(bell)
    }

    /// A future of the loop.
    pub(super) fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop.bind(py).call_method0(pyo3::intern!(py, "create_future"))
    }

    /// Ends a future, from any thread.
    pub(super) fn ring(self: &Arc<Self>, future: Py<PyAny>) {
        let is_first = {
            let mut waiting = self.waiting.lock();
            waiting.push(future);
            waiting.len() == 1
        };
        if !is_first {
            return;
        }
        // An interpreter that is gone, or a loop that is closed, has nobody who waits.
        Python::try_attach(|py| {
            let rung = Py::new(py, Ringing(Arc::clone(self))).and_then(|ringing| {
                self.event_loop.call_method1(py, pyo3::intern!(py, "call_soon_threadsafe"), (ringing,))
            });
            if rung.is_err() {
                drop(std::mem::take(&mut *self.waiting.lock()));
            }
        });
    }
}

/// In a forked child: a thread of the parent may have been ringing.
pub(super) fn begin_anew() {
    std::mem::forget(LAST.take());
}
