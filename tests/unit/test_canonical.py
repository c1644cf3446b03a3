"""The canonical form of Python values."""

from __future__ import annotations

import hashlib
import importlib
import json
import struct
from collections import OrderedDict, UserDict, defaultdict, namedtuple
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idempotency_manager import UnsupportedParamError, canonicalize, params_are_equivalent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

VECTORS = Path(__file__).parents[1] / "vectors" / "jcs"


class Color(Enum):
    """An Enum of text."""

    RED = "red"


class Level(IntEnum):
    """An Enum of ints."""

    HIGH = 3


class Kind(StrEnum):
    """An Enum that is text."""

    CARD = "card"


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


@dataclass
class Line:
    """A dataclass with what is no field beside its fields."""

    sku: str
    price: Decimal = Decimal(1)
    scale: InitVar[int] = 1
    _hidden: int = field(default=0, repr=False, compare=False)
    shared: ClassVar[int] = 7


def same(*values: object) -> bool:
    """Whether all values have one form."""
    return len({canonicalize(value) for value in values}) == 1


def refused(value: object) -> UnsupportedParamError:
    """The error that refuses a value."""
    with pytest.raises(UnsupportedParamError) as caught:
        canonicalize(value)
    return caught.value


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_the_published_documents_get_the_published_bytes(name: str) -> None:
    """RFC 8785's own test data, as Python parses it."""
    value = json.loads((VECTORS / "input" / f"{name}.json").read_text(encoding="utf-8"))
    assert canonicalize(value) == (VECTORS / "output" / f"{name}.json").read_bytes()


def number_sequence(length: int) -> Iterator[int]:
    """The bit patterns of RFC 8785's number sequence."""
    listed = [int(line, 16) for line in (VECTORS / "es6-static-u64.txt").read_text().split()]
    patterns = [*listed, *range(0x0010000000000000, 0x0010000000000000 + 2000)]
    digest = bytes(32)
    while len(patterns) < length:
        digest = hashlib.sha256(digest).digest()
        patterns += [bits for bits in struct.unpack("<4Q", digest) if (bits >> 52) & 0x7FF != 0x7FF]
    return iter(patterns[:length])


@pytest.mark.parametrize("length", [1000, 10000])
def test_the_number_sequence_has_the_published_checksum(length: int) -> None:
    """The first lines of the sequence that RFC 8785's authors publish checksums of."""
    lines = (
        b"%x,%s\n" % (bits, canonicalize(struct.unpack(">d", struct.pack(">Q", bits))[0]))
        for bits in number_sequence(length)
    )
    published = dict(reversed(line.split()) for line in (VECTORS / "es6-checksums.txt").read_text().splitlines())
    assert hashlib.sha256(b"".join(lines)).hexdigest() == published[str(length)]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=25,
)


@settings(deadline=None)
@given(JSON)
def test_the_form_of_json_is_json_of_the_same_value(value: Any) -> None:
    """What a parser that takes every number for a double reads from the form has that form again."""
    form = canonicalize(value)
    assert canonicalize(json.loads(form, parse_int=float)) == form


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), SCALARS), st.randoms(use_true_random=False))
def test_the_order_of_a_dict_makes_no_difference(value: dict[str, Any], shuffler: Random) -> None:
    """Members are sorted, by the UTF-16 of their names."""
    names = list(value)
    shuffler.shuffle(names)
    assert same(value, {name: value[name] for name in names})
    parsed = list(json.loads(canonicalize(value)))
    assert parsed == sorted(names, key=lambda name: name.encode("utf-16-be"))


@settings(deadline=None)
@given(JSON)
def test_both_walks_give_the_same_bytes(value: Any) -> None:
    """The thorough walk, which a tagged value beside it calls for, writes plain values as the fast one does."""
    assert canonicalize([b"", value]) == b'[@1:bytes"",' + canonicalize(value) + b"]"


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(), max_size=8), max_size=30))
def test_rows_that_look_alike_are_written_as_each_is_alone(rows: list[dict[str, int]]) -> None:
    """Names are remembered from row to row; what is written does not depend on it."""
    alone = [canonicalize(dict(sorted(row.items()))) for row in rows]
    for _ in range(3):
        assert canonicalize(rows) == b"[" + b",".join(alone) + b"]"


def test_equal_numbers_are_one_and_booleans_are_none() -> None:
    """1 and 1.0 are the same number, True is not a number."""
    assert same(1, 1.0)
    assert same(0, -0.0)
    assert same(2**53 - 1, float(2**53 - 1))
    assert not same(1, True)
    assert not same(0, False)
    assert not same(None, False)


