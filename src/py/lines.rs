//! Records as JSON lines: one object each, with all that another store needs to have the same record.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::codec::{base64_of, bytes_of_base64};
use super::objects::PyRecord;
use crate::core::record::{Failure, Fence, Fingerprint, Labels, Latch, Payload, Record, Status};

mod moment;

use self::moment::Moment;

/// The version of [`Line`].
const VERSION: u32 = 1;

/// A record. Results, params and context are the typed JSON as it is stored; a codec's bytes are base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    version: u32,
    key: String,
    state: State,
    signal_id: Option<String>,
    action_type: Option<String>,
    target: Option<String>,
    started_at: Moment,
    executed_at: Option<Moment>,
    expires_at: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_until: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latch: Option<Word>,
    attempt_count: u32,
    owner: Option<String>,
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Exception>,
    fingerprint: Option<String>,
    params: Option<Box<RawValue>>,
    context: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result_base64: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    result_unavailable: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    InProgress,
    Completed,
    Failed,
    InDoubt,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Armed,
    Dispatched,
}

/// An exception that is an answer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    class: String,
    text: String,
    args: Option<Box<RawValue>>,
}

/// The version alone, of a line that may be of a newer one.
#[derive(Deserialize)]
struct Version {
    version: Option<u32>,
}

type Problem = String;

fn texts(label: Option<&str>) -> Option<String> {
    label.map(String::from)
}

/// Stored JSON inside a line: white space may break it there, and means nothing.
fn raw(json: &[u8]) -> Result<Box<RawValue>, Problem> {
    let text = std::str::from_utf8(json).map_err(|_| "what is stored as JSON is no text")?;
    RawValue::from_string(text.replace(['\n', '\r'], " "))
        .map_err(|error| format!("what is stored is no JSON: {error}"))
}

fn maybe_raw(json: Option<&Arc<[u8]>>) -> Result<Option<Box<RawValue>>, Problem> {
    json.map(|json| raw(json)).transpose()
}

fn stored(raw: &RawValue) -> Arc<[u8]> {
    raw.get().as_bytes().into()
}

impl Line {
    fn of(record: &Record) -> Result<Self, Problem> {
        let mut line = Self {
            version: VERSION,
            key: record.key.to_string(),
            state: State::InDoubt,
            signal_id: texts(record.labels.signal_id.as_deref()),
            action_type: texts(record.labels.action_type.as_deref()),
            target: texts(record.labels.target.as_deref()),
            started_at: Moment(record.started_at),
            executed_at: None,
            expires_at: Moment(record.expires_at),
            lease_until: None,
            latch: None,
            attempt_count: record.attempts,
            owner: texts(record.owner.as_deref()),
            error: None,
            failure: None,
            fingerprint: record.fingerprint.map(|fingerprint| format!("{fingerprint:?}")),
            params: maybe_raw(record.params.as_ref())?,
            context: maybe_raw(record.context.as_ref())?,
            result: None,
            result_base64: None,
            result_unavailable: false,
        };
        line.put_status(&record.status)?;
        Ok(line)
    }

    fn put_status(&mut self, status: &Status) -> Result<(), Problem> {
        match status {
            Status::InProgress { lease_until, latch } => {
                self.state = State::InProgress;
                self.lease_until = Some(Moment(*lease_until));
                self.latch = match latch {
                    Latch::Absent => None,
                    Latch::Armed => Some(Word::Armed),
                    Latch::Dispatched => Some(Word::Dispatched),
                };
            }
            Status::Completed { at, result } => {
                self.state = State::Completed;
                self.executed_at = Some(Moment(*at));
                match result {
                    Payload::Json(json) => self.result = Some(raw(json)?),
                    Payload::Custom(bytes) => self.result_base64 = Some(base64_of(bytes)),
                    Payload::Local(_) | Payload::Unavailable => self.result_unavailable = true,
                }
            }
            Status::Failed { at, failure: Failure { class, text, args } } => {
                self.state = State::Failed;
                self.executed_at = Some(Moment(*at));
                self.error = Some(format!("{class}: {text}"));
                let (class, text) = (class.to_string(), text.to_string());
                self.failure = Some(Exception { class, text, args: maybe_raw(args.as_ref())? });
            }
            Status::InDoubt { error } => {
                self.state = State::InDoubt;
                self.error = texts(error.as_deref());
            }
        }
        Ok(())
    }

    fn record(self) -> Result<Record, Problem> {
        if self.key.is_empty() {
            return Err("its key is empty".into());
        }
        let status = self.status()?;
        let label = |text: Option<String>| text.map(String::into_boxed_str);
        Ok(Record {
            fingerprint: self.fingerprint.as_deref().map(digest).transpose()?,
            key: self.key.into(),
            labels: Labels {
                signal_id: label(self.signal_id),
                action_type: label(self.action_type),
                target: label(self.target),
            },
            fence: Fence::default(),
            status,
            started_at: self.started_at.0,
            expires_at: self.expires_at.0,
            attempts: self.attempt_count,
            owner: label(self.owner),
            params: self.params.as_deref().map(stored),
            context: self.context.as_deref().map(stored),
        })
    }

