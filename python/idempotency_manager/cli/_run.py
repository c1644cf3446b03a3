"""`idempotency run`: a command that happens once."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from idempotency_manager import (
    Action,
    AlreadyInProgressError,
    InDoubtError,
    LeaseLostError,
    ResultNotRecordedError,
    State,
    current_execution,
)
from idempotency_manager._revive import uuid_of_key

from ._capture import Stream
from ._child import CannotRunError, SignalRelay, check_program, run_child
from ._exit import KILLED, RUN_OFFSET, CommandError, Exit
from ._keys import params_of_command
from ._options import DURATION, PARAM_HELP, SIZE, common, read_params, session
from ._outcome import CommandBrokenOffError, CommandFailedError, Outcome, broken_off
from ._output import json_line, moment, printable, reason

if TYPE_CHECKING:
    from datetime import timedelta

    from idempotency_manager import IdempotencyError, IdempotencyManager, IdempotencyRecord

_EPILOG = """\b
Examples:
  idempotency run --signal 2026-11-22 --action backup --target s3 -- tar czf /backup.tgz /srv
  idempotency run --signal invoice-42 --action remind --target mail --ttl 30d -- sh -c 'mail a@example.com < due.txt'
  idempotency run --signal evt_1 --action post --target api --in-doubt-on 28 -- curl -fsSm 20 https://example.com

\b
Exit codes: the command's own, also when it is replayed, and
  121  it was executed, and that is not on record, or its result is not
  122  wrong options or settings; nothing was run
  123  in doubt: an earlier run was broken off; nothing was run
  124  in progress elsewhere; nothing was run
  125  the store is out of reach, full or damaged; nothing was run
  126  the command can't be executed
  127  there is no such command
  128+N  it was ended by signal N: now in doubt
