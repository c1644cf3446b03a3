"""A server that is killed at any instant, and started again."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from idempotency_manager import (
    IdempotencyManager,
    InDoubtError,
    LeaseLostError,
    ResultNotRecordedError,
    StoreUnavailableError,
)
from tests.integration.servers_world import (
    Effect,
    World,
    leave_in_doubt,
    run,
)


class TestAServerThatIsKilledAndStartedAgain:
    def test_what_it_has_answered_for_is_there(self, world: World) -> None:
        manager = world.manager()
        for name in range(20):
            run(manager, Effect(name), awaited=False, name=name)
        doubt = leave_in_doubt(manager, "doubt")
        world.restart()
        fresh = world.manager()
        for name in range(20):
            assert run(fresh, Effect("again"), awaited=False, name=name) == name
        assert [record.key for record in fresh.get_in_doubt()] == [doubt]

    def test_many_threads_double_and_lose_nothing(self, world: World) -> None:
        manager = world.manager(lease="2s")
        effects = {name: Effect(name) for name in range(200)}
        counts, is_over = threading.Lock(), threading.Event()
        endings: dict[int, list[str]] = {name: [] for name in effects}

        def worker(share: range) -> None:
            for name in share:
                ending = _persist(manager, effects[name], name)
                with counts:
                    endings[name].append(ending)

        def restarts() -> None:
            while not is_over.wait(0.3):
                world.restart()

        restarter = threading.Thread(target=restarts)
        restarter.start()
        with ThreadPoolExecutor(8) as pool:
            shares = [range(offset, 200) for offset in (0, 0, 50, 50, 100, 100, 150, 150)]
            calls = [pool.submit(worker, share) for share in shares]
        is_over.set()
        restarter.join()
        for call in calls:
            call.result()
        for name, effect in effects.items():
            assert effect.count == 1, (name, endings[name])
            assert set(endings[name]) <= {"result", "in doubt", "carried"}


def _persist(manager: IdempotencyManager, effect: Effect, name: int) -> str:
    """Ask until there is an answer."""
    while True:
        try:
            assert run(manager, effect, awaited=False, name=name) == name
        except StoreUnavailableError:
            time.sleep(0.05)
        except InDoubtError:
            return "in doubt"
        except (ResultNotRecordedError, LeaseLostError) as error:
            return "carried" if error.result == name else "carried another"
        else:
            return "result"
