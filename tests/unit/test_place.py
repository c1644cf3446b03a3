"""What a store URL says to its engine: options, their defaults, and what can't be."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idempotency_manager import ConfigurationError, IdempotencyConfig, IdempotencyManager
from idempotency_manager._place import place
from idempotency_manager._store_url import StoreUrl

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2"  # noqa: S105 - it is what must not be shown

REDIS = {
    "engine": "redis",
    "topology": "single",
    "nodes": [["h", 6379]],
    "path": "",
    "service": "",
    "tls": False,
    "tls_ca": None,
    "tls_cert": None,
    "tls_key": None,
    "username": None,
    "password": None,
    "sentinel_username": None,
    "sentinel_password": None,
    "database": 0,
    "namespace": "ours",
    "connect_timeout": 2_000_000,
    "timeout": 5_000_000,
    "wait_replicas": 0,
    "local_copies": None,
}

POSTGRES = {
    "engine": "postgresql",
    "hosts": [["h", 5432]],
    "database": "d",
    "username": "u",
    "password": None,
    "tls": "prefer",
    "tls_ca": None,
    "tls_cert": None,
    "tls_key": None,
    "namespace": "ours",
    "connect_timeout": 2_000_000,
    "timeout": 5_000_000,
    "pool_size": 10,
    "prepare": "auto",
    "application_name": "idempotency-manager",
    "local_copies": None,
}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the PostgreSQL of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files of TLS."""
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("-----BEGIN")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def place_of(url: str) -> dict[str, Any]:
    return place(StoreUrl(url), "ours")


def refused(url: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        place_of(url)
    message = str(caught.value)
    assert message.startswith("store=")
    return message


# ---------------------------------------------------------------------------------------------- Redis


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("redis://h", {}),
        ("redis://h/", {}),
        ("redis://h:7000/3", {"nodes": [["h", 7000]], "database": 3}),
        ("redis://h?database=3", {"database": 3}),
        ("redis://[::1]", {"nodes": [["::1", 6379]]}),
        ("redis://u:p%40@h", {"username": "u", "password": "p@"}),
        ("redis://:p@h", {"password": "p"}),
        ("redis://:@h", {}),
        ("redis://u:@h", {"username": "u", "password": ""}),
        ("rediss://h", {"tls": True}),
        ("rediss://h?tls=on", {"tls": True}),
        ("redis://h?tls=OFF", {}),
        ("redis://h?connect_timeout=250ms&timeout=1m", {"connect_timeout": 250_000, "timeout": 60_000_000}),
        ("redis://h?wait_replicas=2", {"wait_replicas": 2}),
        ("redis://h?local_copies=off", {}),
        ("redis://h?local_copies=on", {"local_copies": "tracking"}),
        ("redis://h?local_copies=10s", {"local_copies": 10_000_000}),
        ("redis+unix:///run/r.sock", {"topology": "unix", "nodes": [], "path": "/run/r.sock"}),
        ("redis+unix:////run/r.sock", {"topology": "unix", "nodes": [], "path": "/run/r.sock"}),
        (
            "redis+unix://u:p@/run/r.sock?database=2&local_copies=on",
            {
                "topology": "unix",
                "nodes": [],
                "path": "/run/r.sock",
                "username": "u",
                "password": "p",
                "database": 2,
                "local_copies": "tracking",
            },
        ),
        (
            "redis+cluster://a,b:7001,[::1]:7002",
            {"topology": "cluster", "nodes": [["a", 6379], ["b", 7001], ["::1", 7002]]},
        ),
        ("redis+cluster://h/0?tls=on", {"topology": "cluster", "tls": True}),
        ("redis+cluster://h?local_copies=3s", {"topology": "cluster", "local_copies": 3_000_000}),
        (
            "redis+sentinel://:p@a,b:1/main",
            {"topology": "sentinel", "nodes": [["a", 26_379], ["b", 1]], "service": "main", "password": "p"},
        ),
        (
            "redis+sentinel://h:1/main/4?tls=on&local_copies=on",
            {
                "topology": "sentinel",
                "nodes": [["h", 1]],
                "service": "main",
                "database": 4,
                "tls": True,
                "local_copies": "tracking",
            },
        ),
        (
            "redis+sentinel://h:1/main?sentinel_username=s&sentinel_password=t",
            {
                "topology": "sentinel",
                "nodes": [["h", 1]],
                "service": "main",
                "sentinel_username": "s",
                "sentinel_password": "t",
            },
        ),
    ],
)
def test_a_redis_url_says_where_and_how(url: str, parts: dict[str, Any]) -> None:
    assert place_of(url) == REDIS | parts


