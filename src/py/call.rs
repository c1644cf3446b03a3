//! One idempotent call, from the claim to its answer, as a machine without I/O: it says what to do next, and is told
//! what came of it. [`drive`](super::drive) does so for threads, [`coroutine`](super::coroutine) for tasks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::engine::{Active, Engine};
use super::execution::{EXECUTION, Execution};
use super::keeper::{Place, Running};
use super::log::{About, Level};
use super::notify::News;
use super::objects::PyRecord;
use super::outcome::{self, Verdict};
use super::rules::{OnInDoubt, SharedRules};
use super::{errors, log, notify, objects, runtime};
use crate::core::error::StoreError;
use crate::core::record::{Failure, Fence, Fingerprint, Payload, Record, Status};
use crate::store::{Begun, BoxFuture, ClaimRequest, Claimed, Ending, Held, Hold, Reply, Store};

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
    /// Call the executor, then [`Call::executed`].
    Execute,
    /// Call the reconciler with this record, then [`Call::reconciled`].
    Reconcile(Py<PyAny>, Py<PyRecord>),
    /// Wait for this, until the deadline if there is one ([`Arrived::Elapsed`]), then [`Call::resume`].
    Await(BoxFuture<Arrived>, Option<Instant>),
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

enum Stage {
    Claiming,
    Waiting,
    Looking(Lookup),
    Reconciling(Box<str>),
    Executing,
    Ending { ending: Ending, conclusion: Conclusion, news: Option<News>, tries_left: usize },
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

/// The longest a waiter sleeps before it looks again by itself: a lapsed lease wakes nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

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
        }
    }

    /// Whether a cancellation of the wait at hand must let it end: a claim, or the end of one.
    pub(super) const fn is_shielded(&self) -> bool {
        matches!(self.stage, Stage::Claiming | Stage::Ending { .. })
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
        self.stage = Stage::Claiming;
        let request = ClaimRequest {
            key: &self.named.key,
            signal_id: &self.named.signal_id,
            action_type: &self.named.action_type,
            target: &self.named.target,
            fingerprint: &self.named.fingerprint,
            check_params: self.active.settings.check_params(),
            takes_over: self.rules.takes_over(),
            latch: self.rules.latch,
            refuses_to_wait: !self.rules.waits,
            asks_again: self.asks_again,
            lease: self.active.settings.lease(),
            ttl: self.rules.ttl,
            owner: &self.active.owner,
            params: self.named.params.as_deref(),
            context: self.named.context.as_deref(),
        };
        let reply = self.active.store.claim(&request);
        self.take(py, reply, Arrived::Claimed)
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
                // Spawned, so that the verb happens whatever becomes of the caller.
                let verb = runtime::spawn(future);
                let answer = async move {
                    arrived(verb.await.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string()))))
                };
                Step::Await(Box::pin(answer), None)
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

    // ------------------------------------------------------------------------------------------ the claim

    /// Goes on with what the claim got.
    pub(super) fn claimed(&mut self, py: Python<'_>, claimed: Claimed) -> Step {
        match claimed {
            Claimed::Run(begun) => match self.hold(py, begun, Ending::Release) {
                Some(step) => step,
                None => self.enter(py, Step::Execute),
            },
            Claimed::TakeOver(begun, record) => self.take_over(py, begun, record),
            Claimed::Replay { result, attempts } => {
                self.attempts = attempts;
                let result = self.replay(py, &result);
                match result {
                    Ok(Some(value)) => self.give(py, Conclusion::Return(value)),
                    Ok(None) => self.look_up(py, Lookup::ResultUnavailable),
                    Err(error) => self.raise(error),
                }
            }
            Claimed::ReplayFailure { failure, attempts } => {
                self.attempts = attempts;
                self.replay_failure(py, &failure)
            }
            Claimed::Busy(changed) => self.busy(py, changed),
            Claimed::InDoubt(record) => {
                self.attempts = record.attempts;
                let record = self.record(py, record);
                self.raise(errors::exception(py, "InDoubtError", (record,)))
            }
            Claimed::Mismatch(record) => {
                let record = self.record(py, record);
                self.raise(errors::exception(py, "ParamsMismatchError", (record,)))
            }
        }
    }

    /// The books of a replay, and its value.
    fn replay(&mut self, py: Python<'_>, result: &Payload) -> PyResult<Option<Py<PyAny>>> {
        notify::replayed(py, &self.active, self.named.about(self.attempts), self.waited_since);
        let converter = self.rules.converter.as_ref().map(|converter| converter.bind(py));
        objects::load(py, result, converter, self.rules.codec.as_ref())
    }

    fn replay_failure(&mut self, py: Python<'_>, failure: &Failure) -> Step {
        notify::replayed(py, &self.active, self.named.about(self.attempts), self.waited_since);
        match outcome::rebuild(py, failure, &self.rules) {
            Ok(None) => self.look_up(py, Lookup::PreviousFailure),
            Ok(Some(error)) | Err(error) => self.raise(error),
        }
    }

    fn take_over(&mut self, py: Python<'_>, begun: Begun, record: Box<Record>) -> Step {
        let was = doubt_of(&record);
        if let Some(step) = self.hold(py, begun, Ending::Doubt(was.clone())) {
            return step;
        }
        let OnInDoubt::Reconcile(reconciler) = &self.rules.on_in_doubt else {
            return self.enter(py, Step::Execute);
        };
        let reconciler = reconciler.clone_ref(py);
        let record = Py::new(py, self.record(py, record));
        self.attempt(record, |call, record| {
            let step = call.enter(py, Step::Reconcile(reconciler, record));
            if matches!(step, Step::Reconcile(..)) {
                call.stage = Stage::Reconciling(was);
            }
            step
        })
    }

    /// Takes a claim that was granted; a call that was cancelled meanwhile gives it back.
    fn hold(&mut self, py: Python<'_>, begun: Begun, undo: Ending) -> Option<Step> {
        self.attempts = begun.attempts;
        let hold = Hold { key: Arc::clone(&self.named.key), fence: begun.fence };
        let lease = self.active.settings.lease();
        let (place, running) = self.engine.keeper.watch(&self.engine, hold, &self.active.store, lease);
        self.held = Some(Claim { place, running });
        if self.cancelled.is_some() {
            return Some(self.end(py, undo, Conclusion::Cancelled, None));
        }
        if begun.evicted > 0 {
            notify::evicted(py, &self.active, self.named.about(begun.attempts), begun.evicted);
        }
        None
    }

    /// Makes the execution current, for the executor or the reconciler.
    fn enter(&mut self, py: Python<'_>, step: Step) -> Step {
        self.stage = Stage::Executing;
        let running = self.held.as_ref().map(|held| Arc::clone(&held.running));
        let codec = self.codec(py);
        let key = Arc::clone(&self.named.key);
        let entered = Execution::new(py, key, self.attempts, running, self.rules.latch, codec)
            .and_then(|execution| Py::new(py, execution))
            .and_then(|execution| Ok((EXECUTION.set(execution.bind(py))?, execution)));
        match entered {
            Ok((token, execution)) => {
                self.entered = Some((execution, token));
                step
            }
            Err(error) => self.end(py, Ending::Release, Conclusion::Raise(error), None),
        }
    }

    /// Leaves the context as it was found. A generator-like caller that is closed in another context can't, and need
    /// not: that context is gone.
    fn leave(&mut self, py: Python<'_>) {
        if let Some((execution, token)) = self.entered.take() {
            execution.get().end();
            drop(EXECUTION.reset(token.bind(py)));
        }
    }

    fn not_claimed(&mut self, py: Python<'_>, error: &StoreError) -> Step {
        let unreachable = matches!(error, StoreError::Unavailable(_) | StoreError::Failed(_));
        if unreachable && self.active.settings.execute_without_store && self.cancelled.is_none() {
            log::write(
                py,
                Level::Warning,
                &format!("executing without protection, because {error}"),
                self.named.about(0),
            );
            return self.enter(py, Step::Execute);
        }
        self.raise(errors::of_store(py, error))
    }

    // ------------------------------------------------------------------------------------------ waiting

    fn busy(&mut self, py: Python<'_>, changed: BoxFuture<()>) -> Step {
        match Execution::surrounds(py, &self.named.key, &self.active.store) {
            Ok(false) => {}
            Ok(true) => return self.raise(errors::exception(py, "ReentrantCallError", (&*self.named.key,))),
            Err(error) => return self.raise(error),
        }
        if self.cancelled.is_some() {
            return self.give(py, Conclusion::Cancelled);
        }
        if !self.rules.waits {
            return self.look_up(py, Lookup::AlreadyInProgress);
        }
        let now = Instant::now();
        let since = *self.waited_since.get_or_insert(now);
        let Some(left) = self.rules.wait_timeout.checked_sub(now - since).filter(|left| !left.is_zero()) else {
            return self.look_up(py, Lookup::AlreadyInProgress);
        };
        self.stage = Stage::Waiting;
        let awake = async move {
            changed.await;
            Arrived::Awake
        };
        Step::Await(Box::pin(awake), Some(now + left.min(LOOK_AGAIN)))
    }

    fn awake(&mut self, py: Python<'_>) -> Step {
        if let Stage::Ending { .. } = self.stage {
            return self.end_again(py);
        }
        self.asks_again = true;
        self.begin(py)
    }

    fn look_up(&mut self, py: Python<'_>, lookup: Lookup) -> Step {
        self.stage = Stage::Looking(lookup);
        let reply = self.active.store.get(&self.named.key);
        self.take(py, reply, Arrived::Found)
    }

    fn found(&mut self, py: Python<'_>, found: Result<Option<Record>, StoreError>) -> Step {
        let Stage::Looking(lookup) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return self.raise(errors::configuration(py, "a record arrived that nobody asked for"));
        };
        let record = match found {
            Ok(record) => record,
            Err(error) => return self.raise(errors::of_store(py, &error)),
        };
        let in_progress = |record: &Record| matches!(record.status, Status::InProgress { .. });
        match (lookup, record) {
            // It has finished or gone between the two looks, or what was to be shown has: ask again.
            (Lookup::AlreadyInProgress, Some(record)) if in_progress(&record) => {
                let waited = self.waited_since.map(|since| since.elapsed());
                let record = self.record(py, Box::new(record));
                self.raise(errors::exception(py, "AlreadyInProgressError", (record, waited)))
            }
            (Lookup::PreviousFailure, Some(record)) => {
                let record = self.record(py, Box::new(record));
                self.raise(errors::exception(py, "PreviousFailureError", (record,)))
            }
            (Lookup::ResultUnavailable, Some(record)) => {
                let record = self.record(py, Box::new(record));
                self.raise(errors::exception(py, "ResultUnavailableError", (record,)))
            }
            _ => self.awake(py),
        }
    }

    // ------------------------------------------------------------------------------------------ the execution

    /// Goes on with what the executor returned or raised.
    pub(super) fn executed(&mut self, py: Python<'_>, result: PyResult<Py<PyAny>>) -> Step {
        self.leave(py);
        if self.held.is_none() {
            return match result {
                Ok(value) => Step::Return(value),
                Err(error) => self.raise(error),
            };
        }
        match result {
            Ok(value) => self.keep(py, value, News::Executed),
            Err(error) => self.failed(py, error),
        }
    }

    /// Goes on with what the reconciler returned or raised.
    pub(super) fn reconciled(&mut self, py: Python<'_>, result: PyResult<Py<PyAny>>) -> Step {
        let Stage::Reconciling(was) = std::mem::replace(&mut self.stage, Stage::Executing) else {
            return self.raise(errors::configuration(py, "a reconciler answered that nobody asked"));
        };
        match result {
            Ok(value) => match outcome::is_not_executed(value.bind(py)) {
                Ok(true) => Step::Execute,
                Ok(false) => {
                    self.leave(py);
                    self.keep(py, value, News::Resolved)
                }
                Err(error) => self.reconciled_badly(py, was, error),
            },
            Err(error) => self.reconciled_badly(py, was, error),
        }
    }

    fn reconciled_badly(&mut self, py: Python<'_>, was: Box<str>, error: PyErr) -> Step {
        self.leave(py);
        self.end(py, Ending::Doubt(was), Conclusion::Raise(error), None)
    }

    /// Gives the claim back without having executed.
    pub(super) fn release(&mut self, py: Python<'_>) -> Step {
        self.leave(py);
        self.end(py, Ending::Release, Conclusion::Return(py.None()), Some(News::Released))
    }

    /// Leaves the action in doubt and raises this.
    pub(super) fn doubt(&mut self, py: Python<'_>, error: PyErr) -> Step {
        self.leave(py);
        if self.held.is_none() {
            return self.raise(error);
        }
        self.in_doubt(py, error)
    }

    fn keep(&mut self, py: Python<'_>, value: Py<PyAny>, news: News) -> Step {
        let (payload, conclusion) = match outcome::payload(value.bind(py), &self.rules, self.active.store.is_local()) {
            Ok((payload, warning)) => {
                if let Some(warning) = warning {
                    log::write(py, Level::Warning, &warning, self.named.about(self.attempts));
                }
                (payload, Conclusion::Return(value))
            }
            // The effect has happened: an encoding that was interrupted must not undo the record of it.
            Err(error) => (Payload::Unavailable, Conclusion::Raise(error)),
        };
        self.end(py, Ending::Complete(payload, self.rules.ttl), conclusion, Some(news))
    }

    fn failed(&mut self, py: Python<'_>, error: PyErr) -> Step {
        let dispatched = self.held.as_ref().is_some_and(|held| held.running.is_dispatched());
        match outcome::judge(py, &error, &self.rules, dispatched) {
            Ok(Verdict::NotExecuted) => self.end(py, Ending::Release, Conclusion::Raise(error), Some(News::Failed)),
            Ok(Verdict::Final(failure)) => {
                let ending = Ending::Fail(failure, self.rules.ttl);
                self.end(py, ending, Conclusion::Raise(error), Some(News::Failed))
            }
            Ok(Verdict::InDoubt) => self.in_doubt(py, error),
            // Whoever can't tell whether it happened says so.
            Err(broken) => self.in_doubt(py, broken),
        }
    }

    fn in_doubt(&mut self, py: Python<'_>, error: PyErr) -> Step {
        let (class, text) = errors::describe(py, &error);
        let why = format!("{class}: {text}").into_boxed_str();
        self.end(py, Ending::Doubt(why), Conclusion::Raise(error), Some(News::InDoubt))
    }

    // ------------------------------------------------------------------------------------------ the end

    fn end(&mut self, py: Python<'_>, ending: Ending, conclusion: Conclusion, news: Option<News>) -> Step {
        self.stage = Stage::Ending { ending, conclusion, news, tries_left: PAUSES.len() };
        self.end_again(py)
    }

    fn end_again(&mut self, py: Python<'_>) -> Step {
        let (Stage::Ending { ending, .. }, Some(held)) = (&self.stage, &self.held) else {
            return self.raise(errors::configuration(py, "a claim ended that was not held"));
        };
        let reply = self.active.store.finish(&held.running.hold, ending.clone());
        self.take(py, reply, Arrived::Ended)
    }

    fn ended(&mut self, py: Python<'_>, result: Result<Held, StoreError>) -> Step {
        let Stage::Ending { ending, conclusion, news, tries_left } = std::mem::replace(&mut self.stage, Stage::Over)
        else {
            return self.raise(errors::configuration(py, "a claim ended that was not held"));
        };
        match result {
            Err(_) if tries_left > 0 => {
                let pause = PAUSES[PAUSES.len() - tries_left];
                self.stage = Stage::Ending { ending, conclusion, news, tries_left: tries_left - 1 };
                Step::Await(Box::pin(std::future::pending()), Some(Instant::now() + pause))
            }
            Err(error) => self.not_recorded(py, &ending, conclusion, &error),
            Ok(Held::Lost(record)) if !(tries_left < PAUSES.len() && self.took_place(&ending, record.as_deref())) => {
                self.lost(py, &ending, conclusion, record)
            }
            Ok(Held::Kept | Held::Lost(_)) => {
                self.let_go();
                if let Some(news) = news {
                    notify::news(py, &self.active, self.named.about(self.attempts), news, self.took());
                }
                self.give(py, conclusion)
            }
        }
    }

    /// Whether a write that is refused when it is tried again had taken place the first time, its acknowledgement lost:
    /// nobody else finishes under this claim's fence.
    fn took_place(&self, ending: &Ending, record: Option<&Record>) -> bool {
        let Some(held) = &self.held else { return false };
        let own = record.filter(|record| record.fence == held.running.hold.fence);
        match ending {
            Ending::Complete(..) => own.is_some_and(|record| matches!(record.status, Status::Completed { .. })),
            Ending::Fail(..) => own.is_some_and(|record| matches!(record.status, Status::Failed { .. })),
            Ending::Release => own.is_none(),
            Ending::Doubt(_) => false,
        }
    }

    fn let_go(&mut self) {
        if let Some(held) = self.held.take() {
            self.engine.keeper.forget(held.place);
        }
    }

    fn give(&mut self, _py: Python<'_>, conclusion: Conclusion) -> Step {
        self.stage = Stage::Over;
        match (self.cancelled.take(), conclusion) {
            (Some(error), _) | (None, Conclusion::Raise(error)) => Step::Raise(error),
            (None, Conclusion::Return(value)) => Step::Return(value),
            (None, Conclusion::Cancelled) => unreachable!("only a cancelled call concludes so"),
        }
    }

    /// The effect has happened and the store can't be told: the result goes to the caller, in an error.
    fn not_recorded(&mut self, py: Python<'_>, ending: &Ending, conclusion: Conclusion, error: &StoreError) -> Step {
        self.let_go();
        match (ending, conclusion) {
            (Ending::Complete(..), Conclusion::Return(value)) => {
                let args = (&*self.named.key, value, error.to_string());
                self.raise_with_result(py, errors::exception(py, "ResultNotRecordedError", args))
            }
            (_, conclusion) => self.give(py, conclusion),
        }
    }

    fn lost(&mut self, py: Python<'_>, ending: &Ending, conclusion: Conclusion, record: Option<Box<Record>>) -> Step {
        self.let_go();
        notify::news(py, &self.active, self.named.about(self.attempts), News::LeaseLost, self.took());
        match (ending, conclusion) {
            (Ending::Complete(..) | Ending::Release, Conclusion::Return(value)) => {
                let record = record.map(|record| self.record(py, record));
                let finished = matches!(ending, Ending::Complete(..));
                let args = (record, value, &*self.named.key, finished);
                self.raise_with_result(py, errors::exception(py, "LeaseLostError", args))
            }
            (_, conclusion) => self.give(py, conclusion),
        }
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
                (begun.fence, Ending::Doubt(doubt_of(&record)))
            }
            (Some(held), Arrived::Ended(Err(_)) | Arrived::Elapsed | Arrived::Awake) => held,
            _ => return,
        };
        let hold = Hold { key: self.key, fence };
        for pause in PAUSES {
            let answer = match self.store.finish(&hold, ending.clone()) {
                Reply::Ready(answer) => answer,
                Reply::Pending(answer) => answer.await,
            };
            if answer.is_ok() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Why a record is in doubt.
fn doubt_of(record: &Record) -> Box<str> {
    match &record.status {
        Status::InDoubt { error: Some(error) } => error.clone(),
        _ => "its owner never finished".into(),
    }
}

impl Drop for Call {
    /// A call that is dropped while it executes (a coroutine that is never resumed) no longer renews its lease: the
    /// action is in doubt once the lease has lapsed.
    fn drop(&mut self) {
        self.let_go();
    }
}
