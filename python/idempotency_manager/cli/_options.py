"""Options that several commands have."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from idempotency_manager._duration import parse_duration
from idempotency_manager._strict_json import parse_json

from ._exit import CommandError, Exit
from ._session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")


def session(context: click.Context) -> Session:
    """Give the session of this run."""
    return context.ensure_object(Session)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Note a common option; it may stand before the command's name or after it, where it counts."""
    if value not in (None, False):
        setattr(session(context), str(parameter.name), value)


_STORE = (
    click.option(
        "--store",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="The store, such as sqlite:///jobs.db; else IDEMPOTENCY_STORE.",
    ),
    click.option(
        "--namespace",
        metavar="NAME",
        expose_value=False,
        callback=_remember,
        help='The application\'s part of the store; else IDEMPOTENCY_NAMESPACE, else "idempotency".',
    ),
)
_SPEECH = (
    click.option("--json", is_flag=True, expose_value=False, callback=_remember, help="Print JSON, for programs."),
    click.option("--debug", is_flag=True, expose_value=False, callback=_remember, help="Show where an error arose."),
)


def common(command: Command) -> Command:
    """Add the options that every command on a store has."""
    for option in reversed((*_STORE, *_SPEECH)):
        command = option(command)
    return command


def namespace(command: Command) -> Command:
    """Add the option of a command that names its stores itself."""
    return _STORE[1](command)


def speech(command: Command) -> Command:
    """Add the options of a command that needs no store."""
    for option in reversed(_SPEECH):
        command = option(command)
    return command


class DurationType(click.ParamType[timedelta]):
    """A duration with its unit, such as 15m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as problem:
            self.fail(
                f"{value!r}: {problem}; write a number and a unit, such as 250ms, 30s, 15m, 24h or 7d", param, ctx
            )


class SizeType(click.ParamType[int]):
    """A number of bytes, such as 64KiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        if isinstance(value, int):
            return value
        digits = str(value).rstrip("KMGiB")
        unit = _UNITS.get(str(value)[len(digits) :])
        if unit is None or not (digits.isascii() and digits.isdecimal() and len(digits) < _MANY_DIGITS):
            self.fail(f"{value!r}: write a number of bytes, such as 0, 64KiB or 1MiB", param, ctx)
        return int(digits) * unit


DURATION = DurationType()
SIZE = SizeType()
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_MANY_DIGITS = 16


def read_json(text: str, what: str) -> Any:
    """Read JSON strictly.

    Raises:
        CommandError: It is none.
    """
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as problem:
        raise CommandError(f"{what} is no JSON: {problem}", Exit.USAGE) from None


def read_params(given: tuple[str, ...]) -> dict[str, Any]:
    """Read `name=text` and `name:=JSON`.

    Raises:
        CommandError: One has no name, no value, or a name that another has.
    """
    params: dict[str, Any] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise CommandError("--param takes name=text or name:=JSON", Exit.USAGE)
        if name in params:
            raise CommandError(f"--param {name} is given twice", Exit.USAGE)
        params[name] = read_json(text, f"the value of --param {name}") if is_json else text
    return params


PARAM_HELP = "One of the params: name=text, or name:=JSON. May be given more than once."
