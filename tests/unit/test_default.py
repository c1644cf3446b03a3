"""The default manager and the module's functions on it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager.testing import set_manager

if TYPE_CHECKING:
    from idempotency_manager import IdempotencyManager
    from idempotency_manager.testing import ManualClock

CARD = {"signal_id": "s1", "action": "create", "target": "trello"}
KEY = im.generate_idempotency_key(CARD)


@pytest.mark.usefixtures("manager")
def test_each_function_does_what_the_manager_s_verb_does(clock: ManualClock) -> None:
    assert im.check_executed(KEY).executed is False
    im.mark_executed(KEY, 1, "1h", {"context": {"trace": "t"}})
    im.execute_with_idempotency({**CARD, "signal_id": "s2"}, lambda: 2)
    assert im.check_executed(KEY).cached_result == 1
    record = im.get_idempotency_record(KEY)
    assert record is not None
    assert record.context == {"trace": "t"}
    assert len(im.get_cached_keys()) == 2
    assert im.get_cached_keys(lambda record: record.result == 1) == [KEY]
    assert (
        set(im.find_keys_by_action_type("create")) == set(im.find_keys_by_target("trello")) == set(im.get_cached_keys())
    )
    assert im.find_keys_by_signal_id("s1") == [KEY]
    assert [record.key for record in im.get_expiring_soon()] == [KEY]
    assert len(im.get_expiring_soon("25h")) == 2
    stats = im.get_idempotency_stats()
    assert (stats.total_cached, stats.cache_hits, stats.cache_misses) == (2, 1, 2)
    im.reset_stats()
    assert im.get_idempotency_stats().cache_hits == 0
    assert im.get_cache_info().current_size == 2
    clock.advance("1h")
    assert im.cleanup_expired() == 1
    assert im.cleanup_oldest_entries(5) == 1
    im.mark_executed(KEY, 1)
    assert im.clear_idempotency_key(KEY) is True
    assert im.clear_idempotency_key(KEY) is False
    im.mark_executed(KEY, 1)
    assert im.clear_all_cache() == 1
    im.stop_auto_cleanup()
    im.start_auto_cleanup()


def test_the_default_manager_is_configured_and_shown(manager: IdempotencyManager) -> None:
    im.configure(default_ttl="2h", max_cache_size=5)
    assert im.get_config() == manager.config
    assert im.get_config().default_ttl == timedelta(hours=2)
    assert im.get_manager() is manager
    with pytest.raises(im.ConfigurationError, match="default_ttl"):
        im.configure(default_ttl=-1)


def test_a_manager_can_be_put_in_place_and_taken_back(manager: IdempotencyManager) -> None:
    other = im.IdempotencyManager()
    assert set_manager(other) is manager
    assert im.get_manager() is other
    assert set_manager(manager) is other
    assert set_manager(None) is manager
    made = im.get_manager()
    assert made is not manager
    assert im.get_manager() is made


def in_a_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("IDEMPOTENCY_")} | environment
    command = [sys.executable, "-c", f"import idempotency_manager as im\n{code}"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("IDEMPOTENCY_DEFAULT_TTL", "3600000", "default_ttl", timedelta(hours=1)),
        ("IDEMPOTENCY_DEFAULT_TTL", "90m", "default_ttl", timedelta(minutes=90)),
        ("IDEMPOTENCY_MAX_CACHE_SIZE", "7", "max_cache_size", 7),
        ("IDEMPOTENCY_ENABLE_AUTO_CLEANUP", "no", "enable_auto_cleanup", False),
        ("IDEMPOTENCY_INCLUDE_PARAMS_IN_KEY", "false", "include_params_in_key", False),
    ],
)
def test_the_default_manager_goes_by_the_environment(variable: str, text: str, field: str, value: Any) -> None:
    ended = in_a_process(f"print(repr(im.get_config().{field}))", **{variable: text})
    assert (ended.stdout.strip(), ended.stderr) == (repr(value), "")


def test_a_function_that_is_decorated_first_goes_by_the_environment_too() -> None:
    code = "f = im.idempotent(lambda signal_id, x: x, target='t', action='f')\nf('s', 1)\nprint(im.get_cached_keys())"
    ended = in_a_process(code, IDEMPOTENCY_INCLUDE_PARAMS_IN_KEY="0")
    assert (ended.stdout.strip(), ended.stderr) == ("['s:f:t']", "")


def test_a_bad_variable_is_an_error_of_the_first_use_that_names_it() -> None:
    ended = in_a_process("print('imported')\nim.get_cached_keys()", IDEMPOTENCY_DEFAULT_TTL="soon")
    assert ended.stdout.strip() == "imported"
    assert ended.returncode == 1
    assert "ConfigurationError: IDEMPOTENCY_DEFAULT_TTL='soon'" in ended.stderr


def test_a_process_that_used_it_ends_by_itself_and_in_silence() -> None:
    code = "im.execute_with_idempotency({'signal_id': 's', 'action': 'a', 'target': 't'}, lambda: 1)\nprint('done')"
    ended = in_a_process(code)
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "done", "")
