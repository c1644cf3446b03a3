//! What PostgreSQL does by itself.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::familiar::Familiar;
use super::fault::{self, Verdict};
use super::listener::{self, Listener};
use super::options::Options;
use super::pool::{self, Pool};
use super::statement::Statement;
use super::text;
use crate::core::clock::Span;
use crate::core::error::StoreError;
use crate::core::record::{Fence, Record};
use crate::store::asked::Marking;
use crate::store::remote::engine::{Claim, Counted, Engine, Fault, Frozen, Marked, Met, Named, Put, Time};
use crate::store::remote::news::News;
use crate::store::remote::room::Size;

use crate::store::{Cursor, Ending, Glance, Held, Hit, Hold, Page, Resolution, Selector, Tally};

/// How often a statement that the server took back, since others were at the same rows, is asked again, and after what pause at
/// first.
const AGAIN: u32 = 12;
const PAUSE: Duration = Duration::from_millis(1);
/// The longest key that has room in an index, and the longest that labels may be together.
const LONGEST: usize = 2000;

/// See the module.
pub struct PostgresEngine {
    pub(super) pool: Arc<Pool>,
    pub(super) namespace: Box<str>,
    pub(super) time: Time,
    pub(super) listener: Listener,
    pub(super) familiar: Familiar,
    /// Whether the last claim of an unfamiliar key met a record: then the next such is looked for before it is written.
    pub(super) meets_duplicates: AtomicBool,
}

impl PostgresEngine {
    pub(super) fn new(options: Options, time: Time, news: Arc<News>) -> Self {
        Self {
            namespace: text::stored(&options.namespace).into(),
            pool: Arc::new(Pool::new(options)),
            time,
            listener: Listener::new(news),
            familiar: Familiar::new(),
            meets_duplicates: AtomicBool::new(false),
        }
    }

    /// The time that was given, for a statement.
    pub(super) fn now(&self) -> Option<i64> {
        self.time.given().map(|now| now.0)
    }

    /// Asks, and asks again what the server has taken back.
    pub(super) async fn ask(&self, statement: Statement, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Fault> {
        let mut pause = PAUSE;
        for tried in 1.. {
            if self.listener.is_wanting() {
                self.follow();
            }
            let (verdict, unsent) = match self.try_once(statement, values).await? {
                Ok(rows) => return Ok(rows),
                Err(verdict) => verdict,
            };
            if verdict.lacks_tables {
                self.pool.doubt_tables();
            }
            if !verdict.again || tried > AGAIN {
                return Err(match verdict.fault {
                    Fault::Lost(text) if unsent => Fault::Unsent(text),
                    fault => fault,
                });
            }
            tokio::time::sleep(pause).await;
            // Apart from the others who were told the same.
            pause = pause.mul_f64(1.3 + f64::from(std::process::id() % 64) / 64.0).min(Duration::from_millis(200));
        }
        unreachable!("the last try is answered")
    }

    /// Asks once, within the time of a verb; what was wrong, and whether nothing was sent.
    async fn try_once(
        &self,
        statement: Statement,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Result<Vec<Row>, (Verdict, bool)>, Fault> {
        let options = &self.pool.options;
        let late = |what: &str| {
            let seconds = options.timeout.as_secs_f64();
            format!("PostgreSQL at {} did not {what} within {seconds} s (timeout=)", options.place())
        };
        let until = tokio::time::Instant::now() + options.timeout;
        let leasing = pin!(self.pool.lease());
        let leased = tokio::time::timeout_at(until, leasing).await;
        let mut lease = leased.map_err(|_| Fault::Unsent(late("take a connection")))??;
        let unsent = lease.is_closed();
        let asked = {
            let asking = pin!(lease.query(statement, values));
            tokio::time::timeout_at(until, asking).await
        };
        let error = match asked.map_err(|_| Fault::Lost(late("answer")))? {
            Ok(rows) => return Ok(Ok(rows)),
            Err(error) => error,
        };
        let verdict = fault::of_statement(&error, options);
        if verdict.ends {
            lease.condemn();
        }
        Ok(Err((verdict, unsent)))
    }

    /// The first row of an answer that has one.
    pub(super) async fn ask_one(&self, statement: Statement, values: &[&(dyn ToSql + Sync)]) -> Result<Row, Fault> {
        let rows = self.ask(statement, values).await?;
        let none = || Fault::Answer(StoreError::Failed("PostgreSQL answered a statement with nothing".into()));
        rows.into_iter().next().ok_or_else(none)
    }

    /// Has changes be told, for the copies' sake.
    fn follow(&self) {
        // Whoever asks for this meets its faults with the statement that follows.
        let (pool, listener) = (Arc::clone(&self.pool), self.listener.clone());
        tokio::spawn(async move { drop(listener.listen(&pool).await) });
    }
}

/// A key as it is stored, if there is room for it.
pub(super) fn key(key: &str) -> Result<std::borrow::Cow<'_, str>, Fault> {
    fits("a key", key.len())?;
    Ok(text::stored(key))
}

/// Whether the index has room for texts of this length.
pub(super) fn fits(what: &str, length: usize) -> Result<(), Fault> {
    if length <= LONGEST {
        return Ok(());
    }
    Err(Fault::Answer(StoreError::Failed(format!(
        "{what} of {length} bytes is too long for an index of PostgreSQL, which has room for {LONGEST}: shorten the signal_id, \
         the action or the target, for example to a hash"
    ))))
}

impl Named for PostgresEngine {
    fn place(&self) -> String {
        format!("PostgreSQL at {}", self.pool.options.place())
    }
}

impl Engine for PostgresEngine {
    async fn claim(&self, claim: Claim<'_>) -> Result<Met, Fault> {
        self.claim_one(claim).await
    }

