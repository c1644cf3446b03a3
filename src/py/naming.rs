//! From an action as Python gives it to its key, its fingerprint and what is kept of it.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::call::Named;
use super::canonical::{self, ActionFields};
use super::codec::{self, Encoded};
use super::engine::Active;
use super::errors;

/// Names an `Action`, or a mapping with its fields.
pub(super) fn of_action(active: &Active, action: &Bound<'_, PyAny>) -> PyResult<Named> {
    of_fields(active, ActionFields::extract(action)?)
}

/// Names an action of these fields.
pub(super) fn of_fields(active: &Active, fields: ActionFields<'_>) -> PyResult<Named> {
    let (key, fingerprint) = fields.compose(active.settings.include_params_in_key)?;
    let params = fields.params.as_ref().filter(|_| active.settings.store_params);
    let watched = active.watches(&key).then(|| fields.canonical_params()).transpose()?;
    Ok(Named {
        key: key.into(),
        signal_id: fields.signal_id.to_str()?.into(),
        action_type: fields.action.to_str()?.into(),
        target: fields.target.to_str()?.into(),
        fingerprint,
        params: params.map(kept_params).transpose()?,
        context: fields.context.map(|context| kept("context", &context)).transpose()?,
        watched,
    })
}

/// The typed JSON of params. What has a canonical form but no other (a dataclass, an Enum) is kept in that form: a
/// setting that only looks must not refuse what runs without it.
pub(super) fn kept_params(params: &Bound<'_, PyAny>) -> PyResult<Arc<[u8]>> {
    let plain = dict_of("params", params)?;
    if let Encoded::Json(bytes) = codec::encode(plain.as_any(), None)? {
        return Ok(bytes);
    }
    for (name, value) in plain.copy()? {
        if let Encoded::Refused(_) = codec::encode(&value, None)? {
            plain.set_item(name, canonical_form(&value)?)?;
        }
    }
    kept("params", plain.as_any())
}

/// The canonical form of a value: as JSON where it is that, and else, where it has a `datetime` in it for one, as text.
fn canonical_form<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let mut form = Vec::new();
    canonical::encode_value(value, &mut form).map_err(|refusal| refusal.into_pyerr(py, "params"))?;
    let text = String::from_utf8_lossy(&form);
    match py.import("json")?.call_method1("loads", (&*text,)) {
        Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(PyString::new(py, &text).into_any()),
        loaded => loaded,
    }
}

/// The typed JSON of a mapping that is kept beside a result.
pub(super) fn kept(field: &str, mapping: &Bound<'_, PyAny>) -> PyResult<Arc<[u8]>> {
    let py = mapping.py();
    match codec::encode(dict_of(field, mapping)?.as_any(), None)? {
        Encoded::Json(bytes) => Ok(bytes),
        Encoded::Refused(refused) => {
            // The codec speaks of results.
            let path = refused.path.replacen("result", field, 1);
            let reason = refused.reason.split(": give result_type").next().unwrap_or_default();
            let text = format!("{path} can't be kept: {reason}; give plain data, such as an id");
            Err(errors::exception(py, "UnsupportedParamError", (text, path)))
        }
    }
}

/// A mapping's items; an error that names the field for anything else.
pub(super) fn dict_of<'py>(field: &str, mapping: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = mapping.py();
    if mapping.hasattr("keys")? {
        let dict = PyDict::new(py);
        dict.call_method1("update", (mapping,))?;
        return Ok(dict);
    }
    let class = mapping.get_type().name()?;
    Err(errors::invalid_action(py, format!("{field} is of type {class}, not a mapping: give each value a name")))
}
