//! Strings that were the keys of dicts lately, so that a dict of the same shape reuses them, hashes included.

use parking_lot::Mutex;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::text;

/// Longer keys are made anew.
const LONGEST: usize = 64;
const SLOTS: usize = 512;

/// A direct-mapped table: a key that falls into another's slot takes it.
///
/// The lock is held for a look or an exchange, never while an object is made; whoever finds it taken does without.
static SLOTS_IN_USE: Mutex<[Option<Py<PyString>>; SLOTS]> = Mutex::new([const { None }; SLOTS]);

/// The string of these ASCII bytes, by the table where it has it.
pub(super) fn key<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    if bytes.len() > LONGEST {
        return text::from_ascii(py, bytes);
    }
    let slot = slot(bytes);
    if let Some(slots) = SLOTS_IN_USE.try_lock()
        && let Some(known) = &slots[slot]
        && ascii(known.bind(py)) == bytes
    {
        return Ok(known.bind(py).clone());
    }
    let made = text::from_ascii(py, bytes)?;
    let replaced =
        SLOTS_IN_USE.try_lock().map(|mut slots| std::mem::replace(&mut slots[slot], Some(made.clone().unbind())));
    drop(replaced);
    Ok(made)
}

/// A mixture of the length and of the first and last bytes: enough to tell one program's keys apart.
fn slot(bytes: &[u8]) -> usize {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let (first, last) = match bytes.len() {
        length @ 0..8 => (word(bytes), length as u64),
        length => {
            let first = bytes.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk));
            let last = bytes.last_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk));
            (first, last.rotate_left(23) ^ length as u64)
        }
    };
    let mixed = (first ^ last.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed >> 55) as usize
}

/// The bytes of a string that [`text::from_ascii`] made.
fn ascii<'a>(string: &'a Bound<'_, PyString>) -> &'a [u8] {
    // SAFETY: every string in the table is ASCII and ready, so its data are as many bytes as it has characters; they
    // never change, and `string` keeps them alive.
    unsafe {
        let length = ffi::PyUnicode_GET_LENGTH(string.as_ptr()).cast_unsigned();
        std::slice::from_raw_parts(ffi::PyUnicode_DATA(string.as_ptr()).cast::<u8>(), length)
    }
}
