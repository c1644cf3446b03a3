"""Runs the benchmarks: `python -m benchmarks` from the root of the repository.

A missed target is printed and is no failure: a machine may be slow. An error is one.
"""

import argparse
import json
import logging
import platform
import sys
import tomllib
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module, metadata
from os import cpu_count
from pathlib import Path
from typing import Any

from rich.console import Console

from ._measure import Options
from ._report import Facts, Table, show, verdicts

TOPICS = (
    "key",
    "duplicate_call",
    "duplicate_await",
    "first_call",
    "memory",
    "threads",
    "housekeeping",
    "import_time",
    "sqlite_first_call",
    "sqlite_group_commit",
    "sqlite_duplicate",
    "sqlite_scale",
    "redis_calls",
    "redis_tasks",
    "postgres_calls",
    "postgres_tasks",
    "asgi_request",
)
PEERS = (
    "orjson",
    "cachebox",
    "moka-py",
    "theine",
    "aws-lambda-powertools",
    "diskcache",
    "exactly-once",
    "dbos",
    "redis",
    "hiredis",
    "psycopg",
    "psycopg-pool",
    "asgi-idempotency-header",
)
ROUNDS, QUICK_ROUNDS = 15, 3
ROOT = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the topics that were asked for; 1 if any of them raised."""
    asked = _parser().parse_args(arguments)
    options = Options(asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS), asked.quick, asked.directory)
    logging.getLogger("idempotency_manager").addHandler(logging.NullHandler())  # evictions are asked for here
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(
        f"{_machine()}\n{options.rounds} interleaved rounds, medians; garbage collector off\n", highlight=False
    )
    answers: list[Table | Facts] = []
    broken: list[str] = []
    for topic in asked.topic or TOPICS:
        try:
            for answer in import_module(f"{__package__}.{topic}").run(options):
                answers.append(answer)
                show(console, answer)
        except Exception:  # noqa: BLE001 - the other topics still have something to say
            traceback.print_exc()
            broken.append(topic)
    held, missed = verdicts(answers)
    console.print(f"{held} targets hold, {missed} missed" + (f"; errors in {', '.join(broken)}" if broken else ""))
    if asked.json:
        _write(asked.json, answers, options)
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="This package beside its peers.")
    parser.add_argument("--topic", action="append", choices=TOPICS, metavar="NAME", help=f"one of {', '.join(TOPICS)}")
    parser.add_argument("--rounds", type=_positive, metavar="N", help=f"{ROUNDS} by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here, too")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where files go; must be on a disk")
    parser.add_argument("--quick", action="store_true", help="short and rough: does it run at all?")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        message = f"{text} is not a positive number of rounds"
        raise argparse.ArgumentTypeError(message)
    return number


def _machine() -> str:
    return f"Python {platform.python_version()}, {platform.machine()}, {cpu_count()} cores, {_versions()}"


def _versions() -> str:
    # What is measured is the sources' own build: the environment may know of no installed version, or of an older one.
    ours = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    peers = (f"{name} {metadata.version(name)}" for name in PEERS)
    return ", ".join([f"idempotency-manager {ours}", *peers])


def _write(path: Path, answers: Sequence[Table | Facts], options: Options) -> None:
    content: dict[str, Any] = {
        "machine": _machine(),
        "rounds": options.rounds,
        "topics": [asdict(one) for one in answers],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