@pytest.mark.parametrize(
    ("url", "problem", "remedy"),
    [
        ("redis://a,b", "leads to one server", "redis+cluster://a,b,c"),
        ("rediss://a,b", "leads to one server", "redis+sentinel://a,b,c/service?tls=on"),
        ("redis://h/zero", "the path='zero'", "a whole number from 0"),
        ("redis://h/-1", "the path='-1'", "a whole number from 0"),
        ("redis://h/٣", "no whole number", "a whole number from 0"),
        ("redis://h/1?database=1", "database and the path are one option", "give it once"),
        ("redis://h?database=1&database=1", "'database' is given twice", "give it once"),
        ("redis://u@h", "a user without a password", "user:password@"),
        ("redis://h?tiemout=1s", "no option 'tiemout'", "did you mean 'timeout'?"),
        ("redis://h?pool_size=3", "no option 'pool_size'", "known are connect_timeout, timeout, wait_replicas"),
        ("redis://h?timeout=5", "timeout='5': a unit is missing", "timeout=250ms"),
        ("redis://h?timeout=", "timeout='': the text is empty", "timeout=250ms"),
        ("redis://h?connect_timeout=0s", "at least a microsecond", "connect_timeout=250ms"),
        ("redis://h?timeout=-1s", "can't be negative", "timeout=250ms"),
        ("redis://h?wait_replicas=-1", "wait_replicas='-1'", "a whole number from 0"),
        ("redis://h?wait_replicas=99999999", "out of range", "to 1000000"),
        ("redis://h?local_copies=maybe", "local_copies='maybe'", "local_copies=10s"),
        ("redis://h?local_copies=0s", "at least a microsecond", "local_copies=10s"),
        ("redis://h?tls=on", "the plain protocol", "rediss://"),
        ("rediss://h?tls=off", "rediss:// is TLS", "redis://"),
        ("redis+cluster://h?tls=yes", "tls='yes': no choice", "on, off"),
        ("redis://h?tls_ca=ca.pem", "tls_ca='ca.pem': there is no TLS", "rediss://"),
        ("redis+cluster://h?tls_key=key.pem", "there is no TLS", "add tls=on"),
        ("redis+sentinel://h/main?tls_cert=cert.pem", "there is no TLS", "add tls=on"),
        ("redis+unix:///r.sock?tls_ca=ca.pem", "there is no TLS", "leave it out"),
        ("redis+cluster://h/1", "only database 0", "namespace"),
        ("redis+cluster://h?database=1", "only database 0", "namespace"),
        ("redis+cluster://h?local_copies=on", "nothing tells this process", "local_copies=10s"),
        ("redis+sentinel://h", "no service", "redis+sentinel://a,b,c/service"),
        ("redis+sentinel://h/", "no service", "redis+sentinel://a,b,c/service"),
        ("redis+sentinel://h//2", "no service", "redis+sentinel://a,b,c/service"),
        ("redis+sentinel://h/main/x", "the path='x'", "a whole number from 0"),
        ("redis+sentinel://h/main?sentinel_username=s", "sentinel_username without a password", "sentinel_password="),
        ("redis://h?sentinel_username=s", "no option 'sentinel_username'", "known are"),
    ],
)
def test_a_redis_url_that_can_not_be_says_why_and_what_to_write(url: str, problem: str, remedy: str) -> None:
    message = refused(url)
    assert problem in message
    assert remedy in message


@pytest.mark.parametrize("url", ["redis+unix://h/r.sock", "redis+unix://", "redis+unix:///", "redis+unix://u:p@h/x"])
def test_a_socket_is_named_by_its_path_alone(url: str) -> None:
    assert "a path follows redis+unix:///" in refused(url)


