//! Calls that a plan names: asked of the store at once, and answered from what is remembered of them.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::named::{signal_text, text};
use super::{Answered, Arguments, Arrived, Asked, Resolved, Wrapper};
use crate::core::canonical::fingerprint;
use crate::core::record::Payload;
use crate::py::call::Named;
use crate::py::canonical;
use crate::py::coroutine::Coroutine;
use crate::py::engine::Active;
use crate::py::familiar::Familiar;
use crate::py::log::About;
use crate::py::signature::{Plan, Signature};
use crate::py::{naming, notify, objects};
use crate::store::{ClaimRequest, Claimed, Reply};

impl Wrapper {
    /// Names a call and asks the store.
    pub(super) fn answer_planned(
        &self,
        py: Python<'_>,
        resolved: &Resolved,
        signature: &Signature,
        plan: &Plan,
        arrived: &Arrived<'_, '_>,
    ) -> PyResult<Answered> {
        let signal = self.signal(py, signature, plan, arrived.arguments)?;
        let signal = signal_text(&signal)?;
        let signal = text(&signal)?;
        let params = Self::kept_params(py, &resolved.active, signature, plan, arrived.arguments)?;
        canonical::with_buffer(|buffer| {
            // No text holds this byte, so no signal ends where another's params begin.
            buffer.extend_from_slice(signal.as_bytes());
            buffer.push(0xff);
            signature.encode(py, plan, arrived.arguments, buffer)?;
            if let Some(familiar) = resolved.familiars.get(buffer)
                && let Some(familiar) = &*familiar
            {
                let asked = Asked { signal, key: &familiar.key, digest: &familiar.digest, params };
                return self.ask(py, resolved, asked, Ok(familiar));
            }
            let digest = fingerprint(&buffer[signal.len() + 1..]);
            let key = self.compose(py, signal, resolved.active.settings.include_params_in_key.then_some(&digest))?;
            let key = str::from_utf8(&key).unwrap_or_else(|_| unreachable!("escaped UTF-8 stays UTF-8"));
            self.ask(py, resolved, Asked { signal, key, digest: &digest, params }, Err(buffer))
        })
    }

    /// Asks the store, and answers with its replay if that is what it says. `familiar`: the call as it is remembered, or
    /// what to remember it by.
    pub(super) fn ask(
        &self,
        py: Python<'_>,
        resolved: &Resolved,
        asked: Asked<'_>,
        familiar: Result<&Arc<Familiar>, &[u8]>,
    ) -> PyResult<Answered> {
        let active = &*resolved.active;
        let request = self.request(resolved, &asked);
        let shadow = resolved.rules.shadow;
        let claimed = match self.is_async {
            false => Some(active.store.claim(&request)),
            true if shadow => None,
            true => active.store.replay(&request),
        };
        if let Some(Reply::Ready(Ok(Claimed::Replay { result, attempts }))) = &claimed
            && !shadow
        {
            let about = About {
                key: asked.key,
                signal_id: asked.signal,
                action_type: &self.action,
                target: &self.target,
                attempts: *attempts,
            };
            if let Some(value) = Self::load(py, resolved, result, familiar.ok())? {
                notify::replayed(py, active, about, None);
                if let Err(buffer) = familiar {
                    resolved.familiars.remember(buffer, asked.key, *asked.digest);
                    active.lint.duplicate(asked.key);
                }
                let value = if self.is_async { Coroutine::replay(py, value)? } else { value };
                return Ok(Answered::Replayed(value));
            }
        }
        Ok(Answered::NotYet(self.name_asked(active, asked, familiar.err()), claimed))
    }

    /// Names a call that goes on. `buffer` is as for [`ask`](Self::ask).
    fn name_asked(&self, active: &Active, asked: Asked<'_>, buffer: Option<&[u8]>) -> Named {
        let watched = buffer.filter(|_| active.watches(asked.key));
        Named {
            key: asked.key.into(),
            signal_id: asked.signal.into(),
            action_type: Arc::clone(&self.action),
            target: Arc::clone(&self.target),
            fingerprint: *asked.digest,
            params: asked.params,
            context: None,
            watched: watched.map(|buffer| buffer[asked.signal.len() + 1..].into()),
        }
    }

    pub(super) fn load(
        py: Python<'_>,
        resolved: &Resolved,
        result: &Payload,
        familiar: Option<&Arc<Familiar>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        if let Some(value) = familiar.and_then(|familiar| familiar.copy(py, result)) {
            return Ok(Some(value));
        }
        let converter = resolved.rules.converter.as_ref().map(|converter| converter.bind(py));
        let value = objects::load(py, result, converter, resolved.rules.codec.as_ref())?;
        match (value, familiar) {
            (Some(value), Some(familiar)) => Ok(Some(familiar.learn(py, result, value))),
            (value, _) => Ok(value),
        }
    }

    pub(super) fn request<'a>(&'a self, resolved: &'a Resolved, asked: &'a Asked<'a>) -> ClaimRequest<'a> {
        ClaimRequest {
            key: asked.key,
            signal_id: asked.signal,
            action_type: &self.action,
            target: &self.target,
            fingerprint: asked.digest,
            check_params: resolved.active.settings.check_params(),
            takes_over: resolved.rules.takes_over(),
            latch: resolved.rules.latch,
            refuses_to_wait: resolved.rules.refuses_to_wait(),
            asks_again: false,
            shadow: resolved.rules.shadow,
            lease: resolved.active.settings.lease(),
            ttl: resolved.rules.ttl,
            owner: &resolved.active.owner,
            params: asked.params.as_deref(),
            context: None,
        }
    }

    pub(super) fn kept_params(
        py: Python<'_>,
        active: &Active,
        signature: &Signature,
        plan: &Plan,
        arguments: &Arguments<'_, '_>,
    ) -> PyResult<Option<Arc<[u8]>>> {
        if !active.settings.store_params {
            return Ok(None);
        }
        let params = PyDict::new(py);
        for (name, value) in signature.params(py, plan, arguments) {
            params.set_item(name, value)?;
        }
        naming::kept_params(params.as_any()).map(Some)
    }
}
