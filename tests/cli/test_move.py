"""import, migrate, schema: records out of a file, and from store to store."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.cli.conftest import Commands, run_python

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def other(tmp_path: Path) -> str:
    """The URL of a second store that is not there yet."""
    return f"sqlite:///{tmp_path}/other.db"


def exported(idempotency: Commands, store: str | None = None) -> str:
    ended = idempotency("export", *(() if store is None else ("--store", store)))
    assert ended.code == 0, ended.err
    return ended.out


def test_what_is_exported_is_imported_as_it_was(
    idempotency: Commands, three_records: dict[str, str], other: str
) -> None:
    lines = exported(idempotency)
    imported = idempotency("import", "--store", other, stdin=lines)
    assert (imported.code, imported.out) == (0, "3 written, 0 same, 0 occupied, 0 expired\n")
    assert sorted(exported(idempotency, other).splitlines()) == sorted(lines.splitlines())
    again = idempotency("import", "--store", other, "--json", stdin=lines)
    assert again.json == {"written": 0, "same": 3, "occupied": 0, "expired": 0}
    assert {json.loads(line)["key"] for line in lines.splitlines()} == set(three_records.values())


def test_an_import_reads_a_file_too(
    idempotency: Commands, three_records: dict[str, str], other: str, tmp_path: Path
) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text(exported(idempotency).replace("\n", "\n\n"))
    assert idempotency("import", str(file), "--store", other, "--json").json["written"] == len(three_records)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line[:-5], "line 2: EOF while parsing"),
        (lambda line: line.replace('"version":1', '"version":2'), "line 2: it is of version 2, and this package reads"),
        (lambda line: line.replace('"version":1,', ""), "line 2: it has no version"),
        (lambda line: line.replace('"state":', '"stat":'), "line 2: unknown field `stat`"),
        (lambda line: line.replace('"attempt_count":1', '"attempt_count":-1'), "line 2: invalid value"),
        (lambda line: line.replace("Z", "", 1), "line 2: "),
        (lambda line: '"text"' + line[:0], "line 2: "),
    ],
)
def test_a_line_that_is_no_record_is_named_and_what_stands_before_it_is_imported(
    idempotency: Commands, three_records: dict[str, str], other: str, change: Any, said: str
) -> None:
    first, second, third = exported(idempotency).splitlines()
    ended = idempotency("import", "--store", other, stdin="\n".join([first, change(second), third]))
    assert ended.code == 2
    assert said in ended.err
    assert "What stands before it is imported" in ended.err
    assert ended.out.startswith("1 written")
    assert len(exported(idempotency, other).splitlines()) == 1


def test_a_record_under_the_same_key_is_left_as_it_is_and_reported(
    idempotency: Commands, three_records: dict[str, str], other: str
) -> None:
    key = three_records["completed"]
    run_python(other, f"manager.mark_executed({key!r}, 'mine')")
    lines = exported(idempotency)
    ended = idempotency("import", "--store", other, stdin=lines)
    assert (ended.code, ended.out) == (1, "2 written, 0 same, 1 occupied, 0 expired\n")
    assert key in ended.err
    assert idempotency("import", "--store", other, "--keep-target", stdin=lines).code == 0
    assert idempotency("show", key, "--store", other, "--json").json["result"] == "mine"


def test_an_expired_record_is_left_out(idempotency: Commands, three_records: dict[str, str], other: str) -> None:
    (line,) = [line for line in exported(idempotency).splitlines() if three_records["completed"] in line]
    record = json.loads(line) | {"expires_at": "2020-02-29T00:00:00Z"}
    assert idempotency("import", "--store", other, stdin=json.dumps(record)).out.endswith("1 expired\n")
    assert exported(idempotency, other) == ""


def test_records_move_from_store_to_store_and_back(
    idempotency: Commands, three_records: dict[str, str], store: str, other: str
) -> None:
    moved = idempotency("migrate", store, other)
    assert (moved.code, moved.err) == (0, "")
    assert moved.out.startswith("3 written, 0 same, 0 occupied, 0 expired\nverified: 3 live records in both, digest ")
    assert sorted(exported(idempotency, other).splitlines()) == sorted(exported(idempotency).splitlines())
    again = idempotency("migrate", store, other, "--json").json
    assert (again["written"], again["same"], again["records"], again["verified"]) == (0, len(three_records), 3, True)
    assert moved.out.strip().endswith(again["digest"])
    assert idempotency("migrate", other, store, "--json").json["same"] == len(three_records)


def test_records_move_to_another_namespace_of_the_same_file(
    idempotency: Commands, three_records: dict[str, str], store: str
) -> None:
    assert idempotency("migrate", store, store, "--to-namespace", "billing").code == 0
    listed = idempotency("list", "--namespace", "billing", "--json").lines
    assert {record["key"] for record in listed} == set(three_records.values())


def test_a_key_that_the_target_has_otherwise_fails_the_move_unless_it_is_to_be_kept(
    idempotency: Commands, three_records: dict[str, str], store: str, other: str
) -> None:
    key = three_records["in_doubt"]
    run_python(other, f"manager.mark_executed({key!r}, 'mine'); manager.mark_executed('other:a:b:c', 'own')")
    failed = idempotency("migrate", store, other)
    assert failed.code == 1
    assert key in failed.err
    kept = idempotency("migrate", store, other, "--keep-target", "--json")
    assert (kept.code, kept.json["occupied"], kept.json["others"], kept.json["verified"]) == (0, 1, 1, True)
    assert idempotency("show", key, "--store", other, "--json").json["result"] == "mine"


@pytest.mark.usefixtures("three_records")
def test_a_record_that_is_not_as_it_was_is_found(idempotency: Commands, store: str, other: str) -> None:
    assert idempotency("migrate", store, other).code == 0
    with sqlite3.connect(other.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE idempotency_records SET result = '2' WHERE state = 'completed'")
    connection.close()
    found = idempotency("migrate", store, other, "--keep-target", "--json")
    assert found.json["occupied"] == 1


def test_what_is_running_is_copied_with_a_warning(idempotency: Commands, store: str, other: str) -> None:
    running = idempotency.start("s1", "sh", "-c", "echo started; cat")
    assert running.stdout is not None
    assert running.stdout.readline() == b"started\n"
    moved = idempotency("migrate", store, other)
    assert moved.code == 0, moved.err
    assert "1 record is of actions in progress" in moved.err
    assert idempotency("list", "--store", other, "--json").json["state"] in ("in_progress", "in_doubt")


@pytest.mark.usefixtures("three_records")
def test_a_store_is_not_copied_to_itself(idempotency: Commands, store: str, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tmp_path)
    for same in (store, store.replace("store.db", "here/store.db"), f"{store}?synchronous=normal"):
        ended = idempotency("migrate", store, same)
        assert ended.code == 2
        assert "the same store" in ended.err


def test_a_store_that_is_not_there_is_no_source(idempotency: Commands, store: str, other: str) -> None:
    missing = idempotency("migrate", store, other)
    assert missing.code == 5
    assert "no store at" in missing.err
    in_memory = idempotency("migrate", "memory://", other)
    assert in_memory.code == 2
    assert "copy_records" in in_memory.err
    unreadable = idempotency("migrate", "nosql://host", other)
    assert unreadable.code == 2
    assert "FROM_URL" in unreadable.err


def test_the_tables_script_makes_the_tables(idempotency: Commands, tmp_path: Path) -> None:
    printed = idempotency("schema", "--print", "--engine", "sqlite")
    assert printed.code == 0
    with sqlite3.connect(tmp_path / "made.db") as connection:
        connection.executescript(printed.out)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    connection.close()
    assert "idempotency_records" in tables
    assert (
        idempotency("schema", "--print", "--engine", "sqlite", "--json").json["script"].strip() == printed.out.strip()
    )
    assert idempotency("schema").code == 2


def test_the_tables_script_makes_the_tables_of_postgresql(idempotency: Commands, postgres_url: str) -> None:
    printed = idempotency("schema", "--print")
    assert printed.code == 0
    with psycopg.connect(postgres_url) as connection:
        connection.execute(printed.out.encode())
        made = connection.execute("SELECT to_regclass('idempotency_records')").fetchone()
    assert made != (None,)


def test_a_terminal_of_another_encoding_gets_json_all_the_same(idempotency: Commands, other: str) -> None:
    run_python(other, "manager.execute(Action('заказ', 'send', 'mail'), lambda: 'готово 🎉')")
    plain, ascii_only = (idempotency("export", "--store", other, PYTHONIOENCODING=name) for name in ("utf-8", "ascii"))
    assert ascii_only.out.isascii()
    assert ascii_only.json == plain.json
    assert plain.json["result"] == "готово 🎉"
