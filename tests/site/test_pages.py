"""Every page can be found from the index, and every block of Python on a page is run by some test."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.site.story import ROOT, blocks

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TUTORIALS = DOCS / "tutorials"
# What the fenced blocks of the pages are. Python is run by conftest.py, or, in a tutorial, saved and run with the
# sessions; sessions with the command are run by tests/cli. The others only show: `sh` has installations.
LANGUAGES = {"alloy", "bash", "console", "diff", "html", "http", "ini", "javascript", "json", "promql", "python", "sh"}
LANGUAGES |= {"sql", "text", "toml", "yaml"}


def linked(page: Path) -> set[Path]:
    """The files of the project that a page links to."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {(page.parent / link).resolve() for link in re.findall(r"\]\((?!\w+:|#)([^)#]+)", prose)}


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "README.md"
    assert [str(page) for page in PAGES if page != index and page not in linked(index)] == []


def test_the_readme_leads_to_the_index_and_the_tutorials() -> None:
    assert {DOCS / "README.md", *TUTORIALS.glob("*.md")} <= linked(ROOT / "README.md")


def test_every_block_says_what_it_is() -> None:
    kinds = {page.name: {block.kind for block in blocks(page)} - LANGUAGES for page in [ROOT / "README.md", *PAGES]}
    assert {name: odd for name, odd in kinds.items() if odd} == {}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_no_fence_is_left_open_or_out_of_sight(page: Path) -> None:
    # Whoever looks for blocks finds those that begin in the first column with three backquotes: there are no others.
    fences = re.findall(r"^[ >]*(?:```|~~~).*$", page.read_text(), re.MULTILINE)
    found = [block.kind for block in blocks(page)]
    assert len(fences) == 2 * len(found)
    assert Counter(re.findall(r"^```(\w+)", "\n".join(fences), re.MULTILINE)) == Counter(filter(None, found))


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_a_block_that_is_not_run_has_a_reason(page: Path) -> None:
    skips = re.findall(r"<!---? *skip:(.*?)-->", page.read_text())
    assert [skip for skip in skips if 'reason="' not in skip] == []


def test_every_block_of_python_is_run(request: pytest.FixtureRequest) -> None:
    for page in [ROOT / "README.md", *PAGES]:
        kept, shown = [], [block for block in blocks(page) if block.kind == "python"]
        for block in shown:
            (kept if block.file else []).append(block)
        assert not kept or page.parent == TUTORIALS, f"{page.name} has a file that nobody saves"
        if len(kept) < len(shown):
            assert _run_by_sybil(request, page) == len(shown) - len(kept), page.name


def _run_by_sybil(request: pytest.FixtureRequest, page: Path) -> int:
    """How many examples pytest finds on a page."""
    collector = request.config.hook.pytest_collect_file(file_path=page, parent=request.session)
    return sum(1 for each in collector for _ in each.collect())
