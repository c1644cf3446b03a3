//! What the claim got, and the execution it begins.

use std::sync::Arc;

use pyo3::prelude::*;

use super::{Call, Claim, Conclusion, Entry, Lookup, Stage, Step};
use crate::core::clock::Span;
use crate::core::error::StoreError;
use crate::core::record::{Failure, Payload, Record};
use crate::py::errors;
use crate::py::execution::{EXECUTION, Execution};
use crate::py::log::{self, Level};
use crate::py::notify;
use crate::py::objects;
use crate::py::outcome;
use crate::py::rules::OnInDoubt;
use crate::store::{Begun, Claimed, Ending, Hold};

impl Call {
    /// Goes on with what the claim got.
    pub(in crate::py) fn claimed(&mut self, py: Python<'_>, claimed: Claimed) -> Step {
        match claimed {
            Claimed::Run(begun) => self.run(py, begun),
            Claimed::TakeOver(begun, record) => self.take_over(py, begun, record),
            other if self.rules.shadow => self.shadow(py, other),
            Claimed::Replay { result, attempts } => {
                self.attempts = attempts;
                self.active.lint.duplicate(&self.named.key);
                self.note_replay();
                let result = self.replay(py, &result);
                match result {
                    Ok(Some(value)) => self.give(py, Conclusion::Return(value)),
                    Ok(None) => self.look_up(py, Lookup::ResultUnavailable),
                    Err(error) => self.raise(error),
                }
            }
            Claimed::ReplayFailure { failure, attempts } => {
                self.attempts = attempts;
                self.note_replay();
                self.replay_failure(py, &failure)
            }
            Claimed::Busy(changed) => self.busy(py, changed),
            Claimed::InDoubt(record) => {
                self.attempts = record.attempts;
                let record = self.record(py, record);
                self.raise(errors::exception(py, "InDoubtError", (record,)))
            }
            Claimed::Mismatch(record) => {
                let record = self.record(py, record);
                self.raise(errors::exception(py, "ParamsMismatchError", (record,)))
            }
        }
    }

    /// Executes under a claim, unless it was cancelled meanwhile.
    fn run(&mut self, py: Python<'_>, begun: Begun) -> Step {
        if let Some(step) = self.hold(py, begun, Ending::Release) {
            return step;
        }
        if begun.attempts == 1 {
            self.lint(py);
        }
        self.granted(py, Entry::Execute, Ending::Release)
    }

    /// Has a first run looked at, and warns of what it shows.
    fn lint(&self, py: Python<'_>) {
        let settings = &self.active.settings;
        if let Some(enough) = settings.warn_volatile_after
            && settings.include_params_in_key
            && let Some(found) = self.active.lint.first_run(&self.named, enough)
        {
            found.warn(py, &self.named, enough);
        }
    }

    /// The books of a replay, and its value.
    pub(super) fn replay(&mut self, py: Python<'_>, result: &Payload) -> PyResult<Option<Py<PyAny>>> {
        notify::replayed(py, &self.active, self.named.about(self.attempts), self.waited_since);
        let converter = self.rules.converter.as_ref().map(|converter| converter.bind(py));
        objects::load(py, result, converter, self.rules.codec.as_ref())
    }

    pub(super) fn replay_failure(&mut self, py: Python<'_>, failure: &Failure) -> Step {
        notify::replayed(py, &self.active, self.named.about(self.attempts), self.waited_since);
        match outcome::rebuild(py, failure, &self.rules) {
            Ok(None) => self.look_up(py, Lookup::PreviousFailure),
            Ok(Some(error)) | Err(error) => self.raise(error),
        }
    }

    pub(super) fn take_over(&mut self, py: Python<'_>, begun: Begun, record: Box<Record>) -> Step {
        let was = Box::<str>::from(record.why_in_doubt());
        if let Some(step) = self.hold(py, begun, Ending::Doubt(was.clone())) {
            return step;
        }
        let undo = Ending::Doubt(was.clone());
        let OnInDoubt::Reconcile(reconciler) = &self.rules.on_in_doubt else {
            return self.granted(py, Entry::Execute, undo);
        };
        let reconciler = reconciler.clone_ref(py);
        let record = Py::new(py, self.record(py, record));
        self.attempt(record, |call, record| call.granted(py, Entry::Reconcile(reconciler, record, was), undo))
    }

