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
        over = threading.Event()
        # Two threads ask for the same.
        effects = [[Effect(number, lambda: time.sleep(0.005)) for number in range(1000)] for _ in range(4)]

        def worker(group: int) -> dict[int, str]:
            endings = {}
            for number, effect in enumerate(effects[group]):
                if over.is_set():
                    break
                endings[number] = _persist(manager, effect, f"{group} {number}")
            return endings

        with ThreadPoolExecutor(8) as pool:
            calls = [(group, pool.submit(worker, group)) for group in (0, 1, 2, 3) * 2]
            try:
                for _ in range(3):
                    time.sleep(0.15)
                    world.restart()
            finally:
                over.set()
        for group, call in calls:
            for number, ending in call.result().items():
                assert ending in {"result", "in doubt", "carried"}
                assert effects[group][number].count == 1


def _persist(manager: IdempotencyManager, effect: Effect, name: str) -> str:
    """Ask until there is an answer."""
    while True:
        try:
            assert run(manager, effect, awaited=False, name=name) == effect.result
        except StoreUnavailableError:
            time.sleep(0.05)
        except InDoubtError:
            return "in doubt"
        except (ResultNotRecordedError, LeaseLostError) as error:
            return "carried" if error.result == effect.result else "carried another"
        else:
            return "result"
