"""key, explain: what makes a key, and what keeps two apart. Neither needs a store."""

import json

import pytest

from idempotency_manager import Action, generate_idempotency_key
from idempotency_manager._revive import uuid_of_key
from tests.cli.conftest import Commands

CARD = Action("invoice-42", "create_card", "trello", {"title": "Überfällig", "cents": 4200})


def test_a_key_is_made_of_options(idempotency: Commands) -> None:
    words = ["--signal", "invoice-42", "--action", "create_card", "--target", "trello"]
    made = idempotency("key", *words, "--param", "title=Überfällig", "--param", "cents:=4200")
    assert (made.code, made.out.strip()) == (0, generate_idempotency_key(CARD))


def test_a_key_is_made_of_json_on_stdin(idempotency: Commands) -> None:
    asked = {"signal_id": CARD.signal_id, "action": CARD.action, "target": CARD.target, "params": dict(CARD.params)}
    key = generate_idempotency_key(CARD)
    assert idempotency("key", "--json", stdin=json.dumps(asked)).json == {
        "key": key,
        "uuid": uuid_of_key(key),
        "signal_id": "invoice-42",
        "action_type": "create_card",
        "target": "trello",
        "params_hash": key[-16:],
    }


def test_a_key_heeds_the_settings_of_the_environment(idempotency: Commands) -> None:
    words = ["--signal", "s", "--action", "a", "--target", "t", "--param", "x=1"]
    assert idempotency("key", *words, IDEMPOTENCY_INCLUDE_PARAMS_IN_KEY="no").out == "s:a:t\n"


@pytest.mark.parametrize(
    ("words", "stdin", "complaint"),
    [
        ([], "", "stdin is no JSON"),
        ([], "[]", "no JSON object"),
        ([], '{"a": 1, "a": 2}', "twice"),
        ([], '{"signal_id": "s"}', "action"),
        (["--signal", "s"], "", "action"),
        (["--signal", "", "--action", "a", "--target", "t"], "", "signal_id"),
        (["--signal", "s", "--param", "x"], "", "name=text"),
        (["--signal", "s", "--param", "x=1", "--param", "x=2"], "", "twice"),
        (["--signal", "s", "--param", "x:=nope"], "", "no JSON"),
        (["--signal", "s", "--action", "a", "--target", "t", "--param", "x:=1e999"], "", "params.x"),
        (["--signal", "s", "--param", "command=x", "--", "true"], "", "choose another"),
    ],
)
def test_what_makes_no_key_is_refused(idempotency: Commands, words: list[str], stdin: str, complaint: str) -> None:
    refused = idempotency("key", *words, stdin=stdin)
    assert (refused.code, refused.out) == (2, "")
    assert complaint in refused.err
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ('{"a": 1}', '{"a": 1.0}', []),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', []),
        ('{"a": 1}', '{"a": true}', [("params.a", "1", "true")]),
        ('{"a": 1}', '{"a": "1"}', [("params.a", "1", '"1"')]),
        ('{"a": {"b": [1, {"c": 2}]}}', '{"a": {"b": [1, {"c": 3}]}}', [("params.a.b[1].c", "2", "3")]),
        ('{"a": [1]}', '{"a": [1, 2]}', [("params.a[1]", None, "2")]),
        ('{"a": 1, "x-y": null}', '{"a": 1}', [('params["x-y"]', "null", None)]),
        ('{"a": []}', '{"a": {}}', [("params.a", "[]", "{}")]),
    ],
)
def test_explain_finds_where_params_differ(
    idempotency: Commands, first: str, second: str, expected: list[tuple[str, str | None, str | None]]
) -> None:
    ended = idempotency("explain", first, second, "--json")
    told = ended.json
    assert [tuple(one.values()) for one in told["differences"]] == expected
    assert told["same"] is (not expected)
    assert ended.code == (1 if expected else 0)


def test_explain_says_it_in_a_line(idempotency: Commands) -> None:
    assert idempotency("explain", '{"a": 1}', '{"a": 1.0}').out == "the same\n"
    assert idempotency("explain", '{"a": [1]}', '{"a": [2, 3]}').out == "params.a[0]: 1 | 2\nparams.a[1]: nothing | 3\n"


def test_explain_names_the_parts_in_which_keys_differ(idempotency: Commands) -> None:
    told = idempotency("explain", "s%3A1:a:t:0123456789abcdef", "s2:a:t:0123456789abcdef", "--json").json
    assert told["differences"] == [{"path": "signal_id", "first": "s:1", "second": "s2"}]


def test_explain_looks_up_the_params_of_keys(idempotency: Commands, three_records: dict[str, str]) -> None:
    told = idempotency("explain", three_records["completed"], three_records["failed"], "--json").json
    paths = [one["path"] for one in told["differences"]]
    assert paths == ["signal_id", "action_type", "target", "params_hash", "params.cents"]


def test_explain_says_what_it_would_need(idempotency: Commands) -> None:
    idempotency.once("s1", "true")
    idempotency.once("s1", "true", "again")
    keys = [idempotency.key("s1", "true"), idempotency.key("s1", "true", "again")]
    assert "does not keep the params" in idempotency("explain", *keys).out


@pytest.mark.parametrize("words", [["a:b:c:d", "{}"], ["nokey", "a:b:c"], ["{}", "{"]])
def test_what_can_not_be_compared_is_refused(idempotency: Commands, words: list[str]) -> None:
    assert idempotency("explain", *words).code == 2
