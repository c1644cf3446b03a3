"""What goes wrong in the demonstration: invoice by invoice, the same in both runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from examples.invoices import Invoice
from examples.ledger_service import Fault

WRITES = ("trello.create", "slack.post", "drive.upload", "sheets.append")


@dataclass(frozen=True, slots=True)
class Case:
    """One invoice and what happens to it.

    Attributes:
        invoice: The invoice that is overdue.
        story: What happens, in the words of the printed table.
        faults: What goes wrong at each endpoint, in the order of its requests about this invoice.
        copies: How many deliveries of the webhook arrive at once.
        again: Whether the webhook arrives once more, after everything else is done.
        fatal: Whether it arrives after everything else is done, and its first delivery is the end of the process.
    """

    invoice: Invoice
    story: str
    faults: Mapping[str, Sequence[Fault]] = field(default_factory=dict)
    copies: int = 1
    again: bool = False
    fatal: bool = False

    @property
    def planned_duplicates(self) -> int:
        """How many effects too many this case makes where nothing prevents them.

        Each delivery goes on until it has an answer, so it leaves one effect at each endpoint, and one more for each
        request that did the work without an answer.
        """
        lost_answers = sum(fault.does_the_work for name in WRITES for fault in self.faults.get(name, ()))
        return (self.copies - 1 + self.again) * len(WRITES) + lost_answers


def _everywhere(*faults: Fault) -> dict[str, Sequence[Fault]]:
    return dict.fromkeys(WRITES, faults)


def _invoice(number: int, customer: str, amount: str) -> Invoice:
    return Invoice(f"INV-{number:03}", customer, Decimal(amount), date(2026, 10, number))


CASES = (
    Case(_invoice(1, "Aurora Ltd", "120.00"), "nothing goes wrong"),
    Case(_invoice(2, "Borealis SA", "75.50"), "webhook delivered twice at once", copies=2),
    Case(_invoice(3, "Cirrus GmbH", "310.00"), "work done, connection closed", _everywhere(Fault.DROPPED_AFTER)),
    Case(_invoice(4, "Delta BV", "42.00"), "503, nothing done", _everywhere(Fault.UNAVAILABLE)),
    Case(_invoice(5, "Eos AB", "990.00"), "work done, answer too late", _everywhere(Fault.LATE)),
    Case(_invoice(6, "Fjord AS", "18.25"), "connection closed, nothing done", _everywhere(Fault.DROPPED_BEFORE)),
    Case(
        _invoice(7, "Glacier Inc", "640.00"),
        "503, then work done, connection closed",
        _everywhere(Fault.UNAVAILABLE, Fault.DROPPED_AFTER),
    ),
    Case(
        _invoice(8, "Halo Oy", "205.00"),
        "twice at once, first answers lost",
        _everywhere(Fault.DROPPED_AFTER),
        copies=2,
    ),
    Case(_invoice(9, "Iris SpA", "57.80"), "webhook delivered once more, later", again=True),
    Case(
        _invoice(10, "Juniper KK", "133.70"),
        "two answers lost, then the search fails",
        {
            **_everywhere(Fault.DROPPED_BEFORE, Fault.DROPPED_AFTER),
            "drive.list": [Fault.UNAVAILABLE, Fault.DROPPED_BEFORE],
        },
    ),
    Case(
        _invoice(11, "Krill Ltd", "88.00"),
        "killed after the card, started again",
        {"trello.create": [Fault.FATAL]},
        fatal=True,
    ),
)


def plan_of(cases: Sequence[Case]) -> dict[tuple[str, str], Sequence[Fault]]:
    """Return the faults of all cases, as a `Plan` takes them."""
    return {(name, case.invoice.id): faults for case in cases for name, faults in case.faults.items()}
