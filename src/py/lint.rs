//! Finds params that make every retry a new action, while a program runs, and says so once.
//!
//! Two small tables of hashes tell at the price of a look whether there is anything to look at: an action whose first runs
//! were found to be many on purpose is left alone, and the params of a signal are read from its third first run on, until
//! they are settled. Nothing here waits for a lock, so nothing of it can hold up a call, or a forked child.

use std::ffi::CString;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;

use super::call::Named;
use crate::core::clock::{Clock, SystemClock};
use crate::core::volatile::{Kind, Series, Verdict, is_volatile_name};

/// How many actions and signals are known at a time; another takes the place of one.
const ACTIONS: usize = 256;
const SIGNALS: usize = 1024;
/// How many signals are looked at more closely at a time.
const SERIES: usize = 64;
/// After so many signals whose actions are many on purpose, those of that action and target are.
const CONVINCED: u64 = 8;

/// In the low bits of a place among the signals.
const SEEN: u64 = 1;
const WATCHED: u64 = 2;
const SETTLED: u64 = 3;
const STATE: u64 = 3;
/// In those of a place among the actions: how many signals were settled.
const COUNT: u64 = 15;

struct Tables {
    actions: [AtomicU64; ACTIONS],
    signals: [AtomicU64; SIGNALS],
}

/// See the module.
#[derive(Default)]
pub(super) struct Lint {
    /// Whether any signal was ever looked at more closely.
    watches: AtomicBool,
    tables: OnceLock<Box<Tables>>,
    series: Mutex<Vec<(u64, Series)>>,
}

/// A field to warn of.
pub(super) struct Found {
    path: Box<str>,
    kind: Kind,
}

/// The part of a key that names signal, action and target.
fn prefix(key: &str) -> &str {
    key.rsplit_once(':').map_or(key, |(prefix, _)| prefix)
}

fn hash(text: &str) -> u64 {
    FixedState::default().hash_one(text)
}

/// The place of a hash in a table, by bits that are not compared.
fn place(table: &[AtomicU64], hash: u64) -> &AtomicU64 {
    let place = usize::try_from(hash >> 32).unwrap_or(0) % table.len();
    &table[place]
}

impl Lint {
    /// Whether the params of this call are to be looked at, should it be a first run. Costs a look at a flag in a program
    /// whose signals each ask for one action.
    pub(super) fn watches(&self, key: &str) -> bool {
        if !self.watches.load(Ordering::Relaxed) {
            return false;
        }
        let Some(tables) = self.tables.get() else { return false };
        let signal = hash(prefix(key));
        place(&tables.signals, signal).load(Ordering::Relaxed) == (signal & !STATE) | WATCHED
    }

    /// A duplicate was met: retries of this signal are recognised.
    pub(super) fn duplicate(&self, key: &str) {
        if self.watches(key)
            && let Some(tables) = self.tables.get()
        {
            let signal = hash(prefix(key));
            place(&tables.signals, signal).store((signal & !STATE) | SETTLED, Ordering::Relaxed);
        }
    }

    /// Takes note of a first run; `enough` as [`Series::observe`] takes it.
    pub(super) fn first_run(&self, named: &Named, enough: u32) -> Option<Found> {
        let tables = self.tables.get_or_init(|| {
            Box::new(Tables {
                actions: [const { AtomicU64::new(0) }; ACTIONS],
                signals: [const { AtomicU64::new(0) }; SIGNALS],
            })
        });
        let action = FixedState::default().hash_one((&*named.action_type, &*named.target));
        let of_action = place(&tables.actions, action);
        let known = of_action.load(Ordering::Relaxed);
        if known & !COUNT == action & !COUNT && known & COUNT >= CONVINCED {
            return None;
        }
        let signal = hash(prefix(&named.key));
        let of_signal = place(&tables.signals, signal);
        let state = |state| (signal & !STATE) | state;
        match of_signal.load(Ordering::Relaxed) {
            seen if seen == state(SEEN) => {
                self.forget(signal);
                of_signal.store(state(WATCHED), Ordering::Relaxed);
                self.watches.store(true, Ordering::Relaxed);
                None
            }
            watched if watched == state(WATCHED) => {
                let verdict = self.observe(signal, named.watched.as_deref()?, enough);
                if verdict == Verdict::Open {
                    return None;
                }
                of_signal.store(state(SETTLED), Ordering::Relaxed);
                let settled = if known & !COUNT == action & !COUNT { (known & COUNT) + 1 } else { 1 };
                let Verdict::Volatile(path, kind) = verdict else {
                    of_action.store((action & !COUNT) | settled.min(CONVINCED), Ordering::Relaxed);
                    return None;
                };
                // Once is enough for an action.
                of_action.store((action & !COUNT) | CONVINCED, Ordering::Relaxed);
                Some(Found { path, kind })
            }
            settled if settled == state(SETTLED) => None,
            _ => {
                of_signal.store(state(SEEN), Ordering::Relaxed);
                None
            }
        }
    }

    fn forget(&self, signal: u64) {
        if let Some(mut all) = self.series.try_lock() {
            all.retain(|(other, _)| *other != signal);
        }
    }

    fn observe(&self, signal: u64, params: &[u8], enough: u32) -> Verdict {
        // What somebody else looks at meanwhile is looked at another time.
        let Some(mut all) = self.series.try_lock() else { return Verdict::Open };
        let found = all.iter().position(|(other, _)| *other == signal);
        let number = found.unwrap_or_else(|| {
            if all.len() == SERIES {
                all.remove(0);
            }
            all.push((signal, Series::new(2)));
            all.len() - 1
        });
        let verdict = all[number].1.observe(params, SystemClock::new().now(), enough);
        if verdict != Verdict::Open {
            all.remove(number);
        }
        verdict
    }
}

impl Found {
    /// Warns. A warning that is an error here is reported as unraisable: the call has no fault.
    pub(super) fn warn(&self, py: Python<'_>, named: &Named, runs: u32) {
        let Self { path, kind } = self;
        let is = match kind {
            Kind::Time => "the time of the call",
            Kind::Random => "a random id",
            Kind::Number => "the number of the attempt",
        };
        let field = path.split(['.', '[']).next().unwrap_or(path);
        let Named { action_type, target, signal_id, .. } = named;
        let text = format!(
            "{action_type} on {target}: {runs} first runs of the signal {signal_id:?} and no duplicate, since params.{path} was \
             {is} in each: every retry is a new action. Leave it out of the key: exclude=({field:?},) of a decorator, or \
             context instead of params of an action"
        );
        if let Err(error) = warn(py, &text) {
            error.write_unraisable(py, None);
        }
    }
}

fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let class = py.import("idempotency_manager.exceptions")?.getattr("VolatileParamsWarning")?;
    let text = CString::new(text.replace('\0', " ")).map_err(|_| PyUserWarning::new_err("no text"))?;
    PyErr::warn(py, &class, &text, 1)
}

/// Whether a field of this name is, in most programs, another in each call.
#[pyfunction]
fn is_volatile(name: &str) -> bool {
    is_volatile_name(name)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(is_volatile, module)?)
}
