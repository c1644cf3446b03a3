//! What the store keeps of a key, packed: what most records have lies in the entry, the rest in a box.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use super::list::{LISTS, Link, Through};
use super::names::NameId;
use crate::core::action::parse_key;
use crate::core::clock::{Span, Timestamp};
use crate::core::machine::{Phase, Stored};
use crate::core::record::{Failure, Fence, Fingerprint, Latch, Payload, Status};
use crate::store::Hit;

/// A record's state and result in one tag.
#[derive(Clone)]
pub(super) enum Body {
    InProgress(Latch),
    InDoubt,
    Failed,
    Json(Arc<[u8]>),
    Custom(Arc<[u8]>),
    Local(Arc<dyn Any + Send + Sync>),
    Unavailable,
}

impl From<Payload> for Body {
    fn from(payload: Payload) -> Self {
        match payload {
            Payload::Json(bytes) => Self::Json(bytes),
            Payload::Custom(bytes) => Self::Custom(bytes),
            Payload::Local(object) => Self::Local(object),
            Payload::Unavailable => Self::Unavailable,
        }
    }
}

/// The signal that an entry is found by.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Signal {
    /// The one that its key begins with.
    #[default]
    InKey,
    /// Another.
    Given(Box<str>),
    /// None.
    Absent,
}

/// What few entries have.
#[derive(Default)]
pub(super) struct Rare {
    pub(super) params: Option<Arc<[u8]>>,
    pub(super) context: Option<Arc<[u8]>>,
    pub(super) signal: Signal,
    /// Marked by hand without params: there is no fingerprint.
    pub(super) any_params: bool,
    pub(super) failure: Option<Failure>,
    pub(super) doubt: Option<Box<str>>,
}

impl Rare {
    /// Boxed, if there is anything in it.
    pub(super) fn boxed(self) -> Option<Box<Self>> {
        let Self { params, context, signal, any_params, failure, doubt } = &self;
        let empty = params.is_none()
            && context.is_none()
            && *signal == Signal::InKey
            && !any_params
            && failure.is_none()
            && doubt.is_none();
        (!empty).then(|| Box::new(self))
    }
}

/// A record. Its fields stand in this order: what a replay reads comes first, together, to cost few cache lines.
#[repr(C)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) body: Body,
    pub(super) rare: Option<Box<Rare>>,
    pub(super) expires_at: Timestamp,
    pub(super) attempts: u32,
    pub(super) owner: NameId,
    pub(super) fingerprint: Fingerprint,
    pub(super) fence: Fence,
    /// Which one it was, of all that ever finished in this store.
    pub(super) finished_as: u64,
    pub(super) started_at: Timestamp,
    /// Of a finished entry: when it finished; of one in progress: when its lease ends.
    pub(super) moment: Timestamp,
    pub(super) action: NameId,
    pub(super) target: NameId,
    pub(super) links: [Link; LISTS],
}

impl Entry {
    pub(super) const fn link(&self, through: Through) -> &Link {
        &self.links[through as usize]
    }

    pub(super) const fn link_mut(&mut self, through: Through) -> &mut Link {
        &mut self.links[through as usize]
    }

    pub(super) const fn phase(&self) -> Phase {
        match self.body {
            Body::InProgress(latch) => Phase::InProgress { lease_until: self.moment, owner_dead: false, latch },
            Body::InDoubt => Phase::InDoubt,
            Body::Failed => Phase::Failed,
            Body::Json(_) | Body::Custom(_) | Body::Local(_) | Body::Unavailable => Phase::Completed,
        }
    }

    pub(super) fn stored(&self) -> Stored<'_> {
        Stored { phase: self.phase(), fence: self.fence, fingerprint: self.fingerprint(), expires_at: self.expires_at }
    }

    pub(super) fn fingerprint(&self) -> Option<&Fingerprint> {
        let any = self.rare.as_ref().is_some_and(|rare| rare.any_params);
        (!any).then_some(&self.fingerprint)
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.phase().is_finished()
    }

    /// Whether it is finished and its time is over: as good as gone.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.is_finished() && self.expires_at <= now
    }

    /// Whether nobody knows if it happened. A lapsed claim that was never dispatched is not in doubt: nothing has
    /// happened, and the next caller runs it.
    pub(super) fn is_in_doubt(&self, now: Timestamp) -> bool {
        match self.body {
            Body::InDoubt => true,
            Body::InProgress(latch) => latch != Latch::Armed && self.phase().has_lapsed(now),
            _ => false,
        }
    }

    /// The result; an unfinished entry has none.
    pub(super) fn payload(&self) -> Payload {
        match &self.body {
            Body::Json(bytes) => Payload::Json(Arc::clone(bytes)),
            Body::Custom(bytes) => Payload::Custom(Arc::clone(bytes)),
            Body::Local(object) => Payload::Local(Arc::clone(object)),
            _ => Payload::Unavailable,
        }
    }

    pub(super) fn failure(&self) -> Failure {
        self.rare
            .as_ref()
            .and_then(|rare| rare.failure.clone())
            .unwrap_or_else(|| unreachable!("a failed entry has its failure"))
    }

    pub(super) fn status(&self, now: Timestamp) -> Status {
        if self.is_in_doubt(now) {
            return Status::InDoubt { error: self.rare.as_ref().and_then(|rare| rare.doubt.clone()) };
        }
        match self.body {
            Body::InProgress(latch) => Status::InProgress { lease_until: self.moment, latch },
            Body::Failed => Status::Failed { at: self.moment, failure: self.failure() },
            _ => Status::Completed { at: self.moment, result: self.payload() },
        }
    }

    /// A finished entry as a look-up finds it.
    pub(super) fn hit(&self, now: Timestamp) -> Hit {
        let outcome = if matches!(self.body, Body::Failed) { Err(self.failure()) } else { Ok(self.payload()) };
        Hit { outcome, executed_at: self.moment, ttl: self.expires_at.since(now) }
    }

    /// The signal it is found by.
    pub(super) fn signal(&self) -> Option<Cow<'_, str>> {
        match self.rare.as_ref().map_or(&Signal::InKey, |rare| &rare.signal) {
            Signal::InKey => Some(signal_of(&self.key)),
            Signal::Given(signal) => Some(Cow::Borrowed(signal)),
            Signal::Absent => None,
        }
    }

    /// The rare part, made if there is none yet.
    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Begins or extends the lease.
    pub(super) const fn lease(&mut self, now: Timestamp, lease: Span) {
        self.moment = now.after(lease);
    }
}

/// The signal that a key begins with; of a text that is no key, what stands before its first colon.
pub(super) fn signal_of(key: &str) -> Cow<'_, str> {
    // A loop, for keys are short: a search that is fit for long texts costs more than the rest of a claim.
    let end = key.bytes().position(|byte| byte == b':').unwrap_or(key.len());
    let first = &key[..end];
    if first.bytes().all(|byte| byte != b'%') {
        return Cow::Borrowed(first);
    }
    parse_key(key).map_or(Cow::Borrowed(first), |parsed| parsed.signal_id)
}
