//! Objects that stand for their fields: named tuples, dataclasses, attrs classes, pydantic models, msgspec structs. Each is
//! recognised by what its class declares, without importing the package it comes from.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use pyo3::{intern, types::PyList};

use super::thorough::Member;

/// The fields of a value and what they hold; `None` where its class declares no fields.
pub(super) fn read<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Member<'py>>>> {
    let class = value.get_type();
    if !is_made_of_python(&class) {
        return Ok(None);
    }
    let Some(names) = names(&class)? else { return Ok(None) };
    let mut members = Vec::with_capacity(names.len());
    for name in names {
        let held = value.getattr(&name)?;
        members.push((name, held));
    }
    let extra = value.getattr_opt(intern!(value.py(), "__pydantic_extra__"))?;
    if let Some(extra) = extra.as_ref().and_then(|extra| extra.cast::<PyDict>().ok()) {
        for (name, held) in extra.iter() {
            members.push((name.cast_into()?, held));
        }
    }
    Ok(Some(members))
}

/// Whether a class was made at run time: no built-in type declares fields, and asking them takes time.
fn is_made_of_python(class: &Bound<'_, PyType>) -> bool {
    // SAFETY: a type object is readable as one while its reference is held.
    unsafe { pyo3::ffi::PyType_HasFeature(class.as_type_ptr(), pyo3::ffi::Py_TPFLAGS_HEAPTYPE) != 0 }
}

fn names<'py>(class: &Bound<'py, PyType>) -> PyResult<Option<Vec<Bound<'py, PyString>>>> {
    let py = class.py();
    if class.is_subclass_of::<PyTuple>()? || class.hasattr(intern!(py, "__struct_fields__"))? {
        let attribute = if class.is_subclass_of::<PyTuple>()? { "_fields" } else { "__struct_fields__" };
        let Some(names) = class.getattr_opt(attribute)? else { return Ok(None) };
        return Ok(Some(names.try_iter()?.map(|name| Ok(name?.cast_into()?)).collect::<PyResult<_>>()?));
    }
    if class.hasattr(intern!(py, "__dataclass_fields__"))? {
        let fields = py.import(intern!(py, "dataclasses"))?.call_method1(intern!(py, "fields"), (class,))?;
        return named(&fields).map(Some);
    }
    if let Some(attributes) = class.getattr_opt(intern!(py, "__attrs_attrs__"))? {
        return named(&attributes).map(Some);
    }
    let model = if class.hasattr(intern!(py, "__pydantic_validator__"))? {
        class.getattr_opt(intern!(py, "model_fields"))?
    } else if class.hasattr(intern!(py, "__fields_set__"))? {
        class.getattr_opt(intern!(py, "__fields__"))?
    } else {
        None
    };
    let Some(model) = model.as_ref().and_then(|fields| fields.cast::<PyDict>().ok()) else { return Ok(None) };
    let keys: Bound<'py, PyList> = model.keys();
    Ok(Some(keys.iter().map(|name| Ok(name.cast_into()?)).collect::<PyResult<_>>()?))
}

/// The `name` of each field.
fn named<'py>(fields: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyString>>> {
    let name = intern!(fields.py(), "name");
    fields.try_iter()?.map(|field| Ok(field?.getattr(name)?.cast_into()?)).collect()
}
