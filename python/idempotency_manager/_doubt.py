"""Whether an exception leaves it open that the effect happened.

Clients wrap their errors in layers, and each layer knows less. So an error is judged together with what it
wraps: its cause, the exceptions in its args, a `reason`, the members of a group, and the error that was being
handled when it was raised. The rules, first to last:

1. A class in `not_executed_on` proves that nothing happened; nothing beneath is looked at.
2. A class in `in_doubt_on`, and any `BaseException` that is no `Exception` (cancellation, Ctrl-C, exit), is doubt.
3. A class of the table is doubt unless what it wraps proves that nothing was sent, or the reverse.
4. Any other class is doubt where something beneath it is: an earlier answer that was lost stays lost, whatever
   failed after it. `raise … from None` says that it is not so.
"""

from __future__ import annotations

import errno

from ._doubt_table import (
    CLASSES,
    CONNECTING_FRAMES,
    CONNECTING_WORDS,
    LOST_GRPC_CODES,
    LOST_GRPC_DETAILS,
    LOST_SQLSTATES,
    TRANSFER_FRAMES,
    TRANSPORTS,
    UNROUTABLE,
    UNSENT_GRPC_DETAILS,
    Verdict,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Classes = tuple[type[BaseException], ...]

_DEEPEST = 100


def leaves_in_doubt(error: BaseException, in_doubt_on: Classes = (), not_executed_on: Classes = ()) -> bool:
    """Tell whether the effect may have happened although its executor raised.

    Args:
        error: What the executor raised.
        in_doubt_on: Classes that leave it open, besides those that are recognised.
        not_executed_on: Classes that prove that nothing happened; they take precedence.

    Returns:
        True where nobody knows whether the effect happened, False for an ordinary failure. An error that can't
        be judged, because its own `__str__` or `code()` fails, is doubt.
    """
    try:
        return _Judge(in_doubt_on, not_executed_on).judge(error, excused=False, depth=0) is Verdict.DOUBT
    except Exception:  # noqa: BLE001 - the executor's error must come out, not a second one from looking at it
        return True


class _Judge:
    """One judgement: what the user listed, and what has been seen, for causes and contexts may form a ring."""

    __slots__ = ("_in_doubt_on", "_not_executed_on", "_seen")

    def __init__(self, in_doubt_on: Classes, not_executed_on: Classes) -> None:
        self._in_doubt_on = in_doubt_on
        self._not_executed_on = not_executed_on
        self._seen: set[int] = set()

    def judge(self, error: BaseException, *, excused: bool, depth: int) -> Verdict | None:
        """Judge an error and what is beneath it.

        `excused` says that a client has explained it as a failure to connect: the bare timeout or reset
        beneath such an error is no lost answer.
        """
        if id(error) in self._seen:
            return None
        self._seen.add(id(error))
        if isinstance(error, self._not_executed_on):
            return Verdict.UNSENT
        group = isinstance(error, BaseExceptionGroup)
        if isinstance(error, self._in_doubt_on) or depth > _DEEPEST:
            return Verdict.DOUBT
        own, package = (None, "") if group else classify(error)
        bare = package in TRANSPORTS
        if bare and own is Verdict.DOUBT:
            if not excused:
                return own
            own = None
        return self._judge_with_wrapped(error, own, bare=bare, excused=excused, depth=depth)

    def _judge_with_wrapped(
        self, error: BaseException, own: Verdict | None, *, bare: bool, excused: bool, depth: int
    ) -> Verdict | None:
        explains = own is not Verdict.DOUBT and (excused or (own is Verdict.UNSENT and not bare))
        wrapped = list(_wrapped(error))
        verdicts = [self.judge(inner, excused=explains, depth=depth + 1) for inner in wrapped]
        if own is Verdict.DOUBT:
            return Verdict.UNSENT if Verdict.UNSENT in verdicts and Verdict.DOUBT not in verdicts else own
        handled = error.__context__
        if handled is not None and not error.__suppress_context__:
            # A client's error may be raised while it handles the bare one it explains. A bare error explains
            # nothing that was handled before it, but for the cancellation that a timeout was made of.
            same = not bare or (isinstance(error, TimeoutError) and type(handled).__name__ == "CancelledError")
            verdicts.append(self.judge(handled, excused=explains and same, depth=depth + 1))
        if Verdict.DOUBT in verdicts:
            return Verdict.DOUBT
        return Verdict.UNSENT if own is not None or Verdict.UNSENT in verdicts else None


def classify(error: BaseException) -> tuple[Verdict | None, str]:
    """Judge an error by itself: by its classes, its words, and the way it came.

    Returns:
        The verdict, `None` for a class that says nothing, and the top-level package of the class that decided.
    """
    for cls in type(error).__mro__:
        package = cls.__module__.partition(".")[0]
        name = f"{package}.{cls.__qualname__}"
        if name == "grpc.RpcError":
            return _grpc(error), package
        if package in ("psycopg", "psycopg2") and cls.__qualname__ in ("OperationalError", "InterfaceError"):
            return _postgres(error, connection_only=cls.__qualname__ == "InterfaceError"), package
        verdict = CLASSES.get(name)
        if verdict is None:
            continue
        if verdict is Verdict.DOUBT and _has_words(error, CONNECTING_WORDS.get(name, ())):
            verdict = Verdict.UNSENT
        return (_by_its_way(error, verdict), package) if package in TRANSPORTS else (verdict, package)
    if not isinstance(error, Exception):
        return Verdict.DOUBT, "builtins"
    if isinstance(error, OSError) and errno.errorcode.get(error.errno or 0) in UNROUTABLE:
        return Verdict.UNSENT, "builtins"
    return None, ""


def _by_its_way(error: BaseException, verdict: Verdict) -> Verdict:
    """Correct the verdict on a standard library's error by the functions that it came through."""
    if not isinstance(error, OSError):
        return verdict
    frames = set(_frames(error))
    if frames & CONNECTING_FRAMES:
        return Verdict.UNSENT
    if verdict is Verdict.UNSENT_UNLESS:
        return Verdict.DOUBT if frames & TRANSFER_FRAMES else Verdict.UNSENT
    return verdict


def _frames(error: BaseException) -> Iterator[tuple[str, str]]:
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        yield str(frame.f_globals.get("__name__")), frame.f_code.co_name
        traceback = traceback.tb_next


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """Give what an error says that it wraps."""
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions
    if error.__cause__ is not None:
        yield error.__cause__
    options = getattr(error, "kwargs", None)  # where botocore keeps it
    inner = options.get("error") if isinstance(options, dict) else None
    for named in (*error.args, getattr(error, "reason", None), inner):
        candidates = named if isinstance(named, tuple | list) else (named,)
        yield from (one for one in candidates if isinstance(one, BaseException))


def _has_words(error: BaseException, words: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(word in text for word in words)


def _grpc(error: BaseException) -> Verdict:
    """Judge an RPC by its status; one without a status broke off nobody knows where."""
    code = _asked(error, "code")
    details = str(_asked(error, "details") or "").lower()
    status = getattr(code, "name", None)
    if any(words in details for words in LOST_GRPC_DETAILS) or status is None:
        return Verdict.DOUBT
    if status == "UNAVAILABLE" and any(words in details for words in UNSENT_GRPC_DETAILS):
        return Verdict.UNSENT
    return Verdict.DOUBT if status in LOST_GRPC_CODES else Verdict.UNSENT


def _asked(error: BaseException, name: str) -> object:
    attribute = getattr(error, name, None)
    return attribute() if callable(attribute) else attribute


def _postgres(error: BaseException, *, connection_only: bool) -> Verdict | None:
    """Judge a database error: by its SQLSTATE where the server gave one, else by its words."""
    sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if sqlstate:
        return Verdict.DOUBT if sqlstate in LOST_SQLSTATES else Verdict.UNSENT
    if _has_words(error, CONNECTING_WORDS["psycopg"]):
        return Verdict.UNSENT
    return None if connection_only else Verdict.DOUBT
