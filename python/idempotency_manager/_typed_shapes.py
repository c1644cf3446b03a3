"""Converters, one for each shape of annotation."""

from __future__ import annotations

import enum
import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from idempotency_manager._converter import Converter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def _unpack(converter: Converter | None, value: Any) -> Any:
    return value if converter is None or value is None else converter.unpack(value)


def _build(converter: Converter | None, plain: Any) -> Any:
    return plain if converter is None or plain is None else converter.build(plain)


def _expect(value: Any, *classes: type) -> None:
    if type(value) not in classes:
        names = " or ".join(each.__qualname__ for each in classes)
        msg = f"a {type(value).__qualname__} is no {names}"
        raise TypeError(msg)


class EnumConverter(Converter):
    """A member as its value where that is a text or an integer, as its name otherwise."""

    __slots__ = ("_by_value", "_cls")

    def __init__(self, cls: type[enum.Enum]) -> None:
        self._cls = cls
        self._by_value = issubclass(cls, enum.Flag) or all(type(member.value) in {str, int} for member in cls)

    def unpack(self, value: Any) -> Any:
        _expect(value, self._cls)
        return value.value if self._by_value else value.name

    def build(self, plain: Any) -> Any:
        return self._cls(plain) if self._by_value else self._cls[plain]


class FieldsConverter(Converter):
    """A dataclass, an attrs class or a NamedTuple as its fields, by their names."""

    __slots__ = ("_arguments", "_cls", "_hints", "_late")

    def __init__(self, cls: type, hints: Callable[[], dict[str, Converter | None]]) -> None:
        self._cls = cls
        self._hints: Callable[[], dict[str, Converter | None]] | dict[str, Converter | None] = hints
        self._arguments, self._late = _fields_of(cls)

    def _converters(self) -> dict[str, Converter | None]:
        if not isinstance(self._hints, dict):
            self._hints = self._hints()  # as late as this: a class may name itself, or one that is defined after it
        return self._hints

    def unpack(self, value: Any) -> Any:
        _expect(value, self._cls)
        converters = self._converters()
        return {name: _unpack(converters.get(name), getattr(value, name)) for name in (*self._arguments, *self._late)}

    def build(self, plain: Any) -> Any:
        _expect(plain, dict)
        converters = self._converters()
        built = {name: _build(converters.get(name), field) for name, field in plain.items()}
        late = {name: built.pop(name) for name in self._late if name in built}
        unknown = built.keys() - self._arguments.keys()
        if unknown:
            msg = f"{self._cls.__qualname__} has no field {', '.join(sorted(unknown))}"
            raise TypeError(msg)
        value = self._cls(**{self._arguments[name]: field for name, field in built.items()})
        for name, field in late.items():
            object.__setattr__(value, name, field)
        return value


