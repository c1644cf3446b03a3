"""Printing: JSON lines for programs, plain lines for people, and nothing that a terminal or a log must not get."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from idempotency_manager._core import encode_result, line_of_record
from idempotency_manager._store_url import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from idempotency_manager import IdempotencyRecord

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_BRIEF = ("key", "state", "signal_id", "action_type", "target")
_TIMES = ("started_at", "executed_at", "expires_at")


# ---------------------------------------------------------------- text


def without_secrets(text: str) -> str:
    """Hide the password of every URL in a text."""
    return _URL.sub(lambda found: mask(found.group()), text)


def printable(text: str) -> str:
    """Write what would steer a terminal as an escape; what is stored may come from anywhere."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def moment(when: datetime | None) -> str:
    """Write a time for people."""
    return "" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(duration: timedelta) -> str:
    """Write a duration for people, in the largest unit that holds it: "3d", "12m", "0s"."""
    seconds = max(0, int(duration.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def count(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def reason(error: str | None) -> str:
    """Write what an error text says, without the class of an error of this command line."""
    return (error or "").removeprefix(f"{__package__}.CommandBrokenOffError: ")


# ---------------------------------------------------------------- lines


class NoReaderError(Exception):
    """Whoever read the output has gone: `idempotency list | head`."""


def line(text: str) -> None:
    """Print a line for people."""
    _write(f"{printable(text)}\n")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise NoReaderError from None  # click would take the other for its own


def table(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns; a value that is None is left out."""
    shown = [(name, value) for name, value in rows if value is not None and value != ""]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        line(f"{name:<{width}}  {value}")


def json_line(fields: Mapping[str, Any]) -> None:
    """Print one JSON object on a line."""
    _write(f"{to_json(fields)}\n")


def record_line(record: IdempotencyRecord) -> None:
    """Print a record on a line, with all that `import` needs."""
    text = line_of_record(record)
    _write(f"{text if _is_unicode(sys.stdout.encoding) else _ascii(text)}\n")


def _ascii(text: str) -> str:
    """Write JSON in ASCII: what is beyond it stands in strings only."""
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found.group())[1:-1], text)


def to_json(value: object) -> str:
    """Write a value as JSON that the output's encoding can hold."""
    return _encoder(sys.stdout.encoding).encode(value)


@cache
def _encoder(encoding: str | None) -> json.JSONEncoder:
    return json.JSONEncoder(ensure_ascii=not _is_unicode(encoding), default=_to_plain)


def _is_unicode(encoding: str | None) -> bool:
    return (encoding or "").lower().replace("-", "") in ("utf8", "utf8sig")


def _to_plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    return stored_form(value)


def stored_form(value: object) -> Any:
    """Give a value as the store writes it: plain JSON, with tags for what JSON lacks."""
    try:
        return json.loads(encode_result(value))
    except Exception:  # noqa: BLE001 - a codec's result, or an object of the memory store: it has no form to show
        return {"$unencodable": type(value).__qualname__}


# ---------------------------------------------------------------- records


def brief(record: IdempotencyRecord) -> dict[str, Any]:
    """Give what a list shows of a record: neither params nor result, which may be large, or secret."""
    fields: dict[str, Any] = {name: getattr(record, name) for name in (*_BRIEF, *_TIMES)}
    return {**fields, "attempt_count": record.attempt_count, "owner": record.owner, "error": record.error}


def whole(record: IdempotencyRecord) -> dict[str, Any]:
    """Give all of a record."""
    fields = brief(record)
    for name in ("params", "context", "result"):
        value = getattr(record, name)
        fields[name] = None if value is None else stored_form(value)
    return fields