"""


@dataclass(slots=True)
class _Run:
    """One call of `run`: what is asked for, and what came of it."""

    command: tuple[str, ...]
    limit: int
    quiet: bool
    replay_failure: bool
    in_doubt_on: tuple[int, ...]
    waits: bool
    relay: SignalRelay = field(default_factory=SignalRelay)
    outcome: Outcome | None = None

    def execute(self) -> dict[str, Any]:
        """Run the command, as the executor of the action."""
        self.relay.start()
        check_program(self.command)
        execution = current_execution()
        if execution is None:
            raise AssertionError("runs inside an execution")
        environ = {**os.environ, "IDEMPOTENCY_KEY": execution.key, "IDEMPOTENCY_UUID": execution.uuid}
        out, err = (Stream(-1, None if self.quiet else sink, self.limit) for sink in (1, 2))
        execution.dispatched()
        returncode = run_child(self.command, environ, self.relay, out, err)
        self.outcome = outcome = Outcome.of(returncode if returncode >= 0 else KILLED - returncode, out, err)
        broken = broken_off(returncode, self.relay.taken, self.in_doubt_on)
        if broken is not None:
            raise CommandBrokenOffError(broken, outcome)
        if returncode:
            raise CommandFailedError(outcome.to_result())
        return outcome.to_result()

    def options(self) -> dict[str, Any]:
        """Give what the manager has to know of the ends that a command may have."""
        not_executed = (CannotRunError,) if self.replay_failure else (CannotRunError, CommandFailedError)
        return {
            "latch": True,
            "not_executed_on": not_executed,
            "replay_errors": (CommandFailedError,),  # what an earlier run made final stays so
            "in_doubt_on": (CommandBrokenOffError,),
        }


@click.command(context_settings={"allow_interspersed_args": False}, epilog=_EPILOG)
@click.option("--signal", required=True, metavar="ID", help="The event that asks: an invoice, a delivery, a date.")
@click.option("--action", required=True, metavar="NAME", help="What is done, such as backup.")
@click.option("--target", required=True, metavar="NAME", help="What it is done to, such as s3.")
@click.option("--param", "params", multiple=True, metavar="K=V", help=PARAM_HELP)
@click.option(
    "--ttl", type=DURATION, help="How long the outcome is remembered; else IDEMPOTENCY_DEFAULT_TTL, else 24h."
)
@click.option(
    "--on-in-doubt",
    type=click.Choice(["raise", "retry"]),
    default="raise",
    show_default=True,
    help="After a run that was broken off: say so, or run again.",
)
@click.option("--in-doubt-on", type=int, multiple=True, metavar="CODE", help="An exit code that leaves it in doubt.")
@click.option("--replay-failure", is_flag=True, help="A failure is final too: replay it instead of running again.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for a run in progress elsewhere.")
@click.option("--wait-timeout", type=DURATION, default="60s", show_default=True, help="How long.")
@click.option("--max-output", type=SIZE, default="1MiB", show_default=True, help="How much of each stream is kept.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@common
@click.pass_context
def run(context: click.Context, /, command: tuple[str, ...], **given: Any) -> None:
    """Run a COMMAND exactly once for an event; a duplicate gets its stdout, stderr and exit code again.

    The command's words are part of the params: another command line is another action. No shell is involved unless you
    name one (sh -c …). The command finds IDEMPOTENCY_KEY and IDEMPOTENCY_UUID, the same on every retry, in its
    environment.

    A code other than 0 means that it failed and may run again (--replay-failure: the failure is final). If it is
    killed, or this process is, nobody knows how far it came: the next run says so instead of running it, until you
    `resolve` it.
    """
    here = session(context)
    params = params_of_command(command, read_params(given["params"]))
    asked = Action(given["signal"], given["action"], given["target"], params)
    job = _Run(command, given["max_output"], here.json, given["replay_failure"], given["in_doubt_on"], given["wait"])
    settings = {
        "on_concurrent": "wait" if given["wait"] else "raise",
        "wait_timeout": given["wait_timeout"],
        "on_in_doubt": given["on_in_doubt"],
    }
    with here.open(create=True, **settings) as manager:
        key = manager.generate_key(asked)
        if given["wait"]:
            _say_if_busy(manager, key, given["wait_timeout"])
        code = _run_once(manager, asked, job, given["ttl"], key)
    context.exit(code)


def _run_once(manager: IdempotencyManager, asked: Action, job: _Run, ttl: timedelta | None, key: str) -> int:
    """Run the command or replay it, and give the exit code."""
    note, offset = "", None
    try:
        outcome = Outcome.from_result(manager.execute(asked, job.execute, ttl=ttl, **job.options()))
    except CommandFailedError as failure:
        outcome = failure.outcome
    except CommandBrokenOffError as end:
        outcome, note = end.outcome, f"{end}: in doubt. {_ways_out(key)}"
    except CannotRunError as problem:
        raise CommandError(str(problem), problem.code) from problem
    except InDoubtError as doubt:
        raise CommandError(_doubt(doubt), Exit.IN_DOUBT) from doubt
    except AlreadyInProgressError as busy:
        raise CommandError(
            f"{'still ' if job.waits else ''}{_progress(busy.record)}; nothing was run", Exit.IN_PROGRESS
        ) from busy
    except (LeaseLostError, ResultNotRecordedError) as problem:
        if job.outcome is None:
            raise CommandError(f"{_TAKEN}; nothing was run", Exit.IN_PROGRESS) from problem
        outcome, offset = job.outcome, Exit.NOTHING
        note = _unrecorded(problem, key, job.outcome)
    finally:
        job.relay.stop()
    _tell(job, key, outcome, note, recorded=offset is None)
    return outcome.exit_code if offset is None else RUN_OFFSET + offset


def _tell(job: _Run, key: str, outcome: Outcome, note: str, *, recorded: bool) -> None:
    """Print what has not been printed while the command ran."""
    replayed = job.outcome is None
    if job.quiet:
        fields = {"stdout_dropped": 0, "stderr_dropped": 0, **outcome.to_result()}
        shown = {name: fields[name] for name in ("exit_code", "stdout", "stderr", "stdout_dropped", "stderr_dropped")}
        json_line({"key": key, "uuid": uuid_of_key(key), "replayed": replayed, "recorded": recorded, **shown})
    elif replayed:
        for remark in outcome.replay():
            _complain(remark)
    if note:
        _complain(note)


def _unrecorded(problem: IdempotencyError, key: str, outcome: Outcome) -> str:
    if isinstance(problem, LeaseLostError):
        return f"the command ended with exit code {outcome.exit_code}, but {_TAKEN}: look for a second effect"
    because = f": {problem.__cause__}" if problem.__cause__ else ""
    return (
        f"the command ended with exit code {outcome.exit_code}, but the store failed before that was noted{because}; "
        f"until it is, the action is in doubt. {_ways_out(key)}"
    )


def _say_if_busy(manager: IdempotencyManager, key: str, wait_timeout: timedelta) -> None:
    """Tell a person what the silence is about to be for."""
    if not sys.stderr.isatty():
        return
    record = manager.get_record(key)
    if record is not None and record.state == State.IN_PROGRESS:
        _complain(f"{_progress(record)}; waiting up to {wait_timeout}")


def _progress(record: IdempotencyRecord) -> str:
    owner = f" by {record.owner}" if record.owner else ""
    return f"in progress{owner} since {moment(record.started_at)}"


_TAKEN = "its claim was cleared, resolved or taken over meanwhile"


def _doubt(error: InDoubtError) -> str:
    record = error.record
    by = f" by {record.owner}" if record.owner else ""
    because = f" ({reason(record.error)})" if record.error else ""
    return (
        f"started at {moment(record.started_at)}{by} and never finished{because}: nobody knows how far it came, "
        f"and nothing was run. {_ways_out(record.key)}"
    )


def _ways_out(key: str) -> str:
    shown = shlex.quote(key)
    return (
        f"If it happened: idempotency resolve {shown} --result '{{\"exit_code\": 0}}'; "
        f"if it did not: idempotency resolve {shown} --not-executed"
    )


def _complain(text: str) -> None:
    click.echo(f"idempotency: {printable(text)}", err=True)
