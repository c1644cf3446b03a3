//! Cells that are filled at first need, and never while they are locked: filling one runs Python, which may let other
//! threads run, and a child that is forked meanwhile would wait for ever for a thread that it has not got.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// See the module.
pub(super) trait Once<T> {
    /// The value, made now if it is not there; of two that are made at once, the first is kept.
    fn made<'a>(&'a self, py: Python<'_>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&'a T>;
}

impl<T> Once<T> for PyOnceLock<T> {
    fn made<'a>(&'a self, py: Python<'_>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&'a T> {
        if let Some(value) = self.get(py) {
            return Ok(value);
        }
        let value = make()?;
        Ok(self.get_or_init(py, || value))
    }
}

/// The same, for a class that is imported.
pub(super) trait ImportOnce {
    /// The class of this name in this module.
    fn imported<'py>(&self, py: Python<'py>, module: &str, name: &str) -> PyResult<&Bound<'py, PyType>>;
}

impl ImportOnce for PyOnceLock<Py<PyType>> {
    fn imported<'py>(&self, py: Python<'py>, module: &str, name: &str) -> PyResult<&Bound<'py, PyType>> {
        let class = self.made(py, || Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind()))?;
        Ok(class.bind(py))
    }
}
