"""Which event a webhook's delivery is about: its signal id, the same in each delivery, as its vendor documents it.

    delivery = webhooks.slack(request.headers, await request.body(), secret=SIGNING_SECRET)
    with signal(delivery.signal_id):
        create_card(…)

Each function is pure: headers and body in, a `Delivery` out. It takes the headers as any framework gives them and the
body as it arrived; with a secret it also makes sure that the vendor sent both.
"""

from __future__ import annotations

from idempotency_manager.exceptions import InvalidDeliveryError, InvalidSignatureError

from ._delivery import Delivery
from ._request import Body, Headers
from ._signature import Secret
from ._vendors import github, google_drive, slack, stripe, trello

__all__ = [
    "Body",
    "Delivery",
    "Headers",
    "InvalidDeliveryError",
    "InvalidSignatureError",
    "Secret",
    "github",
    "google_drive",
    "slack",
    "stripe",
    "trello",
]
