"""stats, list, show, doubts, export: looks that change nothing."""

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Commands

LOOKS = [["stats"], ["list"], ["show", "a:b:c:d"], ["doubts"], ["export"], ["cleanup"], ["clear", "a:b:c:d"]]


@pytest.mark.parametrize("words", LOOKS, ids=lambda words: words[0])
def test_a_slip_in_the_path_is_an_error_and_leaves_no_file_behind(
    idempotency: Commands, words: list[str], tmp_path: Path
) -> None:
    ended = idempotency(*words, "--store", f"sqlite:///{tmp_path}/typo.db")
    assert ended.code == 5
    assert f"there is no store at {tmp_path}/typo.db" in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", LOOKS, ids=lambda words: words[0])
def test_a_look_into_another_database_leaves_it_as_it_is(
    idempotency: Commands, words: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    before = file.read_bytes()
    ended = idempotency(*words, "--store", f"sqlite:///{file}")
    assert ended.code == 5
    assert f"there is no store in {file}" in ended.err
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (before, [file])


def test_stats_count_records_and_prevented_duplicates(
    idempotency: Commands, three_records: dict[str, str], store: str
) -> None:
    told = idempotency("stats", "--json").json
    assert (told["total_cached"], told["in_doubt"], told["in_progress"]) == (2, 1, 0)
    assert told["store"] == store
    shown = idempotency("stats")
    assert shown.code == 0
    assert "duplicates prevented" in shown.out


def test_a_list_has_a_line_for_each_record(idempotency: Commands, three_records: dict[str, str]) -> None:
    ended = idempotency("list")
    heading, *rows = ended.out.splitlines()
    assert heading.split() == ["STATE", "AGE", "LEFT", "TRIES", "KEY"]
    assert {(row.split()[0], row.split()[-1]) for row in rows} == set(three_records.items())


def test_a_list_in_json_shows_neither_params_nor_result(idempotency: Commands, three_records: dict[str, str]) -> None:
    listed = idempotency("list", "--json").lines
    assert {record["state"]: record["key"] for record in listed} == three_records
    assert not any({"params", "result", "context"} & set(record) for record in listed)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--action", "post"], {"failed", "in_doubt"}),
        (["--target", "trello"], {"completed", "in_doubt"}),
        (["--target", "trello", "--action", "post"], {"in_doubt"}),
        (["--signal", "s1"], {"completed"}),
        (["--signal", "s1", "--state", "failed"], set()),
        (["--state", "in_doubt"], {"in_doubt"}),
        (["--state", "failed", "--state", "completed"], {"failed", "completed"}),
        (["--newer-than", "1h"], {"completed", "failed", "in_doubt"}),
        (["--older-than", "1h"], set()),
        (["--expiring-within", "3h"], {"completed"}),
        (["--expiring-within", "1h"], set()),
    ],
    ids=" ".join,
)
def test_a_filter_leaves_what_it_names(
    idempotency: Commands, three_records: dict[str, str], options: list[str], expected: set[str]
) -> None:
    ended = idempotency("list", "--json", *options)
    assert ended.code == 0
    assert {record["state"] for record in ended.lines} == expected


def test_a_limit_ends_a_list(idempotency: Commands, three_records: dict[str, str]) -> None:
    assert len(idempotency("export", "--limit", "2").lines) == 2


def test_show_has_all_of_a_record(idempotency: Commands, three_records: dict[str, str]) -> None:
    told = idempotency("show", three_records["completed"], "--json").json
    assert told["result"] == {"id": {"$bytes": "YzE="}}
    assert told["params"] == {"cents": 1}
    assert (told["signal_id"], told["action_type"], told["target"]) == ("s1", "create_card", "trello")
    shown = idempotency("show", three_records["in_doubt"]).out
    assert "in_doubt" in shown
    assert "TimeoutError: lost" in shown


def test_show_says_when_there_is_no_such_record(idempotency: Commands, three_records: dict[str, str]) -> None:
    ended = idempotency("show", "a:b:c:d")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "idempotency: there is no record of 'a:b:c:d'; it may have expired\n"


def test_doubts_say_what_was_broken_off_and_how_to_settle_it(
    idempotency: Commands, three_records: dict[str, str]
) -> None:
    ended = idempotency("doubts")
    assert ended.code == 3
    key = three_records["in_doubt"]
    assert key in ended.out
    assert "TimeoutError: lost" in ended.out
    assert f"idempotency resolve {key} --not-executed" in ended.out
    assert three_records["completed"] not in ended.out
    assert [record["key"] for record in idempotency("doubts", "--json").lines] == [key]


def test_no_doubts_are_good_news(idempotency: Commands) -> None:
    idempotency.once("s1", "true")
    assert idempotency("doubts").code == 0
    assert idempotency("doubts", "--json").out == ""


def test_an_export_has_every_record_whole_on_a_line_of_its_own(
    idempotency: Commands, three_records: dict[str, str]
) -> None:
    exported = idempotency("export").lines
    assert {record["state"]: record["key"] for record in exported} == three_records
    results = {record["state"]: record["result"] for record in exported}
    assert results == {"completed": {"id": {"$bytes": "YzE="}}, "failed": None, "in_doubt": None}


def test_namespaces_do_not_see_each_other(idempotency: Commands) -> None:
    idempotency.once("s1", "true", options=("--namespace", "billing"))
    assert idempotency("list", "--json").out == ""
    assert len(idempotency("list", "--json", "--namespace", "billing").lines) == 1
    assert len(idempotency("list", "--json", IDEMPOTENCY_NAMESPACE="billing").lines) == 1


def test_a_store_may_be_named_before_the_command_or_after_it(
    idempotency: Commands, three_records: dict[str, str], store: str
) -> None:
    for words in (["--store", store, "list", "--json"], ["list", "--json", "--store", store]):
        assert len(idempotency(*words, IDEMPOTENCY_STORE="sqlite:////nowhere/else.db").lines) == 3


def test_what_would_steer_a_terminal_is_shown_as_an_escape(idempotency: Commands) -> None:
    idempotency.once("s1", "printf", "\\033[31mred")
    key = idempotency("list", "--json").json["key"]
    assert "\x1b" not in idempotency("show", key).out


def test_a_reader_who_leaves_early_ends_a_list_quietly(idempotency: Commands, python: object, script: Path) -> None:
    python('for n in range(2_000): manager.mark_executed(f"s{n}:a:t:h", "x" * 100)')  # type: ignore[operator]
    listing = subprocess.Popen(
        [script, "export"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=idempotency.environ
    )
    assert listing.stdout is not None
    assert json.loads(listing.stdout.readline())
    listing.stdout.close()
    assert listing.stderr is not None
    assert listing.stderr.read() == b""
    listing.stderr.close()
    assert listing.wait() == 141