# ---------------------------------------------------------------------------------------------- PostgreSQL


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgresql://u@h/d", {}),
        ("postgresql://u:p%2F@h:6000/d", {"hosts": [["h", 6000]], "password": "p/"}),
        ("postgresql://h?user=u&password=p&dbname=d&port=6000", {"hosts": [["h", 6000]], "password": "p"}),
        ("postgresql://u@h", {"database": "u"}),
        ("postgresql://u@[::1]/d", {"hosts": [["::1", 5432]]}),
        ("postgresql://u@a,b:6/d", {"hosts": [["a", 5432], ["b", 6]]}),
        ("postgresql://u@/d?host=a,::1&port=1,2", {"hosts": [["a", 1], ["::1", 2]]}),
        ("postgresql://u@a,b/d?port=7", {"hosts": [["a", 7], ["b", 7]]}),
        ("postgresql://u@/d?host=/run/pg", {"hosts": [["/run/pg", 5432]], "tls": "disable"}),
        ("postgresql://u@%2Frun%2Fpg:6/d?sslmode=require", {"hosts": [["/run/pg", 6]], "tls": "disable"}),
        ("postgresql://u@h/d?sslmode=Verify-Full", {"tls": "verify-full"}),
        ("postgresql://u@h/d?tls=disable", {"tls": "disable"}),
        ("postgresql://u@h/d?sslrootcert=system", {"tls": "verify-full"}),
        ("postgresql://u@h/d?connect_timeout=3&timeout=1s", {"connect_timeout": 3_000_000, "timeout": 1_000_000}),
        ("postgresql://u@h/d?connect_timeout=250ms", {"connect_timeout": 250_000}),
        ("postgresql://u@h/d?pool_size=1&prepare=OFF", {"pool_size": 1, "prepare": "off"}),
        ("postgresql://u@h/d?application_name=sync%40host", {"application_name": "sync@host"}),
        ("postgresql://u@h/d?target_session_attrs=read-write", {}),
        ("postgresql://u@h/d?local_copies=on", {"local_copies": "notify"}),
        ("postgresql://u@h/d?local_copies=2s", {"local_copies": 2_000_000}),
    ],
)
def test_a_postgresql_url_says_where_and_how(url: str, parts: dict[str, Any]) -> None:
    assert place_of(url) == POSTGRES | parts


@pytest.mark.parametrize(
    ("url", "problem", "remedy"),
    [
        ("postgresql://u@h/d?user=v", "user and what stands before the @ are one option", "give it once"),
        ("postgresql://u:p@h/d?password=v", "password and what stands before the @ are one", "give it once"),
        ("postgresql://u@h/d?dbname=e", "dbname and the path are one option", "give it once"),
        ("postgresql://u@h/d?host=i", "host='i': the URL has one", "give it once"),
        ("postgresql://u@h:1/d?port=2", "port='2': the URL has one", "give it once"),
        ("postgresql://u@h/d?sslmode=require&tls=require", "sslmode and tls are one option", "give it once"),
        ("postgresql://u@a,b/d?port=1,2,3", "3 ports for 2 hosts", "one for each host"),
        ("postgresql://u@h/d?port=x", "port='x'", "from 1 to 65535"),
        ("postgresql://u@h/d?port=65536", "port='65536'", "from 1 to 65535"),
        ("postgresql://u@h/d?sslmode=allow", "sslmode='allow'", "prefer, require, verify-ca, verify-full"),
        ("postgresql://u@h/d?connect_timeout=0", "at least a microsecond", "connect_timeout=2s"),
        ("postgresql://u@h/d?timeout=5", "a unit is missing", "timeout=2s"),
        ("postgresql://u@h/d?pool_size=0", "pool_size='0'", "from 1"),
        ("postgresql://u@h/d?target_session_attrs=standby", "target_session_attrs='standby'", "leave it out"),
        ("postgresql://u@h/d?prepare=never", "prepare='never'", "auto, on, off"),
        ("postgresql://u@h/d?wait_replicas=1", "no option 'wait_replicas'", "known are connect_timeout"),
        ("postgresql://u@h/d?sslmod=require", "no option 'sslmod'", "known are"),
        ("postgresql://u@h/d?sslmode=prefer&sslrootcert=ca.pem", "no certificate is looked at", "verify-full"),
        ("postgresql://u@h/d?tls=disable&tls_ca=ca.pem", "no certificate is looked at", "leave the CA out"),
    ],
)
def test_a_postgresql_url_that_can_not_be_says_why_and_what_to_write(url: str, problem: str, remedy: str) -> None:
    message = refused(url)
    assert problem in message
    assert remedy in message


