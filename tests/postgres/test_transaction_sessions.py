"""Sessions of SQLAlchemy: what they hold of objects and what is in the database stay the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

import idempotency_manager as im
from idempotency_manager import IdempotencyManager
from tests.postgres.customers import CARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres.conftest import Shop


class Base(DeclarativeBase):
    """The application's own tables."""


class Card(Base):
    __tablename__ = "cards"
    title: Mapped[str] = mapped_column(primary_key=True)


def refused() -> Any:
    pytest.fail("it ran")


@pytest.fixture
def engine(shop: Shop) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(shop.url.replace("postgresql:", "postgresql+psycopg:"))
    yield made
    made.dispose()


@pytest.fixture
def session(engine: sqlalchemy.Engine) -> Iterator[Session]:
    with Session(engine) as made:
        yield made


def adds(session: Any, title: str = "Pay", result: Any = "card-1") -> Any:
    def add() -> Any:
        session.add(Card(title=title))
        if isinstance(result, BaseException):
            raise result
        return result

    return add


def test_what_a_session_has_not_written_as_yet_is_written_with_the_record(
    manager: IdempotencyManager, shop: Shop, session: Session
) -> None:
    for _ in range(2):
        assert manager.execute_in_transaction(session, CARD, adds(session)) == "card-1"
    assert shop.cards() == ["Pay"]
    assert shop.records() == [("inv-1", "completed", 2)]


def test_what_can_t_be_written_is_the_executors_error(
    manager: IdempotencyManager, shop: Shop, session: Session
) -> None:
    shop.change("INSERT INTO cards VALUES ('Pay')")
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        manager.execute_in_transaction(session, CARD, adds(session))
    assert not session.in_transaction()
    assert shop.records() == []
    assert manager.execute_in_transaction(session, CARD, adds(session, "another")) == "card-1"


def test_in_the_callers_transaction_objects_of_a_failed_executor_are_forgotten(
    manager: IdempotencyManager, shop: Shop, session: Session
) -> None:
    shop.change("INSERT INTO cards VALUES ('taken')")
    with session.begin():
        session.add(Card(title="mine"))
        with pytest.raises(ValueError, match="no"):
            manager.execute_in_transaction(session, CARD, adds(session, result=ValueError("no")))
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            manager.execute_in_transaction(session, CARD, adds(session, "taken"))
        assert {card.title for card in session.scalars(sqlalchemy.select(Card))} == {"mine", "taken"}
    assert sorted(shop.cards()) == ["mine", "taken"]
    assert shop.records() == []


def test_an_error_of_the_callers_own_objects_is_the_callers(
    manager: IdempotencyManager, shop: Shop, session: Session
) -> None:
    shop.change("INSERT INTO cards VALUES ('taken')")
    session.begin()
    session.add(Card(title="taken"))
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        manager.execute_in_transaction(session, CARD, refused)
    session.rollback()


def test_an_executor_that_goes_on_after_a_failed_flush_is_told(
    manager: IdempotencyManager, shop: Shop, session: Session
) -> None:
    shop.change("INSERT INTO cards VALUES ('taken')")

    def executor() -> None:
        session.add(Card(title="taken"))
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            session.flush()

    with session.begin():
        session.add(Card(title="mine"))
        # The session itself refuses to go on, and that is an error of the executor.
        with pytest.raises((im.StoreUnavailableError, sqlalchemy.exc.PendingRollbackError)):
            manager.execute_in_transaction(session, CARD, executor)
    assert sorted(shop.cards()) == ["mine", "taken"]
    assert shop.records() == []


def test_a_session_that_needs_a_rollback_is_refused(manager: IdempotencyManager, shop: Shop, session: Session) -> None:
    shop.change("INSERT INTO cards VALUES ('taken')")
    session.add(Card(title="taken"))
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        session.flush()
    with pytest.raises(im.StoreUnavailableError, match="roll it back"):
        manager.execute_in_transaction(session, CARD, refused)
    session.rollback()
    assert manager.execute_in_transaction(session, CARD, adds(session)) == "card-1"


def test_the_session_of_a_registry_serves(manager: IdempotencyManager, shop: Shop, engine: sqlalchemy.Engine) -> None:
    registry = scoped_session(sessionmaker(engine))
    for _ in range(2):
        assert manager.execute_in_transaction(registry, CARD, adds(registry)) == "card-1"
    registry.remove()
    assert shop.cards() == ["Pay"]


async def test_the_session_of_an_asynchronous_registry_serves(manager: IdempotencyManager, shop: Shop) -> None:
    engine = create_async_engine(shop.url.replace("postgresql:", "postgresql+psycopg:"))
    registry = async_scoped_session(async_sessionmaker(engine), asyncio.current_task)
    for _ in range(2):
        assert await manager.aexecute_in_transaction(registry, CARD, adds(registry)) == "card-1"
    await registry.remove()
    await engine.dispose()
    assert shop.cards() == ["Pay"]


def test_a_session_inside_a_tests_own_transaction_serves(
    manager: IdempotencyManager, shop: Shop, engine: sqlalchemy.Engine
) -> None:
    """As test suites do that roll everything back."""
    with engine.connect() as connection:
        outermost = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            for _ in range(2):
                assert manager.execute_in_transaction(session, CARD, adds(session)) == "card-1"
            with pytest.raises(im.TransactionEndedError):
                manager.execute_in_transaction(session, {**CARD, "signal_id": "b"}, session.commit)
        outermost.rollback()
    assert (shop.cards(), shop.records()) == ([], [])


def test_two_connections_of_an_engine_that_commits_by_itself_are_refused(
    manager: IdempotencyManager, engine: sqlalchemy.Engine
) -> None:
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with Session(autocommit) as session, pytest.raises(im.ConfigurationError, match="AUTOCOMMIT"):
        manager.execute_in_transaction(session, CARD, refused)
    with autocommit.connect() as connection, pytest.raises(im.ConfigurationError, match="AUTOCOMMIT"):
        manager.execute_in_transaction(connection, CARD, refused)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite+pysqlite:///:memory:"])
def test_another_database_is_refused_by_its_name(manager: IdempotencyManager, url: str) -> None:
    engine = sqlalchemy.create_engine(url)
    with Session(engine) as session, pytest.raises(im.ConfigurationError, match=r"sqlite3\.Connection"):
        manager.execute_in_transaction(session, CARD, refused)
    with engine.connect() as connection, pytest.raises(im.ConfigurationError, match=r"sqlite3\.Connection"):
        manager.execute_in_transaction(connection, CARD, refused)
    engine.dispose()


def test_what_is_not_connected_is_refused(manager: IdempotencyManager, engine: sqlalchemy.Engine) -> None:
    with Session() as session, pytest.raises(im.ConfigurationError, match="bound"):
        manager.execute_in_transaction(session, CARD, refused)
    connection = engine.connect()
    connection.close()
    with pytest.raises(im.ConfigurationError, match="closed"):
        manager.execute_in_transaction(connection, CARD, refused)


async def test_an_asynchronous_connection_that_is_not_connected_as_yet_is_refused(
    manager: IdempotencyManager, shop: Shop
) -> None:
    engine = create_async_engine(shop.url.replace("postgresql:", "postgresql+psycopg:"))
    connection = engine.connect()
    with pytest.raises(im.ConfigurationError, match="await"):
        await manager.aexecute_in_transaction(connection, CARD, refused)
    async with AsyncSession(engine) as session:
        assert await manager.aexecute_in_transaction(session, CARD, lambda: 7) == 7
    await engine.dispose()
