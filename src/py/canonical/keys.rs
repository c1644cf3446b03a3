//! The calls that make keys and take them apart.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::py::once::ImportOnce;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple, PyType};

use super::action::{ActionFields, Given, action_error, invalid_action};
use super::stand_ins::type_name;
use crate::core::action::parse_key;
use crate::core::error::ActionError;

/// Take a key apart that `generate_idempotency_key` made.
///
/// Args:
///     key: The key.
///
/// Returns:
///     A `ParsedKey`, whose parts are as they were before they were encoded.
///
/// Raises:
///     InvalidKeyError: The text is no key.
#[pyfunction]
#[pyo3(signature = (key, /))]
pub(super) fn parse_idempotency_key<'py>(key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = key.py();
    let invalid = |shown: String, problem| action_error(py, &ActionError::InvalidKey { key: shown, problem });
    let text = key.cast::<PyString>().map_err(|_| invalid(type_name(key), "it is not a str"))?;
    let text = text.to_str().map_err(|_| invalid(text.to_string_lossy().into_owned(), "it holds a lone surrogate"))?;
    let parsed = parse_key(text).map_err(|error| action_error(py, &error))?;
    let class = CLASS.imported(py, "idempotency_manager._action", "ParsedKey")?;
    class.call1((&*parsed.signal_id, &*parsed.action_type, &*parsed.target, parsed.params_hash))
}

const DOC: &CStr = c"generate_idempotency_key(action=None, /, **fields)
--

Give an action's key, `signal_id:action:target:params_hash`.

Args:
    action: An Action, or a mapping with its fields.
    **fields: Or the fields by keyword.

Raises:
    InvalidActionError: A field is missing, empty, unknown or not text.
    UnsupportedParamError: A param has no canonical form.
";

/// `generate_idempotency_key` as a Python object.
///
/// Declared by hand: a function with `**fields` that pyo3 makes gets its keywords in a new dict, which alone takes as
/// long as hashing small params does; one with fixed keywords could not answer a wrong one with `InvalidActionError`.
pub(super) fn generate_function(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    struct Definition(ffi::PyMethodDef);
    // SAFETY: the pointers in it are to constants, and the interpreter only reads it.
    unsafe impl Sync for Definition {}
    static DEFINITION: Definition = Definition(ffi::PyMethodDef {
        ml_name: c"generate_idempotency_key".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: generate },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: DOC.as_ptr(),
    });
    let module = PyString::intern(py, "idempotency_manager._core");
    // SAFETY: the definition is static and matches its flags; the call gives a new reference or sets an error.
    unsafe {
        let definition = (&raw const DEFINITION.0).cast_mut();
        Bound::from_owned_ptr_or_err(py, ffi::PyCFunction_NewEx(definition, ptr::null_mut(), module.as_ptr()))
    }
}

/// # Safety
/// Called by the interpreter only, as its fast calling convention says.
unsafe extern "C" fn generate(
    _module: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls only from a thread that is attached. (`Python::attach` finds that out at a cost of a
    // tenth of the call.)
    let py = unsafe { Python::assume_attached() };
    let made = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the arguments are as the convention says.
        let fields = unsafe { read(py, arguments, positional.cast_unsigned(), names) }?;
        Ok(fields.key()?.into_ptr())
    }));
    made.unwrap_or_else(|_| Err(PyRuntimeError::new_err("generate_idempotency_key panicked: this is a bug in it")))
        .unwrap_or_else(|error| {
            // Attached as pyo3 counts it, or what the error drops would wait for the next call that is.
            Python::attach(|py| error.restore(py));
            ptr::null_mut()
        })
}

/// # Safety
/// `arguments` points to `positional` objects and one for each of the `names`, a tuple or null; all live during the call.
unsafe fn read(
    py: Python<'_>,
    arguments: *const *mut ffi::PyObject,
    positional: usize,
    names: *mut ffi::PyObject,
) -> PyResult<ActionFields<'_>> {
    // SAFETY: null or a tuple, says the convention.
    let keywords = unsafe { Bound::from_borrowed_ptr_or_opt(py, names) };
    let keywords = keywords.as_ref().map(Bound::cast::<PyTuple>).transpose()?;
    let keyword_count = keywords.map_or(0, PyTupleMethods::len);
    let argument = |index: usize| {
        debug_assert!(index < positional + keyword_count, "an argument that was not passed");
        // SAFETY: there are that many arguments, each a live object.
        unsafe { Bound::from_borrowed_ptr(py, *arguments.add(index)) }
    };
    let action = (positional > 0).then(|| argument(0)).filter(|action| !action.is_none());
    match action {
        _ if positional > 1 => {
            Err(invalid_action(py, "give one action, or its fields by keyword: signal_id=..., action=..."))
        }
        Some(_) if keyword_count > 0 => Err(invalid_action(py, "give an action or its fields by keyword, not both")),
        Some(action) => ActionFields::extract(&action),
        None => {
            let mut given = Given::default();
            for (index, name) in keywords.into_iter().flatten().enumerate() {
                given.set(&name, argument(positional + index))?;
            }
            given.finish(py)
        }
    }
}
