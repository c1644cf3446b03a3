//! An action's fields, from whichever form the caller gave them in.

use crate::py::once::ImportOnce;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};
use smallvec::SmallVec;

use super::stand_ins::{self, type_name};
use super::{encode_mapping, with_buffer};
use crate::core::action::compose_key;
use crate::core::canonical::fingerprint;
use crate::core::error::ActionError;
use crate::core::record::Fingerprint;

const FIELDS: [&str; 5] = ["signal_id", "action", "target", "params", "context"];
const REMEDIES: [&str; 3] = [
    "write signal_id=..., the id of the event that asks for the action",
    "write action=..., the type of the action, such as \"create_card\"",
    "write target=..., the platform it acts on, such as \"trello\"",
];

/// The fields of an action. The three names are text, but may still be empty.
pub(crate) struct ActionFields<'py> {
    /// The event that asks for the action.
    pub(crate) signal_id: Bound<'py, PyString>,
    /// The action's type.
    pub(crate) action: Bound<'py, PyString>,
    /// The platform it acts on.
    pub(crate) target: Bound<'py, PyString>,
    /// What it is done with; `None` stands for an empty mapping.
    pub(crate) params: Option<Bound<'py, PyAny>>,
    /// What is kept on the record beside it.
    pub(crate) context: Option<Bound<'py, PyAny>>,
}

impl<'py> ActionFields<'py> {
    /// Reads an `Action` or a mapping with its fields as keys; `InvalidActionError` where it is neither, or where a field
    /// is unknown, missing or not text.
    pub(crate) fn extract(action: &Bound<'py, PyAny>) -> PyResult<Self> {
        static ACTION: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let py = action.py();
        let mut given = Given::default();
        if let Ok(fields) = action.cast_exact::<PyDict>() {
            for (name, value) in fields.items().iter().map(|pair| pair.extract()).collect::<PyResult<Vec<_>>>()? {
                given.set(&name, value)?;
            }
        } else if action.is_instance(ACTION.imported(py, "idempotency_manager._action", "Action")?)? {
            for (slot, name) in given.0.iter_mut().zip(FIELDS) {
                *slot = Some(action.getattr(name)?);
            }
        } else if let Some(pairs) = stand_ins::mapping_items(action)? {
            for (name, value) in pairs {
                given.set(&name, value)?;
            }
        } else {
            let name = type_name(action);
            return Err(invalid_action(
                py,
                &format!("an action is an Action or a mapping of its fields, not of type {name}"),
            ));
        }
        given.finish(py)
    }

    /// The key and the full digest of the params. The digest is made either way; without `include_params` it is left
    /// out of the key.
    pub(crate) fn compose(&self, include_params: bool) -> PyResult<(String, Fingerprint)> {
        let digest = self.digest()?;
        let [signal_id, action, target] = self.labels()?;
        let key = compose_key(signal_id, action, target, include_params.then_some(&digest));
        Ok((key.map_err(|error| action_error(self.signal_id.py(), &error))?, digest))
    }

    /// The key, params included, as a Python string.
    pub(super) fn key(&self) -> PyResult<Bound<'py, PyString>> {
        let (py, digest) = (self.signal_id.py(), self.digest()?);
        let [signal_id, action, target] = self.labels()?;
        let mut simple = SmallVec::new();
        if push_simple_key(&mut simple, [signal_id, action, target], &digest) {
            return PyString::from_bytes(py, &simple);
        }
        let key = compose_key(signal_id, action, target, Some(&digest)).map_err(|error| action_error(py, &error))?;
        Ok(PyString::new(py, &key))
    }

    fn digest(&self) -> PyResult<Fingerprint> {
        self.with_params(fingerprint)
    }

    /// The params in canonical form.
    pub(crate) fn canonical_params(&self) -> PyResult<Box<[u8]>> {
        self.with_params(|params| params.into())
    }

    fn with_params<T>(&self, read: impl FnOnce(&[u8]) -> T) -> PyResult<T> {
        with_buffer(|buffer| {
            match &self.params {
                Some(params) => {
                    encode_mapping(params, buffer).map_err(|refusal| refusal.into_pyerr(params.py(), "params"))?;
                }
                None => buffer.extend_from_slice(b"{}"),
            }
            Ok(read(buffer))
        })
    }

    fn labels(&self) -> PyResult<[&str; 3]> {
        Ok([text(&self.signal_id, FIELDS[0])?, text(&self.action, FIELDS[1])?, text(&self.target, FIELDS[2])?])
    }
}

