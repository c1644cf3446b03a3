//! The names of what is kept: `<namespace>:{<tag>}:<key>` for a record.
//!
//! The tag in braces decides the slot of a cluster. A record shares it with the counter of fences of all records of that
//! tag, so that one script may touch both; 4,096 tags spread the records over the slots.

use crc16::{State, XMODEM};

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

    /// The record of a key, and the counter of fences of its tag.
    pub(super) fn of(&self, key: &str) -> (String, String) {
        let tag = State::<XMODEM>::calculate(key.as_bytes()) & 0xfff;
        let counter = format!("{}:{{{tag:03x}}}", self.namespace);
        (format!("{counter}:{key}"), counter)
    }

    /// The record of a key.
    pub(super) fn record(&self, key: &str) -> String {
        self.of(key).0
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
