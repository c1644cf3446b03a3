//! Bytes to values, in one pass: each value is made as soon as its text has been read.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::MAX_DEPTH;
use super::fault::{Fault, Parsed};

/// What a document held.
pub(super) struct Document<'py> {
    pub(super) value: Bound<'py, PyAny>,
    /// Whether it is what a converter unpacked.
    pub(super) typed: bool,
}

/// Reads a whole document.
pub(super) fn document<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Document<'py>> {
    let mut parser = Parser { py, bytes, at: 0, typed: false };
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at < bytes.len() {
        return Err(Fault::corrupt(parser.at, "something follows the value").into());
    }
    Ok(Document { value, typed: parser.typed })
}

/// A place in a document.
pub(super) struct Parser<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) typed: bool,
}

impl<'py> Parser<'_, 'py> {
    /// The byte here; a zero, which no document has outside a string, at the end.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while self.peek() <= b' ' && matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Passes over `byte` if it is next; answers whether it was.
    #[inline]
    pub(super) fn passes(&mut self, byte: u8) -> bool {
        if self.peek() == byte {
            self.at += 1;
            return true;
        }
        self.passes_after_space(byte)
    }

    fn passes_after_space(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.peek() == byte;
        self.at += usize::from(is_next);
        is_next
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.passes(byte) { Ok(()) } else { Err(self.missing(byte)) }
    }

    #[cold]
    fn missing(&self, byte: u8) -> Box<Fault> {
        self.wrong(&format!("`{}` is expected", char::from(byte)))
    }

    /// A complaint about what stands here.
    #[cold]
    pub(super) fn wrong(&self, problem: &str) -> Box<Fault> {
        let here = if self.at < self.bytes.len() { "" } else { ", but the text ends" };
        Fault::corrupt(self.at, format!("{problem}{here}"))
    }

    /// The value here, which stands in `depth` containers.
    pub(super) fn value(&mut self, depth: u32) -> Parsed<Bound<'py, PyAny>> {
        self.skip_space();
        match self.peek() {
            b'"' => self.string().map(Bound::into_any),
            b'{' => self.object(depth),
            b'[' => self.list(depth).map(Bound::into_any),
            b'-' | b'0'..=b'9' => self.number(),
            b'n' => self.word(b"null", self.py.None().into_bound(self.py)),
            b't' => self.word(b"true", true.into_pyobject(self.py).map_or_else(|never| match never {}, borrowed)),
            b'f' => self.word(b"false", false.into_pyobject(self.py).map_or_else(|never| match never {}, borrowed)),
            _ => Err(self.wrong("a value is expected")),
        }
    }

    fn word(&mut self, word: &[u8], value: Bound<'py, PyAny>) -> Parsed<Bound<'py, PyAny>> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.wrong("a value is expected"))
        }
    }

    pub(super) fn inner(&self, depth: u32) -> Parsed<u32> {
        // What is wrapped as typed stands one deeper than it stood when it was encoded.
        if depth <= MAX_DEPTH { Ok(depth + 1) } else { Err(self.wrong("it is nested too deep")) }
    }

    pub(super) fn list(&mut self, depth: u32) -> Parsed<Bound<'py, PyList>> {
        let list = PyList::empty(self.py);
        self.items(depth, |_, item| Ok(list.append(item)?))?;
        Ok(list)
    }

    /// Reads an array, and hands each value with its offset to `take`.
    pub(super) fn items(
        &mut self,
        depth: u32,
        mut take: impl FnMut(usize, Bound<'py, PyAny>) -> Parsed<()>,
    ) -> Parsed<()> {
        let inner = self.inner(depth)?;
        self.expect(b'[')?;
        if self.passes(b']') {
            return Ok(());
        }
        loop {
            self.skip_space();
            let at = self.at;
            take(at, self.value(inner)?)?;
            if self.passes(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: u32) -> Parsed<Bound<'py, PyAny>> {
        self.at += 1;
        self.skip_space();
        if self.bytes[self.at..].starts_with(b"\"$") {
            return self.tag(depth);
        }
        self.members(depth)
    }

    /// Reads a dict from behind its opening brace.
    pub(super) fn members(&mut self, depth: u32) -> Parsed<Bound<'py, PyAny>> {
        let inner = self.inner(depth)?;
        let dict = PyDict::new(self.py);
        if self.passes(b'}') {
            return Ok(dict.into_any());
        }
        loop {
            self.skip_space();
            let key: Bound<'py, PyString> = self.key()?;
            self.expect(b':')?;
            let value = self.value(inner)?;
            dict.set_item(key, value)?;
            if self.passes(b'}') {
                return Ok(dict.into_any());
            }
            self.expect(b',')?;
        }
    }
}

fn borrowed<'py>(value: Borrowed<'_, 'py, pyo3::types::PyBool>) -> Bound<'py, PyAny> {
    value.to_owned().into_any()
}