def _fields_of(cls: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """Give the constructor's name for each field it takes, and the fields it does not take."""
    if hasattr(cls, "__attrs_attrs__"):
        fields: Iterable[Any] = cls.__attrs_attrs__
    elif hasattr(cls, "__dataclass_fields__"):
        import dataclasses  # noqa: PLC0415 - an Enum or a model needs none

        fields = dataclasses.fields(cls)
    else:
        return {name: name for name in cls._fields}, ()
    fields = tuple(fields)
    arguments = {field.name: getattr(field, "alias", None) or field.name for field in fields if field.init}
    return arguments, tuple(field.name for field in fields if not field.init)


class ModelConverter(Converter):
    """A pydantic model as pydantic dumps and validates it."""

    __slots__ = ("_by_name", "_cls")

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self._by_name: dict[str, bool] = {}
        if "by_name" in inspect.signature(cls.model_validate).parameters:
            self._by_name = {"by_alias": False, "by_name": True}

    def unpack(self, value: Any) -> Any:
        from idempotency_manager._core import encode_result  # noqa: PLC0415 - the core imports this package

        _expect(value, self._cls)
        options = {"round_trip": True, "by_alias": not self._by_name, "warnings": False}
        plain = value.model_dump(mode="python", **options)
        try:
            encode_result(plain)
        except TypeError:  # it holds what only pydantic can make plain: an Enum, a URL, a path
            plain = value.model_dump(mode="json", **options)
        if plain is None:
            msg = f"a {self._cls.__qualname__} that is dumped as None"
            raise TypeError(msg)
        return plain

    def build(self, plain: Any) -> Any:
        return self._cls.model_validate(plain, **self._by_name)


class KeysConverter(Converter):
    """A TypedDict, some of whose values are not plain."""

    __slots__ = ("converters",)

    def __init__(self) -> None:
        self.converters: dict[str, Converter] = {}

    def unpack(self, value: Any) -> Any:
        _expect(value, dict)
        return {name: _unpack(self.converters.get(name), each) for name, each in value.items()}

    def build(self, plain: Any) -> Any:
        _expect(plain, dict)
        return {name: _build(self.converters.get(name), each) for name, each in plain.items()}


class ItemsConverter(Converter):
    """A list or a tuple as itself; a set, whose members need not be hashable when unpacked, as its name and a list."""

    __slots__ = ("_item",)
    _SETS: ClassVar[dict[str, type]] = {"set": set, "frozenset": frozenset}

    def __init__(self, item: Converter) -> None:
        self._item = item

    def unpack(self, value: Any) -> Any:
        _expect(value, list, tuple, set, frozenset)
        items = [_unpack(self._item, each) for each in value]
        if isinstance(value, (set, frozenset)):
            return {type(value).__name__: sorted(items, key=repr)}
        return type(value)(items)

    def build(self, plain: Any) -> Any:
        if type(plain) is dict:
            ((name, items),) = plain.items()
            return self._SETS[name](_build(self._item, each) for each in items)
        _expect(plain, list, tuple)
        return type(plain)(_build(self._item, each) for each in plain)


class TupleConverter(Converter):
    """A tuple with an annotation for each item."""

    __slots__ = ("_items",)

    def __init__(self, items: tuple[Converter | None, ...]) -> None:
        self._items = items

    def unpack(self, value: Any) -> Any:
        _expect(value, tuple)
        return tuple(_unpack(item, each) for item, each in zip(self._items, value, strict=True))

    def build(self, plain: Any) -> Any:
        _expect(plain, tuple)
        return tuple(_build(item, each) for item, each in zip(self._items, plain, strict=True))


class MappingConverter(Converter):
    """A dict as itself; one whose keys are unpacked, and need not be hashable then, as a list of pairs."""

    __slots__ = ("_key", "_value")

    def __init__(self, key: Converter | None, value: Converter | None) -> None:
        self._key = key
        self._value = value

    def unpack(self, value: Any) -> Any:
        _expect(value, dict)
        if self._key is None:
            return {key: _unpack(self._value, each) for key, each in value.items()}
        return [[_unpack(self._key, key), _unpack(self._value, each)] for key, each in value.items()]

    def build(self, plain: Any) -> Any:
        pairs = plain.items() if type(plain) is dict else plain
        return {_build(self._key, key): _build(self._value, each) for key, each in pairs}


class UnionConverter(Converter):
    """The first member that takes the value, by its name; a plain value under a name of its own."""

    __slots__ = ("_members",)
    PLAIN: ClassVar[str] = "value"

    def __init__(self, members: dict[str, Converter]) -> None:
        self._members = members

    def unpack(self, value: Any) -> Any:
        for name, converter in self._members.items():
            try:
                return {name: converter.unpack(value)}
            except Exception:  # noqa: BLE001, S112 - a converter may raise anything to say that the value is none of its own
                continue
        return {self.PLAIN: value}

    def build(self, plain: Any) -> Any:
        _expect(plain, dict)
        ((name, content),) = plain.items()
        return content if name == self.PLAIN else self._members[name].build(content)
