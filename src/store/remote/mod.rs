//! Records on a server, shared by any number of hosts: what is the same for every engine.
//!
//! Every verb is one step of the server's, asked for within a bounded time and asked for again where its answer was lost;
//! each says the same twice. A duplicate writes nothing there: what it counts is told a moment later, many at a time.

use std::fmt::{self};
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, oneshot};

use self::counts::Counts;
use self::driver::driver;
use self::engine::Engine;
use self::news::News;
use self::room::Room;
use self::selecting::OwnedSelector;
use self::trip::{Fate, Trip};
use super::asked::{Asked, Marking};
use super::{
    BoxFuture, ClaimRequest, Claimed, Cursor, Ending, Glance, Held, Hit, Hold, Limits, MarkRequest, Page, Queued,
    Reply, Resolution, Restored, Selector, Store, Tally,
};
use crate::core::clock::Span;
use crate::core::error::StoreError;
use crate::core::record::Record;

mod asking;
mod claiming;
mod copies;
pub(in crate::store) mod counts;
mod driver;
pub(in crate::store) mod engine;
mod fork;
mod holding;
pub(in crate::store) mod news;
pub(in crate::store) mod room;
mod selecting;
mod tries;
mod trip;

pub use self::copies::LocalCopies;
pub use self::fork::{freeze_driver, thaw_driver};

/// A store on a server.
pub struct RemoteStore<E>(Arc<Inner<E>>);

struct Inner<E> {
    engine: E,
    news: Arc<News>,
    counts: Counts,
    room: Room,
    /// What a verb may take in all.
    timeout: Duration,
    /// Held by who tells the server what was counted. Another one in a forked child.
    telling: Mutex<Arc<AsyncMutex<()>>>,
    seed: RandomState,
    /// Claims asked for.
    asked: AtomicU64,
    /// Whether ends of claims are told.
    listens: AtomicBool,
    /// Warnings that were given.
    warned: Mutex<Vec<String>>,
}

#[expect(private_bounds, reason = "engines are made in this crate only")]
impl<E: Engine> RemoteStore<E> {
    /// A store that gets its engine from `engine`, which is given where to tell its news. Nothing is connected yet.
    pub(in crate::store) fn new(
        timeout: Duration,
        copies: LocalCopies,
        limits: Limits,
        engine: impl FnOnce(Arc<News>) -> E,
    ) -> Self {
        let news = Arc::new(News::new(copies));
        Self(Arc::new(Inner {
            engine: engine(Arc::clone(&news)),
            news,
            counts: Counts::default(),
            room: Room::new(limits),
            timeout,
            telling: Mutex::default(),
            seed: RandomState::new(),
            asked: AtomicU64::new(0),
            listens: AtomicBool::new(false),
            warned: Mutex::default(),
        }))
    }

    /// The store, once its server has been asked for something that needs no claim: whether it can be reached, and is fit.
    pub(in crate::store) fn connected(self) -> Result<Self, StoreError> {
        let Reply::Queued(Queued { mut answer, errand }) = self.get("") else { return Ok(self) };
        errand.run();
        let waited = driver().drive(&mut answer, std::time::Instant::now() + self.0.timeout);
        waited
            .unwrap_or_else(|| {
                Err(StoreError::Unavailable(format!("{} did not answer in time", self.0.engine.place())))
            })
            .map(|_| self)
    }

    /// A verb on its way.
    fn ask<T, F>(&self, verb: impl FnOnce(Arc<Inner<E>>) -> F) -> Reply<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let verb = verb(Arc::clone(&self.0));
        let trip = Trip::new(
            Box::pin(async move {
                // Whoever no longer waits need not hear of it.
                _ = sender.send(verb.await);
            }),
            None,
        );
        Reply::Queued(Queued { answer: answer(receiver), errand: Box::new(trip) })
    }
}

