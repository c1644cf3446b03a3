//! Results as JSON that a person can read, and back: a Python object in, an equal one of the same type out.
//!
//! Plain JSON where JSON has the value, a *tag* where it has not: an object with one member whose name begins with
//! `$`, such as `{"$bytes":"aGk="}`. A dict whose first key begins with `$` is wrapped in a tag itself, so in stored
//! bytes an object that begins with `$` is always a tag, and nothing a user returns can be taken for one.
//! docs/results.md has the table.
//!
//! Exact types only: a subclass would come back as its base. What is not exact goes through a *converter* (see
//! `_typed.py`), is wrapped in `{"$typed":…}`, and is kept only if it demonstrably comes back equal.
//!
//! Any object made here can start the garbage collector, and so anybody's code: nothing is locked or borrowed while one is.

#![allow(
    clippy::unnecessary_box_returns,
    reason = "an error is made in its box, so that the usual answer fits registers"
)]

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

mod base64;
mod decode;
mod encode;
mod encode_tags;
mod fault;
mod keys;
mod parse;
mod text;
mod time;
mod typed;
mod types;
mod untag;

use super::errors;

pub(crate) use fault::Refused;

/// Containers in containers, at most. Both directions walk by recursion: this much fits a stack of 192 KiB.
const MAX_DEPTH: u32 = 200;

/// The base64 of bytes.
pub(super) fn base64_of(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    base64::encode(bytes, &mut text);
    text.into_iter().map(char::from).collect()
}

/// The bytes of a base64; `None` where it is none.
pub(super) fn bytes_of_base64(text: &str) -> Option<Vec<u8>> {
    base64::decode(text.as_bytes())
}

/// What became of a value.
#[derive(Debug)]
pub(crate) enum Encoded {
    /// Its typed JSON.
    Json(Arc<[u8]>),
    /// Nothing: it would not come back equal.
    Refused(Refused),
}

/// Encodes a result.
///
/// `converter` has `unpack(value) -> plain` and `build(plain) -> value`; it is asked only for a value that is not plain
/// through and through. What it unpacks is kept only if it builds a value of the same type that is equal and unpacks
/// to the same bytes. An `Err` is what is no property of the value: `KeyboardInterrupt`, `MemoryError`.
pub(crate) fn encode(value: &Bound<'_, PyAny>, converter: Option<&Bound<'_, PyAny>>) -> PyResult<Encoded> {
    let refused = match encode::plain(value)? {
        Encoded::Refused(refused) => refused,
        json @ Encoded::Json(_) => return Ok(json),
    };
    match converter {
        Some(converter) => typed::encode(value, converter, refused),
        None => Ok(Encoded::Refused(refused.advise())),
    }
}

/// Decodes what [`encode`] made, afresh.
///
/// Bytes it can't have made are a `ValueError` that says where. So is a typed result without a converter: as its fields
/// alone it would be silently another value.
pub(crate) fn decode(py: Python<'_>, bytes: &[u8], converter: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
    let parsed = decode::document(py, bytes)?;
    match (parsed.typed, converter) {
        (false, _) => Ok(parsed.value.unbind()),
        (true, Some(converter)) => typed::build(&parsed.value, converter).map(Bound::unbind),
        (true, None) => Err(errors::configuration(
            py,
            "the result is of a class of its own: give the result_type, or the return annotation, it was stored with",
        )),
    }
}

/// Decodes for looking at: a typed result as its fields, everything else as [`decode`] does.
#[allow(dead_code, reason = "records and statistics show results of functions they do not know")]
pub(crate) fn decode_plain(py: Python<'_>, bytes: &[u8]) -> PyResult<Py<PyAny>> {
    decode::document(py, bytes).map(|parsed| parsed.value.unbind())
}

/// The typed JSON of `value`, as bytes. Raises `TypeError`, with the path to what can't be kept.
#[pyfunction]
#[pyo3(signature = (value, converter=None))]
fn encode_result<'py>(
    value: &Bound<'py, PyAny>,
    converter: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyBytes>> {
    match encode(value, converter)? {
        Encoded::Json(json) => Ok(PyBytes::new(value.py(), &json)),
        Encoded::Refused(refused) => Err(PyTypeError::new_err(refused.to_string())),
    }
}

/// The value of typed JSON. Raises `ValueError`, with the offset at which the bytes are none.
#[pyfunction]
#[pyo3(signature = (data, converter=None))]
fn decode_result(data: &Bound<'_, PyBytes>, converter: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
    decode(data.py(), data.as_bytes(), converter)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(encode_result, module)?)?;
    module.add_function(wrap_pyfunction!(decode_result, module)?)
}
