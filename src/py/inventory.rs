//! What a store holds, as a number of records and a digest that are the same in whatever order it is walked.

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::objects::PyRecord;
use crate::core::imprint;

/// The number and the digest of the records that were added.
#[pyclass(frozen, module = "idempotency_manager._core")]
pub(super) struct Inventory(Mutex<imprint::Inventory>);

#[pymethods]
impl Inventory {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// Adds records.
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over what it reads")]
    fn add(&self, records: Vec<PyRef<'_, PyRecord>>) {
        let mut inventory = self.0.lock();
        for record in &records {
            inventory.add(record.record());
        }
    }

    /// How many records were added.
    #[getter]
    fn records(&self) -> u64 {
        self.0.lock().records
    }

    /// The sum of their imprints, in hex.
    #[getter]
    fn digest(&self) -> String {
        self.0.lock().digest()
    }
}
