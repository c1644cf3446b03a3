"""The `idempotency` command: a look into a store, its mending, and `idempotency run` for commands that happen once.

The command needs the extra `cli`; this module needs nothing, so that it can say so.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRA = ("click", "rich")


def main() -> int:
    """Run the command line of this process and give its exit code."""
    try:
        import click  # noqa: F401, PLC0415 - whether it is there is what this function finds out
        import rich  # noqa: F401, PLC0415 - likewise
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA:
            raise
        sys.stderr.write(
            f"idempotency: the command line needs {missing.name}: pip install 'idempotency-manager[cli]'\n"
        )
        return 2
    from ._app import run_command_line  # noqa: PLC0415 - needs what was looked for above

    return run_command_line(sys.argv[1:])
