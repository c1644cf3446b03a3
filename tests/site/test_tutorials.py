"""Every tutorial is done as its reader does it: files saved, lines typed, what they print compared with the page."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.site.story import END, ROOT, blocks, script

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


def test_there_is_a_tutorial_for_each_situation() -> None:
    assert [page.stem for page in TUTORIALS] == ["script", "tests", "webhook", "worker"]


@pytest.mark.timeout(180)  # a score of interpreters, on a machine that may be busy
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_goes_as_it_is_told(page: Path, tmp_path: Path) -> None:
    program, steps = script(page)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("IDEMPOTENCY_")}
    theirs = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # a reader has pytest alone, and the package's plugin
        "PYTEST_ADDOPTS": "-p idempotency_manager.pytest_plugin",
    }
    ran = subprocess.run(
        ["/bin/sh", "-c", program],
        cwd=tmp_path,
        env={**clean, **theirs},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    for step, printed in zip(steps, ran.stdout.split(END), strict=False):
        assert step.agrees(printed), f"$ {step.typed}{printed}"
    assert ran.stdout.count(END) == len(steps)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_begins_with_the_installation_of_what_there_is(page: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first, *others = blocks(page)
    assert re.match(r"pip install '?idempotency-manager\b", first.body)
    for block in [first, *(block for block in others if block.kind == "sh")]:
        assert all(line.startswith("pip install ") for line in block.body.splitlines()), block.body
        extras = re.findall(r"\[([\w,]+)\]", block.body)
        assert {extra for named in extras for extra in named.split(",")} <= set(project["optional-dependencies"])


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_program_of_a_tutorial_is_run(page: Path) -> None:
    shown = blocks(page)
    files = {block.file for block in shown if block.file}
    ran = "".join(step.typed for step in script(page)[1])
    code = "".join(block.body for block in shown if block.file)
    for file in files:
        is_imported = re.search(rf"^(from|import) {file.removesuffix('.py')}\b", code, re.MULTILINE)
        is_for_pytest = "pytest" in ran and re.fullmatch(r"test_\w+\.py|conftest\.py", file)
        assert file in ran or is_imported or is_for_pytest, file
    assert any(block.kind == "console" for block in shown)
