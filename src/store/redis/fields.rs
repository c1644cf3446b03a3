//! A record as the fields of a hash, all of them text.

use std::sync::Arc;

use redis::Value;

use crate::core::clock::Timestamp;
use crate::core::error::StoreError;
use crate::core::record::{Failure, Fence, Fingerprint, Labels, Latch, Payload, Record, Status};
use crate::store::kept::{Kept, State, latch_of_word, latch_word};
use crate::store::process::Reach;
use crate::store::remote::engine::Fault;

/// What a server answered that no version of this code writes.
pub(super) fn unreadable(what: &str) -> Fault {
    Fault::Answer(StoreError::Failed(format!(
        "a record on the server can't be read ({what}): was it written by something else under this namespace?"
    )))
}

/// Names and values.
pub(super) type Fields = Vec<(&'static str, Vec<u8>)>;

pub(super) fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.as_bytes()),
        _ => None,
    }
}

fn utf8(value: &Value) -> Option<&str> {
    std::str::from_utf8(text(value)?).ok()
}

pub(super) fn number<T: std::str::FromStr>(value: &Value) -> Result<T, Fault> {
    if let Value::Int(number) = value {
        return number.to_string().parse().map_err(|_| unreadable("a number"));
    }
    utf8(value).and_then(|text| text.parse().ok()).ok_or_else(|| unreadable("a number"))
}

/// A time, also one that a script calculated.
pub(super) fn time(value: &Value) -> Result<Timestamp, Fault> {
    number(value).map(Timestamp)
}

pub(super) fn owned(value: &Value) -> Option<Box<str>> {
    text(value).map(|bytes| String::from_utf8_lossy(bytes).into())
}

fn bytes(value: &Value) -> Option<Arc<[u8]>> {
    text(value).map(Into::into)
}

pub(super) fn fingerprint(value: &Value) -> Result<Option<Fingerprint>, Fault> {
    let Some(hex) = text(value) else { return Ok(None) };
    let mut digest = [0; 32];
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if hex.len() != 64 {
        return Err(unreadable("a fingerprint"));
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return Err(unreadable("a fingerprint")) };
        *byte = u8::try_from(high * 16 + low).map_err(|_| unreadable("a fingerprint"))?;
    }
    Ok(Some(Fingerprint(digest)))
}

pub(super) fn hex(fingerprint: &Fingerprint) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = fingerprint.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The most that a field may hold for a server to keep the hash in its small form (hash-max-listpack-value).
const SMALL: usize = 64;

/// The fields of the text that tells the owner's process from any other. It is gone with the claim.
pub(super) fn of_process(text: &str) -> impl Iterator<Item = (&'static str, &str)> {
    let (first, rest) = text.split_at_checked(SMALL).unwrap_or((text, ""));
    [("owner_process", first), ("owner_process_2", rest)].into_iter().filter(|(_, part)| !part.is_empty())
}

/// That text.
pub(super) fn process(first: &Value, rest: &Value) -> Option<Box<str>> {
    let mut whole = String::from(owned(first)?);
    whole.push_str(&owned(rest).unwrap_or_default());
    Some(whole.into())
}

/// The result of a completed record.
pub(super) fn payload(json: &Value, custom: &Value) -> Payload {
    match (bytes(json), bytes(custom)) {
        (Some(json), _) => Payload::Json(json),
        (None, Some(custom)) => Payload::Custom(custom),
        (None, None) => Payload::Unavailable,
    }
}

pub(super) fn failure(class: &Value, error: &Value, args: &Value) -> Failure {
    Failure { class: owned(class).unwrap_or_default(), text: owned(error).unwrap_or_default(), args: bytes(args) }
}

/// The names of the fields of a hash by which a record is known without what may be large.
pub(super) const SLIM: [&str; 17] = [
    "state",
    "fence",
    "attempts",
    "started_at",
    "lease_until",
    "executed_at",
    "expires_at",
    "latch",
    "signal_id",
    "action_type",
    "target",
    "fingerprint",
    "owner",
    "owner_process",
    "owner_process_2",
    "error",
    "error_type",
];

/// Names and values of a hash, whichever way the server gave them: a script's answer has them in a row.
pub(super) fn pairs(all: Value) -> Result<Vec<(Value, Value)>, Fault> {
    match all {
        Value::Map(pairs) => Ok(pairs),
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            Ok(std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect())
        }
        _ => Err(unreadable("no hash")),
    }
}

/// The record of a key, from what HGETALL answered; `None` where there is none.
pub(super) fn kept(key: &str, all: Value) -> Result<Option<Kept>, Fault> {
    let pairs = pairs(all)?;
    if pairs.is_empty() {
        return Ok(None);
    }
    let find =
        |name: &str| pairs.iter().find(|(field, _)| text(field) == Some(name.as_bytes())).map(|(_, value)| value);
    of_fields(key, &|name| find(name).unwrap_or(&Value::Nil)).map(Some)
}

