//! Requests as the tests of stores make them, and short names for what they get.

#![allow(dead_code, reason = "each test crate uses its own")]

use std::sync::Arc;

use _core::core::clock::Span;
use _core::core::record::{Fingerprint, Payload};
use _core::store::{Begun, ClaimRequest, Claimed, Hold};

pub(crate) const LEASE: Span = Span::from_secs(30);
pub(crate) const TTL: Span = Span::from_secs(3_600);
pub(crate) const PARAMS: Fingerprint = Fingerprint([1; 32]);

/// A plain request; its labels are the key's first three parts.
pub(crate) fn request<'a>(key: &'a str, owner: &'a Arc<str>) -> ClaimRequest<'a> {
    ClaimRequest::plain(key, &PARAMS, owner, LEASE, TTL)
}

/// What a claim got, to compare it by.
pub(crate) fn name(claimed: &Claimed) -> &'static str {
    match claimed {
        Claimed::Run(_) => "run",
        Claimed::TakeOver(..) => "take over",
        Claimed::Replay { .. } => "replay",
        Claimed::ReplayFailure { .. } => "replay failure",
        Claimed::Busy(_) => "busy",
        Claimed::InDoubt(_) => "in doubt",
        Claimed::Mismatch(_) => "mismatch",
    }
}

/// The hold of a claim that must be granted.
pub(crate) fn hold(key: &str, claimed: &Claimed) -> Hold {
    match claimed {
        Claimed::Run(Begun { fence, .. }) | Claimed::TakeOver(Begun { fence, .. }, _) => {
            Hold { key: key.into(), fence: *fence }
        }
        other => panic!("the claim of {key} was not granted: {}", name(other)),
    }
}

pub(crate) fn json(text: &str) -> Payload {
    Payload::Json(text.as_bytes().into())
}

/// A result's text, to compare it by.
pub(crate) fn text(payload: &Payload) -> String {
    match payload {
        Payload::Json(bytes) | Payload::Custom(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}
