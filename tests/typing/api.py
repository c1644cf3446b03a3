"""What type checkers must conclude about the public surface; checked by mypy and pyright, run by nobody."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Any, assert_type
from wsgiref.types import WSGIApplication

import httpx
import psycopg
import requests
import sqlalchemy.ext.asyncio
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.types import ASGIApp

from idempotency_manager import (
    NOT_EXECUTED,
    Action,
    AsyncIdempotencyManager,
    Attempt,
    BatchOutcome,
    CheckResult,
    Execution,
    IdempotencyConfig,
    IdempotencyManager,
    IdempotencyRecord,
    InDoubtError,
    LeaseLostError,
    ParsedKey,
    State,
    UnsupportedParamError,
    aexecute_with_idempotency,
    canonicalize,
    check_executed,
    clear_idempotency_key,
    configure,
    current_execution,
    execute_with_idempotency,
    generate_idempotency_key,
    get_config,
    get_idempotency_record,
    get_manager,
    idempotent,
    params_are_equivalent,
    parse_idempotency_key,
    signal,
    webhooks,
)
from idempotency_manager.clients.httpx import AsyncIdempotencyTransport, IdempotencyTransport
from idempotency_manager.clients.requests import IdempotencyAdapter
from idempotency_manager.middleware import asgi, kept_answer, wsgi
from idempotency_manager.testing import ManualClock

action = Action("order-1", "create_card", "trello", {"title": "hello"}, context={"by": "cron"})
mapping = {"signal_id": "order-1", "action": "create_card", "target": "trello"}


def keys() -> None:
    key = generate_idempotency_key(action)
    assert_type(key, str)
    assert_type(generate_idempotency_key(mapping), str)
    assert_type(generate_idempotency_key(signal_id="a", action="b", target="c"), str)
    parsed = parse_idempotency_key(key)
    assert_type(parsed, ParsedKey)
    assert_type(parsed.params_hash, str | None)
    assert_type(params_are_equivalent({}, {"a": 1}), bool)
    assert_type(canonicalize({"a": [1, None]}), bytes)


def an_executor_in_a_transaction_keeps_its_type(
    manager: IdempotencyManager,
    connection: Connection | psycopg.Connection[Any] | Session | sqlalchemy.Connection,
    make: Callable[[], dict[str, int]],
) -> None:
    assert_type(manager.execute_in_transaction(connection, action, make), dict[str, int])
    assert_type(manager.execute_in_transaction(connection, mapping, make, ttl="24h", result_type=dict), dict[str, int])


async def an_executor_in_an_asynchronous_transaction_keeps_its_type(
    manager: IdempotencyManager,
    amanager: AsyncIdempotencyManager,
    connection: psycopg.AsyncConnection[Any] | AsyncSession | sqlalchemy.ext.asyncio.AsyncConnection,
    make: Callable[[], dict[str, int]],
    amake: Callable[[], Awaitable[int]],
) -> None:
    assert_type(await manager.aexecute_in_transaction(connection, action, make), dict[str, int])
    assert_type(await manager.aexecute_in_transaction(connection, action, amake, on_concurrent="raise"), int)
    assert_type(await amanager.execute_in_transaction(connection, action, amake), int)
    assert_type(await amanager.aexecute_in_transaction(connection, action, make, ttl="24h"), dict[str, int])

    manager.execute_in_transaction("shop.db", action, make)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_delivery_has_typed_fields(headers: Mapping[str, str], scope: list[tuple[bytes, bytes]], body: bytes) -> None:
    delivery = webhooks.slack(headers, body, secret=["old", b"new"], tolerance="5m")
    assert_type(delivery, webhooks.Delivery)
    assert_type(delivery.signal_id, str)
    assert_type(delivery.retry, int | None)
    assert_type(delivery.payload, Mapping[str, Any])
    assert_type(webhooks.google_drive(scope, token="token").event, str)
    assert_type(webhooks.github(scope).handshake, bool)
    webhooks.trello(headers, {"action": {}}, secret="secret", callback_url="https://example.com")

    webhooks.stripe(headers, body, secret=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    webhooks.stripe(headers)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def an_executor_keeps_its_type(manager: IdempotencyManager, make: Callable[[], dict[str, int]]) -> None:
    assert_type(manager.execute(action, make), dict[str, int])
    assert_type(manager.execute(mapping, make, ttl="24h", latch=True), dict[str, int])
    assert_type(execute_with_idempotency(action, make), dict[str, int])
    assert_type(execute_with_idempotency(action, make, timedelta(hours=1)), dict[str, int])

    manager.execute(action, "make")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    manager.execute(action, make, latch="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    manager.execute(action, make, tll="24h")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    manager.execute("key", make)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def an_async_executor_keeps_its_type(manager: IdempotencyManager, make: Callable[[], Awaitable[int]]) -> None:
    assert_type(await manager.aexecute(action, make, ttl=1.5), int)
    assert_type(await aexecute_with_idempotency(action, make), int)


async def the_async_manager_takes_either_executor(
    manager: AsyncIdempotencyManager,
    make: Callable[[], int],
    amake: Callable[[], Awaitable[int]],
) -> None:
    async def coroutine_function() -> list[int]:
        return [await amake()]

    assert_type(await manager.execute(action, make), int)
    assert_type(await manager.execute(action, amake, ttl="1h", on_concurrent="raise"), int)
    assert_type(await manager.execute(action, coroutine_function), list[int])
    assert_type(await manager.execute(action, lambda: 1.5), float)
    async with manager.claim(action) as attempt:
        assert_type(attempt, Attempt)
    assert_type([record.key async for record in manager.iter_records(target="trello")], list[str])
    assert_type(await manager.get_in_doubt(), list[IdempotencyRecord])
    assert_type((await manager.stats()).evicted, int)

    await manager.execute(action, 1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


def a_batch_has_an_outcome_for_each_action(
    manager: IdempotencyManager,
    make: Callable[[Action], int],
    look: Callable[[dict[str, str]], list[int]],
) -> None:
    (outcome,) = manager.execute_many([action], make, ttl="1h", on_progress=lambda done, total: None, batch_size=10)
    assert_type(outcome, BatchOutcome[int])
    assert_type(outcome.unwrap(), int)
    assert_type(outcome.result, int | None)
    assert_type(outcome.error, Exception | None)
    assert_type(manager.execute_many(iter([mapping]), look), list[BatchOutcome[list[int]]])
    assert_type(manager.check_many(["a:b:c"]), list[CheckResult])

    manager.execute_many([action], look)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    manager.execute_many([action], make, size=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def a_batch_in_a_task_takes_either_executor(
    manager: AsyncIdempotencyManager,
    threaded: IdempotencyManager,
    make: Callable[[Action], int],
    amake: Callable[[Action], Awaitable[int]],
) -> None:
    assert_type(await manager.execute_many([action], make), list[BatchOutcome[int]])
    assert_type(await manager.execute_many([action], amake, concurrency=4), list[BatchOutcome[int]])
    assert_type(await threaded.aexecute_many([action], amake), list[BatchOutcome[int]])
    assert_type(await manager.check_many(["a:b:c"]), list[CheckResult])


def a_claim_is_a_context_manager(manager: IdempotencyManager) -> None:
    block: AbstractContextManager[Attempt] = manager.claim(action, ttl="7d")
    with block as attempt:
        assert_type(attempt, Attempt)
        if not attempt.executed:
            attempt.complete({"id": 1})
    attempt.release()


async def a_claim_can_be_awaited(manager: IdempotencyManager) -> None:
    block: AbstractAsyncContextManager[Attempt] = manager.aclaim(action)
    async with block as attempt:
        assert_type(attempt.key, str)


async def the_async_manager_has_the_same_operations() -> None:
    manager = AsyncIdempotencyManager("sqlite:///records.db", default_ttl="1h")
    assert_type(await manager.check_executed("k"), CheckResult)
    assert_type(await manager.get_record("k"), IdempotencyRecord | None)
    assert_type(await manager.clear_key("k"), bool)
    assert_type(manager.generate_key(action), str)
    await manager.close()


def what_is_remembered(key: str) -> None:
    record = get_idempotency_record(key)
    assert_type(record, IdempotencyRecord | None)
    if record is not None:
        assert_type(record.state, State)
        assert_type(record.executed_at, datetime | None)
        assert_type(record.attempt_count, int)
    assert_type(check_executed(key).ttl, timedelta | None)
    assert_type(get_manager().find_keys_by_target("trello"), list[str])
    assert_type(get_manager().stats().hit_rate, float)
    assert_type(get_manager().cache_info().max_size, int | None)
    assert_type([found.key for found in get_manager().iter_records(state=State.IN_DOUBT)], list[str])
    assert_type(clear_idempotency_key(key), bool)


def configuration() -> None:
    def look(record: IdempotencyRecord) -> object:
        return NOT_EXECUTED if record.params is None else {"id": record.key}

    configure(store="memory://", default_ttl="24h", on_in_doubt=look)
    config = get_config()
    assert_type(config, IdempotencyConfig)
    assert_type(config.lease, timedelta)
    assert_type(config.not_executed_on, tuple[type[BaseException], ...])
    configure(shadow=True, warn_volatile_after=None)
    assert_type((config.shadow, config.warn_volatile_after), tuple[bool, int | None])
    assert_type(get_manager().stats().would_have_prevented, int)
    kinds: list[str] = []
    IdempotencyManager(store="memory://", on_event=lambda event: kinds.append(event.kind), clock=ManualClock())

    configure(shadow="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    configure(default_ttl=b"24h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    configure(lese="30s")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    IdempotencyManager("memory://", on_full="wait")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncIdempotencyManager(max_cache_size="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def decorated() -> None:
    @idempotent(target="trello", ttl="7d", exclude=("note",), latch=True)
    def create_card(signal_id: str, title: str, note: str = "") -> dict[str, str]:
        execution = current_execution()
        assert_type(execution, Execution | None)
        if execution is not None:
            execution.dispatched()
            assert_type(execution.remaining(), timedelta)
        return {"signal": signal_id, "title": title, "note": note}

    with signal("order-1"):
        assert_type(create_card("order-1", "hello"), dict[str, str])
    assert_type(create_card.key("order-1", title="hello"), str)
    assert_type(create_card.record("order-1", "hello"), IdempotencyRecord | None)


async def a_decorated_coroutine_function_is_still_one() -> None:
    @idempotent(target="slack")
    async def post(signal_id: str, text: str) -> int:
        return len(signal_id + text)

    assert_type(await post("order-1", "hello"), int)


def records_are_read_only(record: IdempotencyRecord, attempt: Attempt) -> None:
    record.key = "k"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    attempt.executed = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def no_other_name_is_exported() -> None:
    from idempotency_manager import Recrod  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]

    assert_type(Recrod, None)  # type: ignore[assert-type]  # pyright: ignore[reportAssertTypeFailure, reportUnknownArgumentType]


def errors() -> None:
    try:
        decorated()
    except InDoubtError as error:
        assert_type(error.record, IdempotencyRecord)
    except LeaseLostError as error:
        assert_type(error.record, IdempotencyRecord | None)
    except UnsupportedParamError as error:
        assert_type(error.path, str)


def the_middleware_fits_where_frameworks_take_one(
    manager: IdempotencyManager, amanager: AsyncIdempotencyManager, application: WSGIApplication
) -> None:
    app = Starlette()
    app.add_middleware(asgi.IdempotencyMiddleware)
    app.add_middleware(asgi.IdempotencyMiddleware, manager=amanager, identity=lambda scope: scope["user"].name)
    whole: ASGIApp = asgi.IdempotencyMiddleware(
        app, manager, required=True, ttl="24h", keep=lambda status: status < 400
    )
    assert_type(asgi.IdempotencyMiddleware(whole).app, ASGIApp)
    outer: WSGIApplication = wsgi.IdempotencyMiddleware(application, manager, on_in_doubt="retry", methods=["POST"])
    wsgi.IdempotencyMiddleware(outer, in_doubt_on=(KeyError,), retry_after=timedelta(seconds=2))
    assert_type(kept_answer(201, b"", {"link": ["<a>", "<b>"]}), dict[str, Any])


def clients_send_keys(session: requests.Session) -> None:
    httpx.Client(transport=IdempotencyTransport(httpx.HTTPTransport(), methods=("POST",), quoted=False))
    httpx.AsyncClient(transport=AsyncIdempotencyTransport(key=lambda execution, _request: execution.uuid))
    session.mount("https://", IdempotencyAdapter())