    /// Starts at once, or, in a batch, when it is told to.
    pub(super) fn granted(&mut self, py: Python<'_>, entry: Entry, undo: Ending) -> Step {
        if self.batched.is_none() {
            return self.start_with(py, entry);
        }
        self.stage = Stage::Granted(entry, undo);
        Step::Granted
    }

    pub(super) fn start_with(&mut self, py: Python<'_>, entry: Entry) -> Step {
        match entry {
            Entry::Execute => match self.enter(py, Step::Execute) {
                Step::Execute => self.execute(py),
                step => step,
            },
            Entry::Reconcile(reconciler, record, was) => {
                let step = self.enter(py, Step::Reconcile(reconciler, record));
                if matches!(step, Step::Reconcile(..)) {
                    self.stage = Stage::Reconciling(was);
                }
                step
            }
        }
    }

    /// Takes a claim that was granted; a call that was cancelled meanwhile gives it back.
    pub(super) fn hold(&mut self, py: Python<'_>, begun: Begun, undo: Ending) -> Option<Step> {
        self.attempts = begun.attempts;
        let hold = Hold { key: Arc::clone(&self.named.key), fence: begun.fence };
        let lease = self.active.settings.lease();
        let (place, running) = self.engine.keeper.watch(&self.engine, hold, &self.active.store, lease);
        self.held = Some(Claim { place, running });
        if self.cancelled.is_some() {
            return Some(self.end(py, undo, Conclusion::Cancelled, None));
        }
        if begun.evicted > 0 {
            notify::evicted(py, &self.active, self.named.about(begun.attempts), begun.evicted);
        }
        None
    }

    /// Makes the execution current, for the executor or the reconciler.
    pub(super) fn enter(&mut self, py: Python<'_>, step: Step) -> Step {
        self.stage = Stage::Executing;
        let running = self.held.as_ref().map(|held| Arc::clone(&held.running));
        let key = Arc::clone(&self.named.key);
        // In shadow mode nobody is to give up for want of time.
        let unclaimed = if self.rules.shadow { self.active.settings.lease() } else { Span::default() };
        let entered = Execution::new(py, key, self.attempts, running, Some(&*self.rules))
            .and_then(|execution| Py::new(py, execution.leased_for(unclaimed)))
            .and_then(|execution| Ok((EXECUTION.set(execution.bind(py))?, execution)));
        match entered {
            Ok((token, execution)) => {
                self.entered = Some((execution, token));
                step
            }
            Err(error) => self.end(py, Ending::Release, Conclusion::Raise(error), None),
        }
    }

    /// Leaves the context as it was found. A generator-like caller that is closed in another context can't, and need
    /// not: that context is gone.
    pub(super) fn leave(&mut self, py: Python<'_>) {
        if let Some((execution, token)) = self.entered.take() {
            execution.get().end();
            drop(EXECUTION.reset(token.bind(py)));
        }
    }

    pub(super) fn not_claimed(&mut self, py: Python<'_>, error: &StoreError) -> Step {
        if self.rules.shadow && self.cancelled.is_none() {
            self.complain(py, &format!("executed without being remembered, because {error}"));
            return self.granted(py, Entry::Execute, Ending::Release);
        }
        let unreachable = matches!(error, StoreError::Unavailable(_) | StoreError::Failed(_));
        if unreachable && self.active.settings.execute_without_store && self.cancelled.is_none() {
            log::write(
                py,
                Level::Warning,
                &format!("executing without protection, because {error}"),
                self.named.about(0),
            );
            return self.granted(py, Entry::Execute, Ending::Release);
        }
        self.raise(errors::of_store(py, error))
    }
}
