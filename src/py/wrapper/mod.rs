//! The decorated function: binds, names, claims, and calls the function only with the right to execute.

mod named;
mod planned;
mod vectorcall;

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::py::once::Once;
use arc_swap::{ArcSwapOption, Guard};
use parking_lot::Mutex;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;

use self::named::gather;
pub(super) use self::vectorcall::register;
use self::vectorcall::vectorcall;
use super::call::{Call, Named, is_interruption};
use super::coroutine::{Coroutine, Executor, Purpose};
use super::engine::{Active, Engine};
use super::execution::SIGNAL;
use super::familiar::Familiars;
use super::manager::Core;
use super::rules::SharedRules;
use super::signature::{Described, Plan, Signature};
use super::{drive, errors};
use crate::core::action::push_part;
use crate::core::record::Fingerprint;
use crate::store::{Claimed, Reply};

/// What a wrapper's options and its manager's settings come to; stale once the manager's version has grown.
struct Resolved {
    engine: Arc<Engine>,
    version: u64,
    default_version: u64,
    active: Arc<Active>,
    rules: SharedRules,
    familiars: Familiars,
}

/// Where a call's signal comes from.
enum SignalFrom {
    /// A parameter, found by the signature's plan.
    Parameter,
    /// The surrounding `signal(…)`.
    Context,
}

/// A decorated function. Made by `idempotent`, which has checked everything.
#[pyclass(frozen, dict, weakref, name = "idempotent_function", module = "idempotency_manager._core")]
pub(super) struct Wrapper {
    vectorcall: ffi::vectorcallfunc,
    function: Py<PyAny>,
    is_async: bool,
    action: Arc<str>,
    target: Arc<str>,
    /// `:action:target`, escaped.
    middle: Box<[u8]>,
    /// `None` where the params or the signal take Python to find.
    signature: Option<Signature>,
    signal: SignalFrom,
    /// `bind(args, kwargs) -> (signal_id or None, params)`.
    bind: Py<PyAny>,
    manager: Option<Py<Core>>,
    options: Py<PyDict>,
    has_receiver: bool,
    resolved: ArcSwapOption<Resolved>,
}

/// The default manager's core; `_default` sets it.
static DEFAULT: Mutex<Option<Py<Core>>> = Mutex::new(None);
/// Grows with every change of [`DEFAULT`].
static DEFAULT_VERSION: AtomicU64 = AtomicU64::new(0);

/// Makes this the core that wrappers without a manager use.
#[pyfunction]
fn set_default_core(core: Option<Py<Core>>) {
    let before = std::mem::replace(&mut *DEFAULT.lock(), core);
    DEFAULT_VERSION.fetch_add(1, Ordering::AcqRel);
    drop(before);
}

fn default_core(py: Python<'_>) -> PyResult<Py<Core>> {
    if let Some(core) = DEFAULT.lock().as_ref() {
        return Ok(core.clone_ref(py));
    }
    py.import("idempotency_manager._default")?.call_method0("get_manager")?;
    let made = DEFAULT.lock().as_ref().map(|core| core.clone_ref(py));
    made.ok_or_else(|| errors::configuration(py, "the default manager could not be made"))
}

/// A call as it arrived.
struct Arrived<'a, 'py> {
    arguments: &'a Arguments<'a, 'py>,
    positional: usize,
    keywords: Option<&'a Bound<'py, PyTuple>>,
}

/// A call as the store is asked.
struct Asked<'a> {
    signal: &'a str,
    key: &'a str,
    digest: &'a Fingerprint,
    params: Option<Arc<[u8]>>,
}

/// What the store's first word came to.
enum Answered {
    Replayed(Py<PyAny>),
    NotYet(Named, Option<Reply<Claimed>>),
}

type Key = SmallVec<[u8; 128]>;
type Arguments<'a, 'py> = [Borrowed<'a, 'py, PyAny>];

impl Wrapper {
    /// What a call goes by; made again where the manager has been configured since, or is another.
    fn resolved(&self, py: Python<'_>) -> PyResult<Guard<Option<Arc<Resolved>>>> {
        let cached = self.resolved.load();
        if let Some(resolved) = &*cached {
            let default_changed = DEFAULT_VERSION.load(Ordering::Acquire) != resolved.default_version;
            if resolved.engine.version() == resolved.version && (self.manager.is_some() || !default_changed) {
                return Ok(cached);
            }
        }
        self.resolve(py)
    }

    #[cold]
    fn resolve(&self, py: Python<'_>) -> PyResult<Guard<Option<Arc<Resolved>>>> {
        let core = self.core(py)?;
        let default_version = DEFAULT_VERSION.load(Ordering::Acquire);
        let engine = Arc::clone(&core.get().engine);
        let version = engine.version();
        let active = engine.active(py)?;
        let rules = Arc::new(active.rules.overlaid(self.options.bind(py))?);
        let familiars = Familiars::default();
        let resolved = Some(Arc::new(Resolved { engine, version, default_version, active, rules, familiars }));
        self.resolved.store(resolved.clone());
        Ok(Guard::from_inner(resolved))
    }

