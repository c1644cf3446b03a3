"""The middleware for ASGI: Starlette, FastAPI, Litestar, Django's ASGI handler.

app.add_middleware(IdempotencyMiddleware)  # Starlette, FastAPI
application = IdempotencyMiddleware(get_asgi_application())  # Django, and every other
"""

from __future__ import annotations

import asyncio

from idempotency_manager._types import final
from idempotency_manager.exceptions import IdempotencyError, InDoubtError, InvalidActionError

from ._answer import Recorder
from ._claims import LOST, Claims, tell_of_loss, tell_of_refusal
from ._decision import (
    ANYBODY,
    Payload,
    body_too_large,
    fingerprint_of,
    identity_of,
    key_of,
    refusal_of,
    replay,
)
from ._policy import Policy
from ._problems import Problem
from ._reported import Reported, enter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any, Unpack

    from idempotency_manager._core import Attempt, ClaimBlock

    from ._answer import Answer
    from ._claims import Manager, Name
    from ._policy import Options

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]
    Call = tuple[Scope, Receive, Send]

__all__ = ["IdempotencyMiddleware"]

# Ways for an application to answer that this middleware could not record.
_SHORTCUTS = ("http.response.pathsend", "http.response.zerocopysend")


@final
class IdempotencyMiddleware:
    """Carries a request with an `Idempotency-Key` out once, and answers its retries with the first answer.

    Args:
        app: The application.
        manager: What remembers the answers: an `AsyncIdempotencyManager` or an `IdempotencyManager`. The default
            manager at the time of each request if None.
        **options: See docs/http.md: `methods`, `identity`, `required`, `unquoted_keys`, `key_pattern`,
            `max_key_length`, `max_body_size`, `max_answer_size`, `keep`, `drop_headers`, `on_concurrent`,
            `on_in_doubt`, `in_doubt_on`, `not_executed_on`, `ttl`, `retry_after`, `documentation`. Functions get the
            ASGI scope.

    Raises:
        ConfigurationError: An option is unknown or can't have its value.
    """

    __slots__ = ("_claims", "_policy", "app")

    def __init__(self, app: App, manager: Manager | None = None, **options: Unpack[Options]) -> None:
        self.app = app
        self._policy = Policy(options)
        self._claims = Claims(manager, self._policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        policy = self._policy
        if scope["type"] != "http" or (method := scope["method"]) not in policy.methods:
            await self.app(scope, receive, send)
            return
        fields = scope["headers"]
        headers = dict(fields)
        field = headers.get
        count = 1 if len(headers) == len(fields) else sum(one == b"idempotency-key" for one, _ in fields)
        key = key_of(policy, field(b"idempotency-key"), count, field(b"content-length"), scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        answer: Answer | Problem | None
        if isinstance(key, Problem):
            answer = key
        else:
            authorization = field(b"authorization")
            nobody = authorization is None and policy.identity is None
            name = (key, method, scope["path"], ANYBODY if nobody else identity_of(policy, scope, authorization))
            message = await receive()
            body = message.get("body", b"")
            if message.get("more_body") or len(body) > policy.max_body_size or message["type"] != "http.request":
                answer = await self._gather(name, headers, message, (scope, receive, send))
            else:
                fingerprint = fingerprint_of(scope.get("query_string", b""), field(b"content-type"), body)
                answer = self._claims.at_hand(name, fingerprint)
                if answer is None:
                    answer = await self._carry_out(name, (body, fingerprint), (scope, receive, send))
        if answer is not None:
            # A copy of the headers, as those who stand outside may add theirs in place.
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers[:]})
            await send({"type": "http.response.body", "body": answer.body})

    async def _gather(
        self, name: Name, headers: dict[bytes, bytes], message: Message, call: Call
    ) -> Answer | Problem | None:
        """Read a body that comes in parts, then carry the request out."""
        policy, (scope, receive, _) = self._policy, call
        payload = Payload(policy.max_body_size, scope.get("query_string", b""), headers.get(b"content-type"))
        while message["type"] != "http.disconnect":
            if not payload.add(message.get("body", b"")):
                return body_too_large(policy)
            if not message.get("more_body"):
                return await self._carry_out(name, payload.end(), call)
            message = await receive()
        return None  # the client left before its request was whole: nothing has been carried out

    async def _carry_out(self, name: Name, request: tuple[bytes, str], call: Call) -> Answer | Problem | None:
        """Let the application answer a body with its fingerprint, or give the answer that there is instead."""
        scope, receive, send = call
        if name[3] is ANYBODY and any(field == b"cookie" for field, _ in scope["headers"]):
            self._claims.warn_of_cookies()
        exchange = _Exchange(self._claims, self._policy, request, receive, send)
        answer = await exchange.claim(name)
        if answer is not None:
            return answer
        extensions = scope.get("extensions")
        if extensions and any(name in extensions for name in _SHORTCUTS):
            kept = {extension: extensions[extension] for extension in extensions if extension not in _SHORTCUTS}
            scope = {**scope, "extensions": kept}
        enter(exchange.reported)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            await exchange.fail(error)
            raise
        await exchange.end()
        return None


