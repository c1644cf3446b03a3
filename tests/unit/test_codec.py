"""Results as typed JSON: what goes in comes out, of the same type, and what would not is refused."""

import gc
import json
import math
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from idempotency_manager._core import decode_result, encode_result

BERLIN = ZoneInfo("Europe/Berlin")


def same(first: object, second: object) -> bool:  # noqa: PLR0911 - a case for each kind of type
    """Whether two values are of one type all the way down, and equal, NaN to NaN and -0.0 to -0.0."""
    if type(first) is not type(second):
        return False
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return len(first) == len(second) and all(
            same(*keys) and same(*values)
            for keys, values in zip(
                zip(first, second, strict=True), zip(first.values(), second.values(), strict=True), strict=True
            )
        )
    if isinstance(first, (set, frozenset)):
        return len(first) == len(second) and all(any(same(one, other) for other in second) for one in first)
    if isinstance(first, (datetime, time)):
        return repr(first) == repr(second)
    if isinstance(first, (float, complex, Decimal)):
        return repr(first) == repr(second)
    return first == second


def there_and_back(value: object) -> object:
    """Encode a value and decode it again."""
    return decode_result(encode_result(value))


PLAIN = [
    (None, "null"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-7, "-7"),
    (2**63 - 1, "9223372036854775807"),
    (-(2**63), "-9223372036854775808"),
    (2**64 + 1, "18446744073709551617"),
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (1e21, "1e+21"),
    (0.1, "0.1"),
    (5e-324, "5e-324"),
    (1.7976931348623157e308, "1.7976931348623157e+308"),
    ("", '""'),
    ('a"b\\c\n\x00é😀', '"a\\"b\\\\c\\n\\u0000é😀"'),
    ("\ud800", '"\\ud800"'),
    ([], "[]"),
    ([1, [2.5, "x"]], '[1,[2.5,"x"]]'),
    ({}, "{}"),
    ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
]


@pytest.mark.parametrize(("value", "text"), PLAIN, ids=[text for _, text in PLAIN])
def test_what_json_has_is_plain_json(value: object, text: str) -> None:
    assert encode_result(value).decode() == text
    assert same(there_and_back(value), value)


TAGGED = [
    (b"hi", '{"$bytes":"aGk="}'),
    (bytearray(b""), '{"$bytearray":""}'),
    ((1, "a"), '{"$tuple":[1,"a"]}'),
    ((), '{"$tuple":[]}'),
    ({2, 1}, '{"$set":[1,2]}'),
    (frozenset({"b", "a"}), '{"$frozenset":["a","b"]}'),
    (datetime(2026, 11, 21, 10, 30), '{"$datetime":"2026-11-21T10:30:00"}'),  # noqa: DTZ001 - naive on purpose
    (datetime(2026, 11, 21, 10, 30, 0, 5, UTC), '{"$datetime":"2026-11-21T10:30:00.000005+00:00"}'),
    (
        datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
        '{"$datetime":"2026-10-25T02:30:00+01:00[Europe/Berlin][fold=1]"}',
    ),
    (
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
        '{"$datetime":["2026-01-01T00:00:00+01:00","CET"]}',
    ),
    (date(1, 1, 1), '{"$date":"0001-01-01"}'),
    (time(10, 30, fold=1), '{"$time":"10:30:00[fold=1]"}'),
    (time(10, 30, tzinfo=BERLIN), '{"$time":"10:30:00[Europe/Berlin]"}'),
    (timedelta(days=1, seconds=2, microseconds=3), '{"$timedelta":"P1DT2.000003S"}'),
    (timedelta(seconds=-1), '{"$timedelta":"-PT1S"}'),
    (timedelta(0), '{"$timedelta":"PT0S"}'),
    (timedelta.max, '{"$timedelta":"P999999999DT86399.999999S"}'),
    (timedelta.min, '{"$timedelta":"-P999999999D"}'),
    (Decimal("1.10"), '{"$decimal":"1.10"}'),
    (Decimal("-0E+7"), '{"$decimal":"-0E+7"}'),
    (Decimal("sNaN12"), '{"$decimal":"sNaN12"}'),
    (Decimal("-Infinity"), '{"$decimal":"-Infinity"}'),
    (
        UUID("12345678-1234-5678-1234-567812345678"),
        '{"$uuid":"12345678-1234-5678-1234-567812345678"}',
    ),
    (math.nan, '{"$float":"NaN"}'),
    (-math.inf, '{"$float":"-Infinity"}'),
    (complex(1, -0.0), '{"$complex":[1.0,-0.0]}'),
    ({1: "a", "b": 2}, '{"$map":[[1,"a"],["b",2]]}'),
    ({(1, 2): {}}, '{"$map":[[{"$tuple":[1,2]},{}]]}'),
    ("\ud83d\ude00", '{"$str":["\\ud83d","\\ude00"]}'),
    ({"\ud800": 1}, '{"$map":[["\\ud800",1]]}'),
]


@pytest.mark.parametrize(("value", "text"), TAGGED, ids=[text for _, text in TAGGED])
def test_what_json_lacks_is_tagged(value: object, text: str) -> None:
    assert encode_result(value).decode() == text
    assert same(there_and_back(value), value)