    /// The signal of a call, as text.
    fn signal<'a, 'py: 'a>(
        &'a self,
        py: Python<'py>,
        signature: &'a Signature,
        plan: &Plan,
        arguments: &'a Arguments<'a, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match (&self.signal, plan.signal) {
            (SignalFrom::Parameter, Some(source)) => Ok(signature.value(py, source, arguments).to_owned()),
            _ => self.surrounding_signal(py),
        }
    }

    fn surrounding_signal<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        SIGNAL.get(py)?.ok_or_else(|| {
            let name = self.name(py);
            errors::invalid_action(
                py,
                format!(
                    "{name} has no signal_id: give it a parameter signal_id, write @idempotent(signal_id=…), or call it \
                     inside `with signal(…):`"
                ),
            )
        })
    }

    fn name(&self, py: Python<'_>) -> String {
        let name = self.function.getattr(py, "__qualname__").and_then(|name| name.extract(py));
        name.unwrap_or_else(|_| String::from(&*self.action))
    }

    /// The key of a call, without a fingerprint where the params are no part of it.
    fn compose(&self, py: Python<'_>, signal: &str, digest: Option<&Fingerprint>) -> PyResult<Key> {
        if signal.is_empty() {
            return Err(errors::invalid_action(py, format!("{}: signal_id is empty", self.name(py))));
        }
        let mut key = Key::new();
        push_part(&mut key, signal);
        key.extend_from_slice(&self.middle);
        if let Some(digest) = digest {
            key.push(b':');
            key.extend_from_slice(&digest.short_hex());
        }
        Ok(key)
    }

    /// Calls with the arguments of a vectorcall.
    fn call(
        &self,
        py: Python<'_>,
        arguments: &Arguments<'_, '_>,
        positional: usize,
        keywords: Option<&Bound<'_, PyTuple>>,
    ) -> PyResult<Py<PyAny>> {
        let resolved = self.resolved(py)?;
        let Some(resolved) = &*resolved else { unreachable!("what is resolved is there") };
        if let Some(signature) = &self.signature {
            let mut plans = signature.plans();
            if Signature::known(&plans, positional, keywords).is_none() && signature.learn(py, positional, keywords)? {
                plans = signature.plans();
            }
            if let Some(plan) = Signature::known(&plans, positional, keywords) {
                let shape = Arrived { arguments, positional, keywords };
                let answered = self.answer_planned(py, resolved, signature, plan, &shape);
                return self.go_on(py, resolved, answered, &shape);
            }
        }
        let shape = Arrived { arguments, positional, keywords };
        let named = self.bind(py, arguments, positional, keywords).and_then(|named| named(&resolved.active));
        self.go_on(py, resolved, named.map(|named| Answered::NotYet(named, None)), &shape)
    }

    /// Goes on with the store's first word on a call; in shadow mode, with none where the call could not be named.
    fn go_on(
        &self,
        py: Python<'_>,
        resolved: &Resolved,
        answered: PyResult<Answered>,
        arrived: &Arrived<'_, '_>,
    ) -> PyResult<Py<PyAny>> {
        let parts = || (Arc::clone(&resolved.engine), Arc::clone(&resolved.active), Arc::clone(&resolved.rules));
        let (call, claimed) = match answered {
            Ok(Answered::Replayed(value)) => return Ok(value),
            Ok(Answered::NotYet(named, claimed)) => {
                let (engine, active, rules) = parts();
                (Call::new(engine, active, rules, named), claimed)
            }
            Err(reason) if resolved.rules.shadow && !is_interruption(py, &reason) => {
                let (engine, active, rules) = parts();
                (Call::unnamed(py, engine, active, rules, &reason), None)
            }
            Err(reason) => return Err(reason),
        };
        self.run(py, call, claimed, arrived.arguments, arrived.positional, arrived.keywords)
    }

    /// Runs a call to its end, or hands out the coroutine that will.
    fn run(
        &self,
        py: Python<'_>,
        call: Call,
        claimed: Option<Reply<Claimed>>,
        arguments: &Arguments<'_, '_>,
        positional: usize,
        keywords: Option<&Bound<'_, PyTuple>>,
    ) -> PyResult<Py<PyAny>> {
        // Attached in PyO3's eyes too: what is dropped from here on is then dropped at once, and not put on a list.
        Python::attach(|_| self.run_attached(py, call, claimed, arguments, positional, keywords))
    }

    fn run_attached(
        &self,
        py: Python<'_>,
        mut call: Call,
        claimed: Option<Reply<Claimed>>,
        arguments: &Arguments<'_, '_>,
        positional: usize,
        keywords: Option<&Bound<'_, PyTuple>>,
    ) -> PyResult<Py<PyAny>> {
        if self.is_async {
            let (args, kwargs) = gather(py, arguments, positional, keywords)?;
            let executor = Executor {
                callable: self.function.clone_ref(py),
                args: Some(args.unbind()),
                kwargs: kwargs.map(Bound::unbind),
            };
            let name = errors::any(py, self.name(py))?;
            return errors::any(py, Coroutine::new(call, None, Purpose::Execute(executor), Some(name)));
        }
        let step = match claimed {
            Some(reply) => call.take_claim(py, reply),
            None => call.begin(py),
        };
        drive::run(py, &mut call, step, || {
            let keywords = keywords.map_or(ptr::null_mut(), Bound::as_ptr);
            // SAFETY: the arguments of this wrapper's own vectorcall, alive until it returns, handed on as they came; the
            // result is a new reference or null with an exception set. Measured reason: it is the way in, reversed.
            unsafe {
                let function = self.function.as_ptr();
                let result = ffi::PyObject_Vectorcall(function, arguments.as_ptr().cast(), positional, keywords);
                Bound::from_owned_ptr_or_err(py, result).map(Bound::unbind)
            }
        })
    }
}

