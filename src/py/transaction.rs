//! What a call in a caller's own transaction takes from here. Its statements go through the caller's connection, in Python;
//! what a row means, what a claim of it meets and who is told is the same as for a store.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::call::Named;
use super::engine;
use super::execution::Execution;
use super::log::{self, About, Level};
use super::manager::Core;
use super::naming;
use super::notify::{self, News};
use super::objects::PyRecord;
use super::outcome;
use crate::core::clock::{Span, Timestamp};
use crate::core::machine::{Decision, Request, decide};
use crate::core::record::{Failure, Fence, Fingerprint, Labels, Payload, Record, Status};
use crate::store::kept::{Kept, State, latch_of_word};
use crate::store::process::ProcessIdentity;
use crate::store::process::Reach;
use crate::store::{postgres, sqlite};

/// A column that text or a codec's bytes may lie in.
#[derive(FromPyObject)]
enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

/// A `Row` of Python's.
#[derive(FromPyObject)]
struct Row {
    fence: u64,
    key: String,
    state: String,
    attempts: u32,
    started_at: i64,
    expires_at: i64,
    signal_id: Option<String>,
    action_type: Option<String>,
    target: Option<String>,
    fingerprint: Option<[u8; 32]>,
    owner: Option<String>,
    owner_process: Option<String>,
    latch: Option<String>,
    lease_until: Option<i64>,
    executed_at: Option<i64>,
    result: Option<Value>,
    error: Option<String>,
    error_type: Option<String>,
    error_args: Option<String>,
    params: Option<String>,
    context: Option<String>,
}

impl Row {
    fn kept(mut self) -> PyResult<Kept> {
        let status = self.status()?;
        let record = Record {
            key: self.key.into(),
            labels: Labels {
                signal_id: self.signal_id.map(Into::into),
                action_type: self.action_type.map(Into::into),
                target: self.target.map(Into::into),
            },
            fingerprint: self.fingerprint.map(Fingerprint),
            fence: Fence(self.fence),
            status,
            started_at: Timestamp(self.started_at),
            expires_at: Timestamp(self.expires_at),
            attempts: self.attempts,
            owner: self.owner.map(Into::into),
            params: self.params.map(|json| json.into_bytes().into()),
            context: self.context.map(|json| json.into_bytes().into()),
        };
        Ok(Kept::new(record, self.owner_process.map(Into::into), Reach::OneMachine))
    }

    fn status(&mut self) -> PyResult<Status> {
        let unknown = |word: &str| PyValueError::new_err(format!("no record is {word:?}"));
        let at = Timestamp(self.executed_at.unwrap_or_default());
        let text = self.error.take().map(String::into_boxed_str);
        Ok(match State::of_word(self.state.as_bytes()).ok_or_else(|| unknown(&self.state))? {
            State::InProgress => Status::InProgress {
                lease_until: Timestamp(self.lease_until.unwrap_or_default()),
                latch: latch_of_word(self.latch.as_deref().map(str::as_bytes))
                    .ok_or_else(|| unknown(self.latch.as_deref().unwrap_or_default()))?,
            },
            State::InDoubt => Status::InDoubt { error: text },
            State::Completed => Status::Completed {
                at,
                result: match self.result.take() {
                    Some(Value::Text(json)) => Payload::Json(json.into_bytes().into()),
                    Some(Value::Bytes(bytes)) => Payload::Custom(bytes.into()),
                    None => Payload::Unavailable,
                },
            },
            State::Failed => Status::Failed {
                at,
                failure: Failure {
                    class: self.error_type.take().unwrap_or_default().into(),
                    text: text.unwrap_or_default(),
                    args: self.error_args.take().map(|json| json.into_bytes().into()),
                },
            },
        })
    }
}

/// What a call is about: a `Named` of Python's.
#[derive(FromPyObject)]
struct Names {
    key: String,
    signal_id: String,
    action_type: String,
    target: String,
}

impl Names {
    fn about(&self, attempts: u32) -> About<'_> {
        About {
            key: &self.key,
            signal_id: &self.signal_id,
            action_type: &self.action_type,
            target: &self.target,
            attempts,
        }
    }
}

type Fields<'py> = (String, String, String, String, Bound<'py, PyBytes>, Option<String>, Option<String>);

/// The fields of a `Named` of Python's: the action as a store's caller would name it.
#[pyfunction]
fn name_action<'py>(core: &Bound<'py, Core>, action: &Bound<'py, PyAny>) -> PyResult<Fields<'py>> {
    let py = action.py();
    let named = naming::of_action(&*core.get().engine.active(py)?, action)?;
    let Named { key, signal_id, action_type, target, fingerprint, params, context, .. } = named;
    let text = |json: Option<std::sync::Arc<[u8]>>| json.map(|json| String::from_utf8(json.to_vec())).transpose();
    Ok((
        key.as_ref().into(),
        signal_id.into(),
        action_type.as_ref().into(),
        target.as_ref().into(),
        PyBytes::new(py, &fingerprint.0),
        text(params)?,
        text(context)?,
    ))
}

/// What a claim of this row meets, as a word, and the attempts with this call.
#[pyfunction]
fn meet_row(row: Row, fingerprint: Option<[u8; 32]>, now: i64, takes_over: bool) -> PyResult<(&'static str, u32)> {
    let (kept, now, fingerprint) = (row.kept()?, Timestamp(now), fingerprint.map(Fingerprint));
    let request = Request::Claim { fingerprint: fingerprint.as_ref(), takes_over };
    let word = match decide(Some(kept.stored(now)), request, now) {
        Decision::Run => "run",
        Decision::TakeOver => "take_over",
        Decision::Replay => "replay",
        Decision::ReplayFailure => "replay_failure",
        Decision::Busy => "busy",
        Decision::InDoubt => "in_doubt",
        Decision::Mismatch => "mismatch",
        other => unreachable!("a claim is not answered by {other:?}"),
    };
    Ok((word, kept.attempts_after(now)))
}

