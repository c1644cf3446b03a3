"""A server that is there and will not have us, or is another than the URL says: an error says what to do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import IdempotencyError, IdempotencyManager, StoreError
from servers import Certificates, PostgresServer, Proxy, RedisServer
from servers.testing import needed, started
from tests.integration.servers_world import (
    PATIENT,
    Effect,
    at_most,
    run,
    with_parts,
    works,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "hunter2-of-the-server"  # noqa: S105 - it is what must not be shown
WRONG = "swordfish-of-a-guess"
QUICK = {"connect_timeout": "1s", "timeout": "2s"}


def said_by(url: str, *words: str) -> str:
    """Give what a call says to a server that will not have it; nothing happens."""
    effect = Effect()
    with at_most(2), pytest.raises(StoreError) as caught, IdempotencyManager(url) as manager:
        run(manager, effect, awaited=False)
    assert effect.count == 0
    text = str(caught.value)
    for word in words:
        assert word.lower() in text.lower(), text
    assert SECRET not in text
    assert WRONG not in text
    return text


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    with needed():
        return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def other_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those of another authority."""
    with needed():
        return Certificates(tmp_path_factory.mktemp("other"))


# ---------------------------------------------------------------------------------------------- who may


@pytest.fixture(scope="module", params=["redis", "postgres"])
def guarded(request: pytest.FixtureRequest) -> Iterator[RedisServer | PostgresServer]:
    """A server that asks for a password."""
    kind = RedisServer if request.param == "redis" else PostgresServer
    with started(kind(password=SECRET)) as server:
        yield server


class TestAServerThatAsksForAPassword:
    def test_the_right_one_is_taken(self, guarded: RedisServer | PostgresServer) -> None:
        with IdempotencyManager(with_parts(guarded.url, **PATIENT)) as manager:
            works(manager, "a")

    def test_a_wrong_one_is_said_to_be(self, guarded: RedisServer | PostgresServer) -> None:
        user = "postgres" if isinstance(guarded, PostgresServer) else ""
        said_by(with_parts(guarded.url, user=f"{user}:{WRONG}", **QUICK), str(guarded.port), "password")

    def test_none_is_said_to_be_missing(self, guarded: RedisServer | PostgresServer, monkeypatch: Any) -> None:
        monkeypatch.setenv("PGPASSFILE", "/dev/null")
        user = "postgres" if isinstance(guarded, PostgresServer) else ""
        said_by(with_parts(guarded.url, user=user, **QUICK), str(guarded.port), "password")

    def test_a_user_that_does_not_exist_is_named_or_not_but_never_the_password(
        self, guarded: RedisServer | PostgresServer
    ) -> None:
        said_by(with_parts(guarded.url, user=f"nobody:{WRONG}", **QUICK), str(guarded.port), "user")


# ---------------------------------------------------------------------------------------------- what it speaks


@pytest.fixture(scope="module")
def plain_redis() -> Iterator[RedisServer]:
    with started(RedisServer()) as server:
        yield server


@pytest.fixture(scope="module")
def plain_postgres() -> Iterator[PostgresServer]:
    with started(PostgresServer()) as server:
        yield server


class TestAnotherProtocolThanTheUrls:
    def test_a_postgresql_behind_a_redis_url(self, plain_postgres: PostgresServer) -> None:
        said_by(with_parts(f"redis://127.0.0.1:{plain_postgres.port}", **QUICK), str(plain_postgres.port))

    def test_a_redis_behind_a_postgresql_url(self, plain_redis: RedisServer) -> None:
        said_by(with_parts(f"postgresql://u@127.0.0.1:{plain_redis.port}/d", **QUICK), str(plain_redis.port))


@pytest.fixture(scope="module", params=["redis", "postgres"])
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[RedisServer | PostgresServer]:
    """A server that speaks TLS only."""
    if request.param == "redis":
        with started(RedisServer(certificates=certificates)) as server:
            yield server
    else:
        with started(PostgresServer(certificates=certificates, tls_only=True)) as server:
            yield server


def bare(server: RedisServer | PostgresServer) -> str:
    """Give the URL of a server over TLS, without saying whom to believe."""
    if isinstance(server, RedisServer):
        return f"rediss://127.0.0.1:{server.port}"
    return f"postgresql://postgres@127.0.0.1:{server.port}/test?sslmode=verify-full"


