"""A server that goes away: what a caller meets, within which time, and what is never lost. All is done to real servers.

The promise is the same for both engines: before the claim `StoreUnavailableError`, and the effect does not run; after
the effect bounded retries, then `ResultNotRecordedError`, which carries the result. No effect is forgotten.
"""

import contextlib
import logging
import pickle
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from idempotency_manager import (
    InDoubtError,
    LeaseLostError,
    ResultNotRecordedError,
    State,
    StoreUnavailableError,
)
from tests.integration.servers_world import (
    HASTY,
    HASTY_SECONDS,
    NOT_RECORDED_SECONDS,
    PATIENT,
    Effect,
    Wire,
    World,
    action,
    at_most,
    both,
    closed_port,
    full_backlog,
    is_given_up,
    refused,
    run,
    until,
    with_parts,
    works,
)

# ---------------------------------------------------------------------------------------------- at the start


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port at which connections are taken, and no word is said."""
    with Wire(("127.0.0.1", 9)) as wire:
        wire.black_hole()
        yield wire.port


class TestNoServerAtTheStart:
    @both
    def test_one_that_refuses_is_named_with_what_to_do(self, world: World, *, awaited: bool) -> None:
        port = closed_port()
        effect = Effect()
        url = with_parts(world.server.url, port=port, **HASTY)
        text = refused(
            lambda: run(world.manager(url), effect, awaited=awaited), effect, f"127.0.0.1:{port}", within=HASTY_SECONDS
        )
        assert re.search(r"is (it|the server) running", text), text

    @pytest.mark.parametrize("black_hole", [full_backlog, silent])
    def test_one_that_says_nothing_is_given_up_in_time(
        self, world: World, black_hole: Callable[[], Any], *, awaited: bool
    ) -> None:
        effect = Effect()
        with black_hole() as port:
            url = with_parts(world.server.url, port=port, connect_timeout="150ms", timeout="200ms")
            refused(lambda: run(world.manager(url), effect, awaited=awaited), effect, str(port))

    def test_a_name_that_does_not_exist_is_shown(self, world: World) -> None:
        effect = Effect()
        url = with_parts(world.server.url, host="nowhere.invalid", **HASTY)
        refused(lambda: run(world.manager(url), effect, awaited=False), effect, "nowhere.invalid")

    @both
    def test_what_may_run_unprotected_does_and_it_is_logged(
        self, world: World, caplog: pytest.LogCaptureFixture, *, awaited: bool
    ) -> None:
        url = with_parts(world.server.url, port=closed_port(), **HASTY)
        effect = Effect("done")
        with at_most(HASTY_SECONDS), caplog.at_level(logging.WARNING, "idempotency_manager"):
            manager = world.manager(url, on_store_failure="execute")
            assert run(manager, effect, awaited=awaited) == "done"
        assert effect.count == 1
        assert "without protection" in caplog.text

    def test_a_manager_finds_a_server_that_starts_later(self, world: World, *, awaited: bool) -> None:
        url = world.url(**PATIENT)
        world.server.kill()
        effect = Effect()
        # Where making a manager looks for the server, there is none until it has been found once.
        with contextlib.suppress(StoreUnavailableError):
            manager = world.manager(url, on_store_failure="raise")
            refused(lambda: run(manager, effect, awaited=awaited), effect, within=10)
        unprotected = world.manager(url, on_store_failure="execute")
        world.server.start()
        works(unprotected, "back", awaited=awaited)


# ---------------------------------------------------------------------------------------------- before the claim


class TestAServerThatIsGoneBeforeTheClaim:
    def test_nothing_runs_and_the_same_manager_finds_it_when_it_is_back(self, world: World, *, awaited: bool) -> None:
        manager = world.manager()
        works(manager, "before", awaited=awaited)
        effect = Effect()
        world.server.kill()
        refused(lambda: run(manager, effect, awaited=awaited), effect, str(world.server.port), within=10)
        world.server.start()
        assert run(manager, effect, awaited=awaited) == "done"
        kept = Effect("another")
        assert run(manager, kept, awaited=awaited, name="before") == "before"
        assert kept.count == 0

    def test_a_black_hole_ends_in_time_and_is_forgotten_when_it_is_mended(self, world: World, *, awaited: bool) -> None:
        wire = world.wire()
        manager = world.manager(world.url(wire, **HASTY))
        works(manager, "before", awaited=awaited)
        wire.black_hole()
        effect = Effect()
        refused(lambda: run(manager, effect, awaited=awaited, name="lost"), effect, str(wire.port))
        refused(lambda: manager.get_record(manager.generate_key(action("lost"))), effect)
        refused(lambda: manager.clear_key("a:b:c"), effect)
        wire.pass_everything()
        # What was sent into it may arrive now: a claim that nobody waits for any more must not stay.
        until(lambda: is_given_up(manager, "lost"))
        assert run(manager, effect, awaited=awaited, name="lost") == "done"
        assert effect.count == 1

    def test_a_claim_whose_answer_comes_too_late_is_given_back(self, world: World, *, awaited: bool) -> None:
        wire = world.wire()
        manager = world.manager(world.url(wire, **HASTY))
        works(manager, "before", awaited=awaited)
        effect = Effect()
        with wire.hold_answers():
            refused(lambda: run(manager, effect, awaited=awaited, name="held"), effect)
        until(lambda: is_given_up(manager, "held"))
        works(manager, "held", awaited=awaited)

    @both
    def test_a_cut_connection_is_made_again_within_the_call(self, world: World, *, awaited: bool) -> None:
        wire = world.wire()
        manager = world.manager(world.url(wire, **PATIENT))
        for name in ("a", "b", "c"):
            works(manager, name, awaited=awaited)
            wire.cut()

    def test_a_paused_server_is_given_up_in_time_and_goes_on(self, world: World) -> None:
        manager = world.manager(world.url(**HASTY))
        works(manager, "before")
        effect = Effect()
        world.server.pause()
        try:
            refused(lambda: run(manager, effect, awaited=False, name="paused"), effect)
        finally:
            world.server.resume()
        until(lambda: is_given_up(manager, "paused"))
        works(manager, "paused")

    def test_an_unprotected_call_runs_while_it_is_gone_and_a_protected_one_when_it_is_back(self, world: World) -> None:
        manager = world.manager(on_store_failure="execute")
        works(manager, "before")
        world.server.kill()
        effect = Effect()
        assert run(manager, effect, awaited=False) == "done"
        assert run(manager, effect, awaited=False) == "done"
        assert effect.count == 2
        world.server.start()
        works(manager, "after")


# ---------------------------------------------------------------------------------------------- after the effect


class TestAServerThatIsGoneAfterTheEffect:
    def test_the_error_carries_the_result_and_the_action_ends_in_doubt(self, world: World, *, awaited: bool) -> None:
        manager = world.manager(world.url(**HASTY), lease="1s")
        effect = Effect({"id": 7}, world.server.kill)
        with at_most(NOT_RECORDED_SECONDS), pytest.raises(ResultNotRecordedError) as caught:
            run(manager, effect, awaited=awaited)
        assert caught.value.result == {"id": 7}
        assert str(world.server.port) in str(caught.value)
        assert pickle.loads(pickle.dumps(caught.value)).result == {"id": 7}  # noqa: S301 - its own
        world.server.start()
        until(manager.get_in_doubt)
        with pytest.raises(InDoubtError):
            run(manager, effect, awaited=awaited)
        manager.resolve_in_doubt(manager.generate_key(action()), result={"id": 7})
        assert run(manager, effect, awaited=awaited) == {"id": 7}
        assert effect.count == 1

    def test_it_is_recorded_if_the_server_is_back_in_time(self, world: World, *, awaited: bool) -> None:
        manager = world.manager()
        effect = Effect("kept", world.server.kill)
        helper = threading.Timer(0.2, world.server.start)
        effect.meanwhile = lambda: (world.server.kill(), helper.start())
        assert run(manager, effect, awaited=awaited) == "kept"
        helper.join()
        assert run(world.manager(), effect, awaited=awaited) == "kept"
        assert effect.count == 1

    def test_a_black_hole_that_ends_soon_loses_nothing(self, world: World, *, awaited: bool) -> None:
        wire = world.wire()
        manager = world.manager(world.url(wire, **HASTY))
        effect = Effect("kept", wire.black_hole)
        helper = threading.Timer(1.0, wire.pass_everything)
        helper.start()
        assert run(manager, effect, awaited=awaited) == "kept"
        helper.join()
        assert run(manager, effect, awaited=awaited) == "kept"
        assert effect.count == 1

    def test_a_result_whose_acknowledgement_comes_too_late_is_there(self, world: World, *, awaited: bool) -> None:
        wire = world.wire()
        manager = world.manager(world.url(wire, **HASTY))
        works(manager, "before")  # has been there: what is asked now is asked in one message
        with contextlib.ExitStack() as held:
            effect = Effect("kept", lambda: held.enter_context(wire.hold_answers()))
            with at_most(NOT_RECORDED_SECONDS), pytest.raises(ResultNotRecordedError):
                run(manager, effect, awaited=awaited)
        assert run(world.manager(), effect, awaited=awaited) == "kept"
        assert effect.count == 1

    def test_a_lease_lives_through_a_restart_that_is_shorter(self, world: World) -> None:
        manager, other = world.manager(lease="1500ms"), world.manager()

        def meanwhile() -> None:
            world.restart()
            time.sleep(1.8)

        effect = Effect("kept", meanwhile)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(run, manager, effect, awaited=False)
            until(lambda: effect.count)
            assert run(other, effect, awaited=False) == "kept"
            assert first.result() == "kept"
        assert effect.count == 1

    def test_a_lease_that_lapses_while_the_server_is_away_is_doubt_until_its_holder_knows(self, world: World) -> None:
        wire = world.wire()
        manager, other = world.manager(world.url(wire, **HASTY), lease="300ms"), world.manager()
        key = manager.generate_key(action())

        def meanwhile() -> None:
            wire.black_hole()
            until(lambda: other.get_record(key).state is State.IN_DOUBT)
            with pytest.raises(InDoubtError):
                run(other, Effect(), awaited=False)
            wire.pass_everything()

        assert run(manager, Effect("kept", meanwhile), awaited=False) == "kept"
        assert run(other, Effect(), awaited=False) == "kept"

    def test_who_was_taken_over_while_the_server_was_away_writes_nothing(self, world: World) -> None:
        wire = world.wire()
        manager, other = world.manager(world.url(wire, **HASTY), lease="300ms"), world.manager()
        key = manager.generate_key(action())

        def meanwhile() -> None:
            wire.black_hole()
            until(lambda: other.get_record(key).state is State.IN_DOUBT)
            assert run(other, Effect("second"), awaited=False, on_in_doubt="retry") == "second"
            wire.pass_everything()

        with pytest.raises(LeaseLostError) as caught:
            run(manager, Effect("first", meanwhile), awaited=False)
        assert caught.value.result == "first"
        assert run(other, Effect(), awaited=False) == "second"
