"""Servers end with whoever started them, however that one ends; and what is missing is said, or fails in CI."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers import MissingServerError, RedisServer
from servers.__main__ import main
from servers._errors import program
from servers.testing import needed

ROOT = Path(__file__).parents[2]

STARTER = """
import os, sys
from servers import RedisServer
server = RedisServer()
server.start()
print(server.process_id, server.folder, flush=True)
if os.fork() == 0:
    sys.stdin.read()  # a child that holds on to everything that its parent has open
    os._exit(0)
sys.stdin.read()
"""


def is_gone(process: int) -> bool:
    """Gone, or dead and not yet buried by whoever adopted it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "servers", *words],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if name != "CI"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_servers_end_when_their_starter_is_killed(redis_server: RedisServer) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout
        process, folder = starter.stdout.readline().split()
        assert not is_gone(int(process))
        starter.kill()
        starter.wait()
        end = time.monotonic() + 10
        while (not is_gone(int(process)) or Path(folder).exists()) and time.monotonic() < end:
            time.sleep(0.01)
        assert is_gone(int(process))
        assert not Path(folder).exists()
    assert redis_server.command("PING") == "PONG"


def test_a_command_finds_the_servers_by_its_environment_and_its_exit_code_is_kept(redis_server: RedisServer) -> None:
    code = (
        "import os, sys; from servers._resp import Connection\n"
        "host, port = os.environ['IDEMPOTENCY_TEST_REDIS_URL'].removeprefix('redis://').removesuffix('/0').split(':')\n"
        "print(Connection((host, int(port))).command('PING'))\n"
        "sys.exit(7)"
    )
    done = run("run", "redis", "--", sys.executable, "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (7, "PONG\n", "")


def test_a_command_that_is_killed_counts_as_the_shell_counts(redis_server: RedisServer) -> None:
    assert run("run", "redis", "--", "/bin/sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM


def test_an_unknown_server_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="there is no nosuch; known are redis, cluster"):
        main(["run", "nosuch"])


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(
        MissingServerError, match=r"no-such is not installed here.*apt-get install such-things"
    ) as caught:
        program(("no-such", "nor-such"), "such-things")
    assert caught.value.package == "such-things"


def test_a_missing_server_skips_its_tests_and_fails_them_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        with needed():
            program(("no-such",), "such-things")

    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"NOT TESTED HERE: .*apt-get install such-things"):
        missing()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install such-things"):
        missing()


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_a_launcher_without_a_server_says_so_and_fails_in_ci(ci: str, code: int) -> None:
    command = "from servers import _known, __main__, _errors; import sys\n"
    command += "_known.KNOWN['redis'] = lambda: _errors.program(('no-such',), 'such-things')\n"
    command += "sys.exit(__main__.main(['run', 'redis', '--', '/bin/sh', '-c', 'echo ran']))"
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT,
        env=os.environ | {"CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == ("" if ci else "ran\n")
    assert done.stderr.count("apt-get install such-things") == 1
