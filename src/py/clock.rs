//! Clocks that Python gives or moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDelta;

use super::{convert, errors};
use crate::core::clock::{Clock, ManualClock, SystemClock, Timestamp};

/// A clock that moves only when told to, for tests: `ManualClock(start)`, then `advance("24h")`.
///
/// Args:
///     start: Where it stands at first, a timezone-aware `datetime`; the present if None.
#[pyclass(frozen, name = "ManualClock", module = "idempotency_manager.testing", subclass)]
#[derive(Debug)]
pub(super) struct PyManualClock(Arc<ManualClock>);

#[pymethods]
impl PyManualClock {
    #[new]
    #[pyo3(signature = (start=None))]
    fn new(py: Python<'_>, start: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let start = start.map_or_else(|| Ok(SystemClock::new().now()), |start| aware(py, start))?;
        Ok(Self(Arc::new(ManualClock::new(start))))
    }

    /// Give the instant at which the clock stands: a timezone-aware UTC `datetime`.
    fn now(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        convert::datetime(py, self.0.now()).map(Bound::unbind)
    }

    /// Move the clock forward.
    ///
    /// Args:
    ///     by: How far: a `timedelta`, a number of seconds, or text with a unit.
    fn advance(&self, py: Python<'_>, by: &Bound<'_, PyAny>) -> PyResult<()> {
        let delta = py.import("idempotency_manager._duration")?.call_method1("to_timedelta", (by, "by"))?;
        self.0.advance(convert::span(delta.cast::<PyDelta>()?));
        Ok(())
    }

    /// Set the clock.
    ///
    /// Args:
    ///     now: Where it stands from here on, a timezone-aware `datetime`.
    ///
    /// Raises:
    ///     ConfigurationError: It is not timezone-aware.
    fn set(&self, py: Python<'_>, now: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.set(aware(py, now)?);
        Ok(())
    }
}

fn aware(py: Python<'_>, time: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
    convert::timestamp(time).map_err(|error| {
        let cause = error.value(py).to_string();
        errors::configuration(py, format!("a clock tells timezone-aware datetimes, such as datetime.now(UTC): {cause}"))
    })
}

/// A clock written in Python: anything with `now()`.
#[derive(Debug)]
struct ForeignClock {
    clock: Py<PyAny>,
    last: AtomicI64,
}

impl Clock for ForeignClock {
    /// A clock that fails is reported as unraisable and stands still: a verb that is under way must end.
    fn now(&self) -> Timestamp {
        let asked = Python::try_attach(|py| {
            let now = self.clock.bind(py).call_method0("now").and_then(|now| aware(py, &now));
            now.map_err(|error| error.write_unraisable(py, Some(self.clock.bind(py)))).ok()
        });
        match asked.flatten() {
            Some(now) => {
                self.last.store(now.0, Ordering::Relaxed);
                now
            }
            None => Timestamp(self.last.load(Ordering::Relaxed)),
        }
    }
}

/// The clock a config names: the store's own, a [`PyManualClock`], or one written in Python, asked once to see that
/// it tells the time.
pub(super) fn of_config(clock: &Bound<'_, PyAny>, own: impl FnOnce() -> Arc<dyn Clock>) -> PyResult<Arc<dyn Clock>> {
    let py = clock.py();
    if clock.is_none() {
        return Ok(own());
    }
    if let Ok(manual) = clock.cast_exact::<PyManualClock>() {
        return Ok(Arc::clone(&manual.get().0) as Arc<dyn Clock>);
    }
    let now = clock
        .call_method0("now")
        .map_err(|error| errors::configuration(py, format!("clock: now() failed: {}", error.value(py))))?;
    let last = AtomicI64::new(aware(py, &now)?.0);
    Ok(Arc::new(ForeignClock { clock: clock.clone().unbind(), last }))
}