def test_the_environment_says_what_a_postgresql_url_leaves_out(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name, value in {
        "PGHOST": "db",
        "PGPORT": "6000",
        "PGDATABASE": "sales",
        "PGUSER": "me",
        "PGPASSWORD": SECRET,
        "PGSSLMODE": "verify-ca",
        "PGSSLROOTCERT": "ca.pem",
        "PGSSLCERT": "cert.pem",
        "PGSSLKEY": "key.pem",
        "PGAPPNAME": "sync",
        "PGCONNECT_TIMEOUT": "7",
    }.items():
        monkeypatch.setenv(name, value)
    of_environment = POSTGRES | {
        "hosts": [["db", 6000]],
        "database": "sales",
        "username": "me",
        "password": SECRET,
        "tls": "verify-ca",
        "tls_ca": str(folder / "ca.pem"),
        "tls_cert": str(folder / "cert.pem"),
        "tls_key": str(folder / "key.pem"),
        "application_name": "sync",
        "connect_timeout": 7_000_000,
    }
    assert place_of("postgresql://") == of_environment
    said = {"hosts": [["h", 5432]], "database": "d", "username": "u", "password": "p", "tls": "require"}
    url = "postgresql://u:p@h:5432/d?sslmode=verify-full&application_name=x&connect_timeout=1s"
    assert place_of(url) == of_environment | said | {
        "tls": "verify-full",
        "application_name": "x",
        "connect_timeout": 1_000_000,
    }


def test_a_variable_that_can_not_be_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "sometimes")
    assert "PGSSLMODE='sometimes': no choice" in refused("postgresql://u@h/d")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGPORT", "PGSSLMODE", "PGPASSWORD", "PGAPPNAME"):
        monkeypatch.setenv(name, "")
    assert place_of("postgresql://u@h/d") == POSTGRES


def test_without_a_user_it_is_that_of_the_process() -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert place_of("postgresql://h") == POSTGRES | {"username": me, "database": me}


def test_without_a_host_it_is_the_socket_of_this_host_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idempotency_manager._place_postgres._SOCKET_FOLDERS", (str(tmp_path),))
    assert place_of("postgresql://u@/d?port=6000")["hosts"] == [["localhost", 6000]]
    (tmp_path / ".s.PGSQL.6000").touch()
    assert place_of("postgresql://u@/d?port=6000")["hosts"] == [[str(tmp_path), 6000]]
    assert place_of("postgresql://u@/d")["hosts"] == [["localhost", 5432]]


PASSWORDS = r"""# host:port:database:user:password
other:*:*:*:wrong
h:5432:d:v:wrong
h:5432:d:u:se\:cr\\et
/run/pg:*:*:u:of a folder
localhost:*:*:u:of this:host
too:few
"""


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    """A password file that only its owner may read."""
    file = tmp_path / ".pgpass"
    file.write_text(PASSWORDS)
    file.chmod(0o600)
    return file


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgresql://u@h/d", r"se:cr\et"),
        ("postgresql://u@h:1/d", None),
        ("postgresql://u@h/e", None),
        ("postgresql://w@h/d", None),
        ("postgresql://u:given@h/d", "given"),
        ("postgresql://u@nowhere,h/d", r"se:cr\et"),
        ("postgresql://u@/d?host=/run/pg", "of a folder"),
        ("postgresql://u@/d?host=/var/run/postgresql", "of this:host"),
        ("postgresql://u@/d?host=localhost", "of this:host"),
    ],
)
def test_a_password_comes_from_the_password_file(url: str, password: str | None) -> None:
    assert place_of(url)["password"] == password


