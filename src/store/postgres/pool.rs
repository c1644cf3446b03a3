//! The connections of a store.
//!
//! Those to a server of one's own are shared: statements are written one behind the other and answered in their order, so
//! that sixty-four tasks need no more than a few connections, and none waits for another's round trip. A statement of a pooler's
//! client has its connection alone.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault;
use super::options::{Options, Prepare, Tls};
use super::schema;
use super::session::{Opener, Session, carry};
use super::statement::{COUNT, Statement};
use super::tls;
use crate::core::error::StoreError;
use crate::store::remote::engine::Fault;

/// How many statements may be under way on each connection before there is another one, if that one is slow to answer, as one
/// is that waits for a disk: commits of several connections share a flush. Where the answers come at once, one or two
/// connections do more than ten, which cost the server a change of process each.
const DEPTH: usize = 4;
const SLOW: Duration = Duration::from_millis(1);
/// How many may be under way on a fast one.
const DEEP: usize = 32;
/// A connection that has not answered for so long may stand at a lock: others are better.
const STUCK: Duration = Duration::from_millis(20);
/// How long no further connection is tried for after one could not be made.
const DISCOURAGED: Duration = Duration::from_secs(1);

/// A connection.
pub(super) struct Conn {
    client: Client,
    prepares: bool,
    prepared: [OnceLock<tokio_postgres::Statement>; COUNT],
    in_flight: AtomicUsize,
    /// When it last began to be used or answered, in microseconds of the pool's.
    moved: AtomicU64,
    gone: AtomicBool,
}

impl Conn {
    fn is_usable(&self) -> bool {
        !self.gone.load(Ordering::Acquire) && !self.client.is_closed()
    }

    /// The statement as it was prepared here; the first time costs a round trip.
    async fn prepare(&self, statement: Statement) -> Result<&tokio_postgres::Statement, tokio_postgres::Error> {
        let slot = &self.prepared[statement as usize];
        if let Some(prepared) = slot.get() {
            return Ok(prepared);
        }
        let prepared = self.client.prepare_typed(statement.text(), statement.types()).await?;
        Ok(slot.get_or_init(|| prepared))
    }
}

#[derive(Default)]
pub(super) struct State {
    conns: Vec<Arc<Conn>>,
    /// Held by who connects; others wait for that.
    dialing: Arc<AsyncMutex<()>>,
    /// The last time that nobody could, among all times.
    failed: Option<(u64, Instant, Fault)>,
    dials: u64,
    growing: usize,
    slots: Option<Arc<Semaphore>>,
}

/// See the module.
pub(super) struct Pool {
    pub(super) options: Options,
    state: Mutex<State>,
    tls: OnceLock<Option<MakeRustlsConnect>>,
    /// The host that was reached last.
    preferred: AtomicUsize,
    /// Whether the sessions are a pooler's.
    pooled: AtomicBool,
    /// Whether the tables are there.
    ready: AtomicBool,
    began: Instant,
}

