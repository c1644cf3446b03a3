"""Commands that look and change nothing."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from idempotency_manager import State

from ._exit import CommandError, Exit
from ._filters import filters, selected
from ._options import common, session
from ._output import brief, count, json_line, line, moment, reason, record_line, span, table, to_json, whole
from ._progress import busy

if TYPE_CHECKING:
    from idempotency_manager import IdempotencyRecord

_COUNTERS = (
    "total_cached",
    "in_progress",
    "in_doubt",
    "duplicates_prevented",
    "would_have_prevented",
    "cache_hits",
    "cache_misses",
)
_MORE = ("hit_rate", "expired_cleaned", "evicted")
_PLACE = ("max_size", "oldest_entry", "newest_entry")


@click.command(epilog="\b\nExamples:\n  idempotency stats --store sqlite:///jobs.db\n  idempotency stats --json")
@common
@click.pass_context
def stats(context: click.Context) -> None:
    """Count what the store holds and what it has prevented."""
    here = session(context)
    with here.open() as manager, busy("counting"):
        counters, place, config = manager.stats(), manager.cache_info(), manager.config
    fields: dict[str, Any] = {"store": config.store, "namespace": config.namespace}
    fields |= {name: getattr(counters, name) for name in (*_COUNTERS, *_MORE)}
    fields |= {name: getattr(place, name) for name in _PLACE}
    if here.json:
        json_line(fields)
        return
    fields |= {name: moment(fields[name]) for name in _PLACE[1:]}
    fields |= {name: f"{fields[name]:,}" for name in _COUNTERS}
    fields["hit_rate"] = f"{counters.hit_rate:.1f} %"
    table((name.replace("_", " "), value) for name, value in fields.items())


@click.command(
    name="list",
    epilog="\b\nExamples:\n  idempotency list --state in_doubt --state in_progress\n"
    "  idempotency list --action create_card --newer-than 24h --limit 20\n"
    "  idempotency list --expiring-within 1h --json | jq -r .key",
)
@filters
@common
@click.pass_context
def list_records(context: click.Context, /, **options: Any) -> None:
    """List records, one a line: state, age, time until it is forgotten, attempts, key.

    With --json each line is an object, without params and result: `export` has these.
    """
    here = session(context)
    with here.open() as manager:
        records = selected(manager, "listing", **options)
        if here.json:
            for record in records:
                json_line(brief(record))
            return
        heading = f"{'STATE':<11}  {'AGE':>5}  {'LEFT':>5}  {'TRIES':>5}  KEY"
        for record in records:
            if heading:
                line(heading)
                heading = ""
            line(_row(record, datetime.now(UTC)))


def _row(record: IdempotencyRecord, now: datetime) -> str:
    left = span(record.expires_at - now) if record.executed_at else "-"
    tries = record.attempt_count
    return f"{record.state:<11}  {span(now - record.started_at):>5}  {left:>5}  {tries:>5}  {record.key}"


@click.command(epilog="\b\nExamples:\n  idempotency show invoice-42:create_card:trello:5041bf1f713df204")
@click.argument("key")
@common
@click.pass_context
def show(context: click.Context, key: str) -> None:
    """Show all of one record: result, params where they are kept, times, owner.

    Exit code 1 where there is no such record.
    """
    here = session(context)
    with here.open() as manager:
        record = manager.get_record(key)
        if record is None:
            raise CommandError(f"there is no record of {key!r}; it may have expired", Exit.NOTHING)
        fields = whole(record)
        if here.json:
            json_line(fields)
            return
    for name in ("params", "context"):
        fields[name] = None if fields[name] is None else to_json(fields[name])
    fields["result"] = to_json(fields["result"]) if record.state == "completed" else None
    fields |= {name: moment(getattr(record, name)) for name in ("started_at", "executed_at", "expires_at")}
    if record.executed_at is None:
        del fields["expires_at"]
    table((name.replace("_", " "), value) for name, value in fields.items())


@click.command(epilog="\b\nExamples:\n  idempotency doubts || mail -s 'somebody must look' ops@example.com")
@common
@click.pass_context
def doubts(context: click.Context) -> None:
    """Show what was started and never finished: nobody knows whether it happened.

    Exit code 3 where there is any, 0 where there is none. With --json each line is an object.
    """
    here = session(context)
    found = False
    with here.open() as manager:
        for record in manager.iter_records(state=State.IN_DOUBT):
            found = True
            if here.json:
                json_line(brief(record))
            else:
                _explain_doubt(record)
    if found:
        context.exit(Exit.IN_DOUBT)
    if not here.json:
        line("nothing is in doubt")


def _explain_doubt(record: IdempotencyRecord) -> None:
    by = f" by {record.owner}" if record.owner else ""
    key = shlex.quote(record.key)
    table(
        [
            ("key", record.key),
            ("started", f"{moment(record.started_at)}{by}, attempt {record.attempt_count}"),
            ("broken off by", reason(record.error) or "the end of its process, or of its lease"),
            ("it happened", f"idempotency resolve {key} --result JSON"),
            ("it did not", f"idempotency resolve {key} --not-executed"),
        ]
    )
    line("")


@click.command(
    epilog="\b\nExamples:\n  idempotency export > records.jsonl\n"
    "  idempotency export --state completed --older-than 1h | gzip > done.jsonl.gz"
)
@filters
@common
@click.pass_context
def export(context: click.Context, /, **options: Any) -> None:
    """Write records as JSON lines, whole: with result, and with params where they are kept. `import` reads them.

    Results are in the form the store keeps: plain JSON, with tags such as {"$bytes": …} for what JSON lacks; a codec's
    bytes are base64.
    """
    here, written = session(context), 0
    with here.open() as manager:
        for record in selected(manager, "exporting", **options):
            record_line(record)
            written += 1
    if not here.json and sys.stderr.isatty():
        click.echo(f"exported {count(written, 'record')}", err=True)
