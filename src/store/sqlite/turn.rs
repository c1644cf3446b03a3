//! A verb's turn in a transaction, and what follows once that is committed.

use std::sync::Arc;

use super::copies::{Copies, LocalCopy};
use super::session::Session;
use super::waiters::Waiters;
use crate::core::clock::Timestamp;
use crate::store::Limits;

/// What a verb leaves to be done after the commit, and not at all without one.
pub(super) enum Effect {
    /// The record is not what it was.
    Forget(Box<str>),
    /// No record is.
    ForgetAll,
    /// The record is this.
    Remember(Arc<LocalCopy>),
    /// A look-up that found nothing.
    Miss,
    /// One that found what is no copy.
    Hit,
    /// One that got a copy.
    Replayed(Arc<LocalCopy>),
    /// A prevented duplicate that is no hit.
    Refused,
    /// Expired records that were removed.
    Cleaned(u64),
}

/// See the module.
pub(super) struct Turn<'a> {
    pub(super) session: &'a Session,
    pub(super) now: Timestamp,
    pub(super) limits: Limits,
    pub(super) waiters: &'a Arc<Waiters>,
    pub(super) effects: Vec<Effect>,
}

impl Turn<'_> {
    /// Leaves something to be done after the commit.
    pub(super) fn after_commit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

/// Does what was left to be done.
pub(super) fn apply(effects: Vec<Effect>, copies: &Copies, waiters: &Waiters) {
    for effect in effects {
        match effect {
            Effect::Forget(key) => {
                copies.forget(&key);
                waiters.discharge(&key);
            }
            Effect::ForgetAll => {
                copies.forget_all();
                waiters.discharge_all();
            }
            Effect::Remember(copy) => {
                copies.forget(&copy.key);
                copies.remember(&copy);
                waiters.discharge(&copy.key);
            }
            Effect::Miss => copies.counts.miss(),
            Effect::Hit => copies.counts.hit_elsewhere(),
            Effect::Replayed(copy) => drop(copies.counts.hit(&copy)),
            Effect::Refused => copies.counts.refused(),
            Effect::Cleaned(count) => copies.counts.cleaned(count),
        }
    }
}
