//! One idempotent call, from the claim to its answer, as a machine without I/O: it says what to do next, and is told
//! what came of it. [`drive`](super::drive) does so for threads, [`coroutine`](super::coroutine) for tasks.

mod batched;
mod claiming;
mod ending;
mod executing;
mod shadow;
mod waiting;
mod witnessed;

pub(super) use self::batched::is_interruption;
use self::shadow::Prior;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::engine::{Active, Engine};
use super::execution::Execution;
use super::keeper::{Place, Running};
use super::log::About;
use super::naming;
use super::notify::News;
use super::objects::PyRecord;
use super::rules::SharedRules;
use super::runtime;
use crate::core::error::StoreError;
use crate::core::record::{Fence, Fingerprint, Record};
use crate::store::{BoxFuture, ClaimRequest, Claimed, Ending, Errand, Held, Hold, Queued, Reply, Store};

/// The action of a call, named once when the call begins: a function that mutates its arguments changes neither
/// key nor fingerprint.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) key: Arc<str>,
    pub(super) signal_id: Box<str>,
    pub(super) action_type: Arc<str>,
    pub(super) target: Arc<str>,
    pub(super) fingerprint: Fingerprint,
    pub(super) params: Option<Arc<[u8]>>,
    pub(super) context: Option<Arc<[u8]>>,
    /// The params in canonical form, where the lint wants to see them.
    pub(super) watched: Option<Box<[u8]>>,
}

impl Named {
    pub(super) fn about(&self, attempts: u32) -> About<'_> {
        About {
            key: &self.key,
            signal_id: &self.signal_id,
            action_type: &self.action_type,
            target: &self.target,
            attempts,
        }
    }
}

/// What to do next.
pub(super) enum Step {
    /// There is the right to execute: [`Call::start`], now or later.
    Granted,
    /// Call the executor, then [`Call::executed`].
    Execute,
    /// Call the reconciler with this record, then [`Call::reconciled`].
    Reconcile(Py<PyAny>, Py<PyRecord>),
    /// Wait for this, until the deadline if there is one ([`Arrived::Elapsed`]), then [`Call::resume`].
    Await(BoxFuture<Arrived>, Option<Instant>),
    /// Send the errand, in this thread or another, then wait for what it brings.
    Ask(BoxFuture<Arrived>, Box<dyn Errand>),
    /// The call ends with this value.
    Return(Py<PyAny>),
    /// The call ends with this exception.
    Raise(PyErr),
}

/// What came of a wait.
pub(super) enum Arrived {
    Claimed(Result<Claimed, StoreError>),
    Ended(Result<Held, StoreError>),
    Found(Result<Option<Record>, StoreError>),
    Awake,
    Elapsed,
}

/// What a call does once the record that goes with an error is at hand.
enum Lookup {
    AlreadyInProgress,
    PreviousFailure,
    ResultUnavailable,
}

/// What a call ends with once its claim has been ended.
enum Conclusion {
    Return(Py<PyAny>),
    Raise(PyErr),
    /// With the exception that cancelled it.
    Cancelled,
}

/// What a claim is for.
enum Entry {
    Execute,
    /// To settle, by this reconciler, what this record left in doubt.
    Reconcile(Py<PyAny>, Py<PyRecord>, Box<str>),
}

enum Stage {
    Claiming,
    Waiting,
    /// With what undoes the claim.
    Granted(Entry, Ending),
    Looking(Lookup),
    /// In shadow mode, with what the executor came to: looking up what it would have got.
    Comparing(PyResult<Py<PyAny>>),
    Reconciling(Box<str>),
    Executing,
    Ending {
        ending: Ending,
        conclusion: Conclusion,
        news: Option<News>,
        tries_left: usize,
    },
    Over,
}

/// A claim that this call holds.
struct Claim {
    place: Place,
    running: Arc<Running>,
}

/// How often, and after what pauses, a store that fails after the effect is asked again.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

