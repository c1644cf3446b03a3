"""Results of classes come back as their class, by the annotation alone."""

# Annotations are strings here, as in most modules that are typed with care.
from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections import namedtuple
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum, auto
from functools import partial, wraps
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)

import pytest

from idempotency_manager._core import decode_result, encode_result
from idempotency_manager._typed import converter_for, return_converter

T = TypeVar("T")


class Colour(StrEnum):
    """An Enum whose values are texts."""

    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    """An Enum whose values are integers."""

    LOW = 1
    HIGH = 2


class Mixed(Enum):
    """An Enum whose values are anything."""

    PAIR = (1, 2)
    NOTHING = None


class Right(Flag):
    """A Flag."""

    READ = auto()
    WRITE = auto()


@dataclass(frozen=True, slots=True)
class Due:
    """A frozen dataclass with slots."""

    day: date
    colour: Colour = Colour.RED


@dataclass
class Card:
    """A dataclass with all there is to one."""

    id: str
    due: Due | None = None
    parts: list[Card] = field(default_factory=list)
    by_level: dict[Level, Due] = field(default_factory=dict)
    tags: set[Colour] = field(default_factory=set)
    price: Decimal = Decimal("1.10")
    length: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Set what the constructor does not take."""
        self.length = len(self.id)


class Point(NamedTuple):
    """A NamedTuple."""

    x: int
    level: Level = Level.LOW


Bare = namedtuple("Bare", ["a", "b"])  # noqa: PYI024 - the untyped kind is what is tested


class Board(TypedDict):
    """A TypedDict that holds a dataclass."""

    name: str
    card: NotRequired[Card]


class Names(TypedDict):
    """A TypedDict of plain values."""

    name: str


@dataclass
class Page(Generic[T]):
    """A generic dataclass."""

    items: list[T]
    next: Page[T] | None = None


@dataclass
class Titled(Page[Due]):
    """A dataclass that says what its base is generic in."""

    title: str = ""


@dataclass(eq=False)
class Identity:
    """A dataclass whose instances are equal to nothing else."""

    name: str


@dataclass
class Note:
    """A dataclass with the fields of another."""

    id: str


@dataclass
class Memo:
    """A dataclass with the fields of another."""

    id: str


CardId = NewType("CardId", str)
DueId = NewType("DueId", Due)
DAY = date(2026, 11, 21)
CARD = Card("c1", Due(DAY, Colour.BLUE), [Card("c2")], {Level.HIGH: Due(DAY)}, {Colour.RED, Colour.BLUE})


def there_and_back(value: Any, annotation: Any) -> Any:
    """Encode and decode a value by an annotation, and see that it needed one."""
    converter = converter_for(annotation)
    assert converter is not None
    stored = encode_result(value, converter)
    assert stored.startswith(b'{"$typed":')
    with pytest.raises(ValueError, match="result_type"):
        decode_result(stored)
    return decode_result(stored, converter_for(annotation))


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (CARD, Card),
        (Card("c", None), Card | None),
        (Due(DAY), Optional[Due]),  # noqa: UP045 - the older spelling is what is tested
        (Colour.BLUE, Colour),
        (Level.HIGH, Level),
        (Mixed.PAIR, Mixed),
        (Mixed.NOTHING, Mixed | None),
        (Right.READ | Right.WRITE, Right),
        (Point(1, Level.HIGH), Point),
        (Bare(1, (2,)), Bare),
        ({"name": "b", "card": CARD}, Board),
        ([Due(DAY)], list[Due]),
        ((Due(DAY), Due(DAY)), Sequence[Due]),
        ((Due(DAY), 1, Colour.RED), tuple[Due, int, Colour]),
        ((Level.LOW,), tuple[Level, ...]),
        ({Due(DAY), Due(DAY, Colour.BLUE)}, set[Due]),
        (frozenset({Colour.RED}), frozenset[Colour]),
        ({Colour.RED: [Point(1)]}, Mapping[Colour, list[Point]]),
        ({Due(DAY): 1}, dict[Due, int]),
        ({"a": Due(DAY)}, dict[str, Due]),
        ([Note("n"), Memo("m"), "text", None, Due(DAY)], list[Note | Memo | str | Due | None]),
        ([[Note("n")], [Memo("n")]], list[Union[list[Note], list[Memo]]]),  # noqa: UP007
        (Page([Due(DAY)], Page([])), Page[Due]),
        (Page([Page([Colour.RED])]), Page[Page[Colour]]),
        (Titled([Due(DAY)], None, "t"), Titled),
        (Due(DAY), DueId),
        (Due(DAY), Annotated[Due, "of a card", []]),
        (Level.LOW, Literal[Level.LOW, "none"]),
        (Due(DAY), Awaitable[Due]),
        (Due(DAY), Coroutine[Any, Any, Due]),
        (Card("nan", price=Decimal("NaN")), Card),
        (Page([float("nan")]), Page[float]),
    ],
    ids=lambda each: str(each)[:60],
)
def test_a_value_comes_back_as_its_class(value: Any, annotation: Any) -> None:
    back = there_and_back(value, annotation)
    assert type(back) is type(value)
    assert back == value or "nan" in repr(value)
    assert repr(back) == repr(value) or isinstance(value, (set, frozenset, Card, dict))


def test_the_stored_text_is_one_that_a_person_reads() -> None:
    stored = encode_result(Card("c1", Due(DAY)), converter_for(Card))
    assert json.loads(stored) == {
        "$typed": {
            "id": "c1",
            "due": {"day": {"$date": "2026-11-21"}, "colour": "red"},
            "parts": [],
            "by_level": [],
            "tags": {"set": []},
            "price": {"$decimal": "1.10"},
            "length": 2,
        }
    }


def test_a_class_without_equality_comes_back_with_equal_fields() -> None:
    back = there_and_back(Identity("a"), Identity)
    assert type(back) is Identity
    assert back.name == "a"


@pytest.mark.parametrize(
    "annotation",
    [
        *(None, Any, object, bool, int, float, str, bytes, dict, list, tuple, set, date, Decimal, Names, CardId, T),
        *(dict[str, Any], list[int], list[T], tuple[int, ...], tuple[int, str], tuple[()], Sequence[str]),
        *(int | str | None, Literal["a", 1], Annotated[int, 1], Awaitable[None], Callable[[], int], "Card"),
    ],
    ids=str,
)
def test_an_annotation_of_plain_values_needs_no_converter(annotation: Any) -> None:
    assert converter_for(annotation) is None


@pytest.mark.parametrize("value", [None, 0, "", {}, {"id": "c1"}, {"$typed": 1}, [1], (b"",)], ids=str)
def test_a_plain_value_where_a_class_is_annotated_comes_back_as_it_was(value: Any) -> None:
    converter = converter_for(Card)
    stored = encode_result(value, converter)
    assert stored == encode_result(value)
    assert decode_result(stored, converter) == value
    assert decode_result(stored) == value


class Sub(Note):
    """A subclass of what is annotated."""


@dataclass
class Counting:
    """A dataclass that comes back changed."""

    number: int

    def __post_init__(self) -> None:
        """Set what the constructor does not take."""
        self.number += 1


@dataclass
class Derived:
    """A dataclass that can't be built of its fields."""

    seed: InitVar[int]
    number: int = 0


