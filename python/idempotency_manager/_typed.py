"""Results of classes of their own: taken apart into plain values, and put together again.

An annotation (`result_type`, or the return annotation) says which classes there are. Nothing in stored data
names a class, so whoever can write to a store can't choose what is built of it.

A converter never unpacks anything into None, and None stands for itself wherever a value is expected: so a field
that is annotated `Card` may hold None, and `Card | None` needs no mark of its own. What a converter makes of a value
is stored only where it comes back equal; the encoder checks that, so nothing here has to foresee every class.

Importing this costs nothing: `typing`, `dataclasses`, `enum` and `inspect` are imported by the first result that
needs them.
"""

from __future__ import annotations

import sys

from ._converter import Converter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Converter", "converter_for", "return_converter"]

_PLAIN = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, object}
)
_PLAIN_NAMES = frozenset({"None", "Any", "typing.Any"}).union(each.__name__ for each in _PLAIN)


def converter_for(annotation: Any) -> Converter | None:
    """Give the converter of a resolved annotation, or None where plain values are all it needs."""
    if _is_plain(annotation):
        return None
    from idempotency_manager._typed_annotations import Scope, convert  # noqa: PLC0415 - see the module's docstring

    return convert(annotation, Scope())


def return_converter(function: Callable[..., Any]) -> Converter | None:
    """Give the converter of a function's return annotation, or None where plain values are all it needs.

    The annotation is resolved by the first result that is not plain, so it may name what is defined later.
    """
    try:
        annotation = _return_annotation(function)
    except NameError:  # from Python 3.14 on: it names what is not defined yet
        return _Returned(function)
    return None if _is_plain(annotation) else _Returned(function)


def _is_plain(annotation: Any) -> bool:
    if annotation is None or (type(annotation) is str and annotation in _PLAIN_NAMES):
        return True
    return type(annotation) is type and annotation in _PLAIN


def _function_of(function: Any) -> Any:
    """Find the function that has the annotations: behind a partial, in a callable object."""
    while hasattr(function, "func") and hasattr(function, "keywords"):
        function = function.func
    if not hasattr(function, "__code__") and not hasattr(function, "__func__") and not isinstance(function, type):
        function = type(function).__call__ if callable(function) else function
    return function


def _return_annotation(function: Any) -> Any:
    if isinstance(function, type):
        return function
    return getattr(_function_of(function), "__annotations__", {}).get("return")


class _Returned(Converter):
    """A function's return annotation, resolved at its first use."""

    __slots__ = ("_converter", "_function")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._converter: Converter | None = None

    def __repr__(self) -> str:
        return f"<result type of {getattr(self._function, '__qualname__', self._function)}>"

    def _resolved(self) -> Converter:
        if self._converter is None:
            from idempotency_manager._typed_annotations import Scope, convert, resolve  # noqa: PLC0415

            function, annotation = _function_of(self._function), _return_annotation(self._function)
            if annotation is not self._function:
                annotation = resolve(annotation, *_namespaces(function))
            converter = convert(annotation, Scope())
            if converter is None:
                msg = f"the return annotation {annotation!r} names no class that could be rebuilt"
                raise TypeError(msg)
            self._converter = converter
        return self._converter

    def unpack(self, value: Any) -> Any:
        return self._resolved().unpack(value)

    def build(self, plain: Any) -> Any:
        return self._resolved().build(plain)


def _namespaces(function: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what a function's annotations may name: its module's globals, and what it closes over."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    function = getattr(function, "__func__", function)
    names: dict[str, Any] = {each.__name__: each for each in getattr(function, "__type_params__", ())}
    code = getattr(function, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return getattr(function, "__globals__", vars(sys.modules["builtins"])), names