/// The record that this row is, as a reader sees it.
#[pyfunction]
fn record_of_row(row: Row, now: i64, codec: Option<Py<PyAny>>) -> PyResult<PyRecord> {
    Ok(PyRecord::new(Box::new(row.kept()?.seen(Timestamp(now))), codec))
}

/// A result as its column has it; `None`, with a warning, where it can't be stored.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "an argument that is made of a Python object belongs to the call")]
fn column_of_result<'py>(
    named: Names,
    attempts: u32,
    result: &Bound<'py, PyAny>,
    codec: Option<Py<PyAny>>,
    converter: Option<Py<PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = result.py();
    let (payload, warning) = outcome::encoded(result, codec.as_ref(), converter.as_ref(), false)?;
    if let Some(warning) = warning {
        log::write(py, Level::Warning, &warning, named.about(attempts));
    }
    Ok(match payload {
        Payload::Json(bytes) => Some(PyString::from_bytes(py, &bytes)?.into_any()),
        Payload::Custom(bytes) => Some(PyBytes::new(py, &bytes).into_any()),
        Payload::Local(_) | Payload::Unavailable => None,
    })
}

/// What is kept of an exception: `module.qualname` of its class, its text, and its args where they have an encoding.
#[pyfunction]
fn columns_of_failure(error: &Bound<'_, PyAny>) -> PyResult<(String, String, Option<String>)> {
    let Failure { class, text, args } = outcome::failure(error.py(), &PyErr::from_value(error.clone()))?;
    Ok((class.into(), text.into(), args.map(|json| String::from_utf8(json.to_vec())).transpose()?))
}

/// `host:pid` of this process, and what tells it from any other that ever had its pid.
#[pyfunction]
fn claim_owner() -> (String, String) {
    (engine::owner().as_ref().into(), ProcessIdentity::current().text().as_ref().into())
}

/// Makes an execution of a key the current one, the whole of its lease before it; `leave_execution` takes the answer.
#[pyfunction]
fn enter_execution(py: Python<'_>, key: &str, attempts: u32, lease: u64) -> PyResult<(Py<Execution>, Py<PyAny>)> {
    Execution::enter_in_transaction(py, key, attempts, Span::from_micros(lease))
}

/// Ends what `enter_execution` began.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "an argument that is made of a Python object belongs to the call")]
fn leave_execution(py: Python<'_>, entered: (Py<Execution>, Py<PyAny>)) {
    Execution::leave(py, &entered.0, &entered.1);
}

/// Tells the log and the listener of a manager what became of a call; `took` in microseconds.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "an argument that is made of a Python object belongs to the call")]
#[pyo3(signature = (core, kind, named, attempts, record, took))]
fn tell(
    core: &Bound<'_, Core>,
    kind: &str,
    named: Names,
    attempts: u32,
    record: Option<Py<PyRecord>>,
    took: Option<u64>,
) -> PyResult<()> {
    let told = match kind {
        "executed" => News::Executed.told(),
        "resolved" => News::Resolved.told(),
        "failed" => News::Failed.told(),
        "in_doubt" => News::InDoubt.told(),
        "replayed" => notify::REPLAYED,
        other => return Err(PyValueError::new_err(format!("no event is {other:?}"))),
    };
    let active = core.get().engine.current();
    let (py, about) = (core.py(), named.about(attempts));
    if let Some(witness) = &active.witness {
        let named = (about.key, about.signal_id, about.action_type, about.target);
        notify::heard(py, witness, witness.call_method1(py, "told", (kind, named)));
    }
    notify::tell(py, &active, about, told, took.map(Duration::from_micros), || Ok(record));
    Ok(())
}

/// Writes a warning that ends with the key.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "an argument that is made of a Python object belongs to the call")]
fn warn(py: Python<'_>, text: &str, named: Names, attempts: u32) {
    log::write(py, Level::Warning, text, named.about(attempts));
}

/// The script that makes the tables.
#[pyfunction]
const fn sqlite_schema() -> &'static str {
    sqlite::SCHEMA
}

/// The script that makes them in PostgreSQL.
#[pyfunction]
const fn postgres_schema() -> &'static str {
    postgres::SCHEMA
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SQLITE_SCHEMA_VERSION", sqlite::VERSION)?;
    module.add("POSTGRES_SCHEMA_VERSION", postgres::VERSION)?;
    module.add("POSTGRES_SCHEMA_LOCK", postgres::LOCK)?;
    module.add_function(wrap_pyfunction!(postgres_schema, module)?)?;
    module.add_function(wrap_pyfunction!(sqlite_schema, module)?)?;
    module.add_function(wrap_pyfunction!(name_action, module)?)?;
    module.add_function(wrap_pyfunction!(meet_row, module)?)?;
    module.add_function(wrap_pyfunction!(record_of_row, module)?)?;
    module.add_function(wrap_pyfunction!(column_of_result, module)?)?;
    module.add_function(wrap_pyfunction!(columns_of_failure, module)?)?;
    module.add_function(wrap_pyfunction!(claim_owner, module)?)?;
    module.add_function(wrap_pyfunction!(enter_execution, module)?)?;
    module.add_function(wrap_pyfunction!(leave_execution, module)?)?;
    module.add_function(wrap_pyfunction!(tell, module)?)?;
    module.add_function(wrap_pyfunction!(warn, module)?)
}
