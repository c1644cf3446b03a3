//! The fast walk: trees of exactly the types that JSON has.
//!
//! It reads objects through borrowed pointers, without a reference count on the way: a naive walk that owns what it
//! looks at takes twice as long on ten kilobytes of params. What makes that sound is that no Python code runs: the
//! first value that is not plain, or that has no canonical form, ends the walk, and the thorough one begins anew.

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;

use pyo3::ffi;
use pyo3::prelude::*;

use smallvec::SmallVec;

use super::MAX_DEPTH;
use super::shapes::{Segment, Shape, Shapes, Sight};
use crate::core::canonical;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// What the walks of a thread keep between them, for its memory.
#[derive(Default)]
struct Scratch {
    members: Vec<Member>,
    shapes: Shapes,
}

/// A member of a dict. The pointers are good while the dict is unchanged: for the length of the walk.
#[derive(Clone, Copy)]
struct Member {
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
}

/// The text of a key.
#[derive(Clone, Copy)]
struct Name {
    /// The first eight bytes, in an order of integers that is the order of names; equal ones decide nothing.
    prefix: u64,
    data: *const u8,
    length: usize,
    /// The member's place in the dict's own order.
    place: u32,
}

/// Appends the canonical form of a tree of plain values. Answers false where it is not one; what was appended until
/// then must be taken back by the caller.
pub(super) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> bool {
    SCRATCH.with(|kept| {
        let mut scratch = kept.take().unwrap_or_default();
        let Scratch { members, shapes } = &mut *scratch;
        let mut walk = Walk { out, members, shapes, py: value.py() };
        // SAFETY: the bound reference keeps the root alive and proves that the interpreter is attached. Nothing in the
        // walk runs Python code or detaches, so the tree can't change under it.
        let done = unsafe { walk.value(value.as_ptr(), 0) };
        members.clear();
        kept.set(Some(scratch));
        done
    })
}

/// The UTF-8 of a str that lives as long as the str; `None` where it holds a lone surrogate.
///
/// # Safety
/// `text` is a live str, the interpreter is attached, and the answer is dropped before the str is.
#[inline]
unsafe fn utf8<'a>(text: *mut ffi::PyObject) -> Option<&'a str> {
    let mut length = 0;
    // SAFETY: `text` is a str; the call gives a pointer into it, or into its cached UTF-8, and the length.
    let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(text, &raw mut length) };
    if data.is_null() {
        // SAFETY: attached; the error that was just set says no more than that there are surrogates.
        unsafe { ffi::PyErr_Clear() };
        return None;
    }
    // SAFETY: the interpreter made these bytes as UTF-8, `length` of them (never negative).
    Some(unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(data.cast(), length.cast_unsigned())) })
}

struct Walk<'a> {
    out: &'a mut Vec<u8>,
    /// The members of the dicts that are open, the innermost last.
    members: &'a mut Vec<Member>,
    shapes: &'a mut Shapes,
    py: Python<'a>,
}

