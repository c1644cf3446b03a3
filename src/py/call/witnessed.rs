//! What a test's witness sees of an execution, and the faults that it has happen at its two ends.
//!
//! The witness is a Python object: `begins((key, signal_id, action_type, target), params)` answers with what it knows the
//! execution by, which hears `returned(result)` or `raised(error)`, and `settled(kind)`. What `begins`, `returned` or `raised`
//! raises is the death of the process at that point: nothing more is written, and the lease is over.

use pyo3::prelude::*;

use super::{Call, Step};
use crate::core::clock::Span;
use crate::core::error::StoreError;
use crate::py::{codec, drive, errors, notify};
use crate::store::ClaimRequest;

impl Call {
    /// Goes on to the executor, unless the process dies before.
    pub(super) fn execute(&mut self, py: Python<'_>) -> Step {
        let Some(witness) = &self.active.witness else { return Step::Execute };
        let named = &self.named;
        let params = named.params.as_deref().map(|bytes| codec::decode_plain(py, bytes)).transpose();
        let action = (&*named.key, &*named.signal_id, &*named.action_type, &*named.target);
        match params.and_then(|params| witness.call_method1(py, "begins", (action, params))) {
            Ok(seen) => {
                self.seen = Some(seen);
                Step::Execute
            }
            Err(death) => self.die(py, death),
        }
    }

    /// Tells the witness what the executor came to, and has happen what it answers; the last step of a process that dies.
    pub(super) fn witness_end(&mut self, py: Python<'_>, result: &PyResult<Py<PyAny>>) -> Option<Step> {
        let seen = self.seen.as_ref()?;
        let answer = match result {
            Ok(value) => seen.call_method1(py, "returned", (value,)),
            Err(error) => seen.call_method1(py, "raised", (error.value(py),)),
        };
        let fault = answer.and_then(|fault| fault.extract::<Option<String>>(py));
        let happened = fault.and_then(|fault| match fault.as_deref() {
            None => Ok(()),
            Some("store_down") => {
                self.is_store_down = true;
                self.lapse(py)
            }
            Some("lease_lost") => self.lose(py),
            Some(other) => Err(errors::configuration(py, format!("no fault is called {other:?}"))),
        });
        happened.err().map(|death| self.die(py, death))
    }

    /// Tells the witness how the books were closed.
    pub(super) fn tell_witness(&self, py: Python<'_>, kind: &str) {
        if let Some(seen) = &self.seen {
            notify::heard(py, seen, seen.call_method1(py, "settled", (kind,)));
        }
    }

    /// Tells the witness that this call has met another that executes.
    pub(super) fn tell_witness_busy(&self, py: Python<'_>) {
        if let Some(witness) = &self.active.witness {
            notify::heard(py, witness, witness.call_method1(py, "busy", (&*self.named.key,)));
        }
    }

    /// Ends as a process does that is killed: the record stays as it is, and its owner is known to be gone.
    fn die(&mut self, py: Python<'_>, death: PyErr) -> Step {
        self.leave(py);
        let lapsed = self.lapse(py);
        self.let_go();
        self.raise(lapsed.err().unwrap_or(death))
    }

    /// Has the lease end now, so that a test need not wait for it.
    fn lapse(&self, py: Python<'_>) -> PyResult<()> {
        let Some(hold) = self.hold_to_dispatch() else { return Ok(()) };
        let renewed = drive::settle(py, self.active.store.renew(&[hold], Span::default()))?;
        renewed.map(drop).map_err(|error: StoreError| errors::of_store(py, &error))
    }

    /// Has another caller take the action over, and vanish.
    fn lose(&self, py: Python<'_>) -> PyResult<()> {
        if self.held.is_none() {
            return Ok(());
        }
        self.lapse(py)?;
        let request =
            ClaimRequest { takes_over: true, refuses_to_wait: true, lease: Span::default(), ..self.request(false) };
        let claimed = drive::settle(py, self.active.store.claim(&request))?;
        claimed.map(drop).map_err(|error| errors::of_store(py, &error))
    }
}
