//! The decorated function: binds, names, claims, and calls the function only with the right to execute.

use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwapOption, Guard};
use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;

use super::call::{Call, Named};
use super::canonical::{self, ActionFields};
use super::coroutine::{Coroutine, Executor, Purpose};
use super::engine::{Active, Engine};
use super::execution::SIGNAL;
use super::familiar::{Familiar, Familiars};
use super::log::About;
use super::manager::Core;
use super::rules::SharedRules;
use super::signature::{Described, Plan, Signature};
use super::{drive, errors, naming, notify, objects};
use crate::core::action::push_part;
use crate::core::canonical::fingerprint;
use crate::core::record::{Fingerprint, Payload};
use crate::store::{ClaimRequest, Claimed, Reply};

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
    has_receiver: AtomicBool,
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
                return self.call_planned(py, resolved, signature, plan, &shape);
            }
        }
        let named = self.bind(py, arguments, positional, keywords)?;
        let call = Call::new(
            Arc::clone(&resolved.engine),
            Arc::clone(&resolved.active),
            Arc::clone(&resolved.rules),
            named(&resolved.active)?,
        );
        self.run(py, call, None, arguments, positional, keywords)
    }

    fn call_planned(
        &self,
        py: Python<'_>,
        resolved: &Resolved,
        signature: &Signature,
        plan: &Plan,
        arrived: &Arrived<'_, '_>,
    ) -> PyResult<Py<PyAny>> {
        let signal = self.signal(py, signature, plan, arrived.arguments)?;
        let signal = signal_text(&signal)?;
        let signal = text(&signal)?;
        let params = Self::kept_params(py, &resolved.active, signature, plan, arrived.arguments)?;
        let answered = canonical::with_buffer(|buffer| {
            // No text holds this byte, so no signal ends where another's params begin.
            buffer.extend_from_slice(signal.as_bytes());
            buffer.push(0xff);
            signature.encode(py, plan, arrived.arguments, buffer)?;
            if let Some(familiar) = resolved.familiars.get(buffer)
                && let Some(familiar) = &*familiar
            {
                let asked = Asked { signal, key: &familiar.key, digest: &familiar.digest, params };
                return self.ask(py, resolved, asked, Ok(familiar));
            }
            let digest = fingerprint(&buffer[signal.len() + 1..]);
            let key = self.compose(py, signal, resolved.active.settings.include_params_in_key.then_some(&digest))?;
            let key = str::from_utf8(&key).unwrap_or_else(|_| unreachable!("escaped UTF-8 stays UTF-8"));
            self.ask(py, resolved, Asked { signal, key, digest: &digest, params }, Err(buffer))
        })?;
        match answered {
            Answered::Replayed(value) => Ok(value),
            Answered::NotYet(named, claimed) => {
                let (engine, rules) = (Arc::clone(&resolved.engine), Arc::clone(&resolved.rules));
                let call = Call::new(engine, Arc::clone(&resolved.active), rules, named);
                self.run(py, call, claimed, arrived.arguments, arrived.positional, arrived.keywords)
            }
        }
    }

    /// Asks the store, and answers with its replay if that is what it says. `familiar`: the call as it is remembered, or
    /// what to remember it by.
    fn ask(
        &self,
        py: Python<'_>,
        resolved: &Resolved,
        asked: Asked<'_>,
        familiar: Result<&Arc<Familiar>, &[u8]>,
    ) -> PyResult<Answered> {
        let active = &*resolved.active;
        let request = self.request(resolved, &asked);
        let claimed = if self.is_async { active.store.replay(&request) } else { Some(active.store.claim(&request)) };
        if let Some(Reply::Ready(Ok(Claimed::Replay { result, attempts }))) = &claimed {
            let about = About {
                key: asked.key,
                signal_id: asked.signal,
                action_type: &self.action,
                target: &self.target,
                attempts: *attempts,
            };
            notify::replayed(py, active, about, None);
            if let Some(value) = Self::load(py, resolved, result, familiar.ok())? {
                if let Err(buffer) = familiar {
                    resolved.familiars.remember(buffer, asked.key, *asked.digest);
                }
                let value = if self.is_async { Coroutine::replay(py, value)? } else { value };
                return Ok(Answered::Replayed(value));
            }
        }
        let named = Named {
            key: asked.key.into(),
            signal_id: asked.signal.into(),
            action_type: Arc::clone(&self.action),
            target: Arc::clone(&self.target),
            fingerprint: *asked.digest,
            params: asked.params,
            context: None,
        };
        Ok(Answered::NotYet(named, claimed))
    }

    fn load(
        py: Python<'_>,
        resolved: &Resolved,
        result: &Payload,
        familiar: Option<&Arc<Familiar>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        if let Some(value) = familiar.and_then(|familiar| familiar.copy(py, result)) {
            return Ok(Some(value));
        }
        let converter = resolved.rules.converter.as_ref().map(|converter| converter.bind(py));
        let value = objects::load(py, result, converter, resolved.rules.codec.as_ref())?;
        match (value, familiar) {
            (Some(value), Some(familiar)) => Ok(Some(familiar.learn(py, result, value))),
            (value, _) => Ok(value),
        }
    }

    fn request<'a>(&'a self, resolved: &'a Resolved, asked: &'a Asked<'a>) -> ClaimRequest<'a> {
        ClaimRequest {
            key: asked.key,
            signal_id: asked.signal,
            action_type: &self.action,
            target: &self.target,
            fingerprint: asked.digest,
            check_params: resolved.active.settings.check_params(),
            takes_over: resolved.rules.takes_over(),
            latch: resolved.rules.latch,
            refuses_to_wait: !resolved.rules.waits,
            asks_again: false,
            lease: resolved.active.settings.lease(),
            ttl: resolved.rules.ttl,
            owner: &resolved.active.owner,
            params: asked.params.as_deref(),
            context: None,
        }
    }

    fn kept_params(
        py: Python<'_>,
        active: &Active,
        signature: &Signature,
        plan: &Plan,
        arguments: &Arguments<'_, '_>,
    ) -> PyResult<Option<Arc<[u8]>>> {
        if !active.settings.store_params {
            return Ok(None);
        }
        let params = PyDict::new(py);
        for (name, value) in signature.params(py, plan, arguments) {
            params.set_item(name, value)?;
        }
        naming::kept_params(params.as_any()).map(Some)
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

    /// Names a call whose params or signal take Python to find, or that the function would refuse: `bind` raises then.
    fn bind<'a, 'py: 'a>(
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
    fn named(
        &self,
        py: Python<'_>,
        receiver: Option<&Py<PyAny>>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Named> {
        let mut arguments: Vec<Bound<'_, PyAny>> = Vec::with_capacity(args.len() + 1);
        if self.has_receiver.load(Ordering::Acquire) {
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
fn signal_text<'py>(signal: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    if let Ok(text) = signal.cast::<PyString>() {
        return Ok(text.clone());
    }
    let text = signal.py().import("idempotency_manager._binding")?.call_method1("signal_text", (signal,))?;
    Ok(text.cast_into()?)
}

fn text<'a>(signal: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    signal
        .to_str()
        .map_err(|_| errors::invalid_action(signal.py(), "signal_id holds a lone surrogate, which is no text"))
}

fn gather<'py>(
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
            has_receiver: AtomicBool::new(has_receiver),
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
        let bound = BOUND.get_or_try_init(py, || {
            py.import("idempotency_manager._decorator")?.getattr("BoundIdempotent").map(Bound::unbind)
        })?;
        bound.bind(py).call1((slf, object))
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

/// The way in: no tuple, no dict.
unsafe extern "C" fn vectorcall(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: by the vectorcall protocol the interpreter calls this attached, with a live object of this class, as many
    // live arguments as it says, and a tuple of as many names as there are keyword arguments, or null; all outlive the
    // call. A `Borrowed` has the layout of a pointer. Measured reason: PyO3's own `__call__` makes a tuple and a dict,
    // 300 ns before any work.
    let (py, wrapper, arguments, positional, keywords) = unsafe {
        let py = Python::assume_attached();
        let wrapper = Bound::from_borrowed_ptr(py, slf).cast_into_unchecked::<Wrapper>();
        let keywords = Bound::from_borrowed_ptr_or_opt(py, kwnames).map(|names| names.cast_into_unchecked::<PyTuple>());
        let positional = ffi::PyVectorcall_NARGS(nargsf).cast_unsigned();
        let count = positional + keywords.as_ref().map_or(0, |names| names.as_any().len().unwrap_or(0));
        let arguments: &[Borrowed<'_, '_, PyAny>] =
            if count == 0 { &[] } else { std::slice::from_raw_parts(args.cast(), count) };
        (py, wrapper, arguments, positional, keywords)
    };
    let called = catch_unwind(AssertUnwindSafe(|| wrapper.get().call(py, arguments, positional, keywords.as_ref())));
    match called {
        Ok(Ok(value)) => value.into_ptr(),
        Ok(Err(error)) => {
            error.restore(py);
            ptr::null_mut()
        }
        Err(_) => {
            PyRuntimeError::new_err("idempotency_manager panicked; this is a defect").restore(py);
            ptr::null_mut()
        }
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Wrapper>()?;
    module.add_function(wrap_pyfunction!(set_default_core, module)?)?;
    let py = module.py();
    let class = py.get_type::<Wrapper>();
    let offset = vectorcall_offset(py)?;
    // SAFETY: the class is a heap type of this module, just made, with no subclass and no live instance, and `offset` is
    // where each instance holds its vectorcall function. It binds to instances as functions do. Measured reason: see
    // `vectorcall`.
    unsafe {
        let class = class.as_type_ptr();
        (*class).tp_vectorcall_offset = offset;
        (*class).tp_call = Some(ffi::PyVectorcall_Call);
        (*class).tp_flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
        ffi::PyType_Modified(class);
    }
    Ok(())
}

/// How far from an instance's start its `vectorcall` is: PyO3 keeps the layout to itself, so an instance is asked.
fn vectorcall_offset(py: Python<'_>) -> PyResult<isize> {
    let bind = py.None();
    let options = PyDict::new(py).unbind();
    let nothing = || String::from("-");
    let probe = Wrapper::new(py.None(), false, nothing(), nothing(), None, vec![], None, bind, None, options, false)?;
    let probe = Bound::new(py, probe)?;
    let start = probe.as_ptr() as isize;
    let contents = ptr::from_ref(probe.get()) as isize;
    let within = isize::try_from(offset_of!(Wrapper, vectorcall))
        .map_err(|_| PyTypeError::new_err("the wrapper's layout is not as expected"))?;
    Ok(contents - start + within)
}
