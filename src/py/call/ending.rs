//! The end of a claim: told to the store until it has heard, and what the caller gets.

use std::time::Instant;

use pyo3::prelude::*;

use super::{Arrived, Call, Conclusion, PAUSES, Stage, Step};
use crate::core::error::StoreError;
use crate::core::record::Record;
use crate::py::errors;
use crate::py::notify::{self, News};
use crate::store::{Ending, Held, Reply};

impl Call {
    pub(super) fn end(&mut self, py: Python<'_>, ending: Ending, conclusion: Conclusion, news: Option<News>) -> Step {
        let tries_left = if self.is_store_down { 0 } else { PAUSES.len() };
        self.stage = Stage::Ending { ending, conclusion, news, tries_left };
        self.end_again(py)
    }

    pub(super) fn end_again(&mut self, py: Python<'_>) -> Step {
        let (Stage::Ending { ending, .. }, Some(held)) = (&self.stage, &self.held) else {
            return self.raise(errors::configuration(py, "a claim ended that was not held"));
        };
        let reply = if self.is_store_down {
            Reply::Ready(Err(StoreError::Unavailable("a planned fault".into())))
        } else {
            self.active.store.finish(&held.running.hold, ending.clone())
        };
        self.take(py, reply, Arrived::Ended)
    }

    pub(super) fn ended(&mut self, py: Python<'_>, result: Result<Held, StoreError>) -> Step {
        let Stage::Ending { ending, conclusion, news, tries_left } = std::mem::replace(&mut self.stage, Stage::Over)
        else {
            return self.raise(errors::configuration(py, "a claim ended that was not held"));
        };
        match result {
            Err(_) if tries_left > 0 && !self.rules.shadow => {
                let pause = PAUSES[PAUSES.len() - tries_left];
                self.stage = Stage::Ending { ending, conclusion, news, tries_left: tries_left - 1 };
                Step::Await(Box::pin(std::future::pending()), Some(Instant::now() + pause))
            }
            Err(error) => self.not_recorded(py, &ending, conclusion, &error),
            Ok(Held::Lost(record)) if !(tries_left < PAUSES.len() && self.took_place(&ending, record.as_deref())) => {
                self.lost(py, &ending, conclusion, record)
            }
            Ok(Held::Kept | Held::Lost(_)) => {
                self.let_go();
                if let Some(news) = news {
                    notify::news(py, &self.active, self.named.about(self.attempts), news, self.took());
                    self.tell_witness(
                        py,
                        if matches!(ending, Ending::Fail(..)) { "failure_kept" } else { news.told().0 },
                    );
                }
                self.give(py, conclusion)
            }
        }
    }

    /// Whether a write that is refused when it is tried again had taken place the first time.
    fn took_place(&self, ending: &Ending, record: Option<&Record>) -> bool {
        self.held.as_ref().is_some_and(|held| ending.took_place(record, held.running.hold.fence))
    }

    pub(super) fn let_go(&mut self) {
        if let Some(held) = self.held.take() {
            self.engine.keeper.forget(held.place);
        }
    }

    pub(super) fn give(&mut self, _py: Python<'_>, conclusion: Conclusion) -> Step {
        self.stage = Stage::Over;
        match (self.cancelled.take(), conclusion) {
            (Some(error), _) | (None, Conclusion::Raise(error)) => Step::Raise(error),
            (None, Conclusion::Return(value)) => Step::Return(value),
            (None, Conclusion::Cancelled) => unreachable!("only a cancelled call concludes so"),
        }
    }

    /// The effect has happened and the store can't be told: the result goes to the caller, in an error.
    pub(super) fn not_recorded(
        &mut self,
        py: Python<'_>,
        ending: &Ending,
        conclusion: Conclusion,
        error: &StoreError,
    ) -> Step {
        self.let_go();
        if self.rules.shadow {
            self.complain(py, &format!("executed, but the store can't be told, because {error}"));
            return self.give(py, conclusion);
        }
        match (ending, conclusion) {
            (Ending::Complete(..), Conclusion::Return(value)) => {
                let args = (&*self.named.key, value, error.to_string());
                self.raise_with_result(py, errors::exception(py, "ResultNotRecordedError", args))
            }
            (_, conclusion) => self.give(py, conclusion),
        }
    }

    pub(super) fn lost(
        &mut self,
        py: Python<'_>,
        ending: &Ending,
        conclusion: Conclusion,
        record: Option<Box<Record>>,
    ) -> Step {
        self.let_go();
        notify::news(py, &self.active, self.named.about(self.attempts), News::LeaseLost, self.took());
        self.tell_witness(py, "lease_lost");
        match (ending, conclusion) {
            (Ending::Complete(..) | Ending::Release, Conclusion::Return(value)) if !self.rules.shadow => {
                let record = record.map(|record| self.record(py, record));
                let finished = matches!(ending, Ending::Complete(..));
                let args = (record, value, &*self.named.key, finished);
                self.raise_with_result(py, errors::exception(py, "LeaseLostError", args))
            }
            (_, conclusion) => self.give(py, conclusion),
        }
    }
}
