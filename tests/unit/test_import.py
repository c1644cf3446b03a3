"""The package costs little to import: what is dear is imported by those who need it."""

import os
import subprocess
import sys

import pytest

# Each takes longer to import than all of this package.
DEAR = ("asyncio", "dataclasses", "inspect", "json", "logging", "typing")

DECORATE = """
@idempotency_manager.idempotent(target="trello")
def create_card(signal_id: str, title: str, *, position: int = 0) -> dict[str, int]:
    return {title: position}
"""
PROGRAM = """
import sys
before = set(sys.modules)
import idempotency_manager
{}
print(*sorted(set(sys.modules) - before))
"""
CLOCK = "import time; start = time.perf_counter_ns(); import {}; print(time.perf_counter_ns() - start)"


def run(program: str) -> str:
    # Without what `site` imports, of which an environment may have any amount, and with byte code cached.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-S", "-c", program]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("then", ["", DECORATE, DECORATE + "create_card('order-1', 'hello')"])
def test_nothing_dear_is_imported_for_plain_functions(then: str) -> None:
    imported = run(PROGRAM.format(then)).split()
    assert "idempotency_manager._core" in imported
    assert not set(DEAR) & set(imported)


def test_what_is_dear_is_told_from_what_is_not() -> None:
    imported = run(PROGRAM.format("idempotency_manager.Action")).split()
    assert {"dataclasses", "typing"} <= set(imported)


def test_importing_takes_at_most_four_tenths_of_asyncio() -> None:
    for module in ("idempotency_manager", "asyncio"):
        run(CLOCK.format(module))
    rounds = [(int(run(CLOCK.format("idempotency_manager"))), int(run(CLOCK.format("asyncio")))) for _ in range(7)]
    own, reference = (min(times) for times in zip(*rounds, strict=True))
    assert own <= 0.4 * reference, rounds
