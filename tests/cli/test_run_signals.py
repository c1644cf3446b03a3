"""run under signals: they go to the command, and whoever is killed leaves doubt and not a second effect."""

import signal
import sys
from collections.abc import Callable

import pytest

from tests.cli.conftest import ONCE, Commands

# Says when it is ready, notes each signal, and ends well when its input does.
PATIENT = """
import os, signal, sys
got = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: (got.append(number), os.write(1, b"got %d\\n" % number)))
print("ready", flush=True)
while os.read(0, 100) not in (b"", b"end\\n"): pass
print("total", len(got), flush=True)
sys.exit(int(sys.argv[1]))
"""


def patient(code: int = 0) -> tuple[str, ...]:
    return (sys.executable, "-c", PATIENT, str(code))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_is_passed_on_and_a_command_that_finishes_all_the_same_is_done(
    idempotency: Commands, number: signal.Signals
) -> None:
    running = idempotency.start("s1", *patient())
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(number)
    assert running.stdout.readline() == b"got %d\n" % number
    assert running.communicate() == (b"total 1\n", b"")
    assert running.returncode == 0
    assert idempotency("list", "--json").json["state"] == "completed"


def test_a_command_that_gives_up_when_it_is_signalled_is_in_doubt(idempotency: Commands) -> None:
    running = idempotency.start("s1", *patient(1))
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGTERM)
    assert running.stdout.readline() == b"got 15\n"
    _, err = running.communicate()
    assert running.returncode == 1
    assert b"exit code 1 after SIGTERM: in doubt" in err
    assert idempotency("doubts").code == 3


def test_a_signal_that_ends_the_command_leaves_it_in_doubt(idempotency: Commands) -> None:
    command = ("sh", "-c", "echo ready; exec cat")
    running = idempotency.start("s1", *command)
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGTERM)
    assert running.wait() == 128 + signal.SIGTERM
    assert idempotency.once("s1", *command).code == 123


def test_whoever_is_killed_leaves_the_action_in_doubt_at_once(
    idempotency: Commands, effect: str, count: Callable[[], int]
) -> None:
    command = ("sh", "-c", f"{effect}; echo ready; exec cat")
    running = idempotency.start("s1", *command)
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.kill()
    running.wait()
    refused = idempotency.once("s1", *command)
    assert (refused.code, refused.out) == (123, "")
    assert "nothing was run" in refused.err
    assert idempotency("doubts").code == 3
    key = idempotency.key("s1", *command)
    assert idempotency("resolve", key, "--result", '{"exit_code": 0, "stdout": "found\\n"}').code == 0
    assert idempotency.once("s1", *command).out == "found\n"
    assert count() == 1


@pytest.mark.timeout(30)  # the wait itself would end after a minute
def test_a_wait_that_is_interrupted_leaves_the_other_alone(idempotency: Commands) -> None:
    command = ("sh", "-c", "echo ready; exec cat")
    first = idempotency.start("s1", *command)
    assert first.stdout is not None
    assert first.stdout.readline() == b"ready\n"
    waiting = idempotency.at_terminal(*ONCE, "s1", "--", *command)
    waiting.read_until(b"waiting up to")
    waiting.type(b"\x03")
    assert waiting.close() == 130
    assert b"idempotency: interrupted" in waiting.shown
    assert first.communicate(b"text") == (b"text", b"")
    assert first.returncode == 0


def test_a_key_press_at_the_terminal_reaches_the_command_once(idempotency: Commands) -> None:
    terminal = idempotency.at_terminal(*ONCE, "s1", "--", *patient())
    terminal.read_until(b"ready")
    terminal.type(b"\x03")
    terminal.read_until(b"got 2")
    terminal.type(b"end\n")
    terminal.read_until(b"total 1")
    assert terminal.close() == 0
