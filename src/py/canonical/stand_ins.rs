//! Values that another value stands for, values read through an interface, and the words for those that are refused.

use crate::py::once::ImportOnce;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDate, PyDelta, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyType};

use super::refusal::Refusal;
use super::thorough::{Pair, pairs};

/// The value that stands for this one: a member of an Enum for its value, a path for its text, a numpy scalar for its
/// Python value; `None` for a value that stands for itself.
pub(super) fn find<'py>(value: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>, Refusal> {
    static ENUM: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static PATH: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = value.py();
    if stands_for_itself(value) {
        return Ok(None);
    }
    if value.is_instance(ENUM.imported(py, "enum", "Enum")?)? {
        return Ok(Some(value.getattr(intern!(py, "value"))?));
    }
    if let Some(scalar) = numpy_scalar(value)? {
        return Ok(Some(scalar));
    }
    let path = value.get_type().hasattr(intern!(py, "__fspath__"))? && !value.is_instance_of::<PyType>();
    if path && value.is_instance(PATH.imported(py, "os", "PathLike")?)? {
        return Ok(Some(py.import(intern!(py, "os"))?.call_method1(intern!(py, "fspath"), (value,))?));
    }
    Ok(None)
}

/// The common cases, for speed.
fn stands_for_itself(value: &Bound<'_, PyAny>) -> bool {
    value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyDict>()
        || value.is_exact_instance_of::<PyList>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_none()
}

fn numpy_scalar<'py>(value: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>, Refusal> {
    let py = value.py();
    let modules = py.import(intern!(py, "sys"))?.getattr(intern!(py, "modules"))?;
    let modules = modules.cast::<PyDict>().map_err(PyErr::from)?;
    let Some(numpy) = modules.get_item(intern!(py, "numpy"))? else { return Ok(None) };
    let Some(generic) = numpy.getattr_opt(intern!(py, "generic"))? else { return Ok(None) };
    if !value.is_instance(&generic)? {
        return Ok(None);
    }
    let item = value.call_method0(intern!(py, "item"))?;
    let kind = value.get_type().name()?;
    let timed = item.is_instance_of::<PyDate>() || item.is_instance_of::<PyDelta>();
    if item.is_instance(&generic)? || (matches!(kind.to_str()?, "datetime64" | "timedelta64") && !timed) {
        let name = type_name(value);
        return Err(Refusal::new(format!(
            "is a {name} that Python has no exact value for: convert it to a type that has"
        )));
    }
    Ok(Some(item))
}

/// The value of a bool.
pub(super) fn truth(value: &Bound<'_, PyAny>) -> Option<bool> {
    value.cast::<PyBool>().ok().map(PyBoolMethods::is_true)
}

/// The elements of a set or frozenset.
pub(super) fn set_items<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    if !value.is_instance_of::<PySet>() && !value.is_instance_of::<PyFrozenSet>() {
        return Ok(None);
    }
    value.try_iter()?.collect::<PyResult<_>>().map(Some)
}

/// The pairs of a mapping that is no dict.
pub(super) fn mapping_items<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Pair<'py>>>> {
    static MAPPING: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = value.py();
    if !value.is_instance(MAPPING.imported(py, "collections.abc", "Mapping")?)? {
        return Ok(None);
    }
    let items: Vec<_> = value.call_method0(intern!(py, "items"))?.try_iter()?.collect::<PyResult<_>>()?;
    pairs(items.into_iter()).map(Some)
}

/// The refusal of a value of any other type.
pub(super) fn refuse(value: &Bound<'_, PyAny>) -> Refusal {
    let declares = |name: &str| value.get_type().hasattr(name).unwrap_or(false);
    let remedy = if declares("__await__") {
        "await it and pass what it gives"
    } else if declares("tolist") {
        "pass what its tolist() gives"
    } else if declares("__iter__") {
        "pass a list or a tuple of its items"
    } else if value.is_callable() {
        "pass what identifies it, such as its name"
    } else {
        "pass the id or the fields that identify it, or leave it out of the params"
    };
    Refusal::new(format!("is of type {}, which has no canonical form: {remedy}", type_name(value)))
}

/// The name of a value's type, with its module unless that is `builtins`.
pub(super) fn type_name(value: &Bound<'_, PyAny>) -> String {
    let class = value.get_type();
    class.fully_qualified_name().map_or_else(|_| "an unnamed class".to_owned(), |name| name.to_string())
}
