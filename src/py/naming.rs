//! From an action as Python gives it to its key, its fingerprint and what is kept of it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::call::Named;
use super::canonical::{self, ActionFields};
use super::codec::{self, Encoded};
use super::engine::Active;
use super::errors;
use crate::core::action::compose_key;
use crate::core::canonical::fingerprint;

/// Names an `Action`, or a mapping with its fields.
pub(super) fn of_action(active: &Active, action: &Bound<'_, PyAny>) -> PyResult<Named> {
    let fields = ActionFields::extract(action)?;
    of_fields(
        active,
        fields.signal_id.to_str()?,
        fields.action.to_str()?,
        fields.target.to_str()?,
        fields.params.as_ref(),
        fields.context.as_ref(),
    )
}

/// Names an action of these fields.
pub(super) fn of_fields(
    active: &Active,
    signal_id: &str,
    action: &str,
    target: &str,
    params: Option<&Bound<'_, PyAny>>,
    context: Option<&Bound<'_, PyAny>>,
) -> PyResult<Named> {
    let mut canonical = Vec::new();
    match params {
        Some(params) => canonical::encode_params(params, &mut canonical)?,
        None => canonical.extend_from_slice(b"{}"),
    }
    let kept = match params {
        Some(params) if active.settings.store_params => Some(params),
        _ => None,
    };
    of_canonical(active, signal_id, action, target, &canonical, kept, context, params.map(Bound::py))
}

/// Names an action whose params are already in canonical form; `params` are the ones to keep.
#[allow(clippy::too_many_arguments, reason = "an action has these many parts, and a struct of them would be made here only")]
pub(super) fn of_canonical(
    active: &Active,
    signal_id: &str,
    action: &str,
    target: &str,
    canonical: &[u8],
    params: Option<&Bound<'_, PyAny>>,
    context: Option<&Bound<'_, PyAny>>,
    py: Option<Python<'_>>,
) -> PyResult<Named> {
    let fingerprint = fingerprint(canonical);
    let in_key = active.settings.include_params_in_key.then_some(&fingerprint);
    let key = compose_key(signal_id, action, target, in_key)
        .map_err(|error| py.map_or_else(|| Python::attach(|py| errors::of_action(py, &error)), |py| errors::of_action(py, &error)))?;
    Ok(Named {
        key: key.into(),
        signal_id: signal_id.into(),
        action_type: action.into(),
        target: target.into(),
        fingerprint,
        params: params.map(|params| kept("params", params)).transpose()?,
        context: context.map(|context| kept("context", context)).transpose()?,
    })
}

/// The typed JSON of what is kept beside a result, as a plain dict.
pub(super) fn kept(field: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let py = value.py();
    let plain = PyDict::new(py);
    plain.call_method1("update", (value,))?;
    match codec::encode(plain.as_any(), None)? {
        Encoded::Json(bytes) => Ok(bytes),
        Encoded::Refused(refused) => {
            Err(errors::exception(py, "UnsupportedParamError", (format!("{field} can't be kept: {refused}"), field)))
        }
    }
}