@pytest.mark.parametrize(
    "value",
    [
        {"$bytes": "aGk="},
        {"$typed": {"$dict": {}}},
        {"$": 1},
        {"$dict": {"$tuple": []}},
        {"$a": 1, "b": 2},
        {"a": 1, "$b": 2},
    ],
    ids=str,
)
def test_a_dict_that_looks_like_a_tag_survives(value: object) -> None:
    assert same(there_and_back(value), value)
    assert same(there_and_back([value]), [value])


def test_integers_of_any_size_survive_whatever_the_digit_limit() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        for value in (2**2047, -(2**2048), 10**5000, -(7**9999)):
            assert there_and_back(value) == value
    finally:
        sys.set_int_max_str_digits(before)


def test_a_replay_is_made_afresh() -> None:
    stored = encode_result({"items": []})
    decode_result(stored)["items"].append(1)
    assert decode_result(stored) == {"items": []}


def test_a_dict_keeps_its_order() -> None:
    value = {str(key): key for key in (3, 1, 2)}
    assert list(there_and_back(value)) == ["3", "1", "2"]


class Colour(StrEnum):
    """A subclass of str."""

    RED = "red"


class Level(IntEnum):
    """A subclass of int."""

    LOW = 1


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (Colour.RED, "result"),
        ([Level.LOW], "result[0]"),
        ({"a": {"b c": [OrderedDict()]}}, 'result.a["b c"][0]'),
        ((Fraction(1, 2),), "result[0]"),
        ({frozenset({Level.LOW}): 1}, "result.keys()[0]{…}"),
        (object, "result"),
    ],
    ids=str,
)
def test_what_would_come_back_as_another_type_is_refused(value: object, where: str) -> None:
    with pytest.raises(TypeError) as caught:
        encode_result(value)
    assert str(caught.value).startswith(f"{where} can't be kept: ")
    assert "give result_type" in str(caught.value)


def test_what_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append({"again": loop})
    with pytest.raises(TypeError, match="holds itself"):
        encode_result(loop)


@pytest.mark.parametrize(
    "wrap", [lambda inner: [inner], lambda inner: {"$k": inner}, lambda inner: (inner,), lambda inner: {1: inner}]
)
def test_the_deepest_value_that_is_encoded_is_decoded(wrap: object) -> None:
    value: object = "core"
    for _ in range(200):
        value = wrap(value)  # type: ignore[operator]
    assert there_and_back(value) == value
    with pytest.raises(TypeError, match="200 deep"):
        encode_result(wrap(value))  # type: ignore[operator]


def test_the_deepest_value_fits_a_small_stack() -> None:
    value: object = None
    for index in range(132):
        value = {"$": (value,)} if index % 2 else [value]
    outcome: list[object] = []
    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=lambda: outcome.append(there_and_back(value)))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert outcome == [value]


class Meddler(tzinfo):
    """A time zone whose code changes the containers it stands in."""

    def __init__(self, meddle: object) -> None:
        """Take what to run."""
        self.meddle = meddle

    def utcoffset(self, _: datetime | None) -> timedelta:
        """Meddle, and give an hour."""
        self.meddle()  # type: ignore[operator]
        return timedelta(hours=1)


def test_a_value_that_changes_under_way_is_refused_not_read_out_of_bounds() -> None:
    items: list[object] = []
    items += [datetime(2026, 1, 1, tzinfo=Meddler(items.clear)), *range(50)]
    with pytest.raises(TypeError, match="changed while"):
        encode_result(items)
    members: dict[object, object] = {}
    members["when"] = datetime(2026, 1, 1, tzinfo=Meddler(lambda: members.update(dict.fromkeys(map(str, range(99))))))
    with pytest.raises(TypeError, match="changed while"):
        encode_result(members)
    pairs: dict[object, object] = {1: 2}
    pairs[2] = datetime(2026, 1, 1, tzinfo=Meddler(pairs.clear))
    with pytest.raises(TypeError, match="changed while"):
        encode_result(pairs)