impl Walk<'_> {
    /// # Safety
    /// `value` is a live object, the interpreter is attached.
    unsafe fn value(&mut self, value: *mut ffi::PyObject, depth: usize) -> bool {
        // SAFETY: the caller's promise covers every access here; each cast follows a check of the exact type.
        unsafe {
            let kind = ffi::Py_TYPE(value);
            if kind == &raw mut ffi::PyUnicode_Type {
                let Some(text) = utf8(value) else { return false };
                canonical::push_string(self.out, text);
            } else if kind == &raw mut ffi::PyLong_Type {
                return self.integer(value);
            } else if kind == &raw mut ffi::PyFloat_Type {
                return canonical::push_f64(self.out, ffi::PyFloat_AS_DOUBLE(value)).is_ok();
            } else if kind == &raw mut ffi::PyDict_Type {
                return depth < MAX_DEPTH && self.dict(value, depth + 1);
            } else if kind == &raw mut ffi::PyList_Type {
                let count = ffi::PyList_GET_SIZE(value).cast_unsigned();
                // An empty list has no items to point to, and a slice may not begin at null.
                let items = match count {
                    0 => &[],
                    _ => std::slice::from_raw_parts((*value.cast::<ffi::PyListObject>()).ob_item, count),
                };
                return depth < MAX_DEPTH && self.array(items, depth + 1);
            } else if value == ffi::Py_None() {
                self.out.extend_from_slice(b"null");
            } else if value == ffi::Py_True() {
                self.out.extend_from_slice(b"true");
            } else if value == ffi::Py_False() {
                self.out.extend_from_slice(b"false");
            } else if kind == &raw mut ffi::PyTuple_Type {
                let items = std::slice::from_raw_parts(
                    (&raw const (*value.cast::<ffi::PyTupleObject>()).ob_item).cast(),
                    ffi::PyTuple_GET_SIZE(value).cast_unsigned(),
                );
                return depth < MAX_DEPTH && self.array(items, depth + 1);
            } else {
                return false;
            }
            true
        }
    }

    /// # Safety
    /// `value` is a live int, the interpreter is attached.
    unsafe fn integer(&mut self, value: *mut ffi::PyObject) -> bool {
        let mut overflow = 0;
        // SAFETY: `value` is an int, for which the call sets no error.
        let integer = unsafe { ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow) };
        if overflow == 0 {
            canonical::push_i64(self.out, integer);
        }
        overflow == 0
    }

    /// # Safety
    /// `items` are live objects, the interpreter is attached.
    #[inline(never)]
    unsafe fn array(&mut self, items: &[*mut ffi::PyObject], depth: usize) -> bool {
        self.out.push(b'[');
        for (index, &item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            // SAFETY: as the caller promised.
            if !unsafe { self.value(item, depth) } {
                return false;
            }
        }
        self.out.push(b']');
        true
    }

    /// # Safety
    /// `dict` is a live dict, the interpreter is attached.
    #[inline(never)]
    unsafe fn dict(&mut self, dict: *mut ffi::PyObject, depth: usize) -> bool {
        let base = self.members.len();
        // SAFETY: as the caller promised.
        unsafe { self.collect(dict) };
        let sight = match self.members.len() - base {
            1..=Shapes::MOST_NAMES => self.shapes.sight(self.members[base..].iter().map(|member| member.key)),
            _ => Sight::New,
        };
        // SAFETY: the members are of a live dict that nothing changes during the walk.
        let done = unsafe {
            match sight {
                Sight::Known(shape) => self.known(base, &shape, depth),
                Sight::Again(slot) => self.learn(base, slot).is_some_and(|shape| self.known(base, &shape, depth)),
                Sight::New => self.sorted(base, depth),
            }
        };
        self.members.truncate(base);
        done
    }

    /// Pushes the members of a dict, in its order, unnamed.
    ///
    /// # Safety
    /// `dict` is a live dict, the interpreter is attached.
    unsafe fn collect(&mut self, dict: *mut ffi::PyObject) {
        let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: `dict` is a dict that doesn't change meanwhile; the call gives borrowed references to live objects.
        while unsafe { ffi::PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) } != 0 {
            self.members.push(Member { key, value });
        }
    }

    /// Appends the members from `base` on, whose names have this shape.
    ///
    /// # Safety
    /// The members are of a live dict, the interpreter is attached.
    unsafe fn known(&mut self, base: usize, shape: &Shape, depth: usize) -> bool {
        self.out.push(b'{');
        for segment in shape.segments() {
            segment.push(self.out);
            // SAFETY: the dict holds the value, and nothing has changed it since it was collected.
            if !unsafe { self.value(self.members[base + segment.place()].value, depth) } {
                return false;
            }
        }
        self.out.push(b'}');
        true
    }

    /// Sorts and writes the names of the members from `base` on, for all dicts of this shape to come. Leaves the
    /// members in their order. `None` where a name is not plain.
    ///
    /// # Safety
    /// The members are of a live dict, the interpreter is attached.
    #[inline(never)]
    unsafe fn learn(&mut self, base: usize, slot: usize) -> Option<Rc<Shape>> {
        // SAFETY: as the caller promised.
        let mut names = unsafe { names(&self.members[base..]) }?;
        sort(&mut names);
        let written = names.iter().enumerate().map(|(index, name)| {
            let mut written = Vec::new();
            push_name(&mut written, index, name);
            Segment::new(name.place, &written)
        });
        let segments = written.collect();
        // SAFETY: the keys are live, and `names` has found each to be a str.
        let keys = self.members[base..]
            .iter()
            .map(|member| unsafe { Bound::from_borrowed_ptr(self.py, member.key).cast_into_unchecked().unbind() });
        let shape = Rc::new(Shape::new(keys.collect(), segments));
        self.shapes.keep(slot, &shape);
        Some(shape)
    }

    /// Appends the members from `base` on, sorting them.
    ///
    /// # Safety
    /// The members are of a live dict, the interpreter is attached.
    #[inline(never)]
    unsafe fn sorted(&mut self, base: usize, depth: usize) -> bool {
        // SAFETY: as the caller promised.
        let Some(mut names) = (unsafe { names(&self.members[base..]) }) else { return false };
        sort(&mut names);
        self.out.push(b'{');
        for (index, name) in names.iter().enumerate() {
            push_name(self.out, index, name);
            // SAFETY: the dict holds the value, and nothing has changed it since it was collected.
            if !unsafe { self.value(self.members[base + name.place as usize].value, depth) } {
                return false;
            }
        }
        self.out.push(b'}');
        true
    }
}