def believing(server: RedisServer | PostgresServer, certificates: Certificates, **options: str) -> str:
    """Give the URL of a server over TLS that believes an authority."""
    return with_parts(bare(server), tls_ca=str(certificates.ca), **(options or QUICK))


class Elsewhere(Proxy):
    """A proxy with an address that no certificate here names."""

    host = "127.0.0.2"


class TestTls:
    def test_a_server_that_can_prove_who_it_is_is_believed(
        self, tls: RedisServer | PostgresServer, certificates: Certificates
    ) -> None:
        with IdempotencyManager(believing(tls, certificates, **PATIENT)) as manager:
            works(manager, "b")

    def test_a_server_with_tls_only_and_a_plain_url(self, tls: RedisServer | PostgresServer) -> None:
        plain = bare(tls).replace("rediss:", "redis:").replace("verify-full", "disable")
        said_by(with_parts(plain, **QUICK), str(tls.port))

    def test_a_plain_server_and_a_url_with_tls(
        self, plain_redis: RedisServer, plain_postgres: PostgresServer, certificates: Certificates
    ) -> None:
        for server in (plain_redis, plain_postgres):
            said_by(believing(server, certificates), str(server.port), "TLS")

    def test_an_authority_that_did_not_sign(
        self, tls: RedisServer | PostgresServer, other_certificates: Certificates
    ) -> None:
        said_by(believing(tls, other_certificates), str(tls.port), "certificate")

    def test_no_authority_given(self, tls: RedisServer | PostgresServer) -> None:
        said_by(with_parts(bare(tls), **QUICK), str(tls.port), "certificate", "tls_ca")

    def test_another_name_than_the_certificates(
        self, tls: RedisServer | PostgresServer, certificates: Certificates
    ) -> None:
        with Elsewhere(tls.address) as wire:
            url = with_parts(believing(tls, certificates), host=wire.host, port=wire.port)
            said_by(url, "127.0.0.2", "certificate")

    def test_a_name_may_be_another_where_only_the_authority_is_asked_for(self, certificates: Certificates) -> None:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(started(PostgresServer(certificates=certificates, tls_only=True)))
            wire = stack.enter_context(Elsewhere(server.address))
            url = believing(server, certificates, **PATIENT).replace("verify-full", "verify-ca")
            url = with_parts(url, host=wire.host, port=wire.port)
            works(stack.enter_context(IdempotencyManager(url)), "c")

    def test_a_file_that_is_no_certificate(self, tls: RedisServer | PostgresServer, tmp_path: Path) -> None:
        nonsense = tmp_path / "nonsense.pem"
        nonsense.write_text("this is not PEM\n")
        url = with_parts(bare(tls), tls_ca=str(nonsense), **QUICK)
        with pytest.raises(IdempotencyError, match=r"nonsense\.pem"), IdempotencyManager(url) as manager:
            run(manager, Effect(), awaited=False)


@pytest.fixture(scope="module")
def strict(certificates: Certificates) -> Iterator[RedisServer]:
    with started(RedisServer(certificates=certificates, client_certificates="yes")) as server:
        yield server


class TestAServerThatAsksForAClientsCertificate:
    def test_one_is_shown(self, strict: RedisServer, certificates: Certificates) -> None:
        shown = {"tls_cert": str(certificates.client), "tls_key": str(certificates.client_key)}
        with IdempotencyManager(believing(strict, certificates, **{**PATIENT, **shown})) as manager:
            works(manager, "d")

    def test_none_is_said_to_be_missing(self, strict: RedisServer, certificates: Certificates) -> None:
        said_by(believing(strict, certificates), str(strict.port), "certificate")

    def test_a_key_of_another_certificate_is_refused(
        self, strict: RedisServer, certificates: Certificates, other_certificates: Certificates
    ) -> None:
        shown = {"tls_cert": str(certificates.client), "tls_key": str(other_certificates.client_key)}
        with (
            pytest.raises(IdempotencyError, match=r"tls_key|client\.key"),
            IdempotencyManager(believing(strict, certificates, **shown)) as manager,
        ):
            run(manager, Effect(), awaited=False)
