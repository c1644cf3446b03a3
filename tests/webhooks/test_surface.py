"""What the module offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

from idempotency_manager import webhooks


def test_all_names_everything_public_and_nothing_else() -> None:
    public = {
        name
        for name, value in vars(webhooks).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert public == set(webhooks.__all__)


def test_every_function_says_what_it_takes_and_raises() -> None:
    for name in ("slack", "trello", "google_drive", "github", "stripe"):
        text = getattr(webhooks, name).__doc__ or ""
        assert all(part in text for part in ("Args:", "headers:", "body:", "Raises:", "InvalidDeliveryError:"))


def test_it_is_imported_by_those_who_ask_for_it_and_brings_no_package_of_a_vendor() -> None:
    program = (
        "import sys, idempotency_manager; before = 'idempotency_manager.webhooks' in sys.modules\n"
        "import idempotency_manager.webhooks\n"
        "print(before, sorted({'slack_sdk', 'stripe', 'fastapi', 'redis', 'celery'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "[]"]
