//! What a call measures and has spans made of, where somebody has asked for it.

use pyo3::prelude::*;

use super::Call;
use crate::py::notify;

impl Call {
    /// A claim is asked for now.
    pub(in crate::py) fn note_asked(&mut self) {
        self.asked = self.meter.as_ref().and_then(crate::py::meter::Meter::ask);
    }

    /// It has been answered.
    pub(super) fn note_answer(&mut self) {
        if let (Some(meter), Some(asked)) = (&self.meter, self.asked.take()) {
            meter.answered(asked);
        }
    }

    /// The executor has ended, if there was one.
    pub(super) fn note_execution(&mut self, with_a_result: bool) {
        if let (Some(meter), Some(since)) = (&self.meter, self.executes_since.take()) {
            meter.executed(since.elapsed(), with_a_result);
        }
    }

    /// A caller that will not wait goes away.
    pub(super) fn note_refusal(&self) {
        if let Some(timings) = &self.active.timings {
            timings.prevented();
        }
    }

    pub(super) fn tell_of_replay(&self, py: Python<'_>) {
        let about = self.named.about(self.attempts);
        notify::replayed(py, &self.active, about, self.meter.as_ref(), self.waited_since);
    }

    pub(super) fn begin_span(&mut self, py: Python<'_>, reconciles: bool) {
        if let Some(tracer) = &self.active.tracer {
            self.span = tracer.begin(py, self.named.about(self.attempts), reconciles);
        }
    }

    /// What became of the execution is known; the first word counts.
    pub(super) fn end_span(&mut self, py: Python<'_>, outcome: &str, error: Option<&PyErr>) {
        if let Some(span) = self.span.take() {
            span.end(py, outcome, error);
        }
    }
}
