"""Whatever arrives is a delivery or an InvalidDeliveryError: a receiver on the open internet gets everything."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from idempotency_manager import InvalidDeliveryError, generate_idempotency_key, signal, webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = [
    *("Content-Type", "X-Slack-Retry-Num", "X-Slack-Retry-Reason", "X-Slack-Request-Timestamp", "X-Slack-Signature"),
    *(
        "X-Trello-Webhook",
        "X-Goog-Channel-ID",
        "X-Goog-Message-Number",
        "X-Goog-Resource-State",
        "X-Goog-Channel-Token",
    ),
    *("X-GitHub-Delivery", "X-GitHub-Event", "X-Hub-Signature-256", "Stripe-Signature"),
]
VALUES = st.one_of(
    st.text(), st.sampled_from(["1", "application/x-www-form-urlencoded", "t=1,v1=00", "v0=", "sync", "\udcff"])
)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=8)
FIELDS = st.sampled_from(
    ["id", "type", "object", "action", "event", "event_id", "challenge", "team_id", "minute_rate_limited"]
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["event", "\ud800"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(FIELDS, inner, max_size=6)),
    max_leaves=12,
)
BODIES = st.one_of(st.binary(), st.text(), JSON.map(json.dumps), st.dictionaries(FIELDS, JSON, max_size=6))
NOW = datetime(2026, 1, 1, tzinfo=UTC)

READERS: list[Callable[[Any, Any], webhooks.Delivery]] = [
    webhooks.slack,
    webhooks.trello,
    webhooks.google_drive,
    webhooks.github,
    webhooks.stripe,
]
VERIFIERS: list[Callable[[Any, Any], webhooks.Delivery]] = [
    lambda headers, body: webhooks.slack(headers, body, secret="s", now=NOW),
    lambda headers, body: webhooks.trello(headers, body, secret="s", callback_url="https://example.com/"),
    lambda headers, body: webhooks.google_drive(headers, body, token="no token that a test makes up"),
    lambda headers, body: webhooks.github(headers, body, secret="s"),
    lambda headers, body: webhooks.stripe(headers, body, secret="s", now=NOW),
]


@given(HEADERS, BODIES, st.sampled_from(READERS))
def test_any_request_is_a_delivery_with_a_signal_or_is_refused(headers: Any, body: Any, read: Any) -> None:
    delivery = None
    with contextlib.suppress(InvalidDeliveryError):
        delivery = read(headers, body)
    if delivery is not None:
        with signal(delivery.signal_id):
            assert generate_idempotency_key(signal_id=delivery.signal_id, action="a", target="t")


@given(HEADERS, st.one_of(st.binary(), st.text()), st.sampled_from(VERIFIERS))
def test_no_request_is_taken_for_a_signed_one(headers: Any, body: Any, read: Any) -> None:
    with contextlib.suppress(InvalidDeliveryError):
        raise AssertionError(read(headers, body))


@given(st.dictionaries(FIELDS, st.sampled_from(["event", "app_mention", "x", "\ud800"])))
def test_fields_that_are_texts_make_deliveries(fields: dict[str, str]) -> None:
    for read in (webhooks.trello, webhooks.stripe):
        with contextlib.suppress(InvalidDeliveryError):
            assert read({}, {**fields, "action": fields}).signal_id == fields["id"] != "\ud800"
