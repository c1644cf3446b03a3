"""What becomes of a request that carries an `Idempotency-Key`: decided here, without I/O, for ASGI and WSGI alike.

The adapters bring the request's parts, ask the store, and send what comes out:

1. `key_of`: pass the request through, refuse it, or guard it under its key, by its headers;
2. `Payload`: its body, up to a limit, and the fingerprint that tells it from another;
3. `action_of`: what the store is asked for;
4. `replay`: what a kept result says; `refusal_of`: what an error of the store says;
5. `Recorder` (in `_answer`): what is kept of the application's answer.
"""

from __future__ import annotations

import re
from hashlib import sha256

from idempotency_manager._types import NOT_EXECUTED, final
from idempotency_manager.exceptions import (
    AlreadyInProgressError,
    CacheFullError,
    InDoubtError,
    ParamsMismatchError,
    ReentrantCallError,
    ResultUnavailableError,
    StoreError,
)

from ._answer import Answer, answer_of
from ._header import PLAIN, parse_key
from ._problems import Code, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from idempotency_manager._core import IdempotencyRecord

    from ._policy import Policy

ANYBODY = "anybody"
"""The identity of callers who show no credentials, where there is no function to tell them apart."""
_NOBODY = "nobody"
_FINGERPRINT = "fingerprint"
_LONGEST_NAME = 256
_BOUNDARY = re.compile(rb'^multipart/.*;\s*boundary="?([^";,]+)"?', re.IGNORECASE).match


def key_of(
    policy: Policy, raw: bytes | None, count: int, content_length: bytes | None, request: Mapping[str, Any]
) -> str | Problem | None:
    """Decide by its headers whether a request is guarded, before any of its body is read.

    Args:
        policy: The options.
        raw: The header's value, if there is one.
        count: How many such headers there are.
        content_length: The body's declared size, if there is one.
        request: The scope or the environment, for a `required` that is a function.

    Returns:
        The key; a problem to answer with; or None to pass the request through untouched.
    """
    if raw is None:
        return _without_key(policy, request)
    is_short = content_length is None or len(content_length) < policy.shortest_excess
    if is_short and count == 1 and (match := PLAIN(raw)) and len(raw) <= policy.longest_plain:
        return match[1].decode("ascii")
    try:
        if count > 1:
            raise ValueError(f"The request has {count} of them; send one.")  # noqa: TRY301 - as any other malformed one
        key = parse_key(raw, unquoted=policy.unquoted_keys, longest=policy.max_key_length)
        if policy.key_pattern is not None and not policy.key_pattern.fullmatch(key):
            raise ValueError(f"A key must match {policy.key_pattern.pattern}.")  # noqa: TRY301 - likewise
    except ValueError as error:
        return _problem(policy, Code.KEY_MALFORMED, str(error))
    too_large = content_length is not None and content_length.isdigit() and int(content_length) > policy.max_body_size
    return body_too_large(policy) if too_large else key


def _without_key(policy: Policy, request: Mapping[str, Any]) -> Problem | None:
    required = policy.required if isinstance(policy.required, bool) else policy.required(request)
    if not required:
        return None
    return _problem(
        policy,
        Code.KEY_MISSING,
        "This operation takes an Idempotency-Key: send a new one, such as a UUID between quotation marks, with every "
        "new request, and the same one with every retry of it.",
    )


def body_too_large(policy: Policy) -> Problem:
    """Refuse a body: it must be read as a whole, to tell it from another, before anything runs."""
    return _problem(
        policy,
        Code.BODY_TOO_LARGE,
        f"With an Idempotency-Key a body may have {policy.max_body_size} bytes. Nothing was carried out.",
    )


def fingerprint_of(query: bytes, content_type: bytes | None, body: bytes) -> str:
    """Give the fingerprint of a body that came in one piece; see `Payload`."""
    if content_type is not None and content_type[:1] in b"mM":
        payload = Payload(len(body), query, content_type)
        payload.add(body)
        return payload.end()[1]
    return sha256(query + b"\n" + body).hexdigest()


@final
class Payload:
    """A request's body as it arrives, and its fingerprint: the query and the body, hashed.

    Clients make up a new boundary for every multipart body that they write, so a boundary is left out of the hash.
    """

    __slots__ = ("_boundary", "_chunks", "_hash", "_limit", "_size")

    def __init__(self, limit: int, query: bytes, content_type: bytes | None) -> None:
        """Begin; the body may have `limit` bytes."""
        self._limit = limit
        self._size = 0
        self._chunks: list[bytes] = []
        self._hash = sha256(query + b"\n")
        match = _BOUNDARY(content_type) if content_type else None
        self._boundary = match[1] if match else None

    def add(self, chunk: bytes) -> bool:
        """Take a part; False if it is too much."""
        self._size += len(chunk)
        if self._size > self._limit:
            return False
        self._chunks.append(chunk)
        if self._boundary is None:
            self._hash.update(chunk)
        return True

    def end(self) -> tuple[bytes, str]:
        """Give the body and the fingerprint."""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        if self._boundary is not None:
            self._hash.update(body.replace(b"--" + self._boundary, b"--"))
        return body, self._hash.hexdigest()


