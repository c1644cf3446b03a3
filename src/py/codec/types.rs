//! Classes of modules that may never be imported. A value of such a class proves that its module is; nothing is
//! imported to find that a value is of none of them.

use crate::py::once::ImportOnce;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// A class of the standard library, named by its module.
pub(super) struct Foreign {
    module: &'static str,
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

pub(super) static DECIMAL: Foreign = Foreign::new("decimal", "Decimal");
pub(super) static UUID: Foreign = Foreign::new("uuid", "UUID");
pub(super) static ZONE_INFO: Foreign = Foreign::new("zoneinfo", "ZoneInfo");
pub(super) static TIMEZONE: Foreign = Foreign::new("datetime", "timezone");

impl Foreign {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, class: PyOnceLock::new() }
    }

    /// The class, imported if need be.
    pub(super) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyType>> {
        self.class.imported(py, self.module, self.name)
    }

    /// Whether `value` is of this very class.
    pub(super) fn is_class_of(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = value.py();
        let class = match self.class.get(py) {
            Some(class) => class.bind(py),
            None if self.is_loaded(py)? => self.get(py)?,
            None => return Ok(false),
        };
        Ok(value.get_type().is(class))
    }

    fn is_loaded(&self, py: Python<'_>) -> PyResult<bool> {
        PyModule::import(py, "sys")?.getattr("modules")?.contains(self.module)
    }
}
