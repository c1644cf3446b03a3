//! Calls that take Python to name, and names of calls that are not made.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::{Arguments, Wrapper};
use crate::py::call::Named;
use crate::py::canonical::ActionFields;
use crate::py::engine::Active;
use crate::py::{errors, naming};

impl Wrapper {
    /// Names a call whose params or signal take Python to find, or that the function would refuse: `bind` raises then.
    pub(super) fn bind<'a, 'py: 'a>(
        &'a self,
        py: Python<'py>,
        arguments: &Arguments<'_, 'py>,
        positional: usize,
        keywords: Option<&Bound<'py, PyTuple>>,
    ) -> PyResult<impl FnOnce(&Active) -> PyResult<Named> + use<'a, 'py>> {
        let (args, kwargs) = gather(py, arguments, positional, keywords)?;
        let kwargs = kwargs.unwrap_or_else(|| PyDict::new(py));
        let (signal, params): (Bound<'py, PyAny>, Bound<'py, PyAny>) =
            self.bind.bind(py).call1((args, kwargs))?.extract()?;
        let signal = if signal.is_none() { self.surrounding_signal(py)? } else { signal };
        let signal_id = signal_text(&signal)?;
        let fields = ActionFields {
            signal_id,
            action: PyString::new(py, &self.action),
            target: PyString::new(py, &self.target),
            params: Some(params),
            context: None,
        };
        Ok(move |active: &Active| naming::of_fields(active, fields))
    }

    /// Names a call that is not made: for `key`, `record` and `clear`. The receiver of a method is no part of it.
    pub(super) fn named(
        &self,
        py: Python<'_>,
        receiver: Option<&Py<PyAny>>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Named> {
        let mut arguments: Vec<Bound<'_, PyAny>> = Vec::with_capacity(args.len() + 1);
        if self.has_receiver {
            arguments.push(receiver.map_or_else(|| py.None(), |receiver| receiver.clone_ref(py)).into_bound(py));
        }
        arguments.extend(args.iter());
        let positional = arguments.len();
        let mut words = Vec::new();
        for (word, value) in kwargs.into_iter().flatten() {
            words.push(word);
            arguments.push(value);
        }
        let keywords = (!words.is_empty()).then(|| PyTuple::new(py, words)).transpose()?;
        let arguments: Vec<_> = arguments.iter().map(Bound::as_borrowed).collect();
        let resolved = self.resolved(py)?;
        let Some(resolved) = &*resolved else { unreachable!("what is resolved is there") };
        let named = match &self.signature {
            Some(signature) => match signature.plan(py, positional, keywords.as_ref())? {
                Some(plan) => {
                    let signal = self.signal(py, signature, &plan, &arguments)?;
                    let params = PyDict::new(py);
                    for (name, value) in signature.params(py, &plan, &arguments) {
                        params.set_item(name, value)?;
                    }
                    let fields = ActionFields {
                        signal_id: signal_text(&signal)?,
                        action: PyString::new(py, &self.action),
                        target: PyString::new(py, &self.target),
                        params: Some(params.into_any()),
                        context: None,
                    };
                    naming::of_fields(&resolved.active, fields)?
                }
                None => self.bind(py, &arguments, positional, keywords.as_ref())?(&resolved.active)?,
            },
            None => self.bind(py, &arguments, positional, keywords.as_ref())?(&resolved.active)?,
        };
        Ok(named)
    }
}

/// A signal as text: an int or a UUID is a signal too.
pub(super) fn signal_text<'py>(signal: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    if let Ok(text) = signal.cast::<PyString>() {
        return Ok(text.clone());
    }
    let text = signal.py().import("idempotency_manager._binding")?.call_method1("signal_text", (signal,))?;
    Ok(text.cast_into()?)
}

pub(super) fn text<'a>(signal: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    signal
        .to_str()
        .map_err(|_| errors::invalid_action(signal.py(), "signal_id holds a lone surrogate, which is no text"))
}

pub(super) fn gather<'py>(
    py: Python<'py>,
    arguments: &Arguments<'_, 'py>,
    positional: usize,
    keywords: Option<&Bound<'py, PyTuple>>,
) -> PyResult<(Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>)> {
    let args = PyTuple::new(py, &arguments[..positional])?;
    let Some(keywords) = keywords else { return Ok((args, None)) };
    let kwargs = PyDict::new(py);
    for (name, value) in keywords.iter().zip(&arguments[positional..]) {
        kwargs.set_item(name, value)?;
    }
    Ok((args, Some(kwargs)))
}