/// The same from the values of [`SLIM`]; its result is not there.
pub(super) fn slim(key: &str, values: &[Value]) -> Result<Option<Kept>, Fault> {
    if values.first().is_none_or(|state| text(state).is_none()) {
        return Ok(None);
    }
    let find = |name: &str| SLIM.iter().position(|field| *field == name).and_then(|at| values.get(at));
    of_fields(key, &|name| find(name).unwrap_or(&Value::Nil)).map(Some)
}

fn of_fields<'a>(key: &str, field: &dyn Fn(&str) -> &'a Value) -> Result<Kept, Fault> {
    let state = text(field("state")).and_then(State::of_word).ok_or_else(|| unreadable("a state"))?;
    let when = |name| text(field(name)).map_or(Ok(Timestamp(0)), |_| time(field(name)));
    let status = match state {
        State::InProgress => {
            let latch = latch_of_word(text(field("latch"))).ok_or_else(|| unreadable("a latch"))?;
            Status::InProgress { lease_until: when("lease_until")?, latch }
        }
        State::InDoubt => Status::InDoubt { error: owned(field("error")) },
        State::Completed => {
            Status::Completed { at: when("executed_at")?, result: payload(field("result"), field("result_bytes")) }
        }
        State::Failed => Status::Failed {
            at: when("executed_at")?,
            failure: failure(field("error_type"), field("error"), field("error_args")),
        },
    };
    let record = Record {
        key: key.into(),
        labels: Labels {
            signal_id: owned(field("signal_id")),
            action_type: owned(field("action_type")),
            target: owned(field("target")),
        },
        fingerprint: fingerprint(field("fingerprint"))?,
        fence: Fence(number(field("fence"))?),
        status,
        started_at: when("started_at")?,
        expires_at: when("expires_at")?,
        attempts: number(field("attempts"))?,
        owner: owned(field("owner")),
        params: bytes(field("params")),
        context: bytes(field("context")),
    };
    Ok(Kept::new(record, process(field("owner_process"), field("owner_process_2")), Reach::ManyMachines))
}

/// The fields of a result.
pub(super) fn result(payload: &Payload) -> Fields {
    match payload {
        Payload::Json(bytes) => vec![("result", bytes.to_vec())],
        Payload::Custom(bytes) => vec![("result_bytes", bytes.to_vec())],
        // A hash must be given some field; this one says what the absence of a result would say.
        Payload::Local(_) | Payload::Unavailable => vec![("result_unavailable", b"1".to_vec())],
    }
}

/// The fields of a failure.
pub(super) fn of_failure(failure: &Failure) -> Fields {
    let mut fields =
        vec![("error_type", failure.class.as_bytes().to_vec()), ("error", failure.text.as_bytes().to_vec())];
    fields.extend(failure.args.as_ref().map(|args| ("error_args", args.to_vec())));
    fields
}

/// The fields of labels.
pub(super) fn of_labels(labels: &Labels) -> Fields {
    let labels = [("signal_id", &labels.signal_id), ("action_type", &labels.action_type), ("target", &labels.target)];
    labels.into_iter().filter_map(|(name, label)| Some((name, label.as_ref()?.as_bytes().to_vec()))).collect()
}

/// All fields of a record that is to be put down as it is, but for its fence.
pub(super) fn of_record(record: &Record) -> Fields {
    let mut fields = of_labels(&record.labels);
    let mut put = |name, value: Option<Vec<u8>>| fields.extend(value.map(|value| (name, value)));
    let number = |number: i64| Some(number.to_string().into_bytes());
    put("fingerprint", record.fingerprint.as_ref().map(|digest| hex(digest).into_bytes()));
    put("attempts", Some(record.attempts.to_string().into_bytes()));
    put("started_at", number(record.started_at.0));
    put("expires_at", number(record.expires_at.0.min(LAST)));
    put("owner", record.owner.as_ref().map(|owner| owner.as_bytes().to_vec()));
    put("params", record.params.as_ref().map(|json| json.to_vec()));
    put("context", record.context.as_ref().map(|json| json.to_vec()));
    let state = match &record.status {
        Status::InProgress { lease_until, latch } => {
            put("lease_until", number(lease_until.0));
            put("latch", latch_word(*latch).map(|word| word.as_bytes().to_vec()));
            "in_progress"
        }
        Status::InDoubt { error } => {
            put("error", error.as_ref().map(|error| error.as_bytes().to_vec()));
            "in_doubt"
        }
        Status::Completed { at, result: payload } => {
            put("executed_at", number(at.0));
            fields.extend(result(payload));
            "completed"
        }
        Status::Failed { at, failure } => {
            put("executed_at", number(at.0));
            fields.extend(of_failure(failure));
            "failed"
        }
    };
    fields.push(("state", state.as_bytes().to_vec()));
    fields
}

/// The latest time that a script can calculate with exactly: in the year 2255.
const LAST: i64 = (1 << 53) - 1;

/// The latch that a claim is to have where it runs at once.
pub(super) const fn latch_asked(asked: bool) -> Option<&'static str> {
    latch_word(if asked { Latch::Armed } else { Latch::Absent })
}
