//! Strings: what is written between quotes, and the strings made of it.
//!
//! A lone surrogate is written as its `\udXXX`, which JSON allows. A high surrogate right before a low one, each
//! a character of its own, is not: JSON reads that as one character, so such a text is written in pieces.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A byte in each of eight that is a quote, a backslash or a control character has its high bit set in the
/// answer; a byte above the lowest such one may have it wrongly.
const fn stops_in(word: u64) -> u64 {
    let quote = word ^ (LOW_BITS * b'"' as u64);
    let backslash = word ^ (LOW_BITS * b'\\' as u64);
    let zeros = quote.wrapping_sub(LOW_BITS) & !quote | backslash.wrapping_sub(LOW_BITS) & !backslash;
    (zeros | word.wrapping_sub(LOW_BITS * 0x20) & !word) & HIGH_BITS
}

const fn is_stop(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

/// How many bytes come before the first quote, backslash or control character, and whether those are all ASCII.
pub(super) fn run(bytes: &[u8]) -> (usize, bool) {
    let mut seen = 0;
    let mut length = 0;
    let (words, _) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let stops = stops_in(word);
        if stops != 0 {
            let first = stops.trailing_zeros();
            let before = if first < 8 { 0 } else { word << (64 - (first - 7)) };
            return (length + (first / 8) as usize, (seen | before) & HIGH_BITS == 0);
        }
        seen |= word;
        length += 8;
    }
    let mut is_ascii = seen & HIGH_BITS == 0;
    for &byte in &bytes[length..] {
        if is_stop(byte) {
            break;
        }
        is_ascii &= byte < 0x80;
        length += 1;
    }
    (length, is_ascii)
}

/// The string of ASCII bytes.
pub(super) fn from_ascii<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    debug_assert!(bytes.is_ascii());
    // SAFETY: a new string of so many one-byte characters belongs to nobody else until it is filled, and has room
    // for them; the empty string is shared, and nothing is written to it. Spares the check of UTF-8 for ASCII that the
    // scan has done: measured as 9 ns of 120 for a dict of two short strings.
    unsafe {
        let string = ffi::PyUnicode_New(bytes.len().cast_signed(), 127);
        let string = Bound::from_owned_ptr_or_err(py, string)?;
        if !bytes.is_empty() {
            let data = ffi::PyUnicode_DATA(string.as_ptr()).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
        }
        Ok(string.cast_into_unchecked())
    }
}

/// The string of bytes in UTF-8 in which surrogates may stand for themselves, as [`push_code_point`] writes them.
pub(super) fn from_wtf8<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: the pointers are of a live slice and of a constant with its end marked; the answer is a new string.
    unsafe {
        let string =
            ffi::PyUnicode_DecodeUTF8(bytes.as_ptr().cast(), bytes.len().cast_signed(), c"surrogatepass".as_ptr());
        Ok(Bound::from_owned_ptr_or_err(py, string)?.cast_into_unchecked())
    }
}

/// Appends a code point, surrogate or not, as UTF-8 would have it.
pub(super) fn push_code_point(out: &mut Vec<u8>, code_point: u32) {
    if let Some(character) = char::from_u32(code_point) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        return;
    }
    let low = |shift: u32| 0x80 | (code_point >> shift & 0x3f) as u8;
    out.extend([0xed, low(6), low(0)]);
}

/// Appends `text` between quotes.
pub(super) fn write(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let (length, _) = run(rest);
        out.extend_from_slice(&rest[..length]);
        let Some(&stop) = rest.get(length) else { break };
        write_escaped(out, u32::from(stop));
        rest = &rest[length + 1..];
    }
    out.push(b'"');
}

/// A text with surrogates, cut wherever a low one follows a high one.
pub(super) fn pieces(string: &Bound<'_, PyString>) -> Vec<Vec<u32>> {
    let mut pieces = vec![Vec::new()];
    let mut after_high = false;
    // SAFETY: the string is alive, and never shorter than it was when its length was asked.
    let length = unsafe { ffi::PyUnicode_GET_LENGTH(string.as_ptr()) };
    for index in 0..length {
        // SAFETY: as above; the index is within the length.
        let code_point = unsafe { ffi::PyUnicode_ReadChar(string.as_ptr(), index) };
        if after_high && matches!(code_point, 0xdc00..=0xdfff) {
            pieces.push(Vec::new());
        }
        after_high = matches!(code_point, 0xd800..=0xdbff);
        if let Some(piece) = pieces.last_mut() {
            piece.push(code_point);
        }
    }
    pieces
}

/// Appends one of [`pieces`] between quotes.
pub(super) fn write_piece(out: &mut Vec<u8>, piece: &[u32]) {
    out.push(b'"');
    for &code_point in piece {
        if matches!(code_point, 0..=0x1f | 0x22 | 0x5c | 0xd800..=0xdfff) {
            write_escaped(out, code_point);
        } else {
            push_code_point(out, code_point);
        }
    }
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, code_point: u32) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match code_point {
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        0x22 => b'"',
        0x5c => b'\\',
        _ => {
            out.extend_from_slice(b"\\u");
            out.extend([12, 8, 4, 0].map(|shift| DIGITS[(code_point >> shift & 15) as usize]));
            return;
        }
    };
    out.extend([b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn a_run_ends_at_the_first_stop_wherever_it_is() {
        for length in 0..39 {
            for stop in [b'"', b'\\', 0, 0x1f, b'\n'] {
                let mut bytes = vec![b'a'; 40];
                bytes[length] = stop;
                assert_eq!(run(&bytes), (length, true), "{stop} at {length}");
                bytes[39] = 0xff;
                assert_eq!(run(&bytes), (length, true), "high bytes after the run do not count");
                if length > 0 {
                    bytes[length - 1] = 0x80;
                    assert_eq!(run(&bytes), (length, false), "{stop} at {length}, not ASCII before");
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_no_stops_are_run_over() {
        let plain: Vec<u8> = (0x20..=0xff).filter(|byte| !matches!(byte, b'"' | b'\\')).collect();
        assert_eq!(run(&plain), (plain.len(), false));
    }
}
