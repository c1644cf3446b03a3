"""Annotations to converters: which shape an annotation has, and which class makes it."""

from __future__ import annotations

import collections.abc
import enum
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

from idempotency_manager._typed_shapes import (
    EnumConverter,
    FieldsConverter,
    ItemsConverter,
    KeysConverter,
    MappingConverter,
    ModelConverter,
    TupleConverter,
    UnionConverter,
)

if TYPE_CHECKING:
    from idempotency_manager._converter import Converter

_ITEMS = frozenset(
    {
        list,
        set,
        frozenset,
        collections.abc.Sequence,
        collections.abc.MutableSequence,
        collections.abc.Collection,
        collections.abc.Iterable,
        collections.abc.Set,
        collections.abc.MutableSet,
    }
)
_MAPPINGS = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})
_AWAITABLES = frozenset({"Awaitable", "Coroutine", "Future", "Task"})
_QUALIFIERS = frozenset({"Final", "ClassVar", "Required", "NotRequired", "ReadOnly"})


class Scope:
    """What type variables stand for, and the converters made so far: a class that holds itself has one."""

    __slots__ = ("made", "variables")

    def __init__(
        self, variables: dict[Any, tuple[Any, Scope]] | None = None, made: dict[Any, Converter] | None = None
    ) -> None:
        self.variables = variables or {}
        self.made: dict[Any, Converter] = {} if made is None else made

    def binding(self, parameters: typing.Iterable[Any], arguments: typing.Iterable[Any]) -> Scope:
        """Give a scope in which `parameters` stand for `arguments`, which this scope explains."""
        bound = {parameter: (argument, self) for parameter, argument in zip(parameters, arguments, strict=False)}
        return Scope(bound, self.made)

    def key(self) -> object:
        """Tell scopes apart in which type variables stand for different things."""
        return tuple((variable, repr(argument), scope.key()) for variable, (argument, scope) in self.variables.items())


def resolve(annotation: Any, names: dict[str, Any], more: typing.Mapping[str, Any]) -> Any:
    """Evaluate the strings and forward references in an annotation.

    Raises:
        NameError: where it names what is not there, or not yet.
    """
    holder: Any = types.SimpleNamespace(__annotations__={"it": annotation})
    return typing.get_type_hints(holder, names, dict(more))["it"]


def convert(annotation: Any, scope: Scope) -> Converter | None:
    """Give the converter of an annotation, or None where plain values are all it needs."""
    annotation, scope = _bare(annotation, scope)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return _convert_union(arguments, scope)
    if origin is typing.Literal:
        return _convert_union(tuple(type(each) for each in arguments if isinstance(each, enum.Enum)), scope)
    if arguments and (origin is tuple or origin in _ITEMS or origin in _MAPPINGS):
        return _convert_container(origin, arguments, scope)
    cls = origin or annotation
    if not isinstance(cls, type):
        return None
    parameters = getattr(cls, "__parameters__", ())
    return _convert_class(cls, scope.binding(parameters, arguments))


def _convert_container(origin: Any, arguments: tuple[Any, ...], scope: Scope) -> Converter | None:
    if origin is tuple and arguments[-1] is not ...:
        items = tuple(convert(each, scope) for each in arguments)
        return TupleConverter(items) if any(items) else None
    if origin in _MAPPINGS:
        key, value = convert(arguments[0], scope), convert(arguments[1], scope)
        return MappingConverter(key, value) if key or value else None
    item = convert(arguments[0], scope)
    return ItemsConverter(item) if item else None


def _bare(annotation: Any, scope: Scope) -> tuple[Any, Scope]:
    """Take off what changes nothing about a value: aliases, metadata, qualifiers, the wait for it."""
    while True:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if type(annotation) is TypeVar:
            if annotation not in scope.variables:
                return annotation.__bound__ or Any, scope
            annotation, scope = scope.variables[annotation]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif type(origin).__name__ == "TypeAliasType":
            annotation, scope = origin.__value__, scope.binding(origin.__type_params__, arguments)
        elif origin is typing.Annotated or (arguments and getattr(origin, "_name", None) in _QUALIFIERS):
            annotation = arguments[0]
        elif arguments and getattr(origin, "__name__", None) in _AWAITABLES:
            annotation = arguments[-1]
        else:
            return annotation, scope


def _convert_union(members: tuple[Any, ...], scope: Scope) -> Converter | None:
    members = tuple(dict.fromkeys(each for each in members if each is not type(None)))
    converters = [convert(each, scope) for each in members]
    typed: dict[str, Converter] = {}
    for index, (member, converter) in enumerate(zip(members, converters, strict=True)):
        if converter:
            name = getattr(member, "__name__", str(member))
            typed[f"{name}#{index}" if name in typed or name == UnionConverter.PLAIN else name] = converter
    if len(members) == 1:
        return converters[0]
    return UnionConverter(typed) if typed else None


def _convert_class(cls: type, scope: Scope) -> Converter | None:
    identity = (cls, scope.key())
    if identity in scope.made:
        return scope.made[identity]
    if issubclass(cls, enum.Enum):
        return EnumConverter(cls)
    if typing.is_typeddict(cls):
        keys = KeysConverter()
        scope.made[identity] = keys
        keys.converters = {name: converter for name, converter in _hints(cls, scope).items() if converter}
        if not keys.converters:
            del scope.made[identity]
            return None
        return keys
    converter: Converter
    if hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_validate"):
        converter = ModelConverter(cls)
    elif (
        hasattr(cls, "__dataclass_fields__")
        or hasattr(cls, "__attrs_attrs__")
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    ):
        converter = FieldsConverter(cls, lambda: _hints(cls, scope))
    else:
        return None
    scope.made[identity] = converter
    return converter


def _hints(cls: type, scope: Scope) -> dict[str, Converter | None]:
    """Give the converter of each annotated name of a class and its bases, None where there is no need of one."""
    converters: dict[str, Converter | None] = {}
    for base, within in reversed(_bases(cls, scope).items()):
        names = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        for name, annotation in inspect.get_annotations(base).items():
            try:
                resolved = resolve(annotation, names, {**vars(base), base.__name__: base, cls.__name__: cls})
            except Exception:  # noqa: BLE001 - any code can stand there; what it means is unknown, so only plain values fit
                converters[name] = None
            else:
                converters[name] = convert(resolved, within)
    return converters


def _bases(cls: type, scope: Scope) -> dict[type, Scope]:
    """Give the classes that a class inherits from, each with what its type variables stand for."""
    scopes = {cls: scope}
    for base in cls.__mro__:
        within = scopes.setdefault(base, Scope(made=scope.made))
        for parent in vars(base).get("__orig_bases__", ()):
            origin = typing.get_origin(parent)
            if isinstance(origin, type) and origin not in scopes:
                scopes[origin] = within.binding(getattr(origin, "__parameters__", ()), typing.get_args(parent))
    return {base: scopes[base] for base in cls.__mro__}
