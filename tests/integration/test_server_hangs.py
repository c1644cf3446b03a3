"""A server that says nothing: nothing else stands still for it, neither a loop nor Ctrl-C nor the end of a process."""

import asyncio
import contextlib
import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from idempotency_manager import (
    AsyncIdempotencyManager,
    IdempotencyManager,
    StoreUnavailableError,
)
from tests.integration.programs import Program
from tests.integration.servers_world import (
    HASTY,
    HASTY_SECONDS,
    PATIENT,
    Effect,
    Wire,
    World,
    action,
    at_most,
    is_given_up,
    run,
    until,
    works,
)

HANGS = {"connect_timeout": "30s", "timeout": "30s"}


class TestWhileAServerHangs:
    @pytest.fixture
    def wire(self, world: World) -> Wire:
        return world.wire()

    @pytest.fixture
    def manager(self, world: World, wire: Wire) -> IdempotencyManager:
        manager = world.manager(world.url(wire, **HANGS))
        works(manager, "warm")
        return manager

    @pytest.mark.parametrize("is_connected", [True, False])
    def test_ctrl_c_ends_a_call(self, manager: IdempotencyManager, wire: Wire, *, is_connected: bool) -> None:
        effect = Effect()
        wire.black_hole()
        if not is_connected:
            wire.cut()
        helper = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        helper.start()
        with at_most(1), pytest.raises(KeyboardInterrupt):
            run(manager, effect, awaited=False)
        helper.join()
        assert effect.count == 0
        wire.pass_everything()
        until(lambda: is_given_up(manager, "s1"))
        works(manager, "s1")

    def test_a_cancelled_task_ends_and_leaves_no_claim(self, manager: IdempotencyManager, wire: Wire) -> None:
        effect = Effect()
        wire.black_hole()

        async def cancelled() -> None:
            task = asyncio.ensure_future(manager.aexecute(action(), effect.later))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        with at_most(1):
            asyncio.run(cancelled())
        assert effect.count == 0
        wire.pass_everything()
        until(lambda: is_given_up(manager, "s1"))
        works(manager, "s1")

    def test_a_timeout_around_a_call_is_one(self, manager: IdempotencyManager, wire: Wire) -> None:
        wire.black_hole()

        async def timed() -> None:
            async with asyncio.timeout(0.1):
                await manager.aexecute(action(), Effect().later)

        with at_most(1), pytest.raises(TimeoutError):
            asyncio.run(timed())
        wire.pass_everything()

    async def test_the_event_loop_goes_on(self, world: World, wire: Wire) -> None:
        manager = AsyncIdempotencyManager(world.url(wire, **HASTY), namespace=world.namespace)
        await manager.aexecute(action("warm"), Effect().later)
        wire.black_hole()
        gaps = []

        async def heartbeat() -> None:
            last = time.monotonic()
            while True:
                await asyncio.sleep(0.005)
                gaps.append(time.monotonic() - last)
                last = time.monotonic()

        heart = asyncio.ensure_future(heartbeat())
        calls = [manager.aexecute(action(n), Effect().later) for n in range(16)]
        answers = await asyncio.gather(*calls, manager.get_record("a:b:c"), return_exceptions=True)
        heart.cancel()
        assert {type(answer) for answer in answers} == {StoreUnavailableError}
        # Had one of them been waited for in the loop, it would have stood still for as long.
        assert max(gaps) < HASTY_SECONDS / 2
        wire.pass_everything()
        await manager.close()

    def test_calls_on_many_threads_end_in_time(self, world: World, wire: Wire) -> None:
        manager = world.manager(world.url(wire, **HASTY))
        works(manager, "many")
        wire.black_hole()
        effects = [Effect() for _ in range(16)]
        with at_most(2 * HASTY_SECONDS), ThreadPoolExecutor(16) as pool:
            calls = [pool.submit(run, manager, effect, awaited=False, name=n) for n, effect in enumerate(effects)]
            assert {type(call.exception()) for call in calls} == {StoreUnavailableError}
        assert not any(effect.count for effect in effects)


# ---------------------------------------------------------------------------------------------- processes


@pytest.fixture
def start(world: World) -> Iterator[Callable[..., Program]]:
    """Starts programs on the server, by way of a wire if need be, and ends them with the test."""
    with contextlib.ExitStack() as all_of_them:

        def one(code: str, where: Wire | None = None, **options: str) -> Program:
            named = f"NAMESPACE = {world.namespace!r}\n{textwrap.dedent(code)}"
            program = Program(named, world.url(where, **(options or PATIENT)))
            all_of_them.callback(program.discard)
            return program

        yield one


EXIT = """
manager = im.IdempotencyManager(STORE, namespace=NAMESPACE)
manager.execute(action("s1"), lambda: 1)
manager.execute(action("s1"), lambda: 1)  # counted, and not yet written
say("ready")
heard()
HANG
say("over")
"""


class TestProcesses:
    @pytest.mark.parametrize("hang", ["", "threading.Thread(target=manager.get_keys, daemon=True).start()"])
    def test_the_interpreter_ends_while_the_server_hangs(
        self, world: World, start: Callable[..., Program], hang: str
    ) -> None:
        wire = world.wire()
        program = start(EXIT.replace("HANG", hang), wire, **HANGS)
        assert program.hear() == "ready"
        wire.black_hole()
        program.tell()
        assert program.hear() == "over"
        with at_most(2):
            assert program.hear_all() == []

    def test_the_interpreter_ends_when_the_server_is_gone(self, world: World, start: Callable[..., Program]) -> None:
        program = start(EXIT.replace("HANG", ""))
        assert program.hear() == "ready"
        world.server.kill()
        program.tell()
        assert program.hear() == "over"
        with at_most(2):
            assert program.hear_all() == []

    def test_a_forked_child_and_its_parent_go_on_with_connections_of_their_own(
        self, start: Callable[..., Program]
    ) -> None:
        program = start("""
            manager = im.IdempotencyManager(STORE, namespace=NAMESPACE, lease="60s")
            assert manager.execute(action("before"), lambda: "kept") == "kept"

            def child():
                assert manager.execute(action("before"), lambda: "again") == "kept"
                assert manager.execute(action(f"child {os.getpid()}"), os.getpid) == os.getpid()
                say(os.getpid())

            for turn in range(5):
                pids = [fork(child), fork(child)]
                for number in range(20):
                    assert manager.execute(action(f"{turn} {number}"), lambda: number) == number
                join(*pids)
            say(len(manager.get_keys()))
        """)
        said = program.hear_all()
        assert len(said) == 11
        assert said[-1] == 1 + 10 + 100

    def test_a_child_forked_while_a_thread_waits_for_the_server_goes_on(
        self, world: World, start: Callable[..., Program]
    ) -> None:
        wire = world.wire()
        program = start(
            """
            manager = im.IdempotencyManager(STORE, namespace=NAMESPACE, lease="60s")
            assert manager.execute(action("before"), lambda: "kept") == "kept"
            say("ready")
            heard()
            waiting = threading.Thread(target=manager.execute, args=(action("waiting"), lambda: "of a thread"))
            waiting.start()
            time.sleep(0.2)

            def child():
                heard()
                assert manager.execute(action("before"), lambda: "again") == "kept"

            pid = fork(child)
            say("forked")
            join(pid)
            waiting.join()
            assert manager.execute(action("waiting"), lambda: "again") == "of a thread"
            """,
            wire,
            **HANGS,
        )
        assert program.hear() == "ready"
        wire.black_hole()
        program.tell()
        assert program.hear() == "forked"
        wire.pass_everything()
        program.tell()
        assert program.hear_all() == []
