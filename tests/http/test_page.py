"""docs/http.md agrees with the package."""

from __future__ import annotations

import re
from pathlib import Path

from idempotency_manager.middleware._policy import DEFAULTS, is_kept
from idempotency_manager.middleware._problems import Code

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


def test_the_page_lists_every_option_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", PAGE.partition("## All options")[2], re.MULTILINE))
    assert {name: eval(shown) for name, shown in listed.items()} == DEFAULTS  # noqa: S307 - our own page


def test_the_page_lists_every_problem_with_its_status() -> None:
    listed = re.findall(r"(\d{3}) `([a-z-]+)`", PAGE.partition("## What a client gets")[2].partition("\n\n")[2])
    assert {(name, int(status)) for status, name in listed} == {code.value[:2] for code in Code}


def test_the_page_names_the_statuses_that_are_not_kept() -> None:
    named = {int(status) for status in re.findall(r"\b4\d\d\b", PAGE.partition("Nor are ")[2].partition(", which")[0])}
    assert named == {status for status in range(100, 500) if not is_kept(status)}
    assert not any(is_kept(status) for status in range(500, 600))