    fn status(&self) -> Result<Status, Problem> {
        let lacks = |field: &str| format!("it is {} and has no {field}", self.state_name());
        let executed_at = || self.executed_at.map(|Moment(at)| at).ok_or_else(|| lacks("executed_at"));
        Ok(match self.state {
            State::InProgress => Status::InProgress {
                lease_until: self.lease_until.map(|Moment(until)| until).ok_or_else(|| lacks("lease_until"))?,
                latch: match self.latch {
                    None => Latch::Absent,
                    Some(Word::Armed) => Latch::Armed,
                    Some(Word::Dispatched) => Latch::Dispatched,
                },
            },
            State::Completed => Status::Completed { at: executed_at()?, result: self.payload()? },
            State::Failed => {
                let Some(Exception { class, text, args }) = &self.failure else { return Err(lacks("failure")) };
                let args = args.as_deref().map(stored);
                let failure = Failure { class: class.as_str().into(), text: text.as_str().into(), args };
                Status::Failed { at: executed_at()?, failure }
            }
            State::InDoubt => Status::InDoubt { error: self.error.as_deref().map(Into::into) },
        })
    }

    const fn state_name(&self) -> &'static str {
        match self.state {
            State::InProgress => "in_progress",
            State::Completed => "completed",
            State::Failed => "failed",
            State::InDoubt => "in_doubt",
        }
    }

    fn payload(&self) -> Result<Payload, Problem> {
        match (&self.result, &self.result_base64, self.result_unavailable) {
            (None, None, true) => Ok(Payload::Unavailable),
            (None, Some(text), false) => {
                let bytes = bytes_of_base64(text).ok_or("its result_base64 is no base64")?;
                Ok(Payload::Custom(bytes.into()))
            }
            (Some(raw), None, false) => Ok(Payload::Json(stored(raw))),
            // What JSON calls null is a result too.
            (None, None, false) => Ok(Payload::Json(b"null".as_slice().into())),
            _ => Err("it has more than one of result, result_base64 and result_unavailable".into()),
        }
    }
}

fn digest(hex: &str) -> Result<Fingerprint, Problem> {
    let wrong = || format!("its fingerprint {hex:?} is not 64 hex digits");
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(Fingerprint(bytes))
}

fn read(text: &str) -> Result<Record, Problem> {
    // An error's own place would be taken for the file's.
    let told = |error: serde_json::Error| {
        let text = error.to_string();
        text.rsplit_once(" at line 1 ").map_or_else(|| text.clone(), |(what, place)| format!("{what}, at {place}"))
    };
    let Version { version } = serde_json::from_str(text).map_err(told)?;
    match version {
        Some(VERSION) => {}
        Some(newer) => {
            return Err(format!("it is of version {newer}, and this package reads version {VERSION}: use a newer one"));
        }
        None => return Err("it has no version, so it was not written by `idempotency export`".into()),
    }
    serde_json::from_str::<Line>(text).map_err(told)?.record()
}

/// A record as a line of JSON, without its end.
#[pyfunction]
fn line_of_record(record: &Bound<'_, PyRecord>) -> PyResult<String> {
    let record = record.get().record();
    let refused = |problem: Problem| PyValueError::new_err(format!("{:?}: {problem}", record.key));
    let line = Line::of(record).map_err(refused)?;
    serde_json::to_string(&line).map_err(|error| refused(error.to_string()))
}

/// The record that a line of JSON says; `ValueError` says why it can't be one.
#[pyfunction]
fn record_of_line(line: &str) -> PyResult<PyRecord> {
    read(line).map(|record| PyRecord::new(Box::new(record), None)).map_err(PyValueError::new_err)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(line_of_record, module)?)?;
    module.add_function(wrap_pyfunction!(record_of_line, module)?)
}

#[cfg(test)]
mod tests {
    use super::moment::Moment;
    use crate::core::clock::Timestamp;

    #[test]
    fn a_moment_is_written_as_people_do_and_read_back() {
        for (micros, text) in [
            (0, "\"1970-01-01T00:00:00Z\""),
            (1_795_322_988_123_456, "\"2026-11-22T04:49:48.123456Z\""),
            (951_782_400_000_000, "\"2000-02-29T00:00:00Z\""),
            (-1, "\"1969-12-31T23:59:59.999999Z\""),
            (i64::MAX, "9223372036854775807"),
        ] {
            let moment = Moment(Timestamp(micros));
            assert_eq!(serde_json::to_string(&moment).expect("it can be written"), text);
            let read: Moment = serde_json::from_str(text).expect("it can be read");
            assert_eq!(read.0, moment.0);
        }
    }
}
