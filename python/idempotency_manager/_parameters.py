"""A function's parameters, read without importing `inspect` where the function is a plain one."""

from __future__ import annotations

from types import FunctionType

from ._types import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_VARARGS, _VARKEYWORDS = 0x04, 0x08
_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


@final
class Parameter:
    """A named parameter: how it may be given, and its default."""

    __slots__ = ("default", "has_default", "keyword", "name", "positional")

    def __init__(self, name: str, default: tuple[object, ...], *, positional: bool, keyword: bool) -> None:
        self.name = name
        self.positional = positional
        self.keyword = keyword
        self.has_default = bool(default)
        self.default = default[0] if default else None


@final
class Parameters:
    """What a function takes."""

    __slots__ = ("named", "variable")

    def __init__(self, named: list[Parameter], variable: list[str]) -> None:
        self.named = named
        self.variable = variable

    @property
    def names(self) -> list[str]:
        """All names, those of `*args` and `**kwargs` too."""
        return [*(parameter.name for parameter in self.named), *self.variable]


def _code_flags(function: object) -> int:
    """Give the code flags of a function, or of the one behind a partial, a method or a callable object."""
    while True:
        inner = getattr(function, "func", None) if type(function).__name__ == "partial" else None
        inner = inner or getattr(function, "__func__", None)
        if inner is None:
            break
        function = inner
    code = getattr(function, "__code__", None)
    if code is None and not isinstance(function, type):
        # Not whether it can be called, but what a call of it runs.
        code = getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004
    return getattr(code, "co_flags", 0)


def is_coroutine_function(function: object) -> bool:
    """Tell whether a call gives something to await."""
    marked = getattr(function, "_is_coroutine_marker", None) is not None and hasattr(function, "__wrapped__")
    return marked or bool(_code_flags(function) & (_COROUTINE | _ITERABLE_COROUTINE))


def is_generator_function(function: object) -> bool:
    """Tell whether a call gives something to iterate over, which runs only as far as somebody iterates."""
    flags = _code_flags(function)
    return bool(flags & _ASYNC_GENERATOR) or bool(flags & _GENERATOR and not flags & _ITERABLE_COROUTINE)


def read_parameters(function: Callable[..., Any]) -> Parameters:
    """Read a function's parameters."""
    if isinstance(function, FunctionType) and not hasattr(function, "__wrapped__"):
        return _of_code(function)
    return _of_signature(function)


def _of_code(function: FunctionType) -> Parameters:
    code = function.__code__
    count, keyword_only = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames
    defaults = function.__defaults__ or ()
    keyword_defaults = function.__kwdefaults__ or {}
    named = []
    for number, name in enumerate(names[:count]):
        since = number - (count - len(defaults))
        default = (defaults[since],) if since >= 0 else ()
        named.append(Parameter(name, default, positional=True, keyword=number >= code.co_posonlyargcount))
    for name in names[count : count + keyword_only]:
        default = (keyword_defaults[name],) if name in keyword_defaults else ()
        named.append(Parameter(name, default, positional=False, keyword=True))
    variable = list(
        names[count + keyword_only :][: bool(code.co_flags & _VARARGS) + bool(code.co_flags & _VARKEYWORDS)]
    )
    return Parameters(named, variable)


def _of_signature(function: Callable[..., Any]) -> Parameters:
    from inspect import Parameter as Kind  # noqa: PLC0415 - dear, and needed for few functions
    from inspect import signature  # noqa: PLC0415 - likewise

    named, variable = [], []
    for parameter in signature(function).parameters.values():
        if parameter.kind in (Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD):
            variable.append(parameter.name)
            continue
        default = () if parameter.default is Kind.empty else (parameter.default,)
        positional = parameter.kind is not Kind.KEYWORD_ONLY
        keyword = parameter.kind is not Kind.POSITIONAL_ONLY
        named.append(Parameter(parameter.name, default, positional=positional, keyword=keyword))
    return Parameters(named, variable)
