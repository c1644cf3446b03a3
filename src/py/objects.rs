//! What Python is handed to look at: records, results of look-ups, statistics, events.

use std::sync::Arc;

use crate::py::once::ImportOnce;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use super::{codec, convert, errors};
use crate::core::action::parse_key;
use crate::core::clock::Span;
use crate::core::record::{Payload, Record, Status};
use crate::store::{Hit, Tally};

/// The object that a payload holds: decoded afresh, so that no caller can change what the next one sees.
/// `None` for one that could not be stored.
pub(super) fn load<'py>(
    py: Python<'py>,
    payload: &Payload,
    converter: Option<&Bound<'py, PyAny>>,
    codec: Option<&Py<PyAny>>,
) -> PyResult<Option<Py<PyAny>>> {
    Ok(Some(match payload {
        Payload::Json(bytes) => codec::decode(py, bytes, converter)?,
        Payload::Custom(bytes) => match codec {
            Some(codec) => codec.call_method1(py, "decode", (bytes.as_ref(),))?,
            None => errors::any(py, bytes.as_ref())?,
        },
        Payload::Local(object) => match object.downcast_ref::<Py<PyAny>>() {
            Some(object) => object.clone_ref(py),
            None => return Ok(None),
        },
        Payload::Unavailable => return Ok(None),
    }))
}

static STATE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// What the package remembers of a key, as it was when it was looked up.
#[pyclass(frozen, name = "IdempotencyRecord", module = "idempotency_manager")]
pub(super) struct PyRecord {
    record: Box<Record>,
    codec: Option<Py<PyAny>>,
}

impl PyRecord {
    pub(super) fn new(record: Box<Record>, codec: Option<Py<PyAny>>) -> Self {
        Self { record, codec }
    }

    /// The record itself.
    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    fn json(py: Python<'_>, bytes: Option<&Arc<[u8]>>) -> PyResult<Option<Py<PyAny>>> {
        bytes.map(|bytes| codec::decode_plain(py, bytes)).transpose()
    }

    const fn state_name(&self) -> &'static str {
        match self.record.status {
            Status::InProgress { .. } => "in_progress",
            Status::Completed { .. } => "completed",
            Status::Failed { .. } => "failed",
            Status::InDoubt { .. } => "in_doubt",
        }
    }
}

#[pymethods]
impl PyRecord {
    /// The key.
    #[getter]
    fn key(&self) -> &str {
        &self.record.key
    }

    /// Where it stands: a `State`.
    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        STATE.imported(py, "idempotency_manager._types", "State")?.call1((self.state_name(),))
    }

    /// The event that asked for the action, where it is known.
    #[getter]
    fn signal_id(&self) -> Option<&str> {
        self.record.labels.signal_id.as_deref()
    }

    /// The action's type, where it is known.
    #[getter]
    fn action_type(&self) -> Option<&str> {
        self.record.labels.action_type.as_deref()
    }

    /// The platform it acts on, where it is known.
    #[getter]
    fn target(&self) -> Option<&str> {
        self.record.labels.target.as_deref()
    }

    /// The params, where they are kept: a fresh dict.
    #[getter]
    fn params(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Self::json(py, self.record.params.as_ref())
    }

    /// The context that was given: a fresh dict.
    #[getter]
    fn context(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Self::json(py, self.record.context.as_ref())
    }

    /// The result, decoded afresh; `None` until completed, and for one that could not be stored.
    #[getter]
    fn result(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match &self.record.status {
            Status::Completed { result: Payload::Json(bytes), .. } => codec::decode_plain(py, bytes).map(Some),
            Status::Completed { result, .. } => load(py, result, None, self.codec.as_ref()),
            _ => Ok(None),
        }
    }

    /// When it finished; `None` until then.
    #[getter]
    fn executed_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.record.status {
            Status::Completed { at, .. } | Status::Failed { at, .. } => convert::datetime(py, at).map(Some),
            _ => Ok(None),
        }
    }

    /// When the newest claim began; since when the effect may have happened, for an action that was taken over.
    #[getter]
    fn started_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::datetime(py, self.record.started_at)
    }

    /// When a finished record ends. An unfinished one does not leave then.
    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::datetime(py, self.record.expires_at)
    }

    /// Executions and prevented duplicates together.
    #[getter]
    fn attempt_count(&self) -> u32 {
        self.record.attempts
    }

    /// `host:pid` of the newest claim.
    #[getter]
    fn owner(&self) -> Option<&str> {
        self.record.owner.as_deref()
    }

    /// The exception's type and text, where one left it failed or in doubt.
    #[getter]
    fn error(&self) -> Option<String> {
        match &self.record.status {
            Status::Failed { failure, .. } => Some(format!("{}: {}", failure.class, failure.text)),
            Status::InDoubt { error } => error.as_deref().map(String::from),
            _ => None,
        }
    }

    /// Neither the result nor the params: they may be secrets.
    fn __repr__(&self) -> String {
        format!(
            "IdempotencyRecord(key={:?}, state={}, attempt_count={})",
            self.record.key,
            self.state_name(),
            self.record.attempts
        )
    }

    /// Copies and pickles as a plain namespace of the same attributes: a record is a look at a store, and an
    /// exception that carries one must survive the way between processes.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        let py = slf.py();
        let fields = PyDict::new(py);
        for name in FIELDS {
            fields.set_item(name, slf.getattr(name)?)?;
        }
        Ok((py.import("idempotency_manager._revive")?.getattr("restore_record")?, (fields,)))
    }
}

