"""Checks how a function is decorated, and makes the native wrapper."""

from __future__ import annotations

import sys
from types import FunctionType

from ._binding import Binder
from ._core import Core, idempotent_function
from ._dunder_call import DunderCall
from ._duration import refusal
from ._options import read_options
from ._parameters import Parameters, is_coroutine_function, is_generator_function, read_parameters
from ._types import final
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from typing import Any

    from ._core import IdempotencyRecord

_HELPED = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__", "__type_params__")
_QUEUES = frozenset({"celery", "dramatiq"})
# What `inspect` takes for the marks of a function: with them a wrapper of a coroutine function is one for it too.
_FUNCTION_LIKE = ("__code__", "__defaults__", "__kwdefaults__")


def decorator(
    function: Any, manager: Core | None, lease: timedelta, options: Mapping[str, Any], *, warns: bool = True
) -> Any:
    """Wrap a function, or make what wraps the one that it is given; see `decorate`."""
    if function is None:
        return lambda function: decorate(function, manager, lease, options, warns=warns)
    return decorate(function, manager, lease, options, warns=warns)


def decorate(  # noqa: PLR0913 - the last two are for its own calls of itself
    function: Any,
    manager: Core | None,
    lease: timedelta,
    options: Mapping[str, Any],
    *,
    has_receiver: bool | None = None,
    warns: bool = True,
) -> Any:
    """Wrap a function, a method or a coroutine function.

    Args:
        function: What is decorated; a `staticmethod` or `classmethod` is taken apart and put together again.
        manager: The native half of the manager, or None for the default one at the time of each call.
        lease: The manager's, which a time to live must not undercut.
        options: The arguments of `idempotent`, as they were given.
        has_receiver: Whether the first parameter is the object that a method is called on; by its name if None.
        warns: Whether to warn of params that make every retry a new action.

    Raises:
        ConfigurationError: It can't be decorated so; the error says what to write instead.
    """
    if isinstance(function, staticmethod | classmethod):
        is_bound = isinstance(function, classmethod)
        return type(function)(decorate(function.__func__, manager, lease, options, has_receiver=is_bound, warns=warns))
    name = getattr(function, "__qualname__", repr(function))
    _refuse_what_is_no_function(function, name)
    lint = _Lint(function, name, options, has_receiver)
    rest = {key: value for key, value in options.items() if key not in _Lint.OPTIONS}
    read = read_options(rest, lease)
    if "converter" not in read and "codec" not in read and options.get("result_type") is None:
        from ._typed import return_converter  # noqa: PLC0415 - only for those who decorate

        read["converter"] = return_converter(function)
    is_async = is_coroutine_function(function)
    if not is_async and is_coroutine_function(read.get("on_in_doubt")):
        raise ConfigurationError(f"on_in_doubt: {name} is a plain function, so its reconciler must be plain, not async")
    # Who names the params has thought of them.
    if warns and options.get("params") is None:
        from ._volatile import warn_of_volatile_params  # noqa: PLC0415 - only for those who decorate

        warn_of_volatile_params(name, lint.parameters.named, lint.params)
    wrapper = _wrap(function, lint, manager, read, is_async=is_async)
    if not lint.has_receiver and has_receiver is None:

        def as_method(owner: type, attribute: str) -> None:
            if f"{owner.__qualname__}.{attribute}" == name:
                bound = decorate(function, manager, lease, options, has_receiver=True, warns=False)
                setattr(owner, attribute, bound)

        wrapper.__dict__["_as_method"] = as_method
    return wrapper


def _refuse_what_is_no_function(function: Any, name: str) -> None:
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(f"@idempotent decorates functions, and {name} is {_kind(function)}")
    if (queue := _queue(function)) is not None:
        own_name = getattr(function, "__name__", type(function).__name__)
        problem = f"{own_name} is a task of {queue} already, and its workers would run what is below, unguarded"
        raise ConfigurationError(f"{problem}: write @idempotent(…) below the decorator of {queue}, right above def")
    if is_generator_function(function):
        problem = f"{name} is a generator, which runs only as far as somebody iterates"
        raise ConfigurationError(f"{problem}: decorate a function that returns its items in a list")