@dataclass
class Forgetful:
    """A dataclass whose equality looks at more than its fields."""

    name: str

    def __eq__(self, other: object) -> bool:
        """Compare all attributes."""
        return isinstance(other, Forgetful) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def forgetful() -> Forgetful:
    """Make one with more than its fields."""
    value = Forgetful("a")
    value.more = 1  # type: ignore[attr-defined]
    return value


@pytest.mark.parametrize(
    ("value", "annotation", "reason"),
    [
        (Sub("a"), Note, "Sub is no Note"),
        (Note("a"), Memo, "Note is no Memo"),
        (Note("a"), Names, "give result_type"),
        (Note("a"), None, "give result_type"),
        (Page([Note("a")]), Page, "result.items"),
        (Counting(1), Counting, "other fields"),
        (Derived(1), Derived, "TypeError"),
        (forgetful(), Forgetful, "not equal"),
        ([Note("a"), 1j.conjugate], list[Note], "no Note"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_would_not_come_back_is_refused_with_the_reason(value: Any, annotation: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        encode_result(value, converter_for(annotation))


def test_a_class_that_holds_itself_is_refused() -> None:
    loop = Card("a")
    loop.parts.append(loop)
    with pytest.raises(TypeError, match="RecursionError"):
        encode_result(loop, converter_for(Card))


def test_stored_fields_that_no_longer_fit_the_class_are_an_error_that_says_so() -> None:
    stored = encode_result(Card("a"), converter_for(Card))
    with pytest.raises(ValueError, match=r"does not fit its type: TypeError: Note has no field by_level, due"):
        decode_result(stored, converter_for(Note))
    with pytest.raises(ValueError, match="does not fit its type"):
        decode_result(b'{"$typed":"green"}', converter_for(Colour))


def test_a_field_that_was_added_since_gets_its_default() -> None:
    assert decode_result(b'{"$typed":{"id":"a"}}', converter_for(Card)) == Card("a")


def test_stored_data_can_t_name_a_class() -> None:
    stored = b'{"$typed":{"Card":{"id":"a"}}}'
    with pytest.raises(ValueError, match="does not fit"):
        decode_result(stored, converter_for(Note | Memo))


def card() -> Card:
    """Return a class."""
    return CARD


async def later() -> Later | None:
    """Return a class that is defined further down."""
    return None


def nothing() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
    """Return a class that is defined nowhere."""


def plain() -> dict[str, Any]:
    """Return plain values."""
    return {}


@dataclass
class Later:
    """A class that is defined after the function that returns it."""

    name: str


class Furniture:
    """A class with a method, and callable itself."""

    def move(self) -> Card:
        """Return a class."""
        return CARD

    def __call__(self) -> Card:
        """Return a class."""
        return CARD


class Desk(Furniture):
    """A class that inherits being callable."""


@wraps(card)
def wrapped() -> Any:
    """Return what another function returns."""
    return card()


@pytest.mark.parametrize(
    "function",
    [card, wrapped, partial(card), Desk().move, Desk.move, Desk()],
    ids=["function", "wrapped", "partial", "bound method", "method", "callable"],
)
def test_a_return_annotation_is_a_result_type(function: Any) -> None:
    stored = encode_result(CARD, return_converter(function))
    assert decode_result(stored, return_converter(function)) == CARD


def test_a_class_that_is_called_returns_itself() -> None:
    stored = encode_result(Note("a"), return_converter(Note))
    assert decode_result(stored, return_converter(Note)) == Note("a")


def test_a_return_annotation_may_name_what_is_defined_later_or_in_a_closure() -> None:
    stored = encode_result(Later("a"), return_converter(later))
    assert decode_result(stored, return_converter(later)) == Later("a")

    @dataclass
    class Local:
        parts: list[Local]

    def local() -> Local:
        return Local([])

    stored = encode_result(Local([Local([])]), return_converter(local))
    assert decode_result(stored, return_converter(local)) == Local([Local([])])


def test_a_return_annotation_that_names_nothing_refuses_the_class_and_says_why() -> None:
    with pytest.raises(TypeError, match="name 'Nowhere' is not defined"):
        encode_result(CARD, return_converter(nothing))
    assert encode_result({"a": 1}, return_converter(nothing)) == b'{"a":1}'
    with pytest.raises(TypeError, match="names no class that could be rebuilt"):
        encode_result(CARD, return_converter(plain))


def test_a_function_without_a_class_to_return_needs_no_converter() -> None:
    assert return_converter(lambda: CARD) is None
    assert return_converter(print) is None
    assert return_converter(Desk.__init__) is None


def test_importing_it_imports_nothing_costly() -> None:
    code = (
        "import sys; before = set(sys.modules); from idempotency_manager._typed import converter_for, return_converter;"
        "assert converter_for(dict) is None; assert return_converter(lambda: 1) is None;"
        "print(*sorted({'typing', 'dataclasses', 'enum', 'inspect', 'datetime'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import idempotency_manager;" + code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_attrs_classes_come_back() -> None:
    attrs = importlib.import_module("attrs")

    @attrs.define
    class Item:
        name: str
        _level: Level = Level.LOW
        total: int = attrs.field(init=False, default=3)

    item = Item("a", Level.HIGH)
    item.total = 5
    assert there_and_back(item, Item) == item


def test_pydantic_models_come_back() -> None:
    pydantic = importlib.import_module("pydantic")

    class Owner(pydantic.BaseModel):
        name: str
        colour: Colour = Colour.RED

    class Task(pydantic.BaseModel):
        id: int = pydantic.Field(alias="taskId")
        owners: tuple[Owner, ...] = ()
        due: date | None = None
        price: Decimal = Decimal("1.10")
        raw: bytes = b"\xff"
        hidden: str = pydantic.Field(default="x", exclude=True)

        @pydantic.computed_field
        def double(self) -> int:
            return self.id * 2

    task = Task(taskId=3, due=DAY)
    assert there_and_back(task, Task) == task
    assert there_and_back([task], list[Task]) == [task]
    owner = Owner(name="a", colour=Colour.BLUE)
    assert there_and_back(owner, Owner).colour is Colour.BLUE
    assert there_and_back(Page([owner]), Page[Owner]) == Page([owner])
    with pytest.raises(TypeError, match="can't be kept"):
        encode_result(Task(taskId=3, hidden="not dumped"), converter_for(Task))
