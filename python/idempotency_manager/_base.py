"""What both managers are made of: a native core, a configuration, and what takes no waiting."""

from __future__ import annotations

from datetime import timedelta

from ._config import make_config, replaced, store_url
from ._core import Core
from ._decorator import decorator
from ._duration import to_microseconds
from ._options import native_settings, read_options, warns_of_params
from ._parameters import is_generator_function
from ._place import place
from .exceptions import InvalidActionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
    from typing import Any, ParamSpec, TypeVar, Unpack, overload

    from ._action import ActionLike
    from ._batch import BatchOutcome, Plan
    from ._config import IdempotencyConfig
    from ._duration import Duration
    from ._signatures import CallOptions, Decorator, FunctionOptions, Idempotent, Settings, Transactional

    A = TypeVar("A", bound=ActionLike)
    P = ParamSpec("P")
    T = TypeVar("T")


class BaseManager:
    """Owns one store; see `IdempotencyManager` and `AsyncIdempotencyManager`."""

    def __init__(self, store: str | None = None, /, **config: Unpack[Settings]) -> None:
        store = config.pop("store", store)
        self._config = make_config(store, config)
        del store  # a traceback with the names of its frames would show the password
        scalars, policies = native_settings(self._config)
        self._core = Core(place(store_url(self._config), self._config.namespace), scalars, policies)

    @property
    def config(self) -> IdempotencyConfig:
        """The configuration; frozen."""
        return self._config

    def configure(self, **config: Unpack[Settings]) -> None:
        """Change the configuration at once, on a live manager; what is under way ends under the old one.

        Args:
            **config: Fields of `IdempotencyConfig`. Another `store` or `clock` opens another store: the records stay in
                the old one.

        Raises:
            ConfigurationError: A field is unknown or can't have its value; nothing changes then.
        """
        changed = replaced(self._config, config)
        del config  # as above
        self._core.configure(place(store_url(changed), changed.namespace), *native_settings(changed))
        self._config = changed

    def generate_key(self, action: ActionLike | None = None, /, **fields: Any) -> str:
        """Give the key of an action under this configuration: `signal_id:action:target:params_hash`.

        Args:
            action: An `Action`, or a mapping with its fields.
            **fields: Or the fields by keyword.

        Raises:
            InvalidActionError: A field is missing, empty, unknown or not text.
            UnsupportedParamError: A param has no canonical form.
        """
        if action is not None and fields:
            raise InvalidActionError("give an action or its fields, not both")
        return self._core.key(fields if action is None else action)

    if TYPE_CHECKING:

        @overload
        def idempotent(self, function: None = None, /, **options: Unpack[FunctionOptions]) -> Decorator: ...
        @overload
        def idempotent(self, function: Callable[P, T], /, **options: Unpack[FunctionOptions]) -> Idempotent[P, T]: ...

    def idempotent(self, function: Any = None, /, **options: Any) -> Any:
        """Decorate a function with this manager; the options are those of `idempotent`."""
        return decorator(function, self._core, self._config.lease, options, warns=warns_of_params(self._config))

    def _options(self, ttl: Duration | None, options: Mapping[str, Any]) -> dict[str, Any] | None:
        if ttl is None and not options:
            return None
        return read_options({"ttl": ttl, **options}, self._config.lease)

    def _plan(
        self,
        actions: Iterable[Any],
        options: dict[str, Any] | None,
        on_progress: Callable[[int, int | None], object] | None,
        batch_size: int,
    ) -> Plan:
        from ._batch import Plan  # noqa: PLC0415 - only for those who use it

        return Plan(self._core, actions, options, on_progress, batch_size)

    if TYPE_CHECKING:

        @overload
        def aexecute_many(
            self,
            actions: Iterable[A],
            executor: Callable[[A], Awaitable[T]],
            *,
            ttl: Duration | None = None,
            on_progress: Callable[[int, int | None], object] | None = None,
            batch_size: int = 100,
            concurrency: int = 16,
            **options: Unpack[CallOptions],
        ) -> Coroutine[Any, Any, list[BatchOutcome[T]]]: ...
        @overload
        def aexecute_many(
            self,
            actions: Iterable[A],
            executor: Callable[[A], T],
            *,
            ttl: Duration | None = None,
            on_progress: Callable[[int, int | None], object] | None = None,
            batch_size: int = 100,
            concurrency: int = 16,
            **options: Unpack[CallOptions],
        ) -> Coroutine[Any, Any, list[BatchOutcome[T]]]: ...

    def aexecute_many(  # noqa: PLR0913 - each is an option of its own
        self,
        actions: Iterable[Any],
        executor: Callable[[Any], Any],
        *,
        ttl: Duration | None = None,
        on_progress: Callable[[int, int | None], object] | None = None,
        batch_size: int = 100,
        concurrency: int = 16,
        **options: Unpack[CallOptions],
    ) -> Coroutine[Any, Any, list[BatchOutcome[Any]]]:
        """Do the same as `execute_many` in an asyncio task, with up to `concurrency` executors at once.

        Executors are awaited if what they return can be. A process that is killed leaves at most 16 actions in doubt,
        or `concurrency` if that is more. A cancellation leaves those in doubt whose executors it interrupted.
        """
        from ._batch import positive  # noqa: PLC0415 - only for those who use it
        from ._batch_async import Runner  # noqa: PLC0415 - likewise

        refuse_generator(executor)
        plan = self._plan(actions, self._options(ttl, options), on_progress, batch_size)
        return Runner(plan, executor, positive("concurrency", concurrency)).run()

    async def _in_transaction(
        self,
        connection: Transactional,
        action: ActionLike,
        executor: Callable[[], Any],
        ttl: Duration | None,
        options: Mapping[str, Any],
    ) -> Any:
        from ._transaction import SharedTransaction  # noqa: PLC0415 - only for those who use it
        from ._transaction_drive import adrive  # noqa: PLC0415
        from ._transaction_options import transaction_options  # noqa: PLC0415

        refuse_generator(executor)
        read = transaction_options(ttl, options)
        call = SharedTransaction(self._core, self._config, connection, action, read, awaits=True)
        return await adrive(call.execute(executor))

    def start_auto_cleanup(self) -> None:
        """Start the removal of expired records in the background, at every `cleanup_interval`."""
        self._core.start_auto_cleanup()

    def stop_auto_cleanup(self) -> None:
        """Stop it."""
        self._core.stop_auto_cleanup()

    def __repr__(self) -> str:
        """Show the store, without its password."""
        return f"{type(self).__name__}({self._config.store!r})"


