"""What a test is given, and what is left when it is over."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from idempotency_manager import ConfigurationError, IdempotencyManager, StoreUnavailableError, get_manager, testing
from idempotency_manager.testing import FaultPlan, ManualClock, inject, set_manager
from tests.plugin.helpers import create_card, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def application() -> Iterator[IdempotencyManager]:
    """The default manager of an application that has configured it."""
    events: list[object] = []
    with IdempotencyManager(
        default_ttl="7d", on_in_doubt="retry", namespace="production", on_event=events.append
    ) as manager:
        before = set_manager(manager)
        yield manager
        set_manager(before)
    assert events == []


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/records.db"


def namespaces_left(url: str, namespaces: list[str]) -> list[str]:
    left = []
    for namespace in namespaces:
        with IdempotencyManager(url, namespace=namespace) as look:
            left += look.get_keys()
    return left


def test_the_applications_settings_hold_but_not_its_records_listener_or_clock(application: IdempotencyManager) -> None:
    with testing.idempotency() as idempotency:
        config = idempotency.manager.config
        assert (config.default_ttl, config.on_in_doubt) == (application.config.default_ttl, "retry")
        assert config.namespace != "production"
        assert config.on_event is None
        assert config.clock is idempotency.clock
        create_card("evt_1")
    assert get_manager() is application
    assert application.get_keys() == []


def test_settings_that_a_test_gives_take_precedence(application: IdempotencyManager) -> None:
    clock = ManualClock()
    with testing.idempotency(default_ttl="1h", clock=clock) as idempotency:
        assert idempotency.clock is clock
        create_card("evt_1")
        clock.advance("1h")
        create_card("evt_1")
        assert len(idempotency.executions) == 2


def test_a_store_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDEMPOTENCY_STORE", "redis://production.invalid/0")
    with testing.idempotency() as idempotency:
        assert idempotency.manager.config.store == "memory://"


def test_a_namespace_or_another_clock_is_refused() -> None:
    class Clock:
        def now(self) -> None: ...

    with pytest.raises(ConfigurationError, match=r"namespace='production': .* emptied when it ends; leave it out"):
        testing.idempotency(namespace="production").__enter__()
    with pytest.raises(ConfigurationError, match=r"clock=.*is a ManualClock"):
        testing.idempotency(clock=Clock()).__enter__()  # type: ignore[typeddict-item]


def test_one_inside_another_has_records_of_its_own() -> None:
    with testing.idempotency() as outer:
        create_card("evt_1")
        with testing.idempotency() as inner:
            inner.assert_not_executed()
            create_card("evt_1")
        assert get_manager() is outer.manager
        assert create_card("evt_1") == "card-1"
        assert outer.assert_executed_once().replays == 1


def test_a_store_is_left_empty_whatever_the_test_did(url: str) -> None:
    namespaces = []

    class BrokenError(Exception):
        pass

    for number in range(3):
        with suppress(BrokenError), testing.idempotency(url) as idempotency:
            namespaces.append(idempotency.manager.config.namespace)
            create_card("evt_1")
            with idempotency.crash_after_effect():
                say("evt_1")
            if number == 0:
                raise BrokenError
            if number == 1:
                idempotency.manager.close()
            if number == 2:
                plan = FaultPlan()
                inject(idempotency.manager, plan)
                plan.fail_before("clear_all", None)
    assert len(set(namespaces)) == 3
    assert namespaces_left(url, namespaces) == []


def test_a_store_that_is_away_is_told_before_the_test_begins(tmp_path: Path) -> None:
    before = get_manager()
    with pytest.raises(StoreUnavailableError):
        testing.idempotency(f"redis+unix:///{tmp_path}/nobody.sock").__enter__()
    assert get_manager() is before


def test_a_function_that_a_test_changes_the_settings_of_is_still_seen() -> None:
    with testing.idempotency() as idempotency:
        idempotency.manager.configure(default_ttl="1h", store_params=False)
        inject(idempotency.manager, FaultPlan())
        create_card("evt_1")
        assert idempotency.assert_executed_once(create_card).params is None


def test_after_the_test_nothing_is_seen_any_more(application: IdempotencyManager) -> None:
    with testing.idempotency() as idempotency:
        idempotency.adopt(application)
        before = application.config.namespace
        assert before != "production"
    assert application.config.namespace == "production"
    application.configure(on_event=None)
    create_card("evt_1")
    assert idempotency.executions == []