def _kind(function: object) -> str:
    return "a class" if isinstance(function, type) else f"of type {type(function).__name__}"


def _queue(function: object) -> str | None:
    """Name the queue whose task a function was made; a task that is wrapped guards none of what a worker runs."""
    packages = (base.__module__.partition(".")[0] for base in type(function).__mro__)
    return next((package for package in packages if package in _QUEUES), None)


def _wrap(
    function: Any,
    lint: _Lint,
    manager: Core | None,
    options: dict[str, Any],
    *,
    is_async: bool,
) -> Any:
    direct = lint.parameters.variable == [] and not callable(lint.signal) and not lint.path and lint.by_callable is None
    binder = Binder(
        function,
        signal=(lint.signal, lint.path) if isinstance(lint.signal, str) else lint.signal,
        params=lint.by_callable,
        only=lint.only,
        exclude=lint.exclude,
        has_receiver=lint.has_receiver,
    )
    named = [
        (
            parameter.name,
            parameter.positional,
            parameter.keyword,
            (parameter.default,) if parameter.has_default else None,
        )
        for parameter in lint.parameters.named
    ]
    wrapper = idempotent_function(
        function,
        is_async=is_async,
        action=lint.action,
        target=lint.target,
        parameters=named if direct else None,
        params=lint.params,
        signal=lint.signal if direct and isinstance(lint.signal, str) else None,
        bind=binder,
        manager=manager,
        options=options,
        has_receiver=lint.has_receiver,
    )
    for attribute in (*_HELPED, *(_FUNCTION_LIKE if isinstance(function, FunctionType) else ())):
        if hasattr(function, attribute):
            wrapper.__dict__[attribute] = getattr(function, attribute)
    wrapper.__dict__.update(getattr(function, "__dict__", {}))
    wrapper.__dict__["__wrapped__"] = function
    wrapper.__dict__["_names"] = (lint.action, lint.target)
    wrapper.__dict__["__call__"] = DunderCall(wrapper)
    if is_async:
        _mark_as_coroutine_function(wrapper)
    return wrapper


def names_of(decorated: Any) -> tuple[str, str]:
    """Give the action and the target of a decorated function or method."""
    return decorated._names  # type: ignore[no-any-return]  # noqa: SLF001 - this module's own


def _mark_as_coroutine_function(wrapper: Any) -> None:
    """Say so in the way `inspect.iscoroutinefunction` (3.12 on) looks for; on 3.11 the code's flags do."""
    if sys.version_info >= (3, 12):
        from inspect import markcoroutinefunction  # noqa: PLC0415 - dear, and needed for coroutine functions only

        markcoroutinefunction(wrapper)
    # `asyncio.iscoroutinefunction` of 3.11 looks for another mark, which takes asyncio to make.
    wrapper.__dict__["_is_coroutine_marker"] = True


