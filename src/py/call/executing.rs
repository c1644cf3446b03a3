//! What the executor or the reconciler came to.

use pyo3::prelude::*;

use super::{Call, Conclusion, Stage, Step, is_interruption};
use crate::core::record::Payload;
use crate::py::errors;
use crate::py::log::{self, Level};
use crate::py::notify::News;
use crate::py::outcome::{self, Verdict};
use crate::store::Ending;

impl Call {
    /// Goes on with what the executor returned or raised.
    pub(in crate::py) fn executed(&mut self, py: Python<'_>, result: PyResult<Py<PyAny>>) -> Step {
        if let Some(death) = self.witness_end(py, &result) {
            return death;
        }
        self.leave(py);
        if self.held.is_none() {
            return match result {
                result if self.rules.shadow => self.executed_in_shadow(py, result),
                Ok(value) => Step::Return(value),
                Err(error) => self.raise(error),
            };
        }
        match result {
            Ok(value) => self.keep(py, value, News::Executed),
            Err(error) => self.failed(py, error),
        }
    }

    /// Goes on with what the reconciler returned or raised.
    pub(in crate::py) fn reconciled(&mut self, py: Python<'_>, result: PyResult<Py<PyAny>>) -> Step {
        let Stage::Reconciling(was) = std::mem::replace(&mut self.stage, Stage::Executing) else {
            return self.raise(errors::configuration(py, "a reconciler answered that nobody asked"));
        };
        match result {
            Ok(value) => match outcome::is_not_executed(value.bind(py)) {
                Ok(true) => self.execute(py),
                Ok(false) => {
                    self.leave(py);
                    self.keep(py, value, News::Resolved)
                }
                Err(error) => self.reconciled_badly(py, was, error),
            },
            Err(error) => self.reconciled_badly(py, was, error),
        }
    }

    pub(super) fn reconciled_badly(&mut self, py: Python<'_>, was: Box<str>, error: PyErr) -> Step {
        self.leave(py);
        self.end(py, Ending::Doubt(was), Conclusion::Raise(error), None)
    }

    /// Gives the claim back without having executed.
    pub(in crate::py) fn release(&mut self, py: Python<'_>) -> Step {
        self.leave(py);
        if self.held.is_none() {
            return self.give(py, Conclusion::Return(py.None()));
        }
        self.end(py, Ending::Release, Conclusion::Return(py.None()), Some(News::Released))
    }

    /// Leaves the action in doubt and raises this.
    pub(in crate::py) fn doubt(&mut self, py: Python<'_>, error: PyErr) -> Step {
        self.leave(py);
        if self.rules.shadow && !is_interruption(py, &error) {
            return self.doubt_in_shadow(py, &error);
        }
        if self.held.is_none() {
            return self.raise(error);
        }
        self.in_doubt(py, error)
    }

    pub(super) fn keep(&mut self, py: Python<'_>, value: Py<PyAny>, news: News) -> Step {
        let (payload, conclusion) = match outcome::payload(value.bind(py), &self.rules, self.active.store.is_local()) {
            Ok((payload, warning)) => {
                if let Some(warning) = warning {
                    log::write(py, Level::Warning, &warning, self.named.about(self.attempts));
                }
                (payload, Conclusion::Return(value))
            }
            // The effect has happened: an encoding that was interrupted must not undo the record of it.
            Err(error) if self.rules.shadow && !is_interruption(py, &error) => {
                self.complain(py, &format!("executed, but the result could not be encoded ({error})"));
                (Payload::Unavailable, Conclusion::Return(value))
            }
            Err(error) => (Payload::Unavailable, Conclusion::Raise(error)),
        };
        self.end(py, Ending::Complete(payload, self.rules.ttl), conclusion, Some(news))
    }

    pub(super) fn failed(&mut self, py: Python<'_>, error: PyErr) -> Step {
        let dispatched = self.held.as_ref().is_some_and(|held| held.running.is_dispatched());
        match outcome::judge(py, &error, &self.rules, dispatched) {
            Ok(Verdict::NotExecuted) => self.end(py, Ending::Release, Conclusion::Raise(error), Some(News::Failed)),
            Ok(Verdict::Final(failure)) => {
                let ending = Ending::Fail(failure, self.rules.ttl);
                self.end(py, ending, Conclusion::Raise(error), Some(News::Failed))
            }
            // Whoever can't tell whether it happened says so.
            Err(broken) if !self.rules.shadow || is_interruption(py, &broken) => self.in_doubt(py, broken),
            Ok(Verdict::InDoubt) | Err(_) => self.in_doubt(py, error),
        }
    }

    pub(super) fn in_doubt(&mut self, py: Python<'_>, error: PyErr) -> Step {
        let why = why_in_doubt(py, &error);
        self.end(py, Ending::Doubt(why), Conclusion::Raise(error), Some(News::InDoubt))
    }
}

pub(super) fn why_in_doubt(py: Python<'_>, error: &PyErr) -> Box<str> {
    let (class, text) = errors::describe(py, error);
    format!("{class}: {text}").into()
}
