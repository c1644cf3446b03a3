//! Values of exact types to bytes: what JSON has itself. The rest is in `encode_tags`.

use std::cell::Cell;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use super::fault::{Segment, Step, Trouble};
use super::{Encoded, MAX_DEPTH, text};

/// A larger buffer is given back after use.
const KEPT_BUFFER: usize = 64 * 1024;

thread_local! {
    /// The last buffer of this thread; taken out while in use, so an encoding within an encoding has its own.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encodes a value of exact types.
pub(super) fn plain(value: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    within("", value, "")
}

/// Encodes a value of exact types between two texts.
pub(super) fn within(before: &str, value: &Bound<'_, PyAny>, after: &str) -> PyResult<Encoded> {
    let mut encoder = Encoder { out: BUFFER.take() };
    encoder.out.clear();
    encoder.push(before);
    let outcome = encoder.value(value, 0);
    encoder.push(after);
    let answer = match outcome {
        Ok(()) => Ok(Encoded::Json(encoder.out.as_slice().into())),
        Err(trouble) => trouble.into_refused().map(Encoded::Refused),
    };
    if encoder.out.capacity() <= KEPT_BUFFER {
        BUFFER.set(encoder.out);
    }
    answer
}

/// Whether `value` is of this very class.
macro_rules! exact {
    ($value:expr, $class:ty) => {
        if $value.is_exact_instance_of::<$class>() {
            // SAFETY: it has just been found to be one. Sparing the second check and its error object is worth
            // 2 ns a value, on a path that is measured in tens.
            Some(unsafe { $value.cast_unchecked::<$class>() })
        } else {
            None
        }
    };
}
pub(super) use exact;

/// A value on its way into bytes.
pub(super) struct Encoder {
    pub(super) out: Vec<u8>,
}

impl Encoder {
    pub(super) fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Appends `value`, which stands in `depth` containers.
    pub(super) fn value(&mut self, value: &Bound<'_, PyAny>, depth: u32) -> Step {
        if let Some(string) = exact!(value, PyString) {
            self.string(string)
        } else if let Some(dict) = exact!(value, PyDict) {
            self.dict(dict, depth)
        } else if let Some(int) = exact!(value, PyInt) {
            self.int(int)
        } else if value.is_none() {
            self.push("null");
            Ok(())
        } else if let Some(bool) = exact!(value, PyBool) {
            self.push(if bool.is_true() { "true" } else { "false" });
            Ok(())
        } else if let Some(list) = exact!(value, PyList) {
            self.list(list, depth)
        } else if let Some(float) = exact!(value, PyFloat) {
            self.float(float.value());
            Ok(())
        } else {
            self.tagged(value, depth)
        }
    }

    /// Refuses the first container too many; what holds itself ends here too.
    pub(super) fn inner(depth: u32) -> Step<u32> {
        if depth < MAX_DEPTH {
            Ok(depth + 1)
        } else {
            Err(Trouble::refused(format!("it is nested more than {MAX_DEPTH} deep, or holds itself")))
        }
    }

    fn string(&mut self, string: &Bound<'_, PyString>) -> Step {
        if let Ok(text) = string.to_str() {
            text::write(&mut self.out, text);
            return Ok(());
        }
        let pieces = text::pieces(string);
        if let [whole] = &pieces[..] {
            text::write_piece(&mut self.out, whole);
            return Ok(());
        }
        self.push("{\"$str\":[");
        self.separated(&pieces, |encoder, piece| {
            text::write_piece(&mut encoder.out, piece);
            Ok(())
        })?;
        self.push("]}");
        Ok(())
    }

    /// Appends each of `items`, with commas between.
    pub(super) fn separated<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut append: impl FnMut(&mut Self, T) -> Step,
    ) -> Step {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            append(self, item)?;
        }
        Ok(())
    }

    pub(super) fn int(&mut self, int: &Bound<'_, PyInt>) -> Step {
        let mut overflow = 0;
        // SAFETY: the object is an int, for which this can't fail otherwise than by overflow.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(int.as_ptr(), &raw mut overflow) };
        if overflow == 0 {
            self.push(itoa::Buffer::new().format(number));
            return Ok(());
        }
        self.big_int(int)
    }

    /// Appends the shortest text that reads back as this float, and as a float.
    pub(super) fn float(&mut self, number: f64) {
        if !number.is_finite() {
            let name = match number {
                _ if number.is_nan() => "NaN",
                _ if number > 0.0 => "Infinity",
                _ => "-Infinity",
            };
            self.push(&format!("{{\"$float\":\"{name}\"}}"));
            return;
        }
        if number == 0.0 && number.is_sign_negative() {
            // ECMAScript's text for it has lost the sign.
            self.out.push(b'-');
        }
        let mut buffer = ryu_js::Buffer::new();
        let digits = buffer.format_finite(number);
        self.push(digits);
        if !digits.bytes().any(|byte| matches!(byte, b'.' | b'e')) {
            self.push(".0");
        }
    }

    pub(super) fn list(&mut self, list: &Bound<'_, PyList>, depth: u32) -> Step {
        let inner = Self::inner(depth)?;
        let length = list.len();
        self.out.push(b'[');
        for index in 0..length {
            let Ok(item) = list.get_item(index) else { return Err(changed()) };
            if index > 0 {
                self.out.push(b',');
            }
            self.value(&item, inner).map_err(|trouble| trouble.within(Segment::Index(index)))?;
        }
        self.out.push(b']');
        if list.len() == length { Ok(()) } else { Err(changed()) }
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>, depth: u32) -> Step {
        let inner = Self::inner(depth)?;
        let start = self.out.len();
        let length = dict.len();
        let mut is_tag_like = false;
        let mut members = Members::of(dict);
        self.out.push(b'{');
        while let Some((key, value)) = members.next() {
            let Some(name) = exact!(key, PyString).and_then(|key| key.to_str().ok()) else {
                self.out.truncate(start);
                return self.pairs(dict, inner);
            };
            if self.out.last() != Some(&b'{') {
                self.out.push(b',');
            } else if name.starts_with('$') {
                is_tag_like = true;
                self.push("\"$dict\":{");
            }
            text::write(&mut self.out, name);
            self.out.push(b':');
            self.value(&value, inner).map_err(|trouble| trouble.within(Segment::Key(name.to_owned())))?;
        }
        self.push(if is_tag_like { "}}" } else { "}" });
        if members.seen == length && dict.len() == length { Ok(()) } else { Err(changed()) }
    }

    /// Appends a dict some of whose keys are no strings, as a list of pairs.
    fn pairs(&mut self, dict: &Bound<'_, PyDict>, inner: u32) -> Step {
        let length = dict.len();
        let mut members = Members::of(dict);
        self.push("{\"$map\":[");
        while let Some((key, value)) = members.next() {
            if members.seen > 1 {
                self.out.push(b',');
            }
            self.out.push(b'[');
            self.value(&key, inner).map_err(|trouble| trouble.within(Segment::KeyItself(members.seen - 1)))?;
            self.out.push(b',');
            let named = |trouble: Box<Trouble>| match key.str() {
                Ok(key) => trouble.within(Segment::Key(key.to_string_lossy().into_owned())),
                Err(_) => trouble.within(Segment::Member),
            };
            self.value(&value, inner).map_err(named)?;
            self.out.push(b']');
        }
        self.push("]}");
        if members.seen == length && dict.len() == length { Ok(()) } else { Err(changed()) }
    }
}

pub(super) fn changed() -> Box<Trouble> {
    Trouble::refused("it was changed while it was encoded")
}

/// A walk over a dict that may be changed meanwhile: then it ends early or late, but never out of bounds.
struct Members<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    position: ffi::Py_ssize_t,
    seen: usize,
}

impl<'a, 'py> Members<'a, 'py> {
    fn of(dict: &'a Bound<'py, PyDict>) -> Self {
        Self { dict, position: 0, seen: 0 }
    }

    fn next(&mut self) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the position is one this function gave, and is checked against the dict's present table by each call;
        // both borrowed references become owned before anything else can run. PyO3's own iterator panics where
        // the dict has been changed, which a value's own code may do at any time.
        unsafe {
            if ffi::PyDict_Next(self.dict.as_ptr(), &raw mut self.position, &raw mut key, &raw mut value) == 0 {
                return None;
            }
            self.seen += 1;
            let py = self.dict.py();
            Some((Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value)))
        }
    }
}
