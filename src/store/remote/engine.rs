//! What an engine on a server does by itself: each verb as one step that no other client can come between. Everything
//! around it is the same for all: asking again, counting, waiting, copies, a cap.

use super::room::Size;
pub(in crate::store) use super::tries::Named;
use crate::core::clock::{Clock, Span, Timestamp};
use crate::core::error::StoreError;
use crate::core::record::{Failure, Fence, Fingerprint, Payload, Record};
use crate::store::asked::{Asked, Marking};
use crate::store::{Cursor, Ending, Held, Hit, Hold, Page, Resolution, Selector, Tally};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// Why a verb did not answer.
#[derive(Debug)]
pub(in crate::store) enum Fault {
    /// The server has not got it: there was no connection, or none could be made. It may be asked again.
    Unsent(String),
    /// The server may have done it, but its answer is lost. It may be asked again, since every verb says the same
    /// twice.
    Lost(String),
    /// To ask again would bring the same.
    Answer(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

/// A claim, and what only a server has to be told.
#[derive(Clone, Copy)]
pub(in crate::store) struct Claim<'a> {
    /// The request.
    pub(in crate::store) asked: &'a Asked,
    /// Names this call among all: asked again after its answer was lost, it gets the claim that it was granted.
    pub(in crate::store) token: &'a str,
    /// The fence of a claim whose owner's process is known here to be dead: its lease is not believed.
    pub(in crate::store) orphan: Option<Fence>,
    /// Whether a key may be added. Where not, a claim of a new key is [`Met::Full`].
    pub(in crate::store) may_add: bool,
    /// Whether the caller waits, so that the end of a claim which it meets is to be told.
    pub(in crate::store) waits: bool,
    /// Calls of the key that were answered and are not told yet: a claim that is granted adds them.
    pub(in crate::store) untold: u32,
}

/// What a claim met. Nothing was counted for an answer that grants no claim.
pub(in crate::store) enum Met {
    /// The right to execute, and the calls so far with this one.
    Run(Fence, u32),
    /// The same over an action in doubt, with the record as it was before.
    TakeOver(Fence, u32, Box<Record>),
    /// Done.
    Replay(Finished<Payload>),
    /// Finished with an exception that is an answer.
    ReplayFailure(Finished<Failure>),
    /// Somebody is at it.
    Busy {
        /// The claim's fence.
        fence: Fence,
        /// `host:pid` of the holder.
        owner: Option<Box<str>>,
        /// The text of its identity.
        owner_process: Option<Box<str>>,
    },
    /// Nobody knows whether it happened.
    InDoubt(Box<Record>),
    /// The live record is of other params.
    Mismatch(Box<Record>),
    /// The key is new and may not be added.
    Full,
}

/// A finished record, as far as a duplicate asks.
pub(in crate::store) struct Finished<T> {
    /// What it finished with.
    pub(in crate::store) outcome: T,
    /// Its fence.
    pub(in crate::store) fence: Fence,
    /// The digest of its params.
    pub(in crate::store) fingerprint: Option<Fingerprint>,
    /// The calls so far that the server knows of, without this one.
    pub(in crate::store) attempts: u32,
    /// When it finished.
    pub(in crate::store) executed_at: Timestamp,
    /// How long it is still kept.
    pub(in crate::store) ttl: Span,
}

/// What became of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Marked {
    /// It is written.
    Written,
    /// The key is new and may not be added.
    Full,
}

/// What became of a record that was to be put down as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Put {
    /// It is there now.
    Written,
    /// A live record of its key is there.
    Occupied,
    /// Its time is over.
    Expired,
}

