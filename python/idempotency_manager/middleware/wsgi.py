"""The middleware for WSGI: Flask, Django's WSGI handler.

app.wsgi_app = IdempotencyMiddleware(app.wsgi_app)  # Flask
application = IdempotencyMiddleware(get_wsgi_application())  # Django, and every other
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from io import BytesIO

from idempotency_manager._types import final
from idempotency_manager.exceptions import IdempotencyError, InDoubtError, InvalidActionError

from ._answer import Recorder
from ._claims import LOST, Claims, tell_of_loss, tell_of_refusal
from ._decision import (
    ANYBODY,
    Payload,
    body_too_large,
    identity_of,
    key_of,
    refusal_of,
    replay,
)
from ._policy import Policy
from ._problems import REASONS, Problem
from ._reported import Reported, enter, leave

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextvars import Token
    from types import TracebackType
    from typing import Any, Unpack

    from idempotency_manager._core import Attempt, ClaimBlock

    from ._answer import Answer
    from ._claims import Manager, Name
    from ._policy import Options

    Environ = dict[str, Any]
    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
    StartResponse = Callable[..., Callable[[bytes], object]]
    App = Callable[[Environ, StartResponse], Iterable[bytes]]

__all__ = ["IdempotencyMiddleware"]

_PIECE = 1 << 16


@final
class IdempotencyMiddleware:
    """Carries a request with an `Idempotency-Key` out once, and answers its retries with the first answer.

    Args:
        app: The application.
        manager: What remembers the answers. The default manager at the time of each request if None.
        **options: As of `idempotency_manager.middleware.asgi.IdempotencyMiddleware`; functions get the WSGI
            environment.

    Raises:
        ConfigurationError: An option is unknown or can't have its value.
    """

    __slots__ = ("_claims", "_policy", "app")

    def __init__(self, app: App, manager: Manager | None = None, **options: Unpack[Options]) -> None:
        self.app = app
        self._policy = Policy(options)
        self._claims = Claims(manager, self._policy)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        policy = self._policy
        if environ["REQUEST_METHOD"] not in policy.methods:
            return self.app(environ, start_response)
        field: str | None = environ.get("HTTP_IDEMPOTENCY_KEY")
        raw = None if field is None else field.encode("latin-1", "replace")
        key = key_of(policy, raw, 1, environ.get("CONTENT_LENGTH", "").encode("latin-1") or None, environ)
        if key is None:
            return self.app(environ, start_response)
        if isinstance(key, Problem):
            return _answer(key, start_response)
        payload = Payload(policy.max_body_size, *_hashed_headers(environ))
        if not all(payload.add(piece) for piece in _pieces(environ, policy.max_body_size + 1)):
            return _answer(body_too_large(policy), start_response)
        return self._guard(key, payload, environ, start_response)

    def _guard(self, key: str, payload: Payload, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        policy = self._policy
        body, fingerprint = payload.end()
        identity = identity_of(policy, environ, environ.get("HTTP_AUTHORIZATION"))
        if identity is ANYBODY and environ.get("HTTP_COOKIE"):
            self._claims.warn_of_cookies()
        name = (key, environ["REQUEST_METHOD"], _path(environ), identity)
        exchange = _Exchange(self._claims, policy, fingerprint, start_response)
        answer = exchange.claim(name)
        if answer is not None:
            return _answer(answer, start_response)
        _give_back(environ, body)
        exchange.run(self.app, environ)
        return exchange


@final
class _Exchange:
    """One request that is being carried out: the answer that the server iterates over, recorded while it passes by.

    A server whose client has gone closes it; the rest of the answer is then fetched for the retry that will come.
    """

    __slots__ = (
        "_app_close", "_attempt", "_block", "_chunks", "_claims", "_fingerprint", "_is_over", "_name", "_policy",
        "_recorder", "_reported", "_start_response", "_token",
    )  # fmt: skip
    _block: ClaimBlock
    _attempt: Attempt
    _name: Name
    _token: Token[Reported | None]

    def __init__(self, claims: Claims, policy: Policy, fingerprint: str, start_response: StartResponse) -> None:
        self._claims = claims
        self._policy = policy
        self._fingerprint = fingerprint
        self._start_response = start_response
        self._recorder = Recorder(policy.max_answer_size)
        self._reported = Reported()
        self._chunks: Iterator[bytes] = iter(())
        self._app_close: Callable[[], object] | None = None
        self._is_over = False

    def claim(self, name: Name) -> Answer | Problem | None:
        """Ask for the right to carry the request out; give the answer where there is another one to give."""
        self._name = name
        try:
            self._attempt = attempt = self._enter()
        except IdempotencyError as error:
            problem = refusal_of(self._policy, error, self._fingerprint)
            if problem is None:
                raise
            if problem.status >= 500:  # noqa: PLR2004 - the server's own
                tell_of_refusal(error)
            return problem
        return replay(self._policy, attempt.result, self._fingerprint) if attempt.executed else None

    def _enter(self) -> Attempt:
        """Enter a claim; a second one where the first finds a doubt that is to be settled."""
        name, fingerprint = self._name, self._fingerprint
        self._block = self._claims.claim(name, fingerprint)
        try:
            return self._block.__enter__()
        except InDoubtError as error:
            settlement = self._claims.settlement(name, fingerprint, error)
            if settlement is None:
                raise
            self._block = settlement
        return self._block.__enter__()

    def run(self, app: App, environ: Environ) -> None:
        """Call the application."""
        self._token = enter(self._reported)
        try:
            answer = app(environ, self._begin)
            self._app_close = getattr(answer, "close", None)
            self._chunks = iter(answer)
        except BaseException as error:
            self._leave(error)
            raise

    def _begin(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Record the status and headers, and hand them on; the application's `start_response`."""
        self._recorder.status = int(status[:3])
        self._recorder.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        given = (status, headers) if exc_info is None else (status, headers, exc_info)
        write = self._start_response(*given)

        def recorded(data: bytes) -> object:
            self._take(data)
            return write(data)

        return recorded

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._end()
            raise
        except BaseException as error:
            self._leave(error)
            raise
        self._take(chunk)
        return chunk

    def close(self) -> None:
        """Fetch what the server has not fetched, then close the application's answer."""
        try:
            while not self._is_over:
                if self._recorder.is_too_large:
                    self._end()  # of a failure, which is not kept: nobody waits for the rest
                else:
                    next(self, None)
        finally:
            if self._app_close is not None:
                self._app_close()

    def _take(self, chunk: bytes) -> None:
        """Record a part; once the answer is whole, that it is, before the server sends the part."""
        if self._is_over:
            return
        recorder = self._recorder
        recorder.add(chunk)
        if recorder.is_whole or (recorder.is_too_large and self._policy.keep(recorder.status)):
            self._end()

    def _end(self) -> None:
        """Settle the claim of an answer that is whole, or too large to be kept."""
        if self._is_over:
            return
        recorder = self._recorder
        if not recorder.status:
            self._leave(None)
        elif self._policy.keep(recorder.status):
            answer = recorder.answer(self._fingerprint, self._policy.drop_headers)
            self._settle(self._attempt.complete, self._claims.remember(self._name, self._attempt.key, answer))
        elif self._reported.error is not None:
            self._leave(self._reported.error)
        else:
            self._settle(self._attempt.release)

    def _settle(self, how: Callable[..., None], *result: object) -> None:
        """End the claim. Where the store can't be told, the answer goes out all the same: the action has happened."""
        try:
            how(*result)
            self._block.__exit__(None, None, None)
        except LOST as error:
            tell_of_loss(self._attempt.key, error)
        finally:
            self._finish()

    def _leave(self, error: BaseException | None) -> None:
        """Leave the block with an exception, which the manager judges, or without an answer, which is in doubt."""
        if self._is_over:
            return
        try:
            self._block.__exit__(None if error is None else type(error), error, None)
        except LOST as lost:
            tell_of_loss(self._attempt.key, lost)
        except InvalidActionError:
            raise RuntimeError(
                f"the application ended without calling start_response, so it is in doubt whether the request "
                f"{self._attempt.key} was carried out"
            ) from None
        finally:
            self._finish()

    def _finish(self) -> None:
        self._is_over = True
        with suppress(ValueError):  # another thread than the one that it was entered in
            leave(self._token)


