"""`idempotent`: the decorator, on a manager that is given or on the default one."""

from __future__ import annotations

from ._decorator import decorator
from ._default import current_lease, current_warns
from ._options import warns_of_params

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ParamSpec, TypeVar, Unpack, overload

    from ._async_manager import AsyncIdempotencyManager
    from ._duration import Duration
    from ._manager import IdempotencyManager
    from ._signatures import Decorator, DecoratorOptions, Idempotent
    from ._types import Codec, OnConcurrent, OnInDoubt

    P = ParamSpec("P")
    T = TypeVar("T")

if TYPE_CHECKING:

    @overload
    def idempotent(function: None = None, /, **options: Unpack[DecoratorOptions]) -> Decorator: ...
    @overload
    def idempotent(function: Callable[P, T], /, **options: Unpack[DecoratorOptions]) -> Idempotent[P, T]: ...


def idempotent(  # noqa: PLR0913 - the contract's
    function: Any = None,
    /,
    *,
    target: str | None = None,
    action: str | None = None,
    signal_id: str | Callable[..., str] | None = None,
    params: Iterable[str] | Callable[..., Mapping[str, Any]] | None = None,
    exclude: Iterable[str] = (),
    ttl: Duration | None = None,
    manager: IdempotencyManager | AsyncIdempotencyManager | None = None,
    on_concurrent: OnConcurrent | None = None,
    on_in_doubt: OnInDoubt | None = None,
    in_doubt_on: tuple[type[BaseException], ...] | None = None,
    latch: bool = False,
    not_executed_on: tuple[type[BaseException], ...] | None = None,
    replay_errors: tuple[type[Exception], ...] | None = None,
    result_type: Any = None,
    codec: Codec | None = None,
    shadow: bool | None = None,
) -> Any:
    """Make a function run once for each signal and params, and hand its result to every duplicate.

    Wraps a function, method or `async def`. The wrapper has `.key(*a, **kw)`, `.record(*a, **kw)`, `.clear(*a, **kw)`
    and `__wrapped__`.

    Args:
        function: The function, where the decorator is used without `@`.
        target: The platform that the action acts on, such as `"trello"`.
        action: The action's type; the function's name if None.
        signal_id: Where the signal is: a parameter's name, a dotted path of attributes or keys (`"event.id"`), or a
            callable of the arguments. If None, the parameter `signal_id` where there is one, else the surrounding
            `signal(…)`.
        params: What the action is done with: parameters' names, or a callable of the arguments that returns a mapping.
            If None, every argument but `self` and `cls` and the one that `signal_id` names.
        exclude: Parameters' names to leave out.
        ttl: How long the result is kept.
        manager: Whose records they are; the default manager's at the time of each call if None.
        on_concurrent: `"wait"` for an execution that is under way, or `"raise"`.
        on_in_doubt: What the next caller of an action in doubt meets: `"raise"`, `"retry"`, or a reconciler.
        in_doubt_on: Exceptions that leave it in doubt, besides those that are recognised.
        latch: Whether the function calls `current_execution().dispatched()` right before the effect.
        not_executed_on: Exceptions that prove that nothing happened.
        replay_errors: Exceptions that are a final answer, recorded and replayed.
        result_type: The result's type; the return annotation if None.
        codec: What encodes the result, in place of the package's own.
        shadow: Whether every call executes, and what would have been prevented is only counted; as configured if None.

    Raises:
        ConfigurationError: It can't be decorated so; the error says what to write instead.
    """
    options = {
        "target": target,
        "action": action,
        "signal_id": signal_id,
        "params": params,
        "exclude": exclude,
        "ttl": ttl,
        "on_concurrent": on_concurrent,
        "on_in_doubt": on_in_doubt,
        "in_doubt_on": in_doubt_on,
        "latch": latch or None,
        "not_executed_on": not_executed_on,
        "replay_errors": replay_errors,
        "result_type": result_type,
        "codec": codec,
        "shadow": shadow,
    }
    if manager is None:
        return decorator(function, None, current_lease(), options, warns=current_warns())
    core, config = manager._core, manager.config  # noqa: SLF001 - this package's own
    return decorator(function, core, config.lease, options, warns=warns_of_params(config))