    async fn claim_many(&self, claims: &[Claim<'_>]) -> Result<Vec<Met>, Fault> {
        self.claim_all(claims).await
    }

    async fn abandon(&self, of: &str, token: &str) -> Result<(), Fault> {
        self.ask(Statement::Abandon, &[&self.namespace, &key(of)?, &token]).await.map(drop)
    }

    async fn renew(&self, holds: &[Hold], lease: Span) -> Result<Vec<Hold>, Fault> {
        self.renew_all(holds, lease).await
    }

    async fn dispatch(&self, holds: &[Hold]) -> Result<Vec<Held>, Fault> {
        self.dispatch_all(holds).await
    }

    async fn finish(&self, hold: &Hold, ending: &Ending) -> Result<Held, Fault> {
        self.finish_one(hold, ending).await
    }

    async fn mark(&self, marking: &Marking, may_add: bool) -> Result<Marked, Fault> {
        self.mark_one(marking, may_add).await
    }

    async fn resolve(&self, of: &str, resolution: &Resolution) -> Result<(), Fault> {
        self.resolve_one(of, resolution).await
    }

    async fn check(&self, keys: &[Box<str>]) -> Result<Vec<Option<(Fence, Hit)>>, Fault> {
        self.check_all(keys).await
    }

    async fn get(&self, of: &str) -> Result<Option<Record>, Fault> {
        let mut found = self.records(&[of]).await?;
        Ok(found.remove(of))
    }

    async fn find(&self, selector: Selector<'_>) -> Result<Vec<Box<str>>, Fault> {
        self.find_keys(selector).await
    }

    async fn scan(&self, from: Option<&Cursor>, limit: usize) -> Result<Page, Fault> {
        self.page(from, limit).await
    }

    async fn glance(&self, _from: Option<&Cursor>, limit: usize) -> Result<Glance, Fault> {
        self.look_around(limit).await
    }

    async fn cleanup_part(&self) -> Result<(u64, bool), Fault> {
        self.remove_expired().await
    }

    async fn remove_oldest(&self, count: u64) -> Result<u64, Fault> {
        self.remove_first(count).await
    }

    async fn clear(&self, of: &str) -> Result<bool, Fault> {
        let row = self.ask_one(Statement::Clear, &[&self.namespace, &key(of)?, &self.now()]).await?;
        super::row::value(&row, 0)
    }

    async fn clear_part(&self, from: Option<&Cursor>) -> Result<(u64, Option<Cursor>), Fault> {
        self.clear_some(from).await
    }

    async fn put(&self, records: &[Record]) -> Result<Vec<Put>, Fault> {
        self.put_all(records).await
    }

    async fn tally(&self) -> Result<Tally, Fault> {
        self.sum_up().await
    }

    async fn reset_tally(&self) -> Result<(), Fault> {
        self.ask(Statement::ResetTally, &[&self.namespace]).await.map(drop)
    }

    async fn count(&self, counted: &Counted) -> Result<(), Fault> {
        self.add(counted).await
    }

    async fn size(&self) -> Result<Size, Fault> {
        let row = self.ask_one(Statement::Size, &[&self.namespace, &self.now()]).await?;
        let (finished, unfinished) = (super::row::number(&row, 0)?, super::row::number(&row, 1)?);
        Ok(Size { live: finished + unfinished, unfinished, expired: super::row::number(&row, 2)? })
    }

    async fn listen(&self) -> Result<bool, Fault> {
        self.listener.listen(&self.pool).await
    }

    fn let_go(&self) {
        self.listener.let_go();
        self.pool.let_go();
    }

    fn freeze(&'static self) -> Box<dyn Frozen> {
        Box::new(Locked { pool: self.pool.lock(), ear: self.listener.lock(), listener: &self.listener })
    }
}

/// All locks of an engine.
struct Locked {
    pool: MutexGuard<'static, pool::State>,
    ear: MutexGuard<'static, listener::State>,
    listener: &'static Listener,
}

impl Frozen for Locked {
    fn begin_anew(&mut self) {
        self.pool.begin_anew();
        self.listener.begin_anew(&mut self.ear);
    }
}

impl fmt::Debug for PostgresEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresEngine").field("options", &self.pool.options).finish_non_exhaustive()
    }
}

impl Drop for PostgresEngine {
    fn drop(&mut self) {
        self.let_go();
    }
}
