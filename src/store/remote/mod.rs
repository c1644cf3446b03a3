//! Records on a server, shared by any number of hosts: what is the same for every engine.
//!
//! Every verb is one step of the server's, asked for within a bounded time and asked for again where its answer was lost;
//! each says the same twice. A duplicate writes nothing there: what it counts is told a moment later, many at a time.

use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex as AsyncMutex, oneshot};

use self::copies::LocalCopy;
use self::counts::Counts;
use self::driver::driver;
use self::engine::{Engine, Fault};
use self::news::News;
use self::room::Room;
use self::tries::{Patience, Tries, ask};
use self::trip::{Fate, Trip};
use super::asked::{Asked, Marking};
use super::{
    BoxFuture, ClaimRequest, Claimed, Cursor, Ending, Held, Hit, Hold, Limits, MarkRequest, Page, Queued, Reply,
    Resolution, Restored, Selector, Store, Tally,
};
use crate::core::clock::Span;
use crate::core::error::StoreError;
use crate::core::record::Record;

mod claiming;
mod copies;
mod counts;
mod driver;
pub(in crate::store) mod engine;
mod fork;
mod holding;
pub(in crate::store) mod news;
pub(in crate::store) mod room;
mod tries;
mod trip;

pub use self::copies::LocalCopies;
pub use self::fork::{freeze_driver, thaw_driver};

/// How long what was counted may wait to be told.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// What a walk over all records may take, each of whose requests is bounded by itself.
const WALK: Duration = Duration::from_hours(1);

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

    /// Asks the server for something that needs no claim: whether it can be reached, and is fit.
    pub(in crate::store) fn connect(&self) -> Result<(), StoreError> {
        let Reply::Queued(Queued { mut answer, errand }) = self.get("") else { return Ok(()) };
        errand.run();
        let waited = driver().drive(&mut answer, std::time::Instant::now() + self.0.timeout);
        waited
            .unwrap_or_else(|| {
                Err(StoreError::Unavailable(format!("{} did not answer in time", self.0.engine.place())))
            })
            .map(drop)
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

    /// The same for a look, which shows what this process has counted.
    fn look<T, V>(&self, verb: V) -> Reply<T>
    where
        T: Send + 'static,
        V: for<'a> Fn(&'a E) -> BoxedStep<'a, T> + Send + Sync + 'static,
    {
        self.ask(move |inner| async move {
            inner.tell_counts().await?;
            inner.walk(|| verb(&inner.engine)).await
        })
    }
}

type BoxedStep<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

fn answer<T: Send + 'static>(receiver: oneshot::Receiver<Result<T, StoreError>>) -> BoxFuture<Result<T, StoreError>> {
    Box::pin(async move {
        let lost = || StoreError::Unavailable("the store was closed before it answered: ask again".into());
        receiver.await.unwrap_or_else(|_| Err(lost()))
    })
}

