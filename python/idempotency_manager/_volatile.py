"""Warns, when a function is decorated, of params that make every retry a new action."""

from __future__ import annotations

from ._core import is_volatile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from ._parameters import Parameter

_AN_IMPORT = 600
"""How long ago a default may be that was made when its module was imported, in seconds."""
_MADE_FOR_A_CALL = ("datetime", "UUID")
"""Types of defaults that, in a parameter named so, were made when the function was."""


def warn_of_volatile_params(function: str, parameters: Iterable[Parameter], params: Container[str]) -> None:
    """Warn of each parameter that is, by its name or its default, another in each call, or in each process."""
    for name, why in _volatile(parameters, params):
        remedy = f'leave it out of the key with exclude=("{name}",)'
        _warn(
            f"{function}: {name} {why}: every retry is a new action; {remedy}, or name it in params=(…) if it is data"
        )


def _volatile(parameters: Iterable[Parameter], params: Container[str]) -> Iterator[tuple[str, str]]:
    for parameter in parameters:
        if parameter.name not in params:
            continue
        named_so = is_volatile(parameter.name)
        if not parameter.has_default:
            if named_so:
                yield parameter.name, "is, by its name, another in each call"
        elif (named_so and type(parameter.default).__name__ in _MADE_FOR_A_CALL) or _is_now(parameter.default):
            yield parameter.name, "has a default that was made when the function was, another in each process"


def _is_now(default: object) -> bool:
    """Tell whether a default is the time at which it was made: a `datetime`, or seconds or milliseconds since 1970."""
    from time import time  # noqa: PLC0415 - for functions with defaults only

    kind = type(default)
    if kind.__name__ == "datetime" and hasattr(kind, "timestamp"):
        return abs(time() - default.timestamp()) < _AN_IMPORT  # type: ignore[attr-defined,no-any-return]
    if isinstance(default, int | float) and not isinstance(default, bool):
        return any(abs(time() - default / unit) < _AN_IMPORT for unit in (1, 1_000))
    return False


def _warn(text: str) -> None:
    from warnings import warn  # noqa: PLC0415 - for a warning only

    from .exceptions import VolatileParamsWarning  # noqa: PLC0415 - likewise

    warn(text, VolatileParamsWarning, stacklevel=_level_of_the_caller())


def _level_of_the_caller() -> int:
    """Give the stack level, as the caller of this counts it, of the first frame that is not of this package."""
    import sys  # noqa: PLC0415 - for a warning only

    package = __name__.rpartition(".")[0]
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - as `warnings` itself looks for it
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    return level
