//! Where records live: the verbs every engine offers, and what each promises.
//!
//! A verb is atomic for its key: it reads the record, applies [`decide`](crate::core::machine::decide) and writes
//! what follows as one step that no other caller can come between. Time is the store's own, read before
//! the step. An expired finished record is as good as gone for every verb, removed or not.
//!
//! Nobody's code runs and nobody's object is dropped while a store holds a lock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::core::clock::{Span, Timestamp};
use crate::core::error::StoreError;
use crate::core::record::{Failure, Fence, Fingerprint, Labels, Payload, Record, Status};

#[cfg(not(shuttle))]
mod asked;
pub mod faulty;
pub mod glance;
#[cfg(not(shuttle))]
pub mod kept;
pub mod memory;
#[cfg(not(shuttle))]
pub mod postgres;
#[cfg(not(shuttle))]
pub mod process;
#[cfg(not(shuttle))]
pub mod redis;
#[cfg(not(shuttle))]
pub mod remote;
mod reply;
#[cfg(not(shuttle))]
pub mod sqlite;
#[cfg(not(shuttle))]
mod waiters;

pub use self::glance::Glance;
pub use self::reply::{BoxFuture, Errand, Queued, Recall, Reply};

/// The right to execute that a claim gave: the key and the fence that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The key.
    pub key: Arc<str>,
    /// The claim's fence.
    pub fence: Fence,
}

/// A request for the right to execute.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent answers to independent questions")]
pub struct ClaimRequest<'a> {
    /// The key.
    pub key: &'a str,
    /// The event that asked for the action.
    pub signal_id: &'a str,
    /// The action's type.
    pub action_type: &'a str,
    /// The platform it acts on.
    pub target: &'a str,
    /// The digest of the params.
    pub fingerprint: &'a Fingerprint,
    /// Whether a live record of other params is a mismatch.
    pub check_params: bool,
    /// Whether the caller will settle or retry an action in doubt.
    pub takes_over: bool,
    /// Whether the caller will say when the effect may happen.
    pub latch: bool,
    /// Whether the caller goes away rather than wait, so that a busy answer is a prevented duplicate.
    pub refuses_to_wait: bool,
    /// Whether this call asks again after a wait. A wait counts nothing, so the answer that ends it counts
    /// like any other.
    pub asks_again: bool,
    /// Whether the caller executes whatever the answer is: what would have been a prevented duplicate is counted as that.
    pub shadow: bool,
    /// How long the claim is believed without renewal.
    pub lease: Span,
    /// How long a result would be kept.
    pub ttl: Span,
    /// `host:pid` of the caller.
    pub owner: &'a Arc<str>,
    /// The params as typed JSON, where they are to be kept.
    pub params: Option<&'a [u8]>,
    /// The context as typed JSON.
    pub context: Option<&'a [u8]>,
}

impl<'a> ClaimRequest<'a> {
    /// A claim that asks for nothing special, whose labels are the first three parts of its key.
    pub fn plain(key: &'a str, fingerprint: &'a Fingerprint, owner: &'a Arc<str>, lease: Span, ttl: Span) -> Self {
        let mut parts = key.split(':');
        let mut part = || parts.next().unwrap_or_default();
        Self {
            key,
            signal_id: part(),
            action_type: part(),
            target: part(),
            fingerprint,
            check_params: true,
            takes_over: false,
            latch: false,
            refuses_to_wait: false,
            asks_again: false,
            shadow: false,
            lease,
            ttl,
            owner,
            params: None,
            context: None,
        }
    }
}

/// What a claim got.
pub enum Claimed {
    /// The right to execute.
    Run(Begun),
    /// The right to settle an action in doubt, or to run it again. The record is as it was before.
    TakeOver(Begun, Box<Record>),
    /// It is done: its result.
    Replay {
        /// The result.
        result: Payload,
        /// Calls so far, this one included.
        attempts: u32,
    },
    /// It is finished: the exception that is its answer.
    ReplayFailure {
        /// The exception.
        failure: Failure,
        /// Calls so far, this one included.
        attempts: u32,
    },
    /// Somebody is at it. The future ends when that may have changed: when the holder has finished, or, where
    /// the store can't tell, after a bounded time. Ask again then.
    Busy(BoxFuture<()>),
    /// Nobody knows whether it happened.
    InDoubt(Box<Record>),
    /// The live record is of other params.
    Mismatch(Box<Record>),
}

