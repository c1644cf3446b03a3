"""What names the event of a delivery, in each vendor's documented payloads."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict
from http.client import HTTPMessage
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from starlette.datastructures import Headers as StarletteHeaders
from werkzeug.datastructures import EnvironHeaders

from idempotency_manager import IdempotencyManager, InvalidDeliveryError, idempotent, signal, webhooks
from tests.webhooks.documented import documented

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.webhooks import Delivery

VENDORS: dict[str, Callable[..., Delivery]] = {
    "slack": webhooks.slack,
    "trello": webhooks.trello,
    "google_drive": webhooks.google_drive,
    "github": webhooks.github,
    "stripe": webhooks.stripe,
}
CHALLENGE = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
CHANNEL = "4ba78bf0-6a47-11e2-bcfd-0800200c9a66"


def read(name: str) -> Delivery:
    """Give a documented delivery to the function of its vendor."""
    [vendor] = [vendor for vendor in VENDORS if name.startswith(vendor)]
    given = documented(name)
    return VENDORS[vendor](given.headers, given.body)


@pytest.mark.parametrize(
    ("name", "signal_id", "event"),
    [
        ("slack_event", "Ev123ABC456", "app_mention"),
        ("slack_retry", "Ev123ABC456", "app_mention"),
        ("slack_url_verification", f"url_verification.{CHALLENGE}", "url_verification"),
        ("slack_app_rate_limited", "app_rate_limited.A123456.T123456.1518467820", "app_rate_limited"),
        ("trello_action", "51f9424bcd6e040f3c002412", "voteOnCard"),
        ("google_drive_sync", f"{CHANNEL}.1", "sync"),
        ("google_drive_update", f"{CHANNEL}.10", "update"),
        ("google_drive_change", "8bd90be9-3a58-3122-ab43-9823188a5b43.23", "changed"),
        ("github_issues", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "issues"),
        ("github_ping", "9a2a9b4e-cc78-11e3-8f0c-2c9367dc0959", "ping"),
        ("stripe_event", "evt_1NG8Du2eZvKYlo2CUI79vXWy", "setup_intent.created"),
        (
            "stripe_thin_event",
            "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
            "v1.billing.meter.error_report_triggered",
        ),
    ],
)
def test_a_documented_delivery_has_its_signal_id(name: str, signal_id: str, event: str) -> None:
    delivery = read(name)
    assert (delivery.signal_id, delivery.event) == (signal_id, event)
    assert name.startswith(delivery.vendor)
    assert not delivery.verified
    assert delivery.payload == json.loads(documented(name).body or "{}")


def test_a_retry_of_slack_is_the_same_signal_and_says_why_it_comes() -> None:
    first, again = read("slack_event"), read("slack_retry")
    assert first.signal_id == again.signal_id
    assert (first.retry, first.retry_reason) == (0, None)
    assert (again.retry, again.retry_reason) == (1, "http_timeout")


@pytest.mark.parametrize("name", ["trello_action", "google_drive_update", "github_issues", "stripe_event"])
def test_a_vendor_that_counts_no_retries_leaves_it_open(name: str) -> None:
    assert read(name).retry is None


@pytest.mark.parametrize(
    ("name", "handshake"),
    [
        ("slack_url_verification", True),
        ("google_drive_sync", True),
        ("github_ping", True),
        ("slack_event", False),
        ("slack_app_rate_limited", False),
        ("google_drive_update", False),
        ("google_drive_change", False),
        ("github_issues", False),
        ("trello_action", False),
        ("stripe_event", False),
    ],
)
def test_what_only_proves_that_the_endpoint_is_there_is_a_handshake(name: str, *, handshake: bool) -> None:
    assert read(name).handshake is handshake


def test_only_slacks_handshake_has_a_challenge_to_be_sent_back() -> None:
    assert read("slack_url_verification").challenge == CHALLENGE
    assert read("google_drive_sync").challenge is None


def test_two_messages_of_a_channel_are_two_signals_and_so_are_two_channels() -> None:
    headers = documented("google_drive_update").headers
    others = [headers | {"X-Goog-Message-Number": "11"}, headers | {"X-Goog-Channel-ID": f"{CHANNEL}.1"}]
    assert len({webhooks.google_drive(each).signal_id for each in [headers, *others]}) == 3


def test_a_number_that_is_written_in_another_way_is_the_same_message() -> None:
    headers = documented("google_drive_update").headers
    assert webhooks.google_drive(headers | {"X-Goog-Message-Number": "0010"}) == webhooks.google_drive(headers)


def test_a_form_of_github_has_the_payload_of_its_json() -> None:
    given = documented("github_issues")
    form = urlencode({"payload": given.body.decode()}).encode()
    headers = given.headers | {"Content-Type": "application/x-www-form-urlencoded"}
    assert webhooks.github(headers, form) == webhooks.github(given.headers, given.body)


def test_github_needs_no_body_to_name_the_delivery() -> None:
    assert webhooks.github(documented("github_issues").headers).payload == {}


# ---------------------------------------------------------------- headers and bodies of any framework


def as_message(headers: dict[str, str]) -> HTTPMessage:
    """Headers as http.server gives them."""
    message = HTTPMessage()
    for name, value in headers.items():
        message[name] = value
    return message


FORMS: dict[str, Callable[[dict[str, str]], Any]] = {
    "a dict": dict,
    "a dict in lower case": lambda headers: {name.lower(): value for name, value in headers.items()},
    "an ASGI scope": lambda headers: [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    "Starlette": StarletteHeaders,
    "Werkzeug": lambda headers: EnvironHeaders(
        {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    ),
    "http.server": as_message,
    "lists of values": lambda headers: {name: [value] for name, value in headers.items()},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["slack_retry", "google_drive_update", "github_issues"])
def test_headers_are_taken_as_a_framework_gives_them(form: str, name: str) -> None:
    given = documented(name)
    read = VENDORS[name[: name.rindex("_")]]
    assert read(FORMS[form](given.headers), given.body) == read(given.headers, given.body)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, bytes.decode, json.loads])
def test_a_body_is_taken_in_any_form(form: Callable[[bytes], Any]) -> None:
    given = documented("trello_action")
    assert webhooks.trello(given.headers, form(given.body)) == read("trello_action")


# ---------------------------------------------------------------- use


def test_a_redelivery_runs_no_action_again(manager: IdempotencyManager) -> None:
    cards = []

    @idempotent(target="trello")
    def create_card(title: str) -> int:
        cards.append(title)
        return len(cards)

    for name in ("slack_event", "slack_retry"):
        delivery = read(name)
        with signal(delivery.signal_id):
            assert create_card(delivery.payload["event"]["text"]) == 1
    assert len(cards) == 1
    assert [record.signal_id for record in manager.iter_records()] == ["Ev123ABC456"]


def test_a_delivery_may_be_an_argument(manager: IdempotencyManager) -> None:
    @idempotent(target="trello", signal_id="delivery.signal_id")
    def create_card(delivery: Delivery) -> str:
        return delivery.event

    assert create_card(read("trello_action")) == "voteOnCard"
    assert create_card.key(read("trello_action")).startswith("51f9424bcd6e040f3c002412:create_card:trello:")


def test_a_delivery_can_t_be_changed_and_shows_no_payload() -> None:
    delivery = read("slack_event")
    with pytest.raises(FrozenInstanceError):
        delivery.signal_id = "another"  # type: ignore[misc]
    assert "pearl" not in repr(delivery)
    assert CHALLENGE not in repr(read("slack_url_verification")).replace(f"url_verification.{CHALLENGE}", "")


# ---------------------------------------------------------------- what is refused


def without(name: str, header: str) -> dict[str, str]:
    """The headers of a documented delivery but one."""
    return {each: value for each, value in documented(name).headers.items() if each != header}


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("google_drive_update", "X-Goog-Channel-ID"),
        ("google_drive_update", "X-Goog-Message-Number"),
        ("google_drive_update", "X-Goog-Resource-State"),
        ("github_issues", "X-GitHub-Delivery"),
        ("github_issues", "X-GitHub-Event"),
    ],
)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_header_that_is_missing_or_empty_is_named(name: str, header: str, value: str | None) -> None:
    vendor = name[: name.rindex("_")]
    headers = without(name, header) | ({} if value is None else {header: value})
    with pytest.raises(InvalidDeliveryError, match=f"a {vendor} webhook: {header} is missing: .+") as caught:
        VENDORS[vendor](headers, b"")
    assert (caught.value.vendor, caught.value.field) == (vendor, header)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("slack_event", "type"),
        ("slack_event", "event_id"),
        ("slack_event", "event.type"),
        ("slack_url_verification", "challenge"),
        ("trello_action", "action.id"),
        ("trello_action", "action.type"),
        ("trello_action", "action"),
        ("stripe_event", "id"),
        ("stripe_event", "type"),
    ],
)
@pytest.mark.parametrize("value", [None, "", 7, ["a"]])
def test_a_field_that_is_missing_or_no_text_is_named(name: str, field: str, value: object) -> None:
    given = documented(name)
    payload = json.loads(given.body)
    *path, last = field.split(".")
    at = payload
    for part in path:
        at = at[part]
    at[last] = value
    [vendor] = [vendor for vendor in VENDORS if name.startswith(vendor)]
    with pytest.raises(InvalidDeliveryError, match=r"(is missing|and no text): .+") as caught:
        VENDORS[vendor](given.headers, json.dumps(payload))
    assert caught.value.vendor == vendor
    assert caught.value.field.startswith(field)


@pytest.mark.parametrize("number", ["ten", "-1", "1.5", "1e3", "²", "9" * 5000])
def test_a_number_that_is_none_is_named(number: str) -> None:
    headers = documented("google_drive_update").headers | {"X-Goog-Message-Number": number}
    with pytest.raises(InvalidDeliveryError, match="X-Goog-Message-Number is no whole number"):
        webhooks.google_drive(headers)
    retry = documented("slack_retry")
    with pytest.raises(InvalidDeliveryError, match="X-Slack-Retry-Num is no whole number"):
        webhooks.slack(retry.headers | {"X-Slack-Retry-Num": number}, retry.body)


def test_a_lone_surrogate_is_refused_before_it_becomes_a_signal() -> None:
    with pytest.raises(InvalidDeliveryError, match="id holds a lone surrogate"):
        webhooks.stripe({}, r'{"id": "\ud800", "object": "event", "type": "invoice.paid"}')
    headers = documented("github_issues").headers | {"X-GitHub-Delivery": "\udcff"}
    with pytest.raises(InvalidDeliveryError, match="X-GitHub-Delivery holds a lone surrogate"):
        webhooks.github(headers)


@pytest.mark.parametrize("field", ["api_app_id", "team_id", "minute_rate_limited"])
def test_a_limit_of_rates_that_names_no_minute_is_refused(field: str) -> None:
    payload = json.loads(documented("slack_app_rate_limited").body)
    del payload[field]
    with pytest.raises(InvalidDeliveryError, match=f"{field} is"):
        webhooks.slack({}, payload)


def test_a_header_that_comes_twice_with_different_values_is_refused() -> None:
    headers = [*documented("github_issues").headers.items(), ("x-github-delivery", "another")]
    with pytest.raises(InvalidDeliveryError, match="X-GitHub-Delivery is there 2 times, with different values"):
        webhooks.github(headers)


def test_a_header_that_comes_twice_with_one_value_is_well() -> None:
    headers = list(documented("github_issues").headers.items())
    assert webhooks.github(headers * 2) == webhooks.github(headers)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"secret=1", "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[1]", "is a JSON list"),
        (b'"secret"', "is a JSON str"),
    ],
)
@pytest.mark.parametrize("vendor", ["slack", "trello", "stripe"])
def test_a_body_that_is_no_object_is_refused_without_being_shown(vendor: str, body: bytes, problem: str) -> None:
    with pytest.raises(InvalidDeliveryError, match=f"a {vendor} webhook: the body {problem}") as caught:
        VENDORS[vendor]({}, body)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_what_is_no_event_of_slack_is_refused_with_what_to_take_instead() -> None:
    interaction = {"type": "block_actions", "trigger_id": "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3"}
    with pytest.raises(InvalidDeliveryError, match=r"event_id is missing.*'block_actions'.*trigger_id"):
        webhooks.slack({}, interaction)


def test_an_object_of_stripe_that_is_no_event_is_refused() -> None:
    charge = {"id": "ch_1", "object": "charge", "type": "card"}
    with pytest.raises(InvalidDeliveryError, match="object is no event"):
        webhooks.stripe({}, charge)


def test_a_delivery_has_plain_fields() -> None:
    assert asdict(read("google_drive_sync"))["signal_id"] == f"{CHANNEL}.1"
