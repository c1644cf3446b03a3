//! Single values that JSON has no word for, each to its tagged form.

use crate::py::once::ImportOnce;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyByteArray, PyBytes, PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyInt, PyMemoryView, PyString,
    PyTime, PyTimeAccess, PyType, PyTzInfoAccess,
};
use pyo3::{PyTypeInfo, intern};

use super::refusal::Refusal;
use super::thorough::digits;
use crate::core::canonical::{self, Civil, Offset};

/// Integers of up to so many bits are written in decimal, longer ones in hexadecimal: what the interpreter converts to
/// decimal under any setting of its limit (`sys.set_int_max_str_digits` takes no less than 640 digits).
const DECIMAL_BITS: usize = 2048;

/// Appends an int of any size, or an instance of a subclass by its value.
pub(super) fn integer(integer: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let py = integer.py();
    let mut overflow = 0;
    // SAFETY: the interpreter is attached and this is an int, for which the call sets no error.
    let small = unsafe { pyo3::ffi::PyLong_AsLongLongAndOverflow(integer.as_ptr(), &raw mut overflow) };
    if overflow == 0 {
        canonical::push_i64(out, small);
        return Ok(());
    }
    let bits = PyInt::type_object(py).call_method1(intern!(py, "bit_length"), (integer,))?.extract::<usize>()?;
    let text = digits(integer, if bits <= DECIMAL_BITS { 10 } else { 16 })?;
    canonical::push_digits(out, text.to_str()?);
    Ok(())
}

/// Appends the tagged form of a value of one of the types below; false where it is of none.
pub(super) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<bool, Refusal> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        canonical::push_bytes(out, bytes.as_bytes());
    } else if let Ok(array) = value.cast::<PyByteArray>() {
        canonical::push_bytes(out, &array.to_vec());
    } else if let Ok(view) = value.cast::<PyMemoryView>() {
        let bytes = view.call_method0(intern!(value.py(), "tobytes"))?;
        canonical::push_bytes(out, bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes());
    } else if let Ok(datetime) = value.cast::<PyDateTime>() {
        push_datetime(datetime, out)?;
    } else if let Ok(date) = value.cast::<PyDate>() {
        canonical::push_date(out, date.get_year(), date.get_month(), date.get_day());
    } else if let Ok(time) = value.cast::<PyTime>() {
        push_time(time, out)?;
    } else if let Ok(delta) = value.cast::<PyDelta>() {
        refuse_finer_than_micros(delta, "nanoseconds")?;
        canonical::push_timedelta(out, micros(delta));
    } else {
        return push_imported(value, out);
    }
    Ok(true)
}

/// A UUID or a Decimal, whose classes may not even be imported.
fn push_imported(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<bool, Refusal> {
    static UUID: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = value.py();
    if value.is_instance(UUID.imported(py, "uuid", "UUID")?)? {
        canonical::push_uuid(out, value.getattr(intern!(py, "int"))?.extract()?);
        return Ok(true);
    }
    let decimal = DECIMAL.imported(py, "decimal", "Decimal")?;
    if value.is_instance(decimal)? {
        // The class's own conversion: a subclass may print itself otherwise.
        let text = decimal.call_method1(intern!(py, "__str__"), (value,))?;
        let text = text.cast::<PyString>().map_err(PyErr::from)?.to_str()?;
        if !canonical::push_decimal(out, text) {
            return Err(Refusal::new(format!("is not a finite number ({text}): pass None, or leave it out")));
        }
        return Ok(true);
    }
    Ok(false)
}

fn push_datetime(datetime: &Bound<'_, PyDateTime>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    refuse_finer_than_micros(datetime, "nanosecond")?;
    let offset = if datetime.get_tzinfo().is_some() { offset(datetime)? } else { None };
    let civil = Civil {
        year: datetime.get_year(),
        month: datetime.get_month(),
        day: datetime.get_day(),
        micros: micros_of_day(datetime),
    };
    canonical::push_datetime(out, civil, offset);
    Ok(())
}

fn push_time(time: &Bound<'_, PyTime>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let offset = if time.get_tzinfo().is_some() { offset(time)? } else { None };
    if offset.is_none() && time.get_tzinfo().is_some() {
        return Err(Refusal::new(
            "is a time in a zone whose offset depends on the date: pass a datetime, or the time and the zone's name",
        ));
    }
    canonical::push_time(out, micros_of_day(time), offset);
    Ok(())
}

fn micros_of_day(time: &impl PyTimeAccess) -> i64 {
    let seconds = (i64::from(time.get_hour()) * 60 + i64::from(time.get_minute())) * 60 + i64::from(time.get_second());
    seconds * 1_000_000 + i64::from(time.get_microsecond())
}

/// How far a datetime or time is ahead of UTC; `None` where its zone doesn't say.
fn offset(value: &Bound<'_, PyAny>) -> Result<Option<Offset>, Refusal> {
    let ahead = value.call_method0(intern!(value.py(), "utcoffset"))?;
    if ahead.is_none() {
        return Ok(None);
    }
    let ahead = micros(ahead.cast::<PyDelta>().map_err(PyErr::from)?);
    Ok(Some(Offset(i64::try_from(ahead).map_err(|_| Refusal::new("has a zone whose offset is longer than a day"))?)))
}

fn micros(delta: &Bound<'_, PyDelta>) -> i128 {
    let seconds = i128::from(delta.get_days()) * 86_400 + i128::from(delta.get_seconds());
    seconds * 1_000_000 + i128::from(delta.get_microseconds())
}

/// Refuses what a subclass adds to the standard library's types (pandas does): a `NaT`, which equals nothing, and a part
/// below the microsecond, two of which would become one.
fn refuse_finer_than_micros(value: &Bound<'_, PyAny>, attribute: &str) -> Result<(), Refusal> {
    if value.is_exact_instance_of::<PyDateTime>() || value.is_exact_instance_of::<PyDelta>() {
        return Ok(());
    }
    if value.ne(value)? {
        return Err(Refusal::new("is not a time (NaT): pass None, or leave it out"));
    }
    match value.getattr_opt(attribute)? {
        Some(finer) if finer.is_truthy()? => {
            Err(Refusal::new("is finer than a microsecond: round it, or pass its nanoseconds as an int"))
        }
        _ => Ok(()),
    }
}
