//! Tags to values.

use pyo3::prelude::*;
use pyo3::types::{
    PyByteArray, PyBytes, PyComplex, PyDate, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString,
};

use super::decode::Parser;
use super::fault::{Fault, Parsed};
use super::{base64, time, types};

impl<'py> Parser<'_, 'py> {
    /// Reads a tag from behind its opening brace.
    #[cold]
    pub(super) fn tag(&mut self, depth: u32) -> Parsed<Bound<'py, PyAny>> {
        let at = self.at;
        let name = self.tag_text()?;
        self.expect(b':')?;
        self.skip_space();
        let value = self.content(&name, at, depth)?;
        if self.passes(b'}') { Ok(value) } else { Err(self.wrong("a tag has one member, so `}` is expected")) }
    }

    fn content(&mut self, name: &str, at: usize, depth: u32) -> Parsed<Bound<'py, PyAny>> {
        let py = self.py;
        match name {
            "$bytes" => Ok(PyBytes::new(py, &self.base64()?).into_any()),
            "$bytearray" => Ok(PyByteArray::new(py, &self.base64()?).into_any()),
            "$tuple" => Ok(self.list(depth)?.to_tuple().into_any()),
            "$set" => {
                let set = PySet::empty(py)?;
                self.items(depth, |at, item| set.add(item).map_err(|error| Fault::of_text(py, at, error)))?;
                Ok(set.into_any())
            }
            "$frozenset" => {
                let list = self.list(depth)?;
                let set = py.get_type::<PyFrozenSet>().call1((list,));
                set.map_err(|error| Fault::of_text(py, at, error))
            }
            "$dict" => {
                self.expect(b'{')?;
                self.members(depth)
            }
            "$map" => self.pairs(depth).map(Bound::into_any),
            "$typed" if depth == 0 => {
                self.typed = true;
                self.value(1)
            }
            _ => self.scalar(name, at),
        }
    }

    fn scalar(&mut self, name: &str, at: usize) -> Parsed<Bound<'py, PyAny>> {
        let py = self.py;
        match name {
            "$str" => return self.joined(),
            "$complex" => return self.complex(),
            "$datetime" | "$time" => return self.moment(name),
            _ => {}
        }
        let start = self.at;
        let build: fn(Python<'py>, &str) -> PyResult<Option<Bound<'py, PyAny>>> = match name {
            "$float" => |py, text| Ok(float(py, text)),
            "$int" => |py, text| py.get_type::<PyInt>().call1((text, 16)).map(Some),
            "$date" => |py, text| py.get_type::<PyDate>().call_method1("fromisoformat", (text,)).map(Some),
            "$timedelta" => |py, text| Ok(time::parse_duration(py, text)?.map(Bound::into_any)),
            "$decimal" => |py, text| types::DECIMAL.get(py)?.call1((text,)).map(Some),
            "$uuid" => |py, text| types::UUID.get(py)?.call1((text,)).map(Some),
            _ => return Err(Fault::corrupt(at, format!("{name:?} is no tag known here"))),
        };
        match build(py, &self.tag_text()?) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(Fault::corrupt(start, format!("no text of a {name}"))),
            Err(error) => Err(Fault::of_text(py, start, error)),
        }
    }

    fn base64(&mut self) -> Parsed<Vec<u8>> {
        let at = self.at;
        base64::decode(self.tag_text()?.as_bytes()).ok_or_else(|| Fault::corrupt(at, "this is not base64"))
    }

    fn pairs(&mut self, depth: u32) -> Parsed<Bound<'py, PyDict>> {
        let inner = self.inner(depth)?;
        let dict = PyDict::new(self.py);
        self.expect(b'[')?;
        if self.passes(b']') {
            return Ok(dict);
        }
        loop {
            self.expect(b'[')?;
            let at = self.at;
            let key = self.value(inner)?;
            self.expect(b',')?;
            let value = self.value(inner)?;
            self.expect(b']')?;
            dict.set_item(key, value).map_err(|error| Fault::of_text(self.py, at, error))?;
            if self.passes(b']') {
                return Ok(dict);
            }
            self.expect(b',')?;
        }
    }

    fn joined(&mut self) -> Parsed<Bound<'py, PyAny>> {
        let py = self.py;
        let pieces = PyList::empty(py);
        self.expect(b'[')?;
        loop {
            self.skip_space();
            pieces.append(self.string()?)?;
            if self.passes(b']') {
                return Ok(PyString::new(py, "").call_method1("join", (pieces,))?);
            }
            self.expect(b',')?;
        }
    }

    fn complex(&mut self) -> Parsed<Bound<'py, PyAny>> {
        let mut parts = Vec::with_capacity(2);
        self.items(0, |at, part| match part.cast_exact::<PyFloat>() {
            Ok(part) => {
                parts.push(part.value());
                Ok(())
            }
            Err(_) => Err(Fault::corrupt(at, "a float is expected")),
        })?;
        match parts[..] {
            [real, imaginary] => Ok(PyComplex::from_doubles(self.py, real, imaginary).into_any()),
            _ => Err(self.wrong("a complex number has two parts")),
        }
    }

    fn moment(&mut self, tag: &str) -> Parsed<Bound<'py, PyAny>> {
        let at = self.at;
        let class = time::class_of(self.py, tag);
        let built = if self.passes(b'[') {
            let text = self.tag_text()?;
            self.expect(b',')?;
            self.skip_space();
            let name = self.string()?;
            self.expect(b']')?;
            time::build(&class, &text, Some(&name))
        } else {
            time::build(&class, &self.tag_text()?, None)
        };
        built.map_err(|error| Fault::of_text(self.py, at, error))
    }
}

fn float<'py>(py: Python<'py>, text: &str) -> Option<Bound<'py, PyAny>> {
    let number = match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ => return None,
    };
    Some(PyFloat::new(py, number).into_any())
}
