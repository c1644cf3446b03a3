//! Times and durations between the core and Python.

use crate::py::once::Once;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyDelta, PyDeltaAccess, PyTzInfo};

use crate::core::clock::{Span, Timestamp};

const MICROS_PER_DAY: u64 = 86_400_000_000;
/// The last instant a `datetime` can name, 9999-12-31T23:59:59.999999Z; later ones are shown as this.
const LAST: i64 = 253_402_300_799_999_999;
/// The first one, 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800_000_000;

static EPOCH: PyOnceLock<Py<PyDateTime>> = PyOnceLock::new();

fn epoch(py: Python<'_>) -> PyResult<&Bound<'_, PyDateTime>> {
    let epoch = EPOCH.made(py, || {
        let utc = PyTzInfo::utc(py)?;
        PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc)).map(Bound::unbind)
    })?;
    Ok(epoch.bind(py))
}

fn delta(py: Python<'_>, micros: i64) -> PyResult<Bound<'_, PyDelta>> {
    const SECOND: i64 = 1_000_000;
    const DAY: i64 = MICROS_PER_DAY.cast_signed();
    let within = |part: i64| i32::try_from(part).map_err(|_| PyOverflowError::new_err("duration out of range"));
    let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    PyDelta::new(py, within(days)?, within(rest / SECOND)?, within(rest % SECOND)?, false)
}

/// A timezone-aware UTC `datetime`.
pub(super) fn datetime(py: Python<'_>, time: Timestamp) -> PyResult<Bound<'_, PyAny>> {
    epoch(py)?.add(delta(py, time.0.clamp(FIRST, LAST))?)
}

/// The instant of a timezone-aware `datetime`.
pub(super) fn timestamp(time: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
    let since = time.sub(epoch(time.py())?)?;
    Ok(Timestamp(micros(since.cast::<PyDelta>()?)))
}

/// A `timedelta`.
pub(super) fn timedelta(py: Python<'_>, span: Span) -> PyResult<Bound<'_, PyDelta>> {
    delta(py, i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
}

/// The microseconds of a `timedelta`, cut off at what the core can hold.
fn micros(delta: &Bound<'_, PyDelta>) -> i64 {
    let days = i64::from(delta.get_days()).saturating_mul(MICROS_PER_DAY.cast_signed());
    days.saturating_add(i64::from(delta.get_seconds()) * 1_000_000).saturating_add(i64::from(delta.get_microseconds()))
}

/// The span of a `timedelta`; a negative one is none.
pub(super) fn span(delta: &Bound<'_, PyDelta>) -> Span {
    Span::from_micros(u64::try_from(micros(delta)).unwrap_or(0))
}
