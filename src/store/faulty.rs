//! A store that waits and fails as it is told, over one that does not: test equipment for everything above the stores.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

use super::{
    ClaimRequest, Claimed, Cursor, Ending, Glance, Held, Hit, Hold, Limits, MarkRequest, Page, Reply, Resolution,
    Restored, Selector, Store, Tally,
};
use crate::core::clock::Span;
use crate::core::error::StoreError;
use crate::core::record::Record;

/// A verb of [`Store`] that can be made to wait or fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as the method of the trait that it stands for")]
pub enum Verb {
    Claim,
    ClaimMany,
    Renew,
    Dispatch,
    DispatchMany,
    Finish,
    Mark,
    Resolve,
    Check,
    CheckMany,
    Restore,
    Get,
    Find,
    Scan,
    CleanupExpired,
    RemoveOldest,
    Clear,
    ClearAll,
    Tally,
    ResetTally,
    Glance,
}

/// All verbs by their names, in the order of the enum.
const VERBS: [(Verb, &str); 21] = [
    (Verb::Claim, "claim"),
    (Verb::ClaimMany, "claim_many"),
    (Verb::Renew, "renew"),
    (Verb::Dispatch, "dispatch"),
    (Verb::DispatchMany, "dispatch_many"),
    (Verb::Finish, "finish"),
    (Verb::Mark, "mark"),
    (Verb::Resolve, "resolve"),
    (Verb::Check, "check"),
    (Verb::CheckMany, "check_many"),
    (Verb::Restore, "restore"),
    (Verb::Get, "get"),
    (Verb::Find, "find"),
    (Verb::Scan, "scan"),
    (Verb::CleanupExpired, "cleanup_expired"),
    (Verb::RemoveOldest, "remove_oldest"),
    (Verb::Clear, "clear"),
    (Verb::ClearAll, "clear_all"),
    (Verb::Tally, "tally"),
    (Verb::ResetTally, "reset_tally"),
    (Verb::Glance, "glance"),
];

impl Verb {
    /// The verb of this name; `None` where there is none.
    pub fn named(name: &str) -> Option<Self> {
        VERBS.iter().find(|(_, known)| *known == name).map(|(verb, _)| *verb)
    }

    /// The names of all verbs.
    pub fn names() -> impl Iterator<Item = &'static str> {
        VERBS.iter().map(|(_, name)| *name)
    }

    /// Its name, which is that of the trait's method.
    pub const fn name(self) -> &'static str {
        VERBS[self as usize].1
    }
}

/// What becomes of a call of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and its answer arrives.
    Pass,
    /// It is not done, and the caller is told that the store is unavailable.
    FailBefore,
    /// It is done, and the caller is told that the store is unavailable: its answer was lost.
    FailAfter,
}

/// What is planned for one verb.
struct Script {
    calls: u64,
    /// What becomes of the next calls, and of how many; `None` for all that follow.
    outcomes: VecDeque<(Outcome, Option<u64>)>,
    delay: Option<Duration>,
    held: watch::Sender<bool>,
}

impl Default for Script {
    fn default() -> Self {
        Self { calls: 0, outcomes: VecDeque::new(), delay: None, held: watch::Sender::new(false) }
    }
}

impl Script {
    fn next(&mut self) -> Outcome {
        let Some((outcome, times)) = self.outcomes.front_mut() else { return Outcome::Pass };
        let outcome = *outcome;
        if let Some(times) = times {
            *times -= 1;
            if *times == 0 {
                self.outcomes.pop_front();
            }
        }
        outcome
    }
}

/// What is to become of the calls of each verb. Shared between a test and any number of [`FaultyStore`]s.
#[derive(Default)]
pub struct Plan {
    scripts: Mutex<[Script; VERBS.len()]>,
    called: Condvar,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plan(..)")
    }
}

/// What one call has to go through.
struct Turn {
    outcome: Outcome,
    delay: Option<Duration>,
    held: watch::Receiver<bool>,
}

impl Turn {
    async fn wait(&mut self) {
        if let Some(delay) = self.delay {
            let (over, elapsed) = oneshot::channel();
            thread::spawn(move || {
                thread::sleep(delay);
                // Who no longer waits for it need not hear of it.
                _ = over.send(());
            });
            drop(elapsed.await);
        }
        // A plan that is gone holds nobody any more.
        drop(self.held.wait_for(|held| !held).await);
    }
}

