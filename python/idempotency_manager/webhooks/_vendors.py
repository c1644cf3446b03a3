"""The vendors: where each documents that the name of an event stands, and how it signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idempotency_manager.exceptions import ConfigurationError, InvalidSignatureError

from ._delivery import Delivery
from ._request import Body, Headers, Request
from ._signature import UNVERIFIED, Secret, Unverified, agree, keys, recent, sha1_base64, sha256_hex, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from idempotency_manager._duration import Duration

_STRIPE_EVENTS = ("event", "v2.core.event")
_FIVE_MINUTES = "5m"  # what Slack and Stripe both advise


def slack(
    headers: Headers,
    body: Body,
    *,
    secret: Secret | Unverified = UNVERIFIED,
    tolerance: Duration = _FIVE_MINUTES,
    now: datetime | None = None,
) -> Delivery:
    """Read a delivery of Slack's Events API: its `event_id`.

    Slack sends an event up to four times: at first, and up to three times more if it gets no 2xx within three seconds.

    Args:
        headers: The request's, as the framework gives them.
        body: The request's, as it arrived.
        secret: The app's signing secret.
        tolerance: How old a signature may be.
        now: What the time is; for tests.

    Raises:
        InvalidSignatureError: A secret was given, and this was not made with it, or not of late.
        InvalidDeliveryError: This is no delivery of the Events API, such as a slash command or an interaction.
    """
    request = Request("slack", headers, body)
    if not isinstance(secret, Unverified):
        ours = keys(secret, "secret")
        stamp = shown(request, "X-Slack-Request-Timestamp", "Slack signs each request; a proxy may have dropped it")
        signature = shown(request, "X-Slack-Signature", "Slack signs each request; a proxy may have dropped it")
        message = b"v0:" + stamp.encode(errors="replace") + b":" + request.raw_body()
        expected = ["v0=" + sha256_hex(key, message) for key in ours]
        agree(request, "X-Slack-Signature", [signature], expected)
        recent(request, "X-Slack-Request-Timestamp", stamp, tolerance, now)
    payload = request.payload()
    retries = request.header("X-Slack-Retry-Num")
    kind = request.text(payload, "type", "the Events API sends it with each event")
    challenge = None
    if kind == "url_verification":
        challenge = request.text(payload, "challenge", "Slack sends it when the URL is entered")
    return Delivery(
        vendor="slack",
        signal_id=_slack_event(request, payload, kind),
        event=request.text(payload, "event.type", "an event has one") if kind == "event_callback" else kind,
        payload=payload,
        verified=not isinstance(secret, Unverified),
        handshake=challenge is not None,
        challenge=challenge,
        retry=request.number("X-Slack-Retry-Num", retries) if retries else 0,
        retry_reason=request.header("X-Slack-Retry-Reason"),
    )


def _slack_event(request: Request, payload: Mapping[str, Any], kind: str) -> str:
    if kind == "url_verification":
        return f"url_verification.{request.text(payload, 'challenge', 'Slack sends it when the URL is entered')}"
    if kind == "app_rate_limited":  # one for each minute in which a workspace has too many events
        minute = payload.get("minute_rate_limited")
        if not isinstance(minute, int):
            raise request.refuse(
                "minute_rate_limited", "is no whole number: Slack sends the minute as seconds since 1970"
            )
        names = [request.text(payload, name, "Slack sends it with each event") for name in ("api_app_id", "team_id")]
        return ".".join([kind, *names, str(minute)])
    return request.text(
        payload,
        "event_id",
        f"only the Events API sends it, and this is {kind!r}; for a slash command or an interaction, which Slack sends "
        "once, take its trigger_id",
    )


def trello(
    headers: Headers,
    body: Body,
    *,
    secret: Secret | Unverified = UNVERIFIED,
    callback_url: str | None = None,
) -> Delivery:
    """Read a delivery of a Trello webhook: the id of the action that it tells of.

    Every webhook that sees an action tells of it by the same id, that of a board and that of a card in it, too.

    Args:
        headers: The request's, as the framework gives them.
        body: The request's, as it arrived. Trello looks for an endpoint by a HEAD, which has none: answer 200.
        secret: The secret of the application whose key made the webhook.
        callback_url: The URL that the webhook was made with, to the letter: it is signed too.

    Raises:
        InvalidSignatureError: A secret was given, and this was not made with it and that URL.
        InvalidDeliveryError: This is no delivery of a Trello webhook.
        ConfigurationError: `secret` was given without `callback_url`.
    """
    request = Request("trello", headers, body)
    if not isinstance(secret, Unverified):
        ours = keys(secret, "secret")
        if not callback_url:
            raise ConfigurationError(
                f"callback_url={callback_url!r}: Trello signs it too; give the URL that the webhook was made with"
            )
        signature = shown(request, "X-Trello-Webhook", "Trello signs each request; a proxy may have dropped it")
        message = request.raw_body() + callback_url.encode()
        agree(request, "X-Trello-Webhook", [signature], [sha1_base64(key, message) for key in ours])
    payload = request.payload()
    return Delivery(
        vendor="trello",
        signal_id=request.text(payload, "action.id", "each delivery tells of an action; give the whole body"),
        event=request.text(payload, "action.type", "each action has one; give the whole body"),
        payload=payload,
        verified=not isinstance(secret, Unverified),
    )


def google_drive(headers: Headers, body: Body = b"", *, token: Secret | Unverified = UNVERIFIED) -> Delivery:
    """Read a push notification of Google Drive: its channel and the number of its message there.

    The first message of a channel has the number 1 and the state `sync`: a handshake, nothing has changed.

    Args:
        headers: The request's, as the framework gives them: all that a notification says is there.
        body: The request's; empty for files, JSON for changes.
        token: The token that the channel was made with. Google signs nothing else.

    Raises:
        InvalidSignatureError: A token was given, and the channel has another one or none.
        InvalidDeliveryError: This is no push notification.
    """
    request = Request("google_drive", headers, body)
    if not isinstance(token, Unverified):
        ours = [key.decode("latin-1") for key in keys(token, "token")]  # as a header's text is
        given = shown(request, "X-Goog-Channel-Token", "make the channel with a token: files.watch(body={'token': …})")
        agree(request, "X-Goog-Channel-Token", [given], ours)
    sent = "Google sends it with each notification; a proxy may have dropped it"
    channel = request.needed_header("X-Goog-Channel-ID", sent)
    number = request.number("X-Goog-Message-Number", request.needed_header("X-Goog-Message-Number", sent))
    state = request.needed_header("X-Goog-Resource-State", sent)
    return Delivery(
        vendor="google_drive",
        signal_id=f"{channel}.{number}",  # no channel's id ends in a dot and a number that is not its own
        event=state,
        payload=request.payload() if body else {},
        verified=not isinstance(token, Unverified),
        handshake=state == "sync",
    )


def github(headers: Headers, body: Body = b"", *, secret: Secret | Unverified = UNVERIFIED) -> Delivery:
    """Read a delivery of a GitHub webhook: its `X-GitHub-Delivery`, which a redelivery keeps.

    GitHub sends nothing again by itself; a person or a program asks for a redelivery.

    Args:
        headers: The request's, as the framework gives them.
        body: The request's, as it arrived: JSON, or a form with the JSON in `payload`. Not needed without a secret.
        secret: The webhook's secret.

    Raises:
        InvalidSignatureError: A secret was given, and this was not made with it.
        InvalidDeliveryError: This is no delivery of a GitHub webhook.
    """
    request = Request("github", headers, body)
    if not isinstance(secret, Unverified):
        ours = keys(secret, "secret")
        signature = shown(
            request, "X-Hub-Signature-256", "GitHub signs only where the webhook has a secret: set it in its settings"
        )
        message = request.raw_body()
        expected = ["sha256=" + sha256_hex(key, message) for key in ours]
        agree(request, "X-Hub-Signature-256", [signature], expected)
    sent = "GitHub sends it with each delivery; a proxy may have dropped it"
    event = request.needed_header("X-GitHub-Event", sent)
    return Delivery(
        vendor="github",
        signal_id=request.needed_header("X-GitHub-Delivery", sent),
        event=event,
        payload=request.payload() if body else {},
        verified=not isinstance(secret, Unverified),
        handshake=event == "ping",
    )


def stripe(
    headers: Headers,
    body: Body,
    *,
    secret: Secret | Unverified = UNVERIFIED,
    tolerance: Duration = _FIVE_MINUTES,
    now: datetime | None = None,
) -> Delivery:
    """Read a delivery of a Stripe webhook: the event's `id`, of a snapshot and of a thin event.

    Stripe sends an event again for up to three days, each time with a signature of that moment.

    Args:
        headers: The request's, as the framework gives them.
        body: The request's, as it arrived.
        secret: The endpoint's secret, `whsec_…`.
        tolerance: How old a signature may be.
        now: What the time is; for tests.

    Raises:
        InvalidSignatureError: A secret was given, and this was not made with it, or not of late.
        InvalidDeliveryError: This is no delivery of a Stripe webhook.
    """
    request = Request("stripe", headers, body)
    if not isinstance(secret, Unverified):
        _verify_stripe(request, secret, tolerance, now)
    payload = request.payload()
    if payload.get("object") not in _STRIPE_EVENTS:
        raise request.refuse(
            "object", "is no event: give the whole body, not its data, nor an object from Stripe's API"
        )
    return Delivery(
        vendor="stripe",
        signal_id=request.text(payload, "id", "each event has one, evt_…; give the whole event"),
        event=request.text(payload, "type", "each event has one; give the whole event"),
        payload=payload,
        verified=not isinstance(secret, Unverified),
    )


def _verify_stripe(request: Request, secret: Secret, tolerance: Duration, now: datetime | None) -> None:
    name, ours = "Stripe-Signature", keys(secret, "secret")
    parts = [
        part.strip().partition("=")
        for part in shown(request, name, "Stripe signs each request; a proxy may have dropped it").split(",")
    ]
    stamps = [value for scheme, _, value in parts if scheme == "t"]
    if len(stamps) != 1:
        raise InvalidSignatureError(request.vendor, name, f"has {len(stamps)} times (t=) and not one: Stripe sends one")
    message = stamps[0].encode(errors="replace") + b"." + request.raw_body()
    signatures = [value for scheme, _, value in parts if scheme == "v1"]
    agree(request, name, signatures, [sha256_hex(key, message) for key in ours])
    recent(request, name, stamps[0], tolerance, now)
