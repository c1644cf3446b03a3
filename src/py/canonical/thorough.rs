//! The thorough walk: every supported type, and the reason and the path where a value is refused.
//!
//! It may run Python code (a property, a `utcoffset`, an `items`), which may change what is being walked. So it owns
//! a reference to all it looks at, and takes a copy of a container's items before it looks at the first.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::refusal::Refusal;
use super::{MAX_DEPTH, fields, scalars, stand_ins};
use crate::core::canonical;

type Outcome = Result<(), Refusal>;

/// Appends the canonical form of any supported value.
pub(super) fn encode(value: &Bound<'_, PyAny>, depth: usize, out: &mut Vec<u8>) -> Outcome {
    if let Some(stand_in) = stand_ins::find(value)? {
        check(depth)?;
        return encode(&stand_in, depth + 1, out);
    }
    if let Some(members) = fields::read(value)? {
        return object(&members, depth, out);
    }
    if let Ok(text) = value.cast::<PyString>() {
        canonical::push_string(out, utf8(text)?);
    } else if let Some(truth) = stand_ins::truth(value) {
        out.extend_from_slice(if truth { b"true" } else { b"false" });
    } else if let Ok(integer) = value.cast::<PyInt>() {
        return scalars::integer(integer, out);
    } else if let Ok(float) = value.cast::<PyFloat>() {
        return canonical::push_f64(out, float.value())
            .map_err(|error| Refusal::new(format!("is not a finite number ({error}): pass None, or leave it out")));
    } else if value.is_none() {
        out.extend_from_slice(b"null");
    } else if let Ok(dict) = value.cast::<PyDict>() {
        return mapping(pairs(dict.items().iter())?, depth, out);
    } else if let Ok(list) = value.cast::<PyList>() {
        return array(&list.to_tuple(), depth, out);
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        return array(tuple, depth, out);
    } else if let Some(items) = stand_ins::set_items(value)? {
        return set(&items, depth, out);
    } else if !scalars::encode(value, out)? {
        let Some(items) = stand_ins::mapping_items(value)? else { return Err(stand_ins::refuse(value)) };
        return mapping(items, depth, out);
    }
    Ok(())
}

fn check(depth: usize) -> Outcome {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    Err(Refusal::new(format!("is nested deeper than {MAX_DEPTH} levels: does something hold itself? Pass less of it")))
}

fn utf8<'a>(text: &'a Bound<'_, PyString>) -> Result<&'a str, Refusal> {
    text.to_str().map_err(|_| {
        Refusal::new(
            "holds a lone surrogate, which is no Unicode text: decode it with the encoding it has, or pass bytes",
        )
    })
}

fn array(items: &Bound<'_, PyTuple>, depth: usize, out: &mut Vec<u8>) -> Outcome {
    check(depth)?;
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        encode(&item, depth + 1, out).map_err(|refusal| refusal.in_item(index))?;
    }
    out.push(b']');
    Ok(())
}

/// The items' forms in order. Unequal items may have one form (a member of an Enum and its value); it then stands there
/// twice, so such a set stays apart from the smaller one.
fn set(items: &[Bound<'_, PyAny>], depth: usize, out: &mut Vec<u8>) -> Outcome {
    check(depth)?;
    let mut forms = Vec::with_capacity(items.len());
    for item in items {
        let mut form = Vec::new();
        encode(item, depth + 1, &mut form).map_err(|refusal| refusal.in_place("{an element}"))?;
        forms.push(form);
    }
    forms.sort_unstable();
    canonical::push_tag(out, "set");
    out.push(b'[');
    out.extend(forms.join(&b','));
    out.push(b']');
    Ok(())
}

/// A key and its value.
pub(super) type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Takes the pairs that `items` of a mapping gives apart.
pub(super) fn pairs<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<Vec<Pair<'py>>> {
    items.map(|pair| pair.extract()).collect()
}

/// An object where all keys are text or stand for text, otherwise the tagged form that keeps the keys' types.
fn mapping(pairs: Vec<Pair<'_>>, depth: usize, out: &mut Vec<u8>) -> Outcome {
    let mut members = Vec::with_capacity(pairs.len());
    for (mut key, value) in pairs {
        let mut rounds = depth;
        while !key.is_exact_instance_of::<PyString>() {
            check(rounds)?;
            match stand_ins::find(&key)? {
                Some(stand_in) => key = stand_in,
                None => break,
            }
            rounds += 1;
        }
        members.push((key, value));
    }
    if members.iter().all(|(key, _)| key.is_instance_of::<PyString>()) {
        let named = members.into_iter().map(|(key, value)| Ok((key.cast_into::<PyString>()?, value)));
        let named = named.collect::<Result<Vec<_>, pyo3::CastIntoError<'_>>>().map_err(PyErr::from)?;
        return object(&named, depth, out);
    }
    map(&members, depth, out)
}

/// A named member of an object.
pub(super) type Member<'py> = (Bound<'py, PyString>, Bound<'py, PyAny>);

fn object(members: &[Member<'_>], depth: usize, out: &mut Vec<u8>) -> Outcome {
    check(depth)?;
    let mut named = Vec::with_capacity(members.len());
    for (name, value) in members {
        named.push((utf8(name).map_err(|refusal| refusal.in_place(".<a key>"))?, value));
    }
    named.sort_by(|(left, _), (right, _)| canonical::compare_names(left, right));
    if let Some(twice) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Refusal::new("has two keys with this name: rename one").in_name(twice[0].0));
    }
    out.push(b'{');
    for (index, (name, value)) in named.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        canonical::push_string(out, name);
        out.push(b':');
        encode(value, depth + 1, out).map_err(|refusal| refusal.in_name(name))?;
    }
    out.push(b'}');
    Ok(())
}

fn map(members: &[Pair<'_>], depth: usize, out: &mut Vec<u8>) -> Outcome {
    check(depth)?;
    let mut entries = Vec::with_capacity(members.len());
    for (key, value) in members {
        let mut form = Vec::new();
        encode(key, depth + 1, &mut form).map_err(|refusal| refusal.in_place(".<a key>"))?;
        entries.push((form, value));
    }
    entries.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    if let Some(twice) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Refusal::new("has two keys that are the same here: drop one").in_place(bracketed(&twice[0].0)));
    }
    canonical::push_tag(out, "map");
    out.push(b'[');
    for (index, (form, value)) in entries.into_iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
        out.extend_from_slice(&form);
        out.push(b',');
        encode(value, depth + 1, out).map_err(|refusal| refusal.in_place(bracketed(&form)))?;
        out.push(b']');
    }
    out.push(b']');
    Ok(())
}

fn bracketed(form: &[u8]) -> String {
    format!("[{}]", String::from_utf8_lossy(form))
}

/// The digits of an int of any size, in this base (10 or 16, which is marked `0x`), whatever a subclass of int overrides.
pub(super) fn digits<'py>(integer: &Bound<'py, PyInt>, base: i32) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: the interpreter is attached and `integer` is an int; the call gives a new reference or sets an error.
    let text = unsafe { Bound::from_owned_ptr_or_err(integer.py(), ffi::PyNumber_ToBase(integer.as_ptr(), base))? };
    Ok(text.cast_into()?)
}
