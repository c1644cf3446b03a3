"""Whether a vendor sent what arrived: signatures of the vendors' own documentation and libraries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import stripe
from slack_sdk.signature import SignatureVerifier

from idempotency_manager import ConfigurationError, InvalidDeliveryError, InvalidSignatureError, webhooks
from tests.webhooks.documented import documented

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.webhooks import Delivery

SECRET = "whsec_of-the-tests"  # noqa: S105 - it opens nothing
NOW = datetime(2026, 3, 1, 9, 30, 5, tzinfo=UTC)
CALLBACK = "https://example.com/trelloCallback"


def stamp(age: float = 0) -> str:
    return str(int(NOW.timestamp() - age))


def signed_by_slack(body: bytes, secret: str = SECRET, age: float = 0) -> dict[str, str]:
    """Sign as Slack's own library does."""
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp(age), body=body)
    assert signature
    return {"X-Slack-Request-Timestamp": stamp(age), "X-Slack-Signature": signature}


def signed_by_stripe(body: bytes, secret: str = SECRET, age: float = 0) -> dict[str, str]:
    """Sign as Stripe's own library does."""
    signature = stripe.WebhookSignature._compute_signature(f"{stamp(age)}.{body.decode()}", secret)
    return {"Stripe-Signature": f"t={stamp(age)},v1={signature},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba8"}


