//! Shadow mode: every call executes and gets its own result. What would have been prevented is told and counted, and
//! nothing that the store or the package has to say disturbs the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::executing::why_in_doubt;
use super::{Arrived, Call, Conclusion, Entry, Named, Stage, Step, is_interruption};
use crate::core::error::StoreError;
use crate::core::record::{Failure, Fingerprint, Payload, Record, Status};
use crate::py::engine::{Active, Engine};
use crate::py::execution::Execution;
use crate::py::log::{self, Level};
use crate::py::notify::{self, News, Told};
use crate::py::objects;
use crate::py::outcome;
use crate::py::rules::{OnInDoubt, SharedRules};
use crate::store::{Claimed, Ending};

/// What a duplicate would have come to.
pub(super) enum Prior {
    /// This result.
    Result(Payload),
    /// This exception.
    Failure(Failure),
    /// What another, which is under way, comes to.
    Running,
}

const WOULD_REPLAY: Told = ("would_replay", Level::Info, "shadow: a duplicate, executed all the same");
const WOULD_WAIT: Told = ("would_wait", Level::Info, "shadow: would have waited for another, executed at once");
const WOULD_RAISE_IN_PROGRESS: Told =
    ("would_raise_in_progress", Level::Info, "shadow: another is at it, executed all the same");
const WOULD_RAISE_REENTRANT: Told =
    ("would_raise_reentrant", Level::Info, "shadow: called inside its own execution, executed all the same");
const WOULD_RAISE_IN_DOUBT: Told =
    ("would_raise_in_doubt", Level::Info, "shadow: the action is in doubt, executed all the same");
const WOULD_RECONCILE: Told =
    ("would_reconcile", Level::Info, "shadow: the action is in doubt, executed without asking the reconciler");
const WOULD_RAISE_MISMATCH: Told =
    ("would_raise_mismatch", Level::Info, "shadow: the key is taken by other params, executed all the same");
const WOULD_RAISE_UNAVAILABLE: Told = (
    "would_raise_result_unavailable",
    Level::Info,
    "shadow: a duplicate of a result that could not be stored, executed all the same",
);
const DIFFERS: Told = (
    "differs",
    Level::Warning,
    "shadow: this execution came to something else than the one before, which a replay would have handed out",
);

impl Call {
    /// A call whose action could not be named, for this reason: it executes, and nothing is remembered of it.
    pub(in crate::py) fn unnamed(
        py: Python<'_>,
        engine: Arc<Engine>,
        active: Arc<Active>,
        rules: SharedRules,
        reason: &PyErr,
    ) -> Self {
        let named = Named {
            key: unnamed_key(&active.owner).into(),
            signal_id: Box::default(),
            action_type: Arc::default(),
            target: Arc::default(),
            fingerprint: Fingerprint([0; 32]),
            params: None,
            context: None,
            watched: None,
        };
        log::warn(py, &format!("shadow: executed without being remembered, since its key can't be made: {reason}"));
        let mut call = Self::new(engine, active, rules, named);
        call.unnamed = true;
        call
    }

    /// Whether its action could not be named.
    pub(in crate::py) const fn is_unnamed(&self) -> bool {
        self.unnamed
    }

    /// Whether it executes whatever the store says.
    pub(in crate::py) fn is_shadow(&self) -> bool {
        self.rules.shadow
    }

    /// Goes on with a claim that was not granted.
    pub(super) fn shadow(&mut self, py: Python<'_>, claimed: Claimed) -> Step {
        if self.cancelled.is_some() {
            return self.give(py, Conclusion::Cancelled);
        }
        let told = match claimed {
            Claimed::Replay { result, attempts } => {
                self.attempts = attempts;
                self.active.lint.duplicate(&self.named.key);
                let told = if matches!(result, Payload::Unavailable) { WOULD_RAISE_UNAVAILABLE } else { WOULD_REPLAY };
                self.prior = Some(Prior::Result(result));
                told
            }
            Claimed::ReplayFailure { failure, attempts } => {
                self.attempts = attempts;
                self.prior = Some(Prior::Failure(failure));
                WOULD_REPLAY
            }
            Claimed::InDoubt(record) => {
                self.attempts = record.attempts;
                let reconciles = matches!(self.rules.on_in_doubt, OnInDoubt::Reconcile(_));
                if reconciles { WOULD_RECONCILE } else { WOULD_RAISE_IN_DOUBT }
            }
            Claimed::Mismatch(record) => {
                self.attempts = record.attempts;
                WOULD_RAISE_MISMATCH
            }
            Claimed::Busy(_) | Claimed::Run(_) | Claimed::TakeOver(..) => {
                // The other, and this one.
                self.attempts = 2;
                self.prior = Some(Prior::Running);
                match Execution::surrounds(py, &self.named.key, &self.active.store) {
                    Ok(true) => WOULD_RAISE_REENTRANT,
                    _ if self.rules.waits => WOULD_WAIT,
                    _ => WOULD_RAISE_IN_PROGRESS,
                }
            }
        };
        notify::shadowed(py, &self.active, self.named.about(self.attempts), told);
        self.granted(py, Entry::Execute, Ending::Release)
    }