/// A claim that was granted.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// The claim's fence.
    pub fence: Fence,
    /// Calls so far, this one included.
    pub attempts: u32,
    /// Live records that were dropped to make room.
    pub evicted: usize,
}

/// How a holder ends its claim.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Done, with this result, to be kept so long.
    Complete(Payload, Span),
    /// Finished with an exception that is an answer, to be kept so long.
    Fail(Failure, Span),
    /// Nobody knows; the text says why.
    Doubt(Box<str>),
    /// Nothing happened.
    Release,
}

impl Ending {
    /// Whether a write of this ending that is refused when it is asked for again had taken place the first time, its
    /// acknowledgement lost: nobody else finishes under this claim's fence. `record` is what is stored now.
    pub fn took_place(&self, record: Option<&Record>, fence: Fence) -> bool {
        let own = record.filter(|record| record.fence == fence);
        match self {
            Self::Complete(..) => own.is_some_and(|record| matches!(record.status, Status::Completed { .. })),
            Self::Fail(..) => own.is_some_and(|record| matches!(record.status, Status::Failed { .. })),
            Self::Release => own.is_none(),
            Self::Doubt(_) => false,
        }
    }
}

/// Whether a write under a fence took place.
#[derive(Debug)]
pub enum Held {
    /// It did.
    Kept,
    /// It did not: the claim was superseded, resolved or cleared. What is stored now, if anything.
    Lost(Option<Box<Record>>),
}

/// A result by hand.
#[derive(Debug)]
pub struct MarkRequest<'a> {
    /// The key.
    pub key: &'a str,
    /// The names it is found by.
    pub labels: &'a Labels,
    /// The digest of the params; `None` where any match.
    pub fingerprint: Option<Fingerprint>,
    /// The result.
    pub result: Payload,
    /// How long it is kept.
    pub ttl: Span,
    /// `host:pid` of the caller.
    pub owner: &'a Arc<str>,
    /// The params as typed JSON.
    pub params: Option<&'a [u8]>,
    /// The context as typed JSON.
    pub context: Option<&'a [u8]>,
}

/// A person's word on an action in doubt.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// It happened: its result, to be kept so long.
    Executed(Payload, Span),
    /// It did not happen: the next caller may execute.
    NotExecuted,
}

/// A finished result that was looked up.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The result, or the exception that is the answer.
    pub outcome: Result<Payload, Failure>,
    /// When it finished.
    pub executed_at: Timestamp,
    /// How long it is still kept.
    pub ttl: Span,
}

/// What became of a record that was to be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restored {
    /// It is there now.
    Written,
    /// It was there already: a live record with the same [imprint](crate::core::imprint::Imprint).
    Same,
    /// Another live record of its key is there. Nothing was written.
    Occupied,
    /// Its time is over by this store's clock. Nothing was written.
    Expired,
}

/// Which records to find, by index. Expired records are never found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector<'a> {
    /// Of this action type.
    ActionType(&'a str),
    /// Of this target.
    Target(&'a str),
    /// Of this signal.
    SignalId(&'a str),
    /// In doubt, lapsed claims included, unless their latch is still armed.
    InDoubt,
    /// Finished, and to end within so long; the next to end first.
    ExpiringWithin(Span),
}

/// Where a scan goes on: a text that only the store understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Box<str>);

/// A part of a scan.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the scan goes on; `None` at its end.
    pub next: Option<Cursor>,
}

/// How much a store may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Limits {
    /// Records at most, of any state; `None` for no cap.
    pub max_records: Option<usize>,
    /// Whether a full store refuses a new key rather than drop its oldest 20 %.
    pub refuse_when_full: bool,
}

