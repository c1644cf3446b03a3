"""Commands that change what is on record."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from idempotency_manager._core import decode_result
from idempotency_manager._types import State
from idempotency_manager.exceptions import NotInDoubtError
from idempotency_manager.moving import held

from ._exit import CommandError, Exit
from ._options import common, read_json, session
from ._output import count, json_line, line, printable
from ._progress import busy

if TYPE_CHECKING:
    from idempotency_manager import IdempotencyManager, IdempotencyRecord


@click.command(
    epilog="\b\nExamples:\n"
    '  idempotency resolve invoice-42:create_card:trello:5041bf1f713df204 --result \'{"id": "c7"}\'\n'
    "  idempotency resolve invoice-42:create_card:trello:5041bf1f713df204 --not-executed"
)
@click.argument("key")
@click.option("--result", metavar="JSON", help="It happened, and this is what a duplicate gets; - reads stdin.")
@click.option("--not-executed", is_flag=True, help="It did not happen: the next caller runs it.")
@common
@click.pass_context
def resolve(context: click.Context, key: str, result: str | None, *, not_executed: bool) -> None:
    """Say what became of an action in doubt.

    The result may have the tags that `show` and `export` print. Exit code 1 where the key is not in doubt; nothing
    changes then.
    """
    if (result is not None) == not_executed:
        raise click.UsageError("give either --result JSON or --not-executed")
    here = session(context)
    with here.open() as manager:
        if manager.get_record(key) is None:
            raise CommandError(f"there is no record of {key!r}; it may have expired", Exit.NOTHING)
        try:
            if result is None:
                manager.resolve_in_doubt(key, not_executed=True)
            else:
                manager.resolve_in_doubt(key, result=_read_result(result))
        except NotInDoubtError as problem:
            state = (problem.state or "gone").replace("_", " ")
            message = f"{key!r} is {state}, so there is no doubt to resolve; nothing was changed"
            raise CommandError(message, Exit.NOTHING) from problem
    if here.json:
        json_line({"key": key, "state": None if result is None else State.COMPLETED})
    else:
        line(f"{key} {'was not executed: the next caller runs it' if result is None else 'is completed'}")


def _read_result(text: str) -> object:
    """Read a result as the store would: plain JSON, and tags."""
    if text == "-":
        text = sys.stdin.read()
    read_json(text, "--result")
    try:
        return decode_result(text.encode())
    except (ValueError, TypeError) as problem:
        raise CommandError(f"--result: {problem}", Exit.USAGE) from None


@click.command(
    epilog="\b\nExamples:\n  idempotency clear invoice-42:create_card:trello:5041bf1f713df204\n"
    "  idempotency clear --all --yes --namespace billing"
)
@click.argument("key", required=False)
@click.option("--all", "everything", is_flag=True, help="Forget every record of the namespace.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_context
def clear(context: click.Context, key: str | None, *, everything: bool, yes: bool) -> None:
    """Forget a key, or all: what they name may run again.

    Exit code 1 where there was no record of the key.
    """
    if (key is not None) == everything:
        raise click.UsageError("give either a KEY or --all")
    here = session(context)
    with here.open() as manager:
        if key is None:
            _clear_all(context, manager, yes=yes)
            return
        record = manager.get_record(key)
        cleared = manager.clear_key(key)
    if here.json:
        json_line({"key": key, "cleared": int(cleared), "was": record.state if record and cleared else None})
    elif cleared:
        line(f"cleared {key}{_was(record)}")
    if not cleared:
        if here.json:
            context.exit(Exit.NOTHING)
        raise CommandError(f"there is no record of {key!r}", Exit.NOTHING)


def _was(record: IdempotencyRecord | None) -> str:
    if record is None or record.state not in (State.IN_DOUBT, State.IN_PROGRESS):
        return ""
    return f", which was {record.state.replace('_', ' ')}: it may have happened, and may now happen again"


def _clear_all(context: click.Context, manager: IdempotencyManager, *, yes: bool) -> None:
    here = session(context)
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise CommandError("this is no terminal to ask at: give --yes to clear all records", Exit.USAGE)
        found = count(held(manager), "record")
        place = printable(f"{manager.config.store}, namespace {manager.config.namespace}")
        click.confirm(f"Forget {found} of {place}? What they name may run again", abort=True, err=True)
    with busy("clearing"):
        cleared = manager.clear_all()
    if here.json:
        json_line({"cleared": cleared})
    else:
        line(f"cleared {count(cleared, 'record')}")


@click.command(epilog="\b\nExamples:\n  idempotency cleanup --store sqlite:////var/lib/jobs.db")
@common
@click.pass_context
def cleanup(context: click.Context) -> None:
    """Remove expired records. What is running or in doubt stays, however old."""
    here = session(context)
    with here.open() as manager, busy("removing expired records"):
        removed = manager.cleanup_expired()
    if here.json:
        json_line({"removed": removed})
    else:
        line(f"removed {count(removed, 'expired record')}")