def test_integers_beyond_the_safe_ones_keep_their_digits() -> None:
    """Two big ids are different, and neither is a float."""
    big = 2**53
    forms = {canonicalize(value) for value in (big, big + 1, -big, float(big), str(big), 2**63, 2**64, 10**400)}
    assert len(forms) == 8
    assert canonicalize(big + 1) == b'@1:int"9007199254740993"'
    assert canonicalize(10**30) == b'@1:int"1' + b"0" * 30 + b'"'


def test_an_integer_of_any_length_has_a_form() -> None:
    """The interpreter's limit on decimal digits does not apply."""
    assert canonicalize(2**2048 - 1) == b'@1:int"%d"' % (2**2048 - 1)
    assert canonicalize(10**5000) == b'@1:int"%s"' % hex(10**5000).encode()
    assert not same(10**5000, 10**5000 + 1)


@pytest.mark.parametrize(
    "values",
    [
        ([1, [2]], (1, (2,))),
        (b"ab", bytearray(b"ab"), memoryview(b"ab"), memoryview(b"a_b_")[::2]),
        ({1, 2}, frozenset({2, 1})),
        (Decimal("1.0"), Decimal("1.00"), Decimal("10E-1")),
        (Decimal("-0.0"), Decimal(0)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, MappingProxyType({"a": 1, "b": 2}), OrderedDict(b=2, a=1)),
        ({"a": 1}, UserDict(a=1), defaultdict(int, a=1)),
        ("red", Color.RED),
        (3, Level.HIGH),
        ("card", Kind.CARD),
        ({"x": 1, "y": 2}, Point(1, 2), namedtuple("P", "y x")(2, 1)),  # noqa: PYI024
        ({"sku": "a", "price": Decimal(1), "_hidden": 0}, Line("a")),
        ({"red": 1}, {Color.RED: 1}),
        ("/a/b", PurePosixPath("/a/b")),
        (
            datetime(2026, 1, 1, 12, tzinfo=UTC),
            datetime(2026, 1, 1, 13, tzinfo=ZoneInfo("Europe/Paris")),
            datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=-10))),
        ),
        (time(10, tzinfo=UTC), time(11, tzinfo=timezone(timedelta(hours=1)))),
        (timedelta(days=1), timedelta(hours=24)),
    ],
)
def test_what_is_the_same_to_a_person_has_one_form(values: tuple[object, ...]) -> None:
    """At the top and inside a container."""
    assert same(*values)
    assert same(*({"value": [value]} for value in values))


DISTINCT: tuple[object, ...] = (
    None, True, 1, 1.5, "1", "", b"", b"1", [], [1], {}, {"1": 1}, {1: 1}, {True: 1}, {None: 1}, {"a": None},
    set(), {1}, {"1"}, Decimal(1), Decimal("1.5"), Decimal("1E+2"), date(2026, 1, 1), datetime(2026, 1, 1),  # noqa: DTZ001
    datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01", time(0), time(0, tzinfo=UTC), timedelta(0), timedelta(-1),
    timedelta(microseconds=1), UUID(int=1), str(UUID(int=1)), UUID(int=1).bytes, 2**53, str(2**53), "null", "[]",
    '@1:bytes""', "@1:set[]", ["@1:set[]"], {"@1:int": "1"}, [[1, 1]], {(1,): 1}, {b"1": 1}, {frozenset(): 1},
    [[], []], [[[]]], [{}], {"a": {"b": 1}}, {"a": 1, "b": 1}, "\x00", "\\u0000", "é", "e\u0301",
)  # fmt: skip


def test_different_values_have_different_forms() -> None:
    """No two of a collection of values that are easily confused."""
    seen: dict[bytes, object] = {}
    for value in DISTINCT:
        form = canonicalize(value)
        assert form not in seen, f"{value!r} and {seen.get(form)!r} are both {form!r}"
        seen[form] = value


HASHABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab@1:\"[],'", max_size=4) | st.binary(max_size=3)
    | st.decimals(allow_nan=False, allow_infinity=False) | st.datetimes() | st.dates() | st.times() | st.timedeltas()
    | st.uuids(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
ANY = st.recursive(
    HASHABLE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HASHABLE, inner, max_size=3), max_leaves=8
)


def typed(value: object) -> object:
    """A description of a value that is equal where the values are the same to a person, made without the core."""
    match value:
        case bool() | None | str() | bytes():
            return (type(value).__name__, value)
        case int():
            return ("number", value)
        case list() | tuple():
            return ("array", tuple(typed(item) for item in value))
        case frozenset():
            return ("set", frozenset(typed(item) for item in value))
        case dict():
            return ("map", frozenset((typed(key), typed(item)) for key, item in value.items()))
        case _:
            return (type(value).__name__, value)


@settings(deadline=None)
@given(ANY, ANY)
def test_two_values_share_a_form_only_if_they_are_the_same(first: object, second: object) -> None:
    """Across all types that have a tagged form, nested."""
    assert same(first, second) == (typed(first) == typed(second))


