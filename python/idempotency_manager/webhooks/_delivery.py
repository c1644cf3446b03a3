"""What a delivery comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Mapping


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of a webhook.

    Attributes:
        vendor: Whose it is: "slack", "trello", "google_drive", "github" or "stripe".
        signal_id: What names the event, the same for each delivery of it.
        event: What happened, in the vendor's own word, such as "app_mention" or "updateCard".
        payload: The body as it was parsed; empty where there is none.
        verified: Whether a secret was given, and the delivery proved to be made with it.
        handshake: Whether it only proves that this endpoint is there, and nothing happened: Slack's `url_verification`,
            Google's `sync`, GitHub's `ping`.
        challenge: What Slack wants to hear back in a handshake.
        retry: How many deliveries of this event have failed before it; None where the vendor does not say.
        retry_reason: Why the last of them failed, as Slack says it: "http_timeout", "http_error", ….
    """

    vendor: str
    signal_id: str
    event: str
    payload: Mapping[str, Any] = field(repr=False)
    verified: bool
    handshake: bool = False
    challenge: str | None = field(default=None, repr=False)
    retry: int | None = None
    retry_reason: str | None = None