/// What a store has counted, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Live finished records.
    pub finished: u64,
    /// Live claims, and lapsed ones whose latch is still armed.
    pub in_progress: u64,
    /// Records in doubt, lapsed claims included.
    pub in_doubt: u64,
    /// Calls that were answered from a record instead of executing.
    pub duplicates_prevented: u64,
    /// Calls in shadow mode that would have been.
    pub would_have_prevented: u64,
    /// Look-ups that found a finished record.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Expired records that were removed.
    pub expired_cleaned: u64,
    /// Live records that were dropped to make room.
    pub evicted: u64,
    /// When the oldest live record finished or began.
    pub oldest: Option<Timestamp>,
    /// When the newest live record finished or began.
    pub newest: Option<Timestamp>,
}

#[cfg(not(shuttle))]
impl Tally {
    /// Notes a counter by the name under which every engine keeps it. One of a newer version, or what is none, is left out.
    fn note(&mut self, counter: &str, value: u64) {
        match counter {
            "hits" => self.hits = value,
            "duplicates" => self.duplicates_prevented = value,
            "would_have_prevented" => self.would_have_prevented = value,
            "misses" => self.misses = value,
            "expired_cleaned" => self.expired_cleaned = value,
            "evicted" => self.evicted = value,
            _ => {}
        }
    }
}

