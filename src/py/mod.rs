//! The interpreter's side: the only place that names pyo3.

use pyo3::prelude::*;

mod canonical;
mod codec;

/// The native half of `idempotency_manager`; import the package, not this.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    canonical::register(module)?;
    codec::register(module)?;
    Ok(())
}