/// Appends what [`compose_key`] makes of parts that stay as they are, without a memory allocation; false for others.
#[inline]
fn push_simple_key(key: &mut SmallVec<[u8; 128]>, parts: [&str; 3], digest: &Fingerprint) -> bool {
    for part in parts {
        let simple = part.bytes().fold(true, |simple, byte| simple & !matches!(byte, b'%' | b':' | 0..=0x1f | 0x7f));
        if part.is_empty() || !simple {
            return false;
        }
        key.extend_from_slice(part.as_bytes());
        key.push(b':');
    }
    key.extend_from_slice(&digest.short_hex());
    true
}

/// The fields that were given so far, in the order of `FIELDS`.
#[derive(Default)]
pub(super) struct Given<'py>([Option<Bound<'py, PyAny>>; FIELDS.len()]);

impl<'py> Given<'py> {
    /// Takes a field by its name.
    #[inline]
    pub(super) fn set(&mut self, name: &Bound<'py, PyAny>, value: Bound<'py, PyAny>) -> PyResult<()> {
        static INTERNED: PyOnceLock<[Py<PyString>; FIELDS.len()]> = PyOnceLock::new();
        let py = name.py();
        // A keyword in source code is the very object that is interned here.
        let interned = INTERNED.get_or_init(py, || FIELDS.map(|field| PyString::intern(py, field).unbind()));
        let place = interned.iter().position(|field| field.is(name));
        match place.or_else(|| find(name)) {
            Some(place) => self.0[place] = Some(value),
            None => return Err(unknown(name)),
        }
        Ok(())
    }

    /// The fields, once all are given.
    pub(super) fn finish(self, py: Python<'py>) -> PyResult<ActionFields<'py>> {
        let [signal_id, action, target, params, context] = self.0;
        Ok(ActionFields {
            signal_id: label(py, signal_id, 0)?,
            action: label(py, action, 1)?,
            target: label(py, target, 2)?,
            params: params.filter(|params| !params.is_none()),
            context: context.filter(|context| !context.is_none()),
        })
    }
}

#[cold]
fn find(name: &Bound<'_, PyAny>) -> Option<usize> {
    let name = name.cast::<PyString>().ok()?.to_str().ok()?;
    FIELDS.iter().position(|&field| field == name)
}

#[cold]
fn unknown(name: &Bound<'_, PyAny>) -> PyErr {
    let known = FIELDS.join(", ");
    let shown = name.repr().map_or_else(|_| "this".to_owned(), |name| name.to_string());
    let meant = match name.extract::<&str>() {
        Ok("action_type" | "type" | "name") => "; write action",
        Ok("signal" | "id") => "; write signal_id",
        _ => "",
    };
    invalid_action(name.py(), &format!("{shown} is no field of an action: the fields are {known}{meant}"))
}

#[inline]
fn label<'py>(py: Python<'py>, given: Option<Bound<'py, PyAny>>, place: usize) -> PyResult<Bound<'py, PyString>> {
    let (field, remedy) = (FIELDS[place], REMEDIES[place]);
    let Some(given) = given else {
        return Err(invalid_action(py, &format!("the action has no {field}: {remedy}")));
    };
    given.cast_into::<PyString>().map_err(|error| {
        let name = type_name(&error.into_inner());
        invalid_action(py, &format!("{field} is of type {name}, not str: {remedy}, as text"))
    })
}

fn text<'a>(label: &'a Bound<'_, PyString>, field: &str) -> PyResult<&'a str> {
    label.to_str().map_err(|_| {
        invalid_action(
            label.py(),
            &format!("{field} holds a lone surrogate, which is no Unicode text: decode it properly"),
        )
    })
}

/// An `InvalidActionError`.
pub(crate) fn invalid_action(py: Python<'_>, message: &str) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    raise(py, &CLASS, "InvalidActionError", message)
}

/// The Python error of an action or key that can't be.
pub(crate) fn action_error(py: Python<'_>, error: &ActionError) -> PyErr {
    static INVALID_KEY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match error {
        ActionError::EmptyField { .. } => invalid_action(py, &error.to_string()),
        ActionError::InvalidKey { .. } => raise(py, &INVALID_KEY, "InvalidKeyError", &error.to_string()),
    }
}

fn raise(py: Python<'_>, class: &PyOnceLock<Py<PyType>>, name: &str, message: &str) -> PyErr {
    class
        .imported(py, "idempotency_manager.exceptions", name)
        .and_then(|class| class.call1((message,)))
        .map_or_else(|failure| failure, PyErr::from_value)
}
