"""One loopback HTTP service that plays Trello, Slack, Drive and Sheets, and keeps count.

It answers the real paths with the real shapes, so the vendors' own clients talk to it. It writes down every effect
that really happened, and it misbehaves on purpose, by a fixed plan: the same plan gives the same run.

    faults      what can go wrong with a request, and the plan of when it does
    ledger      every effect that really happened
    routing     a request, a response, and which function answers which path
    trello, slack, drive, sheets    the endpoints of each
    app         the server: reads a request, asks the plan, calls the endpoint
    webhooks    the sender of "invoice overdue": at least once, sometimes twice at once
"""

from examples.ledger_service.app import LedgerService
from examples.ledger_service.faults import Fault, Plan
from examples.ledger_service.ledger import Effect, Ledger

__all__ = ["Effect", "Fault", "Ledger", "LedgerService", "Plan"]
