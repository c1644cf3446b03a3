//! The scalars that JSON has itself: strings, keys and numbers.

use std::ffi::CString;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString};

use super::decode::Parser;
use super::fault::{Fault, Parsed};
use super::{keys, text};

/// What stands between quotes.
enum Quoted<'a> {
    /// ASCII, as it is.
    Ascii(&'a [u8]),
    /// UTF-8, as it is.
    Utf8(&'a str),
    /// What is left of escapes: surrogates may stand for themselves.
    Wtf8(Vec<u8>),
}

impl<'a, 'py> Parser<'a, 'py> {
    /// The string here.
    pub(super) fn string(&mut self) -> Parsed<Bound<'py, PyString>> {
        Ok(match self.quoted()? {
            Quoted::Ascii(bytes) => text::from_ascii(self.py, bytes)?,
            Quoted::Utf8(text) => PyString::new(self.py, text),
            Quoted::Wtf8(bytes) => text::from_wtf8(self.py, &bytes)?,
        })
    }

    /// The string here, which is the key of a dict.
    pub(super) fn key(&mut self) -> Parsed<Bound<'py, PyString>> {
        Ok(match self.quoted()? {
            Quoted::Ascii(bytes) => keys::key(self.py, bytes)?,
            Quoted::Utf8(text) => PyString::new(self.py, text),
            Quoted::Wtf8(bytes) => text::from_wtf8(self.py, &bytes)?,
        })
    }

    /// The text of a tag, which has no use for surrogates.
    pub(super) fn tag_text(&mut self) -> Parsed<String> {
        self.skip_space();
        let at = self.at;
        match self.quoted()? {
            Quoted::Ascii(bytes) => String::from_utf8(bytes.to_vec()),
            Quoted::Utf8(text) => Ok(text.to_owned()),
            Quoted::Wtf8(bytes) => String::from_utf8(bytes),
        }
        .map_err(|_| Fault::corrupt(at, "a lone surrogate has no place here"))
    }

    #[inline]
    fn quoted(&mut self) -> Parsed<Quoted<'a>> {
        if self.peek() != b'"' {
            return Err(self.wrong("a string is expected"));
        }
        let start = self.at + 1;
        let (length, is_ascii) = text::run(&self.bytes[start..]);
        self.at = start + length;
        if self.peek() != b'"' {
            return self.escaped(start);
        }
        let bytes = &self.bytes[start..self.at];
        self.at += 1;
        if is_ascii { Ok(Quoted::Ascii(bytes)) } else { utf8(bytes, start).map(Quoted::Utf8) }
    }

    /// Reads on from the first stop of a string that began at `start`.
    #[cold]
    fn escaped(&mut self, start: usize) -> Parsed<Quoted<'a>> {
        let mut whole = utf8(&self.bytes[start..self.at], start)?.as_bytes().to_vec();
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Quoted::Wtf8(whole));
                }
                Some(b'\\') => self.escape(&mut whole)?,
                _ => return Err(self.wrong("a string goes on with a character that must be escaped, or never ends")),
            }
            let (length, _) = text::run(&self.bytes[self.at..]);
            whole.extend_from_slice(utf8(&self.bytes[self.at..self.at + length], self.at)?.as_bytes());
            self.at += length;
        }
    }

    fn escape(&mut self, whole: &mut Vec<u8>) -> Parsed<()> {
        self.at += 1;
        let character = match self.peek() {
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            same @ (b'"' | b'\\' | b'/') => same,
            b'u' => return self.code_point(whole),
            _ => return Err(self.wrong("no escape begins so")),
        };
        self.at += 1;
        whole.push(character);
        Ok(())
    }

    fn code_point(&mut self, whole: &mut Vec<u8>) -> Parsed<()> {
        let mut code_point = self.code_unit()?;
        if matches!(code_point, 0xd800..=0xdbff) && self.bytes[self.at..].starts_with(b"\\u") {
            let second = self.at;
            self.at += 1;
            match self.code_unit()? {
                low @ 0xdc00..=0xdfff => code_point = 0x1_0000 + ((code_point & 0x3ff) << 10 | low & 0x3ff),
                _ => self.at = second,
            }
        }
        text::push_code_point(whole, code_point);
        Ok(())
    }

    /// Reads four hexadecimal digits behind a `u`.
    fn code_unit(&mut self) -> Parsed<u32> {
        let digits = self.bytes.get(self.at + 1..self.at + 5).unwrap_or_default();
        let mut unit = 0;
        for &digit in digits {
            unit =
                unit << 4 | char::from(digit).to_digit(16).ok_or_else(|| self.wrong("four hex digits are expected"))?;
        }
        if digits.len() < 4 {
            return Err(self.wrong("four hex digits are expected"));
        }
        self.at += 5;
        Ok(unit)
    }

    /// The number here: a float where it has a fraction or an exponent, an int otherwise.
    pub(super) fn number(&mut self) -> Parsed<Bound<'py, PyAny>> {
        let start = self.at;
        let is_float = self.pass_number()?;
        let digits = &self.bytes[start..self.at];
        if is_float {
            return match std::str::from_utf8(digits).map(str::parse::<f64>) {
                Ok(Ok(number)) if number.is_finite() => Ok(PyFloat::new(self.py, number).into_any()),
                _ => Err(Fault::corrupt(start, "the number is beyond all floats")),
            };
        }
        if digits.len() > 18 {
            return self.long_int(digits, start);
        }
        let (sign, digits) = digits.strip_prefix(b"-").map_or((1, digits), |digits| (-1, digits));
        let number = digits.iter().fold(0, |number: i64, &digit| number * 10 + i64::from(digit - b'0'));
        Ok((sign * number).into_pyobject(self.py).map_or_else(|never| match never {}, Bound::into_any))
    }

    fn long_int(&self, digits: &[u8], start: usize) -> Parsed<Bound<'py, PyAny>> {
        let text = CString::new(digits).map_err(|_| Fault::corrupt(start, "no number"))?;
        // SAFETY: the text ends with a zero and outlives the call, which answers with a new object or an exception.
        let int = unsafe {
            let int = ffi::PyLong_FromString(text.as_ptr(), std::ptr::null_mut(), 10);
            Bound::from_owned_ptr_or_err(self.py, int)
        };
        int.map_err(|error| Fault::of_text(self.py, start, error))
    }

    /// Passes over a number in JSON's grammar; answers whether it is a float.
    fn pass_number(&mut self) -> Parsed<bool> {
        self.at += usize::from(self.peek() == b'-');
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.pass_digits()?;
        }
        let mut is_float = false;
        if self.peek() == b'.' {
            is_float = true;
            self.at += 1;
            self.pass_digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            is_float = true;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.pass_digits()?;
        }
        Ok(is_float)
    }

    fn pass_digits(&mut self) -> Parsed<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.wrong("a digit is expected")) }
    }
}

fn utf8(bytes: &[u8], start: usize) -> Parsed<&str> {
    std::str::from_utf8(bytes).map_err(|error| Fault::corrupt(start + error.valid_up_to(), "this is not UTF-8"))
}
