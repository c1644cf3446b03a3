"""How a command ended: what is recorded of it, and what a duplicate gets."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ._capture import write_all
from ._exit import KILLED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._capture import Stream

_LONGEST_CHARACTER = 4  # bytes, in UTF-8


@dataclass(frozen=True, slots=True)
class Outcome:
    """An exit code and what came before it."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_dropped: int = 0
    stderr_dropped: int = 0

    @classmethod
    def of(cls, exit_code: int, out: Stream, err: Stream) -> Self:
        """Gather what the streams have kept."""
        return cls(exit_code, bytes(out.kept), bytes(err.kept), out.dropped, err.dropped)

    @classmethod
    def from_result(cls, result: Any) -> Self:
        """Read what was recorded, by `run` or by somebody who resolved a doubt.

        Any JSON may stand there. What is no outcome means success; it is printed, unless it is null.
        """
        if isinstance(result, dict) and isinstance(result.get("exit_code"), int):
            return cls(
                exit_code=result["exit_code"] & 0xFF,
                stdout=_to_bytes(result.get("stdout")),
                stderr=_to_bytes(result.get("stderr")),
                stdout_dropped=_to_count(result.get("stdout_dropped")),
                stderr_dropped=_to_count(result.get("stderr_dropped")),
            )
        return cls(0, b"" if result is None else _to_bytes(result))

    def to_result(self) -> dict[str, Any]:
        """Give what is recorded: text where it is UTF-8, so that a person can read it, else bytes."""
        result: dict[str, Any] = {"exit_code": self.exit_code}
        for name, data, dropped in (
            ("stdout", self.stdout, self.stdout_dropped),
            ("stderr", self.stderr, self.stderr_dropped),
        ):
            kept, cut = _to_text(data, whole=dropped == 0)
            result[name] = kept
            if dropped:
                result[f"{name}_dropped"] = dropped + cut
        return result

    def replay(self) -> list[str]:
        """Write the output anew; answers with what has to be said about it."""
        write_all(1, self.stdout)
        write_all(2, self.stderr)
        return [
            f"{dropped:,} more bytes of {name} were not kept (--max-output)"
            for name, dropped in (("stdout", self.stdout_dropped), ("stderr", self.stderr_dropped))
            if dropped
        ]


def _to_text(data: bytes, *, whole: bool) -> tuple[str | bytes, int]:
    """Decode; where the data was cut off, a last character that was cut too is left out."""
    try:
        return data.decode(), 0
    except UnicodeDecodeError as problem:
        if whole or problem.end != len(data) or len(data) - problem.start >= _LONGEST_CHARACTER:
            return data, 0
        return data[: problem.start].decode(), len(data) - problem.start


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    from ._output import to_json  # noqa: PLC0415 - for a result that somebody wrote by hand

    return f"{to_json(value)}\n".encode()


def _to_count(value: Any) -> int:
    return value if isinstance(value, int) else 0


_LASTING_NAME = f"{__package__}"
"""Where the errors below say that they are from: stores keep that name, and this file may get another."""


class CommandFailedError(Exception):
    """The command ended with a code other than 0: a failure, and nothing is to be remembered, or all of it."""

    __module__ = _LASTING_NAME

    def __init__(self, result: Mapping[str, Any]) -> None:
        super().__init__(result)
        self.outcome = Outcome.from_result(result)

    def __str__(self) -> str:
        """Say with which code; the output may hold secrets, and this text goes into logs."""
        return f"exit code {self.outcome.exit_code}"


class CommandBrokenOffError(Exception):
    """The command was ended before it was done: nobody knows how far it came."""

    __module__ = _LASTING_NAME

    def __init__(self, reason: str, outcome: Outcome) -> None:
        super().__init__(reason)
        self.outcome = outcome


def broken_off(returncode: int, taken: list[int], in_doubt_on: tuple[int, ...]) -> str | None:
    """Say why an end leaves it open how far the command came; None where the command itself has decided.

    Args:
        returncode: Its exit code, or the negative number of the signal that ended it.
        taken: The signals that were passed on to it.
        in_doubt_on: Exit codes that mean so for this command.
    """
    if returncode < 0:
        return f"killed by {_signal_name(-returncode)}"
    if returncode == 0:
        return None
    if returncode in in_doubt_on:
        return f"exit code {returncode}"
    if taken:
        return f"exit code {returncode} after {_signal_name(taken[0])}"
    if returncode - KILLED in signal.valid_signals():
        return f"exit code {returncode}, a shell's word for {_signal_name(returncode - KILLED)}"
    return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