const FIELDS: [&str; 14] = [
    "key",
    "state",
    "signal_id",
    "action_type",
    "target",
    "params",
    "context",
    "result",
    "executed_at",
    "started_at",
    "expires_at",
    "attempt_count",
    "owner",
    "error",
];

/// What `check_executed` found.
#[pyclass(frozen, get_all, module = "idempotency_manager")]
pub(super) struct CheckResult {
    /// Whether it is finished and still kept.
    executed: bool,
    /// Its result, where it completed.
    cached_result: Py<PyAny>,
    /// When it finished: a `datetime` or `None`.
    executed_at: Py<PyAny>,
    /// The key.
    idempotency_key: String,
    /// Time left: a `timedelta` or `None`.
    ttl: Py<PyAny>,
}

impl CheckResult {
    pub(super) fn new(py: Python<'_>, key: String, hit: Option<&Hit>, codec: Option<&Py<PyAny>>) -> PyResult<Self> {
        let none = || py.None();
        let Some(hit) = hit else {
            let (cached_result, executed_at, ttl) = (none(), none(), none());
            return Ok(Self { executed: false, cached_result, executed_at, idempotency_key: key, ttl });
        };
        let result = hit.outcome.as_ref().ok().map(|payload| load(py, payload, None, codec)).transpose()?;
        Ok(Self {
            executed: true,
            cached_result: result.flatten().unwrap_or_else(none),
            executed_at: convert::datetime(py, hit.executed_at)?.unbind(),
            idempotency_key: key,
            ttl: errors::any(py, convert::timedelta(py, hit.ttl)?)?,
        })
    }
}

#[pymethods]
impl CheckResult {
    fn __repr__(&self) -> String {
        format!("CheckResult(executed={}, idempotency_key={:?})", python_bool(self.executed), self.idempotency_key)
    }
}

const fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// Counters of a manager, and what its store holds now.
#[pyclass(frozen, get_all, eq, module = "idempotency_manager")]
#[derive(PartialEq)]
pub(super) struct IdempotencyStats {
    /// Live finished records.
    total_cached: u64,
    /// Calls answered from a record instead of executing.
    duplicates_prevented: u64,
    /// Calls in shadow mode that would have been: they were executed all the same.
    would_have_prevented: u64,
    /// Look-ups that found a finished record.
    cache_hits: u64,
    /// Look-ups that did not.
    cache_misses: u64,
    /// Hits of all look-ups, in percent; 0.0 with none.
    hit_rate: f64,
    /// Expired records that were removed.
    expired_cleaned: u64,
    /// Live records that were dropped because the cache was full.
    evicted: u64,
    /// Live claims.
    in_progress: u64,
    /// Records in doubt, lapsed claims included.
    in_doubt: u64,
}

/// A share in percent; 0 of nothing.
#[allow(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

impl IdempotencyStats {
    pub(super) fn new(tally: &Tally) -> Self {
        Self {
            total_cached: tally.finished,
            duplicates_prevented: tally.duplicates_prevented,
            would_have_prevented: tally.would_have_prevented,
            cache_hits: tally.hits,
            cache_misses: tally.misses,
            hit_rate: percent(tally.hits, tally.hits + tally.misses),
            expired_cleaned: tally.expired_cleaned,
            evicted: tally.evicted,
            in_progress: tally.in_progress,
            in_doubt: tally.in_doubt,
        }
    }
}

