//! From an action as Python gives it to its key, its fingerprint and what is kept of it.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::call::Named;
use super::canonical::ActionFields;
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
    Ok(Named {
        key: key.into(),
        signal_id: fields.signal_id.to_str()?.into(),
        action_type: fields.action.to_str()?.into(),
        target: fields.target.to_str()?.into(),
        fingerprint,
        params: params.map(kept_params).transpose()?,
        context: fields.context.map(|context| kept("context", &context)).transpose()?,
    })
}

/// The typed JSON of params. What has a canonical form but no other (a dataclass, an Enum) is kept in that form: a
/// setting that only looks must not refuse what runs without it.
pub(super) fn kept_params(params: &Bound<'_, PyAny>) -> PyResult<Arc<[u8]>> {
    let py = params.py();
    let plain = PyDict::new(py);
    plain.call_method1("update", (params,))?;
    if let Encoded::Json(bytes) = codec::encode(plain.as_any(), None)? {
        return Ok(bytes);
    }
    let loads = py.import("json")?.getattr("loads")?;
    let canonicalize = py.import("idempotency_manager._core")?.getattr("canonicalize")?;
    for (name, value) in plain.copy()? {
        if let Encoded::Refused(_) = codec::encode(&value, None)? {
            plain.set_item(name, loads.call1((canonicalize.call1((value,))?,))?)?;
        }
    }
    kept("params", plain.as_any())
}

/// The typed JSON of a mapping that is kept beside a result.
pub(super) fn kept(field: &str, mapping: &Bound<'_, PyAny>) -> PyResult<Arc<[u8]>> {
    let py = mapping.py();
    let plain = PyDict::new(py);
    plain.call_method1("update", (mapping,))?;
    match codec::encode(plain.as_any(), None)? {
        Encoded::Json(bytes) => Ok(bytes),
        Encoded::Refused(refused) => {
            Err(errors::exception(py, "UnsupportedParamError", (format!("{field} can't be kept: {refused}"), field)))
        }
    }
}
