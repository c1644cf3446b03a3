"""Nothing that a failing call shows holds a password: no text, repr, traceback, log line, event, pickle or command."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import AsyncIdempotencyManager, IdempotencyError, IdempotencyManager
from servers import PostgresServer, Proxy, RedisServer
from servers.testing import started
from tests.integration.programs import ROOT
from tests.integration.servers_world import HASTY, Effect, action, closed_port, with_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "hunter2-of-the-server"  # noqa: S105 - it is what must not be shown
GUESS = "swordfish-of-a-guess"
PACKAGE = str(ROOT / "python")
SECRETS = (SECRET, GUESS)


@pytest.fixture(scope="module", params=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer | PostgresServer]:
    """A server that asks for a password."""
    kind = RedisServer if request.param == "redis" else PostgresServer
    with started(kind(password=SECRET)) as server:
        yield server


def user(server: RedisServer | PostgresServer) -> str:
    return "postgres" if isinstance(server, PostgresServer) else ""


FAILURES: dict[str, Callable[[RedisServer | PostgresServer], str]] = {
    "wrong password": lambda server: with_parts(server.url, user=f"{user(server)}:{GUESS}", **HASTY),
    "no such user": lambda server: with_parts(server.url, user=f"nobody:{GUESS}", **HASTY),
    "nobody there": lambda server: with_parts(server.url, port=closed_port(), **HASTY),
    "no such host": lambda server: with_parts(server.url, host="nowhere.invalid", **HASTY),
    "no TLS": lambda server: (
        with_parts(server.url.replace("redis://", "rediss://"), **HASTY)
        if isinstance(server, RedisServer)
        else with_parts(server.url, sslmode="require", **HASTY)
    ),
    "an option that can't be": lambda server: with_parts(server.url, timeout="soon"),
    "an option that does not exist": lambda server: with_parts(server.url, password_of="me"),
    "a password among the options": lambda server: with_parts(server.url, sentinel_password=GUESS, sslpassword=GUESS),
}


def everything_about(error: BaseException) -> str:
    """What anybody may print of an error, and of those that led to it."""
    formatted = traceback.TracebackException.from_exception(error, capture_locals=True)
    # Those who print a frame's names, too, see the caller's URL in the caller's frames only.
    ours = [str(frame.locals) for frame in formatted.stack if PACKAGE in frame.filename]
    plain = "".join(traceback.format_exception(error))
    shown = [str(error), repr(error), plain, *ours, str(vars(error)), str(pickle.dumps(error))]
    return "\n".join([*shown, *(everything_about(e) for e in (error.__cause__, error.__context__) if e)])


def clean(*texts: str) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text, text[max(0, text.find(secret) - 200) :][:400]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_call_shows_no_password(
    server: RedisServer | PostgresServer,
    failure: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUST_LOG", "trace")
    monkeypatch.setenv("RUST_BACKTRACE", "1")
    url = FAILURES[failure](server)
    events: list[Any] = []
    shown = []
    with caplog.at_level(logging.DEBUG):
        for call in (_call, _awaited_call):
            with pytest.raises(IdempotencyError) as caught:
                call(url, events)
            shown.append(everything_about(caught.value))
    said = capfd.readouterr()
    clean(*shown, caplog.text, said.out, said.err, repr(events))


def _call(url: str, events: list[Any]) -> None:
    with IdempotencyManager(url, on_event=events.append) as manager:
        clean(repr(manager), str(manager), repr(manager.config), manager.config.store, str(vars(type(manager))))
        manager.execute(action(), Effect())


def _awaited_call(url: str, events: list[Any]) -> None:
    async def call() -> None:
        async with AsyncIdempotencyManager(url, on_event=events.append) as manager:
            clean(repr(manager), str(manager), repr(manager.config))
            await manager.aexecute(action(), Effect().later)

    asyncio.run(call())


@pytest.mark.parametrize(
    ("failure", "flag"),
    [("wrong password", "--debug"), ("nobody there", "--json"), ("an option that can't be", "--debug")],
)
def test_a_failing_command_shows_no_password(server: RedisServer | PostgresServer, failure: str, flag: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "idempotency_manager.cli", "stats", flag],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "IDEMPOTENCY_STORE": FAILURES[failure](server),
            "PYTHONPATH": str(ROOT / "python"),
            "RUST_LOG": "trace",
        },
    )
    assert ended.returncode
    assert ended.stderr + ended.stdout
    clean(ended.stdout, ended.stderr)


def test_a_store_that_works_shows_no_password_either(
    server: RedisServer | PostgresServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[Any] = []
    with caplog.at_level(logging.DEBUG), Proxy(server.address) as proxy:
        manager = IdempotencyManager(proxy.through(server.url), on_event=events.append)
        manager.execute(action("works"), Effect())
        proxy.cut()
        manager.execute(action("works"), Effect())
        manager.close()
    said = capfd.readouterr()
    clean(repr(manager), repr(manager.config), caplog.text, said.out, said.err, repr(events))


def test_a_password_from_the_environment_is_not_shown(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    url = f"postgresql://u@127.0.0.1:{closed_port()}/d?connect_timeout=300ms&timeout=400ms"
    with caplog.at_level(logging.DEBUG), pytest.raises(IdempotencyError) as caught:
        _call(url, [])
    clean(everything_about(caught.value), caplog.text)
