//! Why a value has no canonical form, and where it stands.

use std::fmt::Write as _;

use crate::py::once::ImportOnce;
use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// A value without a canonical form. Its path is built from the inside out, by each container on the way back.
pub(crate) struct Refusal(Box<Details>);

struct Details {
    reason: Reason,
    /// The segments of the path, the innermost first.
    path: Vec<String>,
}

enum Reason {
    /// What the value is and what to do instead, as the predicate of a sentence about it.
    Unsupported(String),
    /// What the value's own code raised when it was read.
    Raised(PyErr),
}

impl Refusal {
    /// A refusal whose message is the path, a space and `predicate`: "is a socket, which …: pass …".
    pub(crate) fn new(predicate: impl Into<String>) -> Self {
        Self(Box::new(Details { reason: Reason::Unsupported(predicate.into()), path: Vec::new() }))
    }

    /// Says that the value is the member or field of this name.
    pub(crate) fn in_name(mut self, name: &str) -> Self {
        let plain = name.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
            && name.chars().next().is_some_and(|first| !first.is_ascii_digit());
        self.0.path.push(if plain { format!(".{name}") } else { format!("[{name:?}]") });
        self
    }

    /// Says that the value is the item at this index.
    pub(crate) fn in_item(mut self, index: usize) -> Self {
        self.0.path.push(format!("[{index}]"));
        self
    }

    /// Says that the value stands in this place, which is neither a name nor an index.
    pub(crate) fn in_place(mut self, place: impl Into<String>) -> Self {
        self.0.path.push(place.into());
        self
    }

    /// The `UnsupportedParamError` to raise; `root` is what the outermost value is called ("params"). What is no
    /// ordinary exception, such as a `KeyboardInterrupt` while the value was read, stays what it is.
    pub(crate) fn into_pyerr(self, py: Python<'_>, root: &str) -> PyErr {
        let Details { reason, path } = *self.0;
        let mut full = root.to_owned();
        full.extend(path.iter().rev().map(String::as_str));
        match reason {
            Reason::Unsupported(predicate) => unsupported(py, &format!("{full} {predicate}"), &full),
            Reason::Raised(error) => {
                if !error.is_instance_of::<PyException>(py) || error.is_instance_of::<PyMemoryError>(py) {
                    return error;
                }
                let mut message = format!("{full} could not be read");
                let _ = write!(message, ": {error}");
                let refused = unsupported(py, &message, &full);
                refused.set_cause(py, Some(error));
                refused
            }
        }
    }
}

impl From<PyErr> for Refusal {
    fn from(error: PyErr) -> Self {
        Self(Box::new(Details { reason: Reason::Raised(error), path: Vec::new() }))
    }
}

fn unsupported(py: Python<'_>, message: &str, path: &str) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS
        .imported(py, "idempotency_manager.exceptions", "UnsupportedParamError")
        .and_then(|class| class.call1((message, path)))
        .map_or_else(|failure| failure, PyErr::from_value)
}
