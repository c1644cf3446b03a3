"""A record as it lies in a table. What it means is decided by the native half, as for a store."""

from __future__ import annotations

from dataclasses import dataclass

from ._core import name_action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._action import ActionLike
    from ._core import Core


@dataclass(frozen=True, slots=True)
class Named:
    """An action, named once when the call begins: what mutates its params later changes neither key nor digest."""

    key: str
    signal_id: str
    action_type: str
    target: str
    fingerprint: bytes
    params: str | None
    context: str | None

    @classmethod
    def of(cls, core: Core, action: ActionLike) -> Named:
        """Name an action under a manager's settings.

        Raises:
            InvalidActionError: A field is missing, empty, unknown or not text.
            UnsupportedParamError: A param has no canonical form, or the context can't be kept.
        """
        return cls(*name_action(core, action))


@dataclass(frozen=True, slots=True)
class Row:
    """A stored record. Times are microseconds since 1970 in UTC."""

    fence: int
    key: str
    state: str
    attempts: int
    started_at: int
    expires_at: int
    signal_id: str | None = None
    action_type: str | None = None
    target: str | None = None
    fingerprint: bytes | None = None
    owner: str | None = None
    owner_process: str | None = None
    latch: str | None = None
    lease_until: int | None = None
    executed_at: int | None = None
    result: str | bytes | None = None
    error: str | None = None
    error_type: str | None = None
    error_args: str | None = None
    params: str | None = None
    context: str | None = None
