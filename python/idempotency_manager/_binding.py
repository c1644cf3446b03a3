"""From a call's arguments to its signal and params, for the functions whose calls the native half can't bind alone."""

from __future__ import annotations

from .exceptions import InvalidActionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


def signal_text(value: object) -> str:
    """Give a signal as text: text itself, an integer, or a UUID.

    Raises:
        InvalidActionError: It is anything else, whose text might not be the same twice.
    """
    if isinstance(value, str):
        # The text itself: `str` of an Enum that is text, too, is its name.
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if type(value).__name__ == "UUID" and type(value).__module__ == "uuid":
        return str(value)
    raise InvalidActionError(f"signal_id is {type(value).__name__}: give text, an integer or a UUID")


def follow(value: Any, path: tuple[str, ...], root: str) -> Any:
    """Follow a dotted path of attributes or keys.

    Raises:
        InvalidActionError: Something on the way has neither.
    """
    walked = root
    for name in path:
        try:
            value = value[name] if _has_items(value) else getattr(value, name)
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            problem = f"signal_id: {walked} is {type(value).__name__} and has no {name!r}"
            raise InvalidActionError(f"{problem}; give the path of a value that every call has") from error
        walked = f"{walked}.{name}"
    return value


def _has_items(value: object) -> bool:
    return hasattr(type(value), "__getitem__") and hasattr(type(value), "keys")


class Binder:
    """Binds the calls of one function by its `inspect.Signature`, which knows every kind of parameter."""

    __slots__ = ("_exclude", "_function", "_has_receiver", "_only", "_params", "_signal", "_signature")

    def __init__(  # noqa: PLR0913 - one place makes it, by name
        self,
        function: Callable[..., Any],
        *,
        signal: tuple[str, tuple[str, ...]] | Callable[..., Any] | None,
        params: Callable[..., Mapping[str, Any]] | None,
        only: frozenset[str] | None,
        exclude: Iterable[str],
        has_receiver: bool,
    ) -> None:
        self._function = function
        self._signal = signal
        self._params = params
        self._only = only
        self._exclude = frozenset(exclude)
        self._has_receiver = has_receiver
        self._signature: Any = None

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[object, Mapping[str, Any]]:
        """Bind a call.

        Returns:
            The signal, or None where it is the surrounding one; and the params by name.

        Raises:
            TypeError: The function can't be called so.
            InvalidActionError: The signal is not to be found in the arguments, or the params are no mapping.
        """
        if self._signature is None:
            from inspect import signature  # noqa: PLC0415 - dear, and needed for few functions

            self._signature = signature(self._function)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as problem:
            # As Python says it, which names the function.
            name = getattr(self._function, "__qualname__", None) or repr(self._function)
            raise TypeError(f"{name}() {problem}") from None
        bound.apply_defaults()
        arguments: dict[str, Any] = bound.arguments
        return self._find_signal(arguments, args, kwargs), self._find_params(arguments, args, kwargs)

    def _find_signal(self, arguments: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        if self._signal is None:
            return None
        if callable(self._signal):
            found = self._signal(*args, **kwargs)
            if found is None:
                raise InvalidActionError(
                    "signal_id=… returned None: return the id of the event that asks for the action"
                )
            return found
        root, path = self._signal
        found = follow(arguments[root], path, root)
        if found is None:
            raise InvalidActionError(f"signal_id: {'.'.join((root, *path))} is None: give the id of the event")
        return found

    def _find_params(
        self, arguments: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Mapping[str, Any]:
        if self._params is not None:
            return self._params(*args, **kwargs)
        names = list(arguments)
        if self._has_receiver:
            del names[0]
        return {
            name: arguments[name]
            for name in names
            if name not in self._exclude and (self._only is None or name in self._only)
        }
