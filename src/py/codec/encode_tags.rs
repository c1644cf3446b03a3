//! Values of exact types to bytes: what JSON lacks, as tags.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{
    PyByteArray, PyBytes, PyComplex, PyDate, PyDateTime, PyDelta, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTime,
    PyTuple,
};

use super::encode::{Encoder, changed, exact};
use super::fault::{Segment, Step, Trouble};
use super::{base64, text, time, types};

/// Integers up to this many bits are written in digits: fewer than 640 of them, which every setting of
/// `sys.set_int_max_str_digits` lets through. Larger ones are written in hexadecimal, which has no limit.
const DIGITS_UP_TO_BITS: u64 = 2048;

impl Encoder {
    /// Appends a value that JSON has no notation for.
    #[cold]
    pub(super) fn tagged(&mut self, value: &Bound<'_, PyAny>, depth: u32) -> Step {
        if let Some(tuple) = exact!(value, PyTuple) {
            self.tuple(tuple, depth)
        } else if let Some(bytes) = exact!(value, PyBytes) {
            self.base64("$bytes", bytes.as_bytes());
            Ok(())
        } else if let Some(bytes) = exact!(value, PyByteArray) {
            self.base64("$bytearray", &bytes.to_vec());
            Ok(())
        } else if value.is_exact_instance_of::<PySet>() {
            self.set("$set", value, depth)
        } else if value.is_exact_instance_of::<PyFrozenSet>() {
            self.set("$frozenset", value, depth)
        } else if let Some(complex) = exact!(value, PyComplex) {
            self.complex(complex);
            Ok(())
        } else {
            self.scalar(value)
        }
    }

    fn scalar(&mut self, value: &Bound<'_, PyAny>) -> Step {
        if value.is_exact_instance_of::<PyDateTime>() {
            self.moment("$datetime", value)
        } else if value.is_exact_instance_of::<PyDate>() {
            self.text_of("$date", &value.call_method0("isoformat")?)
        } else if value.is_exact_instance_of::<PyTime>() {
            self.moment("$time", value)
        } else if let Some(delta) = exact!(value, PyDelta) {
            self.text("$timedelta", &time::duration(delta));
            Ok(())
        } else if types::DECIMAL.is_class_of(value)? {
            self.text_of("$decimal", value)
        } else if types::UUID.is_class_of(value)? {
            self.text_of("$uuid", value)
        } else {
            let class = value.get_type().fully_qualified_name()?;
            Err(Trouble::foreign(format!("a {class} is not among the types that are kept as they are")))
        }
    }

    fn tag(&mut self, name: &str, append: impl FnOnce(&mut Self) -> Step) -> Step {
        self.push("{\"");
        self.push(name);
        self.push("\":");
        append(self)?;
        self.out.push(b'}');
        Ok(())
    }

    fn text(&mut self, name: &str, content: &str) {
        self.push("{\"");
        self.push(name);
        self.push("\":");
        text::write(&mut self.out, content);
        self.out.push(b'}');
    }

    fn text_of(&mut self, name: &str, value: &Bound<'_, PyAny>) -> Step {
        self.text(name, value.str()?.to_str()?);
        Ok(())
    }

    fn base64(&mut self, name: &str, bytes: &[u8]) {
        self.push("{\"");
        self.push(name);
        self.push("\":\"");
        base64::encode(bytes, &mut self.out);
        self.push("\"}");
    }

    fn tuple(&mut self, tuple: &Bound<'_, PyTuple>, depth: u32) -> Step {
        let inner = Self::inner(depth)?;
        self.tag("$tuple", |encoder| {
            encoder.out.push(b'[');
            encoder.separated(tuple.iter_borrowed().enumerate(), |encoder, (index, item)| {
                encoder.value(&item, inner).map_err(|trouble| trouble.within(Segment::Index(index)))
            })?;
            encoder.out.push(b']');
            Ok(())
        })
    }

    /// Members are written in the order of their bytes, so that equal sets have equal bytes.
    fn set(&mut self, name: &str, set: &Bound<'_, PyAny>, depth: u32) -> Step {
        let inner = Self::inner(depth)?;
        let start = self.out.len();
        let mut members = Vec::new();
        for member in set.try_iter()? {
            let changes = |error: &PyErr| error.is_instance_of::<PyRuntimeError>(set.py());
            let member = member.map_err(|error| if changes(&error) { changed() } else { error.into() })?;
            self.value(&member, inner).map_err(|trouble| trouble.within(Segment::Member))?;
            members.push(self.out.split_off(start));
        }
        members.sort_unstable();
        self.tag(name, |encoder| {
            encoder.out.push(b'[');
            encoder.separated(&members, |encoder, member| {
                encoder.out.extend_from_slice(member);
                Ok(())
            })?;
            encoder.out.push(b']');
            Ok(())
        })
    }

    fn complex(&mut self, complex: &Bound<'_, PyComplex>) {
        use pyo3::types::PyComplexMethods as _;
        self.push("{\"$complex\":[");
        self.float(complex.real());
        self.out.push(b',');
        self.float(complex.imag());
        self.push("]}");
    }

    #[cold]
    pub(super) fn big_int(&mut self, int: &Bound<'_, PyInt>) -> Step {
        if int.call_method0("bit_length")?.extract::<u64>()? <= DIGITS_UP_TO_BITS {
            self.push(int.str()?.to_str()?);
            return Ok(());
        }
        let hexadecimal = int.call_method1("__format__", ("#x",))?;
        self.text_of("$int", &hexadecimal)
    }

    /// A date and time, or a time of day: `[text]` alone, or with the name that a fixed offset was given.
    fn moment(&mut self, tag: &str, value: &Bound<'_, PyAny>) -> Step {
        let moment = time::moment(value)?;
        let Some(name) = moment.name else {
            self.text(tag, &moment.text);
            return Ok(());
        };
        self.tag(tag, |encoder| {
            let pair = PyList::new(value.py(), [PyString::new(value.py(), &moment.text).into_any(), name])?;
            encoder.list(&pair, 0)
        })
    }
}