impl Plan {
    /// Lets so many calls that no earlier word is for have this outcome; `None` for all that follow. None is nothing.
    pub fn add(&self, verb: Verb, outcome: Outcome, times: Option<u64>) {
        if times != Some(0) {
            self.scripts.lock()[verb as usize].outcomes.push_back((outcome, times));
        }
    }

    /// Delays the answers of this verb from here on; `None` for no longer.
    pub fn delay(&self, verb: Verb, delay: Option<Duration>) {
        self.scripts.lock()[verb as usize].delay = delay;
    }

    /// Keeps the answers of calls that are made from here on until [`let_go`](Self::let_go).
    pub fn hold(&self, verb: Verb) {
        self.scripts.lock()[verb as usize].held.send_replace(true);
    }

    /// Lets the answers go that are held, and those that follow.
    pub fn let_go(&self, verb: Verb) {
        self.scripts.lock()[verb as usize].held.send_replace(false);
    }

    /// Forgets all faults and delays and lets all answers go; the counts stay.
    pub fn heal(&self) {
        for script in self.scripts.lock().iter_mut() {
            script.outcomes.clear();
            script.delay = None;
            script.held.send_replace(false);
        }
    }

    /// How often a verb was called.
    pub fn calls(&self, verb: Verb) -> u64 {
        self.scripts.lock()[verb as usize].calls
    }

    /// Waits until a verb was called so often; `false` if that took longer than `timeout`.
    pub fn wait_for(&self, verb: Verb, calls: u64, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut scripts = self.scripts.lock();
        while scripts[verb as usize].calls < calls {
            if self.called.wait_until(&mut scripts, until).timed_out() {
                return scripts[verb as usize].calls >= calls;
            }
        }
        true
    }

    fn turn(&self, verb: Verb) -> Turn {
        let turn = {
            let script = &mut self.scripts.lock()[verb as usize];
            script.calls += 1;
            Turn { outcome: script.next(), delay: script.delay, held: script.held.subscribe() }
        };
        self.called.notify_all();
        turn
    }
}

/// A store in front of another: every verb's answer is on its way rather than at hand, and a [`Plan`] decides what
/// becomes of it. A verb that passes or fails after doing takes place at once, when it is called; only its answer waits. It
/// is not local, so nothing may count on it to hold an object or to answer at once.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Arc<Plan>,
}

impl FaultyStore {
    /// A store that does with `inner` what `plan` says.
    pub const fn new(inner: Arc<dyn Store>, plan: Arc<Plan>) -> Self {
        Self { inner, plan }
    }

    fn answer<T: Send + 'static>(&self, verb: Verb, ask: impl FnOnce(&dyn Store) -> Reply<T>) -> Reply<T> {
        let mut turn = self.plan.turn(verb);
        let reply = (turn.outcome != Outcome::FailBefore).then(|| ask(&*self.inner).called());
        Reply::Pending(Box::pin(async move {
            let result = match reply {
                Some(called) => called.await,
                None => Err(StoreError::Unavailable(format!("a planned fault before {}", verb.name()))),
            };
            turn.wait().await;
            match turn.outcome {
                Outcome::FailAfter => Err(StoreError::Unavailable(format!("a planned fault after {}", verb.name()))),
                Outcome::Pass | Outcome::FailBefore => result,
            }
        }))
    }
}

impl Store for FaultyStore {
    fn claim(&self, request: &ClaimRequest<'_>) -> Reply<Claimed> {
        self.answer(Verb::Claim, |store| store.claim(request))
    }

