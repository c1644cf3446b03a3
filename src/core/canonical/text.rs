//! Strings: the escapes of RFC 8785 section 3.2.2.2, the order of names of section 3.2.3.

use std::cmp::Ordering;

/// Appends `text` as a JSON string with the fewest escapes: the quote, the backslash and the control characters below
/// U+0020, the latter by their short form where they have one. Nothing else is escaped, U+007F included.
#[inline]
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let start = out.len();
    if copy_holds_escapes(out, bytes) {
        out.truncate(start);
        push_escaped(out, bytes);
    }
    out.push(b'"');
}

const fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Not zero if one of the eight bytes must be escaped. A borrow can only make a byte above a matching one look
/// matched, so the answer for the whole word is exact.
const fn escapes(word: u64) -> u64 {
    let quote = word ^ (LOW * b'"' as u64);
    let backslash = word ^ (LOW * b'\\' as u64);
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    let equal = (quote.wrapping_sub(LOW) & !quote) | (backslash.wrapping_sub(LOW) & !backslash);
    (control | equal) & HIGH
}

/// Copies bytes a word at a time and answers whether one of them must be escaped. The last word overlaps the one before
/// it, so that no byte of a longer text is looked at alone.
#[inline]
fn copy_holds_escapes(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    const LONG: usize = 64;
    let Some(last) = bytes.last_chunk::<8>() else {
        return copy_few_hold_escapes(out, bytes);
    };
    if bytes.len() >= LONG {
        return copy_many_hold_escapes(out, bytes);
    }
    let (words, rest) = bytes.as_chunks::<8>();
    let mut found = 0;
    for word in words {
        found |= escapes(u64::from_ne_bytes(*word));
        out.extend_from_slice(word);
    }
    if !rest.is_empty() {
        found |= escapes(u64::from_ne_bytes(*last));
        out.truncate(out.len() - (8 - rest.len()));
        out.extend_from_slice(last);
    }
    found != 0
}

/// In blocks that the compiler looks at all at once.
fn copy_many_hold_escapes(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    out.extend_from_slice(bytes);
    let (blocks, rest) = bytes.as_chunks::<64>();
    let holds = |block: &[u8]| block.iter().fold(false, |found, &byte| found | must_escape(byte));
    blocks.iter().any(|block| holds(block)) || holds(rest)
}

#[inline]
fn copy_few_hold_escapes(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let mut found = false;
    for &byte in bytes {
        found |= must_escape(byte);
        out.push(byte);
    }
    found
}

#[cold]
fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend([b'\\', short]);
    }
}

/// The order of member names: by UTF-16 code units.
///
/// Bytes of UTF-8 sort the same, but for characters beyond U+FFFF (lead bytes F0 to F4): their surrogates sort below
/// U+E000 to U+FFFF (lead bytes EE and EF).
pub fn compare_names(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    match left.iter().zip(right).find(|(left, right)| left != right) {
        Some((&left, &right)) => rank(left).cmp(&rank(right)),
        None => left.len().cmp(&right.len()),
    }
}

/// Where a byte of UTF-8 stands in the order of names.
const fn rank(byte: u8) -> u8 {
    if byte == 0xee || byte == 0xef { byte + 0x10 } else { byte }
}

/// The first bytes of a name, changed so that they compare as names do; a shorter name is filled with zeros.
pub fn ranked(first: [u8; 8]) -> [u8; 8] {
    first.map(rank)
}
