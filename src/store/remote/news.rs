//! What a server tells by itself, and who in this process wants to know.

use std::sync::Arc;

use super::copies::{Copies, LocalCopies};
use crate::store::waiters::Waiters;

/// Told by an engine; heard by those who wait for a claim to end, and by the copies.
pub(in crate::store) struct News {
    pub(super) waiters: Arc<Waiters>,
    pub(super) copies: Copies,
}

impl News {
    pub(super) fn new(copies: LocalCopies) -> Self {
        Self { waiters: Arc::default(), copies: Copies::new(copies) }
    }

    /// Whether changes of records are to be told, for the copies' sake.
    pub(in crate::store) fn wants_changes(&self) -> bool {
        self.copies.mode() == LocalCopies::Told
    }

    /// Changes are told from now on.
    pub(in crate::store) fn follows_changes(&self) {
        self.copies.set_told(true);
    }

    /// The claim of this key has ended.
    pub(in crate::store) fn ended(&self, key: &str) {
        self.waiters.discharge(key);
    }

    /// The record of this key is no longer what it was.
    pub(in crate::store) fn changed(&self, key: &str) {
        self.copies.forget(key);
    }

    /// All records may have changed.
    pub(in crate::store) fn all_changed(&self) {
        self.copies.forget_all();
    }

    /// News may have been missed, and none comes before [`News::follows_changes`].
    pub(in crate::store) fn missed(&self) {
        self.copies.set_told(false);
        self.waiters.discharge_all();
    }
}