def test_the_password_file_may_be_elsewhere(passwords: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", str(passwords.rename(tmp_path / "elsewhere")))
    assert place_of("postgresql://u@h/d")["password"] == r"se:cr\et"  # noqa: S105 - the file's


def test_a_password_file_that_others_may_read_is_not_believed(passwords: Path) -> None:
    passwords.chmod(0o640)
    with pytest.warns(RuntimeWarning, match=r"others may read it; chmod 600") as warned:
        assert place_of("postgresql://u@h/d")["password"] is None
    assert str(passwords) in str(warned[0].message)


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize("elsewhere", ["/dev/null", "/nowhere/at/all", "/"])
def test_a_password_file_that_is_no_file_is_none(elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", elsewhere)
    assert place_of("postgresql://u@h/d")["password"] is None


# ---------------------------------------------------------------------------------------------- files, both engines


@pytest.mark.parametrize(
    ("url", "tls"),
    [
        ("rediss://h?tls_ca=ca.pem&tls_cert=cert.pem&tls_key=key.pem", True),
        ("redis+cluster://h?tls=on&tls_ca=ca.pem&tls_cert=cert.pem&tls_key=key.pem", True),
        ("postgresql://h?tls_ca=ca.pem&tls_cert=cert.pem&tls_key=key.pem", "verify-full"),
        ("postgresql://h?sslmode=require&sslrootcert=ca.pem&sslcert=cert.pem&sslkey=key.pem", "verify-ca"),
    ],
)
def test_the_files_of_tls_are_taken_from_the_working_directory_once(url: str, tls: object, folder: Path) -> None:
    found = place_of(url)
    assert found["tls"] == tls
    assert [found[name] for name in ("tls_ca", "tls_cert", "tls_key")] == [
        str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem")
    ]


def test_a_file_may_be_in_the_home_directory(folder: Path) -> None:
    assert place_of("rediss://h?tls_ca=~/ca.pem")["tls_ca"] == str(folder / "ca.pem")


@pytest.mark.parametrize("url", ["rediss://h?tls_ca={}", "postgresql://h?sslrootcert={}"])
def test_a_file_that_can_not_be_read_is_named(url: str, folder: Path) -> None:
    message = refused(url.format("none.pem"))
    assert f"can't read {folder / 'none.pem'}: No such file or directory" in message
    assert "PEM format" in message
    assert f"can't read {folder}: Is a directory" in refused(url.format(folder))
    assert "no path" in refused(url.format("a%00b"))


@pytest.mark.parametrize("url", ["rediss://h?tls_{}={}.pem", "postgresql://h?ssl{}={}.pem"])
@pytest.mark.parametrize("part", ["cert", "key"])
@pytest.mark.usefixtures("folder")
def test_a_client_shows_a_certificate_and_its_key(url: str, part: str) -> None:
    message = refused(url.format(part, part))
    assert f"tls_{part} without tls_" in message
    assert "together" in message


# ---------------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize(
    "url",
    [
        f"redis://u:{SECRET}@a,b",
        f"redis://:{SECRET}@h/x",
        f"redis+unix://u:{SECRET}@h/x",
        f"redis+sentinel://h/main?sentinel_password={SECRET}&timeout=0s",
        f"redis+sentinel://h/main?sentinel_password={SECRET}&sentinel_password={SECRET}",
        f"redis://u:80?{SECRET}@h/0",
        f"postgresql://u:{SECRET}@h/d?pool_size=0",
        f"postgresql://u@h/d?password={SECRET}&sslpassword={SECRET}",
        f"postgresql://u:{SECRET}@h/d?password={SECRET}",
    ],
)
def test_no_error_shows_a_password(url: str) -> None:
    assert SECRET not in refused(url)


def test_no_error_shows_a_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert SECRET not in refused("postgresql://u@h/d?pool_size=0")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://h?timeout=1s", "redis://h?timeout=2s"),
        ("postgresql://h?pool_size=1", "postgresql://h?pool_size=2"),
        ("redis://h", "rediss://h"),
    ],
)
def test_options_are_a_part_of_what_a_store_is(one: str, other: str) -> None:
    assert IdempotencyConfig(store=one) == IdempotencyConfig(store=one)
    assert IdempotencyConfig(store=one) != IdempotencyConfig(store=other)
    assert place_of(one) != place_of(other)


@pytest.mark.parametrize("url", ["memory://?x=1", "sqlite:///x.db?speed=high", "redis://h?x=1", "postgresql://h?x=1"])
def test_a_manager_is_not_made_with_an_option_that_does_not_exist(url: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no option"):
        IdempotencyManager(url)


@given(st.sampled_from(["redis", "rediss", "redis+cluster", "redis+sentinel", "redis+unix", "postgresql"]), st.text())
def test_any_url_leads_somewhere_or_is_refused(scheme: str, text: str) -> None:
    for candidate in (f"{scheme}://h/{text}", f"{scheme}://h/?{text}", f"{scheme}:///{text}", f"{scheme}://{text}/m"):
        try:
            assert place_of(candidate)["namespace"] == "ours"
        except ConfigurationError:
            continue
