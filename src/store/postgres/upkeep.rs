//! Removing what is over, making room, writing what was counted, and putting records down as they are. What removes much
//! does so in parts, so that others wait for none of them long.

use serde_json::{Value, json};

use super::claim::{signed, stored_json};
use super::engine::{PostgresEngine, fits, key};
use super::hold::{columns_of, unanswered};
use super::row;
use super::statement::Statement;
use super::text;
use crate::core::record::{Record, Status};
use crate::store::Cursor;
use crate::store::kept::latch_word;
use crate::store::remote::engine::{Counted, Fault, Put};

/// Records removed by one statement.
const PART: u64 = 1000;

impl PostgresEngine {
    pub(super) async fn remove_expired(&self) -> Result<(u64, bool), Fault> {
        let row = self.ask_one(Statement::Cleanup, &[&self.namespace, &self.now(), &signed(PART)]).await?;
        let removed = row::number(&row, 0)?;
        Ok((removed, removed == PART))
    }

    pub(super) async fn remove_first(&self, count: u64) -> Result<u64, Fault> {
        let mut sum = 0;
        while sum < count {
            let part = PART.min(count - sum);
            let row = self.ask_one(Statement::RemoveOldest, &[&self.namespace, &self.now(), &signed(part)]).await?;
            let removed = row::number(&row, 0)?;
            sum += removed;
            if removed < part {
                break;
            }
        }
        Ok(sum)
    }

    pub(super) async fn clear_some(&self, from: Option<&Cursor>) -> Result<(u64, Option<Cursor>), Fault> {
        let after = text::stored(from.map_or("", |cursor| &cursor.0));
        let row = self.ask_one(Statement::ClearSome, &[&self.namespace, &after, &self.now(), &signed(PART)]).await?;
        Ok((row::number(&row, 0)?, row::text(&row, 1)?.map(Cursor)))
    }

    pub(super) async fn add(&self, counted: &Counted) -> Result<(), Fault> {
        let keys: Vec<_> = counted.attempts.iter().map(|(key, ..)| text::stored(key)).collect();
        let fences: Vec<i64> = counted.attempts.iter().map(|(_, fence, _)| signed(fence.0)).collect();
        let calls: Vec<i64> = counted.attempts.iter().map(|(.., calls)| i64::from(*calls)).collect();
        let names: Vec<&str> = counted.counters.iter().map(|(name, _)| *name).collect();
        let numbers: Vec<i64> = counted.counters.iter().map(|(_, number)| signed(*number)).collect();
        self.ask(Statement::Count, &[&self.namespace, &keys, &fences, &calls, &names, &numbers]).await.map(drop)
    }

    pub(super) async fn put_all(&self, records: &[Record]) -> Result<Vec<Put>, Fault> {
        let mut items = Vec::with_capacity(records.len());
        for (position, record) in records.iter().enumerate() {
            items.push((key(&record.key)?, position, item(record)?));
        }
        items.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        let positions: Vec<usize> = items.iter().map(|(_, position, _)| *position).collect();
        let given = Value::Array(items.into_iter().map(|(.., item)| item).collect()).to_string();
        let rows = self.ask(Statement::Put, &[&self.namespace, &self.now(), &given]).await?;
        let mut answers = vec![None; records.len()];
        for row in &rows {
            let ordinal = usize::try_from(row::value::<i64>(row, 1)?).unwrap_or_default();
            let position = positions.get(ordinal.wrapping_sub(1)).ok_or_else(unanswered)?;
            answers[*position] = Some(match row::value::<&str>(row, 0)? {
                "written" => Put::Written,
                "occupied" => Put::Occupied,
                _ => Put::Expired,
            });
        }
        answers.into_iter().map(|answer| answer.ok_or_else(unanswered)).collect()
    }
}

/// A record as the table has it.
fn item(record: &Record) -> Result<Value, Fault> {
    let label = |label: &Option<Box<str>>| label.as_deref().map(|label| text::stored(label).into_owned());
    let length = |label: &Option<Box<str>>| label.as_ref().map_or(0, |label| label.len());
    fits("what an action is named", length(&record.labels.action_type) + length(&record.labels.target))?;
    fits("a signal_id", length(&record.labels.signal_id))?;
    let mut item = json!({
        "key": text::stored(&record.key),
        "signal_id": label(&record.labels.signal_id),
        "action_type": label(&record.labels.action_type),
        "target": label(&record.labels.target),
        "fingerprint": record.fingerprint.map(|digest| format!("\\x{digest:?}")),
        "owner": label(&record.owner),
        "attempts": i32::try_from(record.attempts).unwrap_or(i32::MAX),
        "started_at": record.started_at.0,
        "expires_at": record.expires_at.0,
        "params": stored_json(record.params.as_deref()),
        "context": stored_json(record.context.as_deref()),
    });
    let mut set = |name: &str, value: Value| item[name] = value;
    match &record.status {
        Status::InProgress { lease_until, latch } => {
            set("state", json!("in_progress"));
            set("lease_until", json!(lease_until.0));
            set("latch", json!(latch_word(*latch)));
        }
        Status::Completed { at, result } => {
            let (text, bytes) = columns_of(result);
            set("state", json!("completed"));
            set("executed_at", json!(at.0));
            set("result", json!(text));
            set("result_bytes", json!(bytes.map(hex)));
        }
        Status::Failed { at, failure } => {
            set("state", json!("failed"));
            set("executed_at", json!(at.0));
            set("error", json!(text::stored(&failure.text)));
            set("error_type", json!(text::stored(&failure.class)));
            set("error_args", json!(stored_json(failure.args.as_deref())));
        }
        Status::InDoubt { error } => {
            set("state", json!("in_doubt"));
            set("error", json!(label(error)));
        }
    }
    Ok(item)
}

/// Bytes as a `bytea` reads them.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        // What is written to a string does not fail.
        _ = write!(text, "{byte:02x}");
    }
    text
}
