//! What two records of a key must have in common to be the same one in two stores, as a digest; and the digest of many.

use std::fmt;

use sha2::{Digest, Sha256};

use super::clock::Timestamp;
use super::record::{Failure, Latch, Payload, Record, Status};

/// Names this encoding, so that another one can't be taken for it.
const VERSION: &[u8] = b"idempotency record 1";

/// The SHA-256 of what a record says, apart from what a store adds or time changes by itself.
///
/// Covered: key, labels, fingerprint, when it began, when it ends, owner, params, context; of a finished record its state,
/// when it finished and its result or exception; of an unfinished one the text that left it in doubt, and whether its latch
/// is still armed. Not covered: the fence, which each store issues itself; the attempts, which are counted on; the lease,
/// since a claim that lapses between two looks is the same record still. An object without an encoding has the imprint
/// of an unavailable result.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Imprint(pub [u8; 32]);

impl Imprint {
    /// That of a record.
    pub fn of(record: &Record) -> Self {
        let mut digest = Sheet(Sha256::new());
        digest.put(VERSION);
        digest.put(record.key.as_bytes());
        for label in [&record.labels.signal_id, &record.labels.action_type, &record.labels.target] {
            digest.put_maybe(label.as_deref().map(str::as_bytes));
        }
        digest.put_maybe(record.fingerprint.as_ref().map(|fingerprint| fingerprint.0.as_slice()));
        digest.time(record.started_at);
        digest.time(record.expires_at);
        digest.put_maybe(record.owner.as_deref().map(str::as_bytes));
        digest.put_maybe(record.params.as_deref());
        digest.put_maybe(record.context.as_deref());
        digest.status(&record.status);
        Self(digest.0.finalize().into())
    }
}

impl fmt::Debug for Imprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is written to be digested. Each part stands behind its length, so that no two records read alike.
struct Sheet(Sha256);

impl Sheet {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn put_maybe(&mut self, bytes: Option<&[u8]>) {
        self.0.update([u8::from(bytes.is_some())]);
        self.put(bytes.unwrap_or_default());
    }

    fn time(&mut self, time: Timestamp) {
        self.put(&time.0.to_be_bytes());
    }

    fn status(&mut self, status: &Status) {
        match status {
            Status::Completed { at, result } => {
                self.put(b"completed");
                self.time(*at);
                self.result(result);
            }
            Status::Failed { at, failure: Failure { class, text, args } } => {
                self.put(b"failed");
                self.time(*at);
                self.put(class.as_bytes());
                self.put(text.as_bytes());
                self.put_maybe(args.as_deref());
            }
            Status::InProgress { latch: Latch::Armed, .. } => self.put(b"not begun"),
            Status::InProgress { .. } => self.doubt(None),
            Status::InDoubt { error } => self.doubt(error.as_deref()),
        }
    }

    fn doubt(&mut self, error: Option<&str>) {
        self.put(b"unfinished");
        self.put_maybe(error.map(str::as_bytes));
    }

    fn result(&mut self, result: &Payload) {
        match result {
            Payload::Json(bytes) => {
                self.put(b"json");
                self.put(bytes);
            }
            Payload::Custom(bytes) => {
                self.put(b"custom");
                self.put(bytes);
            }
            Payload::Local(_) | Payload::Unavailable => self.put(b"unavailable"),
        }
    }
}

/// How many records there are, and the sum of their imprints as numbers of 256 bits: the same in whatever order they
/// are added.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Records added.
    pub records: u64,
    sum: [u64; 4],
}

impl Inventory {
    /// Adds a record.
    pub fn add(&mut self, record: &Record) {
        self.records += 1;
        let mut carry = false;
        let words = Imprint::of(record).0;
        for (place, word) in self.sum.iter_mut().rev().zip(words.rchunks_exact(8)) {
            let word = word.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
            let (sum, over) = place.overflowing_add(word);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            (*place, carry) = (sum, over || over_again);
        }
    }

    /// The sum in lower-case hex.
    pub fn digest(&self) -> String {
        let [a, b, c, d] = self.sum;
        format!("{a:016x}{b:016x}{c:016x}{d:016x}")
    }
}

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inventory({} records, {})", self.records, self.digest())
    }
}

#[cfg(test)]
#[path = "imprint_tests.rs"]
mod tests;
