//! A decorated function's parameters, and where each one's value is in a call: found once for each shape of call.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::canonical;
use crate::core::canonical::compare_names;

/// A parameter of a function without `*args` and `**kwargs`.
pub(super) struct Parameter {
    name: Py<PyString>,
    positional: bool,
    keyword: bool,
    default: Option<Py<PyAny>>,
}

/// Where a parameter's value is in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// At this place among the arguments, the keywords' after the positional ones.
    Argument(usize),
    /// It is the default of the parameter of this number.
    Default(usize),
}

/// A param as it is hashed: the canonical text before its value, and its parameter's number.
struct Member {
    prefix: Box<[u8]>,
    name: Box<str>,
    parameter: usize,
}

/// Where everything is that a key is made of, in calls of one shape.
pub(super) struct Plan {
    shape: Shape,
    /// For each param in canonical order: where its value is.
    pub(super) values: Box<[Source]>,
    /// Where the signal is, if a parameter gives it.
    pub(super) signal: Option<Source>,
}

/// The number of positional arguments, and the tuple of keywords: one object for all calls from one place.
struct Shape {
    positional: usize,
    keywords: Option<Py<PyTuple>>,
}

impl Plan {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        let keywords = self.shape.keywords.as_ref().map(|keywords| keywords.clone_ref(py));
        let shape = Shape { positional: self.shape.positional, keywords };
        Self { shape, values: self.values.clone(), signal: self.signal }
    }
}

impl Shape {
    /// Whether a call is of this shape, by the tuple itself: every call from one place in a program has the same.
    fn is(&self, positional: usize, keywords: *mut ffi::PyObject) -> bool {
        let own = self.keywords.as_ref().map_or(std::ptr::null_mut(), Py::as_ptr);
        self.positional == positional && own == keywords
    }

    /// Whether a call is of this shape, by the names: `f(**arguments)` makes a new tuple each time.
    fn names(&self, positional: usize, keywords: &Bound<'_, PyTuple>) -> bool {
        let Some(own) = &self.keywords else { return false };
        let own = own.bind(keywords.py());
        let same = |(one, other): (Borrowed<'_, '_, PyAny>, Borrowed<'_, '_, PyAny>)| {
            one.is(&*other) || one.eq(&*other).unwrap_or(false)
        };
        self.positional == positional
            && own.len() == keywords.len()
            && own.iter_borrowed().zip(keywords.iter_borrowed()).all(same)
    }
}

/// How many shapes of call are remembered; a program that calls one function in more ways plans anew now and then.
const PLANS: usize = 8;

/// See the module.
pub(super) struct Signature {
    parameters: Vec<Parameter>,
    members: Vec<Member>,
    signal: Option<usize>,
    plans: ArcSwap<Vec<Plan>>,
}

/// A parameter as Python tells it: `(name, positional, keyword, (default,) or None)`.
pub(super) type Described<'py> = (Bound<'py, PyString>, bool, bool, Option<(Py<PyAny>,)>);

impl Signature {
    /// Of each parameter, the names of those that are
    /// params, and the name of the one that gives the signal.
    pub(super) fn new(parameters: Vec<Described<'_>>, params: &[String], signal: Option<&str>) -> PyResult<Self> {
        let mut members = Vec::new();
        let mut signal_number = None;
        let mut own = Vec::with_capacity(parameters.len());
        for (number, (name, positional, keyword, default)) in parameters.into_iter().enumerate() {
            let text = name.to_str()?;
            if signal == Some(text) {
                signal_number = Some(number);
            }
            if params.iter().any(|param| param == text) {
                let mut prefix = vec![b','];
                canonical::encode_name(text, &mut prefix);
                prefix.push(b':');
                members.push(Member { prefix: prefix.into(), name: text.into(), parameter: number });
            }
            let default = default.map(|(default,)| default);
            own.push(Parameter { name: name.unbind(), positional, keyword, default });
        }
        members.sort_by(|one, other| compare_names(&one.name, &other.name));
        if let Some(first) = members.first_mut() {
            first.prefix[0] = b'{';
        }
        Ok(Self { parameters: own, members, signal: signal_number, plans: ArcSwap::default() })
    }

    /// The plans so far, for [`plan`](Self::plan).
    pub(super) fn plans(&self) -> Guard<Arc<Vec<Plan>>> {
        self.plans.load()
    }

