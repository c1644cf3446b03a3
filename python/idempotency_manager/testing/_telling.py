"""What a failed assertion says: what was meant, what was executed, and in what the two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ._executions import Executed
    from ._which import Which

_MOST = 20
_NAMES = ("action", "target", "signal_id")


def not_executed(which: Which, fitting: Sequence[Executed], executions: Sequence[Executed]) -> str:
    """Say that something was not executed that should have been, and what comes nearest to it."""
    lines = [f"{which.text} was not executed"]
    if fitting:
        lines += ["  it was called, but without effect:", *_list(fitting)]
    elif not executions:
        lines.append("  nothing was")
    else:
        lines += ["  these were:", *_list(executions)]
        number, nearest = _nearest(which, executions)
        differences = list(_differences(which, nearest))
        if differences:
            lines += [
                f"  the nearest, {number}, differs in what it was called for (- asked for, + executed):",
                *differences,
            ]
    return "\n".join(lines)


def too_often(which: Which, fitting: Sequence[Executed]) -> str:
    """Say that something was executed more than once, and in what the first two differ."""
    lines = [f"{which.text} was executed {len(fitting)} times, not once", *_list(fitting)]
    first, second = fitting[:2]
    if first.key == second.key:
        lines.append(
            "  1 and 2 have the same key: before the second, the record expired or was cleared, or the action was in "
            "doubt and on_in_doubt had it run again"
        )
    else:
        differences = [*_changes(_named(first), _named(second)), *_changes(first.params or {}, second.params or {})]
        lines += ["  2 differs from 1 (- first, + second):", *differences]
    return "\n".join(lines)


def executed(which: Which, fitting: Sequence[Executed]) -> str:
    """Say that something was executed that should not have been."""
    times = "once" if len(fitting) == 1 else f"{len(fitting)} times"
    return "\n".join([f"{which.text} was executed {times}, and should not have been", *_list(fitting)])


def _list(executions: Sequence[Executed]) -> Iterator[str]:
    for number, execution in enumerate(executions[:_MOST], 1):
        yield f"  {number}. {execution}"
        yield f"     key {execution.key}"
    if len(executions) > _MOST:
        yield f"  … and {len(executions) - _MOST} more"


def _named(execution: Executed) -> dict[str, Any]:
    return {name: getattr(execution, name) for name in _NAMES}


def _nearest(which: Which, executions: Sequence[Executed]) -> tuple[int, Executed]:
    differing = [sum(1 for _ in _differences(which, execution)) for execution in executions]
    place = differing.index(min(differing))
    return place + 1, executions[place]


def _differences(which: Which, execution: Executed) -> Iterator[str]:
    asked = {name: value for name, value in which.asked.items() if name != "key" or which.params is None}
    yield from _changes(asked, {name: getattr(execution, name) for name in asked})
    if which.params is None:
        return
    yield from _changes(which.names, {name: getattr(execution, name) for name in which.names})
    params = execution.params or {}
    if which.names.get("action") == execution.action:
        yield from _changes({name: value for name, value in which.params.items() if name in params}, params)


def _changes(before: Any, after: Any) -> Iterator[str]:
    """Tell the fields that differ, as a person would see them: `repr` against `repr`."""
    for name in _in_order(before, after):
        old, new = (repr(fields[name]) if name in fields else None for fields in (before, after))
        if old != new:
            if old is not None:
                yield f"    - {name}: {old}"
            if new is not None:
                yield f"    + {name}: {new}"


def _in_order(*many: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for fields in many for name in fields))
