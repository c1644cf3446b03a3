"""The configuration: its defaults, what each field takes, store URLs, the environment."""

from __future__ import annotations

import copy
import pickle
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idempotency_manager._config import IdempotencyConfig, make_config, replaced, store_url
from idempotency_manager._environment import config_from_environment
from idempotency_manager._settings import DEFAULTS
from idempotency_manager._store_url import StoreUrl, mask
from idempotency_manager._types import NOT_EXECUTED, State
from idempotency_manager.exceptions import ConfigurationError

SECRET = "hunter2"  # noqa: S105 - it is what must not be shown


def refused(**fields: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make_config(None, fields)
    return str(caught.value)


def test_what_is_not_given_has_its_default() -> None:
    config = make_config(None, {})
    assert {name: getattr(config, name) for name in DEFAULTS} == {
        "store": "memory://",
        "default_ttl": timedelta(hours=24),
        "max_cache_size": 10_000,
        "enable_auto_cleanup": True,
        "cleanup_interval": timedelta(hours=1),
        "include_params_in_key": True,
        "namespace": "idempotency",
        "lease": timedelta(seconds=30),
        "on_concurrent": "wait",
        "wait_timeout": timedelta(seconds=60),
        "on_in_doubt": "raise",
        "in_doubt_on": (),
        "not_executed_on": (),
        "replay_errors": (),
        "on_store_failure": "raise",
        "on_full": "evict",
        "verify_params": False,
        "store_params": False,
        "codec": None,
        "on_event": None,
        "clock": None,
        "shadow": False,
        "warn_volatile_after": 20,
    }


def test_a_durable_store_has_no_cap_unless_one_is_given() -> None:
    assert make_config("sqlite:///a.db", {}).max_cache_size is None
    assert make_config("sqlite:///a.db", {"max_cache_size": 5}).max_cache_size == 5
    assert make_config(None, {"max_cache_size": None}).max_cache_size is None


def test_the_cap_follows_a_store_that_is_changed() -> None:
    durable = make_config("sqlite:///a.db", {"lease": "5s"})
    in_memory = replaced(durable, {"store": "memory://"})
    assert in_memory.max_cache_size == 10_000
    assert in_memory.lease == timedelta(seconds=5)
    assert replaced(replaced(durable, {"max_cache_size": 7}), {"store": "memory://"}).max_cache_size == 7


def test_a_config_does_not_change() -> None:
    config = make_config(None, {})
    with pytest.raises(AttributeError, match="configure"):
        config.lease = timedelta(1)
    with pytest.raises(AttributeError):
        del config.lease
    with pytest.raises(AttributeError):
        config.colour = "red"
    assert replaced(config, {"lease": 1}) is not config
    assert config.lease == timedelta(seconds=30)


def test_configs_of_equal_fields_are_equal() -> None:
    assert make_config(None, {"lease": "60s"}) == make_config("memory://", {"lease": 60})
    assert hash(make_config(None, {"lease": "60s"})) == hash(make_config("memory://", {"lease": 60}))
    assert make_config(None, {}) != make_config(None, {"lease": "60s"})
    assert make_config("redis://:a@h", {}) != make_config("redis://:b@h", {})
    assert make_config(None, {}) != 3


def test_a_copied_config_is_equal_and_keeps_its_password() -> None:
    config = make_config(f"redis://:{SECRET}@h", {"lease": 5})
    for again in (copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config))):  # noqa: S301 - its own
        assert again == config
        assert store_url(again).password == SECRET


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        ("default_ttl", "7d", timedelta(days=7)),
        ("lease", 0.01, timedelta(milliseconds=10)),
        ("wait_timeout", 0, timedelta(0)),
        ("in_doubt_on", ValueError, (ValueError,)),
        ("in_doubt_on", [ValueError, KeyError], (ValueError, KeyError)),
        ("not_executed_on", (KeyboardInterrupt,), (KeyboardInterrupt,)),
        ("replay_errors", [], ()),
        ("on_in_doubt", "retry", "retry"),
        ("on_in_doubt", len, len),
        ("on_event", print, print),
        ("shadow", True, True),
        ("warn_volatile_after", 5, 5),
        ("warn_volatile_after", None, None),
        ("namespace", "billing:eu", "billing:eu"),
    ],
)
def test_a_value_is_kept_in_its_own_form(field: str, given: Any, kept: Any) -> None:
    assert getattr(make_config(None, {field: given}), field) == kept


