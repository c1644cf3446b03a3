"""`idempotency top` and `idempotency dashboard` as commands: what they refuse, and in which words."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Served

MAIN = "import sys; from idempotency_manager.cli import main; sys.exit(main())"


def ended(*words: str, code: str = MAIN) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("IDEMPOTENCY_")}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.parametrize("command", ["top", "dashboard"])
def test_the_memory_of_another_process_is_refused(command: str) -> None:
    run = ended(command, "--store", "memory://")
    assert run.returncode == 2
    assert "memory:// is the memory of one process, and another process's can't be seen" in run.stderr


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        ("top", "textual", "top"),
        ("top", "textual_plotext", "top"),
        ("dashboard", "starlette", "dashboard"),
        ("dashboard", "uvicorn", "dashboard"),
    ],
)
def test_without_the_extra_the_command_says_what_to_install(command: str, module: str, extra: str, file: str) -> None:
    run = ended(command, "--store", file, code=f"import sys; sys.modules[{module!r}] = None\n{MAIN}")
    assert run.returncode == 2
    assert f"needs {module}" in run.stderr
    assert f"pip install 'idempotency-manager[{extra}]'" in run.stderr


def test_an_interval_that_would_burden_the_store_is_refused(file: str) -> None:
    run = ended("top", "--store", file, "--interval", "1ms")
    assert (run.returncode, "--interval must be at least 250ms" in run.stderr) == (2, True)


def test_a_store_that_is_not_there_is_not_made(tmp_path: object) -> None:
    run = ended("dashboard", "--store", f"sqlite:///{tmp_path}/none.db")
    assert (run.returncode, "there is no store at" in run.stderr) == (5, True)


def test_a_port_that_is_taken_is_told_with_a_remedy(file: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = ended("dashboard", "--store", file, "--port", str(port))
    assert run.returncode == 2
    assert f"port {port} can't be had" in run.stderr


def test_the_dashboard_listens_on_this_machine_alone_and_each_start_has_a_token_of_its_own(
    serve: Callable[..., Served], file: str
) -> None:
    first, second = serve(file), serve(file, "--allow-changes")
    assert first.address.startswith("http://127.0.0.1:")
    assert first.address.partition("token=")[2] != second.address.partition("token=")[2]
    assert (first.told["allow_changes"], second.told["allow_changes"]) == (False, True)
    with socket.socket() as other:
        port = int(first.origin.rpartition(":")[2])
        assert other.connect_ex(("127.0.0.2", port)) != 0
    assert second.stop() == 0


def test_top_runs_at_a_terminal_and_ends_at_q(file: str) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        os.execv(sys.executable, [sys.executable, "-c", MAIN, "top", "--store", file])  # noqa: S606 - our own
    shown = b""
    while b"invoice-9" not in shown:
        assert select.select([terminal], [], [], 40)[0], shown
        shown += os.read(terminal, 65_536)
    os.write(terminal, b"q")
    try:
        while os.read(terminal, 65_536):
            pass
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