class _Lint:
    """Reads how a function is decorated, and says what to write instead of what can't be."""

    OPTIONS = ("target", "action", "signal_id", "params", "exclude")

    def __init__(
        self,
        function: Any,
        name: str,
        options: Mapping[str, Any],
        has_receiver: bool | None,
    ) -> None:
        self._name = name
        self.parameters: Parameters = read_parameters(function)
        names = self.parameters.names
        by_name = bool(names) and names[0] in ("self", "cls")
        self.has_receiver = by_name if has_receiver is None else has_receiver
        self.target = self._text("target", options.get("target"), 'write @idempotent(target="trello")')
        own_name = getattr(function, "__name__", None)
        action = options.get("action")
        if action is None:
            action = own_name if own_name and own_name.isidentifier() else None
        self.action = self._text("action", action, "it has no name of its own: write action=…")
        self.signal, self.path = self._find_signal(options.get("signal_id"))
        self.by_callable = options["params"] if callable(options.get("params")) else None
        self.only = self._read_only(options.get("params"))
        self.exclude = self._exclude(options.get("exclude") or ())
        own = names[1:] if self.has_receiver else names
        self.params = [
            own_name
            for own_name in own
            if own_name not in self.exclude and (self.only is None or own_name in self.only)
        ]

    def _text(self, field: str, value: object, remedy: str) -> str:
        if isinstance(value, str) and value:
            return value
        problem = "missing" if value is None else "empty" if value == "" else f"{type(value).__name__}, not text"
        raise ConfigurationError(f"{self._name}: {field} is {problem}; {remedy}")

    def _known(self, option: str, name: object) -> str:
        names = self.parameters.names
        if isinstance(name, str) and name in names:
            return name
        from difflib import get_close_matches  # noqa: PLC0415 - needed for an error only

        close = get_close_matches(str(name), names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its parameters are {', '.join(names) or 'none'}"
        raise ConfigurationError(f"{option}: {self._name} has no parameter {name!r}; {hint}")

    def _find_signal(self, given: object) -> tuple[Any, tuple[str, ...]]:
        if given is None:
            return ("signal_id" if "signal_id" in self.parameters.names else None), ()
        if callable(given):
            return given, ()
        if not isinstance(given, str) or not given:
            remedy = 'write a parameter\'s name, a path such as "event.id", or a callable of the arguments'
            raise refusal("signal_id", given, "no way to find a signal", remedy)
        root, *path = given.split(".")
        if not all(path) or not root:
            raise refusal("signal_id", given, "no path", 'write a parameter\'s name and attributes, as "event.id"')
        return self._known("signal_id", root), tuple(path)

    def _read_only(self, given: object) -> frozenset[str] | None:
        if given is None or callable(given):
            return None
        return frozenset(self._known("params", name) for name in self._names("params", given))

    def _exclude(self, given: object) -> frozenset[str]:
        excluded = {self._known("exclude", name) for name in self._names("exclude", given)}
        if isinstance(self.signal, str) and (self.only is None or self.signal not in self.only):
            excluded.add(self.signal)
        return frozenset(excluded)

    @staticmethod
    def _names(option: str, given: Any) -> Iterable[object]:
        if isinstance(given, str):
            raise refusal(option, given, "one text, not names", f'write {option}=("{given}",)')
        try:
            return list(given)
        except TypeError:
            raise refusal(option, given, "no names", f'write {option}=("title", "amount")') from None


@final
class BoundIdempotent:
    """A decorated function together with the object it is a method of."""

    __slots__ = ("__func__", "__self__", "__weakref__")

    def __init__(self, function: Any, receiver: object) -> None:
        self.__func__ = function
        self.__self__ = receiver

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Call the method."""
        return self.__func__(self.__self__, *args, **kwargs)

    def key(self, *args: object, **kwargs: object) -> str:
        """Give the key that a call with these arguments would have."""
        return self.__func__.key_with(self.__self__, args, kwargs)  # type: ignore[no-any-return]

    def record(self, *args: object, **kwargs: object) -> IdempotencyRecord | None:
        """Give the record of a call with these arguments."""
        return self.__func__.core().get(self.key(*args, **kwargs)).wait()  # type: ignore[no-any-return]

    def clear(self, *args: object, **kwargs: object) -> bool:
        """Forget a call with these arguments; answers whether there was a live record."""
        return self.__func__.core().clear(self.key(*args, **kwargs)).wait()  # type: ignore[no-any-return]

    @property
    def __wrapped__(self) -> Any:
        """The undecorated method, bound: `inspect.signature` looks there."""
        return self.__func__.__wrapped__.__get__(self.__self__)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        """The function's."""
        return self.__func__.__doc__  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        """Look everything else up on the function, as methods do."""
        return getattr(self.__func__, name)

    def __eq__(self, other: object) -> bool:
        """Compare as methods do: the same function of the same object."""
        if not isinstance(other, BoundIdempotent):
            return NotImplemented
        return self.__func__ is other.__func__ and self.__self__ is other.__self__

    def __hash__(self) -> int:
        return hash((id(self.__func__), id(self.__self__)))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, str]]:
        """Copy and pickle as methods do: the object, and the method's name."""
        return getattr, (self.__self__, self.__func__.__name__)

    def __repr__(self) -> str:
        return f"<bound {self.__func__!r} of {self.__self__!r}>"