class Half:
    """Neither a codec nor a clock."""

    def encode(self, result: object) -> bytes:
        """Encode, but never decode."""
        return repr(result).encode()


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("default_ttl", 0, "write a timedelta"),
        ("default_ttl", "24", "write a timedelta"),
        ("cleanup_interval", "0s", "write a timedelta"),
        ("lease", "9ms", "10ms"),
        ("lease", "2d", "at most default_ttl"),
        ("wait_timeout", -1, "write a timedelta"),
        ("max_cache_size", 0, "None for no cap"),
        ("max_cache_size", True, "None for no cap"),
        ("max_cache_size", 10.0, "None for no cap"),
        ("enable_auto_cleanup", 1, "True or False"),
        ("verify_params", "yes", "True or False"),
        ("namespace", "", "printable"),
        ("namespace", "a\n", "printable"),
        ("on_concurrent", "queue", "'wait' or 'raise'"),
        ("on_concurrent", ["wait"], "'wait' or 'raise'"),
        ("on_in_doubt", "ask", "NOT_EXECUTED"),
        ("on_in_doubt", LookupError, "NOT_EXECUTED"),
        ("on_store_failure", "ignore", "'execute'"),
        ("on_full", "grow", "'evict'"),
        ("in_doubt_on", (int,), "BaseException"),
        ("in_doubt_on", (ValueError("x"),), "BaseException"),
        ("in_doubt_on", None, "BaseException"),
        ("not_executed_on", "ValueError", "BaseException"),
        ("replay_errors", (KeyboardInterrupt,), "Exception"),
        ("codec", Half(), "decode()"),
        ("codec", Half, "decode()"),
        ("clock", Half(), "now()"),
        ("on_event", 3, "callable"),
        ("shadow", 1, "True or False"),
        ("warn_volatile_after", 4, "from 5 on"),
        ("warn_volatile_after", True, "from 5 on"),
        ("store", 3, "memory://"),
    ],
    ids=str,
)
def test_a_bad_value_is_refused_by_name_and_remedy(field: str, value: object, remedy: str) -> None:
    text = refused(**{field: value})
    assert text.startswith(f"{field}=")
    assert remedy in text


def test_an_unknown_field_is_refused_with_the_nearest_known_one() -> None:
    assert refused(defualt_ttl=1) == "there is no setting 'defualt_ttl'; did you mean 'default_ttl'?"
    assert "wait_timeout" in refused(colour="red")
    with pytest.raises(ConfigurationError, match="did you mean 'lease'"):
        replaced(make_config(None, {}), {"leese": 1})


def test_a_short_ttl_needs_no_shorter_lease_unless_one_is_given() -> None:
    assert make_config(None, {"default_ttl": "1s"}).lease == timedelta(seconds=30)
    given = make_config(None, {"lease": "30s"})
    with pytest.raises(ConfigurationError, match=r"^lease=.*default_ttl"):
        replaced(given, {"default_ttl": "1s"})


def test_a_clock_and_a_codec_are_told_by_what_they_do() -> None:
    class Still:
        def now(self) -> datetime:
            return datetime(2026, 1, 1, tzinfo=UTC)

    class Text(Half):
        def decode(self, data: bytes) -> str:
            return data.decode()

    clock, codec = Still(), Text()
    config = make_config(None, {"clock": clock, "codec": codec})
    assert config.clock is clock
    assert config.codec is codec


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("memory://", ("memory", None, None, (), "")),
        ("sqlite:///a%20b.db", ("sqlite", None, None, (), "a b.db")),
        ("sqlite:////var/a@b.db", ("sqlite", None, None, (), "/var/a@b.db")),
        ("redis://host", ("redis", None, None, (("host", None),), "")),
        ("REDISS://u:p%40%2F%3A@h:6380/2", ("rediss", "u", "p@/:", (("h", 6380),), "2")),
        ("redis://:p@[::1]:6379", ("redis", None, "p", (("::1", 6379),), "")),
        ("redis+cluster://a:1,b:2,c", ("redis+cluster", None, None, (("a", 1), ("b", 2), ("c", None)), "")),
        ("redis+sentinel://a:1,b:2/main/0", ("redis+sentinel", None, None, (("a", 1), ("b", 2)), "main/0")),
        ("redis+unix:///run/redis.sock", ("redis+unix", None, None, (), "run/redis.sock")),
        ("postgresql://u@h:5432/d", ("postgresql", "u", None, (("h", 5432),), "d")),
        ("postgresql:///d", ("postgresql", None, None, (), "d")),
    ],
)
def test_a_store_url_is_taken_apart_and_decoded(text: str, parts: tuple[object, ...]) -> None:
    url = StoreUrl(text)
    assert (url.scheme, url.username, url.password, url.hosts, url.path) == parts
    assert url.text == text


