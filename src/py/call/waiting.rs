//! Waiting for another holder, and looking up what goes with an error.

use std::time::Instant;

use pyo3::prelude::*;

use super::{Arrived, Call, Conclusion, Lookup, Stage, Step};
use crate::core::error::StoreError;
use crate::core::record::{Record, Status};
use crate::py::errors;
use crate::py::execution::Execution;
use crate::store::BoxFuture;

impl Call {
    pub(super) fn busy(&mut self, py: Python<'_>, changed: BoxFuture<()>) -> Step {
        match Execution::surrounds(py, &self.named.key, &self.active.store) {
            Ok(false) => {}
            Ok(true) => return self.raise(errors::exception(py, "ReentrantCallError", (&*self.named.key,))),
            Err(error) => return self.raise(error),
        }
        if self.cancelled.is_some() {
            return self.give(py, Conclusion::Cancelled);
        }
        self.tell_witness_busy(py);
        if !self.rules.waits {
            return self.look_up(py, Lookup::AlreadyInProgress);
        }
        let now = Instant::now();
        let since = *self.waited_since.get_or_insert(now);
        let Some(left) = self.rules.wait_timeout.checked_sub(now - since).filter(|left| !left.is_zero()) else {
            return self.look_up(py, Lookup::AlreadyInProgress);
        };
        self.stage = Stage::Waiting;
        let awake = async move {
            changed.await;
            Arrived::Awake
        };
        // A lapsed lease, and what another process does, may wake nobody.
        Step::Await(Box::pin(awake), Some(now + left.min(self.active.store.look_again())))
    }

    pub(super) fn awake(&mut self, py: Python<'_>) -> Step {
        if let Stage::Ending { .. } = self.stage {
            return self.end_again(py);
        }
        self.asks_again = true;
        self.begin(py)
    }

    pub(super) fn look_up(&mut self, py: Python<'_>, lookup: Lookup) -> Step {
        self.stage = Stage::Looking(lookup);
        let reply = self.active.store.get(&self.named.key);
        self.take(py, reply, Arrived::Found)
    }

    pub(super) fn found(&mut self, py: Python<'_>, found: Result<Option<Record>, StoreError>) -> Step {
        let lookup = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Looking(lookup) => lookup,
            Stage::Comparing(result) => return self.compare_with(py, found, result),
            _ => return self.raise(errors::configuration(py, "a record arrived that nobody asked for")),
        };
        let record = match found {
            Ok(record) => record,
            Err(error) => return self.raise(errors::of_store(py, &error)),
        };
        let in_progress = |record: &Record| matches!(record.status, Status::InProgress { .. });
        match (lookup, record) {
            // It has finished or gone between the two looks, or what was to be shown has: ask again.
            (Lookup::AlreadyInProgress, Some(record)) if in_progress(&record) => {
                let waited = self.waited_since.map(|since| since.elapsed());
                let record = self.record(py, Box::new(record));
                self.raise(errors::exception(py, "AlreadyInProgressError", (record, waited)))
            }
            (Lookup::PreviousFailure, Some(record)) => {
                let record = self.record(py, Box::new(record));
                self.raise(errors::exception(py, "PreviousFailureError", (record,)))
            }
            (Lookup::ResultUnavailable, Some(record)) => {
                let record = self.record(py, Box::new(record));
                self.raise(errors::exception(py, "ResultUnavailableError", (record,)))
            }
            _ => self.awake(py),
        }
    }
}
