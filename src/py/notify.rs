//! Who is told of what: a log record of its level, and an event for `on_event`.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::engine::Active;
use super::log::{self, About, Level};
use super::objects::{Event, PyRecord};
use crate::core::clock::Span;
use crate::store::Reply;

/// What became of a claim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It ran, and its result is kept.
    Executed,
    /// The reconciler found that it had happened.
    Resolved,
    /// It raised.
    Failed,
    /// It was given back.
    Released,
    /// Nobody knows whether it happened.
    InDoubt,
    /// It was superseded, resolved or cleared meanwhile.
    LeaseLost,
}

/// The kind of an event, and the level and the text of a log record.
pub(super) type Told = (&'static str, Level, &'static str);

/// A duplicate was answered from a record.
pub(super) const REPLAYED: Told = ("replayed", Level::Info, "duplicate execution prevented");

impl News {
    pub(super) const fn told(self) -> Told {
        match self {
            Self::Executed => ("executed", Level::Debug, "executed for the first time"),
            Self::Resolved => ("resolved", Level::Info, "the reconciler found that it had been executed"),
            Self::Failed => ("failed", Level::Debug, "the execution failed"),
            Self::Released => ("released", Level::Debug, "released without an execution"),
            Self::InDoubt => ("in_doubt", Level::Warning, "left in doubt: it may or may not have been executed"),
            Self::LeaseLost => ("lease_lost", Level::Warning, "the lease was lost before the end"),
        }
    }
}

/// Tells what became of a claim, and how long it took where that was measured.
pub(super) fn news(py: Python<'_>, active: &Active, about: About<'_>, news: News, took: Option<Duration>) {
    tell(py, active, about, news.told(), took, || record(py, active, about.key));
}

/// Tells the log and `on_event`, which gets the record that is found.
pub(super) fn tell(
    py: Python<'_>,
    active: &Active,
    about: About<'_>,
    (kind, level, text): Told,
    took: Option<Duration>,
    find: impl FnOnce() -> PyResult<Option<Py<PyRecord>>>,
) {
    log::write(py, level, text, about);
    hand(py, active, kind, about.key, took, find);
}

/// Tells of a duplicate that was answered from a record; `waited_since` where it waited for it.
pub(super) fn replayed(py: Python<'_>, active: &Active, about: About<'_>, waited_since: Option<Instant>) {
    let (replayed, level, text) = REPLAYED;
    let kind = if waited_since.is_some() { "waited" } else { replayed };
    let took = waited_since.map(|since| since.elapsed());
    tell(py, active, about, (kind, level, text), took, || record(py, active, about.key));
    if let Some(witness) = &active.witness {
        heard(py, witness, witness.call_method1(py, "replayed", (about.key,)));
    }
}

/// What a test's witness raises at news is reported as unraisable: what it was told of has happened.
pub(super) fn heard(py: Python<'_>, witness: &Py<PyAny>, answer: PyResult<Py<PyAny>>) {
    if let Err(error) = answer {
        error.write_unraisable(py, Some(witness.bind(py)));
    }
}

/// Tells of what would have happened, or been another way, without shadow mode.
pub(super) fn shadowed(py: Python<'_>, active: &Active, about: About<'_>, told: Told) {
    tell(py, active, about, told, None, || record(py, active, about.key));
}

/// Tells of live records that were dropped to make room for a key.
pub(super) fn evicted(py: Python<'_>, active: &Active, about: About<'_>, count: usize) {
    let text = format!(
        "the cache is full: {count} live records were evicted, whose actions may run again; raise max_cache_size, \
         lower the ttl, or set on_full=\"raise\"; the new key"
    );
    log::write(py, Level::Warning, &text, about);
    event(py, active, "evicted", about.key, None);
}

/// Hands an event to `on_event`, with the record that the store has.
pub(super) fn event(py: Python<'_>, active: &Active, kind: &'static str, key: &str, took: Option<Duration>) {
    hand(py, active, kind, key, took, || record(py, active, key));
}

/// An exception of `on_event` is reported as unraisable: what it was told of has happened.
fn hand(
    py: Python<'_>,
    active: &Active,
    kind: &'static str,
    key: &str,
    took: Option<Duration>,
    find: impl FnOnce() -> PyResult<Option<Py<PyRecord>>>,
) {
    let Some(on_event) = &active.on_event else { return };
    let span = took.map(|took| Span::from_micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)));
    let handed = find()
        .and_then(|record| Event::new(py, kind, key, record, span))
        .and_then(|event| on_event.call1(py, (event,)));
    if let Err(error) = handed {
        error.write_unraisable(py, Some(on_event.bind(py)));
    }
}

/// The record as it is, where the store is in this process: an event is not worth a round trip.
fn record(py: Python<'_>, active: &Active, key: &str) -> PyResult<Option<Py<PyRecord>>> {
    if !active.store.is_local() {
        return Ok(None);
    }
    let Reply::Ready(Ok(Some(record))) = active.store.get(key) else { return Ok(None) };
    let codec = active.rules.codec.as_ref().map(|codec| codec.clone_ref(py));
    Py::new(py, PyRecord::new(Box::new(record), codec)).map(Some)
}
