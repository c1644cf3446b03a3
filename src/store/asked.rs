//! Requests as they are kept until an engine gets them.

use std::sync::Arc;

use super::kept::latch_word;
use super::process::ProcessIdentity;
use super::{ClaimRequest, MarkRequest};
use crate::core::clock::Span;
use crate::core::machine::{Decision, Request};
use crate::core::record::{Fingerprint, Labels, Payload};

/// A [`ClaimRequest`] that waits for its turn.
#[expect(clippy::struct_excessive_bools, reason = "independent answers to independent questions")]
pub(super) struct Asked {
    pub(super) key: Arc<str>,
    pub(super) signal_id: Box<str>,
    pub(super) action_type: Box<str>,
    pub(super) target: Box<str>,
    pub(super) fingerprint: Fingerprint,
    pub(super) check_params: bool,
    pub(super) takes_over: bool,
    pub(super) latch: bool,
    pub(super) refuses_to_wait: bool,
    pub(super) asks_again: bool,
    pub(super) shadow: bool,
    pub(super) lease: Span,
    pub(super) ttl: Span,
    pub(super) owner: Arc<str>,
    pub(super) owner_process: Arc<str>,
    pub(super) params: Option<Box<[u8]>>,
    pub(super) context: Option<Box<[u8]>>,
}

impl Asked {
    pub(super) fn new(request: &ClaimRequest<'_>) -> Self {
        Self {
            key: request.key.into(),
            signal_id: request.signal_id.into(),
            action_type: request.action_type.into(),
            target: request.target.into(),
            fingerprint: *request.fingerprint,
            check_params: request.check_params,
            takes_over: request.takes_over,
            latch: request.latch,
            refuses_to_wait: request.refuses_to_wait,
            asks_again: request.asks_again,
            shadow: request.shadow,
            lease: request.lease,
            ttl: request.ttl,
            owner: Arc::clone(request.owner),
            owner_process: Arc::clone(ProcessIdentity::current().text()),
            params: request.params.map(Into::into),
            context: request.context.map(Into::into),
        }
    }

    pub(super) fn request(&self) -> ClaimRequest<'_> {
        ClaimRequest {
            key: &self.key,
            signal_id: &self.signal_id,
            action_type: &self.action_type,
            target: &self.target,
            fingerprint: &self.fingerprint,
            check_params: self.check_params,
            takes_over: self.takes_over,
            latch: self.latch,
            refuses_to_wait: self.refuses_to_wait,
            asks_again: self.asks_again,
            shadow: self.shadow,
            lease: self.lease,
            ttl: self.ttl,
            owner: &self.owner,
            params: self.params.as_deref(),
            context: self.context.as_deref(),
        }
    }

    pub(super) fn asks(&self) -> Request<'_> {
        let fingerprint = self.check_params.then_some(&self.fingerprint);
        Request::Claim { fingerprint, takes_over: self.takes_over }
    }

    pub(super) const fn latch_word(&self, decision: Decision) -> Option<&'static str> {
        latch_word(decision.latch(self.latch))
    }
}

/// A [`MarkRequest`] that waits for its turn.
pub(super) struct Marking {
    pub(super) key: Box<str>,
    pub(super) labels: Labels,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) result: Payload,
    pub(super) ttl: Span,
    pub(super) owner: Arc<str>,
    pub(super) params: Option<Box<[u8]>>,
    pub(super) context: Option<Box<[u8]>>,
}

impl Marking {
    pub(super) fn new(request: MarkRequest<'_>) -> Self {
        Self {
            key: request.key.into(),
            labels: request.labels.clone(),
            fingerprint: request.fingerprint,
            result: request.result,
            ttl: request.ttl,
            owner: Arc::clone(request.owner),
            params: request.params.map(Into::into),
            context: request.context.map(Into::into),
        }
    }
}
