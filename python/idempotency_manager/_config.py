"""The configuration: one frozen value, made from fields that are each checked when it is made."""

from __future__ import annotations

from ._duration import refusal
from ._settings import DEFAULTS, read_field
from ._store_url import StoreUrl
from ._types import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from typing import Any, Literal, NoReturn

    from ._types import Clock, Codec, OnConcurrent, OnInDoubt

_CACHE_SIZE_IN_MEMORY = 10_000


@final
class IdempotencyConfig:
    """What a manager goes by. Frozen: `configure` makes a new one.

    Durations are given as `Duration`s and kept as `timedelta`s.
    """

    __slots__ = (*DEFAULTS, "_given", "_url")

    store: str
    """Where records live, its password shown as `***`: `memory://`, `sqlite:///path.db`, `redis://…`, …"""
    default_ttl: timedelta
    """How long a result is kept: 24 h."""
    max_cache_size: int | None
    """How many records are held at most: 10,000 in memory, `None` (no cap) in a durable store."""
    enable_auto_cleanup: bool
    """Whether expired records are removed in the background: True."""
    cleanup_interval: timedelta
    """How often they are: 1 h."""
    include_params_in_key: bool
    """Whether other params make another key: True."""
    namespace: str
    """What this application's records are kept apart by in a shared store: `idempotency`."""
    lease: timedelta
    """How long a claim is believed without renewal: 30 s."""
    on_concurrent: OnConcurrent
    """Whether a second caller waits for the first or is told: `wait`."""
    wait_timeout: timedelta
    """How long it waits: 60 s."""
    on_in_doubt: OnInDoubt
    """What the next caller of an action in doubt meets: `raise`."""
    in_doubt_on: tuple[type[BaseException], ...]
    """Exceptions that leave an action in doubt, besides those that are recognised: none."""
    not_executed_on: tuple[type[BaseException], ...]
    """Exceptions that prove that nothing happened; they take precedence: none."""
    replay_errors: tuple[type[Exception], ...]
    """Exceptions that are a final answer, recorded and replayed: none."""
    on_store_failure: Literal["raise", "execute"]
    """Whether the effect runs unprotected while the store is out of reach: `raise`, it does not."""
    on_full: Literal["evict", "raise"]
    """Whether the oldest finished records make room in a full cache: `evict`."""
    verify_params: bool
    """With `include_params_in_key=False`: whether other params for a live key are an error: False."""
    store_params: bool
    """Whether params are kept on the record: False, for they may hold what should not be kept."""
    codec: Codec | None
    """What encodes results: `None` is the package's own typed JSON."""
    on_event: Callable[[Any], None] | None
    """What is told of each event: `None`."""
    clock: Clock | None
    """What tells the time: `None` is the store's own."""
    shadow: bool
    """Whether every call executes, and what would have been prevented is only counted: False."""
    warn_volatile_after: int | None
    """After how many first runs of a signal that differ in the time or a random id to warn: 20; `None` for never."""

    def __init__(self, store: str | None = None, /, **fields: object) -> None:
        """Check every field, and the fields against each other.

        Raises:
            ConfigurationError: A field is unknown, can't have its value, or contradicts another.
        """
        asked = fields if store is None else {**fields, "store": store}
        given = {name: read_field(name, value) for name, value in asked.items()}
        values = {**DEFAULTS, **given}
        url = values["store"] if isinstance(values["store"], StoreUrl) else StoreUrl(values["store"])
        if "max_cache_size" not in given and url.scheme == "memory":
            values["max_cache_size"] = _CACHE_SIZE_IN_MEMORY
        values["store"] = url.masked
        for name, value in {**values, "_given": given, "_url": url}.items():
            object.__setattr__(self, name, value)
        if "lease" in given and self.lease > self.default_ttl:
            field, problem = "lease", f"longer than default_ttl={self.default_ttl!r}"
            remedy = "write a lease that is at most default_ttl, or a longer default_ttl"
            raise refusal(field, self.lease, problem, remedy)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: a configuration does not change."""
        message = f"a configuration does not change: use configure({name}=…), which makes a new one"
        raise AttributeError(message)

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: a configuration does not change."""
        message = f"a configuration does not change: {name} can't be removed"
        raise AttributeError(message)

    def __eq__(self, other: object) -> bool:
        """Compare every field, the password included."""
        if not isinstance(other, IdempotencyConfig):
            return NotImplemented
        return store_url(self) == store_url(other) and _values(self) == _values(other)

    def __hash__(self) -> int:
        """Hash what is always hashable; a codec need not be."""
        return hash((store_url(self), self.namespace, self.default_ttl, self.lease))

    def __repr__(self) -> str:
        """Show every field, the store without its password."""
        return f"IdempotencyConfig({', '.join(f'{name}={value!r}' for name, value in _values(self).items())})"

    def __copy__(self) -> IdempotencyConfig:
        """Return itself, which does not change."""
        return self

    def __reduce__(self) -> tuple[Callable[[Mapping[str, Any]], IdempotencyConfig], tuple[dict[str, Any]]]:
        """Pickle what was given, so that defaults stay defaults."""
        return _from_given, (given_settings(self),)


def make_config(store: str | None, fields: Mapping[str, Any]) -> IdempotencyConfig:
    """Make a configuration of a store's URL and fields; what is not given has its default.

    Raises:
        ConfigurationError: A field is unknown, can't have its value, or contradicts another.
    """
    return IdempotencyConfig(store, **fields)


def replaced(config: IdempotencyConfig, changes: Mapping[str, Any]) -> IdempotencyConfig:
    """Make a configuration like `config` but for `changes`; a default that follows another field still does.

    Raises:
        ConfigurationError: As for `make_config`.
    """
    return IdempotencyConfig(**{**given_settings(config), **changes})


def store_url(config: IdempotencyConfig) -> StoreUrl:
    """Give the store's URL, password and all: for the engine only."""
    return config._url  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001 - the one way to it


def given_settings(config: IdempotencyConfig) -> dict[str, Any]:
    """Give the fields that were given, the store with its password: for the package only."""
    return dict(config._given)  # type: ignore[attr-defined]  # noqa: SLF001 - this module's own


def _values(config: IdempotencyConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in DEFAULTS}


def _from_given(given: Mapping[str, Any]) -> IdempotencyConfig:
    return IdempotencyConfig(**given)
