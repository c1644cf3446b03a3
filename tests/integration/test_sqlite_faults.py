"""A database file that breaks: what a caller meets, and what is never lost. All of it is done to real files.

The promise is the same for each: before the claim a `StoreError`, and the effect does not run; after the effect bounded
retries, then `ResultNotRecordedError`, which carries the result. The text names the file and the remedy.
"""

import contextlib
import fcntl
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.integration.store_user import LEASE_SECONDS, ROOT, Child, result_of, user

LARGE = 200_000
RECORDS = 300


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


def url(file: Path, options: str = "") -> str:
    return f"sqlite:///{file}{options}"


def beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def refused(answer: dict[str, Any], file: Path, remedy: str) -> None:
    """Check that the store could not be used, that no effect ran, and that the text helps."""
    assert "StoreError" in answer.get("kinds", ()), answer
    assert "ResultNotRecordedError" not in answer["kinds"]
    assert answer["effects"] == 0
    assert str(file) in answer["text"]
    assert remedy in answer["text"]


def not_recorded(answer: dict[str, Any], file: Path, result: str, remedy: str) -> None:
    """Check that the effect ran, that its result came with the error, and that the text helps."""
    assert answer.get("error") == "ResultNotRecordedError", answer
    assert answer["effects"] == 1
    assert answer["carried"] == result
    assert str(file) in answer["text"]
    assert remedy in answer["text"]


def works(child: Child, name: str) -> None:
    """Check that an action runs once and is replayed."""
    assert child("execute", name=name) == {"result": result_of(name), "effects": 1}
    assert child("execute", name=name) == {"result": result_of(name), "effects": 0}


def ends_in_doubt(child: Child, name: str) -> None:
    """Check that the record of an action is in doubt once its lease has lapsed."""
    until = time.monotonic() + 20 * LEASE_SECONDS
    while (answer := child("state", name=name)) == {"result": "in_progress"} and time.monotonic() < until:
        time.sleep(LEASE_SECONDS / 10)
    assert answer == {"result": "in_doubt"}


# ---------------------------------------------------------------------------------------------- no space


class Disk:
    """A disk that a test can fill, with a child that keeps its records there."""

    def __init__(self, child: Child, file: Path, words: str) -> None:
        self.child, self.file, self.words = child, file, words

    def fill(self) -> None:
        self.child("fill", path=str(self.file.parent / "filler"))

    def free(self) -> None:
        self.child("free", path=str(self.file.parent / "filler"))


class Quota(Disk):
    """A limit on the size of a file, which anybody may set for himself."""

    def fill(self) -> None:
        self.child("limit", size=max(each.stat().st_size for each in (self.file, beside(self.file, "-wal"))))

    def free(self) -> None:
        self.child("limit", size=-1)