    /// Writes what goes wrong beside a call, and does not end it.
    pub(super) fn complain(&self, py: Python<'_>, text: &str) {
        log::write(py, Level::Warning, &format!("shadow: {text}"), self.named.about(self.attempts));
    }

    /// Ends with what the executor itself came to; of a duplicate, once that is held against what it would have got.
    pub(super) fn executed_in_shadow(&mut self, py: Python<'_>, result: PyResult<Py<PyAny>>) -> Step {
        let interrupted = result.as_ref().is_err_and(|error| is_interruption(py, error));
        match self.prior.take() {
            _ if interrupted => self.give_result(py, result),
            None => self.give_result(py, result),
            Some(Prior::Running) => {
                self.stage = Stage::Comparing(result);
                let reply = self.active.store.get(&self.named.key);
                self.take(py, reply, Arrived::Found)
            }
            Some(prior) => self.compare(py, &prior, result),
        }
    }

    /// Goes on with what another, which was under way, has come to by now.
    pub(super) fn compare_with(
        &mut self,
        py: Python<'_>,
        found: Result<Option<Record>, StoreError>,
        result: PyResult<Py<PyAny>>,
    ) -> Step {
        let prior = found.ok().flatten().and_then(|record| match record.status {
            Status::Completed { result, .. } => Some(Prior::Result(result)),
            Status::Failed { failure, .. } => Some(Prior::Failure(failure)),
            Status::InProgress { .. } | Status::InDoubt { .. } => None,
        });
        match prior {
            Some(prior) => self.compare(py, &prior, result),
            None => self.give_result(py, result),
        }
    }

    fn compare(&mut self, py: Python<'_>, prior: &Prior, result: PyResult<Py<PyAny>>) -> Step {
        match self.differs(py, prior, &result) {
            Ok(true) => notify::shadowed(py, &self.active, self.named.about(self.attempts), DIFFERS),
            // What can't be compared is not said to differ.
            Err(error) if is_interruption(py, &error) => return self.give_result(py, Err(error)),
            Ok(false) | Err(_) => {}
        }
        self.give_result(py, result)
    }

    fn differs(&self, py: Python<'_>, prior: &Prior, result: &PyResult<Py<PyAny>>) -> PyResult<bool> {
        match (prior, result) {
            (Prior::Result(Payload::Unavailable) | Prior::Running, _) => Ok(false),
            (Prior::Result(kept), Ok(value)) => self.is_another(kept, value.bind(py)),
            (Prior::Result(_), Err(_)) | (Prior::Failure(_), Ok(_)) => Ok(true),
            (Prior::Failure(kept), Err(error)) => {
                let failure = outcome::failure(py, error)?;
                Ok((&failure.class, &failure.text) != (&kept.class, &kept.text))
            }
        }
    }

    /// Whether a result is another than the one that is kept: by its encoding, or else as Python compares the two.
    fn is_another(&self, kept: &Payload, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = value.py();
        let (codec, converter) = (self.rules.codec.as_ref(), self.rules.converter.as_ref());
        let (payload, _) = outcome::encoded(value, codec, converter, true)?;
        if let (Payload::Json(one), Payload::Json(other)) | (Payload::Custom(one), Payload::Custom(other)) =
            (kept, &payload)
            && one == other
        {
            return Ok(false);
        }
        let converter = converter.map(|converter| converter.bind(py));
        let Some(kept) = objects::load(py, kept, converter, codec)? else { return Ok(false) };
        let kept = kept.into_bound(py);
        let object = py.import("builtins")?.getattr("object")?;
        // Without an equality of its own, any two objects differ.
        if kept.is(value) || value.get_type().getattr("__eq__")?.is(&object.getattr("__eq__")?) {
            return Ok(false);
        }
        kept.ne(value)
    }

    fn give_result(&mut self, py: Python<'_>, result: PyResult<Py<PyAny>>) -> Step {
        match result {
            Ok(value) => self.give(py, Conclusion::Return(value)),
            Err(error) => self.give(py, Conclusion::Raise(error)),
        }
    }

    /// Hands out what only an asynchronous call could await. Nothing is remembered of it.
    pub(in crate::py) fn hand_out_awaitable(&mut self, py: Python<'_>, value: Py<PyAny>) -> Step {
        self.leave(py);
        self.complain(py, "the executor returned an awaitable, which a synchronous call would refuse; not remembered");
        if self.held.is_none() {
            return self.give(py, Conclusion::Return(value));
        }
        self.end(py, Ending::Release, Conclusion::Return(value), None)
    }

    /// Leaves the action in doubt, and says why.
    pub(super) fn doubt_in_shadow(&mut self, py: Python<'_>, error: &PyErr) -> Step {
        let text = error.value(py).str().and_then(|text| text.extract::<PyBackedStr>());
        self.complain(py, text.as_deref().unwrap_or("left in doubt"));
        if self.held.is_none() {
            return self.give(py, Conclusion::Return(py.None()));
        }
        let why = why_in_doubt(py, error);
        self.end(py, Ending::Doubt(why), Conclusion::Return(py.None()), Some(News::InDoubt))
    }
}

/// A key that no other call has, so that what is derived from it is as good as random.
fn unnamed_key(owner: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("unnamed {owner} {now:x} {number:x}")
}