def _path(environ: Environ) -> str:
    """Give the path as ASGI has it, so that a move from one to the other keeps the keys."""
    raw: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")


def _hashed_headers(environ: Environ) -> tuple[bytes, bytes]:
    return environ.get("QUERY_STRING", "").encode("latin-1"), environ.get("CONTENT_TYPE", "").encode("latin-1")


def _pieces(environ: Environ, most: int) -> Iterator[bytes]:
    """Read the body, but not much more than `most` bytes of it."""
    declared = environ.get("CONTENT_LENGTH") or ""
    left = int(declared) if declared.isdecimal() else most if environ.get("wsgi.input_terminated") else 0
    while left > 0 and (piece := environ["wsgi.input"].read(min(left, _PIECE))):
        left -= len(piece)
        yield piece


def _give_back(environ: Environ, body: bytes) -> None:
    """Let the application read the body that has been read."""
    environ["wsgi.input"] = BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)


def _answer(answer: Answer | Problem, start_response: StartResponse) -> list[bytes]:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.raw_headers]
    start_response(f"{answer.status} {_reason(answer.status)}", headers)
    return [answer.body or b""]


def _reason(status: int) -> str:
    with suppress(ValueError):
        return REASONS.get(status) or HTTPStatus(status).phrase
    return "Unknown"
