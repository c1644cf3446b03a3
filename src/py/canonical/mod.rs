//! Python values to canonical bytes, keys and back.

use pyo3::prelude::*;

mod plain;

/// How deep values may be nested.
const MAX_DEPTH: usize = 200;

#[pyfunction]
fn canonicalize<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, pyo3::types::PyBytes>> {
    let mut out = Vec::with_capacity(1024);
    if plain::encode(value, &mut out) { Ok(pyo3::types::PyBytes::new(value.py(), &out)) } else { Err(pyo3::exceptions::PyTypeError::new_err("no")) }
}

thread_local! {
    static BUFFER: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
}

#[pyfunction]
fn walk(value: &Bound<'_, PyAny>) -> usize {
    let mut out = BUFFER.take();
    out.clear();
    plain::encode(value, &mut out);
    let n = out.len();
    BUFFER.set(out);
    n
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(canonicalize, module)?)?;
    module.add_function(wrap_pyfunction!(walk, module)?)?;
    Ok(())
}
