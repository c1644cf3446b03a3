//! The interpreter's side: the only place that names pyo3.
//!
//! A call goes through `wrapper` or `manager` (in), `call` (what to do), `drive` or `coroutine` (doing it), and `errors` and
//! `objects` (out).

use pyo3::prelude::*;

mod awaiting;
mod batch;
mod bell;
mod call;
mod canonical;
mod claim;
mod clock;
mod codec;
mod convert;
mod coroutine;
mod drive;
mod engine;
mod errors;
mod execution;
mod familiar;
mod faults;
mod fork;
mod inventory;
mod keeper;
mod lines;
mod lint;
mod log;
mod manager;
mod metadata;
mod naming;
mod notify;
mod objects;
mod once;
mod operation;
mod outcome;
mod place;
mod resumed;
mod rules;
mod runtime;
mod settle;
mod signature;
mod transaction;
mod wrapper;

/// The native half of `idempotency_manager`; import the package, not this.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    canonical::register(module)?;
    codec::register(module)?;
    coroutine::register(module)?;
    execution::register(module)?;
    claim::register(module)?;
    batch::register(module)?;
    objects::register(module)?;
    manager::register(module)?;
    lines::register(module)?;
    lint::register(module)?;
    wrapper::register(module)?;
    module.add_class::<inventory::Inventory>()?;
    engine::register(module)?;
    fork::register(module)?;
    transaction::register(module)?;
    module.add_class::<faults::FaultPlan>()?;
    module.add_class::<clock::PyManualClock>()
}