def test_an_interrupt_in_the_value_s_own_code_is_not_taken_for_a_refusal() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_result(datetime(2026, 1, 1, tzinfo=Meddler(interrupt)))
    with pytest.raises(TypeError, match="ZeroDivisionError"):
        encode_result(datetime(2026, 1, 1, tzinfo=Meddler(lambda: 1 // 0)))


def test_a_zone_of_another_library_is_kept_as_its_offset() -> None:
    value = datetime(2026, 1, 1, tzinfo=Meddler(int))
    assert there_and_back(value) == value
    with pytest.raises(TypeError, match="without its tzinfo"):
        encode_result(time(10, tzinfo=type("Unknown", (tzinfo,), {"utcoffset": lambda *_: None})()))


def test_the_collector_may_encode_and_decode_while_values_are_made() -> None:
    class Noisy:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            assert there_and_back({"k": ["v"], "other": {"k": 1}}) == {"k": ["v"], "other": {"k": 1}}

    value = [{"k": [str(index)], f"k{index}": ()} for index in range(300)]
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(20):
            Noisy()
            assert there_and_back(value) == value
    finally:
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize(
    ("stored", "at"),
    [
        (b"", 0),
        (b"nul", 0),
        (b"1 2", 2),
        (b"01", 1),
        (b"1.", 2),
        (b"1e999", 0),
        (b"[1,]", 3),
        (b'{"a":1,}', 7),
        (b'{"a" 1}', 5),
        (b'"abc', 4),
        (b'"\x01"', 1),
        (b'"\xff"', 1),
        (b'"\\x"', 2),
        (b'"\\u12g4"', 2),
        (b'{"$nope":1}', 1),
        (b'{"$bytes":"a"}', 10),
        (b'{"$bytes":"","x":1}', 12),
        (b'{"$decimal":"one"}', 12),
        (b'{"$uuid":"1"}', 9),
        (b'{"$datetime":"2026-13-01"}', 13),
        (b'{"$datetime":"2026-01-01T00:00:00[Atlantis/Centre]"}', 13),
        (b'{"$timedelta":"P1DT"}', 14),
        (b'{"$set":[[]]}', 9),
        (b'{"$map":[[[],1]]}', 10),
        (b'{"$complex":[1.0]}', 17),
        (b'[{"$typed":1}]', 2),
        (b"[" * 100_000, 201),
        (b'{"$tuple":' * 100_000, 10),
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_was_not_stored_here_is_refused_with_its_place(stored: bytes, at: int) -> None:
    with pytest.raises(ValueError, match=rf"not a result that was stored here: at byte {at}: "):
        decode_result(stored)


def test_a_result_that_a_person_has_indented_is_read() -> None:
    value = {"a": [1, {"b": None}], "c": (1, b"x")}
    stored = json.dumps(json.loads(encode_result(value)), indent=2).encode()
    assert same(decode_result(stored), value)
    assert decode_result(b' "\\u00e9\\/\\ud83d\\ude00" ') == "é/😀"


ZONES = st.sampled_from(
    [None, UTC, BERLIN, timezone(timedelta(hours=-3, seconds=7)), timezone(timedelta(hours=1), "x[y]")]
)
TEXTS = st.text(st.characters(exclude_categories=()))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**2040, max_value=2**2060)
    | st.floats()
    | st.complex_numbers()
    | TEXTS
    | st.binary()
    | st.datetimes(timezones=ZONES, allow_imaginary=True)
    | st.dates()
    | st.times(timezones=ZONES)
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
)
HASHABLE = st.recursive(
    SCALARS.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan())),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
TAGS = ["$bytes", "$tuple", "$dict", "$map", "$typed", "$str", "$", "$datetime", "$set", "$nope"]
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(TEXTS, inner, max_size=4)
        | st.dictionaries(st.sampled_from(TAGS), inner, max_size=2)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=20,
)


@given(VALUES)
@example({"$dict": {"$typed": [{"$bytes": 1}]}})
@settings(max_examples=400, deadline=None)
def test_any_value_comes_back_equal_and_of_its_type(value: object) -> None:
    stored = encode_result(value)
    json.loads(stored)  # anything else reads it too
    assert same(decode_result(stored), value)


JSON_TEXT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TAGS) | st.text(), inner, max_size=2),
    max_leaves=10,
)


@given(JSON_TEXT)
@settings(max_examples=300, deadline=None)
def test_foreign_json_is_read_as_json_or_refused(value: object) -> None:
    stored = json.dumps(value).encode()
    try:
        decoded = decode_result(stored)
    except ValueError:
        assert b'"$' in stored
    else:
        assert b'"$' in stored or same(decoded, value)


def mutations(stored: bytes) -> Iterator[bytes]:
    """Give every prefix of some stored bytes, and every one with a byte replaced."""
    for index in range(len(stored)):
        yield stored[:index]
        for byte in b'"\\{}[],:$0.\xff\x00':
            yield stored[:index] + bytes([byte]) + stored[index + 1 :]


@given(
    st.binary()
    | st.lists(
        st.sampled_from(
            [
                b"{",
                b"}",
                b"[",
                b"]",
                b'"',
                b":",
                b",",
                b"$",
                b"\\u",
                b"d800",
                b"1",
                *(b'"%s":' % tag.encode() for tag in TAGS),
            ]
        )
    ).map(b"".join)
)
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_decoded_or_refused(stored: bytes) -> None:
    try:
        decode_result(stored)
    except ValueError as error:
        assert "at byte" in str(error) or "result_type" in str(error)  # noqa: PT017 - most inputs raise, some need not


def test_every_small_damage_to_a_result_is_decoded_or_refused() -> None:
    value = [
        {"a": 1.5e10, "$é": "\ud800"},
        {"$b": b"12"},
        {3: (True, None)},
        {date(2026, 1, 2), Decimal(1)},
        timedelta(1),
        "\ud800\udc00",
        UUID(int=5),
    ]
    for stored in mutations(encode_result(value)):
        try:
            decode_result(stored)
        except ValueError as error:
            assert "at byte" in str(error) or "result_type" in str(error)  # noqa: PT017
