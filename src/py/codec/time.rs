//! Dates, times and durations as text: ISO 8601, with the suffixes of RFC 9557 for a zone's name
//! (`2026-10-25T02:30:00+01:00[Europe/Berlin][fold=1]`).

use std::fmt::Write as _;

use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyType};

use super::fault::{Step, Trouble};
use super::types;

/// A date and time, or a time of day.
pub(super) struct Moment<'py> {
    pub(super) text: String,
    /// The name a fixed offset was given, where it was.
    pub(super) name: Option<Bound<'py, PyAny>>,
}

/// Takes a `datetime` or a `time` apart.
pub(super) fn moment<'py>(value: &Bound<'py, PyAny>) -> Step<Moment<'py>> {
    let mut text = value.call_method0("isoformat")?.str()?.to_str()?.to_owned();
    let mut name = None;
    let zone = value.getattr("tzinfo")?;
    if zone.is_none() {
    } else if types::TIMEZONE.is_class_of(&zone)? {
        name = zone.call_method0("__getinitargs__")?.get_item(1).ok();
    } else if let Some(key) = zone_key(&zone)? {
        text.push('[');
        text.push_str(&key);
        text.push(']');
    } else {
        check_fixed(value, &text)?;
    }
    if value.getattr("fold")?.is_truthy()? {
        text.push_str("[fold=1]");
    }
    Ok(Moment { text, name })
}

fn zone_key(zone: &Bound<'_, PyAny>) -> Step<Option<String>> {
    if !types::ZONE_INFO.is_class_of(zone)? {
        return Ok(None);
    }
    let key = zone.getattr("key")?;
    if key.is_none() {
        return Err(Trouble::refused("its ZoneInfo was read from a file and has no key to find it by"));
    }
    Ok(Some(key.str()?.to_str()?.to_owned()))
}

/// A zone of another library is kept as its offset at that time, where that is an equal value.
fn check_fixed(value: &Bound<'_, PyAny>, text: &str) -> Step {
    let fixed = value.get_type().call_method1("fromisoformat", (text,))?;
    let is_aware = !fixed.getattr("tzinfo")?.is_none();
    if is_aware && fixed.eq(value)? {
        return Ok(());
    }
    let class = value.getattr("tzinfo")?.get_type().fully_qualified_name()?;
    Err(Trouble::refused(format!("without its tzinfo, a {class}, it would be another time")))
}

/// Builds a `datetime` or a `time` of its text and the name of its offset.
pub(super) fn build<'py>(
    class: &Bound<'py, PyType>,
    text: &str,
    name: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (text, is_folded) = text.strip_suffix("[fold=1]").map_or((text, false), |text| (text, true));
    let (text, key) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((text, key)) => (text, Some(key)),
        None => (text, None),
    };
    let mut value = class.call_method1("fromisoformat", (text,))?;
    let py = class.py();
    let changes = pyo3::types::PyDict::new(py);
    if let Some(key) = key {
        changes.set_item("tzinfo", types::ZONE_INFO.get(py)?.call1((key,))?)?;
    } else if let Some(name) = name {
        let offset = value.getattr("tzinfo")?.call_method1("utcoffset", (py.None(),))?;
        changes.set_item("tzinfo", types::TIMEZONE.get(py)?.call1((offset, name))?)?;
    }
    if is_folded {
        changes.set_item("fold", 1)?;
    }
    if !changes.is_empty() {
        value = value.call_method("replace", (), Some(&changes))?;
    }
    Ok(value)
}

/// The class of a tag's moments.
pub(super) fn class_of<'py>(py: Python<'py>, tag: &str) -> Bound<'py, PyType> {
    if tag == "$time" { py.get_type::<PyTime>() } else { py.get_type::<PyDateTime>() }
}

const DAY: i128 = 86_400_000_000;

/// A duration in days and seconds: `-P1DT2.5S`.
pub(super) fn duration(delta: &Bound<'_, PyDelta>) -> String {
    let total = i128::from(delta.get_days()) * DAY
        + i128::from(delta.get_seconds()) * 1_000_000
        + i128::from(delta.get_microseconds());
    let sign = if total < 0 { "-" } else { "" };
    let (days, micros) = (total.abs() / DAY, total.abs() % DAY);
    let mut text = format!("{sign}P");
    if days > 0 {
        let _ = write!(text, "{days}D");
    }
    if micros > 0 || days == 0 {
        let _ = write!(text, "T{}", micros / 1_000_000);
        if micros % 1_000_000 > 0 {
            let _ = write!(text, ".{:06}", micros % 1_000_000);
        }
        text.push('S');
    }
    text
}

/// Reads what [`duration`] wrote.
pub(super) fn parse_duration<'py>(py: Python<'py>, text: &str) -> PyResult<Option<Bound<'py, PyDelta>>> {
    let Some(total) = micros_of(text) else { return Ok(None) };
    let (days, rest) = (total.div_euclid(DAY), total.rem_euclid(DAY));
    let (Ok(days), Ok(seconds), Ok(micros)) =
        (i32::try_from(days), i32::try_from(rest / 1_000_000), i32::try_from(rest % 1_000_000))
    else {
        return Ok(None);
    };
    PyDelta::new(py, days, seconds, micros, false).map(Some)
}

fn micros_of(text: &str) -> Option<i128> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let text = text.strip_prefix('P')?;
    let (days, time) = text.split_once('T').map_or((text, None), |(days, time)| (days, Some(time)));
    let mut total = if days.is_empty() { 0 } else { digits(days.strip_suffix('D')?)?.checked_mul(DAY)? };
    if let Some(time) = time {
        let (seconds, fraction) = {
            let time = time.strip_suffix('S')?;
            time.split_once('.').unwrap_or((time, "000000"))
        };
        if fraction.len() != 6 {
            return None;
        }
        total = total.checked_add(digits(seconds)?.checked_mul(1_000_000)?)?.checked_add(digits(fraction)?)?;
    }
    Some(sign * total)
}

fn digits(text: &str) -> Option<i128> {
    if text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
