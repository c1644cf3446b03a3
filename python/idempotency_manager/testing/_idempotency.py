"""`idempotency`: a manager of a test's own, a clock that it moves, what it has executed, and the faults it plans."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, final
from uuid import uuid4

from idempotency_manager._config import given_settings, store_url
from idempotency_manager._core import ManualClock
from idempotency_manager._default import set_manager
from idempotency_manager._manager import IdempotencyManager
from idempotency_manager._parameters import is_coroutine_function
from idempotency_manager.exceptions import ConfigurationError, IdempotencyError

from . import _telling
from ._deliveries import deliver_again, deliver_at_once
from ._executions import Journal
from ._faults import Fault
from ._which import Which, of_call, of_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import ParamSpec, Unpack

    from idempotency_manager._async_manager import AsyncIdempotencyManager
    from idempotency_manager._core import Core
    from idempotency_manager._signatures import Settings

    from ._executions import Executed
    from ._faults import Point

    P = ParamSpec("P")
    T = TypeVar("T")

# What an application has configured holds in its tests too, but for where records are, the time, and who is told.
_A_TESTS_OWN = ("store", "namespace", "clock", "on_event")
# A wait is in real time, and one so long is a test that hangs.
_WAIT_TIMEOUT = "10s"


@final
class Idempotency:
    """What a test has of idempotency: a fresh manager that is the default one, and everything that it executes.

    Attributes:
        manager: The manager.
        clock: The clock that its records and leases go by: `clock.advance("24h")`. Waiting is in real time.
    """

    def __init__(self, manager: IdempotencyManager, clock: ManualClock, opened: ExitStack) -> None:
        self.manager = manager
        self.clock = clock
        self._opened = opened
        self._journal = Journal()
        self._cores: set[Core] = set()
        self._see(manager)

    def _see(self, manager: IdempotencyManager | AsyncIdempotencyManager) -> None:
        core = manager._core  # noqa: SLF001 - this package's own
        core.observe(self._journal)
        self._cores.add(core)
        self._opened.callback(core.observe, None)

    def adopt(self, manager: IdempotencyManager | AsyncIdempotencyManager) -> None:
        """Take a manager of the application's own into the test, for functions that are decorated with `manager=…`.

        Until the test ends it goes by this clock, keeps its records where this manager does, and what it executes is
        seen; then it goes by its own settings again. A `memory://` of its own is empty then.
        """
        config = manager.config
        before = {name: getattr(config, name) for name in ("namespace", "clock", "store_params")}
        before["store"] = store_url(config)
        self._opened.callback(_give_back, manager, before)
        own = self.manager.config
        place: dict[str, Any] = {"store": store_url(own), "namespace": own.namespace}
        manager.configure(**place, clock=self.clock, store_params=own.store_params)
        self._see(manager)

    # ---------------------------------------------------------------- what was executed

    @property
    def executions(self) -> list[Executed]:
        """Each run of a function's body so far, in the order in which they began; replays are counted on them."""
        return list(self._journal.executions)

    def assert_executed_once(self, helper: Callable[..., Any] | None = None, /, *args: Any, **kwargs: Any) -> Executed:
        """Check that the effect has happened once: that one execution had it, or may have had.

        Args:
            helper: A decorated function.
            *args: The arguments of the call that is meant. With none of any kind: any call of it.
            **kwargs: Its keyword arguments; without a helper, which executions are meant: `action`, `target`,
                `signal_id` or `key`.

        Returns:
            The execution.

        Raises:
            AssertionError: It was not, or more than once; the text says what was executed, and what differs.
            TypeError: The helper is not decorated, or nothing can be seen of it.
        """
        __tracebackhide__ = True
        which, fitting = self._find(helper, args, kwargs)
        counting = [execution for execution in fitting if execution.counts]
        if not counting:
            raise AssertionError(_telling.not_executed(which, fitting, self._journal.executions))
        if len(counting) > 1:
            raise AssertionError(_telling.too_often(which, counting))
        return counting[0]

    def assert_not_executed(self, helper: Callable[..., Any] | None = None, /, *args: Any, **kwargs: Any) -> None:
        """Check that the effect has not happened: that no execution had it, or may have had.

        Args:
            helper: As of `assert_executed_once`; with nothing at all: that no effect has.
            *args: Likewise.
            **kwargs: Likewise.

        Raises:
            AssertionError: It has; the text says when.
            TypeError: The helper is not decorated, or nothing can be seen of it.
        """
        __tracebackhide__ = True
        which, fitting = self._find(helper, args, kwargs)
        counting = [execution for execution in fitting if execution.counts]
        if counting:
            raise AssertionError(_telling.executed(which, counting))

    def _find(
        self, helper: Callable[..., Any] | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Which, list[Executed]]:
        which = of_call(self._cores, helper, args, kwargs)
        return which, [execution for execution in self._journal.executions if which.fits(execution)]

    # ---------------------------------------------------------------- faults

    def crash_before_effect(self, helper: Callable[..., Any] | None = None, /, **which: str) -> Fault:
        """Have the process die after the claim and before the effect, once, in a `with` block.

        The block ends there. The action is in doubt for the next caller, or, with a latch, not executed. Blocks of
        `finally` on the way out run, which in a process that is killed do not.

        Args:
            helper: The decorated function that it happens to; any if None.
            **which: Or the `action`, `target` or `signal_id` that it happens to.

        Returns:
            The context manager. It raises an `AssertionError` at the end of a block in which nothing was executed.
        """
        return self._fault("crash_before_effect", helper, which)

    def crash_after_effect(self, helper: Callable[..., Any] | None = None, /, **which: str) -> Fault:
        """Have the process die after the effect and before its record, once, in a `with` block.

        The block ends there. The action is in doubt for the next caller: the effect has happened, and nobody knows.
        Arguments and the rest as of `crash_before_effect`.
        """
        return self._fault("crash_after_effect", helper, which)

    def store_down_after_effect(self, helper: Callable[..., Any] | None = None, /, **which: str) -> Fault:
        """Have the store be out of reach after the effect, once: the call raises `ResultNotRecordedError`.

        The error carries the result. The action is in doubt for the next caller; the lease, which would have to end
        first, is over at once. Arguments and the rest as of `crash_before_effect`, but the error is yours to catch.
        """
        return self._fault("store_down_after_effect", helper, which)

    def lease_lost(self, helper: Callable[..., Any] | None = None, /, **which: str) -> Fault:
        """Have another caller take the action over after the lease has lapsed, once: `LeaseLostError`.

        The error carries the result. The other caller vanishes, so the action is in doubt for the next one. Arguments
        and the rest as of `crash_before_effect`, but the error is yours to catch.
        """
        return self._fault("lease_lost", helper, which)

    def _fault(self, point: Point, helper: Callable[..., Any] | None, which: dict[str, str]) -> Fault:
        return Fault(self._journal, point, of_helper(self._cores, helper, which))

    def duplicate_delivery(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call, and the same call again, and check that both came to the same by one execution.

        The call may be a decorated function, or any function that calls some: a webhook's handler, a task.

        Args:
            call: What is delivered; that of a coroutine function is to be awaited.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            The result of the first.

        Raises:
            AssertionError: The second raised, their results differ, or an action was executed twice.
        """
        delivered: T = deliver_again(
            self._journal, partial(call, *args, **kwargs), is_async=is_coroutine_function(call)
        )
        return delivered

    def concurrent_delivery(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call, and the same call while the first executes, and check that both came to the same.

        Two threads, or two tasks for a coroutine function. Where `on_concurrent="raise"`, that one of them is told of
        the other is right, too. Arguments, result and errors as of `duplicate_delivery`.
        """
        delivered: T = deliver_at_once(
            self._journal, partial(call, *args, **kwargs), is_async=is_coroutine_function(call)
        )
        return delivered


def _give_back(manager: IdempotencyManager | AsyncIdempotencyManager, settings: dict[str, Any]) -> None:
    with suppress(IdempotencyError):  # closed meanwhile
        manager.configure(**settings)


@contextmanager
def idempotency(store: str | None = None, /, **config: Unpack[Settings]) -> Iterator[Idempotency]:
    """Give a test a fresh manager, which is the default one as long as the block lasts.

    It has the settings of the default manager before it, with these over them, and a clock of its own.

    Args:
        store: Where records are kept, in memory if None: in a namespace of their own, which is emptied at the end.
        **config: Fields of `IdempotencyConfig`. `clock` is a `ManualClock`; a new one if it is not given.

    Raises:
        ConfigurationError: A field is unknown or can't have its value, `clock` is no `ManualClock`, or a namespace is
            given.
    """
    url = store or config.pop("store", None) or "memory://"
    config.pop("store", None)
    if "namespace" in config:
        problem = "a test has a namespace of its own, which is emptied when it ends"
        raise ConfigurationError(f"namespace={config['namespace']!r}: {problem}; leave it out")
    clock = config.pop("clock", None) or ManualClock()
    if not isinstance(clock, ManualClock):
        remedy = "give one, or none for a new one"
        raise ConfigurationError(f"clock={clock!r}: a test moves its clock itself, so it is a ManualClock; {remedy}")
    before = set_manager(None)
    with ExitStack() as opened:
        opened.callback(set_manager, before)
        settings = {
            "wait_timeout": _WAIT_TIMEOUT,
            "enable_auto_cleanup": False,
            "store_params": True,
            **({} if before is None else _settings_of(before)),
            **config,
            "namespace": f"test-{uuid4().hex}",
        }
        manager = opened.enter_context(_fresh_manager(url, clock, settings))
        set_manager(manager)
        yield Idempotency(manager, clock, opened)


def _settings_of(manager: IdempotencyManager) -> dict[str, Any]:
    return {name: value for name, value in given_settings(manager.config).items() if name not in _A_TESTS_OWN}


@contextmanager
def _fresh_manager(store: str, clock: ManualClock, settings: dict[str, Any]) -> Iterator[IdempotencyManager]:
    manager = IdempotencyManager(store, clock=clock, **settings)
    try:
        with manager:
            yield manager
    finally:
        if not manager.config.store.startswith("memory:"):
            # Not by the test's own manager, which the test may have closed, or put faults before.
            with IdempotencyManager(store, namespace=settings["namespace"], enable_auto_cleanup=False) as cleaner:
                cleaner.clear_all()
                cleaner.reset_stats()