def signed_by_trello(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Sign as Trello documents it."""
    digest = hmac.digest(secret.encode(), body + CALLBACK.encode(), "sha1")
    return {"X-Trello-Webhook": base64.b64encode(digest).decode()}


def signed_by_github(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Sign as GitHub documents it."""
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def with_the_token(_: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Goog-Channel-Token": secret}


def slack(headers: Any, body: Any, secret: Any = SECRET) -> Delivery:
    return webhooks.slack(headers, body, secret=secret, now=NOW)


def trello(headers: Any, body: Any, secret: Any = SECRET) -> Delivery:
    return webhooks.trello(headers, body, secret=secret, callback_url=CALLBACK)


def drive(headers: Any, body: Any, secret: Any = SECRET) -> Delivery:
    return webhooks.google_drive(headers, body, token=secret)


def github(headers: Any, body: Any, secret: Any = SECRET) -> Delivery:
    return webhooks.github(headers, body, secret=secret)


def from_stripe(headers: Any, body: Any, secret: Any = SECRET) -> Delivery:
    return webhooks.stripe(headers, body, secret=secret, now=NOW)


Case = tuple[str, "Callable[..., Delivery]", "Callable[..., dict[str, str]]"]
CASES: list[Case] = [
    ("slack_event", slack, signed_by_slack),
    ("trello_action", trello, signed_by_trello),
    ("google_drive_update", drive, with_the_token),
    ("github_issues", github, signed_by_github),
    ("stripe_event", from_stripe, signed_by_stripe),
]
OVER_THE_BODY = [case for case in CASES if case[0] != "google_drive_update"]
every_vendor = pytest.mark.parametrize(("name", "read", "sign"), CASES, ids=[case[0] for case in CASES])
every_signature = pytest.mark.parametrize(
    ("name", "read", "sign"), OVER_THE_BODY, ids=[case[0] for case in OVER_THE_BODY]
)

# ---------------------------------------------------------------- what the documentation works out


def test_the_example_of_githubs_documentation_is_verified() -> None:
    headers = {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": "1",
        "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    }
    # The documented text is no JSON, which is found only after the signature was found to be right.
    with pytest.raises(InvalidDeliveryError, match="the body is no JSON") as caught:
        webhooks.github(headers, "Hello, World!", secret="It's a Secret to Everybody")
    assert not isinstance(caught.value, InvalidSignatureError)
    with pytest.raises(InvalidSignatureError):
        webhooks.github(headers, "Hello, World?", secret="It's a Secret to Everybody")


def test_the_example_of_slacks_documentation_is_verified() -> None:
    given = documented("slack_slash_command")
    secret = "8f742231b10e8888abcd99yyyzzz85a5"  # noqa: S105 - it is printed there
    then = datetime.fromtimestamp(1531420618, UTC)
    # A slash command is signed like an event and is none: found only after the signature was found to be right.
    with pytest.raises(InvalidDeliveryError, match="is empty") as caught:
        webhooks.slack(given.headers, given.body, secret=secret, now=then)
    assert not isinstance(caught.value, InvalidSignatureError)
    with pytest.raises(InvalidSignatureError, match="X-Slack-Signature"):
        webhooks.slack(given.headers, given.body + b"&", secret=secret, now=then)


# ---------------------------------------------------------------- every vendor


@every_vendor
def test_what_the_vendor_signed_is_verified(name: str, read: Any, sign: Any) -> None:
    given = documented(name)
    delivery = read(given.headers | sign(given.body), given.body)
    assert delivery.verified


@every_vendor
def test_another_secret_is_refused_and_no_secret_is_shown(name: str, read: Any, sign: Any) -> None:
    given = documented(name)
    headers = given.headers | sign(given.body, "another secret")
    with pytest.raises(InvalidSignatureError, match="is not what this secret and this body give") as caught:
        read(headers, given.body)
    right = sign(given.body)
    assert not any(text in str(caught.value) for text in (SECRET, "another secret", *right.values()) if len(text) > 10)


@every_signature
def test_a_body_that_was_changed_on_the_way_is_refused(name: str, read: Any, sign: Any) -> None:
    given = documented(name)
    headers = given.headers | sign(given.body)
    for body in (given.body + b" ", given.body.replace(b"1", b"2"), b""):
        with pytest.raises(InvalidSignatureError):
            read(headers, body)


@every_vendor
def test_an_unsigned_delivery_is_refused_where_a_secret_is_given(name: str, read: Any, sign: Any) -> None:
    given = documented(name)
    for missing in sign(given.body):
        headers = {each: value for each, value in (given.headers | sign(given.body)).items() if each != missing}
        with pytest.raises(InvalidSignatureError, match=rf"{missing} is missing: .+"):
            read(headers, given.body)


@every_vendor
def test_either_of_two_secrets_is_right_while_one_replaces_the_other(name: str, read: Any, sign: Any) -> None:
    given = documented(name)
    for secret in ("the old one", "the new one"):
        headers = given.headers | sign(given.body, secret)
        assert read(headers, given.body, ["the old one", b"the new one"]).verified


@every_vendor
@pytest.mark.parametrize("secret", [None, "", b"", [], [""], ["right", ""], [None]])
def test_a_secret_that_is_empty_or_none_is_no_secret(name: str, read: Any, sign: Any, secret: Any) -> None:
    given = documented(name)
    with pytest.raises(ConfigurationError, match=r"(secret|token) is empty or none"):
        read(given.headers | sign(given.body), given.body, secret)


@every_signature
def test_a_body_that_was_parsed_before_can_t_be_verified(name: str, read: Any, sign: Any) -> None:
    given = documented(name)
    with pytest.raises(ConfigurationError, match="give the raw body"):
        read(given.headers | sign(given.body), json.loads(given.body))


@every_vendor
def test_a_signature_with_letters_beyond_ascii_is_only_wrong(name: str, read: Any, sign: Any) -> None:
    given = documented(name)
    headers = given.headers | sign(given.body)
    last = list(sign(given.body))[-1]
    for odd in ("ü", "\udc80", "=", ","):
        with pytest.raises(InvalidSignatureError):
            read(headers | {last: odd}, given.body)


# ---------------------------------------------------------------- what was signed long ago


@pytest.mark.parametrize(("name", "read", "sign"), [CASES[0], CASES[4]], ids=["slack", "stripe"])
@pytest.mark.parametrize("age", [301, 86_400, -301])
def test_what_was_signed_long_ago_or_will_be_is_refused(name: str, read: Any, sign: Any, age: int) -> None:
    given = documented(name)
    with pytest.raises(InvalidSignatureError, match=r"says that it was signed (in )?[0-9]+ s.*tolerance='5m'"):
        read(given.headers | sign(given.body, age=age), given.body)


@pytest.mark.parametrize(("name", "read", "sign"), [CASES[0], CASES[4]], ids=["slack", "stripe"])
def test_what_was_signed_of_late_is_taken(name: str, read: Any, sign: Any) -> None:
    given = documented(name)
    for age in (300, 0, -300):
        assert read(given.headers | sign(given.body, age=age), given.body).verified


def test_a_tolerance_of_the_user_counts() -> None:
    given = documented("slack_event")
    headers = given.headers | signed_by_slack(given.body, age=3600)
    assert webhooks.slack(headers, given.body, secret=SECRET, tolerance=timedelta(hours=1), now=NOW).verified
    with pytest.raises(InvalidSignatureError, match="3600 s ago"):
        webhooks.slack(headers, given.body, secret=SECRET, tolerance="59m", now=NOW)


def test_without_a_given_time_the_hosts_clock_counts() -> None:
    given = documented("slack_event")
    with pytest.raises(InvalidSignatureError, match="set this host's clock"):
        webhooks.slack(given.headers | signed_by_slack(given.body), given.body, secret=SECRET)


def test_a_time_without_a_zone_is_refused() -> None:
    given = documented("slack_event")
    with pytest.raises(ConfigurationError, match="no time zone"):
        webhooks.slack(
            given.headers | signed_by_slack(given.body),
            given.body,
            secret=SECRET,
            now=datetime(2026, 3, 1),  # noqa: DTZ001 - that it has none is the point
        )


# ---------------------------------------------------------------- peculiarities


def test_trello_signs_its_callback_url_too() -> None:
    given = documented("trello_action")
    headers = given.headers | signed_by_trello(given.body)
    with pytest.raises(ConfigurationError, match=r"callback_url=None: Trello signs it too"):
        webhooks.trello(headers, given.body, secret=SECRET)
    with pytest.raises(InvalidSignatureError):
        webhooks.trello(headers, given.body, secret=SECRET, callback_url=CALLBACK + "/")


@pytest.mark.parametrize("times", ["", "t=1,t=2,"])
def test_a_signature_of_stripe_has_one_time(times: str) -> None:
    given = documented("stripe_event")
    with pytest.raises(InvalidSignatureError, match=r"times .* and not one"):
        from_stripe(given.headers | {"Stripe-Signature": f"{times}v1=00"}, given.body)


def test_one_right_signature_of_several_is_enough_for_stripe() -> None:
    given = documented("stripe_event")
    headers = signed_by_stripe(given.body)
    twice = {"Stripe-Signature": headers["Stripe-Signature"].replace("v1=", "v1=00,v1=")}
    assert from_stripe(given.headers | twice, given.body).verified


def test_stripes_scheme_for_tests_is_not_taken_for_the_real_one() -> None:
    given = documented("stripe_event")
    headers = {"Stripe-Signature": signed_by_stripe(given.body)["Stripe-Signature"].replace("v1=", "v2=")}
    with pytest.raises(InvalidSignatureError):
        from_stripe(given.headers | headers, given.body)


def test_stripes_own_library_agrees() -> None:
    given = documented("stripe_event")
    now = datetime.now(UTC)
    signature = stripe.WebhookSignature._compute_signature(f"{int(now.timestamp())}.{given.body.decode()}", SECRET)
    header = f"t={int(now.timestamp())},v1={signature}"
    event = stripe.Webhook.construct_event(given.body, header, SECRET)
    delivery = webhooks.stripe({"stripe-signature": header}, given.body, secret=SECRET)
    assert (delivery.signal_id, delivery.event) == (event.id, event.type)


def test_an_older_signature_of_github_is_not_enough() -> None:
    given = documented("github_issues")
    weak = {"X-Hub-Signature": "sha1=" + hmac.new(SECRET.encode(), given.body, hashlib.sha1).hexdigest()}
    with pytest.raises(InvalidSignatureError, match=r"X-Hub-Signature-256 is missing: .*the webhook has a secret"):
        github(given.headers | weak, given.body)


@pytest.mark.parametrize("stamp", ["\udc80", "ü", "now", "-1", "9" * 5000])
def test_a_time_that_is_none_is_only_wrong(stamp: str) -> None:
    slacks, stripes = documented("slack_event"), documented("stripe_event")
    headers = signed_by_slack(slacks.body) | {"X-Slack-Request-Timestamp": stamp}
    with pytest.raises(InvalidSignatureError):
        slack(slacks.headers | headers, slacks.body)
    header = signed_by_stripe(stripes.body)["Stripe-Signature"].split(",", 1)[1]
    with pytest.raises(InvalidSignatureError):
        from_stripe(stripes.headers | {"Stripe-Signature": f"t={stamp},{header}"}, stripes.body)
