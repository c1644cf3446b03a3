//! The one place where the core's errors become Python's.

use pyo3::IntoPyObjectExt;
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

use crate::core::error::StoreError;

/// An exception of `idempotency_manager.exceptions`, made of its constructor's arguments.
pub(super) fn exception<'py>(py: Python<'py>, class: &str, args: impl PyCallArgs<'py>) -> PyErr {
    py.import("idempotency_manager.exceptions")
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call1(args))
        .map_or_else(|error| error, PyErr::from_value)
}

/// `InvalidActionError` with this text.
pub(super) fn invalid_action(py: Python<'_>, text: impl Into<String>) -> PyErr {
    exception(py, "InvalidActionError", (text.into(),))
}

/// `ConfigurationError` with this text.
pub(super) fn configuration(py: Python<'_>, text: impl Into<String>) -> PyErr {
    exception(py, "ConfigurationError", (text.into(),))
}

/// What a store's failure raises.
pub(super) fn of_store(py: Python<'_>, error: &StoreError) -> PyErr {
    let text = error.to_string();
    match error {
        StoreError::Unavailable(_) => exception(py, "StoreUnavailableError", (text,)),
        StoreError::Failed(_) => exception(py, "StoreError", (text,)),
        StoreError::NotInDoubt { key, state } => exception(py, "NotInDoubtError", (key, *state)),
        StoreError::Full { .. } => exception(py, "CacheFullError", (text,)),
    }
}

/// `module.qualname` of an exception's class, and its text, for a record.
pub(super) fn describe(py: Python<'_>, error: &PyErr) -> (Box<str>, Box<str>) {
    let class = error.get_type(py);
    let name = class.fully_qualified_name().map_or_else(|_| String::from("unknown"), |name| name.to_string());
    let text = error.value(py).str().and_then(|text| text.extract::<String>()).unwrap_or_default();
    (name.into(), text.into())
}

/// A Python object of anything that converts, without its type.
pub(super) fn any<'py>(py: Python<'py>, value: impl IntoPyObjectExt<'py>) -> PyResult<Py<PyAny>> {
    value.into_py_any(py)
}