    /// Where everything is in a call of this shape, among plans that were made before.
    pub(super) fn known<'a>(
        plans: &'a [Plan],
        positional: usize,
        keywords: Option<&Bound<'_, PyTuple>>,
    ) -> Option<&'a Plan> {
        let pointer = keywords.map_or(std::ptr::null_mut(), Bound::as_ptr);
        let same_place = plans.iter().find(|plan| plan.shape.is(positional, pointer));
        same_place.or_else(|| {
            let keywords = keywords?;
            plans.iter().find(|plan| plan.shape.names(positional, keywords))
        })
    }

    /// Plans calls of this shape from here on; `false` for a call that the function would refuse.
    pub(super) fn learn(
        &self,
        py: Python<'_>,
        positional: usize,
        keywords: Option<&Bound<'_, PyTuple>>,
    ) -> PyResult<bool> {
        let Some(plan) = self.plan(py, positional, keywords)? else { return Ok(false) };
        let kept = self.plans.load();
        let oldest_left = kept.len().saturating_sub(PLANS - 1);
        let mut plans: Vec<Plan> = kept[oldest_left..].iter().map(|plan| plan.clone_ref(py)).collect();
        plans.push(plan);
        self.plans.store(Arc::new(plans));
        Ok(true)
    }

    /// Where everything is in a call of this shape; `None` for a call that the function would refuse.
    pub(super) fn plan(
        &self,
        py: Python<'_>,
        positional: usize,
        keywords: Option<&Bound<'_, PyTuple>>,
    ) -> PyResult<Option<Plan>> {
        let Some(sources) = self.sources(py, positional, keywords)? else { return Ok(None) };
        Ok(Some(Plan {
            shape: Shape { positional, keywords: keywords.map(|keywords| keywords.clone().unbind()) },
            values: self.members.iter().map(|member| sources[member.parameter]).collect(),
            signal: self.signal.map(|signal| sources[signal]),
        }))
    }

    fn sources(
        &self,
        py: Python<'_>,
        positional: usize,
        keywords: Option<&Bound<'_, PyTuple>>,
    ) -> PyResult<Option<Vec<Source>>> {
        let mut sources: Vec<Option<Source>> = vec![None; self.parameters.len()];
        for (place, source) in sources.iter_mut().enumerate().take(positional) {
            if !self.parameters[place].positional {
                return Ok(None);
            }
            *source = Some(Source::Argument(place));
        }
        if positional > self.parameters.len() {
            return Ok(None);
        }
        for (place, keyword) in keywords.into_iter().flatten().enumerate() {
            let mut number = None;
            for (candidate, parameter) in self.parameters.iter().enumerate() {
                if parameter.keyword && keyword.eq(parameter.name.bind(py))? {
                    number = Some(candidate);
                }
            }
            match number {
                Some(number) if sources[number].is_none() => {
                    sources[number] = Some(Source::Argument(positional + place));
                }
                _ => return Ok(None),
            }
        }
        let filled = sources.iter().enumerate().map(|(number, source)| {
            source.or_else(|| self.parameters[number].default.as_ref().map(|_| Source::Default(number)))
        });
        Ok(filled.collect())
    }

    /// The value that a source names. `arguments` are those of a call of the plan's shape.
    pub(super) fn value<'a, 'py>(
        &'a self,
        py: Python<'py>,
        source: Source,
        arguments: &'a [Borrowed<'a, 'py, PyAny>],
    ) -> Borrowed<'a, 'py, PyAny> {
        match source {
            Source::Argument(place) => arguments[place],
            Source::Default(number) => match &self.parameters[number].default {
                Some(default) => default.bind_borrowed(py),
                None => unreachable!("a plan names the default of a parameter that has one"),
            },
        }
    }

    /// Appends the canonical form of the params of a call.
    pub(super) fn encode(
        &self,
        py: Python<'_>,
        plan: &Plan,
        arguments: &[Borrowed<'_, '_, PyAny>],
        out: &mut Vec<u8>,
    ) -> PyResult<()> {
        if self.members.is_empty() {
            out.push(b'{');
        }
        for (member, &source) in self.members.iter().zip(&plan.values) {
            out.extend_from_slice(&member.prefix);
            let value = self.value(py, source, arguments);
            canonical::encode_value(&value, out)
                .map_err(|refusal| refusal.in_name(&member.name).into_pyerr(py, "params"))?;
        }
        out.push(b'}');
        Ok(())
    }

    /// The params of a call by name.
    pub(super) fn params<'a>(
        &'a self,
        py: Python<'a>,
        plan: &'a Plan,
        arguments: &'a [Borrowed<'a, 'a, PyAny>],
    ) -> impl Iterator<Item = (&'a str, Borrowed<'a, 'a, PyAny>)> {
        let values = plan.values.iter().map(move |&source| self.value(py, source, arguments));
        self.members.iter().map(|member| &*member.name).zip(values)
    }
}
