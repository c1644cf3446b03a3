"""Pages have examples that run, links that lead somewhere, and tables that agree with the package.

The examples run by way of conftest.py, which only defines the tests that a page shows; those are run here.
"""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import idempotency_manager
from idempotency_manager import ConfigurationError, Event, IdempotencyConfig
from idempotency_manager._duration import parse_duration
from idempotency_manager._environment import config_from_environment
from idempotency_manager._place import place
from idempotency_manager._store_url import StoreUrl

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """What a link to a heading of this page may end with."""
    headings = re.findall(r"^#+ +(.+?) *$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_has_examples_that_run() -> None:
    assert re.search(r"^```python$", (ROOT / "README.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", prose):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def blocks(page: Path) -> list[str]:
    """The Python of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def table(page: Path, header: str) -> dict[str, str]:
    """The first two columns of the table with this header, of the rows whose first is code."""
    body = page.read_text().partition(header)[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ?(.*?) ?\|", body, re.MULTILINE))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "\ndef test_" in "".join(blocks(page))], ids=lambda page: page.name
)
def test_the_tests_that_a_page_shows_pass(page: Path, tmp_path: Path) -> None:
    shown = "\n".join(block for block in blocks(page) if page.stem == "testing" or "def test_" in block)
    (tmp_path / "test_page.py").write_text(shown)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert f"{shown.count('def test_')} passed" in ran.stdout


def test_the_readme_lists_every_setting_with_its_default() -> None:
    defaults = IdempotencyConfig()
    listed = table(ROOT / "README.md", "| setting | default | meaning |")
    assert list(listed) == list(inspect.get_annotations(IdempotencyConfig))
    for name, shown in listed.items():
        default = getattr(defaults, name)
        text = shown.strip("`")
        given = parse_duration(text) if re.fullmatch(r"\d+[hs]", text) else eval(text)  # noqa: S307 - our own page
        assert given == default, name


def test_the_readme_lists_every_environment_variable_with_values_that_it_takes() -> None:
    rows = table(ROOT / "README.md", "| variable | example |")
    read = config_from_environment(dict.fromkeys(rows, "") | {"IDEMPOTENCY_MAX_CACHE_SIZE": ""})
    assert set(read) == {"max_cache_size"}
    for variable, examples in rows.items():
        for example in re.findall(r"`(.+?)`", examples):
            assert list(config_from_environment({variable: example})) == [variable.removeprefix("IDEMPOTENCY_").lower()]


def test_the_page_on_events_lists_every_kind() -> None:
    kinds = set(re.findall(r"`(\w+)`", inspect.getdoc(Event.kind) or ""))
    assert set(table(ROOT / "docs" / "logging.md", "| `kind` | what happened | `duration` |")) == kinds


def test_the_page_on_errors_lists_every_error_with_its_other_base() -> None:
    listed = table(ROOT / "docs" / "errors.md", "| error | also a | when | did the effect happen? |")
    public = {name for name in idempotency_manager.__all__ if name.endswith("Error")} - {"IdempotencyError"}
    assert set(listed) == public
    for name, also in listed.items():
        bases = getattr(idempotency_manager, name).__bases__
        builtin = [base.__name__ for base in bases if base.__module__ == "builtins"]
        assert [also.strip("`")] == (builtin or [""]), name


@pytest.mark.parametrize(
    ("engine", "url"), [("Redis", "redis+sentinel://h/service"), ("PostgreSQL", "postgresql://u@h/d")]
)
def test_the_page_on_stores_lists_every_option_of_a_server_with_its_default(engine: str, url: str) -> None:
    page = ROOT / "docs" / "stores.md"
    text = page.read_text().partition(f"\n### {engine} options\n")[2].partition("\n\n##")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| ?(.*?) ?\|", text, re.MULTILINE))
    with pytest.raises(ConfigurationError) as caught:
        place(StoreUrl(f"{url}?of_no_engine=1"), "ours")
    known = str(caught.value).partition("known are ")[2].split(", ")
    assert sorted(listed) == sorted(known)
    as_it_is = place(StoreUrl(url), "ours")
    for name, shown in listed.items():
        if shown.startswith("`") and name not in ("port", "host"):
            option = f"{name}={shown.strip('`')}"
            assert place(StoreUrl(f"{url}?{option}"), "ours") == as_it_is, option


def test_the_page_on_porting_names_only_what_exists() -> None:
    named = re.findall(r"`(\w+)\(", (ROOT / "docs" / "porting.md").read_text())
    ours = {name for name in named if "_" in name}
    assert len(ours) > 20
    assert [name for name in sorted(ours) if not _exists(name)] == []


def _exists(name: str) -> bool:
    return any(hasattr(place, name) for place in (idempotency_manager, idempotency_manager.IdempotencyManager))