/// See the module.
pub(super) struct Call {
    engine: Arc<Engine>,
    active: Arc<Active>,
    rules: SharedRules,
    named: Named,
    stage: Stage,
    asks_again: bool,
    /// When the call began, where somebody is told how long it took.
    began: Option<Instant>,
    waited_since: Option<Instant>,
    attempts: u32,
    held: Option<Claim>,
    entered: Option<(Py<Execution>, Py<PyAny>)>,
    cancelled: Option<PyErr>,
    /// Of a call in a batch, which is told when to start: whether it was answered from a record.
    batched: Option<Arc<AtomicBool>>,
    /// In shadow mode, of a duplicate: what it would have got.
    prior: Option<Prior>,
    /// In shadow mode: whether the action could not be named.
    unnamed: bool,
    /// What a test's witness knows its execution by.
    seen: Option<Py<PyAny>>,
    /// By a test's word, the store does not hear of the end.
    is_store_down: bool,
}

impl Call {
    pub(super) fn new(engine: Arc<Engine>, active: Arc<Active>, rules: SharedRules, named: Named) -> Self {
        let began = active.on_event.as_ref().map(|_| Instant::now());
        Self {
            engine,
            active,
            rules,
            named,
            stage: Stage::Claiming,
            asks_again: false,
            began,
            waited_since: None,
            attempts: 0,
            held: None,
            entered: None,
            cancelled: None,
            batched: None,
            prior: None,
            unnamed: false,
            seen: None,
            is_store_down: false,
        }
    }

    /// The call of an action as Python gives it.
    pub(super) fn of_action(
        engine: &Arc<Engine>,
        active: &Arc<Active>,
        rules: &SharedRules,
        action: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let (py, named) = (action.py(), naming::of_action(active, action));
        let (engine, active, rules) = (Arc::clone(engine), Arc::clone(active), Arc::clone(rules));
        match named {
            Ok(named) => Ok(Self::new(engine, active, rules, named)),
            Err(reason) if rules.shadow && !is_interruption(py, &reason) => {
                Ok(Self::unnamed(py, engine, active, rules, &reason))
            }
            Err(reason) => Err(reason),
        }
    }

    /// Whether a cancellation of the wait at hand must let it end: a claim, the end of one, or the last look
    /// of a call that has executed.
    pub(super) const fn is_shielded(&self) -> bool {
        matches!(self.stage, Stage::Claiming | Stage::Ending { .. } | Stage::Comparing(_))
    }

    /// Whether it asks for the right to execute.
    pub(super) const fn is_claiming(&self) -> bool {
        matches!(self.stage, Stage::Claiming)
    }

    /// Ends with this exception a call whose claim was never made.
    pub(super) fn give_up(&mut self, py: Python<'_>, error: PyErr) -> Step {
        self.give(py, Conclusion::Raise(error))
    }

    /// The key.
    pub(super) fn key(&self) -> Arc<str> {
        Arc::clone(&self.named.key)
    }

    /// Whether it holds the right to execute and has not used it up.
    pub(super) const fn is_executing(&self) -> bool {
        matches!(self.stage, Stage::Executing)
    }

    /// Cancels the call: it goes on to the end of the step at hand, keeps the books, and ends with this exception.
    pub(super) fn cancel(&mut self, py: Python<'_>, error: PyErr) -> Option<Step> {
        if self.is_shielded() {
            self.cancelled = Some(error);
            None
        } else {
            Some(self.give(py, Conclusion::Raise(error)))
        }
    }

    /// Asks for the right to execute.
    pub(super) fn begin(&mut self, py: Python<'_>) -> Step {
        if self.unnamed {
            return self.granted(py, Entry::Execute, Ending::Release);
        }
        self.stage = Stage::Claiming;
        let reply = self.active.store.claim(&self.request(self.rules.latch));
        self.take(py, reply, Arrived::Claimed)
    }