/// An engine that keeps records.
///
/// Every fence a store issues for a key is greater than all it issued for that key before, cleared and expired
/// records included. A write under any other fence than the newest is answered [`Held::Lost`] and changes nothing.
pub trait Store: Send + Sync + fmt::Debug {
    /// Asks for the right to execute. A new key in a full store first removes what has expired, then the oldest
    /// finished 20 % of the cap, one at least, and as many more as a lowered cap leaves over; where nothing may go, it
    /// is [`StoreError::Full`], and nothing is claimed.
    ///
    /// Counts a hit and a prevented duplicate for a replay, a miss for a run, a prevented duplicate for a caller that
    /// refuses to wait; every answer but a wait adds one to the record's attempts. In shadow mode what would have been a
    /// prevented duplicate is counted as one that was not.
    fn claim(&self, request: &ClaimRequest<'_>) -> Reply<Claimed>;

    /// Asks for the right to execute each of these, in one step where the engine can: each is answered, counted and, in a
    /// full store, refused, as a [`claim`](Store::claim) of its own would be, one after the other in this order. A key that
    /// comes twice is busy the second time. Each is atomic for its key; they need not be for each other, but an error of the
    /// whole answer says that none of them is known to have been granted.
    fn claim_many(&self, requests: &[ClaimRequest<'_>]) -> Reply<Vec<Result<Claimed, StoreError>>> {
        Reply::each(requests.iter().map(|request| self.claim(request)).collect())
    }

    /// What [`claim`](Store::claim) would answer, if that is a replay which is at hand without waiting; `None` changes
    /// and counts nothing.
    fn replay(&self, request: &ClaimRequest<'_>) -> Option<Reply<Claimed>> {
        let _ = request;
        None
    }

    /// Extends the leases of all these claims by `lease` from now; answers with those that were lost.
    fn renew(&self, holds: &[Hold], lease: Span) -> Reply<Vec<Hold>>;

    /// Keeps that the effect may happen from here on.
    fn dispatch(&self, hold: &Hold) -> Reply<Held>;

    /// The same for each of these claims, in one step where the engine can. Once it is answered, all that were kept are
    /// dispatched; an error of the whole answer leaves open which of them were.
    fn dispatch_many(&self, holds: &[Hold]) -> Reply<Vec<Held>> {
        Reply::together(holds.iter().map(|hold| self.dispatch(hold)).collect())
    }

    /// Ends a claim and wakes who waits for it.
    fn finish(&self, hold: &Hold, ending: Ending) -> Reply<Held>;

    /// Writes a result by hand, over whatever is there, under a new fence; wakes who waits. Labels, fingerprint, params,
    /// context and owner become the request's; a live record keeps its start and its attempts, a new one has one.
    /// Answers with the number of live records dropped to make room.
    fn mark(&self, request: MarkRequest<'_>) -> Reply<usize>;

    /// Settles an action in doubt, a lapsed claim included; anything else is [`StoreError::NotInDoubt`].
    fn resolve(&self, key: &str, resolution: Resolution) -> Reply<()>;

    /// Looks a result up: a hit (a prevented duplicate too, one more attempt) or a miss. Claims nothing.
    fn check(&self, key: &str) -> Reply<Option<Hit>>;

    /// Looks each of these up, in one step where the engine can; a key that comes twice is looked up twice.
    fn check_many(&self, keys: &[&str]) -> Reply<Vec<Option<Hit>>> {
        Reply::together(keys.iter().map(|key| self.check(key)).collect())
    }

    /// Writes records as they are, each under a fence newer than any of its key here, unless a live record of its key is
    /// there: state, times, attempts, result, failure, labels, params, context, fingerprint, owner, lease and latch are
    /// the record's; its fence is not asked for. An object without an encoding is written as a result that is unavailable
    /// where it can't be held. Which process owned a claim is not known any more: it ends with its lease.
    ///
    /// Each is atomic for its key: what is there is never written over, and an expired record that is there is as good
    /// as gone. Evicts nothing: what finds no room, once what has expired is removed, is [`StoreError::Full`]. An error may
    /// come after some were written; restored again, these are [`Restored::Same`]. Counts nothing. Among what "finished
    /// first", a store may take restored records for as old as their restoring.
    fn restore(&self, records: Vec<Record>) -> Reply<Vec<Restored>>;

    /// The record of a key, counting nothing.
    fn get(&self, key: &str) -> Reply<Option<Record>>;

    /// The keys of the records that fit, by index.
    fn find(&self, selector: Selector<'_>) -> Reply<Vec<Box<str>>>;

    /// All live records, in parts of about `limit`. Records that come or go meanwhile may or may not be among
    /// them; one that stays is, once.
    fn scan(&self, from: Option<Cursor>, limit: usize) -> Reply<Page>;

    /// A look for people who watch: the counters, up to `limit` of the newest live records, and what ends next. `from` is
    /// where a walk goes on that stands in for the newest. See [`Glance`].
    fn glance(&self, from: Option<Cursor>, limit: usize) -> Reply<Glance>;

    /// Removes expired records, at a cost of what it removes; answers with their number.
    fn cleanup_expired(&self) -> Reply<u64>;

    /// Removes up to `count` finished records, those that finished first, at a cost of what it removes.
    fn remove_oldest(&self, count: u64) -> Reply<u64>;

    /// Removes a record of any state and wakes who waits for it; answers whether a live one was there.
    fn clear(&self, key: &str) -> Reply<bool>;

    /// Removes all records; answers with the number of live ones.
    fn clear_all(&self) -> Reply<u64>;

    /// What was counted and what is held.
    fn tally(&self) -> Reply<Tally>;

    /// Sets all counters to zero; records stay.
    fn reset_tally(&self) -> Reply<()>;

    /// Applies new limits, from the next new key on.
    fn set_limits(&self, limits: Limits);

    /// Writes what was counted and not yet written; called when a manager is closed, and at exit.
    fn flush(&self) -> Reply<()> {
        Reply::Ready(Ok(()))
    }

    /// Whether the engine removes what has expired by itself, and counts nothing of it.
    fn expires_by_itself(&self) -> bool {
        false
    }

    /// What is unsafe about where the records are, and the remedy: what was not answered by this before.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Waits for what is being done, and lets go of files and connections: nothing but a verb that comes later opens them
    /// again.
    fn let_go(&self) {}

    /// After how long a caller that waits for another asks again by itself, since the store may not notice that the
    /// other has finished, lapsed or died.
    fn look_again(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// Whether it keeps records in this process, so that it can hold an object that has no encoding, and a look costs no
    /// wait.
    fn is_local(&self) -> bool {
        false
    }

    /// Called in the parent right before `fork`, by the thread that forks: no other thread may hold a lock
    /// of the store's until [`after_fork`](Store::after_fork) is called, by the same thread, on both sides.
    fn before_fork(&self);

    /// See [`before_fork`](Store::before_fork). In the child, connections and waiters of the parent are forgotten.
    fn after_fork(&self, in_child: bool);
}
