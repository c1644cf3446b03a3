//! What is looked for, as it is kept until the engine gets it.

use crate::core::clock::Span;
use crate::store::Selector;

/// A [`Selector`] that waits for its turn.
pub(super) enum OwnedSelector {
    ActionType(Box<str>),
    Target(Box<str>),
    SignalId(Box<str>),
    InDoubt,
    ExpiringWithin(Span),
}

impl OwnedSelector {
    pub(super) fn new(selector: Selector<'_>) -> Self {
        match selector {
            Selector::ActionType(name) => Self::ActionType(name.into()),
            Selector::Target(name) => Self::Target(name.into()),
            Selector::SignalId(name) => Self::SignalId(name.into()),
            Selector::InDoubt => Self::InDoubt,
            Selector::ExpiringWithin(span) => Self::ExpiringWithin(span),
        }
    }

    pub(super) fn lend(&self) -> Selector<'_> {
        match self {
            Self::ActionType(name) => Selector::ActionType(name),
            Self::Target(name) => Selector::Target(name),
            Self::SignalId(name) => Selector::SignalId(name),
            Self::InDoubt => Selector::InDoubt,
            Self::ExpiringWithin(span) => Selector::ExpiringWithin(*span),
        }
    }
}