def refuse_generator(executor: object) -> None:
    """Refuse what would be recorded as done before any of it has run.

    Raises:
        InvalidActionError: A call of the executor gives a generator.
    """
    if is_generator_function(executor):
        name = getattr(executor, "__qualname__", repr(executor))
        problem = f"{name} is a generator, which runs only as far as somebody iterates"
        raise InvalidActionError(f"{problem}: give a function that returns its items in a list")


def resolution(result: object, unset: object, *, not_executed: bool) -> bool:
    """Tell what a person says of an action in doubt: True that it happened, with a result.

    Raises:
        InvalidActionError: It says both or neither.
    """
    if (result is not unset) == not_executed:
        both = "both" if not_executed else "neither"
        raise InvalidActionError(f"result and not_executed: {both} given; give the result=… or not_executed=True")
    return not not_executed


def list_of_keys(keys: Iterable[str]) -> list[str]:
    """Gather keys.

    Raises:
        InvalidActionError: They are one key.
    """
    if isinstance(keys, str):
        raise InvalidActionError(f"keys={keys!r} is one key: give a list of keys")
    return list(keys)


UNSET: Any = object()
"""A result that is not given, since None is one."""

HOUR = timedelta(hours=1)
"""What is soon, unless somebody says otherwise."""


def within_micros(within: Duration) -> int:
    """Read how far to look ahead, in microseconds."""
    return to_microseconds(within, "within")


def whole_count(count: object) -> int:
    """Check a number of records.

    Raises:
        InvalidActionError: It is none.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise InvalidActionError(f"count={count!r}: give a whole number of records, 0 or more")
    return count