/// What was counted since the last time.
#[derive(Default)]
pub(in crate::store) struct Counted {
    /// Attempts by key, each for the record of this fence.
    pub(in crate::store) attempts: Vec<(Box<str>, Fence, u32)>,
    /// Counters of the store by name: `hits`, `duplicates`, `misses`, `evicted`, `would_have_prevented`.
    pub(in crate::store) counters: [(&'static str, u64); 5],
}

/// Whose time decides.
#[derive(Clone)]
pub(in crate::store) enum Time {
    /// The server's.
    Server,
    /// A clock that was given.
    Given(Arc<dyn Clock>),
}

impl Time {
    /// The time that was given; `None` for the server's.
    pub(in crate::store) fn given(&self) -> Option<Timestamp> {
        match self {
            Self::Server => None,
            Self::Given(clock) => Some(clock.now()),
        }
    }
}

/// A server's client. Every verb connects if need be, and may be asked twice. What walks over all records (`find`, `scan`,
/// `tally`, `size`, `remove_oldest`) bounds each of its requests by itself; the others are bounded as a whole. Readers get records as
/// [`Kept::seen`](crate::store::kept::Kept::seen) has them.
pub(in crate::store) trait Engine: Named + fmt::Debug + 'static {
    /// Asks for the right to execute. Only a claim that is granted writes.
    fn claim(&self, claim: Claim<'_>) -> impl Future<Output = Result<Met, Fault>> + Send;

    /// Asks for many at once; one answer for each, in order.
    fn claim_many(&self, claims: &[Claim<'_>]) -> impl Future<Output = Result<Vec<Met>, Fault>> + Send;

    /// Takes back a claim that this call may have been granted and heard nothing of: what was in doubt before is so again,
    /// anything else is gone.
    fn abandon(&self, key: &str, token: &str) -> impl Future<Output = Result<(), Fault>> + Send;

    /// See [`Store::renew`](crate::store::Store::renew).
    fn renew(&self, holds: &[Hold], lease: Span) -> impl Future<Output = Result<Vec<Hold>, Fault>> + Send;

    /// See [`Store::dispatch`](crate::store::Store::dispatch), for many.
    fn dispatch(&self, holds: &[Hold]) -> impl Future<Output = Result<Vec<Held>, Fault>> + Send;

    /// See [`Store::finish`](crate::store::Store::finish).
    fn finish(&self, hold: &Hold, ending: &Ending) -> impl Future<Output = Result<Held, Fault>> + Send;

    /// See [`Store::mark`](crate::store::Store::mark).
    fn mark(&self, marking: &Marking, may_add: bool) -> impl Future<Output = Result<Marked, Fault>> + Send;

    /// See [`Store::resolve`](crate::store::Store::resolve).
    fn resolve(&self, key: &str, resolution: &Resolution) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Looks up finished records, one answer for each key, counting nothing.
    fn check(&self, keys: &[Box<str>]) -> impl Future<Output = Result<Vec<Option<(Fence, Hit)>>, Fault>> + Send;

    /// See [`Store::get`](crate::store::Store::get).
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Record>, Fault>> + Send;

    /// See [`Store::find`](crate::store::Store::find).
    fn find(&self, selector: Selector<'_>) -> impl Future<Output = Result<Vec<Box<str>>, Fault>> + Send;

    /// See [`Store::scan`](crate::store::Store::scan).
    fn scan(&self, from: Option<&Cursor>, limit: usize) -> impl Future<Output = Result<Page, Fault>> + Send;

    /// A part of a clean-up: removes some expired records, answers with their number and whether there may be more.
    fn cleanup_part(&self) -> impl Future<Output = Result<(u64, bool), Fault>> + Send;

    /// See [`Store::remove_oldest`](crate::store::Store::remove_oldest).
    fn remove_oldest(&self, count: u64) -> impl Future<Output = Result<u64, Fault>> + Send;

    /// See [`Store::clear`](crate::store::Store::clear).
    fn clear(&self, key: &str) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// A part of a removal of everything: answers with the number of live records removed, and where it goes on, if it does.
    fn clear_part(&self, from: Option<&Cursor>) -> impl Future<Output = Result<(u64, Option<Cursor>), Fault>> + Send;

    /// See [`Store::restore`](crate::store::Store::restore); one answer for each, in order. Nothing is evicted, and no cap is
    /// looked at.
    fn put(&self, records: &[Record]) -> impl Future<Output = Result<Vec<Put>, Fault>> + Send;

    /// See [`Store::tally`](crate::store::Store::tally).
    fn tally(&self) -> impl Future<Output = Result<Tally, Fault>> + Send;

    /// See [`Store::reset_tally`](crate::store::Store::reset_tally).
    fn reset_tally(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Adds what was counted. Not asked twice.
    fn count(&self, counted: &Counted) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Live records held.
    fn size(&self) -> impl Future<Output = Result<Size, Fault>> + Send;

    /// Has the news of ended claims, and of records that others change, told to [`News`](super::news::News) from now on; answers whether they
    /// are, which a server behind a pooler may not do.
    fn listen(&self) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// See [`Store::expires_by_itself`](crate::store::Store::expires_by_itself).
    const EXPIRES_BY_ITSELF: bool = false;

    /// What is unsafe about the servers, and the remedy; all that is known by now.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Lets go of connections that nobody uses.
    fn let_go(&self);

    /// Keeps the engine's locks from other threads while this one forks; dropped afterwards on either side.
    fn freeze(&'static self) -> Box<dyn Frozen>;
}

/// An engine's locks, held across a `fork`.
pub(in crate::store) trait Frozen {
    /// In the child: forgets the parent's connections without closing them, or waking what waits for them.
    fn begin_anew(&mut self);
}
