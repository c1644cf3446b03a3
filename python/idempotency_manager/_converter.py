"""What the makers of converters and their users agree on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Converter:
    """Takes values of one annotation apart, and puts them together again."""

    __slots__ = ()

    def unpack(self, value: Any) -> Any:
        """Take `value` apart into plain values, never None.

        Raises:
            Exception: of any kind, where the value is none of the annotation's.
        """
        raise NotImplementedError

    def build(self, plain: Any) -> Any:
        """Put together what `unpack` took apart.

        Raises:
            Exception: of any kind, where `plain` does not fit the annotation (any more).
        """
        raise NotImplementedError
