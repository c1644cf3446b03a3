"""The same without pytest's fixtures."""

from __future__ import annotations

import unittest

from subscriptions import confirm

from idempotency_manager import testing


class Receipts(unittest.TestCase):
    """Receipts of a customer."""

    def setUp(self) -> None:
        """Begin with a fresh manager."""
        self.idempotency = self.enterContext(testing.idempotency())

    def test_a_receipt_is_sent_once(self) -> None:
        """The second is a replay."""
        confirm("evt_1", "ada", "pay-1")
        confirm("evt_1", "ada", "pay-1")
        self.assertEqual(self.idempotency.assert_executed_once(confirm).replays, 1)
