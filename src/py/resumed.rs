//! How the interpreter resumes this package's coroutines, and the one whose value is at hand.

use std::ptr;

use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::{PyClass, pyclass::boolean_struct::False};

use super::awaiting::{Input, Sent};

pub(super) fn reused() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

/// A coroutine whose value was at hand when the call was made.
#[pyclass(name = "idempotent_replay", module = "idempotency_manager._core", freelist = 64)]
pub(super) struct Replay(pub(super) Option<Py<PyAny>>);

impl Resumed for Replay {
    #[inline]
    fn resume(&mut self, _py: Python<'_>, input: Input<'_>) -> PyResult<Sent> {
        match (self.0.take(), input) {
            (Some(value), Input::Send(_)) => Ok(Sent::Return(value)),
            (None, Input::Send(_)) => Err(reused()),
            (_, Input::Throw(error)) => Err(error),
        }
    }
}

#[pymethods]
impl Replay {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        resume(self, py, Input::Send(py.None().into_bound(py)))
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

    /// Ends the coroutine: there is nothing to end.
    fn close(&mut self) {
        self.0 = None;
    }
}

/// What the interpreter resumes.
pub(super) trait Resumed {
    fn resume(&mut self, py: Python<'_>, input: Input<'_>) -> PyResult<Sent>;
}

/// Resumes for a caller that takes the end as a `StopIteration`.
pub(super) fn resume(coroutine: &mut impl Resumed, py: Python<'_>, input: Input<'_>) -> PyResult<Py<PyAny>> {
    match coroutine.resume(py, input)? {
        Sent::Yield(yielded) => Ok(yielded),
        Sent::Return(value) => Err(PyStopIteration::new_err((value,))),
    }
}

/// The exception that `throw` is given, in any of its forms.
pub(super) fn thrown(typ: Bound<'_, PyAny>, val: Option<Bound<'_, PyAny>>) -> PyResult<PyErr> {
    let error = match val {
        Some(value) if !value.is_none() => {
            if value.is_instance(&typ)? {
                value
            } else {
                typ.call1((value,))?
            }
        }
        _ if typ.is_instance_of::<pyo3::types::PyType>() => typ.call0()?,
        _ => typ,
    };
    Ok(PyErr::from_value(error))
}

/// The slot through which the interpreter resumes a coroutine without making a `StopIteration`.
unsafe extern "C" fn am_send<T: Resumed + PyClass<Frozen = False>>(
    slf: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: the interpreter calls a slot attached, with a live object of the type that has the slot, a live value,
    // and a place for the result. Measured reason: it halves the cost of an awaited replay.
    let (sent, py) = unsafe {
        let py = Python::assume_attached();
        let coroutine = Bound::from_borrowed_ptr(py, slf);
        let value = Bound::from_borrowed_ptr(py, value);
        let sent = coroutine
            .cast_unchecked::<T>()
            .try_borrow_mut()
            .map_err(|_| PyValueError::new_err("coroutine already executing"))
            .and_then(|mut coroutine| coroutine.resume(py, Input::Send(value)));
        (sent, py)
    };
    let (kind, object) = match sent {
        Ok(Sent::Yield(yielded)) => (ffi::PySendResult::PYGEN_NEXT, yielded.into_ptr()),
        Ok(Sent::Return(value)) => (ffi::PySendResult::PYGEN_RETURN, value.into_ptr()),
        Err(error) => {
            error.restore(py);
            (ffi::PySendResult::PYGEN_ERROR, ptr::null_mut())
        }
    };
    // SAFETY: as above.
    unsafe { *result = object };
    kind
}

/// The slot by which `await` asks for what it iterates over: the coroutine itself.
unsafe extern "C" fn am_await(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls a slot attached, with a live object, and owns what it gets. Measured reason: PyO3's
    // own `__await__` attaches first, a tenth of an awaited replay.
    unsafe { ffi::Py_NewRef(slf) }
}

/// `_Py_TPFLAGS_HAVE_AM_SEND` of CPython's object.h.
const HAVE_AM_SEND: std::ffi::c_ulong = 1 << 21;

pub(super) fn add_class<T: Resumed + PyClass<Frozen = False>>(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<T>()?;
    let class = module.py().get_type::<T>();
    // SAFETY: the class is a heap type of this module, just made, with no instance and no subclass yet; it defines
    // `__await__`, so it has a table of asynchronous slots. Measured reason: see `am_send`.
    unsafe {
        let class = class.as_type_ptr();
        if let Some(slots) = (*class).tp_as_async.as_mut() {
            slots.am_await = Some(am_await);
            slots.am_send = Some(am_send::<T>);
            (*class).tp_flags |= HAVE_AM_SEND;
            ffi::PyType_Modified(class);
        }
    }
    Ok(())
}
