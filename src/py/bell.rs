//! How an asyncio task learns that a store's answer is here.
//!
//! Answers come from other threads, many at a time where many share a commit or a round trip. An event loop is rung once for
//! all that have come, by a pipe that it reads: so who rings it needs no interpreter, and waits for none.

use std::cell::RefCell;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
#[cfg(unix)]
use std::os::fd::AsRawFd;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::{PyNotImplementedError, PyOSError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::once::Once;

/// Loops of a thread whose bells are kept: more than are ever run in turn.
const KEPT: usize = 4;

/// An event loop's bell.
pub(super) struct Bell {
    event_loop: Py<PyAny>,
    line: Arc<Line>,
}

/// What leads to the loop. It does not hold the loop, which holds it.
struct Line {
    waiting: Mutex<Vec<Py<PyAny>>>,
    /// `None` where the loop can't read one.
    pipe: Option<(PipeReader, PipeWriter)>,
}

thread_local! {
    /// The bells of the loops that this thread ran last, the newest at the end.
    static LAST: RefCell<Vec<Arc<Bell>>> = const { RefCell::new(Vec::new()) };
}

/// Calls the futures of a bell that were rung for.
#[pyclass(frozen, module = "idempotency_manager._core")]
struct Ringing(Arc<Line>);

#[pymethods]
impl Ringing {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        if let Some((reader, _)) = &self.0.pipe {
            // The loop has said that it is there; at most one ever is.
            (&*reader).read_exact(&mut [0])?;
        }
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

impl Line {
    /// A line to this loop, by a pipe if it can read one.
    fn to(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        // Without a descriptor to spare, it is called in the dearer way.
        if let Ok(pipe) = pipe() {
            let line = Arc::new(Self { waiting: Mutex::default(), pipe: Some(pipe) });
            if line.is_read_by(event_loop)? {
                return Ok(line);
            }
        }
        Ok(Arc::new(Self { waiting: Mutex::default(), pipe: None }))
    }

    #[cfg(unix)]
    fn is_read_by(self: &Arc<Self>, event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = event_loop.py();
        let Some((reader, _)) = &self.pipe else { return Ok(false) };
        let ringing = Py::new(py, Ringing(Arc::clone(self)))?;
        match event_loop.call_method1(pyo3::intern!(py, "add_reader"), (reader.as_raw_fd(), ringing)) {
            Ok(_) => Ok(true),
            Err(error)
                if error.is_instance_of::<PyNotImplementedError>(py) || error.is_instance_of::<PyOSError>(py) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    #[cfg(not(unix))]
    fn is_read_by(self: &Arc<Self>, _event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(false)
    }
}

impl Bell {
    /// The bell of the running loop.
    pub(super) fn here(py: Python<'_>) -> PyResult<Arc<Self>> {
        static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let running =
            RUNNING_LOOP.made(py, || Ok(py.import("asyncio")?.getattr("get_running_loop")?.unbind()))?.call0(py)?;
        let known = LAST.with_borrow(|last| last.iter().rev().find(|bell| bell.event_loop.is(&running)).cloned());
        if let Some(bell) = known {
            return Ok(bell);
        }
        let bell = Arc::new(Self { line: Line::to(running.bind(py))?, event_loop: running });
        // Dropped when nothing is borrowed any more: that may run Python.
        let before = LAST.take();
        let is_open = |bell: &Arc<Self>| {
            let closed = bell.event_loop.call_method0(py, pyo3::intern!(py, "is_closed"));
            closed.and_then(|closed| closed.is_truthy(py)).is_ok_and(|closed| !closed)
        };
        let open = before.iter().filter(|bell| is_open(bell)).cloned();
        let mut kept: Vec<_> = open.chain([Arc::clone(&bell)]).collect();
        let gone = kept.drain(..kept.len().saturating_sub(KEPT)).collect::<Vec<_>>();
        let meanwhile = LAST.replace(kept);
        drop((before, gone, meanwhile));
        Ok(bell)
    }

    /// A future of the loop.
    pub(super) fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop.bind(py).call_method0(pyo3::intern!(py, "create_future"))
    }

    /// Ends a future, from any thread.
    pub(super) fn ring(&self, future: Py<PyAny>) {
        let is_first = {
            let mut waiting = self.line.waiting.lock();
            waiting.push(future);
            waiting.len() == 1
        };
        if !is_first {
            return;
        }
        if let Some((_, writer)) = &self.line.pipe {
            // One byte has its place in a pipe that is empty. The reader is there as long as this is.
            _ = (&*writer).write_all(&[0]);
            return;
        }
        // An interpreter that is gone, or a loop that is closed, has nobody who waits.
        Python::try_attach(|py| {
            let rung = Py::new(py, Ringing(Arc::clone(&self.line))).and_then(|ringing| {
                self.event_loop.call_method1(py, pyo3::intern!(py, "call_soon_threadsafe"), (ringing,))
            });
            if rung.is_err() {
                drop(std::mem::take(&mut *self.line.waiting.lock()));
            }
        });
    }
}

/// In a forked child: a thread of the parent may have been ringing, and the pipes are the parent's.
pub(super) fn begin_anew() {
    std::mem::forget(LAST.take());
}
