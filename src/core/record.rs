//! What a store remembers of a key.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::clock::Timestamp;

/// The full SHA-256 of an action's canonical params.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The first 16 lower-case hex characters: the key's `params_hash`.
    pub fn short_hex(&self) -> [u8; 16] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 16];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A number that grows with every claim of a key and outlives its record: only the holder of the newest
/// may write. Stores may count for all keys together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Fence(pub u64);

impl Fence {
    /// The next newer fence.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Whether a claim may be run again by whoever finds it lapsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Latch {
    /// No latch: the effect may have happened at any moment of the claim.
    #[default]
    Absent,
    /// The holder will say when the effect may happen, and has not yet: nothing has happened.
    Armed,
    /// The holder has said that the effect may happen from here on.
    Dispatched,
}

/// A finished action's value as the store holds it.
#[derive(Clone)]
pub enum Payload {
    /// The typed JSON of `py::codec`, readable by a person.
    Json(Arc<[u8]>),
    /// The bytes of a codec that the user gave.
    Custom(Arc<[u8]>),
    /// An object that has no encoding, kept as it is. Only a store inside this process can hold it.
    Local(Arc<dyn Any + Send + Sync>),
    /// It ran, but its result could not be stored.
    Unavailable,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(bytes) => write!(f, "Json({})", String::from_utf8_lossy(bytes)),
            Self::Custom(bytes) => write!(f, "Custom({} bytes)", bytes.len()),
            Self::Local(_) => f.write_str("Local(..)"),
            Self::Unavailable => f.write_str("Unavailable"),
        }
    }
}

/// An exception that is an answer: recorded, and replayed to every duplicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `module.qualname` of the exception's class.
    pub class: Box<str>,
    /// `str()` of the exception.
    pub text: Box<str>,
    /// Its `args` as typed JSON, where they have an encoding.
    pub args: Option<Arc<[u8]>>,
}

/// Where a record stands, with what only that state has.
#[derive(Clone, Debug)]
pub enum Status {
    /// Claimed, its owner believed alive until the lease ends.
    InProgress {
        /// When the claim is no longer believed, unless it is renewed.
        lease_until: Timestamp,
        /// Whether the effect may have happened.
        latch: Latch,
    },
    /// Done, with its result.
    Completed {
        /// When it was done.
        at: Timestamp,
        /// The result.
        result: Payload,
    },
    /// Finished with an exception that is an answer.
    Failed {
        /// When it finished.
        at: Timestamp,
        /// The exception.
        failure: Failure,
    },
    /// Started, never finished: nobody here knows whether the effect happened.
    InDoubt {
        /// The exception that left it so, where one did.
        error: Option<Box<str>>,
    },
}

/// The names a record is found by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The event that asked for the action.
    pub signal_id: Option<Box<str>>,
    /// The action's type.
    pub action_type: Option<Box<str>>,
    /// The platform it acts on.
    pub target: Option<Box<str>>,
}

/// What a store remembers of a key, as a copy that belongs to its reader.
#[derive(Clone, Debug)]
pub struct Record {
    /// The key.
    pub key: Box<str>,
    /// The names it is found by.
    pub labels: Labels,
    /// The digest of its params; `None` where it was marked by hand without params, and any match.
    pub fingerprint: Option<Fingerprint>,
    /// The newest claim's fence.
    pub fence: Fence,
    /// Where it stands. A reader sees a lapsed claim in doubt, but for one whose latch is still armed: nothing has
    /// happened, the next caller runs it, and it is shown in progress.
    pub status: Status,
    /// When the newest claim began. A claim that takes an action in doubt over keeps the time of the one before: since
    /// then the effect may have happened, and a reconciler must look that far back.
    pub started_at: Timestamp,
    /// When a finished record ends. Of an unfinished one: when it would have ended had it finished as
    /// it began; it does not leave then.
    pub expires_at: Timestamp,
    /// Executions and prevented duplicates together.
    pub attempts: u32,
    /// `host:pid` of the newest claim.
    pub owner: Option<Box<str>>,
    /// The params as typed JSON, where they are kept.
    pub params: Option<Arc<[u8]>>,
    /// The context as typed JSON.
    pub context: Option<Arc<[u8]>>,
}

impl Record {
    /// What left it in doubt, where that is known.
    pub fn why_in_doubt(&self) -> &str {
        match &self.status {
            Status::InDoubt { error: Some(error) } => error,
            _ => "its owner never finished",
        }
    }

    /// Whether it is over: only then does a TTL end it.
    pub const fn is_finished(&self) -> bool {
        matches!(self.status, Status::Completed { .. } | Status::Failed { .. })
    }

    /// Whether it is finished and its time is over: as good as gone.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.is_finished() && self.expires_at <= now
    }
}