def identity_of(policy: Policy, request: Mapping[str, Any], authorization: bytes | str | None) -> str:
    """Name the caller, so that nobody is given another's answer: by the function given, or a hash of credentials."""
    if policy.identity is not None:
        return policy.identity(request) or _NOBODY
    if not authorization:
        return ANYBODY
    credentials = authorization.encode("latin-1") if isinstance(authorization, str) else authorization
    return f"authorization-{sha256(credentials).hexdigest()[:32]}"


def action_of(key: str, method: str, path: str, identity: str) -> dict[str, Any]:
    """Name the action: the client's key is the signal, method and path its type, the caller its target."""
    return {"signal_id": key, "action": _bounded(f"{method} {path}"), "target": _bounded(identity)}


def _bounded(name: str) -> str:
    """Keep a name short enough for every store's index; what is cut off still counts."""
    if len(name) <= _LONGEST_NAME:
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name[: _LONGEST_NAME - len(digest)]}{digest}"


def context_of(fingerprint: str) -> dict[str, str]:
    """Give what a claim carries, so that whoever meets it knows which body it is of."""
    return {_FINGERPRINT: fingerprint}


def replay(policy: Policy, result: Any, fingerprint: str) -> Answer | Problem:
    """Decide what a request gets whose key has been carried out, with this result."""
    answer = answer_of(result)
    if answer is None:
        return _not_kept(policy, None)
    if answer.fingerprint != fingerprint and answer.fingerprint is not None:
        return _reused(policy)
    return answer if answer.body is not None else _not_kept(policy, answer)


def refusal_of(policy: Policy, error: Exception, fingerprint: str) -> Problem | None:
    """Decide what a request gets whose claim the store did not grant; None for an error that is the program's own."""
    record: IdempotencyRecord | None = getattr(error, "record", None)
    if isinstance(error, ParamsMismatchError) or (record is not None and is_of_another(record, fingerprint)):
        return _reused(policy)
    if isinstance(error, AlreadyInProgressError | ReentrantCallError):
        detail = "The first request has not been answered yet. Ask again with the same key to get its answer."
        return _problem(policy, Code.IN_PROGRESS, detail, retry_after=policy.retry_after)
    if isinstance(error, InDoubtError):
        return _problem(
            policy,
            Code.IN_DOUBT,
            "The first request was begun and broken off, so it may have been carried out or not. It is not carried out "
            "again under this key. Look whether what you asked for is there, or ask the service's operators.",
        )
    if isinstance(error, ResultUnavailableError):
        return _not_kept(policy, None)
    if isinstance(error, StoreError | CacheFullError):
        detail = "Nothing was carried out. Ask again with the same key."
        return _problem(policy, Code.STORE_UNAVAILABLE, detail, retry_after=policy.retry_after)
    return None


def is_of_another(record: IdempotencyRecord, fingerprint: str) -> bool:
    """Tell whether a record is of a request with another body."""
    context = record.context
    if context is not None and _FINGERPRINT in context:
        return bool(context[_FINGERPRINT] != fingerprint)
    return False


def guarded_reconciler(
    on_in_doubt: str | Callable[[IdempotencyRecord], Any], fingerprint: str
) -> Callable[[IdempotencyRecord], Any]:
    """Let only the same request settle what an earlier one left in doubt: another body is refused first."""

    def settle(record: IdempotencyRecord) -> Any:
        if is_of_another(record, fingerprint):
            raise ParamsMismatchError(record)
        return on_in_doubt(record) if callable(on_in_doubt) else NOT_EXECUTED

    return settle


def _reused(policy: Policy) -> Problem:
    detail = "It was used for another request: another query or another body. Send a new key with a new request."
    return _problem(policy, Code.KEY_REUSED, detail)


def _not_kept(policy: Policy, answer: Answer | None) -> Problem:
    detail = (
        "It is not carried out again. The answer was too large to be kept, or could not be: ask for the outcome in "
        "another way, such as a GET."
    )
    if answer is None:
        return _problem(policy, Code.ANSWER_NOT_KEPT, detail)
    original = {"status": answer.status, **answer.plain()["headers"]}
    return _problem(policy, Code.ANSWER_NOT_KEPT, detail, original=original)


def _problem(policy: Policy, code: Code, detail: str, **more: Any) -> Problem:
    return Problem(code, detail, documentation=policy.documentation, **more)
