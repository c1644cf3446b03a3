//! The claim, from the request to what its caller gets.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Inner;
use super::counts::Counter;
use super::driver::driver;
use super::engine::{Claim, Engine, Met};
use super::tries::Patience;
use super::trip::Fate;
use crate::core::error::StoreError;
use crate::store::asked::Asked;
use crate::store::process;
use crate::store::{Begun, BoxFuture, Claimed, Ending, Hold};

/// After how long a caller that nobody can wake asks again.
const UNTOLD: Duration = Duration::from_millis(50);
/// After what pauses a claim is taken back that could not be heard of, for as long as its lease.
const TAKEN_BACK_AFTER: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];

impl<E: Engine> Inner<E> {
    pub(super) async fn claim(self: &Arc<Self>, asked: &Asked) -> Result<Claimed, StoreError> {
        if self.counts.is_on_its_way(&asked.key) {
            // What can't be told is no reason not to ask.
            _ = self.tell_counts().await;
        }
        let token = self.token(asked);
        let reading = self.news.copies.begin_reading();
        let mut claim = self.first(asked, &token);
        let mut wait = claim.waits.then(|| self.wait(&asked.key));
        let mut evicted = 0;
        loop {
            let met = self.ask_for(claim).await?;
            match met {
                Met::Full => {
                    evicted += self.make_room().await?;
                    claim.may_add = true;
                }
                Met::Busy { fence, owner: Some(owner), owner_process }
                    if claim.orphan.is_none() && process::is_known_dead(&owner, owner_process.as_deref()) =>
                {
                    claim.orphan = Some(fence);
                }
                Met::Busy { .. } if !claim.waits && !asked.refuses_to_wait => {
                    // Before it is asked again, so that an end between the two is told.
                    self.listen().await;
                    claim.waits = true;
                    wait = Some(self.wait(&asked.key));
                }
                met => return Ok(self.answer(asked, met, evicted, reading, wait)),
            }
        }
    }

    /// Asks for many at once. What is not settled by that, since room must be made or an owner is dead, is asked for again
    /// by itself.
    pub(super) async fn claim_many(
        self: &Arc<Self>,
        all: &[Asked],
    ) -> Result<Vec<Result<Claimed, StoreError>>, StoreError> {
        let tokens: Vec<String> = all.iter().map(|asked| self.token(asked)).collect();
        let reading = self.news.copies.begin_reading();
        // Each adds a record, so a cap is looked at one by one.
        if self.room.max().is_some() {
            let mut answers = Vec::with_capacity(all.len());
            for asked in all {
                answers.push(self.claim(asked).await);
            }
            return Ok(answers);
        }
        let claims: Vec<Claim<'_>> = all.iter().zip(&tokens).map(|(asked, token)| self.first(asked, token)).collect();
        let met = match self.persist(|| self.engine.claim_many(&claims)).await {
            Ok(met) => met,
            Err(error) => {
                for claim in &claims {
                    self.take_back(claim.asked, claim.token);
                }
                return Err(error);
            }
        };
        let mut answers = Vec::with_capacity(all.len());
        for (asked, met) in all.iter().zip(met) {
            answers.push(match met {
                Met::Full | Met::Busy { .. } => self.claim(asked).await,
                met => Ok(self.answer(asked, met, 0, reading, None)),
            });
        }
        Ok(answers)
    }

    /// A claim as it is first asked for.
    fn first<'a>(&self, asked: &'a Asked, token: &'a str) -> Claim<'a> {
        Claim {
            asked,
            token,
            orphan: None,
            may_add: self.room.has_room(),
            waits: asked.asks_again && !asked.refuses_to_wait,
            untold: self.counts.untold(&asked.key),
        }
    }

    /// Asks until the server has answered. A claim that may have been granted unheard is taken back.
    async fn ask_for(self: &Arc<Self>, claim: Claim<'_>) -> Result<Met, StoreError> {
        let mut tries = self.tries(Patience::Short);
        loop {
            let asking = pin!(self.engine.claim(claim));
            let fault = match tries.within(asking).await {
                Ok(met) => return Ok(met),
                Err(fault) => fault,
            };
            if let Err(error) = tries.after(fault).await {
                if tries.lost {
                    self.take_back(claim.asked, claim.token);
                }
                return Err(error);
            }
        }
    }

    /// Takes back a claim that this call may hold, once the server is there again.
    fn take_back(self: &Arc<Self>, asked: &Asked, token: &str) {
        let (inner, key, token) = (Arc::clone(self), Arc::clone(&asked.key), Box::<str>::from(token));
        driver().spawn_idle(async move {
            for pause in TAKEN_BACK_AFTER {
                tokio::time::sleep(pause).await;
                if inner.persist(|| inner.engine.abandon(&key, &token)).await.is_ok() {
                    inner.ended(&key);
                    return;
                }
            }
        });
    }

