"""Which executions a test means: those of a decorated function, of a call of it, or of an action, target or signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from idempotency_manager._core import idempotent_function, parse_idempotency_key
from idempotency_manager._decorator import BoundIdempotent, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from idempotency_manager._core import Core

    from ._executions import Executed

_FIELDS = ("key", "action", "target", "signal_id")


@final
class Which:
    """What a test says of the executions it means.

    Attributes:
        text: The same, as the test said it.
        asked: What an execution must have in these fields.
        names: What the key of a call is made of beside its params, to tell how another differs.
        params: The arguments of the call, by the names of the parameters; None where no call is meant.
    """

    def __init__(
        self,
        text: str,
        asked: Mapping[str, str],
        names: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.text = text
        self.asked = asked
        self.names = names or {}
        self.params = params

    def fits(self, execution: Executed) -> bool:
        """Tell whether an execution is one of these."""
        return all(getattr(execution, field) == value for field, value in self.asked.items())


def of_call(
    cores: Container[Core], helper: Callable[..., Any] | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Which:
    """Read which executions are meant.

    Args:
        cores: The managers whose executions the test sees.
        helper: A decorated function; None for those that `kwargs` describe.
        args: The arguments of the call that is meant; with none of any kind, every call of it is.
        kwargs: Its keyword arguments, or without a helper `key`, `action`, `target` and `signal_id`.

    Raises:
        TypeError: The helper is not decorated, a field is unknown, or nothing can be seen of the helper.
    """
    if helper is None:
        return of_fields(kwargs)
    decorated = find_decorated(helper, cores)
    name = getattr(helper, "__qualname__", None) or names_of(decorated)[0]
    name = name.rpartition("<locals>.")[2]
    if not args and not kwargs:
        action, target = names_of(decorated)
        return Which(name, {"action": action, "target": target})
    shown = ", ".join([*map(repr, args), *(f"{field}={value!r}" for field, value in kwargs.items())])
    key = decorated.key(*args, **kwargs)
    parsed = parse_idempotency_key(key)
    names = {"action": parsed.action_type, "target": parsed.target, "signal_id": parsed.signal_id}
    return Which(f"{name}({shown})", {"key": key}, names, _bound(decorated, args, kwargs))


def of_fields(fields: Mapping[str, Any]) -> Which:
    """Read which executions are meant by their fields; all, where none is given.

    Raises:
        TypeError: A field is unknown, or is not text.
    """
    for field, value in fields.items():
        if field not in _FIELDS:
            raise TypeError(f"there is no {field!r} to look for: name a decorated function, or {', '.join(_FIELDS)}")
        if not isinstance(value, str):
            raise TypeError(
                f"{field}={value!r} is of type {type(value).__name__}: write the text that it is recorded by"
            )
    text = ", ".join(f"{field}={value!r}" for field, value in fields.items())
    return Which(f"an action with {text}" if text else "any action", fields)


def of_helper(cores: Container[Core], helper: Callable[..., Any] | None, fields: Mapping[str, str | None]) -> Which:
    """Read at which executions a fault is to happen: those of a helper, and of these fields.

    Raises:
        TypeError: As for `of_call`.
    """
    given = {field: value for field, value in fields.items() if value is not None}
    if helper is None:
        return of_fields(given)
    named = of_call(cores, helper, (), {})
    return Which(named.text, {**named.asked, **of_fields(given).asked})


def find_decorated(helper: Any, cores: Container[Core]) -> Any:
    """Find the decorated function behind partials and other decorators.

    Raises:
        TypeError: There is none, or its records are kept by a manager that the test does not see.
    """
    found = helper
    while found is not None and not isinstance(found, idempotent_function | BoundIdempotent):
        found = getattr(found, "__wrapped__", None) or getattr(found, "func", None)
    if found is None:
        name = getattr(helper, "__qualname__", repr(helper))
        remedy = "name the function that is, or what it runs: action=…, target=…, signal_id=…"
        raise TypeError(f"{name} is not decorated with @idempotent; {remedy}")
    if found.core() not in cores:
        name = getattr(helper, "__qualname__", repr(helper))
        remedy = "say idempotency.adopt(manager) before it is called"
        raise TypeError(
            f"the records of {name} are kept by a manager of its own, which this test does not see; {remedy}"
        )
    return found


def _bound(decorated: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    from inspect import signature  # noqa: PLC0415 - dear, and needed for a difference only

    try:
        bound = signature(decorated.__wrapped__).bind(*args, **kwargs)
    except (TypeError, ValueError):  # a callable without a signature; the key has been made, so the call is right
        return None
    bound.apply_defaults()
    return bound.arguments
