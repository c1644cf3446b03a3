"""resolve, clear, cleanup."""

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Commands


def test_a_doubt_is_resolved_with_a_result_that_duplicates_get(
    idempotency: Commands, three_records: dict[str, str], python: Callable[..., str]
) -> None:
    key = three_records["in_doubt"]
    ended = idempotency("resolve", key, "--result", '{"id": {"$bytes": "YzI="}}')
    assert (ended.code, ended.out) == (0, f"{key} is completed\n")
    assert python(f"print(manager.check_executed({key!r}).cached_result)") == "{'id': b'c2'}\n"


def test_a_result_may_come_by_stdin(idempotency: Commands, three_records: dict[str, str]) -> None:
    key = three_records["in_doubt"]
    assert idempotency("resolve", key, "--result", "-", "--json", stdin="[1]").json["state"] == "completed"
    assert idempotency("show", key, "--json").json["result"] == [1]


def test_a_doubt_that_was_not_executed_is_gone(idempotency: Commands, three_records: dict[str, str]) -> None:
    key = three_records["in_doubt"]
    assert idempotency("resolve", key, "--not-executed", "--json").json == {"key": key, "state": None}
    assert idempotency("show", key).code == 1
    assert idempotency("doubts").code == 0


@pytest.mark.parametrize("state", ["completed", "failed"])
def test_what_is_not_in_doubt_is_not_resolved(idempotency: Commands, three_records: dict[str, str], state: str) -> None:
    key = three_records[state]
    before = idempotency("show", key, "--json").out
    ended = idempotency("resolve", key, "--not-executed")
    assert ended.code == 1
    assert f"is {state}, so there is no doubt to resolve" in ended.err
    assert idempotency("show", key, "--json").out == before


@pytest.mark.parametrize(
    "options",
    [[], ["--not-executed", "--result", "1"], ["--result", "{"], ["--result", "NaN"], ["--result", '{"$bytes": "?"}']],
    ids=" ".join,
)
def test_a_resolution_that_makes_no_sense_changes_nothing(
    idempotency: Commands, three_records: dict[str, str], options: list[str]
) -> None:
    assert idempotency("resolve", three_records["in_doubt"], *options).code == 2
    assert idempotency("doubts").code == 3


def test_clear_forgets_one_key(idempotency: Commands, three_records: dict[str, str]) -> None:
    key = three_records["completed"]
    assert idempotency("clear", key).out == f"cleared {key}\n"
    assert idempotency("clear", key).code == 1
    assert len(idempotency("list", "--json").lines) == 2


def test_clear_says_that_what_was_in_doubt_may_happen_again(
    idempotency: Commands, three_records: dict[str, str]
) -> None:
    assert "which was in doubt: it may have happened" in idempotency("clear", three_records["in_doubt"]).out


def test_clear_all_needs_a_yes_where_nobody_can_be_asked(idempotency: Commands, three_records: dict[str, str]) -> None:
    refused = idempotency("clear", "--all")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert len(idempotency("list", "--json").lines) == 3
    assert idempotency("clear", "--all", "--yes", "--json").json == {"cleared": 3}
    assert idempotency("list", "--json").out == ""


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 130, 3), (b"y\n", 0, 0)], ids=["no", "yes"])
def test_clear_all_asks_at_a_terminal(
    idempotency: Commands, three_records: dict[str, str], answer: bytes, code: int, left: int
) -> None:
    terminal = idempotency.at_terminal("clear", "--all")
    terminal.read_until(b"[y/N]")
    assert b"3 records" in terminal.shown
    terminal.type(answer)
    assert terminal.close() == code
    assert len(idempotency("list", "--json").lines) == left


def test_cleanup_removes_what_has_expired_and_keeps_doubt(
    idempotency: Commands, three_records: dict[str, str], python: Callable[..., str]
) -> None:
    python(
        'manager.mark_executed("old:a:t:h", 1, ttl="20ms")\n'
        "import time\n"
        'while manager.get_record("old:a:t:h"): time.sleep(0.005)',
        lease="10ms",
        enable_auto_cleanup=False,
    )
    assert idempotency("cleanup", "--json").json == {"removed": 1}
    assert idempotency("cleanup").out == "removed 0 expired records\n"
    assert len(idempotency("list", "--json").lines) == 3


def test_json_errors_are_json_too(idempotency: Commands, three_records: dict[str, str]) -> None:
    ended = idempotency("show", "a:b:c:d", "--json")
    told = json.loads(ended.err)
    assert (told["error"], told["exit_code"], ended.code) == ("CommandError", 1, 1)
    assert "no record" in told["message"]
