//! Values of classes of their own, by way of a converter; kept only where they demonstrably come back.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::Encoded;
use super::encode::within;
use super::fault::{Refused, describe, is_about_the_value};

const BEFORE: &str = "{\"$typed\":";
const AFTER: &str = "}";

/// Encodes what `converter` unpacks. `refused` is why the value itself is not plain.
pub(super) fn encode(value: &Bound<'_, PyAny>, converter: &Bound<'_, PyAny>, refused: Refused) -> PyResult<Encoded> {
    match unpacked(value, converter) {
        Ok(json @ Encoded::Json(_)) => match unequal(value, converter, &json) {
            Ok(None) => Ok(json),
            Ok(Some(reason)) => Ok(Encoded::Refused(Refused::of_whole(reason))),
            Err(error) => explain(value.py(), error, "it does not come back"),
        },
        Ok(Encoded::Refused(inner)) => {
            Ok(Encoded::Refused(Refused::of_whole(format!("unpacked by its result type, {inner}"))))
        }
        Err(error) if is_about_the_value(value.py(), &error) => {
            let reason = format!("{}; as the result type: {}", refused.reason, describe(value.py(), &error));
            Ok(Encoded::Refused(Refused { reason, ..refused }))
        }
        Err(error) => Err(error),
    }
}

fn explain(py: Python<'_>, error: PyErr, what: &str) -> PyResult<Encoded> {
    if is_about_the_value(py, &error) {
        Ok(Encoded::Refused(Refused::of_whole(format!("{what}: {}", describe(py, &error)))))
    } else {
        Err(error)
    }
}

fn unpacked(value: &Bound<'_, PyAny>, converter: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    let plain = converter.call_method1("unpack", (value,))?;
    within(BEFORE, &plain, AFTER)
}

/// Why the value that comes back is not the value that was given; `None` where it is.
fn unequal(value: &Bound<'_, PyAny>, converter: &Bound<'_, PyAny>, json: &Encoded) -> PyResult<Option<String>> {
    let Encoded::Json(bytes) = json else { return Ok(None) };
    let rebuilt = super::decode(value.py(), bytes, Some(converter))?.into_bound(value.py());
    if !rebuilt.get_type().is(value.get_type()) {
        let (given, back) = (value.get_type().fully_qualified_name()?, rebuilt.get_type().fully_qualified_name()?);
        return Ok(Some(format!("a {given} would come back as a {back}")));
    }
    match unpacked(&rebuilt, converter)? {
        Encoded::Json(again) if again == *bytes => {}
        _ => return Ok(Some("what comes back has other fields".to_owned())),
    }
    if has_equality(&value.get_type())? && !holds_nan(bytes) && !value.eq(&rebuilt)? {
        return Ok(Some("what comes back is not equal to it".to_owned()));
    }
    Ok(None)
}

/// Whether equal is more than identical; of classes where it is not, the equal bytes must do.
fn has_equality(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let object = class.py().get_type::<PyAny>();
    Ok(!class.getattr("__eq__")?.is(object.getattr("__eq__")?))
}

/// Whether a NaN, which equals nothing, may be among the values.
fn holds_nan(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|window| window == b"NaN")
}

/// Builds the value of what was unpacked.
pub(super) fn build<'py>(plain: &Bound<'py, PyAny>, converter: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = plain.py();
    converter.call_method1("build", (plain,)).map_err(|error| {
        if !is_about_the_value(py, &error) {
            return error;
        }
        let outer = PyValueError::new_err(format!("the stored result does not fit its type: {}", describe(py, &error)));
        outer.set_cause(py, Some(error));
        outer
    })
}