    /// Hands the answer to who asked; a claim that nobody wants any more is given back.
    pub(super) fn hand_out(
        self: &Arc<Self>,
        asked: &Asked,
        answer: Result<Claimed, StoreError>,
        fate: &Fate,
        sender: oneshot::Sender<Result<Claimed, StoreError>>,
    ) {
        if let Some(unwanted) = if fate.answered() { Some(answer) } else { sender.send(answer).err() } {
            self.give_back(asked, unwanted);
        }
    }

    /// Gives back what a claim got that nobody wants.
    pub(super) fn give_back(self: &Arc<Self>, asked: &Asked, unwanted: Result<Claimed, StoreError>) {
        let (fence, undo) = match unwanted {
            Ok(Claimed::Run(begun)) => (begun.fence, Ending::Release),
            Ok(Claimed::TakeOver(begun, record)) => (begun.fence, Ending::Doubt(record.why_in_doubt().into())),
            _ => return,
        };
        let (inner, hold) = (Arc::clone(self), Hold { key: Arc::clone(&asked.key), fence });
        driver().spawn_idle(async move {
            for pause in TAKEN_BACK_AFTER {
                if inner.finish(&hold, &undo).await.is_ok() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        });
    }

    fn answer(
        self: &Arc<Self>,
        asked: &Asked,
        met: Met,
        evicted: u64,
        reading: u64,
        wait: Option<BoxFuture<()>>,
    ) -> Claimed {
        let begun = |fence, attempts| {
            self.counts.add(Counter::Misses, 1);
            self.counts.told(&asked.key);
            self.news.copies.forget(&asked.key);
            if attempts == 1 {
                self.room.added();
            }
            Begun { fence, attempts, evicted: usize::try_from(evicted).unwrap_or(usize::MAX) }
        };
        match met {
            Met::Run(fence, attempts) => Claimed::Run(begun(fence, attempts)),
            Met::TakeOver(fence, attempts, record) => Claimed::TakeOver(begun(fence, attempts), record),
            Met::Replay(found) => {
                let attempts = found.attempts.saturating_add(self.counts.hit(&asked.key, found.fence, asked.shadow));
                self.news.copies.keep(reading, &asked.key, &found, attempts);
                Claimed::Replay { result: found.outcome, attempts }
            }
            Met::ReplayFailure(found) => {
                let attempts = found.attempts.saturating_add(self.counts.hit(&asked.key, found.fence, asked.shadow));
                Claimed::ReplayFailure { failure: found.outcome, attempts }
            }
            Met::Busy { fence, .. } => {
                if asked.refuses_to_wait {
                    self.counts.attempt(&asked.key, fence);
                    self.counts.add(Counter::duplicate(asked.shadow), 1);
                }
                Claimed::Busy(wait.unwrap_or_else(|| self.wait(&asked.key)))
            }
            Met::InDoubt(mut record) => {
                record.attempts = record.attempts.saturating_add(self.counts.attempt(&asked.key, record.fence));
                Claimed::InDoubt(record)
            }
            Met::Mismatch(mut record) => {
                record.attempts = record.attempts.saturating_add(self.counts.attempt(&asked.key, record.fence));
                Claimed::Mismatch(record)
            }
            Met::Full => unreachable!("room was made before"),
        }
    }

    /// Ends when the key's claim may have ended.
    fn wait(self: &Arc<Self>, key: &str) -> BoxFuture<()> {
        let (ended, driver) = (self.news.waiters.enlist(key), driver());
        // News come in only while somebody drives the runtime.
        let want = driver.want();
        let (inner, handle) = (Arc::clone(self), driver.handle());
        Box::pin(async move {
            let _want = want;
            if inner.listens.load(Ordering::Acquire) {
                ended.await;
            } else {
                let mut untold = handle.spawn(async { tokio::time::sleep(UNTOLD).await });
                tokio::select! {
                    () = ended => untold.abort(),
                    _ = &mut untold => {}
                }
            }
        })
    }

    /// Has the ends of claims told, if the server can.
    async fn listen(&self) {
        let listens = self.persist(|| self.engine.listen()).await.unwrap_or(false);
        self.listens.store(listens, Ordering::Release);
    }

    /// Makes room for one more record; answers with the live records that went.
    pub(super) async fn make_room(&self) -> Result<u64, StoreError> {
        let mut size = self.walk(|| self.engine.size()).await?;
        // What has expired goes before anything that has not.
        if self.room.max().is_some_and(|max| size.live + size.expired >= max as u64) && size.expired > 0 {
            self.cleanup_expired().await?;
            size.expired = 0;
        }
        let count = self.room.to_evict(size)?;
        if count == 0 {
            return Ok(0);
        }
        let evicted = self.walk(|| self.engine.remove_oldest(count)).await?;
        self.room.evicted(size, evicted)?;
        self.counts.add(Counter::Evicted, evicted);
        self.news.all_changed();
        Ok(evicted)
    }
}