#[pymethods]
impl Wrapper {
    #[new]
    #[pyo3(signature = (function, *, is_async, action, target, parameters, params, signal, bind, manager, options, has_receiver))]
    #[expect(clippy::too_many_arguments, reason = "each is named where it is given, in the one place that makes them")]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over what it reads")]
    fn new(
        function: Py<PyAny>,
        is_async: bool,
        action: String,
        target: String,
        parameters: Option<Vec<Described<'_>>>,
        params: Vec<String>,
        signal: Option<&str>,
        bind: Py<PyAny>,
        manager: Option<Py<Core>>,
        options: Py<PyDict>,
        has_receiver: bool,
    ) -> PyResult<Self> {
        let mut middle = vec![b':'];
        push_part(&mut middle, &action);
        middle.push(b':');
        push_part(&mut middle, &target);
        let signature = parameters.map(|parameters| Signature::new(parameters, &params, signal)).transpose()?;
        Ok(Self {
            vectorcall,
            function,
            is_async,
            action: action.into(),
            target: target.into(),
            middle: middle.into(),
            signature,
            signal: if signal.is_some() { SignalFrom::Parameter } else { SignalFrom::Context },
            bind,
            manager,
            options,
            has_receiver,
            resolved: ArcSwapOption::empty(),
        })
    }

    /// Calls it by its attribute; `f(…)` itself comes in by [`vectorcall`]. Without this the class would have no
    /// `__call__`, and a decorated function would be no `collections.abc.Callable`.
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let mut arguments: Vec<_> = args.iter().collect();
        let (names, values): (Vec<_>, Vec<_>) = kwargs.into_iter().flatten().unzip();
        arguments.extend(values);
        let keywords = (!names.is_empty()).then(|| PyTuple::new(py, names)).transpose()?;
        let arguments: Vec<_> = arguments.iter().map(Bound::as_borrowed).collect();
        self.call(py, &arguments, args.len(), keywords.as_ref())
    }

    /// The key that a call with these arguments would have. A method's receiver is left out.
    #[pyo3(signature = (*args, **kwargs))]
    fn key(&self, py: Python<'_>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<String> {
        Ok(self.named(py, None, args, kwargs)?.key.to_string())
    }

    /// The record of a call with these arguments, or `None`.
    #[pyo3(signature = (*args, **kwargs))]
    fn record(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let key = self.named(py, None, args, kwargs)?.key;
        self.core(py)?.get().get(py, &key)?.wait(py)
    }

    /// Forgets a call with these arguments; answers whether there was a live record.
    #[pyo3(signature = (*args, **kwargs))]
    fn clear(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let key = self.named(py, None, args, kwargs)?.key;
        self.core(py)?.get().clear(py, &key)?.wait(py)
    }

    /// `key` with a method's receiver.
    #[pyo3(signature = (receiver, args, kwargs))]
    fn key_with(
        &self,
        py: Python<'_>,
        receiver: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<String> {
        Ok(self.named(py, Some(receiver.as_unbound()), args, kwargs)?.key.to_string())
    }

    /// The core whose records this function's calls are kept in.
    fn core(&self, py: Python<'_>) -> PyResult<Py<Core>> {
        self.manager.as_ref().map_or_else(|| default_core(py), |core| Ok(core.clone_ref(py)))
    }

    fn __get__<'py>(
        slf: Bound<'py, Self>,
        object: Option<Bound<'py, PyAny>>,
        _class: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        static BOUND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = slf.py();
        let Some(object) = object.filter(|object| !object.is_none()) else { return Ok(slf.into_any()) };
        let bound = BOUND
            .made(py, || py.import("idempotency_manager._decorator")?.getattr("BoundIdempotent").map(Bound::unbind))?;
        bound.bind(py).call1((slf, object))
    }

    /// Learns that it is a method, whatever its first parameter is called: the class gets a wrapper that knows.
    fn __set_name__(slf: &Bound<'_, Self>, owner: &Bound<'_, PyAny>, name: &Bound<'_, PyAny>) -> PyResult<()> {
        match slf.getattr_opt("_as_method")? {
            Some(as_method) => as_method.call1((owner, name)).map(drop),
            None => Ok(()),
        }
    }

    /// Pickles by name, as functions do.
    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        slf.getattr("__qualname__").map(Bound::unbind)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        format!("<idempotent {}>", slf.get().name(slf.py()))
    }

    #[expect(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)?;
        visit.call(&self.bind)?;
        visit.call(&self.options)
    }
}
