//! The names of what is kept: `<namespace>:{<tag>}:<key>` for a record.
//!
//! The tag in braces decides the slot of a cluster. A record shares it with the counter of fences of all records of that
//! tag, so that one script may touch both; 4,096 tags spread the records over the slots.

use crc16::{State, XMODEM};

/// The record of a key, and the counter of fences of its tag, whose name the record's begins with.
pub(super) struct Pair {
    record: String,
    counter: usize,
}

impl Pair {
    pub(super) fn record(&self) -> &str {
        &self.record
    }

    pub(super) fn counter(&self) -> &str {
        &self.record[..self.counter]
    }
}

/// Names under one namespace.
#[derive(Clone, Debug)]
pub(super) struct Names {
    namespace: String,
}

impl Names {
    /// Braces of a namespace would be taken for a tag's.
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.replace('%', "%25").replace('{', "%7B").replace('}', "%7D") }
    }

    /// The names for a key.
    pub(super) fn of(&self, key: &str) -> Pair {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let tag = State::<XMODEM>::calculate(key.as_bytes());
        let digit = |shift: u16| char::from(DIGITS[usize::from((tag >> shift) & 0xf)]);
        let mut record = String::with_capacity(self.namespace.len() + key.len() + 7);
        record.push_str(&self.namespace);
        record.push_str(":{");
        record.extend([digit(8), digit(4), digit(0)]);
        record.push('}');
        let counter = record.len();
        record.push(':');
        record.push_str(key);
        Pair { record, counter }
    }

    /// The record of a key.
    pub(super) fn record(&self, key: &str) -> String {
        self.of(key).record
    }

    /// The key of a record's name.
    pub(super) fn key<'a>(&self, name: &'a str) -> Option<&'a str> {
        // The namespace, `:{`, three digits, `}:`
        name.get(self.namespace.len() + 7..)
    }

    /// The hash of counters.
    pub(super) fn statistics(&self) -> String {
        format!("{}:statistics", self.namespace)
    }

    /// The channel on which ends of claims are told, to those who wait.
    pub(super) fn channel(&self) -> String {
        format!("{}:ended", self.namespace)
    }

    /// The pattern that the names of all records fit.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = String::with_capacity(self.namespace.len() + 8);
        for letter in self.namespace.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push_str(":{???}:*");
        pattern
    }
}
