"""What an application's end means, and what a store's failure does, without a server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import (
    NOT_EXECUTED,
    AsyncIdempotencyManager,
    ConfigurationError,
    IdempotencyManager,
    IdempotencyRecord,
    current_execution,
)
from idempotency_manager.middleware import kept_answer, wsgi
from idempotency_manager.middleware.asgi import IdempotencyMiddleware
from idempotency_manager.testing import FaultPlan, ManualClock, inject
from servers import RedisServer
from servers.testing import needed
from tests.http.asking import Asked, ask, environ, scope

if TYPE_CHECKING:
    from collections.abc import Iterator


class App:
    """Answers 201, counts, and does what it is told before and after its answer."""

    def __init__(self, *, before: BaseException | None = None, after: BaseException | None = None) -> None:
        self.before, self.after = before, after
        self.runs = 0
        self.status = 201
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        self.runs += 1
        await receive()
        if self.before is not None:
            raise self.before
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"done"})
        if self.after is not None:
            raise self.after


async def outcome(app: App, **options: Any) -> Asked:
    """The answer to a retry of a request whose application raises."""
    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager(), **options)
    with pytest.raises(type(app.before or app.after)):
        await ask(middleware)
    app.before = app.after = None
    return await ask(middleware)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("no"), None),
        (ConnectionRefusedError(), None),
        (TimeoutError(), "in-doubt"),
        (ConnectionResetError(), "in-doubt"),
        (asyncio.CancelledError(), "in-doubt"),
        (SystemExit(), "in-doubt"),
    ],
    ids=lambda value: getattr(type(value), "__name__", None) if isinstance(value, BaseException) else str(value),
)
async def test_an_exception_is_judged_as_everywhere(error: BaseException, code: str | None) -> None:
    app = App(before=error)
    retry = await outcome(app)
    assert (retry.status, app.runs) == ((409, 1) if code else (201, 2))
    assert code is None or retry.json["code"] == code


async def test_options_move_the_line_between_failure_and_doubt() -> None:
    assert (await outcome(App(before=KeyError()), in_doubt_on=(LookupError,))).json["code"] == "in-doubt"
    assert (await outcome(App(before=TimeoutError()), not_executed_on=(TimeoutError,))).status == 201


async def test_an_exception_behind_an_answer_that_is_kept_changes_nothing() -> None:
    app = App(after=TimeoutError())  # such as one of a background task
    retry = await outcome(app)
    assert (retry.status, retry.headers["idempotent-replayed"], app.runs) == (201, "true", 1)


async def test_an_exception_behind_a_failure_is_judged_before_the_failure_is_sent() -> None:
    app = App(after=TimeoutError())  # as Starlette's outermost layer answers and raises
    app.status = 500
    manager = AsyncIdempotencyManager()
    middleware, asked = IdempotencyMiddleware(app, manager), Asked([b"{}"])
    with pytest.raises(TimeoutError):
        await middleware(scope(), asked.receive, asked.send)
    assert (asked.status, asked.body) == (500, b"done")
    assert len(await manager.get_in_doubt()) == 1


async def test_an_application_that_ends_without_an_answer_leaves_it_in_doubt() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager())
    with pytest.raises(RuntimeError, match="before its answer was whole"):
        await ask(middleware)
    assert (await ask(middleware)).json["code"] == "in-doubt"


async def test_a_person_settles_a_doubt_with_an_answer() -> None:
    app = App(before=TimeoutError())
    manager = AsyncIdempotencyManager()
    middleware = IdempotencyMiddleware(app, manager)
    with pytest.raises(TimeoutError):
        await ask(middleware)
    (record,) = await manager.get_in_doubt()
    answer = kept_answer(201, '{"id": 7}', {"Content-Type": "application/json", "Link": ["<a>", "<b>"]})
    await manager.resolve_in_doubt(record.key, result=answer)
    retry = await ask(middleware)
    assert (retry.status, retry.json, retry.headers["content-length"]) == (201, {"id": 7}, "9")
    assert [value for name, value in retry.messages[0]["headers"] if name == b"link"] == [b"<a>", b"<b>"]


@pytest.mark.parametrize("result", [None, {"status": "odd"}, "text", {"status": 200, "headers": {}, "body": 7}])
async def test_a_doubt_settled_with_any_other_result_is_never_a_second_run(result: Any) -> None:
    app = App(before=TimeoutError())
    manager = AsyncIdempotencyManager()
    middleware = IdempotencyMiddleware(app, manager)
    with pytest.raises(TimeoutError):
        await ask(middleware)
    (record,) = await manager.get_in_doubt()
    await manager.resolve_in_doubt(record.key, result=result)
    retry = await ask(middleware)
    assert (retry.status, retry.json["code"], app.runs) == (409, "answer-not-kept", 1)


async def test_a_reconciler_settles_a_doubt_and_only_for_the_same_body() -> None:
    found: list[Any] = [NOT_EXECUTED, kept_answer(201, "found")]

    async def look(_record: IdempotencyRecord) -> Any:
        return found.pop()

    app = App(before=TimeoutError())
    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager(), on_in_doubt=look)
    with pytest.raises(TimeoutError):
        await ask(middleware)
    assert (await ask(middleware, b"other")).json["code"] == "key-reused"
    assert (await ask(middleware)).body == b"found"
    assert (await ask(middleware, b"other")).body == b"found"  # what a person or a function says has no fingerprint
    assert app.runs == 1


async def test_retry_runs_an_action_in_doubt_again_but_not_another_one() -> None:
    app = App(before=TimeoutError())
    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager(on_in_doubt="retry"))
    with pytest.raises(TimeoutError):
        await ask(middleware)
    app.before = None
    assert (await ask(middleware, b"other")).json["code"] == "key-reused"
    assert ((await ask(middleware)).body, app.runs) == (b"done", 2)


# ---------------------------------------------------------------- stores


async def test_a_store_that_is_down_is_told_and_nothing_runs(caplog: pytest.LogCaptureFixture) -> None:
    manager, plan, app = AsyncIdempotencyManager(), FaultPlan(), App()
    inject(manager, plan)
    plan.fail_before("claim", 10)
    middleware = IdempotencyMiddleware(app, manager, retry_after=3)
    with caplog.at_level(logging.ERROR, "idempotency_manager.middleware"):
        answer = await ask(middleware)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "store-unavailable", "3")
    assert "refused with status 503" in caplog.text
    plan.heal()
    assert ((await ask(middleware)).status, app.runs) == (201, 1)


async def test_a_store_that_goes_down_meanwhile_costs_nobody_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    manager, plan, app = AsyncIdempotencyManager(), FaultPlan(), App()
    inject(manager, plan)
    plan.fail_before("finish", None)
    middleware = IdempotencyMiddleware(app, manager)
    with caplog.at_level(logging.ERROR, "idempotency_manager.middleware"):
        answer = await ask(middleware)
    assert (answer.status, answer.body) == (201, b"done")
    assert "was sent, but not recorded" in caplog.text
    plan.heal()
    retry = await ask(middleware)
    assert (retry.status, app.runs) == (409, 1)


@pytest.fixture
def mortal_redis() -> Iterator[RedisServer]:
    with needed():
        server = RedisServer()
        server.start()
    yield server
    server.close()


async def test_a_redis_that_stops_is_told_and_its_answers_are_there_when_it_is_back(mortal_redis: RedisServer) -> None:
    app = App()
    async with AsyncIdempotencyManager(mortal_redis.url) as manager:
        middleware = IdempotencyMiddleware(app, manager)
        assert (await ask(middleware)).status == 201
        replayed = await ask(middleware)
        assert (replayed.body, replayed.headers["idempotent-replayed"]) == (b"done", "true")
        mortal_redis.kill()
        answer = await ask(middleware, key='"k2"')
        assert (answer.status, answer.json["code"], app.runs) == (503, "store-unavailable", 1)
        mortal_redis.start()
        assert ((await ask(middleware, key='"k2"')).status, app.runs) == (201, 2)


async def test_a_long_request_keeps_its_lease() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.sleep(0.4)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"at last"})

    manager = AsyncIdempotencyManager(lease="100ms")
    middleware = IdempotencyMiddleware(app, manager)
    first = asyncio.create_task(ask(middleware))
    await asyncio.sleep(0.25)
    assert (await ask(middleware)).json["code"] == "in-progress"
    assert (await first).body == b"at last"


async def test_an_answer_is_forgotten_after_its_time() -> None:
    clock = ManualClock()
    app = App()
    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager(clock=clock), ttl="2h")
    for after, runs in (("0s", 1), ("119m", 1), ("2m", 2)):
        clock.advance(after)
        assert (await ask(middleware)).status == 201
        assert app.runs == runs


async def test_the_statistics_count_a_replay_as_one_prevented_duplicate() -> None:
    manager = AsyncIdempotencyManager()
    middleware = IdempotencyMiddleware(App(), manager)
    for _ in range(3):
        await ask(middleware)
    stats = await manager.stats()
    assert (stats.cache_misses, stats.cache_hits, stats.duplicates_prevented) == (1, 2, 2)
    (record,) = [record async for record in manager.iter_records()]
    assert (record.attempt_count, record.signal_id, record.action_type) == (3, "k", "POST /cards")


async def test_the_default_manager_is_the_one_of_the_moment(manager: IdempotencyManager) -> None:
    await ask(IdempotencyMiddleware(App()))
    assert manager.find_keys_by_signal_id("k")


async def test_the_application_sees_its_execution() -> None:
    seen: list[Any] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        execution = current_execution()
        seen.append(execution and execution.key)
        await App()(_scope, receive, send)
        seen.append(current_execution())

    await ask(IdempotencyMiddleware(app, AsyncIdempotencyManager()))
    assert seen[0].startswith("k:POST /cards:anybody:")
    assert seen[1] is None  # it ends with the answer


# ---------------------------------------------------------------- headers, callers, other protocols


async def test_what_belongs_to_one_connection_is_not_replayed() -> None:
    app = App()
    app.headers = [
        (b"Connection", b"close, X-Hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"set-cookie", b"a=b"),
        (b"transfer-encoding", b"chunked"),
        (b"x-request-id", b"7"),
        (b"etag", b'"v1"'),
        (b"vary", b"a"),
        (b"vary", b"b"),
    ]
    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager(), drop_headers=["X-Request-Id"])
    await ask(middleware)
    assert (await ask(middleware)).messages[0]["headers"] == [
        (b"etag", b'"v1"'),
        (b"vary", b"a"),
        (b"vary", b"b"),
        (b"content-length", b"4"),
        (b"idempotent-replayed", b"true"),
    ]


async def test_whoever_stands_outside_may_change_the_headers_of_a_replay() -> None:
    middleware = IdempotencyMiddleware(App(), AsyncIdempotencyManager())
    await ask(middleware)
    one = await ask(middleware)
    one.messages[0]["headers"].append((b"x-mine", b"1"))
    assert "x-mine" not in (await ask(middleware)).headers


@pytest.mark.parametrize("store", ["memory://", "sqlite"])
async def test_a_body_that_is_no_text_is_kept(store: str, tmp_path: Any) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/png")]})
        await send({"type": "http.response.body", "body": b"\x89PNG\xff\x00"})

    url = f"sqlite:///{tmp_path}/a.db" if store == "sqlite" else store
    async with AsyncIdempotencyManager(url) as manager:
        middleware = IdempotencyMiddleware(app, manager)
        await ask(middleware)
        again = await ask(middleware)
    assert (again.body, again.headers["content-length"]) == (b"\x89PNG\xff\x00", "6")
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_function_tells_callers_apart() -> None:
    app = App()
    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager(), identity=lambda scope: scope.get("user"))
    for user, runs in (("ann", 1), ("bob", 2), ("ann", 2), (None, 3), (None, 3)):
        await ask(middleware, user=user)
        assert app.runs == runs


async def test_credentials_are_kept_only_as_a_hash() -> None:
    manager = AsyncIdempotencyManager()
    await ask(IdempotencyMiddleware(App(), manager), headers=[(b"authorization", b"Bearer secret")])
    (record,) = [record async for record in manager.iter_records()]
    assert record.target is not None
    assert record.target.startswith("authorization-")
    assert "secret" not in f"{record.key} {record.context} {record.result}"


async def test_callers_who_have_only_cookies_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    middleware = IdempotencyMiddleware(App(), AsyncIdempotencyManager())
    for key in ('"a"', '"b"'):
        await ask(middleware, key=key, headers=[(b"cookie", b"session=1")])
    assert caplog.text.count("Give identity=") == 1


async def test_a_key_with_every_character_is_a_key_of_its_own() -> None:
    app = App()
    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager())
    keys = ['"a:b"', '"a%3Ab"', '"a%253Ab"', '" a"', '"a b"', r'"a\\b"']
    for key in keys * 2:
        await ask(middleware, key=key)
    assert app.runs == len(keys)


async def test_a_path_of_any_length_fits_every_store() -> None:
    app, manager = App(), AsyncIdempotencyManager()
    middleware = IdempotencyMiddleware(app, manager)
    for end in "ab" * 2:
        await ask(middleware, path="/" + "x" * 5000 + end)
    assert app.runs == 2
    assert all([len(record.key) < 600 async for record in manager.iter_records()])


async def test_two_headers_are_refused() -> None:
    answer = await ask(IdempotencyMiddleware(App()), headers=[(b"idempotency-key", b'"k"')])
    assert (answer.status, answer.json["code"]) == (400, "key-malformed")


async def test_a_required_key_that_is_missing_is_refused() -> None:
    async def status(required: Any, **more: Any) -> int:
        middleware = IdempotencyMiddleware(App(), AsyncIdempotencyManager(), required=required)
        return (await ask(middleware, key=None, **more)).status

    assert await status(required=True) == 400
    assert await status(required=True, method="GET") == 201
    assert await status(lambda scope: scope["path"].startswith("/pay"), path="/pay/1") == 400
    assert await status(lambda scope: scope["path"].startswith("/pay"), path="/look") == 201


async def test_keys_without_quotation_marks_are_taken_where_that_is_asked_for() -> None:
    app = App()
    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager(), unquoted_keys=True)
    assert (await ask(middleware, key="KG5LxwFBepaKHyUD")).status == 201
    assert (await ask(middleware, key='"KG5LxwFBepaKHyUD"')).headers["idempotent-replayed"] == "true"
    assert (await ask(middleware, key="a, b")).json["code"] == "key-malformed"
    assert app.runs == 1


async def test_a_service_may_ask_for_keys_of_one_form() -> None:
    middleware = IdempotencyMiddleware(App(), AsyncIdempotencyManager(), key_pattern="[0-9a-f-]{36}")
    assert (await ask(middleware)).json["code"] == "key-malformed"
    assert (await ask(middleware, key='"8e03978e-40d5-43e8-bc93-6894a57f9324"')).status == 201


async def test_which_answers_are_kept_is_a_services_own_choice() -> None:
    app = App()
    app.status = 500
    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager(), keep=lambda _status: True)
    for _ in range(2):
        assert (await ask(middleware)).status == 500
    assert app.runs == 1


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_other_protocols_pass_untouched(kind: str) -> None:
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.append(given)

    given = ({"type": kind, "path": "/", "headers": [(b"idempotency-key", b"bad")]}, Asked([]).receive, Asked([]).send)
    await IdempotencyMiddleware(app)(*given)
    assert seen == [given]


async def test_a_client_that_leaves_before_its_request_is_whole_has_asked_for_nothing() -> None:
    app, asked = App(), Asked([])
    await IdempotencyMiddleware(app)(scope(), asked.receive, asked.send)
    assert (app.runs, asked.messages) == (0, [])


async def test_shortcuts_that_could_not_be_recorded_are_not_offered() -> None:
    seen: list[Any] = []

    async def app(given: Any, receive: Any, send: Any) -> None:
        seen.append(given["extensions"])
        await App()(given, receive, send)

    extensions = {"http.response.pathsend": {}, "tls": {}}
    await ask(IdempotencyMiddleware(app, AsyncIdempotencyManager()), extensions=extensions)
    assert seen == [{"tls": {}}]


def test_asgi_and_wsgi_have_the_same_keys() -> None:
    manager = IdempotencyManager()

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        raise AssertionError("this has been carried out")

    asyncio.run(ask(IdempotencyMiddleware(App(), manager), path="/kärtchen"))
    path = "/kärtchen".encode().decode("latin-1")
    guarded = wsgi.IdempotencyMiddleware(app, manager)
    assert list(guarded(environ(PATH_INFO=path), lambda *_: None)) == [b"done"]


@pytest.mark.parametrize(
    "options",
    [
        {"methods": "POST"},
        {"max_body_size": 0},
        {"max_answer_size": "1M"},
        {"required": "yes"},
        {"unquoted_keys": 1},
        {"identity": "ann"},
        {"key_pattern": "("},
        {"retry_after": "soon"},
        {"documentation": "<no url>"},
        {"manager": "sqlite:///a.db"},
        {"on_concurrent": "queue"},
        {"on_in_doubt": "again"},
        {"in_doubt_on": ("KeyError",)},
        {"ttl": "soon"},
        {"ttl": "1s", "manager": IdempotencyManager()},
        {"drop_headers": 5},
        {"keeps": 1},
    ],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.parametrize("middleware", [IdempotencyMiddleware, wsgi.IdempotencyMiddleware], ids=["asgi", "wsgi"])
def test_an_option_that_can_t_be_is_named_when_the_application_starts(middleware: Any, options: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        middleware(App(), **options)
