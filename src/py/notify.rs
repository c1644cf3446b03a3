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

impl News {
    const fn told(self) -> (&'static str, Level, &'static str) {
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
    let (kind, level, text) = news.told();
    log::write(py, level, text, about);
    event(py, active, kind, about.key, took);
}

/// Tells of a duplicate that was answered from a record; `waited_since` where it waited for it.
pub(super) fn replayed(py: Python<'_>, active: &Active, about: About<'_>, waited_since: Option<Instant>) {
    log::write(py, Level::Info, "duplicate execution prevented", about);
    let kind = if waited_since.is_some() { "waited" } else { "replayed" };
    event(py, active, kind, about.key, waited_since.map(|since| since.elapsed()));
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

/// Hands an event to `on_event`, whose exception is reported as unraisable: what it was told of has happened.
pub(super) fn event(py: Python<'_>, active: &Active, kind: &'static str, key: &str, took: Option<Duration>) {
    let Some(on_event) = &active.on_event else { return };
    let span = took.map(|took| Span::from_micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)));
    let handed = record(py, active, key)
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
