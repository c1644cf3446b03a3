"""The site builds without a warning, has every public name in its reference, and asks no other host for anything."""

import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import idempotency_manager
from tests.site.story import ROOT

# What links, pictures, styles and scripts load by themselves; a link that a reader follows is no such thing.
LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^\s>]*")
IN_STYLES = re.compile(r"@import|url\([\"']?(?:https?:)?//[^)]*\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    assert "WARNING" not in said, said  # with --quiet, MkDocs would not even count them
    return folder


@pytest.fixture(scope="module")
def documented(site: Path) -> set[str]:
    """What the reference has an anchor for, by its inventory."""
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}


def public_modules() -> list[str]:
    """The modules that users import: neither they nor what they lie in begin with an underscore."""
    found = pkgutil.walk_packages(idempotency_manager.__path__, "idempotency_manager.")
    # Commands are for the shell; docs/cli.md and docs/dashboard.md tell what they do.
    names = [each.name for each in found if not re.search(r"\._|\.cli\b|\.dashboard\b", each.name)]
    return ["idempotency_manager", *names]


def test_every_public_name_is_in_the_reference(documented: set[str]) -> None:
    missing = []
    for path in public_modules():
        module = importlib.import_module(path)
        for name in getattr(module, "__all__", ()):
            elsewhere = getattr(idempotency_manager, name, None) is getattr(module, name)
            if f"{path}.{name}" not in documented and not (elsewhere and f"idempotency_manager.{name}" in documented):
                missing.append(f"{path}.{name}")
    assert missing == []


def test_every_member_of_a_public_class_is_in_the_reference(documented: set[str]) -> None:
    missing = []
    for name in idempotency_manager.__all__:
        value = getattr(idempotency_manager, name)
        if isinstance(value, type):
            ours = [base for base in value.__mro__ if base.__module__.startswith("idempotency_manager")]
            members = {member for base in ours for member in vars(base) if not member.startswith("_")}
            told = set(re.findall(r"^ +(\w+): ", inspect.getdoc(value) or "", re.MULTILINE))  # fields of a dataclass
            paths = {f"idempotency_manager.{name}.{member}" for member in members - told}
            missing += sorted(paths - documented)
    assert missing == []


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {page: LOADED.findall(page.read_text()) for page in site.rglob("*.html")}
    styles = {style: IN_STYLES.findall(style.read_text()) for style in site.rglob("*.css")}
    assert len(pages) > 30
    assert styles
    assert {str(file): found for file, found in {**pages, **styles}.items() if found} == {}
    assert not [page for page in pages if 'class="mermaid"' in page.read_text()]  # its script would come from elsewhere
