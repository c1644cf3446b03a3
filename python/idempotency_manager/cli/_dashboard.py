"""`idempotency dashboard`: the command; the page needs the extra `dashboard`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ._exit import CommandError, Exit
from ._options import common, session
from ._output import json_line, line
from ._top import check_interval, check_is_seen, interval, missing

if TYPE_CHECKING:
    from datetime import timedelta

PORT = 8765


@click.command(
    epilog="\b\nExamples:\n  idempotency dashboard --store sqlite:///jobs.db\n"
    "  idempotency dashboard --port 0 --allow-changes"
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=PORT,
    show_default=True,
    help="Where it listens, on this machine alone; 0 for any that is free.",
)
@click.option("--allow-changes", is_flag=True, help="Have the page settle what is in doubt; else it only shows.")
@interval
@common
@click.pass_context
def dashboard(context: click.Context, port: int, interval: timedelta, *, allow_changes: bool) -> None:
    """Serve what `top` shows as a web page, for a browser on this machine.

    Prints the page's address with a token, which only its reader has. Ctrl-C ends it.
    """
    here = session(context)
    check_interval(interval)
    check_is_seen(here, "ask that process, by get_manager().stats()")
    try:
        from idempotency_manager.dashboard._serve import serve  # noqa: PLC0415 - half a second, for those who use it
    except ModuleNotFoundError as gone:
        if (gone.name or "").partition(".")[0] not in {"starlette", "uvicorn"}:
            raise
        raise missing("dashboard", gone.name or "starlette") from None
    from idempotency_manager.dashboard._watch import Watch  # noqa: PLC0415 - likewise

    def tell(address: str) -> None:
        json_line({"address": address, "allow_changes": allow_changes}) if here.json else line(address)
        sys.stdout.flush()
        if not here.json:
            click.echo("settles what is in doubt" if allow_changes else "read-only; Ctrl-C ends it", err=True)

    with here.open() as manager:
        watch = Watch(manager, interval)
        watch.look()
        with suppress(KeyboardInterrupt):  # how it is ended
            try:
                serve(watch, port, tell, allow_changes=allow_changes)
            except OSError as problem:
                remedy = "give another --port, or 0 for any that is free"
                raise CommandError(f"port {port} can't be had: {problem.strerror}; {remedy}", Exit.USAGE) from None
