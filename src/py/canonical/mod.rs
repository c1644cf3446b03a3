//! Python values to canonical bytes, keys and back.
//!
//! [`encode_value`] walks twice at most: fast through what is plain JSON already (`plain`), and from the start
//! again, thoroughly, where something else turns up. Both give the same bytes for the same value.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

mod action;
mod fields;
mod keys;
mod plain;
mod refusal;
mod scalars;
mod shapes;
mod stand_ins;
mod thorough;

pub(crate) use action::ActionFields;
pub(crate) use refusal::Refusal;

use crate::core::canonical;

/// How deep values may be nested.
const MAX_DEPTH: usize = 200;

/// Appends the canonical form of a value. On a refusal, what was appended until then stays.
pub(crate) fn encode_value(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let start = out.len();
    if plain::encode(value, out) {
        return Ok(());
    }
    out.truncate(start);
    thorough::encode(value, 0, out)
}

/// Appends the canonical form of params: of a mapping, or of an object that is hashed as its fields.
pub(crate) fn encode_mapping(params: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let start = out.len();
    encode_value(params, out)?;
    let form = &out[start..];
    if form.starts_with(b"{") || form.starts_with(b"@1:map") {
        return Ok(());
    }
    let name = stand_ins::type_name(params);
    Err(Refusal::new(format!("is of type {name}, not a mapping: give each param a name, as in {{\"items\": ...}}")))
}

/// Appends the name of a member as canonical JSON, for a caller that writes an object itself: in the order of
/// [`canonical::compare_names`], a colon after each name.
pub(crate) fn encode_name(name: &str, out: &mut Vec<u8>) {
    canonical::push_string(out, name);
}

/// Calls with an empty buffer that keeps its memory from one call to the next of the thread. A call inside the call
/// gets a buffer of its own.
pub(crate) fn with_buffer<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    /// A buffer that grew beyond this, in bytes, is given back.
    const KEPT: usize = 1 << 20;
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    BUFFER.with(|kept| {
        let mut buffer = kept.take();
        buffer.clear();
        let result = work(&mut buffer);
        if buffer.capacity() <= KEPT {
            kept.set(buffer);
        }
        result
    })
}

/// Give the exact bytes that are hashed: RFC 8785 JSON, extended as docs/keys.md says.
///
/// Args:
///     value: Any value that params may hold.
///
/// Raises:
///     UnsupportedParamError: It, or a value in it, has no canonical form; the error says where.
#[pyfunction]
#[pyo3(signature = (value, /))]
fn canonicalize<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = value.py();
    with_buffer(|buffer| match encode_value(value, buffer) {
        Ok(()) => Ok(PyBytes::new(py, buffer)),
        Err(refusal) => Err(refusal.into_pyerr(py, "value")),
    })
}

/// Tell whether two mappings are the same params: whether they have one canonical form.
///
/// Args:
///     params1: The one.
///     params2: The other.
///
/// Raises:
///     UnsupportedParamError: A value has no canonical form; the error says where.
#[pyfunction]
#[pyo3(signature = (params1, params2, /))]
fn params_are_equivalent(params1: &Bound<'_, PyAny>, params2: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = params1.py();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    encode_mapping(params1, &mut first).map_err(|refusal| refusal.into_pyerr(py, "params1"))?;
    encode_mapping(params2, &mut second).map_err(|refusal| refusal.into_pyerr(py, "params2"))?;
    Ok(first == second)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("generate_idempotency_key", keys::generate_function(module.py())?)?;
    module.add_function(wrap_pyfunction!(keys::parse_idempotency_key, module)?)?;
    module.add_function(wrap_pyfunction!(params_are_equivalent, module)?)?;
    module.add_function(wrap_pyfunction!(canonicalize, module)?)?;
    Ok(())
}