@settings(deadline=None)
@given(st.datetimes(timezones=st.timezones()), st.timezones())
def test_an_instant_has_one_form_in_every_zone(moment: datetime, zone: ZoneInfo) -> None:
    """Equal aware datetimes are one, through changes of offset."""
    try:
        elsewhere = moment.astimezone(UTC).astimezone(zone)
    except OverflowError:
        return
    assert same(moment, elsewhere)


def test_subclasses_are_taken_by_the_value_they_hold() -> None:
    """Whatever else they override."""

    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "other"

    class Number(int):
        def __repr__(self) -> str:
            return "other"

    class Items(list[int]):
        pass

    assert same("a", Text("a"))
    assert same(5, Number(5))
    assert same(2**70, Number(2**70))
    assert same([1], Items([1]))
    assert same({"a": 1}, {Text("a"): 1})


def test_attrs_classes_and_pydantic_models_are_their_fields() -> None:
    """Recognised by what their classes declare."""
    attrs = importlib.import_module("attrs")
    pydantic = importlib.import_module("pydantic")

    @attrs.define
    class Card:
        title: str
        _private: int = 1

    class Model(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        title: str
        when: date = date(2026, 1, 1)

    assert same(Card("a"), {"title": "a", "_private": 1})
    assert same(Model(title="a"), {"title": "a", "when": date(2026, 1, 1)})
    assert same(Model(title="a", more=2), {"title": "a", "when": date(2026, 1, 1), "more": 2})


def test_numpy_scalars_are_their_python_values() -> None:
    """An array is refused, and so is a time that Python would round."""
    numpy = importlib.import_module("numpy")
    assert same(3, numpy.int64(3), numpy.uint8(3))
    assert same(True, numpy.bool_(True))
    assert same(0.5, numpy.float32(0.5), numpy.float64(0.5))
    assert same("a", numpy.str_("a"))
    assert same(datetime(2026, 1, 1), numpy.datetime64("2026-01-01T00:00:00"))  # noqa: DTZ001
    assert "tolist()" in str(refused(numpy.array([1])))
    refused(numpy.datetime64("2026-01-01T00:00:00.000000001"))
    refused(numpy.datetime64("NaT", "ns"))
    refused(numpy.longdouble(1))
    refused(numpy.float32("nan"))


def test_code_that_changes_what_is_walked_is_survived() -> None:
    """A property that empties the containers around it changes nothing that was begun."""
    params: dict[str, object] = {}
    rows: list[object] = []

    @dataclass
    class Hostile:
        name: str = ""

        def __getattribute__(self, name: str) -> Any:
            if name == "name":
                params.clear()
                rows.clear()
            return super().__getattribute__(name)

    rows += [Hostile(), "after" * 1000, *range(1000)]
    params.update(a=rows, b="x" * 1000, c=[b"y" * 1000])
    form = canonicalize(params)
    assert form.startswith(b'{"a":[{"name":""},"after')
    assert form.endswith(b'"c":[@1:bytes"' + b"79" * 1000 + b'"]}')


def test_equivalence_is_that_of_the_forms() -> None:
    """Of params, which are mappings or stand for one."""
    assert params_are_equivalent({"a": (1, 2)}, {"a": [1.0, 2.0]})
    assert params_are_equivalent(Point(1, 2), {"x": 1, "y": 2})  # type: ignore[arg-type]
    assert not params_are_equivalent({"a": 1}, {"a": True})
    for bad, path in (([1], "params2"), ({"a": object()}, "params2.a")):
        with pytest.raises(UnsupportedParamError) as caught:
            params_are_equivalent({}, bad)  # type: ignore[arg-type]
        assert caught.value.path == path


def test_names_that_share_a_prefix_or_lie_beyond_the_basic_plane_are_sorted() -> None:
    """Surrogate pairs sort before U+E000 and above."""
    names = [
        "",
        "a",
        "a\x00",
        "aaaaaaaa",
        "aaaaaaaab",
        "aaaaaaa",
        "é",
        "\ue000",
        "\uffff",
        "😀",
        "aaaaaaa😀",
        "aaaaaaa\uffff",
    ]
    value: Mapping[str, int] = dict.fromkeys(names, 0)
    expected = sorted(names, key=lambda name: name.encode("utf-16-be"))
    for _ in range(3):
        assert list(json.loads(canonicalize(value))) == expected
        assert list(json.loads(canonicalize({**value, "z": []}))) == sorted(
            [*names, "z"], key=lambda n: n.encode("utf-16-be")
        )


def test_a_set_with_two_elements_of_one_form_is_not_the_smaller_set() -> None:
    """Unequal elements that stand for one value are both counted."""
    assert not same({"red", Color.RED}, {"red"})
