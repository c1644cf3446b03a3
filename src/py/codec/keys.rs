//! Strings that were the keys of dicts lately, so that a dict of the same shape reuses them, hashes included.

use std::cell::RefCell;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::text;

/// Longer keys are made anew.
const LONGEST: usize = 64;
const SLOTS: usize = 256;

thread_local! {
    /// A direct-mapped table: a key that falls into another's slot takes it. One for each thread, because the two atomic
    /// operations of a lock cost more than the string they would save.
    ///
    /// It is borrowed for a look or an exchange, never while an object is made or dropped.
    static TABLE: RefCell<[Option<Py<PyString>>; SLOTS]> = const { RefCell::new([const { None }; SLOTS]) };
}

/// The string of these ASCII bytes, by the table where it has it.
pub(super) fn key<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    if bytes.len() > LONGEST {
        return text::from_ascii(py, bytes);
    }
    let slot = slot(bytes);
    let known = TABLE.try_with(|table| {
        let table = table.borrow();
        let known = table[slot].as_ref()?.bind(py);
        (ascii(known) == bytes).then(|| known.clone())
    });
    if let Ok(Some(known)) = known {
        return Ok(known);
    }
    let made = text::from_ascii(py, bytes)?;
    let new = made.clone().unbind();
    // An error says that the thread is ending and its table is gone.
    let replaced = TABLE.try_with(|table| table.borrow_mut()[slot].replace(new));
    drop(replaced);
    Ok(made)
}

/// A mixture of the length and of the first and last bytes: enough to tell one program's keys apart. The parts overlap in
/// short keys; gathering those bytes in a word first would stall on reading back what has just been written.
fn slot(bytes: &[u8]) -> usize {
    let (first, last) = if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else if let [first, .., last] = bytes {
        (u64::from(*first), u64::from(*last) << 8 | u64::from(bytes[1]))
    } else {
        (bytes.first().map_or(0, |&only| u64::from(only)), 0)
    };
    let mixed = (last.rotate_left(23) ^ bytes.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::from((first ^ mixed).wrapping_mul(0xD6E8_FEB8_6659_FD93).to_be_bytes()[0])
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
