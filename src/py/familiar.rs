//! Calls that a decorated function has answered before: their keys and fingerprints, and a copy of their result that is
//! cheaper to copy again than to decode. Nothing here decides anything: the store is asked each time, and what it
//! answers is held against what is remembered.

use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwapOption, Guard};
use foldhash::fast::FixedState;
use parking_lot::Mutex;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use std::hash::BuildHasher;

use crate::core::record::{Fingerprint, Payload};

/// How many calls are remembered for a function: with the rest of an entry, some 300 KB at most.
const PLACES: usize = 1024;
/// Results whose encoding is longer are decoded each time, in bytes: a copy must not keep much alive.
const LARGEST: usize = 512;
/// Canonical params that are longer are hashed each time, in bytes.
const LONGEST: usize = 512;
/// Of so many newcomers to a place that is taken, one gets it: more hot calls than places must not cost an entry each.
const PATIENCE: u32 = 16;

/// A call that was answered before.
pub(super) struct Familiar {
    /// Signal and canonical params, as [`Familiars`] is asked for them.
    asked: Box<[u8]>,
    pub(super) key: Box<str>,
    pub(super) digest: Fingerprint,
    model: Mutex<Option<Model>>,
}

/// A decoded result that is never handed out itself unless nothing can change it, and the bytes it was decoded from.
struct Model {
    encoded: Arc<[u8]>,
    value: Py<PyAny>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Familiars {
    places: OnceLock<Box<[ArcSwapOption<Familiar>]>>,
    newcomers: std::sync::atomic::AtomicU32,
}

fn place(asked: &[u8]) -> usize {
    let hash = FixedState::default().hash_one(asked);
    usize::try_from(hash >> 32).unwrap_or(0) % PLACES
}

impl Familiars {
    /// The call with these signal and params, if it is remembered.
    pub(super) fn get(&self, asked: &[u8]) -> Option<Guard<Option<Arc<Familiar>>>> {
        if asked.len() > LONGEST {
            return None;
        }
        let found = self.places.get()?[place(asked)].load();
        found.as_ref().is_some_and(|familiar| *familiar.asked == *asked).then_some(found)
    }

    /// Remembers a call that was answered from a record.
    pub(super) fn remember(&self, asked: &[u8], key: &str, digest: Fingerprint) {
        if asked.len() > LONGEST {
            return;
        }
        let places = self.places.get_or_init(|| (0..PLACES).map(|_| ArcSwapOption::empty()).collect());
        let place = &places[place(asked)];
        let is_taken = place.load().is_some();
        if is_taken && !self.newcomers.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(PATIENCE) {
            return;
        }
        let familiar = Familiar { asked: asked.into(), key: key.into(), digest, model: Mutex::new(None) };
        place.store(Some(Arc::new(familiar)));
    }
}

impl Familiar {
    /// A fresh copy of the result, where `payload` is the very one that was decoded before.
    pub(super) fn copy(&self, py: Python<'_>, payload: &Payload) -> Option<Py<PyAny>> {
        let Payload::Json(encoded) = payload else { return None };
        let model = {
            let model = self.model.lock();
            let model = model.as_ref().filter(|model| Arc::ptr_eq(&model.encoded, encoded))?;
            model.value.clone_ref(py)
        };
        copy(model.into_bound(py))
    }

    /// Remembers the result that `payload` was decoded to, if copies of it are cheap; hands out a copy then.
    pub(super) fn learn(&self, py: Python<'_>, payload: &Payload, value: Py<PyAny>) -> Py<PyAny> {
        let Payload::Json(encoded) = payload else { return value };
        if encoded.len() > LARGEST || !is_shallow(value.bind(py)) {
            return value;
        }
        let Some(handed_out) = copy(value.bind(py).clone()) else { return value };
        let before = self.model.lock().replace(Model { encoded: Arc::clone(encoded), value });
        drop(before);
        handed_out
    }
}

/// Whether nothing can change the value, whoever holds it.
fn is_atom(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyBytes>()
}

/// Whether a copy of the outermost container, or none at all, is a whole copy.
fn is_shallow(value: &Bound<'_, PyAny>) -> bool {
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        return dict.iter().all(|(name, item)| is_atom(&name) && is_atom(&item));
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return list.iter().all(|item| is_atom(&item));
    }
    if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        return tuple.iter().all(|item| is_atom(&item));
    }
    is_atom(value)
}

/// A copy of a shallow value; `None` where there is no memory for it, and decoding says so in its own words.
fn copy(value: Bound<'_, PyAny>) -> Option<Py<PyAny>> {
    let py = value.py();
    // SAFETY: the types are checked; each call gives a new reference or null with an exception set. Measured reason:
    // `PyDict::copy` and its kind look the type up again, and this is the hit path.
    let copied = unsafe {
        if ffi::PyDict_CheckExact(value.as_ptr()) != 0 {
            ffi::PyDict_Copy(value.as_ptr())
        } else if ffi::PyList_CheckExact(value.as_ptr()) != 0 {
            ffi::PyList_GetSlice(value.as_ptr(), 0, isize::MAX)
        } else {
            return Some(value.unbind());
        }
    };
    // SAFETY: as above.
    let copied = unsafe { Bound::from_owned_ptr_or_opt(py, copied) };
    if copied.is_none() {
        drop(PyErr::take(py));
    }
    copied.map(Bound::unbind)
}
