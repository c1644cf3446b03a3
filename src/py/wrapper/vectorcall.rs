//! The way in to a decorated function, and the class's registration.

use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::{Wrapper, set_default_core};

/// The way in: no tuple, no dict.
pub(super) unsafe extern "C" fn vectorcall(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: by the vectorcall protocol the interpreter calls this attached, with a live object of this class, as many
    // live arguments as it says, and a tuple of as many names as there are keyword arguments, or null; all outlive the
    // call. A `Borrowed` has the layout of a pointer. Measured reason: PyO3's own `__call__` makes a tuple and a dict,
    // 300 ns before any work.
    let (py, wrapper, arguments, positional, keywords) = unsafe {
        let py = Python::assume_attached();
        let wrapper = Bound::from_borrowed_ptr(py, slf).cast_into_unchecked::<Wrapper>();
        let keywords = Bound::from_borrowed_ptr_or_opt(py, kwnames).map(|names| names.cast_into_unchecked::<PyTuple>());
        let positional = ffi::PyVectorcall_NARGS(nargsf).cast_unsigned();
        let count = positional + keywords.as_ref().map_or(0, |names| names.as_any().len().unwrap_or(0));
        let arguments: &[Borrowed<'_, '_, PyAny>] =
            if count == 0 { &[] } else { std::slice::from_raw_parts(args.cast(), count) };
        (py, wrapper, arguments, positional, keywords)
    };
    let called = catch_unwind(AssertUnwindSafe(|| wrapper.get().call(py, arguments, positional, keywords.as_ref())));
    match called {
        Ok(Ok(value)) => value.into_ptr(),
        Ok(Err(error)) => {
            error.restore(py);
            ptr::null_mut()
        }
        Err(_) => {
            PyRuntimeError::new_err("idempotency_manager panicked; this is a defect").restore(py);
            ptr::null_mut()
        }
    }
}

pub(in crate::py) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Wrapper>()?;
    module.add_function(wrap_pyfunction!(set_default_core, module)?)?;
    let py = module.py();
    let class = py.get_type::<Wrapper>();
    let offset = vectorcall_offset(py)?;
    // SAFETY: the class is a heap type of this module, just made, with no subclass and no live instance, and `offset` is
    // where each instance holds its vectorcall function. It binds to instances as functions do. Measured reason: see
    // `vectorcall`.
    unsafe {
        let class = class.as_type_ptr();
        (*class).tp_vectorcall_offset = offset;
        (*class).tp_call = Some(ffi::PyVectorcall_Call);
        (*class).tp_flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
        ffi::PyType_Modified(class);
    }
    Ok(())
}

/// How far from an instance's start its `vectorcall` is: PyO3 keeps the layout to itself, so an instance is asked.
fn vectorcall_offset(py: Python<'_>) -> PyResult<isize> {
    let bind = py.None();
    let options = PyDict::new(py).unbind();
    let nothing = || String::from("-");
    let probe = Wrapper::new(py.None(), false, nothing(), nothing(), None, vec![], None, bind, None, options, false)?;
    let probe = Bound::new(py, probe)?;
    let start = probe.as_ptr() as isize;
    let contents = ptr::from_ref(probe.get()) as isize;
    let within = isize::try_from(offset_of!(Wrapper, vectorcall))
        .map_err(|_| PyTypeError::new_err("the wrapper's layout is not as expected"))?;
    Ok(contents - start + within)
}
