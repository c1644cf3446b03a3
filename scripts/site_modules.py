"""A page of the reference for each public module that docs/reference/ has none for, so that no public name is left out.

docs/reference/ has pages by hand where names of several modules belong together or want an introduction. A module that
none of them mentions gets a page that begins with its own docstring.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "idempotency_manager"
# Commands are for the shell, which has pages of its own.
COMMANDS = {"cli", "dashboard"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages to the section of the navigation that has the others."""
    for section in config.nav or []:
        if "Reference" in section:
            section["Reference"] += [{name or "More": uri(name)} for name in sorted(unmentioned())]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the pages."""
    for name, (about, exported) in unmentioned().items():
        module = f"idempotency_manager.{name}".rstrip(".")
        shown = "".join(f"\n::: {module}.{each}\n" for each in exported)
        files.append(File.generated(config, uri(name), content=f"# {module}\n\n{about}\n{shown}"))
    return files


def uri(name: str) -> str:
    """Where a module's page lies among the sources of the site."""
    return f"reference/module-{name or 'idempotency_manager'}.md"


def unmentioned() -> dict[str, tuple[str, list[str]]]:
    """The public modules, by their names within the package, that export what no page of docs/reference/ shows."""
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    shown = set(re.findall(r"^::: idempotency_manager\.(\S+)$", pages, re.MULTILINE))
    found = {}
    in_short = exports(ast.parse((PACKAGE / "__init__.py").read_text()))
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = [*file.relative_to(PACKAGE).parent.parts, *([] if file.stem == "__init__" else [file.stem])]
        if COMMANDS.intersection(parts[:1]) or any(part.startswith("_") for part in parts):
            continue
        name, tree = ".".join(parts), ast.parse(file.read_text())
        # What the package itself exports is shown under its shorter name.
        names = [each for each in exports(tree) if not parts or each not in in_short]
        left = [each for each in names if f"{name}.{each}".lstrip(".") not in shown]
        if left:
            found[name] = (ast.get_docstring(tree) or "", left)
    return found


def exports(tree: ast.Module) -> list[str]:
    """What a module says that it exports."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return []
