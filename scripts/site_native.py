"""Gives the site the docstrings of the native half, which its stub leaves to the compiled module."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from griffe import Docstring, Extension

import idempotency_manager._core

if TYPE_CHECKING:
    from griffe import GriffeLoader, Object

NATIVE = "idempotency_manager._core."


class NativeDocstrings(Extension):
    """Adds to what the stub declares the docstring that the compiled module has."""

    def on_object(self, *, obj: Object, loader: GriffeLoader, **_: Any) -> None:  # noqa: ARG002 - griffe names it
        """Look the object up in the compiled module."""
        if obj.docstring is not None or not obj.path.startswith(NATIVE):
            return
        found: Any = idempotency_manager._core  # noqa: SLF001 - this package's own
        for name in obj.path.removeprefix(NATIVE).split("."):
            found = getattr(found, name, None)
        shows = inspect.isclass(found) or inspect.isroutine(found) or inspect.isdatadescriptor(found)
        if shows and (text := inspect.getdoc(found)):
            obj.docstring = Docstring(text, parent=obj)