def mounting(folder: Path) -> list[str]:
    """Give the command that runs another one with a small disk of its own at a folder, where this user may."""
    unshare = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    return [*unshare, "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"', str(folder)]


def may_mount(folder: Path) -> bool:
    try:
        return subprocess.run([*mounting(folder), "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(params=["disk", "quota"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk of 1 MB where one may be mounted, else the quota twice; one action is recorded on it."""
    mounted = request.param == "disk" and may_mount(tmp_path)
    file = tmp_path / "records.db"
    with user(url(file), *(mounting(tmp_path) if mounted else ())) as child:
        works(child, "first")
        yield Disk(child, file, "space") if mounted else Quota(child, file, "limit")


class TestAFullDisk:
    def test_a_claim_that_does_not_fit_is_refused_and_works_again_with_room(self, disk: Disk) -> None:
        disk.fill()
        refused(disk.child("execute", name="large", params=LARGE), disk.file, disk.words)
        assert disk.child("execute", name="first") == {"result": "first", "effects": 0}
        disk.free()
        assert disk.child("execute", name="large", params=LARGE) == {"result": "large", "effects": 1}
        works(disk.child, "later")

    def test_a_result_that_does_not_fit_comes_with_the_error(self, disk: Disk) -> None:
        disk.child("execute", name="paid", result=LARGE, pause=True)
        disk.fill()
        answer = disk.child("go")
        not_recorded(answer, disk.file, result_of("paid", LARGE), disk.words)
        disk.free()
        ends_in_doubt(disk.child, "paid")
        works(disk.child, "later")


# ---------------------------------------------------------------------------------------------- permissions


@contextlib.contextmanager
def permitted(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


class TestWhatMayNotBeWritten:
    def test_a_read_only_folder_without_a_file(self, file: Path) -> None:
        with permitted(file.parent, 0o555), user(url(file)) as child:
            refused(child("execute", name="a"), file, "change its owner or its permissions")
        assert not file.exists()

    def test_a_read_only_folder_with_a_file(self, file: Path) -> None:
        with user(url(file)) as child:
            works(child, "a")
            child.end()
        with permitted(file.parent, 0o555), user(url(file)) as child:
            refused(child("execute", name="b"), file, "change its owner or its permissions")

    @pytest.mark.parametrize("mode", [0o444, 0o000], ids=["read-only", "unreadable"])
    def test_a_file_that_may_not_be_written(self, file: Path, mode: int) -> None:
        with user(url(file)) as child:
            works(child, "a")
            child.end()
        with user(url(file)) as child:
            with permitted(file, mode):
                refused(child("execute", name="b"), file, "change its owner or its permissions")
            works(child, "c")

    def test_a_folder_that_is_missing(self, file: Path) -> None:
        missing = file.parent / "missing" / file.name
        with user(url(missing)) as child:
            refused(child("execute", name="a"), missing, "create it (mkdir -p)")
            missing.parent.mkdir()
            works(child, "a")


# ---------------------------------------------------------------------------------------------- damage


@pytest.fixture
def kept(file: Path) -> Path:
    """A file that keeps the results of many actions, and that nobody has open."""
    with user(url(file, "?synchronous=normal")) as child:
        for number in range(RECORDS):
            assert child("execute", name=f"n{number}") == {"result": f"n{number}", "effects": 1}
        child.end()
    with contextlib.closing(sqlite3.connect(file)) as last:  # whatever is left in the log comes into the file
        assert last.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert not beside(file, "-wal").exists()
    return file


def overwrite(file: Path, place: int, content: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)


def page_size(file: Path) -> int:
    return int.from_bytes(file.read_bytes()[16:18])


def spoil_every_page(file: Path) -> None:
    for place in range(page_size(file), file.stat().st_size, page_size(file)):
        overwrite(file, place, b"\xff")


class TestADamagedFile:
    @pytest.mark.parametrize(
        ("harm", "remedy"),
        [
            (lambda file: os.truncate(file, file.stat().st_size // 2), ".recover"),
            (lambda file: os.truncate(file, 150), "is damaged"),
            (lambda file: overwrite(file, 0, bytes(100)), "restore it from a backup"),
            (spoil_every_page, ".recover"),
        ],
        ids=["half", "stump", "headless", "spoilt"],
    )
    def test_no_action_that_it_kept_runs_again(self, kept: Path, harm: Callable[[Path], None], remedy: str) -> None:
        harm(kept)
        with user(url(kept)) as child:
            for number in range(0, RECORDS, 30):
                refused(child("execute", name=f"n{number}"), kept, remedy)

    def test_a_flipped_bit_ends_no_process_and_raises_nothing_but_the_packages_errors(self, kept: Path) -> None:
        whole, random = kept.read_bytes(), Random(7)
        seen = set()
        with user(url(kept)) as child:
            for flip in range(40):
                copy = kept.with_name(f"flipped{flip}.db")
                place = random.randrange(len(whole) if flip % 2 else 4 * page_size(kept))
                copy.write_bytes(whole)
                overwrite(copy, place, bytes([whole[place] ^ 1 << random.randrange(8)]))
                child("open", url=url(copy))
                seen |= {child("execute", name=f"n{number}").get("error") for number in range(0, RECORDS, 50)}
            child("open", url=url(kept))
            assert child("execute", name="n0") == {"result": "n0", "effects": 0}
        assert {None, "StoreError"} <= seen

    def test_what_is_no_database_is_refused_and_left_as_it_is(self, file: Path) -> None:
        file.write_text("Dear diary, " * 1_000)
        with user(url(file)) as child:
            refused(child("execute", name="a"), file, "correct the path")
        assert file.read_text() == "Dear diary, " * 1_000

    def test_tables_of_a_later_version_are_refused_and_left_as_they_are(self, kept: Path) -> None:
        with contextlib.closing(sqlite3.connect(kept)) as later:
            later.execute("PRAGMA user_version = 99")
        before = kept.read_bytes()
        with user(url(kept)) as child:
            refused(child("execute", name="n0"), kept, "upgrade it here")
        assert kept.read_bytes() == before


# ---------------------------------------------------------------------------------------------- pulled away


def delete(file: Path) -> None:
    file.unlink()


def delete_log(file: Path) -> None:
    beside(file, "-wal").unlink()


def replace(file: Path) -> None:
    file.rename(file.with_name("moved.db"))
    file.write_bytes(b"")


pulled_away = pytest.mark.parametrize("pull", [delete, delete_log, replace])


class TestAFileThatIsPulledAway:
    @pulled_away
    def test_a_new_action_is_refused(self, file: Path, pull: Callable[[Path], None]) -> None:
        with user(url(file)) as child:
            works(child, "a")
            pull(file)
            refused(child("execute", name="b"), file, "moved, replaced or deleted")

    @pulled_away
    def test_a_result_is_recorded_or_comes_with_the_error(self, file: Path, pull: Callable[[Path], None]) -> None:
        with user(url(file)) as child, user(url(file)) as other:
            child("execute", name="a", pause=True)
            pull(file)
            answer = child("go")
            assert answer["effects"] == 1
            if "error" not in answer:  # a deleted log is still open, so what it holds can be saved
                assert other("execute", name="a") == {"result": "a", "effects": 0}
            else:
                # Which one it is depends on whether the lease was to be renewed meanwhile: that finds another file.
                assert answer["error"] in {"ResultNotRecordedError", "LeaseLostError"}
                assert answer["carried"] == "a"


# ---------------------------------------------------------------------------------------------- a foreign lock

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
print("released", flush=True)
"""


class Holder:
    """Another program that writes to the file and takes its time."""

    def __init__(self, file: Path) -> None:
        command = [sys.executable, "-c", HOLDER, str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect("held")

    def release(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._expect("released")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == word


@pytest.fixture
def hold() -> Iterator[Callable[[Path], Holder]]:
    holders: list[Holder] = []

    def start(file: Path) -> Holder:
        holders.append(Holder(file))
        return holders[-1]

    yield start
    for holder in holders:
        holder.end()


class TestAnotherWriterThatHoldsTheLock:
    def test_one_that_ends_within_the_busy_timeout_is_waited_for(
        self, file: Path, hold: Callable[[Path], Holder]
    ) -> None:
        with user(url(file, "?busy_timeout=20s")) as child:
            works(child, "a")
            holder = hold(file)
            child.send("execute", name="b")
            time.sleep(0.5)  # it waits meanwhile; there is nothing that would say so
            holder.release()
            assert child.read() == {"result": "b", "effects": 1}

    def test_one_that_takes_longer_is_no_end_of_the_world(self, file: Path, hold: Callable[[Path], Holder]) -> None:
        with user(url(file, "?busy_timeout=200ms")) as child:
            works(child, "a")
            holder = hold(file)
            answer = child("execute", name="b")
            refused(answer, file, "raise busy_timeout")
            assert "StoreUnavailableError" in answer["kinds"]
            assert child("execute", name="a") == {"result": "a", "effects": 0}
            holder.release()
            works(child, "b")

    def test_one_that_comes_while_the_effect_happens_is_outlasted(
        self, file: Path, hold: Callable[[Path], Holder]
    ) -> None:
        with user(url(file, "?busy_timeout=20s")) as child:
            child("execute", name="a", pause=True)
            holder = hold(file)
            child.send("go")
            time.sleep(0.5)  # it waits meanwhile; there is nothing that would say so
            holder.release()
            assert child.read() == {"result": "a", "effects": 1}
            assert child("execute", name="a") == {"result": "a", "effects": 0}

    def test_one_that_does_not_end_costs_bounded_retries_and_no_result(
        self, file: Path, hold: Callable[[Path], Holder]
    ) -> None:
        with user(url(file, "?busy_timeout=200ms")) as child:
            child("execute", name="a", pause=True)
            holder = hold(file)
            not_recorded(child("go"), file, "a", "raise busy_timeout")
            holder.release()
            ends_in_doubt(child, "a")
            works(child, "b")

    def test_a_process_that_was_stopped_in_its_turn_blocks_nobody_for_longer(self, file: Path) -> None:
        with user(url(file, "?busy_timeout=200ms")) as child:
            works(child, "a")
            with beside(file, "-queue").open("r+b") as queue:  # as a process that was stopped while it wrote has it
                fcntl.flock(queue, fcntl.LOCK_EX)
                answer = child("execute", name="b")
            refused(answer, file, "raise busy_timeout")
            assert "StoreUnavailableError" in answer["kinds"]
            works(child, "b")


# ---------------------------------------------------------------------------------------------- death in a commit

STORM = """
import os, sys, threading
from idempotency_manager import IdempotencyManager
manager = IdempotencyManager(sys.argv[1], lease="1s")
def storm(thread):
    for number in range(1_000_000):
        name = f"{sys.argv[2]}-{thread}-{number}"
        manager.execute({"signal_id": name, "action": "card", "target": "trello"}, lambda: name * 9)
        os.write(1, f"{name}\\n".encode())
for thread in range(8):
    threading.Thread(target=storm, args=(thread,)).start()
"""
CHECK = """
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("PRAGMA integrity_check").fetchall())
"""
RECALL = """
import sys
from idempotency_manager import IdempotencyManager
manager = IdempotencyManager(sys.argv[1])
for name in sys.stdin.read().split():
    record = manager.get_record(manager.generate_key({"signal_id": name, "action": "card", "target": "trello"}))
    if record is None or record.state != "completed" or record.result != name * 9:
        print(name, record)
"""


def python(program: str, *arguments: str, given: str = "") -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=True, timeout=50).stdout


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_a_process_killed_in_a_storm_of_commits_leaves_a_sound_file_that_forgets_nothing(
    file: Path, synchronous: str
) -> None:
    random, acknowledged = Random(7), []
    store = url(file, f"?synchronous={synchronous}")
    for life in range(8):
        command = [sys.executable, "-c", STORM, store, str(life)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            acknowledged.append(process.stdout.readline().strip())
            time.sleep(random.uniform(0, 0.15))  # the instant of its death is what is random here
            process.kill()
            acknowledged += process.stdout.read().split("\n")[:-1]
        assert python(CHECK, str(file)).strip() == "[('ok',)]"
    assert len(acknowledged) > 100
    assert python(RECALL, store, given="\n".join(acknowledged)) == ""