def test_the_options_of_a_store_url_are_decoded() -> None:
    url = StoreUrl("postgresql://h/d?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&x")
    assert url.options == (("sslmode", "verify-full"), ("sslrootcert", "/etc/ca.pem"), ("x", ""))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("redis", "no scheme"),
        ("", "no scheme"),
        ("mongodb://h", "known are memory, sqlite, redis"),
        ("postgres://h", "known are"),
        ("memory://x", "nothing follows"),
        ("sqlite://", "third slash"),
        ("sqlite://a.db", "third slash"),
        ("sqlite:///:memory:", "memory://"),
        ("redis://", "no host"),
        ("redis://:6379", "without a name"),
        ("redis://h:port", "65535"),
        ("redis://h:0", "65535"),
        ("redis://h:٣", "65535"),
        ("redis://[::1]x", "without a name"),
        ("redis://u:50%@h", "%25"),
        ("redis://u:%ff@h", "UTF-8"),
        ("redis://u:a#b@h", "%23"),
        ("redis://u:a/b@h", "%40"),
        ("redis://u:***@h", "hidden"),
    ],
)
def test_a_bad_store_url_is_refused_with_its_problem(text: str, problem: str) -> None:
    message = refused(store=text)
    assert message.startswith("store=")
    assert problem in message
    assert '"sqlite:///path.db"' in message


@pytest.mark.parametrize("awkward", ["", "@", "/", ":", "?", "#", "%", "%zz", "@/:?#%", " ", "é", "\n", "'"])
@pytest.mark.parametrize("form", ["{}", "redis://u:{}@h/0", "redis://:{}@h:x", "mongodb://u:{}@h", "sqlite://u:{}@h"])
def test_a_password_is_never_shown_however_badly_it_is_written(form: str, awkward: str) -> None:
    password = f"{SECRET}{awkward}{SECRET}"
    text = form.format(password) if form != "{}" else f"redis://:{password}@h"
    try:
        config = make_config(text, {})
    except ConfigurationError as error:
        shown = "".join(traceback.format_exception(error))
    else:
        shown = f"{config!r} {config.store} {store_url(config)} {store_url(config)!r}"
        assert "***" in config.store
    assert SECRET not in shown


def test_a_password_among_the_options_is_not_shown() -> None:
    config = make_config(f"postgresql://h/d?user=u&password={SECRET}&sslpassword={SECRET}", {})
    assert config.store == "postgresql://h/d?user=u&password=***&sslpassword=***"


def test_what_holds_no_password_is_shown_as_it_is() -> None:
    assert make_config("redis://user@h:6379/0?db=1", {}).store == "redis://user@h:6379/0?db=1"
    assert mask("redis://h:6379/0") == "redis://h:6379/0"


def test_a_store_url_does_not_change() -> None:
    url = StoreUrl("redis://h")
    with pytest.raises(AttributeError):
        url.path = "1"
    assert pickle.loads(pickle.dumps(url)) == url  # noqa: S301 - its own
    assert len({url, StoreUrl("redis://h"), StoreUrl("redis://i")}) == 2
    assert url != "redis://h"


@given(st.text(max_size=40))
def test_any_text_is_a_store_url_or_refused(text: str) -> None:
    for candidate in (text, f"redis://{text}", f"postgresql://u:{text}@h/{text}"):
        try:
            StoreUrl(candidate)
        except ConfigurationError:
            continue


