"""Commands about keys: which one an action has, and why two are not the same."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from idempotency_manager import InvalidKeyError, parse_idempotency_key
from idempotency_manager._revive import uuid_of_key

from ._diff import Difference, differences
from ._exit import CommandError, Exit
from ._options import PARAM_HELP, common, read_json, read_params, session, speech
from ._output import json_line, line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idempotency_manager import ParsedKey

    from ._session import Session

_FIELDS = ("signal_id", "action_type", "target", "params_hash")


def params_of_command(command: tuple[str, ...], params: Mapping[str, Any]) -> dict[str, Any]:
    """Give the params of a command that is run once: its words, and what was given beside them.

    Raises:
        CommandError: A param has the name that the words go by.
    """
    if "command" in params:
        raise CommandError("--param command: that name stands for the command line; choose another", Exit.USAGE)
    return {"command": [_word(word) for word in command], **params}


def _word(word: str) -> str | bytes:
    """Give a word as text, or as bytes where it is not UTF-8: a file's name may be anything."""
    raw = os.fsencode(word)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog="\b\nExamples:\n  idempotency key --signal invoice-42 --action remind --target mail --param cents:=4200\n"
    '  echo \'{"signal_id": "evt_1", "action": "post", "target": "slack", "params": {}}\' | idempotency key\n'
    "  idempotency key --signal 2026-11-22 --action backup --target s3 -- tar czf /backup.tgz /srv",
)
@click.option("--signal", "signal_id", metavar="ID", help="The event that asks for the action.")
@click.option("--action", metavar="NAME", help="The action's name.")
@click.option("--target", metavar="NAME", help="What it acts on.")
@click.option("--param", "params", multiple=True, metavar="K=V", help=PARAM_HELP)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@speech
@click.pass_context
def key(context: click.Context, /, command: tuple[str, ...], params: tuple[str, ...], **names: str | None) -> None:
    """Print the key of an action, given by options or as a JSON object on stdin.

    With a COMMAND it is the key that `idempotency run` uses for it. No store is needed.
    """
    here = session(context)
    asked: dict[str, Any] = {name: value for name, value in names.items() if value is not None}
    if params or command:
        given = read_params(params)
        asked["params"] = params_of_command(command, given) if command else given
    if not asked:
        asked = _from_stdin()
    with here.rules() as manager:
        made = manager.generate_key(asked)
    if here.json:
        json_line({"key": made, "uuid": uuid_of_key(made), **_parts(parse_idempotency_key(made))})
    else:
        line(made)


def _from_stdin() -> dict[str, Any]:
    if sys.stdin.isatty():
        raise click.UsageError("give --signal, --action and --target, or a JSON object on stdin")
    fields = read_json(sys.stdin.read(), "stdin")
    if not isinstance(fields, dict):
        message = "stdin holds no JSON object with signal_id, action, target and params"
        raise CommandError(message, Exit.USAGE)
    return fields


def _parts(parsed: ParsedKey) -> dict[str, str | None]:
    return {name: getattr(parsed, name) for name in _FIELDS}


@click.command(
    epilog='\b\nExamples:\n  idempotency explain \'{"cents": 4200}\' \'{"cents": "4200"}\'\n'
    "  idempotency explain evt_1:post:slack:44136fa355b3678a evt_1:post:slack:5041bf1f713df204 --store sqlite:///jobs.db"
)
@click.argument("first")
@click.argument("second")
@common
@click.pass_context
def explain(context: click.Context, first: str, second: str) -> None:
    """Say why two keys, or two params as JSON objects, are not the same.

    Params are compared in their canonical form, which makes the key: 1 and 1.0 are the same, 1 and true are not.
    Where two keys differ in their params, the records say in which, if the store is named and keeps params.

    Exit code 0 where both are the same, 1 where they differ.
    """
    here = session(context)
    if _is_json(first) != _is_json(second):
        raise click.UsageError("give two keys, or two JSON objects")
    note = ""
    if _is_json(first):
        found = list(differences(_read_params(first, "FIRST"), _read_params(second, "SECOND")))
    else:
        found, note = _explain_keys(here, first, second)
    if here.json:
        json_line({"same": not found, "differences": [one.fields() for one in found], "note": note or None})
    else:
        _tell(found, note)
    if found:
        context.exit(Exit.NOTHING)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _read_params(text: str, what: str) -> Any:
    return read_json(text, what)


def _tell(found: list[Difference], note: str) -> None:
    if not found:
        line("the same")
    for one in found:
        before = "nothing" if one.first is None else one.first
        after = "nothing" if one.second is None else one.second
        line(f"{one.path}: {before} | {after}")
    if note:
        line(note)


def _explain_keys(here: Session, first: str, second: str) -> tuple[list[Difference], str]:
    before, after = _parse(first), _parse(second)
    found = [
        Difference(name, getattr(before, name), getattr(after, name))
        for name in _FIELDS
        if getattr(before, name) != getattr(after, name)
    ]
    if before.params_hash == after.params_hash:
        return found, ""
    kept, note = _kept_params(here, first, second)
    return found + (list(differences(*kept)) if kept else []), note


def _parse(text: str) -> ParsedKey:
    try:
        return parse_idempotency_key(text)
    except InvalidKeyError as problem:
        raise CommandError(str(problem), Exit.USAGE) from None


def _kept_params(here: Session, first: str, second: str) -> tuple[tuple[Any, Any] | None, str]:
    """Look up the params of both keys, or say why they are not to be had."""
    url = here.settings().get("store")
    if url is None or url.scheme == "memory":
        return None, "which of the params differ is in the records: name the store, or give both params as JSON"
    with here.open() as manager:
        records = manager.get_record(first), manager.get_record(second)
    kept = [None if record is None else record.params for record in records]
    if kept[0] is None or kept[1] is None:
        return None, "the store does not keep the params of both (store_params): give both as JSON"
    return (dict(kept[0]), dict(kept[1])), ""
