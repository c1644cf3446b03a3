"""What `wrapper.__call__` gives."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from inspect import Signature
    from typing import Any


class DunderCall:
    """The call of a wrapper, as an object: it has the function's signature, as the `__call__` of a function has.

    A native slot has neither that nor a module, which Celery reads of every task that is no plain function.
    """

    __slots__ = ("_wrapper",)

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Call the wrapper."""
        return self._wrapper(*args, **kwargs)

    @property
    def __signature__(self) -> Signature:
        """The wrapped function's."""
        from inspect import signature  # noqa: PLC0415 - dear, and asked for by few

        return signature(self._wrapper)