#[inline]
fn push_name(out: &mut Vec<u8>, index: usize, name: &Name) {
    if index > 0 {
        out.push(b',');
    }
    canonical::push_string(out, name.text());
    out.push(b':');
}

/// The names of members; `None` where one is not plain.
///
/// # Safety
/// The members' keys are live objects, the interpreter is attached; the names are dropped before the dict changes.
unsafe fn names(members: &[Member]) -> Option<SmallVec<[Name; 8]>> {
    let mut names = SmallVec::with_capacity(members.len());
    for (place, member) in (0_u32..).zip(members) {
        // SAFETY: the key is live, and a str once its type says so.
        let text = unsafe {
            if ffi::Py_TYPE(member.key) != &raw mut ffi::PyUnicode_Type {
                return None;
            }
            utf8(member.key)?
        };
        names.push(Name::new(text, place));
    }
    Some(names)
}

impl Name {
    #[inline]
    fn new(name: &str, place: u32) -> Self {
        let bytes = name.as_bytes();
        let mut first = [0; 8];
        match bytes.first_chunk() {
            Some(&chunk) => first = chunk,
            None => first[..bytes.len()].copy_from_slice(bytes),
        }
        if !first.is_ascii() {
            first = canonical::ranked(first);
        }
        Self { prefix: u64::from_be_bytes(first), data: bytes.as_ptr(), length: bytes.len(), place }
    }

    fn text(&self) -> &str {
        // SAFETY: made from a str that lives as long as the walk.
        unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(self.data, self.length)) }
    }

    #[inline]
    fn compare(&self, other: &Self) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| canonical::compare_names(self.text(), other.text()))
    }
}

/// Sorts names; few, and often nearly in order, by insertion.
fn sort(names: &mut [Name]) {
    const FEW: usize = 20;
    if names.len() > FEW {
        names.sort_unstable_by(Name::compare);
        return;
    }
    for end in 1..names.len() {
        let name = names[end];
        let mut place = end;
        while place > 0 && name.compare(&names[place - 1]) == Ordering::Less {
            names[place] = names[place - 1];
            place -= 1;
        }
        names[place] = name;
    }
}