fn answer<T: Send + 'static>(receiver: oneshot::Receiver<Result<T, StoreError>>) -> BoxFuture<Result<T, StoreError>> {
    Box::pin(async move {
        let lost = || StoreError::Unavailable("the store was closed before it answered: ask again".into());
        receiver.await.unwrap_or_else(|_| Err(lost()))
    })
}

impl<E: Engine> fmt::Debug for RemoteStore<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.engine.fmt(f)
    }
}

impl<E: Engine> Store for RemoteStore<E> {
    fn claim(&self, request: &ClaimRequest<'_>) -> Reply<Claimed> {
        if let Some(replay) = self.replay(request) {
            return replay;
        }
        let (sender, receiver) = oneshot::channel();
        let (inner, asked, fate) = (Arc::clone(&self.0), Asked::new(request), Arc::new(Fate::default()));
        let doomed = Arc::clone(&fate);
        let verb = Box::pin(async move {
            let answer = inner.claim(&asked).await;
            inner.expect_telling();
            inner.hand_out(&asked, answer, &doomed, sender);
        });
        Reply::Queued(Queued { answer: answer(receiver), errand: Box::new(Trip::new(verb, Some(fate))) })
    }

    fn claim_many(&self, requests: &[ClaimRequest<'_>]) -> Reply<Vec<Result<Claimed, StoreError>>> {
        let (sender, receiver) = oneshot::channel();
        let (inner, all) = (Arc::clone(&self.0), requests.iter().map(Asked::new).collect::<Vec<_>>());
        let fate = Arc::new(Fate::default());
        let doomed = Arc::clone(&fate);
        let verb = Box::pin(async move {
            let answer = inner.claim_many(&all).await;
            inner.expect_telling();
            let unheard = if doomed.answered() { Err(answer) } else { sender.send(answer) };
            if let Err(Ok(unheard)) = unheard {
                for (asked, claimed) in all.iter().zip(unheard) {
                    inner.give_back(asked, claimed);
                }
            }
        });
        Reply::Queued(Queued { answer: answer(receiver), errand: Box::new(Trip::new(verb, Some(fate))) })
    }

    fn replay(&self, request: &ClaimRequest<'_>) -> Option<Reply<Claimed>> {
        let copy = self.0.news.copies.answer(request)?;
        let attempts = self.0.found_copy(request.key, &copy, request.shadow);
        Some(Reply::Ready(Ok(Claimed::Replay { result: copy.result.clone(), attempts })))
    }

    fn renew(&self, holds: &[Hold], lease: Span) -> Reply<Vec<Hold>> {
        let holds = holds.to_vec();
        self.ask(move |inner| async move { inner.insist(|| inner.engine.renew(&holds, lease)).await })
    }

    fn dispatch(&self, hold: &Hold) -> Reply<Held> {
        let unsaid = || StoreError::Failed("the server did not say what became of a dispatch".into());
        self.dispatch_many(std::slice::from_ref(hold)).map(move |mut all| all.pop().ok_or_else(unsaid))
    }

    fn dispatch_many(&self, holds: &[Hold]) -> Reply<Vec<Held>> {
        let holds = holds.to_vec();
        self.ask(move |inner| async move { inner.insist(|| inner.engine.dispatch(&holds)).await })
    }

    fn finish(&self, hold: &Hold, ending: Ending) -> Reply<Held> {
        let hold = hold.clone();
        self.ask(move |inner| async move { inner.finish(&hold, &ending).await })
    }

    fn mark(&self, request: MarkRequest<'_>) -> Reply<usize> {
        let marking = Marking::new(request);
        self.ask(move |inner| async move { inner.mark(&marking).await })
    }

    fn resolve(&self, key: &str, resolution: Resolution) -> Reply<()> {
        let key = Box::<str>::from(key);
        self.ask(move |inner| async move { inner.resolve(&key, &resolution).await })
    }

    fn check(&self, key: &str) -> Reply<Option<Hit>> {
        if let Some(copy) = self.0.news.copies.get(key) {
            self.0.found_copy(key, &copy, false);
            return Reply::Ready(Ok(Some(copy.hit())));
        }
        let keys = [Box::from(key)];
        self.ask(move |inner| async move { Ok(inner.check(&keys).await?.pop().flatten()) })
    }

    fn check_many(&self, keys: &[&str]) -> Reply<Vec<Option<Hit>>> {
        let keys: Vec<Box<str>> = keys.iter().map(|key| Box::from(*key)).collect();
        self.ask(move |inner| async move { inner.check(&keys).await })
    }

    fn restore(&self, records: Vec<Record>) -> Reply<Vec<Restored>> {
        self.ask(move |inner| async move { inner.restore(&records).await })
    }

    fn get(&self, key: &str) -> Reply<Option<Record>> {
        let key = Box::<str>::from(key);
        self.ask(move |inner| async move {
            inner.tell_counts().await?;
            inner.persist(|| inner.engine.get(&key)).await
        })
    }

    fn find(&self, selector: Selector<'_>) -> Reply<Vec<Box<str>>> {
        let wanted = OwnedSelector::new(selector);
        self.ask(move |inner| async move {
            inner.tell_counts().await?;
            inner.walk(|| inner.engine.find(wanted.lend())).await
        })
    }

    fn scan(&self, from: Option<Cursor>, limit: usize) -> Reply<Page> {
        self.ask(move |inner| async move {
            inner.tell_counts().await?;
            inner.walk(|| inner.engine.scan(from.as_ref(), limit)).await
        })
    }

    fn glance(&self, from: Option<Cursor>, limit: usize) -> Reply<Glance> {
        self.ask(move |inner| async move {
            inner.tell_counts().await?;
            inner.persist(|| inner.engine.glance(from.as_ref(), limit)).await
        })
    }

    fn cleanup_expired(&self) -> Reply<u64> {
        self.ask(|inner| async move { inner.cleanup_expired().await })
    }

    fn remove_oldest(&self, count: u64) -> Reply<u64> {
        self.ask(move |inner| async move {
            let removed = inner.walk(|| inner.engine.remove_oldest(count)).await;
            inner.news.all_changed();
            removed
        })
    }

    fn clear(&self, key: &str) -> Reply<bool> {
        let key = Box::<str>::from(key);
        self.ask(move |inner| async move {
            let cleared = inner.persist(|| inner.engine.clear(&key)).await;
            inner.ended(&key);
            cleared
        })
    }

    fn clear_all(&self) -> Reply<u64> {
        self.ask(|inner| async move {
            let cleared = inner.clear_all().await;
            inner.news.all_changed();
            inner.news.waiters.discharge_all();
            cleared
        })
    }

    fn tally(&self) -> Reply<Tally> {
        self.ask(|inner| async move {
            inner.tell_counts().await?;
            inner.walk(|| inner.engine.tally()).await
        })
    }

    fn reset_tally(&self) -> Reply<()> {
        self.ask(|inner| async move {
            inner.tell_counts().await?;
            inner.walk(|| inner.engine.reset_tally()).await
        })
    }

    fn set_limits(&self, limits: Limits) {
        self.0.room.set_limits(limits);
    }

    fn flush(&self) -> Reply<()> {
        if self.0.counts.are_told() {
            return Reply::Ready(Ok(()));
        }
        self.ask(|inner| async move { inner.tell_counts().await })
    }

    fn expires_by_itself(&self) -> bool {
        E::EXPIRES_BY_ITSELF
    }

    fn warnings(&self) -> Vec<String> {
        let all = self.0.engine.warnings();
        let mut told = self.0.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<String> = all.into_iter().filter(|warning| !told.contains(warning)).collect();
        told.extend(new.iter().cloned());
        new
    }

    fn let_go(&self) {
        self.0.engine.let_go();
    }

    fn before_fork(&self) {
        fork::freeze(&self.0);
    }

    fn after_fork(&self, in_child: bool) {
        fork::thaw(&self.0, in_child);
    }
}
