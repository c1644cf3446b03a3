"""Keys: made, taken apart, and the same in JavaScript."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idempotency_manager import (
    Action,
    InvalidActionError,
    InvalidKeyError,
    ParsedKey,
    UnsupportedParamError,
    canonicalize,
    generate_idempotency_key,
    parse_idempotency_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
FIELDS: dict[str, Any] = {"signal_id": "evt_1", "action": "create_card", "target": "trello", "params": {"a": 1}}
KEY = "evt_1:create_card:trello:015abd7f5cc57a2d"

LABELS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def blocks(language: str) -> list[str]:
    """The page's blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_every_form_of_an_action_gets_the_same_key() -> None:
    """By keyword, as an Action, as a dict, as any other mapping."""
    assert generate_idempotency_key(**FIELDS) == KEY
    assert generate_idempotency_key(Action(**FIELDS)) == KEY
    assert generate_idempotency_key(FIELDS) == KEY
    assert generate_idempotency_key(MappingProxyType(FIELDS)) == KEY
    assert generate_idempotency_key(**FIELDS, context={"by": object()}) == KEY
    assert generate_idempotency_key(**{"".join(list(name)): value for name, value in FIELDS.items()}) == KEY


def test_no_params_are_empty_params() -> None:
    """Left out, None and {} are one."""
    fields = {name: FIELDS[name] for name in ("signal_id", "action", "target")}
    keys = {generate_idempotency_key(**fields, **more) for more in ({}, {"params": None}, {"params": {}})}
    keys.add(generate_idempotency_key(Action(**fields)))
    assert len(keys) == 1


@settings(deadline=None)
@given(LABELS, LABELS, LABELS)
def test_a_key_gives_back_what_was_put_in(signal_id: str, action: str, target: str) -> None:
    """Whatever characters the parts hold."""
    key = generate_idempotency_key(signal_id=signal_id, action=action, target=target, params={})
    parsed = parse_idempotency_key(key)
    assert parsed == ParsedKey(signal_id, action, target, key[-16:])
    assert key.count(":") == 3
    assert not any(char < " " or char == "\x7f" for char in key)


def test_parts_do_not_run_into_each_other() -> None:
    """A colon in a part is encoded, with upper-case digits."""
    first = generate_idempotency_key(signal_id="a:b", action="c", target="d")
    second = generate_idempotency_key(signal_id="a", action="b:c", target="d")
    assert first.rpartition(":")[0] == "a%3Ab:c:d"
    assert second.rpartition(":")[0] == "a:b%3Ac:d"
    assert generate_idempotency_key(signal_id="%\x7f\n", action="é", target="😀").startswith("%25%7F%0A:é:😀:")


def test_a_key_without_params_is_parsed() -> None:
    """As made with include_params_in_key=False."""
    assert parse_idempotency_key("a:b:c") == ParsedKey("a", "b", "c", None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:b",
        "a::c",
        "a:b:c:",
        "a:b:c:XYZ",
        "a:b:c:0123456789ABCDEF",
        "a:b:c:" + "0" * 16 + ":",
        "%3a:b:c",
        "%41:b:c",
        "a\n:b:c",
    ],
)
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    """And so is one that no generator of keys could have made."""
    with pytest.raises(InvalidKeyError):
        parse_idempotency_key(text)


@pytest.mark.parametrize("value", [None, 5, b"a:b:c", "\ud800:b:c"])
def test_what_is_no_text_is_no_key(value: Any) -> None:
    """An error of the package's own."""
    with pytest.raises(InvalidKeyError):
        parse_idempotency_key(value)


@pytest.mark.parametrize("name", ["signal_id", "action", "target"])
@pytest.mark.parametrize("bad", ["missing", "", 5, None, "\ud800"])
@pytest.mark.parametrize("form", ["keywords", "mapping"])
def test_a_bad_field_is_named(name: str, bad: object, form: str) -> None:
    """Missing, empty, of another type, no Unicode text."""
    fields = {**FIELDS, name: bad}
    if bad == "missing":
        del fields[name]
    with pytest.raises(InvalidActionError, match=name):
        generate_idempotency_key(fields) if form == "mapping" else generate_idempotency_key(**fields)


@pytest.mark.parametrize(
    "call",
    [
        lambda: generate_idempotency_key(**FIELDS, targt="x"),
        lambda: generate_idempotency_key({**FIELDS, "targt": "x"}),
        lambda: generate_idempotency_key(FIELDS, **FIELDS),
        lambda: generate_idempotency_key(FIELDS, FIELDS),  # type: ignore[call-arg]
        lambda: generate_idempotency_key("evt_1"),  # type: ignore[arg-type]
        lambda: generate_idempotency_key({1: 2}),  # type: ignore[dict-item]
        generate_idempotency_key,
        lambda: generate_idempotency_key(None),
    ],
)
def test_a_call_that_names_no_action_is_refused(call: Callable[[], str]) -> None:
    """Unknown fields, both forms at once, and what is no action."""
    with pytest.raises(InvalidActionError):
        call()


def test_params_that_have_no_form_are_refused_with_their_path() -> None:
    """The path begins at the params."""
    with pytest.raises(UnsupportedParamError) as caught:
        generate_idempotency_key(**{**FIELDS, "params": {"items": [0, 1, 2, {"due": object()}]}})
    assert caught.value.path == "params.items[3].due"
    with pytest.raises(UnsupportedParamError, match="mapping") as caught:
        generate_idempotency_key(**{**FIELDS, "params": [1]})
    assert caught.value.path == "params"


def test_the_pages_python_runs() -> None:
    """Top to bottom, in one namespace."""
    source = "\n".join(blocks("python"))
    assert source.count("assert ") > 10
    exec(compile(source, "docs/keys.md", "exec"), {})  # noqa: S102


DRIVER = """
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const [signalId, action, target, params] = JSON.parse(line);
  console.log(JSON.stringify([idempotencyKey(signalId, action, target, params), canonicalize(params)]));
});
"""


@pytest.fixture(scope="module")
def javascript() -> Iterator[Callable[[list[Any]], list[str]]]:
    """Asks one Node process, running the page's JavaScript, for the key and the canonical form of an action."""
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs node to check the page's JavaScript")
        pytest.skip("node is not installed")
    (source,) = blocks("javascript")
    with subprocess.Popen(
        [node, "-e", source + DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(action: list[Any]) -> list[str]:
            process.stdin.write(json.dumps(action) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


EXACT = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]))
            | st.sampled_from(["2", "10", "01", "__proto__", "constructor"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(
    signal_id=LABELS,
    action=LABELS,
    target=LABELS,
    params=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), EXACT),
)
def test_javascript_makes_the_same_keys(
    javascript: Callable[[list[Any]], list[str]], signal_id: str, action: str, target: str, params: dict[str, Any]
) -> None:
    """For all that JSON and JavaScript hold exactly."""
    key, form = javascript([signal_id, action, target, params])
    assert form.encode() == canonicalize(params)
    assert key == generate_idempotency_key(signal_id=signal_id, action=action, target=target, params=params)
