//! What an executor's end means: the result as it is stored, or what an exception says of the effect.

use std::sync::Arc;

use crate::py::once::Once;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::codec::{self, Encoded};
use super::errors;
use super::rules::Rules;
use crate::core::record::{Failure, Payload};

/// What an exception says of the effect.
pub(super) enum Verdict {
    /// It did not happen: the next caller may execute.
    NotExecuted,
    /// Nobody knows.
    InDoubt,
    /// The exception is the answer.
    Final(Failure),
}

/// Judges an executor's exception by design: `not_executed_on` first, then `replay_errors`, then the latch, then what
/// is recognised.
pub(super) fn judge(py: Python<'_>, error: &PyErr, rules: &Rules, dispatched: bool) -> PyResult<Verdict> {
    let is_a = |classes: &Py<PyTuple>| error.value(py).is_instance(classes.bind(py));
    if is_a(&rules.not_executed_on)? {
        return Ok(Verdict::NotExecuted);
    }
    if is_a(&rules.replay_errors)? {
        return failure(py, error).map(Verdict::Final);
    }
    if rules.latch {
        return Ok(if dispatched { Verdict::InDoubt } else { Verdict::NotExecuted });
    }
    if !error.is_instance_of::<PyException>(py) {
        return Ok(Verdict::InDoubt);
    }
    let args = (error.value(py), &rules.in_doubt_on, &rules.not_executed_on);
    let in_doubt = py.import("idempotency_manager._doubt")?.call_method1("leaves_in_doubt", args)?.is_truthy()?;
    Ok(if in_doubt { Verdict::InDoubt } else { Verdict::NotExecuted })
}

/// An exception as it is recorded.
pub(super) fn failure(py: Python<'_>, error: &PyErr) -> PyResult<Failure> {
    let (class, text) = errors::describe(py, error);
    let args = match codec::encode(&error.value(py).getattr("args")?, None)? {
        Encoded::Json(bytes) => Some(bytes),
        Encoded::Refused(_) => None,
    };
    Ok(Failure { class, text, args })
}

/// The exception that a failure was, made anew of a class among `replay_errors` or below it: a class is never
/// imported by a name found in a store.
pub(super) fn rebuild(py: Python<'_>, failure: &Failure, rules: &Rules) -> PyResult<Option<PyErr>> {
    let Some(args) = &failure.args else { return Ok(None) };
    let args = codec::decode(py, args, None)?;
    let helper = py.import("idempotency_manager._revive")?.getattr("rebuild_exception")?;
    let error = helper.call1((&*failure.class, args, &rules.replay_errors))?;
    Ok((!error.is_none()).then(|| PyErr::from_value(error)))
}

/// The result as it is stored, and a warning where it could not be stored. `local`: the store can keep an object.
pub(super) fn payload(result: &Bound<'_, PyAny>, rules: &Rules, local: bool) -> PyResult<(Payload, Option<String>)> {
    encoded(result, rules.codec.as_ref(), rules.converter.as_ref(), local)
}

/// The same by a codec, or with a converter.
pub(super) fn encoded(
    result: &Bound<'_, PyAny>,
    codec: Option<&Py<PyAny>>,
    converter: Option<&Py<PyAny>>,
    local: bool,
) -> PyResult<(Payload, Option<String>)> {
    let py = result.py();
    let reason = if let Some(codec) = codec {
        match codec.call_method1(py, "encode", (result,)).and_then(|bytes| bytes.extract::<Vec<u8>>(py)) {
            Ok(bytes) => return Ok((Payload::Custom(bytes.into()), None)),
            Err(error) if error.is_instance_of::<PyException>(py) => {
                let (class, text) = errors::describe(py, &error);
                format!("its codec raised {class}: {text}")
            }
            Err(error) => return Err(error),
        }
    } else {
        match codec::encode(result, converter.map(|converter| converter.bind(py)))? {
            Encoded::Json(bytes) => return Ok((Payload::Json(bytes), None)),
            Encoded::Refused(refused) => refused.to_string(),
        }
    };
    if local {
        return Ok((Payload::Local(Arc::new(result.clone().unbind())), None));
    }
    let warning = format!("executed, but the result could not be stored ({reason}); duplicates will be refused");
    Ok((Payload::Unavailable, Some(warning)))
}

/// Whether a reconciler answered `NOT_EXECUTED`.
pub(super) fn is_not_executed(answer: &Bound<'_, PyAny>) -> PyResult<bool> {
    static NOT_EXECUTED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = answer.py();
    let not_executed = NOT_EXECUTED
        .made(py, || py.import("idempotency_manager._types")?.getattr("NOT_EXECUTED").map(Bound::unbind))?;
    Ok(answer.is(not_executed))
}