    /// What it asks the store for.
    pub(super) fn request(&self, latch: bool) -> ClaimRequest<'_> {
        ClaimRequest {
            key: &self.named.key,
            signal_id: &self.named.signal_id,
            action_type: &self.named.action_type,
            target: &self.named.target,
            fingerprint: &self.named.fingerprint,
            check_params: self.active.settings.check_params(),
            takes_over: self.rules.takes_over(),
            latch,
            refuses_to_wait: self.rules.refuses_to_wait(),
            asks_again: self.asks_again,
            shadow: self.rules.shadow,
            lease: self.active.settings.lease(),
            ttl: self.rules.ttl,
            owner: &self.active.owner,
            params: self.named.params.as_deref(),
            context: self.named.context.as_deref(),
        }
    }

    /// Goes on with a claim that was asked for in this call's name.
    pub(super) fn take_claim(&mut self, py: Python<'_>, reply: Reply<Claimed>) -> Step {
        self.take(py, reply, Arrived::Claimed)
    }

    fn take<T: Send + 'static>(
        &mut self,
        py: Python<'_>,
        reply: Reply<T>,
        arrived: fn(Result<T, StoreError>) -> Arrived,
    ) -> Step {
        match reply {
            Reply::Ready(result) => self.resume(py, arrived(result)),
            Reply::Pending(future) => {
                let verb = runtime::verb(future);
                Step::Await(Box::pin(async move { arrived(verb.await) }), None)
            }
            Reply::Queued(Queued { answer, errand }) => {
                Step::Ask(Box::pin(async move { arrived(answer.await) }), errand)
            }
        }
    }

    /// Goes on with what a wait brought.
    pub(super) fn resume(&mut self, py: Python<'_>, arrived: Arrived) -> Step {
        match arrived {
            Arrived::Claimed(Ok(claimed)) => self.claimed(py, claimed),
            Arrived::Claimed(Err(error)) => self.not_claimed(py, &error),
            Arrived::Ended(result) => self.ended(py, result),
            Arrived::Found(result) => self.found(py, result),
            Arrived::Awake | Arrived::Elapsed => self.awake(py),
        }
    }

    fn raise(&mut self, error: PyErr) -> Step {
        self.stage = Stage::Over;
        Step::Raise(self.cancelled.take().unwrap_or(error))
    }

    /// Raises an error that carries the result; a cancellation that takes its place carries the error.
    fn raise_with_result(&mut self, py: Python<'_>, error: PyErr) -> Step {
        match self.cancelled.take() {
            None => self.raise(error),
            Some(cancelled) => {
                cancelled.set_cause(py, Some(error));
                self.raise(cancelled)
            }
        }
    }

    fn attempt<T>(&mut self, result: PyResult<T>, then: impl FnOnce(&mut Self, T) -> Step) -> Step {
        match result {
            Ok(value) => then(self, value),
            Err(error) => self.raise(error),
        }
    }

    fn record(&self, py: Python<'_>, record: Box<Record>) -> PyRecord {
        PyRecord::new(record, self.codec(py))
    }

    fn took(&self) -> Option<Duration> {
        self.began.map(|began| began.elapsed())
    }

    fn codec(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.rules.codec.as_ref().map(|codec| codec.clone_ref(py))
    }
}

impl Call {
    /// What is left to do when nobody will resume this call any more while it waits for the store's answer: nothing,
    /// unless it is about to hold a claim or to end one.
    pub(super) fn unattended(&mut self) -> Option<Unattended> {
        let store = Arc::clone(&self.active.store);
        let key = self.key();
        let rest = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Claiming => Some(Unattended { store, key, ending: None }),
            Stage::Ending { ending, .. } => self.held.as_ref().map(|held| Unattended {
                store,
                key,
                ending: Some((held.running.hold.fence, ending)),
            }),
            _ => None,
        };
        self.let_go();
        rest
    }
}

/// The books of a call that was given up, kept without its caller.
pub(super) struct Unattended {
    store: Arc<dyn Store>,
    key: Arc<str>,
    /// How the claim ends that it holds; `None` while it is being asked for.
    ending: Option<(Fence, Ending)>,
}

impl Unattended {
    /// Gives back a claim that was granted meanwhile, or ends the one at hand, however often the store must be asked.
    pub(super) async fn go_on(self, arrived: Arrived) {
        let (fence, ending) = match (self.ending, arrived) {
            (None, Arrived::Claimed(Ok(Claimed::Run(begun)))) => (begun.fence, Ending::Release),
            (None, Arrived::Claimed(Ok(Claimed::TakeOver(begun, record)))) => {
                (begun.fence, Ending::Doubt(record.why_in_doubt().into()))
            }
            (Some(held), Arrived::Ended(Err(_)) | Arrived::Elapsed | Arrived::Awake) => held,
            _ => return,
        };
        let hold = Hold { key: self.key, fence };
        for pause in PAUSES {
            if self.store.finish(&hold, ending.clone()).called().await.is_ok() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

impl Drop for Call {
    /// A call that is dropped while it executes (a coroutine that is never resumed) no longer renews its lease: the
    /// action is in doubt once the lease has lapsed.
    fn drop(&mut self) {
        self.let_go();
    }
}
