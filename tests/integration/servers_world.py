"""What the tests of stores on servers share: an engine, a namespace of its own, effects, and a wire to cut."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

import pytest

from idempotency_manager import IdempotencyManager, StoreUnavailableError
from servers import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Cut, PostgresServer, RedisServer

PATIENT = {"connect_timeout": "5s", "timeout": "10s"}
"""For what must succeed on a machine that has other things to do."""
HASTY = {"connect_timeout": "600ms", "timeout": "700ms"}
"""For what must fail."""
HASTY_SECONDS = 0.7
PAUSES_SECONDS = 1.75
"""How long the four pauses are, together, after which the end of an action is told to the store again."""
SLACK_SECONDS = 1.5
"""What a busy machine may add."""

NOT_RECORDED_SECONDS = PAUSES_SECONDS + 5 * HASTY_SECONDS

both = pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])

_numbers = itertools.count(1)


class Effect:
    """Something in the outside world: it counts how often it happened, and may do something else meanwhile."""

    def __init__(self, result: object = "done", meanwhile: Callable[[], object] = lambda: None) -> None:
        self.count = 0
        self.result = result
        self.meanwhile = meanwhile

    def __call__(self) -> Any:
        self.count += 1
        self.meanwhile()
        return self.result

    async def later(self) -> Any:
        await asyncio.sleep(0)
        return await asyncio.to_thread(self)


def action(name: object = "s1") -> dict[str, Any]:
    return {"signal_id": str(name), "action": "card", "target": "trello", "params": {"n": 1}}


def run(manager: IdempotencyManager, effect: Effect, *, awaited: bool, name: object = "s1", **options: Any) -> Any:
    """Execute an action, in either world."""
    if awaited:
        return asyncio.run(manager.aexecute(action(name), effect.later, **options))
    return manager.execute(action(name), effect, **options)


def with_parts(
    url: str, *, host: str | None = None, port: int | None = None, user: str | None = None, **options: str
) -> str:
    """Give a URL with other parts, and with these options besides those that it has."""
    parts = urlsplit(url)
    userinfo, at, _ = parts.netloc.rpartition("@")
    if user is not None:
        userinfo, at = user, "@" if user else ""
    netloc = f"{userinfo}{at}{host or parts.hostname}:{port or parts.port}"
    query = "&".join(filter(None, [parts.query, urlencode(options)]))
    return urlunsplit(parts._replace(netloc=netloc, query=query))


class Wire(Proxy):
    """A proxy that loses one answer at a time."""

    _lost: Cut

    def lose_answer_to(self, text: str) -> None:
        """Lose the answer to the next request that holds this, once the server has done it."""
        self._lost = self.cut_after_request(text.encode())

    def wait_for_the_loss(self) -> None:
        """Wait until it was lost."""
        self._lost.wait(10)


class World:
    """An engine on a server, as one test sees it: alone, in a namespace of its own."""

    def __init__(self, server: RedisServer | PostgresServer) -> None:
        self.server = server
        self.namespace = f"test-{os.getpid()}-{next(_numbers)}"
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def url(self, where: Wire | RedisServer | PostgresServer | None = None, **options: str) -> str:
        """Give the URL of the server, or by way of a wire."""
        return with_parts(
            self.server.url, host=(where or self.server).host, port=(where or self.server).port, **options
        )

    def manager(self, url: str | None = None, **config: Any) -> IdempotencyManager:
        """Make a manager that is closed with the test."""
        manager = IdempotencyManager(
            url or self.url(**PATIENT), **{"namespace": self.namespace, "lease": "60s", "wait_timeout": "10s", **config}
        )
        self._opened.callback(manager.close)
        return manager

    def wire(self) -> Wire:
        """Make a wire to the server that is gone with the test."""
        return self._opened.enter_context(Wire(self.server.address))

    def restart(self) -> None:
        """Kill the server at this instant, and start it again."""
        if self.server.is_running:
            self.server.kill()
        self.server.start()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Check that something takes no longer than it should, and what a busy machine may add."""
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    assert took <= seconds + SLACK_SECONDS, f"{took:.2f} s instead of {seconds:.2f}"


def until(reached: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something holds that has no event."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it does not come to hold"
        time.sleep(0.005)


def closed_port() -> int:
    """Give a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def full_backlog() -> Iterator[int]:
    """Give a port at which connecting hangs: the kernel answers nobody any more."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(8):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(address)
        yield address[1]


def refused(call: Callable[[], object], effect: Effect, *texts: str, within: float = HASTY_SECONDS) -> str:
    """Check that a call found no server in time, that nothing happened, and that the text helps."""
    with at_most(within), pytest.raises(StoreUnavailableError) as caught:
        call()
    assert effect.count == 0
    for text in texts:
        assert text in str(caught.value), str(caught.value)
    return str(caught.value)


def works(manager: IdempotencyManager, name: str, *, awaited: bool = False) -> None:
    """Check that an action runs once and is replayed."""
    effect = Effect(name)
    assert run(manager, effect, awaited=awaited, name=name) == name
    assert run(manager, effect, awaited=awaited, name=name) == name
    assert effect.count == 1


def is_given_up(manager: IdempotencyManager, name: str) -> bool:
    """Whether a call's claim that it has given up is gone, which it may be some moments later."""
    try:
        return manager.get_record(manager.generate_key(action(name))) is None
    except StoreUnavailableError:
        return False


def leave_in_doubt(manager: IdempotencyManager, name: str) -> str:
    """Have an action whose answer was lost, and give its key."""

    def fail() -> None:
        raise TimeoutError("nobody knows")

    with pytest.raises(TimeoutError):
        run(manager, Effect(meanwhile=fail), awaited=False, name=name)
    return manager.generate_key(action(name))
