//! How long a manager's claims and executions take, and what its replays save: measured once somebody has asked for it.
//!
//! What is measured is this process's own, whatever the store counts of others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pyo3::prelude::*;

use super::engine::Active;
use super::manager::Core;
use crate::core::timings::{BOUNDS, Counted, Histogram, Mean, Sampler};

/// Of how many action types the mean is kept apart; those that come later share one.
const ACTIONS: usize = 1000;

type Actions = HashMap<Arc<str>, Arc<Mean>>;

/// What was measured.
#[derive(Default)]
pub(super) struct Timings {
    claims: Histogram,
    executions: Histogram,
    sampler: Sampler,
    replays: AtomicU64,
    saved_nanos: AtomicU64,
    prevented: AtomicU64,
    cleaned: AtomicU64,
    /// The executions of each action type that ended with a result.
    actions: ArcSwap<Actions>,
    others: Arc<Mean>,
}

impl Timings {
    /// Counts a duplicate that was prevented.
    pub(super) fn prevented(&self) {
        self.prevented.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts expired records that were removed.
    pub(super) fn cleaned(&self, records: u64) {
        self.cleaned.fetch_add(records, Ordering::Relaxed);
    }

    fn action(&self, action_type: &Arc<str>) -> Arc<Mean> {
        if let Some(mean) = self.actions.load().get(action_type) {
            return Arc::clone(mean);
        }
        let actions = self.actions.rcu(|actions| {
            let mut actions = Actions::clone(actions);
            if actions.len() < ACTIONS {
                actions.entry(Arc::clone(action_type)).or_default();
            }
            actions
        });
        drop(actions);
        self.actions.load().get(action_type).map_or_else(|| Arc::clone(&self.others), Arc::clone)
    }
}

/// A question to the store that is timed.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    since: Instant,
    times: u64,
}

/// What measures the calls of one action type.
#[derive(Clone)]
pub(super) struct Meter {
    timings: Arc<Timings>,
    action: Arc<Mean>,
    samples: bool,
}

impl Meter {
    /// Times a claim that is asked for now. Where the store is in this process, the clock would be a good part of what it
    /// measures, so not all are.
    pub(super) fn ask(&self) -> Option<Asked> {
        let times = if self.samples { self.timings.sampler.turn()? } else { 1 };
        Some(Asked { since: Instant::now(), times })
    }

    /// Nothing was asked after all.
    pub(super) fn not_asked(&self) {
        self.timings.sampler.undo();
    }

    /// The store has answered.
    pub(super) fn answered(&self, asked: Asked) {
        self.timings.claims.add(asked.since.elapsed(), asked.times);
    }

    /// An executor has ended; what it took is what a replay of its result will save.
    pub(super) fn executed(&self, took: Duration, with_a_result: bool) {
        self.timings.executions.add(took, 1);
        if with_a_result {
            self.action.add(took);
        }
    }

    /// A call was answered from a record.
    pub(super) fn replayed(&self) {
        self.timings.replays.fetch_add(1, Ordering::Relaxed);
        self.timings.saved_nanos.fetch_add(self.action.nanos(), Ordering::Relaxed);
        self.timings.prevented();
    }
}

impl Active {
    /// What measures the calls of this action type, where somebody has asked for it.
    pub(super) fn meter(&self, action_type: &Arc<str>) -> Option<Meter> {
        let timings = self.timings.as_ref()?;
        let (timings, action) = (Arc::clone(timings), timings.action(action_type));
        Some(Meter { timings, action, samples: self.store.is_local() })
    }
}

/// How often for each bucket, and all of it in seconds.
type Plain = (Vec<u64>, f64);

fn plain(Counted { buckets, nanos }: &Counted) -> Plain {
    (buckets.to_vec(), Duration::from_nanos(*nanos).as_secs_f64())
}

/// The upper bounds of the buckets, in seconds.
#[pyfunction]
fn timing_bounds() -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "the bounds are round numbers, and small")]
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    BOUNDS.into_iter().map(seconds).collect()
}

/// What this process has measured of a manager since somebody first asked: claims, executions, replays, the seconds they
/// saved, duplicates prevented, expired records removed.
#[pyfunction]
fn timings(core: &Bound<'_, Core>) -> PyResult<(Plain, Plain, u64, f64, u64, u64)> {
    let timings = core.get().engine.measure(core.py())?;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok((
        plain(&timings.claims.counted()),
        plain(&timings.executions.counted()),
        count(&timings.replays),
        Duration::from_nanos(count(&timings.saved_nanos)).as_secs_f64(),
        count(&timings.prevented),
        count(&timings.cleaned),
    ))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(timing_bounds, module)?)?;
    module.add_function(wrap_pyfunction!(timings, module)?)
}
