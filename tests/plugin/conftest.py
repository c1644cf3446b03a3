"""What the tests here share: what they are about, the stores that it may be on, and suites that pytest runs."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import testing
from tests.plugin.helpers import cards

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
INI = """
[pytest]
filterwarnings = error
addopts = -p no:cacheprovider -p no:hypothesispytest -p no:sybil
asyncio_default_fixture_loop_scope = function
"""
HELPERS = """
from idempotency_manager import idempotent

cards = []


@idempotent(target="trello")
def create_card(signal_id: str) -> str:
    cards.append(signal_id)
    return f"card-{len(cards)}"


@idempotent(target="trello")
async def acreate_card(signal_id: str) -> str:
    cards.append(signal_id)
    return f"card-{len(cards)}"
"""


@pytest.fixture(autouse=True)
def _no_cards() -> None:
    cards.clear()


@pytest.fixture
def idempotency() -> Iterator[testing.Idempotency]:
    """What the plugin gives."""
    with testing.idempotency() as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite", "redis", "postgresql"])
def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[testing.Idempotency]:
    """The same on each store."""
    urls: dict[str, Any] = {
        "memory": lambda: None,
        "sqlite": lambda: f"sqlite:///{tmp_path}/records.db",
        "redis": lambda: request.getfixturevalue("redis_url"),
        "postgresql": lambda: request.getfixturevalue("postgres_url"),
    }
    with testing.idempotency(urls[request.param]()) as opened:
        yield opened


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A folder for a user's suite, where the package counts as installed with the entry points of this checkout."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    package = ROOT / "python" / "idempotency_manager"
    files = [str(file.relative_to(package.parent)) for file in sorted(package.rglob("*.py"))]
    about = pytester.mkdir("installed").joinpath("idempotency_manager-0.dist-info")
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: idempotency-manager\nVersion: 0\n")
    (about / "entry_points.txt").write_text("\n".join(["[pytest11]", *(f"{name} = {points[name]}" for name in points)]))
    (about / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    path = [str(about.parent), str(package.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    return Suite(pytester)


class Suite:
    """A suite that a user might have."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.folder = pytester.path
        self._pytester = pytester
        pytester.makeini(INI)
        pytester.makepyfile(helpers=HELPERS)

    def add(self, **files: str) -> None:
        """Add modules."""
        self._pytester.makepyfile(**files)

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run it in a process of its own."""
        return self._pytester.runpytest_subprocess(*arguments)
