//! Looking at many records: by index, in parts, in sum.

use tokio_postgres::Row;

use super::claim::micros;
use super::engine::PostgresEngine;
use super::hold::is_orphaned;
use super::row::{self, kept, time};
use super::statement::Statement;
use super::text;
use crate::core::clock::Timestamp;
use crate::core::record::Record;
use crate::store::glance::{ENDING, Glance, ending, newest};
use crate::store::kept::State;
use crate::store::remote::engine::Fault;
use crate::store::{Cursor, Page, Selector, Tally};

/// Rows that are looked at for each that is wanted: where so many have expired and are not yet removed, fewer are found.
const EXPIRED_BETWEEN: usize = 4;

/// An unfinished record, as much as a sum needs.
struct Unfinished {
    key: Box<str>,
    started_at: Timestamp,
    in_doubt: bool,
}

impl Unfinished {
    fn read(row: &Row) -> Result<Self, Fault> {
        let (now, lease_until) = (time(row, 0)?, time(row, 5)?);
        let in_doubt = match row::state(row, 3)? {
            State::InProgress => {
                let armed = row::value::<Option<&str>>(row, 4)? == Some("armed");
                !armed && (lease_until <= now || is_orphaned(row, 7)?)
            }
            State::InDoubt => true,
            State::Completed | State::Failed => false,
        };
        Ok(Self { key: row::text(row, 1)?.unwrap_or_default(), started_at: time(row, 6)?, in_doubt })
    }
}

impl PostgresEngine {
    async fn unfinished(&self) -> Result<Vec<Unfinished>, Fault> {
        let rows = self.ask(Statement::Unfinished, &[&self.namespace, &self.now()]).await?;
        rows.iter().map(Unfinished::read).collect()
    }

    pub(super) async fn find_keys(&self, selector: Selector<'_>) -> Result<Vec<Box<str>>, Fault> {
        let (statement, label) = match selector {
            Selector::ActionType(label) => (Statement::FindAction, label),
            Selector::Target(label) => (Statement::FindTarget, label),
            Selector::SignalId(label) => (Statement::FindSignal, label),
            Selector::InDoubt => {
                let unfinished = self.unfinished().await?.into_iter();
                return Ok(unfinished.filter(|record| record.in_doubt).map(|record| record.key).collect());
            }
            Selector::ExpiringWithin(span) => {
                let values = (micros(span), self.now());
                return keys(&self.ask(Statement::FindExpiring, &[&self.namespace, &values.0, &values.1]).await?);
            }
        };
        keys(&self.ask(statement, &[&self.namespace, &text::stored(label), &self.now()]).await?)
    }

    pub(super) async fn page(&self, from: Option<&Cursor>, limit: usize) -> Result<Page, Fault> {
        let after = from.map_or("", |cursor| &cursor.0);
        let limit = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
        let rows = self.ask(Statement::Scan, &[&self.namespace, &text::stored(after), &self.now(), &limit]).await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in &rows {
            records.push(kept(row, 1)?.seen(time(row, 0)?));
        }
        let whole = i64::try_from(records.len()).is_ok_and(|count| count == limit);
        let next = records.last().filter(|_| whole).map(|record| Cursor(record.key.clone()));
        Ok(Page { records, next })
    }

    /// Some of the newest records, what ends next, and the counters.
    pub(super) async fn look_around(&self, limit: usize) -> Result<Glance, Fault> {
        let mut recent = self.slim(Statement::Recent, limit.saturating_mul(EXPIRED_BETWEEN)).await?;
        newest(&mut recent, limit);
        let mut first = self.slim(Statement::Ending, ENDING).await?;
        ending(&mut first);
        let mut counters = Tally::default();
        for row in self.ask(Statement::Counters, &[&self.namespace]).await? {
            counters.note(row::value::<&str>(&row, 0)?, row::number(&row, 1)?);
        }
        Ok(Glance { counters, recent, is_newest: true, next: None, ending: first })
    }

    async fn slim(&self, statement: Statement, most: usize) -> Result<Vec<Record>, Fault> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.ask(statement, &[&self.namespace, &self.now(), &most]).await?;
        rows.iter().map(|row| Ok(kept(row, 1)?.seen(time(row, 0)?))).collect()
    }

    pub(super) async fn sum_up(&self) -> Result<Tally, Fault> {
        let mut tally = Tally::default();
        for row in self.ask(Statement::Tally, &[&self.namespace, &self.now()]).await? {
            let value = row::number(&row, 1)?;
            match row::value::<&str>(&row, 0)? {
                "finished" => {
                    tally.finished = value;
                    let end = |column| row::value::<Option<i64>>(&row, column).map(|end| end.map(Timestamp));
                    (tally.oldest, tally.newest) = (end(2)?, end(3)?);
                }
                counter => tally.note(counter, value),
            }
        }
        for record in self.unfinished().await? {
            let start = record.started_at;
            tally.oldest = Some(tally.oldest.map_or(start, |oldest| oldest.min(start)));
            tally.newest = tally.newest.max(Some(start));
            if record.in_doubt {
                tally.in_doubt += 1;
            } else {
                tally.in_progress += 1;
            }
        }
        Ok(tally)
    }
}

fn keys(rows: &[Row]) -> Result<Vec<Box<str>>, Fault> {
    rows.iter().map(|row| Ok(row::text(row, 0)?.unwrap_or_default())).collect()
}