/// A connection to ask one statement of. Given up before the answer, it takes the connection with it: nobody knows what
/// becomes of that.
pub(super) struct Lease {
    pool: Arc<Pool>,
    conn: Arc<Conn>,
    answered: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            state: Mutex::default(),
            tls: OnceLock::new(),
            preferred: AtomicUsize::new(0),
            pooled: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            began: Instant::now(),
        }
    }

    /// The standard library's mutex: a forked child can use it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the sessions are a pooler's, as far as is known.
    pub(super) fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Acquire)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A connection to ask.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, Fault> {
        loop {
            let permit = self.permit().await;
            if let Some(lease) = self.choose(permit) {
                return Ok(lease);
            }
            let (dialing, seen) = {
                let state = self.lock();
                (Arc::clone(&state.dialing), state.dials)
            };
            let _alone = dialing.lock().await;
            // Another may have connected, or failed to, while this one waited.
            let again = self.has_room_for(seen)?;
            if !again {
                let conn = self.dial().await;
                self.note(conn)?;
            }
        }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if !self.is_pooled() {
            return None;
        }
        let slots = {
            let mut state = self.lock();
            let slots = state.slots.get_or_insert_with(|| Arc::new(Semaphore::new(self.options.pool_size.max(1))));
            Arc::clone(slots)
        };
        slots.acquire_owned().await.ok()
    }

    /// Whether there is one to choose now; the fault of who tried meanwhile.
    fn has_room_for(&self, seen: u64) -> Result<bool, Fault> {
        let state = self.lock();
        if let Some((number, _, fault)) = &state.failed
            && *number > seen
        {
            return Err(fault::again(fault));
        }
        let pooled = self.is_pooled();
        Ok(state.conns.iter().any(|conn| conn.is_usable() && (!pooled || conn.in_flight.load(Ordering::Acquire) == 0)))
    }

    /// Keeps what connecting came to.
    fn note(&self, conn: Result<Conn, Fault>) -> Result<(), Fault> {
        let mut state = self.lock();
        state.dials += 1;
        match conn {
            Ok(conn) => {
                state.failed = None;
                state.conns.push(Arc::new(conn));
                Ok(())
            }
            Err(fault) => {
                state.failed = Some((state.dials, Instant::now(), fault::again(&fault)));
                Err(fault)
            }
        }
    }

    /// The connection that is likely to answer first.
    fn choose(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Option<Lease> {
        let mut state = self.lock();
        state.conns.retain(|conn| conn.is_usable());
        let (now, pooled) = (self.now(), self.is_pooled());
        if pooled && permit.is_none() {
            return None;
        }
        let silent = |conn: &Conn| Duration::from_micros(now.saturating_sub(conn.moved.load(Ordering::Relaxed)));
        let burden = |conn: &Arc<Conn>| {
            let in_flight = conn.in_flight.load(Ordering::Acquire);
            (in_flight > 0 && silent(conn) > STUCK, in_flight)
        };
        let (conn, (stands, in_flight)) =
            state.conns.iter().map(|conn| (Arc::clone(conn), burden(conn))).min_by_key(|(_, burden)| *burden)?;
        if pooled && in_flight > 0 {
            return None;
        }
        if stands || in_flight >= DEEP || (in_flight >= DEPTH && silent(&conn) > SLOW) {
            self.grow(&mut state);
        }
        if conn.in_flight.fetch_add(1, Ordering::AcqRel) == 0 {
            conn.moved.store(now, Ordering::Relaxed);
        }
        Some(Lease { pool: Arc::clone(self), conn, answered: false, _permit: permit })
    }

    /// Has one more connection made meanwhile.
    fn grow(self: &Arc<Self>, state: &mut State) {
        let discouraged = state.failed.as_ref().is_some_and(|(_, at, _)| at.elapsed() < DISCOURAGED);
        if discouraged || state.conns.len() + state.growing >= self.options.pool_size {
            return;
        }
        state.growing += 1;
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            let conn = pool.dial().await;
            pool.lock().growing -= 1;
            // Whoever needs one by then meets the fault itself.
            _ = pool.note(conn);
        });
    }

    fn tls(&self) -> Result<Option<&MakeRustlsConnect>, StoreError> {
        if self.options.tls == Tls::Disable {
            return Ok(None);
        }
        if self.tls.get().is_none() {
            let made = tls::connector(&self.options)?;
            _ = self.tls.set(Some(made));
        }
        Ok(self.tls.get().and_then(Option::as_ref))
    }

    /// A session with the first host that will do, the last one that did before the others.
    pub(super) async fn open(&self) -> Result<Session, Fault> {
        let opener = Opener { options: &self.options, tls: self.tls()? };
        let (count, first) = (self.options.hosts.len(), self.preferred.load(Ordering::Relaxed));
        let mut met = Fault::Answer(StoreError::Failed("no host of PostgreSQL is named".into()));
        for index in (0..count).map(|offset| (first + offset) % count) {
            match opener.open(&self.options.hosts[index]).await {
                Ok(session) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(session);
                }
                Err(fault) => met = fault,
            }
        }
        Err(met)
    }

    async fn dial(&self) -> Result<Conn, Fault> {
        let Session { client, wire, is_direct } = self.open().await?;
        self.pooled.store(!is_direct && self.options.prepare != Prepare::On, Ordering::Release);
        tokio::spawn(carry(wire, drop));
        if !self.ready.load(Ordering::Acquire) {
            schema::prepare(&client, &self.options).await?;
            self.ready.store(true, Ordering::Release);
        }
        let prepares = match self.options.prepare {
            Prepare::Auto => is_direct,
            Prepare::On => true,
            Prepare::Off => false,
        };
        Ok(Conn {
            client,
            prepares,
            prepared: [const { OnceLock::new() }; COUNT],
            in_flight: AtomicUsize::new(0),
            moved: AtomicU64::new(self.now()),
            gone: AtomicBool::new(false),
        })
    }

    /// Has the tables be looked at by the next connection.
    pub(super) fn doubt_tables(&self) {
        self.ready.store(false, Ordering::Release);
    }

    /// Closes the connections that nobody uses.
    pub(super) fn let_go(&self) {
        let idle: Vec<_> = {
            let mut state = self.lock();
            let (used, idle) = std::mem::take(&mut state.conns)
                .into_iter()
                .partition(|conn| conn.in_flight.load(Ordering::Acquire) > 0);
            state.conns = used;
            idle
        };
        drop(idle);
    }
}

impl State {
    /// In a forked child: forgets the parent's connections, which it goes on using.
    pub(super) fn begin_anew(&mut self) {
        std::mem::forget(std::mem::take(self));
    }
}

impl Lease {
    /// Asks.
    pub(super) async fn query(
        &mut self,
        statement: Statement,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let conn = &*self.conn;
        let answer = if conn.prepares {
            match conn.prepare(statement).await {
                Ok(prepared) => conn.client.query(prepared, values).await,
                Err(error) => Err(error),
            }
        } else {
            let typed: Vec<(&(dyn ToSql + Sync), Type)> =
                values.iter().copied().zip(statement.types().iter().cloned()).collect();
            conn.client.query_typed(statement.text(), &typed).await
        };
        self.answered = true;
        answer
    }

    /// Has the connection be used no more.
    pub(super) fn condemn(&self) {
        self.conn.gone.store(true, Ordering::Release);
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_closed(&self) -> bool {
        self.conn.client.is_closed()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.conn.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.conn.moved.store(self.pool.now(), Ordering::Relaxed);
        if self.answered {
            return;
        }
        self.condemn();
        // A server of one's own ends the statement by itself: see `Opener::parameters`. One behind a pooler has to be told.
        if self.pool.is_pooled()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (cancel, pool) = (self.conn.client.cancel_token(), Arc::clone(&self.pool));
            runtime.spawn(async move {
                let told: std::pin::Pin<Box<dyn Future<Output = _> + Send>> = match pool.tls() {
                    Ok(Some(tls)) => Box::pin(cancel.cancel_query(tls.clone())),
                    _ => Box::pin(cancel.cancel_query(tokio_postgres::NoTls)),
                };
                // It may be too late, or in vain; the statement's own caller has been answered.
                _ = tokio::time::timeout(pool.options.connect_timeout, told).await;
            });
        }
    }
}