@final
class _Exchange:
    """One request that is being carried out, between the application and the server.

    As long as it goes on the application does not see that its client has gone, so it runs on to its end and the
    answer is kept for the retry that will come.
    """

    __slots__ = (
        "_attempt", "_block", "_body", "_claims", "_fingerprint", "_has_gone", "_held", "_is_over", "_name", "_over",
        "_policy", "_receive", "_recorder", "_send", "reported",
    )  # fmt: skip
    _block: ClaimBlock
    _attempt: Attempt
    _name: Name

    def __init__(
        self, claims: Claims, policy: Policy, request: tuple[bytes, str], receive: Receive, send: Send
    ) -> None:
        self._claims = claims
        self._policy = policy
        self._body: bytes | None
        self._body, self._fingerprint = request
        self._receive = receive
        self._send = send
        self._recorder = Recorder(policy.max_answer_size)
        self._held: Message | None = None
        self._has_gone = False
        self._is_over = False
        self._over: asyncio.Event | None = None
        self.reported = Reported()

    async def claim(self, name: Name) -> Answer | Problem | None:
        """Ask for the right to carry the request out; give the answer where there is another one to give."""
        fingerprint = self._fingerprint
        self._name = name
        try:
            self._attempt = attempt = await self._enter()
        except IdempotencyError as error:
            problem = refusal_of(self._policy, error, fingerprint)
            if problem is None:
                raise
            if problem.status >= 500:  # noqa: PLR2004 - the server's own
                tell_of_refusal(error)
            return problem
        return replay(self._policy, attempt.result, fingerprint) if attempt.executed else None

    async def _enter(self) -> Attempt:
        """Enter a claim; a second one where the first finds a doubt that is to be settled."""
        name, fingerprint = self._name, self._fingerprint
        self._block = self._claims.claim(name, fingerprint)
        try:
            return await self._block.__aenter__()
        except InDoubtError as error:
            settlement = self._claims.settlement(name, fingerprint, error)
            if settlement is None:
                raise
            self._block = settlement
        return await self._block.__aenter__()

    async def receive(self) -> Message:
        """Give the application the body; afterwards nothing until the answer is recorded."""
        if (body := self._body) is not None:
            self._body = None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self._is_over:
            if self._over is None:
                self._over = asyncio.Event()
            await self._over.wait()
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Record a part of the answer and pass it on; its end only once it is recorded."""
        if self._is_over:
            await self._send(message)
            return
        recorder = self._recorder
        if message["type"] == "http.response.start":
            recorder.status = message["status"]
            recorder.headers = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            is_last = not message.get("more_body", False)
            recorder.add(message.get("body", b""))
            if not self._policy.keep(recorder.status):
                if is_last:
                    self._held = message  # until it is known how the application ends
                    return
            elif is_last or recorder.is_too_large:
                await self._keep()
        await self._pass_on(message)

    async def end(self) -> None:
        """Settle the claim of an application that has returned."""
        if self._is_over:
            return
        if self._held is not None and self.reported.error is None:
            await self._settle(self._attempt.release)
        elif self._held is not None:
            await self._leave(self.reported.error)
        else:
            await self._leave(None)
        await self._let_go()

    async def fail(self, error: BaseException) -> None:
        """Settle the claim of an application that has raised."""
        if not self._is_over:
            await self._leave(error)
            await self._let_go()

    async def _keep(self) -> None:
        answer = self._recorder.answer(self._fingerprint, self._policy.drop_headers)
        await self._settle(self._attempt.complete, self._claims.remember(self._name, self._attempt.key, answer))

    async def _settle(self, how: Callable[..., None], *result: object) -> None:
        """End the claim. Where the store can't be told, the answer goes out all the same: the action has happened."""
        try:
            how(*result)
            await self._block.__aexit__(None, None, None)
        except LOST as error:
            tell_of_loss(self._attempt.key, error)
        finally:
            self._finish()

    async def _leave(self, error: BaseException | None) -> None:
        """Leave the block with an exception, which the manager judges, or without an answer, which is in doubt."""
        try:
            await self._block.__aexit__(None if error is None else type(error), error, None)
        except LOST as lost:
            tell_of_loss(self._attempt.key, lost)
        except InvalidActionError:
            raise RuntimeError(
                f"the application returned before its answer was whole, so it is in doubt whether the request "
                f"{self._attempt.key} was carried out: send a last http.response.body, or raise"
            ) from None
        finally:
            self._finish()

    def _finish(self) -> None:
        self._is_over = True
        if self._over is not None:
            self._over.set()

    async def _pass_on(self, message: Message) -> None:
        """Hand a part on; one that nobody takes is recorded all the same, as long as the answer is."""
        if self._has_gone and not self._recorder.is_too_large:
            return
        try:
            await self._send(message)
        except OSError:
            self._has_gone = True
            if self._recorder.is_too_large:
                raise  # nothing is recorded any more: the application may as well stop

    async def _let_go(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            await self._pass_on(held)
