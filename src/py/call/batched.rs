//! A call among others: claimed together with them, started when it is its turn, or undone before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use super::{Call, Conclusion, Stage, Step};
use crate::core::error::StoreError;
use crate::core::record::Record;
use crate::py::errors;
use crate::py::notify::{self, News};
use crate::store::{Ending, Held, Hold};

impl Call {
    /// The same in a batch; `replayed` is set when it is answered from a record.
    pub(in crate::py) fn in_batch(mut self, replayed: Arc<AtomicBool>) -> Self {
        self.batched = Some(replayed);
        self
    }

    pub(super) fn note_replay(&self) {
        if let Some(replayed) = &self.batched {
            replayed.store(true, Ordering::Release);
        }
    }

    /// Whether it waits for another holder.
    pub(in crate::py) fn waits(&self) -> bool {
        !self.rules.refuses_to_wait()
    }

    /// Asks again later; the wait counts from now.
    pub(in crate::py) fn put_off(&mut self) {
        self.asks_again = true;
        self.waited_since.get_or_insert_with(Instant::now);
    }

    /// Uses the right to execute.
    pub(in crate::py) fn start(&mut self, py: Python<'_>) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Granted(entry, _) => {
                self.began = self.began.map(|_| Instant::now());
                self.start_with(py, entry)
            }
            _ => self.raise(errors::configuration(py, "a call started that has no right to execute")),
        }
    }

    /// The claim under which it will start, unless it runs without protection.
    pub(in crate::py) fn hold_to_dispatch(&self) -> Option<Hold> {
        self.held.as_ref().map(|held| held.running.hold.clone())
    }

    /// What follows from a latch that was to be released: the word that it was not, where it was not. Nothing was executed.
    pub(in crate::py) fn not_dispatched(&mut self, py: Python<'_>, answer: Result<Held, StoreError>) -> Option<Step> {
        match answer {
            Ok(Held::Kept) => None,
            answer if self.rules.shadow => {
                if let Err(error) = answer {
                    self.complain(py, &format!("the store can't be told of the start, because {error}"));
                }
                None
            }
            Ok(Held::Lost(record)) => Some(self.lost_before(py, record)),
            Err(error) => Some(self.undo(py, Conclusion::Raise(errors::of_store(py, &error)))),
        }
    }

    fn lost_before(&mut self, py: Python<'_>, record: Option<Box<Record>>) -> Step {
        self.let_go();
        notify::news(py, &self.active, self.named.about(self.attempts), News::LeaseLost, self.took());
        let record = record.map(|record| self.record(py, record));
        self.raise(errors::exception(py, "LeaseLostError", (record, py.None(), &*self.named.key, false)))
    }

    /// Gives the right to execute back, unused.
    pub(in crate::py) fn give_back(&mut self, py: Python<'_>) -> Step {
        let nothing = py.None();
        self.undo(py, Conclusion::Return(nothing))
    }

    fn undo(&mut self, py: Python<'_>, conclusion: Conclusion) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Granted(_, undo) if self.held.is_some() => {
                let news = matches!(undo, Ending::Release).then_some(News::Released);
                self.end(py, undo, conclusion, news)
            }
            _ => self.give(py, conclusion),
        }
    }

    /// Whether what ends it is to end its caller too, such as Ctrl-C.
    pub(in crate::py) fn is_interrupted(&self, py: Python<'_>) -> bool {
        matches!(&self.stage, Stage::Ending { conclusion: Conclusion::Raise(error), .. } if is_interruption(py, error))
    }
}

/// Whether an exception is more than a failure.
pub(in crate::py) fn is_interruption(py: Python<'_>, error: &PyErr) -> bool {
    !error.is_instance_of::<PyException>(py)
}
