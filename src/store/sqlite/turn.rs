//! A verb's turn in a transaction, and what follows once that is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::copies::{Copies, LocalCopy};
use super::session::Session;
use crate::core::clock::Timestamp;
use crate::store::Limits;
use crate::store::waiters::Waiters;

/// What the committed parts of a verb add up to.
#[derive(Clone, Default)]
pub(super) struct Sum(Arc<AtomicU64>);

impl Sum {
    /// The sum so far.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

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
    /// A hit that is no prevented duplicate.
    NotPrevented,
    /// A duplicate that is no hit: prevented, or not.
    Refused { shadow: bool },
    /// Expired records that were removed.
    Cleaned(u64),
    /// What a part has added to a sum.
    Add(Sum, u64),
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
    /// Adds to a sum, once that is committed; answers with the sum by then.
    pub(super) fn add(&mut self, sum: &Sum, count: u64) -> u64 {
        self.after_commit(Effect::Add(sum.clone(), count));
        sum.get() + count
    }

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
            Effect::NotPrevented => copies.counts.not_prevented(),
            Effect::Refused { shadow } => copies.counts.refused(shadow),
            Effect::Cleaned(count) => copies.counts.cleaned(count),
            Effect::Add(sum, count) => _ = sum.0.fetch_add(count, Ordering::AcqRel),
        }
    }
}
