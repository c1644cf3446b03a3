"""The command line as a whole: its commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from idempotency_manager.exceptions import IdempotencyError

from . import _completion, _dashboard, _keys, _look, _mend, _move, _run, _top
from ._exit import CODES_HELP, RUN_OFFSET, CommandError, Exit, code_of
from ._options import common, session
from ._output import NoReaderError, printable, without_secrets
from ._session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES = """\b
Examples:
  export IDEMPOTENCY_STORE=sqlite:////var/lib/jobs.db
  idempotency run --signal 2026-11-22 --action backup --target s3 -- tar czf /backup.tgz /srv
  idempotency doubts
  idempotency list --state completed --newer-than 24h
"""


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - dear, and for who asks

    if not wanted:
        return
    try:
        installed = version("idempotency-manager")
    except PackageNotFoundError:
        installed = "(not installed)"
    click.echo(f"idempotency {installed}")
    context.exit()


_SETTINGS = {"help_option_names": ["-h", "--help"]}


@click.group(epilog=f"{_EXAMPLES}\n{CODES_HELP}", context_settings=_SETTINGS, invoke_without_command=True)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Say which.")
@common
@click.pass_context
def cli(context: click.Context) -> None:
    """Look into a store of actions that happen once, mend it, and run commands once."""
    session(context).command = context.invoked_subcommand
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(Exit.USAGE)


for _command in (
    _look.stats,
    _look.list_records,
    _look.show,
    _look.doubts,
    _mend.resolve,
    _mend.clear,
    _mend.cleanup,
    _keys.key,
    _keys.explain,
    _look.export,
    _top.top,
    _dashboard.dashboard,
    _move.import_records,
    _move.migrate,
    _move.schema,
    _run.run,
    _completion.completion,
):
    cli.add_command(_command)


def run_command_line(arguments: Sequence[str], session: Session | None = None) -> int:
    """Run one command and give its exit code.

    Args:
        arguments: The words after the program's name.
        session: Where the common options are noted; a new one, unless a test looks at it.
    """
    here = session or Session()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        answer = cli.main(list(arguments), prog_name="idempotency", standalone_mode=False, obj=here)
        sys.stdout.flush()
    except (BrokenPipeError, NoReaderError):  # the interpreter would complain when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.NO_READER
    except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001 - here every error becomes a line and a code
        message, code = _in_words(problem)
        offset = RUN_OFFSET if here.command == "run" and code < Exit.INTERNAL else 0
        return _fail(here, message, code + offset, problem)
    return answer if isinstance(answer, int) else Exit.OK


def _in_words(problem: BaseException) -> tuple[str, int]:
    """Give an error's message and exit code."""
    match problem:
        case CommandError():
            return str(problem), problem.code
        case IdempotencyError():
            return str(problem), code_of(problem)
        case click.ClickException():
            context = getattr(problem, "ctx", None)
            hint = "" if context is None else f" ({context.command_path} --help says more)"
            return f"{problem.format_message()}{hint}", problem.exit_code
        case click.Abort() | KeyboardInterrupt():
            return "interrupted", Exit.INTERRUPTED
        case OSError():
            return f"reading or writing failed: {problem}", Exit.STORE
        case _:
            text = f"a defect of this program: {type(problem).__name__}: {problem} (--debug shows where)"
            return text, Exit.INTERNAL


def _fail(here: Session, message: str, code: int, problem: BaseException) -> int:
    """Say what went wrong, on stderr, without a password and without what would steer a terminal."""
    if here.debug:
        import traceback  # noqa: PLC0415 - for who asks

        sys.stderr.write(without_secrets("".join(traceback.format_exception(problem))))
    text = without_secrets(message)
    if here.json:
        told = {"error": type(problem).__name__, "message": text, "exit_code": int(code)}
        sys.stderr.write(f"{json.dumps(told)}\n")
    else:
        sys.stderr.write(f"idempotency: {printable(text)}\n")
    return int(code)
