"""What the native half shows of itself: documentation, signatures, and a decorated function that is a function."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import idempotency_manager
from idempotency_manager import IdempotencyManager, idempotent
from idempotency_manager.testing import ManualClock

PUBLIC = {name: getattr(idempotency_manager, name) for name in idempotency_manager.__all__}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)} | {"ManualClock": ManualClock}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isroutine(value)}
MEMBERS = {
    f"{owner}.{name}": value
    for owner, cls in CLASSES.items()
    for name, value in vars(cls).items()
    if not name.startswith("_")
    and (inspect.isroutine(value) or inspect.isdatadescriptor(value))
    # The slots of a class with fields are told of where the fields are.
    and not inspect.ismemberdescriptor(value)
}


@pytest.mark.parametrize("name", sorted({*CLASSES, *FUNCTIONS, *MEMBERS}))
def test_everything_public_has_a_docstring(name: str) -> None:
    documentation = inspect.getdoc({**CLASSES, **FUNCTIONS, **MEMBERS}[name]) or ""
    summary, *rest = documentation.split("\n")
    assert summary
    assert not rest or rest[0] == ""


@pytest.mark.parametrize("name", sorted({*FUNCTIONS, *(name for name, value in MEMBERS.items() if callable(value))}))
def test_every_public_function_tells_its_signature(name: str) -> None:
    assert inspect.signature({**FUNCTIONS, **MEMBERS}[name]) is not None


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (idempotency_manager.generate_idempotency_key, "(action=None, /, **fields)"),
        (idempotency_manager.parse_idempotency_key, "(key, /)"),
        (idempotency_manager.params_are_equivalent, "(params1, params2, /)"),
        (idempotency_manager.canonicalize, "(value, /)"),
        (idempotency_manager.current_execution, "()"),
        (idempotency_manager.Attempt.complete, "(self, result, /)"),
        (idempotency_manager.Execution.remaining, "(self)"),
        (ManualClock, "(start=None)"),
        (ManualClock.advance, "(self, /, by)"),
    ],
)
def test_a_native_signature_is_as_documented(function: Callable[..., Any], signature: str) -> None:
    assert str(inspect.signature(function)).replace("(self, /", "(self") == signature.replace("(self, /", "(self")


@pytest.mark.parametrize("name", ["IdempotencyRecord", "CheckResult", "IdempotencyStats", "Event", "Attempt"])
def test_what_the_package_hands_out_belongs_to_it_and_is_made_by_nobody_else(name: str) -> None:
    cls = CLASSES[name]
    assert cls.__module__ == "idempotency_manager"
    with pytest.raises(TypeError):
        cls()
    with pytest.raises(TypeError):
        type("Sub", (cls,), {})


def test_a_decorated_function_is_a_callable_with_a_call_of_its_own() -> None:
    with IdempotencyManager() as manager:

        @idempotent(target="trello", manager=manager)
        def create_card(signal_id: str, title: str, *, position: int = 0) -> list[Any]:
            return [signal_id, title, position]

        assert isinstance(create_card, Callable)  # type: ignore[arg-type]
        assert create_card.__call__("order-1", title="hello", position=2) == ["order-1", "hello", 2]
        assert create_card.__call__("order-1", "hello", position=2) == create_card("order-1", "hello", position=2)
        assert manager.stats().duplicates_prevented == 2
        with pytest.raises(TypeError, match="title"):
            create_card.__call__("order-1")  # type: ignore[call-arg]


def test_help_shows_what_a_record_holds() -> None:
    shown = inspect.getdoc(idempotency_manager.IdempotencyRecord)
    assert shown is not None
    text = str(inspect.getdoc(idempotency_manager.IdempotencyRecord.attempt_count))
    assert "prevented duplicates" in text
