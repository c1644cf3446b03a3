"""The sessions with the command that pages show are run: … stands for any text in what a `$` line prints."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Commands

ROOT = Path(__file__).parents[2]
OURS = re.compile(r"^\$ idempotency ", re.MULTILINE)
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if OURS.search(page.read_text())]
END = "\x1e"


def sessions(page: Path) -> list[tuple[str, str]]:
    """The commands of a page, each with what it shows."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    found = [part.partition("\n") for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, shown) for command, _, shown in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_sessions_of_a_page_go_as_they_are_shown(page: Path, idempotency: Commands, tmp_path: Path) -> None:
    asked = sessions(page)
    assert asked
    script = "".join(f"{command}\nprintf '{END}'\n" for command, _ in asked)
    search = f"{idempotency.script.parent}{os.pathsep}{os.environ['PATH']}"
    clean = {name: value for name, value in idempotency.environ.items() if name != "IDEMPOTENCY_STORE"}
    ran = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=tmp_path,
        env={**clean, "PATH": search},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    for (command, shown), printed in zip(asked, ran.stdout.split(END)[:-1], strict=True):
        expected = ".*".join(map(re.escape, shown.split("…")))
        assert re.fullmatch(expected, printed), f"$ {command}\n{printed}"


def test_the_page_on_the_command_line_has_sessions() -> None:
    assert ROOT / "docs" / "cli.md" in PAGES
