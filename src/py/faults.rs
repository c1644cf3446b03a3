//! A test's word on what becomes of a manager's calls to its store (`FaultPlan`), and of its executions (`observe`).

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDelta;

use super::manager::Core;
use super::{convert, errors};
use crate::store::faulty::{Outcome, Plan, Verb};

/// What is to become of a manager's calls to its store, verb by verb, once `inject` has put it between the two.
///
/// The verbs are `claim`, `renew`, `dispatch`, `finish` (of a claim: with a result, a failure, in doubt, or released),
/// `mark`, `resolve`, `check`, `get`, `find`, `scan`, `cleanup_expired`, `remove_oldest`, `clear`, `clear_all`, `tally`,
/// `reset_tally` and `glance`. Outcomes of one verb come in the order in which they were planned; then its calls pass.
#[pyclass(frozen, name = "FaultPlan", module = "idempotency_manager.testing")]
#[derive(Default)]
pub(super) struct FaultPlan {
    pub(super) plan: Arc<Plan>,
}

fn verb(py: Python<'_>, name: &str) -> PyResult<Verb> {
    Verb::named(name).ok_or_else(|| {
        let known: Vec<_> = Verb::names().collect();
        errors::configuration(py, format!("there is no verb {name:?}; known are {}", known.join(", ")))
    })
}

fn duration(py: Python<'_>, by: &Bound<'_, PyAny>, field: &str) -> PyResult<Duration> {
    let delta = py.import("idempotency_manager._duration")?.call_method1("to_timedelta", (by, field))?;
    Ok(convert::span(delta.cast::<PyDelta>()?).into())
}

#[pymethods]
impl FaultPlan {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// The next calls find the store out of reach, and nothing is done. `times=None`: all that follow.
    #[pyo3(signature = (verb, times=Some(1)), text_signature = "($self, verb, times=1)")]
    fn fail_before(&self, py: Python<'_>, verb: &str, times: Option<u64>) -> PyResult<()> {
        self.plan.add(self::verb(py, verb)?, Outcome::FailBefore, times);
        Ok(())
    }

    /// The next calls are done, but the answer is lost: the caller finds the store out of reach.
    #[pyo3(signature = (verb, times=Some(1)), text_signature = "($self, verb, times=1)")]
    fn fail_after(&self, py: Python<'_>, verb: &str, times: Option<u64>) -> PyResult<()> {
        self.plan.add(self::verb(py, verb)?, Outcome::FailAfter, times);
        Ok(())
    }

    /// The next calls go well.
    #[pyo3(signature = (verb, times=Some(1)), text_signature = "($self, verb, times=1)")]
    fn succeed(&self, py: Python<'_>, verb: &str, times: Option<u64>) -> PyResult<()> {
        self.plan.add(self::verb(py, verb)?, Outcome::Pass, times);
        Ok(())
    }

    /// Every answer from here on takes this long: a `timedelta`, seconds, or text with a unit. 0 ends it.
    fn delay(&self, py: Python<'_>, verb: &str, by: &Bound<'_, PyAny>) -> PyResult<()> {
        let delay = duration(py, by, "by")?;
        self.plan.delay(self::verb(py, verb)?, Some(delay).filter(|delay| !delay.is_zero()));
        Ok(())
    }

    /// Answers to calls that are made from here on don't arrive until `let_go`; what was asked for is done.
    fn hold(&self, py: Python<'_>, verb: &str) -> PyResult<()> {
        self.plan.hold(self::verb(py, verb)?);
        Ok(())
    }

    /// Lets the answers that are held arrive, and those that follow.
    fn let_go(&self, py: Python<'_>, verb: &str) -> PyResult<()> {
        self.plan.let_go(self::verb(py, verb)?);
        Ok(())
    }

    /// Forgets all faults and delays, and lets all answers go; the counts stay.
    fn heal(&self) {
        self.plan.heal();
    }

    /// How often a verb was called.
    fn calls(&self, py: Python<'_>, verb: &str) -> PyResult<u64> {
        Ok(self.plan.calls(self::verb(py, verb)?))
    }

    /// Waits until a verb was called so often; `False` if that took longer than the timeout.
    #[pyo3(signature = (verb, calls=1, timeout=None))]
    fn wait_for(&self, py: Python<'_>, verb: &str, calls: u64, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let verb = self::verb(py, verb)?;
        let timeout = timeout.map_or(Ok(Duration::from_secs(10)), |timeout| duration(py, timeout, "timeout"))?;
        Ok(py.detach(|| self.plan.wait_for(verb, calls, timeout)))
    }
}

/// Has a test's witness see the executions of a manager's calls that follow; `None` for nobody any more.
#[pyfunction]
#[pyo3(signature = (core, witness))]
fn observe(core: &Bound<'_, Core>, witness: Option<Py<PyAny>>) {
    core.get().engine.observe(core.py(), witness);
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FaultPlan>()?;
    module.add_function(wrap_pyfunction!(observe, module)?)
}