impl<E: Engine> Inner<E> {
    fn tries(&self, patience: Patience) -> Tries<'_> {
        Tries::new(&self.engine, self.timeout, patience)
    }

    /// Asks until there is an answer, or none is to be hoped for soon.
    async fn persist<T, F>(&self, verb: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        ask(self.tries(Patience::Short), verb).await
    }

    /// The same for what must not be forgotten, as long as there is time.
    async fn insist<T, F>(&self, verb: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        ask(self.tries(Patience::Long), verb).await
    }

    /// The same for a walk over all records, each of whose requests is bounded by itself.
    async fn walk<T, F>(&self, verb: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        ask(Tries::new(&self.engine, WALK, Patience::Short), verb).await
    }

    /// Names a call among all calls of all processes.
    fn token(&self, asked: &Asked) -> String {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // A forked child has its parent's seed, but an identity of its own.
        let mark = self.seed.hash_one((&*asked.owner_process, now.as_nanos(), number));
        let mut token = String::with_capacity(32);
        // Writing to a text does not fail.
        _ = write!(token, "{mark:x}{number:x}");
        token
    }

    fn telling(&self) -> MutexGuard<'_, Arc<AsyncMutex<()>>> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the server what was counted; waits for another who is at it.
    async fn tell_counts(&self) -> Result<(), StoreError> {
        if self.counts.are_told() {
            return Ok(());
        }
        let telling = Arc::clone(&self.telling());
        let _alone = telling.lock().await;
        let Some(counted) = self.counts.take() else { return Ok(()) };
        let told = tokio::time::timeout(self.timeout, self.engine.count(&counted)).await;
        match told {
            Ok(Ok(())) => self.counts.arrived(),
            Ok(Err(Fault::Unsent(text))) => {
                self.counts.give_back(counted);
                return Err(StoreError::Unavailable(text));
            }
            // Told once or not at all, but never twice.
            Ok(Err(Fault::Lost(text))) => {
                self.counts.arrived();
                return Err(StoreError::Unavailable(text));
            }
            Ok(Err(Fault::Answer(error))) => {
                self.counts.give_back(counted);
                return Err(error);
            }
            Err(_) => {
                self.counts.arrived();
                return Err(StoreError::Unavailable(format!(
                    "{} did not take what was counted in time",
                    self.engine.place()
                )));
            }
        }
        Ok(())
    }

    /// Sees to it that what was counted is told.
    fn expect_telling(self: &Arc<Self>) {
        if self.counts.becomes_due() {
            let inner = Arc::clone(self);
            driver().spawn_idle(async move {
                tokio::time::sleep(TOLD_AFTER).await;
                // Counters are no result: what can't be told now is told with the next, or not at all.
                _ = inner.tell_counts().await;
            });
        }
    }

    /// Counts a look that found a copy.
    fn found_copy(self: &Arc<Self>, key: &str, copy: &LocalCopy) -> u32 {
        self.counts.hit(key, copy.fence);
        self.expect_telling();
        copy.attempts.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// What another than the engine ended or changed is news here, too.
    fn ended(&self, key: &str) {
        self.news.copies.forget(key);
        self.news.waiters.discharge(key);
    }
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
        let verb = Box::pin(async move {
            let answer = inner.claim_many(&all).await;
            inner.expect_telling();
            if let Err(Ok(unheard)) = sender.send(answer) {
                for (asked, claimed) in all.iter().zip(unheard) {
                    inner.give_back(asked, claimed);
                }
            }
        });
        Reply::Queued(Queued { answer: answer(receiver), errand: Box::new(Trip::new(verb, None)) })
    }

    fn replay(&self, request: &ClaimRequest<'_>) -> Option<Reply<Claimed>> {
        let copy = self.0.news.copies.answer(request)?;
        let attempts = self.0.found_copy(request.key, &copy);
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
            self.0.found_copy(key, &copy);
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
        self.look(|engine| Box::pin(engine.tally()))
    }

    fn reset_tally(&self) -> Reply<()> {
        self.look(|engine| Box::pin(engine.reset_tally()))
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

/// A [`Selector`] that waits for its turn.
enum OwnedSelector {
    ActionType(Box<str>),
    Target(Box<str>),
    SignalId(Box<str>),
    InDoubt,
    ExpiringWithin(Span),
}

impl OwnedSelector {
    fn new(selector: Selector<'_>) -> Self {
        match selector {
            Selector::ActionType(name) => Self::ActionType(name.into()),
            Selector::Target(name) => Self::Target(name.into()),
            Selector::SignalId(name) => Self::SignalId(name.into()),
            Selector::InDoubt => Self::InDoubt,
            Selector::ExpiringWithin(span) => Self::ExpiringWithin(span),
        }
    }

    fn lend(&self) -> Selector<'_> {
        match self {
            Self::ActionType(name) => Selector::ActionType(name),
            Self::Target(name) => Selector::Target(name),
            Self::SignalId(name) => Selector::SignalId(name),
            Self::InDoubt => Selector::InDoubt,
            Self::ExpiringWithin(span) => Selector::ExpiringWithin(*span),
        }
    }
}
