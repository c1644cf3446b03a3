"""What type checkers must conclude about decorated functions; checked by mypy and pyright, run by nobody.

Each line that is wrong on purpose says so to both checkers, and either complains of a remark that it does not need.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, assert_type

from idempotency_manager import AsyncIdempotencyManager, IdempotencyManager, IdempotencyRecord, idempotent

manager = IdempotencyManager()
async_manager = AsyncIdempotencyManager()


@idempotent(target="trello")
def create_card(signal_id: str, title: str, *, position: int = 0) -> dict[str, int]:
    return {title: len(signal_id) + position}


@idempotent(target="slack", action="post", ttl="7d")
async def post(signal_id: str, text: str) -> bytes:
    return (signal_id + text).encode()


def a_function_keeps_its_signature() -> None:
    assert_type(create_card("order-1", "hello"), dict[str, int])
    assert_type(create_card("order-1", title="hello", position=2), dict[str, int])
    assert_type(create_card.key("order-1", "hello"), str)
    assert_type(create_card.record("order-1", "hello", position=1), IdempotencyRecord | None)
    assert_type(create_card.clear("order-1", title="hello"), bool)
    assert_type(create_card.__wrapped__("order-1", "hello"), dict[str, int])
    assert_type(create_card.__name__, str)
    plain: Callable[[str, str], dict[str, int]] = create_card
    assert_type(plain("order-1", "hello"), dict[str, int])

    create_card("order-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    create_card("order-1", 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    create_card("order-1", "hello", 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    create_card("order-1", "hello", colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    create_card.key("order-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    create_card.record(1, "hello")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    create_card.forget("order-1")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def a_coroutine_function_is_still_one() -> None:
    made: Coroutine[Any, Any, bytes] = post("order-1", "hello")
    assert_type(await made, bytes)
    assert_type(await post("order-1", text="hello"), bytes)
    assert_type(post.key("order-1", "hello"), str)
    function: Callable[[str, str], Awaitable[bytes]] = post
    assert_type(await function("order-1", "hello"), bytes)

    await post("order-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await create_card("order-1", "hello")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


class Board:
    @idempotent(target="trello")
    def move(self, signal_id: str, card: int) -> list[int]:
        return [card, len(signal_id)]

    @idempotent(target="trello")
    async def archive(self, signal_id: str) -> bool:
        return bool(signal_id)

    @classmethod
    @idempotent(target="trello")
    def make(cls, signal_id: str, name: str) -> "Board":
        return cls() if signal_id + name else Board()

    @idempotent(target="trello")
    @classmethod
    def copy(cls, signal_id: str, name: str) -> "Board":
        return cls() if signal_id + name else Board()

    @staticmethod
    @idempotent(target="trello")
    def ping(signal_id: str, times: int = 1) -> int:
        return len(signal_id) * times

    @idempotent(target="trello")
    @staticmethod
    def pong(signal_id: str, times: int = 1) -> int:
        return len(signal_id) * times


class Kanban(Board):
    pass


def a_method_is_bound(board: Board) -> None:
    assert_type(board.move("order-1", 2), list[int])
    assert_type(board.move("order-1", card=2), list[int])
    assert_type(board.move.key("order-1", 2), str)
    assert_type(board.move.record("order-1", 2), IdempotencyRecord | None)
    assert_type(board.move.clear("order-1", 2), bool)
    assert_type(Kanban().move("order-1", 2), list[int])

    board.move(board, "order-1", 2)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    board.move("order-1", "2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    board.move.key(board, "order-1", 2)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]


def a_method_on_its_class_takes_the_object_and_its_keys_do_not(board: Board) -> None:
    assert_type(Board.move(board, "order-1", 2), list[int])
    assert_type(Board.move(Kanban(), "order-1", 2), list[int])
    assert_type(Kanban.move(Kanban(), "order-1", 2), list[int])
    assert_type(Board.move.key("order-1", 2), str)
    assert_type(Board.move.record("order-1", card=2), IdempotencyRecord | None)

    Board.move("order-1", 2)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Board.move.key(board, "order-1", 2)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]


async def a_coroutine_method_is_bound(board: Board) -> None:
    assert_type(await board.archive("order-1"), bool)
    assert_type(board.archive.key("order-1"), str)


def a_class_method_is_bound_to_its_class(board: Board) -> None:
    assert_type(Board.make("order-1", "todo"), Board)
    assert_type(board.make("order-1", name="todo"), Board)
    assert_type(Kanban.make("order-1", "todo"), Board)
    assert_type(Board.copy("order-1", "todo"), Board)
    assert_type(board.copy("order-1", name="todo"), Board)
    assert_type(Board.copy.key("order-1", "todo"), str)

    Board.copy("order-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Board.make("order-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def a_static_method_is_left_alone(board: Board) -> None:
    assert_type(Board.ping("order-1"), int)
    assert_type(board.ping("order-1", times=2), int)
    assert_type(Board.pong("order-1"), int)
    assert_type(board.pong("order-1", times=2), int)
    assert_type(Board.pong.key("order-1"), str)

    board.ping("order-1", "2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Board.pong()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def it_decorates_without_the_at_sign(make: Callable[[str], float]) -> None:
    assert_type(idempotent(make, target="trello")("order-1"), float)
    assert_type(idempotent(make, target="trello").key("order-1"), str)
    assert_type(manager.idempotent(make, target="trello")("order-1"), float)


@manager.idempotent(target="trello", exclude=("note",), latch=True)
def with_a_manager(signal_id: str, note: str = "") -> set[str]:
    return {signal_id, note}


@async_manager.idempotent(target="trello", params=["text"], on_in_doubt="retry")
async def with_an_async_manager(signal_id: str, text: str) -> set[str]:
    return {signal_id, text}


@idempotent(target="trello", manager=async_manager)
def with_a_manager_by_name(signal_id: str) -> int:
    return len(signal_id)


async def a_manager_decorates_as_the_function_does() -> None:
    assert_type(with_a_manager("order-1"), set[str])
    assert_type(with_a_manager.key("order-1", note="n"), str)
    assert_type(await with_an_async_manager("order-1", "hello"), set[str])
    assert_type(with_a_manager_by_name("order-1"), int)
    with_a_manager(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def options_are_checked(make: Callable[[str], float]) -> None:
    def look(record: IdempotencyRecord) -> object:
        return record.key

    def name(event: dict[str, str]) -> str:
        return event["id"]

    def params(signal_id: str) -> dict[str, object]:
        return {"id": signal_id}

    idempotent(target="a", signal_id=name, on_in_doubt=look, in_doubt_on=(OSError,))(make)
    idempotent(target="a", params=params, replay_errors=(ValueError,))(make)
    manager.idempotent(target="a", result_type=list[int], not_executed_on=(LookupError,), ttl=1.5)(make)

    idempotent()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    idempotent(make)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    idempotent(target=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    idempotent(target="a", latch="yes")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    idempotent(target="a", on_concurrent="later")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    idempotent(target="a", replay_errors=(KeyboardInterrupt,))  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    idempotent(target="a", tll="1h")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    idempotent("trello")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    manager.idempotent(target="a", manager=manager)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


# Without parentheses there is no target.
@idempotent  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
def without_a_target(signal_id: str) -> int:
    return len(signal_id)
