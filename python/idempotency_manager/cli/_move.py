"""Commands that move records: out of a file into a store, and from store to store; and the tables to make by hand."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import click

from idempotency_manager._core import postgres_schema, record_of_line, sqlite_schema
from idempotency_manager._types import State
from idempotency_manager.moving import Copied, copy_records

from ._exit import CommandError, Exit
from ._options import common, namespace, session, speech
from ._output import count, json_line, line
from ._progress import progress, terminal, track

if TYPE_CHECKING:
    from collections.abc import Iterator

    from idempotency_manager import IdempotencyRecord

_WORDS = ("written", "same", "occupied", "expired")
_PART = 500
_KEEP = "Leave other records that are under the same keys there, and call that success."
_STOP = "stop the workers before you copy, since what they finish meanwhile is missing"


@click.command(
    name="import",
    epilog="\b\nExamples:\n  idempotency import records.jsonl\n  gzip -dc done.jsonl.gz | idempotency import",
)
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--keep-target", is_flag=True, help=_KEEP)
@common
@click.pass_context
def import_records(context: click.Context, file: IO[bytes], *, keep_target: bool) -> None:
    """Write records that `export` wrote, from a FILE or stdin. May be repeated: what is there is skipped.

    A record is written as it was: state, times, result. One whose time is over is left out; a live record that is there
    is never written over: exit code 1 where another one has its key.
    """
    here, counts, occupied = session(context), Counter[str](), []
    with here.open(create=True) as manager:
        lines = _Lines(file)
        records = track(lines.records(), lines.total, "importing", console=terminal())
        while part := list(islice(records, _PART)):
            for record, word in zip(part, manager._core.restore(part).wait(), strict=True):  # noqa: SLF001
                counts[word] += 1
                counts["in_progress"] += record.state == State.IN_PROGRESS
                if word == "occupied":
                    occupied.append(record.key)
    told = {word: counts[word] for word in _WORDS}
    if here.json:
        json_line(told)
    else:
        line(", ".join(f"{number:,} {word}" for word, number in told.items()))
    _warn_of_running(counts["in_progress"])
    if lines.problem is not None:
        raise CommandError(
            f"{lines.problem}. What stands before it is imported: mend it and import again, which skips the rest",
            Exit.USAGE,
        )
    if occupied and not keep_target:
        raise CommandError(_occupied(occupied), Exit.NOTHING)


class _Lines:
    """The records of a file; ends at a line that is none, and keeps what is wrong with it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.problem: str | None = None

    def total(self) -> int | None:
        """Count the lines, where the file can be read twice."""
        if not self._file.seekable():
            return None
        here = self._file.tell()
        self._file.seek(0)
        lines = sum(1 for _ in self._file)
        self._file.seek(here)
        return lines

    def records(self) -> Iterator[IdempotencyRecord]:
        """Read them."""
        number = 0
        while text := self._file.readline():
            number += 1
            if not text.strip():
                continue
            try:
                yield record_of_line(text.decode())
            except UnicodeDecodeError:
                self.problem = f"line {number} is not UTF-8"
                return
            except ValueError as problem:
                self.problem = f"line {number}: {problem}"
                return


def _occupied(keys: list[str] | tuple[str, ...]) -> str:
    first = ", ".join(repr(key) for key in keys[:3])
    more = f" and {len(keys) - 3:,} more" if len(keys) > 3 else ""  # noqa: PLR2004 - as many as are shown
    return (
        f"{count(len(keys), 'key')} had another record there, which was left as it is: {first}{more}. Look at both; "
        "--keep-target calls this success"
    )


def _warn_of_running(number: int) -> None:
    if number:
        are = "is" if number == 1 else "are"
        text = f"{count(number, 'record')} {are} of actions in progress, and in doubt here when their leases end"
        click.echo(f"idempotency: {text}: {_STOP}", err=True)


@click.command(
    epilog="\b\nExamples:\n  idempotency migrate sqlite:////var/lib/jobs.db redis://localhost:6379/0\n"
    "  idempotency migrate redis://localhost/0 postgresql://app@db/jobs --to-namespace billing"
)
@click.argument("from_url")
@click.argument("to_url")
@click.option("--keep-target", is_flag=True, help=_KEEP)
@click.option("--to-namespace", metavar="NAME", help="The application's part of TO_URL; else the same.")
@namespace
@speech
@click.pass_context
def migrate(context: click.Context, from_url: str, to_url: str, *, keep_target: bool, to_namespace: str | None) -> None:
    """Copy all live records from one store to another, then compare the two. May be broken off and run again.

    Stop the workers first. Nothing is written over, and nothing in FROM_URL is changed. Exit code 1 where the two
    differ in the end, or TO_URL had other records under some of the keys.
    """
    here = session(context)
    with (
        here.open(from_url, "FROM_URL") as source,
        here.open(to_url, "TO_URL", namespace=to_namespace, create=True, max_cache_size=None) as target,
        progress("migrating") as told,
    ):
        copied = copy_records(source, target, keep_target=keep_target, on_progress=told)
    _report(here.json, copied)
    _warn_of_running(copied.in_progress)
    if copied.occupied and not keep_target:
        raise CommandError(_occupied(copied.occupied), Exit.NOTHING)
    if copied.problem is not None:
        raise CommandError(copied.problem, Exit.NOTHING)


def _report(as_json: bool, copied: Copied) -> None:
    told: dict[str, Any] = {word: getattr(copied, word) for word in ("written", "same", "expired", "in_progress")}
    told["occupied"] = len(copied.occupied)
    same = {"records": copied.records, "digest": copied.digest, "others": copied.others}
    if as_json:
        json_line({**told, **same, "verified": copied.problem is None})
        return
    line(", ".join(f"{told[word]:,} {word}" for word in _WORDS))
    if copied.problem is None:
        others = f"; the target has {count(copied.others, 'other record')} beside them" if copied.others else ""
        line(f"verified: {count(copied.records, 'live record')} in both, digest {copied.digest}{others}")


_SCRIPTS = {"sqlite": sqlite_schema, "postgresql": postgres_schema}


@click.command(epilog="\b\nExamples:\n  idempotency schema --print --engine postgresql | psql app")
@click.option("--print", "shown", is_flag=True, help="Print the script.")
@click.option("--engine", type=click.Choice(sorted(_SCRIPTS)), default="postgresql", show_default=True)
@speech
@click.pass_context
def schema(context: click.Context, *, shown: bool, engine: str) -> None:
    """Print the script that makes an engine's tables, for those who migrate by their own tools.

    A store makes its tables by itself where there are none, if its user may.
    """
    if not shown:
        raise click.UsageError("give --print: there is nothing else to do with a schema here")
    script = _SCRIPTS[engine]()
    if session(context).json:
        json_line({"engine": engine, "script": script})
    else:
        click.echo(script.rstrip())
