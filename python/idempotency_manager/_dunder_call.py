"""What `wrapper.__call__` gives."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from inspect import Signature
    from typing import Any


class DunderCall:
    """The call of a wrapper, as an object that has all that the wrapper has, as the `__call__` of a function does.

    A native slot has nothing of it. Celery reads a task's signature and module there, if it is no plain function;
    others whether it is a coroutine function.
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

    def __getattr__(self, name: str) -> Any:
        """Look everything else up on the wrapper."""
        if name == "_wrapper":  # a copy that is being made has none yet
            raise AttributeError(name)
        return getattr(self._wrapper, name)
