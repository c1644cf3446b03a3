//! What holds for a call: a manager's settings, with the options of a decorator or a call laid over them.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use serde::Deserialize;

use super::errors;
use crate::core::clock::Span;
use crate::store::Limits;

/// The settings that are plain values; durations in microseconds. Python has checked them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own, named as users know it")]
pub(super) struct Settings {
    pub(super) default_ttl: u64,
    pub(super) lease: u64,
    pub(super) wait_timeout: u64,
    pub(super) cleanup_interval: u64,
    pub(super) max_cache_size: Option<usize>,
    pub(super) refuse_when_full: bool,
    pub(super) enable_auto_cleanup: bool,
    pub(super) include_params_in_key: bool,
    pub(super) verify_params: bool,
    pub(super) store_params: bool,
    pub(super) execute_without_store: bool,
    /// After how many first runs the lint is sure; `None` for no lint.
    pub(super) warn_volatile_after: Option<u32>,
}

impl Settings {
    pub(super) const fn limits(&self) -> Limits {
        Limits { max_records: self.max_cache_size, refuse_when_full: self.refuse_when_full }
    }

    pub(super) const fn lease(&self) -> Span {
        Span::from_micros(self.lease)
    }

    pub(super) const fn cleanup_interval(&self) -> Span {
        Span::from_micros(self.cleanup_interval)
    }

    /// Whether a live record of other params is a mismatch: a key with params in it names them already, and checks
    /// the rest of the digest.
    pub(super) const fn check_params(&self) -> bool {
        self.include_params_in_key || self.verify_params
    }
}

/// What a caller of an in-doubt key meets.
pub(super) enum OnInDoubt {
    /// `InDoubtError`.
    Raise,
    /// The action runs again.
    Retry,
    /// The reconciler, which looks at the outside world.
    Reconcile(Py<PyAny>),
}

/// What holds for one call.
pub(super) struct Rules {
    pub(super) ttl: Span,
    pub(super) waits: bool,
    pub(super) wait_timeout: Duration,
    pub(super) on_in_doubt: OnInDoubt,
    pub(super) in_doubt_on: Py<PyTuple>,
    pub(super) not_executed_on: Py<PyTuple>,
    pub(super) replay_errors: Py<PyTuple>,
    pub(super) latch: bool,
    /// Whether every call executes, and what would have been prevented is only counted.
    pub(super) shadow: bool,
    pub(super) converter: Option<Py<PyAny>>,
    pub(super) codec: Option<Py<PyAny>>,
}

impl Rules {
    /// The rules of a manager: `policies` has `on_concurrent`, `on_in_doubt`, `in_doubt_on`, `not_executed_on`,
    /// `replay_errors` and `codec`.
    pub(super) fn of_settings(settings: &Settings, policies: &Bound<'_, PyDict>) -> PyResult<Self> {
        let empty = || PyTuple::empty(policies.py()).unbind();
        Self {
            ttl: Span::from_micros(settings.default_ttl),
            waits: true,
            wait_timeout: Span::from_micros(settings.wait_timeout).into(),
            on_in_doubt: OnInDoubt::Raise,
            in_doubt_on: empty(),
            not_executed_on: empty(),
            replay_errors: empty(),
            latch: false,
            shadow: false,
            converter: None,
            codec: None,
        }
        .with(policies)
    }

    /// These rules with `options` over them. Python has checked the options; `None` leaves a rule as it is.
    pub(super) fn overlaid(&self, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = options.py();
        let on_in_doubt = match &self.on_in_doubt {
            OnInDoubt::Raise => OnInDoubt::Raise,
            OnInDoubt::Retry => OnInDoubt::Retry,
            OnInDoubt::Reconcile(reconciler) => OnInDoubt::Reconcile(reconciler.clone_ref(py)),
        };
        Self {
            ttl: self.ttl,
            waits: self.waits,
            wait_timeout: self.wait_timeout,
            on_in_doubt,
            in_doubt_on: self.in_doubt_on.clone_ref(py),
            not_executed_on: self.not_executed_on.clone_ref(py),
            replay_errors: self.replay_errors.clone_ref(py),
            latch: self.latch,
            shadow: self.shadow,
            converter: self.converter.as_ref().map(|converter| converter.clone_ref(py)),
            codec: self.codec.as_ref().map(|codec| codec.clone_ref(py)),
        }
        .with(options)
    }

    fn with(mut self, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        for (name, value) in options {
            if value.is_none() {
                continue;
            }
            match name.extract::<&str>()? {
                "ttl" => self.ttl = Span::from_micros(value.extract()?),
                "on_concurrent" => self.waits = value.extract::<&str>()? == "wait",
                "on_in_doubt" => self.on_in_doubt = OnInDoubt::of(value),
                "in_doubt_on" => self.in_doubt_on = value.cast_into::<PyTuple>()?.unbind(),
                "not_executed_on" => self.not_executed_on = value.cast_into::<PyTuple>()?.unbind(),
                "replay_errors" => self.replay_errors = value.cast_into::<PyTuple>()?.unbind(),
                "latch" => self.latch = value.extract()?,
                "shadow" => self.shadow = value.extract()?,
                "converter" => self.converter = Some(value.unbind()),
                "codec" => self.codec = Some(value.unbind()),
                unknown => return Err(errors::configuration(options.py(), format!("unknown option {unknown:?}"))),
            }
        }
        Ok(self)
    }

    /// Whether the caller will settle or retry an action in doubt.
    pub(super) const fn takes_over(&self) -> bool {
        match self.on_in_doubt {
            OnInDoubt::Raise => false,
            OnInDoubt::Retry => true,
            OnInDoubt::Reconcile(_) => !self.shadow,
        }
    }

    /// Whether the caller goes away, or goes on, rather than wait for another.
    pub(super) const fn refuses_to_wait(&self) -> bool {
        !self.waits || self.shadow
    }
}

impl OnInDoubt {
    fn of(value: Bound<'_, PyAny>) -> Self {
        match value.extract::<&str>() {
            Ok("raise") => Self::Raise,
            Ok("retry") => Self::Retry,
            _ => Self::Reconcile(value.unbind()),
        }
    }
}

/// Rules that are shared by all calls they hold for.
pub(super) type SharedRules = Arc<Rules>;
