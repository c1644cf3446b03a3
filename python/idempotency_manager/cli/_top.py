"""`idempotency top`: the command, without what it shows, which needs the extra `top`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from ._exit import CommandError, Exit
from ._options import DURATION, common, session

if TYPE_CHECKING:
    from ._session import Session

LEAST = timedelta(milliseconds=250)
_MEMORY = (
    "memory:// is the memory of one process, and another process's can't be seen: {remedy}. "
    "What several processes are to see belongs in a file or on a server: sqlite:///path.db, redis:// or postgresql://"
)

interval = click.option(
    "--interval", type=DURATION, default="2s", show_default=True, help="Between two looks at the store, at least 250ms."
)


def check_interval(given: timedelta) -> timedelta:
    """Give an interval that does not burden the store.

    Raises:
        CommandError: It does.
    """
    if given < LEAST:
        raise CommandError("--interval must be at least 250ms", Exit.USAGE)
    return given


def check_is_seen(here: Session, remedy: str) -> None:
    """Refuse the memory of another process.

    Raises:
        CommandError: It is that.
    """
    url = here.settings().get("store")
    if url is not None and url.scheme == "memory":
        raise CommandError(_MEMORY.format(remedy=remedy), Exit.USAGE)


def missing(extra: str, name: str) -> CommandError:
    """Say which extra a command needs."""
    return CommandError(f"this command needs {name}: pip install 'idempotency-manager[{extra}]'", Exit.USAGE)


@click.command(epilog="\b\nExamples:\n  idempotency top --store sqlite:///jobs.db\n  idempotency top --interval 10s")
@interval
@common
@click.pass_context
def top(context: click.Context, interval: timedelta) -> None:
    """Watch a store: statistics, hottest keys, what expires, and what is in doubt, live.

    In doubt, `e` records that an action happened and `n` that it did not, each after a question. `q` ends it.
    """
    here = session(context)
    check_interval(interval)
    check_is_seen(here, "ask that process, by get_manager().stats()")
    try:
        from ._top_app import TopApp  # noqa: PLC0415 - a third of a second, for those who use it
    except ModuleNotFoundError as gone:
        if (gone.name or "").partition(".")[0] not in {"textual", "textual_plotext", "plotext"}:
            raise
        raise missing("top", gone.name or "textual") from None
    from idempotency_manager.dashboard._watch import Watch  # noqa: PLC0415 - likewise

    with here.open() as manager:
        watch = Watch(manager, interval)
        watch.look()
        TopApp(watch).run()
