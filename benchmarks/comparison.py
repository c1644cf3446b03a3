"""What a user would pick instead, and what each does: `python -m benchmarks.comparison`.

Prints the facts of docs/comparison.md that can be found out by running the packages. Those that are read from a
package's source are in that document with the place they are read from.
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from . import probes
from ._fresh import ROOT
from ._report import Facts, show
from .peers import CACHEBOX, LRU, POWERTOOLS, THIS, Peer, load

IN_FILES = {"diskcache": "disk_cache", "exactly-once": "once", "DBOS": "durable_workflow"}
PROBES: tuple[Callable[[Peer], str], ...] = (
    probes.keywords_in_another_order_run_again,
    probes.one_and_true_are_one_call,
    probes.dict_and_list_arguments_work,
    probes.a_caller_can_change_what_the_next_one_gets,
    probes.none_is_run_again,
    probes.two_racing_threads_run_it_twice,
    probes.an_error_lets_the_next_call_run,
    probes.after_a_timeout_the_next_call,
    probes.an_async_function_works,
)
KILLED = "Killed (SIGKILL) in the middle; a new process calls again"
DISTRIBUTIONS = ("cachebox", "aws-lambda-powertools", "diskcache", "exactly-once", "dbos", "idempotency-manager")

CAPTION = (
    "Found by running each (benchmarks/probes.py). DBOS: the caller's workflow ID decides, so arguments don't "
    "count. Killed: this package, diskcache, exactly-once and DBOS over a SQLite file; lru_cache and cachebox have no "
    "store; Powertools' stores need a server (see docs/comparison.md)."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table, or is the child that gets killed."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.comparison", description="What each package does, by running it."
    )
    parser.add_argument("--child", nargs=2, metavar=("PEER", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.child:
        _be_the_child(asked.child[0], Path(asked.child[1]))
        return 0
    logging.getLogger("idempotency_manager").addHandler(logging.NullHandler())  # its warnings are expected here
    peers = [load(name) for name in (THIS, LRU, CACHEBOX, POWERTOOLS)]
    peers += [import_module(f".peers.{module}", __package__).PEER for module in IN_FILES.values()]
    rows = [(probes.question(probe), *(probes.answer(probe, peer) for peer in peers)) for probe in PROBES]
    rows.append((KILLED, *(_after_a_kill(peer.name) for peer in peers)))
    columns = ("", *(peer.name for peer in peers))
    console = Console(width=None if sys.stdout.isatty() else 170)
    console.print(", ".join(f"{name} {metadata.version(name)}" for name in DISTRIBUTIONS), highlight=False)
    show(console, Facts("What you would pick instead", CAPTION, columns, tuple(rows)))
    return 0


def _after_a_kill(name: str) -> str:
    if name == POWERTOOLS:
        return "not run"
    with TemporaryDirectory() as folder:
        _child(name, folder)
        second = _child(name, folder)
        log = Path(folder) / "runs"
        runs = log.read_text(encoding="ascii").count("\n") if log.exists() else 0
    outcome = second.stdout.strip() or f"died: {second.stderr.strip().splitlines()[-1]}"
    return f"ran {runs} times; the caller gets {outcome}"


def _child(name: str, folder: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", __spec__.name, "--child", name, folder]
    return subprocess.run(  # noqa: S603 - this interpreter, with arguments of ours
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120
    )


def _be_the_child(name: str, folder: Path) -> None:
    runs = folder / "runs"

    def effect(*, signal_id: str, board: str, detail: int) -> dict[str, str]:  # noqa: ARG001 - part of the call
        first = not runs.exists()
        with runs.open("a", encoding="ascii") as file:
            file.write("run\n")
        if first:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"id": signal_id}

    try:
        guarded = _durable(name, folder).decorate(effect)
        guarded(signal_id="evt_1", board="b", detail=1)
        outcome = "a result"
    except Exception as error:  # noqa: BLE001 - what it is, is the answer
        outcome = type(error).__name__
    sys.stdout.write(f"{outcome}\n")


def _durable(name: str, folder: Path) -> Peer:
    if name == THIS:
        return _this_package(folder)
    if name not in IN_FILES:
        return load(name)
    peer: Peer = import_module(f".peers.{IN_FILES[name]}", __package__).durable(folder)
    return peer


def _this_package(folder: Path) -> Peer:
    from idempotency_manager import IdempotencyManager  # noqa: PLC0415 - the other children do without it

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        manager = IdempotencyManager(f"sqlite:///{folder / 'idempotency.db'}")
        guarded: Callable[..., Any] = manager.idempotent(function, target="trello")
        return guarded

    return Peer(THIS, decorate, decorate)


if __name__ == "__main__":
    sys.exit(main())
