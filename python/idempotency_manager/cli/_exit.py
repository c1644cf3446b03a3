"""What the exit codes mean, and which error has which."""

from __future__ import annotations

from enum import IntEnum

from idempotency_manager.exceptions import (
    AlreadyInProgressError,
    CacheFullError,
    IdempotencyError,
    InDoubtError,
    LeaseLostError,
    NotInDoubtError,
    PreviousFailureError,
    ResultNotRecordedError,
    ResultUnavailableError,
    StoreError,
)

RUN_OFFSET = 120
"""`run` adds this to a code of its own, so that it is not taken for one of the command's."""
CANNOT_RUN = 126
"""Of `run`: the command is there and can't be run. As for the shells."""
NO_SUCH_COMMAND = 127
"""Of `run`: there is no such command. As for the shells."""
KILLED = 128
"""Plus the number of a signal: ended by it. As for the shells."""


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    NOTHING = 1
    USAGE = 2
    IN_DOUBT = 3
    IN_PROGRESS = 4
    STORE = 5
    INTERNAL = 70
    INTERRUPTED = 130
    NO_READER = 141


CODES_HELP = """\b
Exit codes:
  0    done
  1    no such record, keys or params that differ, or a result that is not on record
  2    wrong options, settings, key or JSON
  3    in doubt: nobody knows whether the action happened
  4    in progress elsewhere
  5    the store is not there, out of reach, full or damaged
  70   a defect of this program (--debug shows where)
  130  interrupted
  141  whoever read the output has gone
"""

_OF_ERRORS: tuple[tuple[type[IdempotencyError], Exit], ...] = (
    (InDoubtError, Exit.IN_DOUBT),
    (AlreadyInProgressError, Exit.IN_PROGRESS),
    (LeaseLostError, Exit.NOTHING),
    (NotInDoubtError, Exit.NOTHING),
    (PreviousFailureError, Exit.NOTHING),
    (ResultNotRecordedError, Exit.NOTHING),
    (ResultUnavailableError, Exit.NOTHING),
    (CacheFullError, Exit.STORE),
    (StoreError, Exit.STORE),
)


class CommandError(Exception):
    """What a command can't do, in one line, with its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: IdempotencyError) -> Exit:
    """Give the exit code of an error of the package."""
    return next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), Exit.USAGE)