    fn claim_many(&self, requests: &[ClaimRequest<'_>]) -> Reply<Vec<Result<Claimed, StoreError>>> {
        self.answer(Verb::ClaimMany, |store| store.claim_many(requests))
    }

    fn renew(&self, holds: &[Hold], lease: Span) -> Reply<Vec<Hold>> {
        self.answer(Verb::Renew, |store| store.renew(holds, lease))
    }

    fn dispatch(&self, hold: &Hold) -> Reply<Held> {
        self.answer(Verb::Dispatch, |store| store.dispatch(hold))
    }

    fn dispatch_many(&self, holds: &[Hold]) -> Reply<Vec<Held>> {
        self.answer(Verb::DispatchMany, |store| store.dispatch_many(holds))
    }

    fn finish(&self, hold: &Hold, ending: Ending) -> Reply<Held> {
        self.answer(Verb::Finish, |store| store.finish(hold, ending))
    }

    fn mark(&self, request: MarkRequest<'_>) -> Reply<usize> {
        self.answer(Verb::Mark, |store| store.mark(request))
    }

    fn resolve(&self, key: &str, resolution: Resolution) -> Reply<()> {
        self.answer(Verb::Resolve, |store| store.resolve(key, resolution))
    }

    fn check(&self, key: &str) -> Reply<Option<Hit>> {
        self.answer(Verb::Check, |store| store.check(key))
    }

    fn check_many(&self, keys: &[&str]) -> Reply<Vec<Option<Hit>>> {
        self.answer(Verb::CheckMany, |store| store.check_many(keys))
    }

    fn restore(&self, records: Vec<Record>) -> Reply<Vec<Restored>> {
        self.answer(Verb::Restore, |store| store.restore(records))
    }

    fn get(&self, key: &str) -> Reply<Option<Record>> {
        self.answer(Verb::Get, |store| store.get(key))
    }

    fn find(&self, selector: Selector<'_>) -> Reply<Vec<Box<str>>> {
        self.answer(Verb::Find, |store| store.find(selector))
    }

    fn scan(&self, from: Option<Cursor>, limit: usize) -> Reply<Page> {
        self.answer(Verb::Scan, |store| store.scan(from, limit))
    }

    fn glance(&self, from: Option<Cursor>, limit: usize) -> Reply<Glance> {
        self.answer(Verb::Glance, |store| store.glance(from, limit))
    }

    fn cleanup_expired(&self) -> Reply<u64> {
        self.answer(Verb::CleanupExpired, |store| store.cleanup_expired())
    }

    fn remove_oldest(&self, count: u64) -> Reply<u64> {
        self.answer(Verb::RemoveOldest, |store| store.remove_oldest(count))
    }

    fn clear(&self, key: &str) -> Reply<bool> {
        self.answer(Verb::Clear, |store| store.clear(key))
    }

    fn clear_all(&self) -> Reply<u64> {
        self.answer(Verb::ClearAll, |store| store.clear_all())
    }

    fn tally(&self) -> Reply<Tally> {
        self.answer(Verb::Tally, |store| store.tally())
    }

    fn reset_tally(&self) -> Reply<()> {
        self.answer(Verb::ResetTally, |store| store.reset_tally())
    }

    fn set_limits(&self, limits: Limits) {
        self.inner.set_limits(limits);
    }

    fn flush(&self) -> Reply<()> {
        self.inner.flush()
    }

    fn let_go(&self) {
        self.inner.let_go();
    }

    fn look_again(&self) -> Duration {
        self.inner.look_again()
    }

    fn before_fork(&self) {
        self.inner.before_fork();
    }

    fn after_fork(&self, in_child: bool) {
        self.inner.after_fork(in_child);
        if in_child && self.plan.scripts.is_locked() {
            // SAFETY: whoever held it is not in this process, and the thread that forked does not hold it. Measured
            // reason: plans are shared by stores, so they can't all lock them before.
            unsafe { self.plan.scripts.force_unlock() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_is_found_by_its_name_and_stands_at_its_place() {
        for (place, (verb, name)) in VERBS.iter().enumerate() {
            assert_eq!(*verb as usize, place);
            assert_eq!(Verb::named(name), Some(*verb));
            assert_eq!(verb.name(), *name);
        }
    }

    #[test]
    fn outcomes_come_in_the_order_they_were_planned_and_then_calls_pass() {
        let plan = Plan::default();
        plan.add(Verb::Get, Outcome::FailBefore, Some(2));
        plan.add(Verb::Get, Outcome::Pass, Some(1));
        plan.add(Verb::Get, Outcome::FailAfter, Some(1));
        let outcomes: Vec<_> = (0..5).map(|_| plan.turn(Verb::Get).outcome).collect();
        let (before, after, pass) = (Outcome::FailBefore, Outcome::FailAfter, Outcome::Pass);
        assert_eq!(outcomes, [before, before, pass, after, pass]);
        assert_eq!(plan.calls(Verb::Get), 5);
        assert_eq!(plan.calls(Verb::Claim), 0);
    }

    #[test]
    fn an_outcome_without_a_number_lasts_until_the_plan_is_healed() {
        let plan = Plan::default();
        plan.add(Verb::Finish, Outcome::FailBefore, None);
        assert!((0..10).all(|_| plan.turn(Verb::Finish).outcome == Outcome::FailBefore));
        plan.heal();
        assert_eq!(plan.turn(Verb::Finish).outcome, Outcome::Pass);
    }
}
