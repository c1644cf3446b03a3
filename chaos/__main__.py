"""Runs the chaos: `python -m chaos --store sqlite --seconds 30` from the root of the repository.

Progress goes to stderr. The last line of stdout is JSON. The exit code is 0 only if nothing was doubled, lost or left
in doubt, every holder that was taken over was told so, nothing unexpected was raised, and the control, the same
without this package, made duplicates.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory
from typing import Any

from chaos.herd import Herd
from chaos.lines import Line
from chaos.settlement import Findings, duplicates, quiet_report, settle, time_to_begin
from chaos.siege import Siege
from chaos.stores import STORES, Place
from chaos.worker import Orders

_ROOT = Path(__file__).parent.parent
_SUSPECTS_SHOWN = 30
_CONTROL_SHARE, _CONTROL_MIN_SECONDS = 1 / 6, 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with the package and without; print what was seen."""
    asked = _parser().parse_args(arguments)
    logging.getLogger("idempotency_manager").addHandler(logging.NullHandler())  # doubts are what is asked for here
    seed = asked.seed if asked.seed is not None else SystemRandom().randrange(1 << 32)
    with TemporaryDirectory(prefix="chaos-") as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with STORES[asked.store](folder) as place:
            answer = _guarded(asked, place, folder, seed)
        answer["control"] = _control(asked, folder, seed) if asked.control else None
        wrong = _problems(answer)
        for line in (folder / "guarded.log").read_text(errors="replace").splitlines()[-20:] if wrong else ():
            _say(f"  {line}")
    for problem in wrong:
        _say(f"WRONG: {problem}")
    print(json.dumps(answer))
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long workers are killed and stopped")
    parser.add_argument("--seed", type=int, help="of every choice made here; the system's scheduling has none")
    parser.add_argument("--workers", type=int, default=5, help="processes at a time")
    parser.add_argument("--threads", type=int, default=3, help="in each of them")
    parser.add_argument("--tasks", type=int, default=4, help="in each of them")
    parser.add_argument("--lease", type=float, default=1.0, help="in seconds")
    parser.add_argument("--no-control", dest="control", action="store_false", help="leave the control out")
    parser.add_argument("--folder", type=Path, help="keep the records and the workers' logs there")
    return parser


def _guarded(asked: argparse.Namespace, place: Place, folder: Path, seed: int) -> dict[str, Any]:
    with _ledger(seed) as port:
        orders = Orders(port, place.url, asked.lease, asked.threads, asked.tasks)
        _say(f"{asked.workers} workers on {asked.store} for {asked.seconds:g} s, seed {seed}")
        herd = _tormented(asked, orders, asked.seconds, folder / "guarded.log", seed, place.siege)
        _say(f"{dict(herd.counts | place.siege.counts)}; all workers are dead, settling")
        begin = time.monotonic()
        found = settle(Line(port), place, asked.lease)
        _say(f"settled in {time.monotonic() - begin:.1f} s")
        for name in found.suspects[:_SUSPECTS_SHOWN]:
            _say(f"  {name}: {'; '.join(found.actions[name]['events'])}")
    return _summary(asked, seed, herd, found) | place.siege.counts


def _control(asked: argparse.Namespace, folder: Path, seed: int) -> dict[str, Any]:
    seconds = max(_CONTROL_MIN_SECONDS, asked.seconds * _CONTROL_SHARE)
    with _ledger(seed) as port:
        _say(f"the control, without this package, for {seconds:g} s")
        orders = Orders(port, None, asked.lease, asked.threads, asked.tasks)
        herd = _tormented(asked, orders, seconds, folder / "control.log", seed, Siege({}))
        actions = quiet_report(Line(port))["actions"]
    return {
        "seconds": seconds,
        **herd.counts,
        "actions": len(actions),
        "effects": sum(len(history["effects"]) for history in actions.values()),
        "duplicates": duplicates(actions),
    }


def _tormented(  # noqa: PLR0913, PLR0917 - all that there is to say
    asked: argparse.Namespace, orders: Orders, seconds: float, log: Path, seed: int, siege: Siege
) -> Herd:
    with Herd(json.dumps(asdict(orders)), asked.workers, log, seed) as herd:
        slowness = time_to_begin(Line(orders.port))
        with siege.under(seed):
            herd.torment(seconds, asked.lease, slowness)
    return herd


@contextmanager
def _ledger(seed: int) -> Iterator[int]:
    """Run a ledger in a process of its own, and give its port."""
    command = [sys.executable, "-m", "chaos.service", str(seed)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
        try:
            yield int(process.stdout.readline() if process.stdout else b"")
        finally:
            process.kill()


def _summary(asked: argparse.Namespace, seed: int, herd: Herd, found: Findings) -> dict[str, Any]:
    actions = found.actions.values()
    return {
        "store": asked.store,
        "seed": seed,
        "seconds": asked.seconds,
        "lease": asked.lease,
        "workers": asked.workers,
        **herd.counts,
        "actions": len(actions),
        "calls": sum(history["calls"] for history in actions),
        "effects": sum(len(history["effects"]) for history in actions),
        "duplicates": found.duplicates,
        "duplicates_not_reported": len(found.unreported),
        "lost": len(found.lost),
        "in_doubt": len(found.in_doubt),
        "reconciled": len(found.reconciled),
        "in_doubt_after_the_last_kill": len(found.doubts),
        "of_these_happened": len(found.happened),
        "died_after_sending": sum(history["left"] for history in actions),
        "undone": len(found.undone),
        "forgotten": len(found.forgotten),
        "wrong_results": len(found.report["wrong"]),
        "deaths_unnoticed": len(found.unnoticed),
        "unfinished": len(found.unfinished),
        "overtaken_and_not_told": len(found.not_told),
        "outcomes": found.report["outcomes"],
        "unexpected": found.report["unexpected"],
    }


def _problems(answer: dict[str, Any]) -> list[str]:
    must_be_none = (
        "duplicates",
        "lost",
        "forgotten",
        "wrong_results",
        "deaths_unnoticed",
        "unfinished",
        "overtaken_and_not_told",
        "deaths",
    )
    found = [f"{name}: {answer[name]}" for name in must_be_none if answer[name]]
    found += [f"unexpected, {count} times: {text}" for text, count in answer["unexpected"].items()]
    if answer["in_doubt"] != answer["reconciled"]:
        found.append(f"{answer['in_doubt']} were in doubt, {answer['reconciled']} of them were reconciled")
    if answer["control"] and not answer["control"]["duplicates"]:
        found.append("the control made no duplicate, so this proves nothing")
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