def test_an_empty_environment_sets_nothing() -> None:
    assert config_from_environment({"PATH": "/bin"}) == {}
    assert config_from_environment({"IDEMPOTENCY_DEFAULT_TTL": "", "IDEMPOTENCY_STORE": " "}) == {}


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("DEFAULT_TTL", "86400000", "default_ttl", timedelta(days=1)),
        ("DEFAULT_TTL", "90s", "default_ttl", timedelta(seconds=90)),
        ("CLEANUP_INTERVAL", " 250 ", "cleanup_interval", timedelta(milliseconds=250)),
        ("MAX_CACHE_SIZE", "500", "max_cache_size", 500),
        ("MAX_CACHE_SIZE", "None", "max_cache_size", None),
        ("MAX_CACHE_SIZE", "", "max_cache_size", None),
        ("ENABLE_AUTO_CLEANUP", "Off", "enable_auto_cleanup", False),
        ("ENABLE_AUTO_CLEANUP", "yes", "enable_auto_cleanup", True),
        ("INCLUDE_PARAMS_IN_KEY", "0", "include_params_in_key", False),
        ("INCLUDE_PARAMS_IN_KEY", "TRUE", "include_params_in_key", True),
        ("SHADOW", "on", "shadow", True),
        ("NAMESPACE", "billing", "namespace", "billing"),
    ],
)
def test_a_variable_sets_its_field(variable: str, text: str, field: str, value: object) -> None:
    fields = config_from_environment({f"IDEMPOTENCY_{variable}": text})
    assert fields == {field: value}
    assert getattr(make_config(None, fields), field) == value


def test_a_store_from_the_environment_keeps_its_password_to_itself() -> None:
    config = make_config(None, config_from_environment({"IDEMPOTENCY_STORE": f"redis://:{SECRET}@h"}))
    assert config.store == "redis://:***@h"
    assert store_url(config).password == SECRET


@pytest.mark.parametrize(
    ("variable", "text", "remedy"),
    [
        ("DEFAULT_TTL", "-5", "milliseconds"),
        ("DEFAULT_TTL", "0", "milliseconds"),
        ("DEFAULT_TTL", "1.5", "milliseconds"),
        ("CLEANUP_INTERVAL", "soon", "milliseconds"),
        ("MAX_CACHE_SIZE", "0", '"none"'),
        ("MAX_CACHE_SIZE", "-1", '"none"'),
        ("MAX_CACHE_SIZE", "many", '"none"'),
        ("ENABLE_AUTO_CLEANUP", "maybe", "on, 0, false"),
        ("INCLUDE_PARAMS_IN_KEY", "2", "on, 0, false"),
        ("NAMESPACE", "a\tb", "printable"),
        ("STORE", "mongodb://h", "memory://"),
    ],
)
def test_a_bad_variable_is_refused_by_name_value_and_remedy(variable: str, text: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config_from_environment({f"IDEMPOTENCY_{variable}": text})
    assert str(caught.value).startswith(f"IDEMPOTENCY_{variable}={text!r}: ")
    assert remedy in str(caught.value)


def test_a_bad_store_from_the_environment_does_not_show_its_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        config_from_environment({"IDEMPOTENCY_STORE": f"mongodb://u:{SECRET}@h"})
    assert str(caught.value).startswith("IDEMPOTENCY_STORE='mongodb://u:***@h'")


def test_not_executed_is_one_object_and_no_answer_to_an_if() -> None:
    assert repr(NOT_EXECUTED) == "NOT_EXECUTED"
    assert pickle.loads(pickle.dumps(NOT_EXECUTED)) is NOT_EXECUTED  # noqa: S301 - its own
    assert copy.deepcopy(NOT_EXECUTED) is copy.copy(NOT_EXECUTED) is NOT_EXECUTED
    with pytest.raises(TypeError, match="is NOT_EXECUTED"):
        bool(NOT_EXECUTED)


def test_states_are_their_names() -> None:
    assert [str(state) for state in State] == ["in_progress", "completed", "failed", "in_doubt"]


def test_a_config_is_made_of_its_fields() -> None:
    assert IdempotencyConfig("memory://", lease=1) == IdempotencyConfig(store="memory://", lease=1)
