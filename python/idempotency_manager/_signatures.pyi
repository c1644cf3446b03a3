"""What only type checkers read: a decorated function's type, and the options and settings by name.

Nothing imports this module at run time.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, Required, Self, TypedDict, TypeVar, overload

from ._async_manager import AsyncIdempotencyManager
from ._core import Event, IdempotencyRecord
from ._duration import Duration
from ._manager import IdempotencyManager
from ._types import Clock, Codec, OnConcurrent, OnInDoubt

_P = ParamSpec("_P")
_K = ParamSpec("_K")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_Receiver = TypeVar("_Receiver")

class Keyed(Generic[_K, _T_co]):
    """What every decorated function has, whether it is looked up on a module, a class or an object.

    `_K` are the parameters that a key is made of: all but the receiver of a method.
    """

    __module__: str
    __name__: str
    __qualname__: str

    def key(self, *args: _K.args, **kwargs: _K.kwargs) -> str: ...
    def record(self, *args: _K.args, **kwargs: _K.kwargs) -> IdempotencyRecord | None: ...
    def clear(self, *args: _K.args, **kwargs: _K.kwargs) -> bool: ...

class MethodOnClass(Keyed[_K, _T_co], Generic[_P, _K, _T_co]):
    """A method that is looked up on its class: called with the object, while its keys are asked for without one."""

    @property
    def __wrapped__(self) -> Callable[_P, _T_co]: ...
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _T_co: ...

class Idempotent(Keyed[_P, _T_co], Generic[_P, _T_co]):
    """A decorated function: called as the function is, bound as functions are."""

    @property
    def __wrapped__(self) -> Callable[_P, _T_co]: ...
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _T_co: ...

    # A method, on its class and on an object.
    @overload
    def __get__(
        self: Callable[Concatenate[_Receiver, _K], _T_co], instance: None, owner: type[_Receiver], /
    ) -> MethodOnClass[Concatenate[_Receiver, _K], _K, _T_co]: ...
    @overload
    def __get__(
        self: Callable[Concatenate[_Receiver, _K], _T_co], instance: _Receiver, owner: type | None = None, /
    ) -> Idempotent[_K, _T_co]: ...
    # A class method: its first parameter is the class. Checkers take `@classmethod` off before they look.
    @overload
    def __get__(
        self: Callable[Concatenate[_Receiver, _K], _T_co], instance: object, owner: _Receiver, /
    ) -> Idempotent[_K, _T_co]: ...
    # A static method: its first parameter is not the object.
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> Self: ...

class Unbound(Generic[_P, _T_co]):
    """A decorated `staticmethod` or `classmethod` object: the same function whatever it is looked up on."""

    @property
    def __func__(self) -> Idempotent[..., _T_co]: ...
    def __get__(self, instance: object, owner: type | None = None, /) -> Idempotent[_P, _T_co]: ...

class Decorator(Protocol):
    """What `idempotent(target=…)` gives: decorates a function and keeps its signature."""

    @overload
    def __call__(self, function: classmethod[Any, _P, _T], /) -> Unbound[_P, _T]: ...
    @overload  # a staticmethod is callable too, and what is made of it can do more
    def __call__(self, function: staticmethod[_P, _T], /) -> Unbound[_P, _T]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[_P, _T], /) -> Idempotent[_P, _T]: ...

class CallOptions(TypedDict, total=False):
    """The options of one call beside its `ttl`; None stands for what is configured."""

    on_concurrent: OnConcurrent | None
    on_in_doubt: OnInDoubt | None
    in_doubt_on: tuple[type[BaseException], ...] | None
    not_executed_on: tuple[type[BaseException], ...] | None
    replay_errors: tuple[type[Exception], ...] | None
    latch: bool
    result_type: Any
    codec: Codec | None
    shadow: bool | None

class Transactional(Protocol):
    """What has a transaction. A checker may have none of the clients; which connections serve is known at run time."""

    def commit(self) -> Any: ...
    def rollback(self) -> Any: ...
    def close(self) -> Any: ...

class TransactionOptions(TypedDict, total=False):
    """The options of one call in a transaction beside its `ttl`; None stands for what is configured."""

    on_concurrent: OnConcurrent | None
    on_in_doubt: OnInDoubt | None
    not_executed_on: tuple[type[BaseException], ...] | None
    replay_errors: tuple[type[Exception], ...] | None
    result_type: Any
    codec: Codec | None
    shadow: Literal[False] | None  # for a manager in shadow mode: a record that commits with the rows has no shadow

class FunctionOptions(CallOptions, total=False):
    """The options of a function that a manager decorates."""

    target: Required[str]
    action: str | None
    signal_id: str | Callable[..., str] | None
    params: Iterable[str] | Callable[..., Mapping[str, Any]] | None
    exclude: Iterable[str]
    ttl: Duration | None

class DecoratorOptions(FunctionOptions, total=False):
    """The options of `idempotent`."""

    manager: IdempotencyManager | AsyncIdempotencyManager | None

class Settings(TypedDict, total=False):
    """The fields of `IdempotencyConfig` as they may be given."""

    store: str
    default_ttl: Duration
    max_cache_size: int | None
    enable_auto_cleanup: bool
    cleanup_interval: Duration
    include_params_in_key: bool
    namespace: str
    lease: Duration
    on_concurrent: OnConcurrent
    wait_timeout: Duration
    on_in_doubt: OnInDoubt
    in_doubt_on: tuple[type[BaseException], ...]
    not_executed_on: tuple[type[BaseException], ...]
    replay_errors: tuple[type[Exception], ...]
    on_store_failure: Literal["raise", "execute"]
    on_full: Literal["evict", "raise"]
    verify_params: bool
    store_params: bool
    codec: Codec | None
    on_event: Callable[[Event], None] | None
    clock: Clock | None
    shadow: bool
    warn_volatile_after: int | None
