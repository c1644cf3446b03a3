//! The connection on which the server tells what others did.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage};

use super::fault;
use super::pool::Pool;
use super::session::{Session, carry};
use super::text;
use crate::store::remote::engine::Fault;
use crate::store::remote::news::News;

/// How often a connection that copies rely on is tried: for so long, and the time of an answer, a change may go unheard where
/// the network has swallowed it.
const TRIED_EVERY: Duration = Duration::from_secs(2);
/// The pauses before a connection that was lost is made anew.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(5)];

#[derive(Default)]
pub(super) struct State {
    /// What keeps the connection up; it ends with the store.
    keeper: Option<JoinHandle<()>>,
    /// Held by who begins to listen.
    beginning: Arc<AsyncMutex<()>>,
}

/// See the module.
#[derive(Clone)]
pub(super) struct Listener {
    state: Arc<Mutex<State>>,
    listens: Arc<AtomicBool>,
    news: Arc<News>,
}

impl Listener {
    pub(super) fn new(news: Arc<News>) -> Self {
        Self { state: Arc::default(), listens: Arc::default(), news }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server tells at the moment.
    pub(super) fn listens(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }

    /// Whether the server ought to tell, and nobody sees to it yet.
    pub(super) fn is_wanting(&self) -> bool {
        self.news.wants_changes() && self.lock().keeper.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Has the server tell from now on; `false` where a pooler is between.
    pub(super) async fn listen(&self, pool: &Arc<Pool>) -> Result<bool, Fault> {
        if self.listens() {
            return Ok(true);
        }
        let beginning = Arc::clone(&self.lock().beginning);
        let _alone = beginning.lock().await;
        if self.listens() {
            return Ok(true);
        }
        let Some(ear) = Ear::open(pool, &self.news).await? else { return Ok(false) };
        // None of the parent's, in a forked child.
        self.news.missed();
        self.listens.store(true, Ordering::Release);
        if ear.news.wants_changes() {
            ear.news.follows_changes();
        }
        let keeper = tokio::spawn(keep(ear, Arc::downgrade(pool), Arc::clone(&self.listens)));
        if let Some(before) = self.lock().keeper.replace(keeper) {
            before.abort();
        }
        Ok(true)
    }

    /// Ends the connection.
    pub(super) fn let_go(&self) {
        if let Some(keeper) = self.lock().keeper.take() {
            keeper.abort();
            self.listens.store(false, Ordering::Release);
            self.news.missed();
        }
    }

    /// In a forked child: forgets the parent's.
    pub(super) fn begin_anew(&self, state: &mut State) {
        std::mem::forget(std::mem::take(state));
        self.listens.store(false, Ordering::Release);
    }
}

/// A connection that listens.
struct Ear {
    session: Session,
    news: Arc<News>,
}

impl Ear {
    async fn open(pool: &Arc<Pool>, news: &Arc<News>) -> Result<Option<Self>, Fault> {
        let mut session = pool.open().await?;
        if !session.is_direct {
            return Ok(None);
        }
        let namespace = &pool.options.namespace;
        let begun = tokio::select! {
            begun = begin(&session.client, namespace, news.wants_changes()) => begun,
            () = std::future::poll_fn(|context| loop {
                match session.wire.poll_message(context) {
                    std::task::Poll::Ready(Some(Ok(_))) => {}
                    std::task::Poll::Ready(_) => return std::task::Poll::Ready(()),
                    std::task::Poll::Pending => return std::task::Poll::Pending,
                }
            }) => return Err(Fault::Unsent("the connection that listens was lost as it began".into())),
        };
        begun.map_err(|error| fault::of_statement(&error, &pool.options).fault)?;
        Ok(Some(Self { session, news: Arc::clone(news) }))
    }

    /// Hears what is told, until the connection is lost.
    async fn hear(self) {
        let Self { session: Session { client, wire, .. }, news } = self;
        let told = |message| {
            if let AsyncMessage::Notification(notification) = message {
                hear_one(&news, notification.payload());
            }
        };
        let tries = news.wants_changes();
        tokio::select! {
            () = carry(wire, told) => {}
            () = try_now_and_then(&client, tries) => {}
        }
    }
}

async fn begin(client: &Client, namespace: &str, follows: bool) -> Result<(), tokio_postgres::Error> {
    let namespace = format!("'{}'", text::stored(namespace).replace('\'', "''"));
    let messages = client.simple_query(&format!("SELECT idempotency_channel({namespace})")).await?;
    let channel = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    client.batch_execute(&format!("LISTEN \"{}\"", channel.unwrap_or_default())).await?;
    if follows {
        let follow = "INSERT INTO idempotency_counters (namespace, name, value)";
        client.batch_execute(&format!("{follow} VALUES ({namespace}, 'followed', 1) ON CONFLICT DO NOTHING")).await?;
    }
    Ok(())
}

async fn try_now_and_then(client: &Client, tries: bool) {
    if !tries {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(TRIED_EVERY).await;
        if !matches!(tokio::time::timeout(TRIED_EVERY, client.simple_query("")).await, Ok(Ok(_))) {
            return;
        }
    }
}

fn hear_one(news: &News, payload: &str) {
    match payload.split_at_checked(1) {
        Some(("e", key)) => news.ended(&text::read(key)),
        Some(("c", key)) => news.changed(&text::read(key)),
        _ => news.all_changed(),
    }
}

/// Keeps the connection up for as long as the store is there.
async fn keep(first: Ear, pool: Weak<Pool>, listens: Arc<AtomicBool>) {
    let mut ear = Some(first);
    let mut pauses = PAUSES.into_iter();
    while let Some(heard) = ear.take() {
        let news = Arc::clone(&heard.news);
        heard.hear().await;
        listens.store(false, Ordering::Release);
        news.missed();
        while ear.is_none() {
            tokio::time::sleep(pauses.next().unwrap_or(PAUSES[PAUSES.len() - 1])).await;
            let Some(pool) = pool.upgrade() else { return };
            match Ear::open(&pool, &news).await {
                Ok(None) => return,
                Ok(opened) => ear = opened,
                Err(_) => {}
            }
        }
        listens.store(true, Ordering::Release);
        if news.wants_changes() {
            news.follows_changes();
        }
        // What ended meanwhile was not told: those who wait look for themselves.
        news.all_changed();
        pauses = PAUSES.into_iter();
    }
}