#[pymethods]
impl IdempotencyStats {
    fn __repr__(&self) -> String {
        format!(
            "IdempotencyStats(total_cached={}, duplicates_prevented={}, would_have_prevented={}, cache_hits={}, \
             cache_misses={}, hit_rate={:.1}, expired_cleaned={}, evicted={}, in_progress={}, in_doubt={})",
            self.total_cached,
            self.duplicates_prevented,
            self.would_have_prevented,
            self.cache_hits,
            self.cache_misses,
            self.hit_rate,
            self.expired_cleaned,
            self.evicted,
            self.in_progress,
            self.in_doubt
        )
    }
}

/// How full a manager's store is.
#[pyclass(frozen, get_all, module = "idempotency_manager")]
pub(super) struct CacheInfo {
    /// Live records of any state.
    current_size: u64,
    /// Records at most; `None` for no cap.
    max_size: Option<usize>,
    /// Size of the cap in percent; 0.0 with no cap.
    utilization_percent: f64,
    /// When the oldest record finished or began: a `datetime`, or `None` of none.
    oldest_entry: Py<PyAny>,
    /// When the newest record finished or began: a `datetime`, or `None` of none.
    newest_entry: Py<PyAny>,
}

impl CacheInfo {
    pub(super) fn new(py: Python<'_>, tally: &Tally, max_size: Option<usize>) -> PyResult<Self> {
        let current_size = tally.finished + tally.in_progress + tally.in_doubt;
        let time = |time: Option<_>| errors::any(py, time.map(|time| convert::datetime(py, time)).transpose()?);
        Ok(Self {
            current_size,
            max_size,
            utilization_percent: max_size.map_or(0.0, |max| percent(current_size, max as u64)),
            oldest_entry: time(tally.oldest)?,
            newest_entry: time(tally.newest)?,
        })
    }
}

#[pymethods]
impl CacheInfo {
    fn __repr__(&self) -> String {
        let max = self.max_size.map_or_else(|| String::from("None"), |max| max.to_string());
        format!(
            "CacheInfo(current_size={}, max_size={max}, utilization_percent={:.1})",
            self.current_size, self.utilization_percent
        )
    }
}

/// What happened, for `on_event`.
#[pyclass(frozen, get_all, module = "idempotency_manager")]
pub(super) struct Event {
    /// What happened.
    ///
    /// `executed`, `replayed`, `waited`, `failed`, `in_doubt`, `resolved`, `released`, `evicted` or `lease_lost`; in shadow mode
    /// also `differs`, and what would have happened: `would_replay`, `would_wait`, `would_raise_in_progress`,
    /// `would_raise_reentrant`, `would_raise_in_doubt`, `would_reconcile`, `would_raise_mismatch` or
    /// `would_raise_result_unavailable`.
    kind: &'static str,
    /// The key.
    key: String,
    /// The record after it, where the store has it at hand.
    record: Option<Py<PyRecord>>,
    /// How long it took: a `timedelta`, where it took time.
    duration: Py<PyAny>,
}

impl Event {
    pub(super) fn new(
        py: Python<'_>,
        kind: &'static str,
        key: &str,
        record: Option<Py<PyRecord>>,
        duration: Option<Span>,
    ) -> PyResult<Self> {
        let duration = errors::any(py, duration.map(|span| convert::timedelta(py, span)).transpose()?)?;
        Ok(Self { kind, key: key.into(), record, duration })
    }
}

#[pymethods]
impl Event {
    fn __repr__(&self) -> String {
        format!("Event(kind={:?}, key={:?})", self.kind, self.key)
    }
}

/// The labels that a key itself gives, where it is one of ours.
pub(super) fn labels_of(key: &str) -> crate::core::record::Labels {
    parse_key(key).map_or_else(
        |_| crate::core::record::Labels::default(),
        |parsed| crate::core::record::Labels {
            signal_id: Some(parsed.signal_id.into()),
            action_type: Some(parsed.action_type.into()),
            target: Some(parsed.target.into()),
        },
    )
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyRecord>()?;
    module.add_class::<CheckResult>()?;
    module.add_class::<IdempotencyStats>()?;
    module.add_class::<CacheInfo>()?;
    module.add_class::<Event>()
}
