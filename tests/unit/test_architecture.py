"""Imports point one way: CONTRIBUTING.md draws the house, this holds it up."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "idempotency_manager"
# What users opt into; nothing that everybody imports may need it.
OUTERMOST = {"cli", "clients", "middleware", "telemetry", "pytest_plugin", "testing", "webhooks"}

RUST_RULES = {
    # lib.rs puts the layers together, py may name them all; only py names the interpreter.
    "lib": r"\bpyo3\b",
    "py": r"(?!)",
    "core": r"\b(pyo3|pythonize|tokio)\b|crate::(store|py)\b|(super::)+(store|py)::|\bstd::(fs|net|process)\b",
    "store": r"\b(pyo3|pythonize)\b|crate::py\b|(super::)+py::",
}


def rust_code(source: str) -> str:
    """Rust without its comments, which may name what they like."""
    return re.sub(r"//.*", "", source)


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import that can run, those inside functions included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif is_for_type_checkers(node):
            yield from (found for branch in node.orelse for found in imports(ast.Module([branch], [])))
        else:
            yield from imports(node)


def imported_modules(tree: ast.AST, importer: str, *, is_package: bool, known: set[str]) -> set[str]:
    """The modules of this package that a module imports, by their full names."""
    found = set()
    for node in imports(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        parents = importer.split(".")
        base = parents[: len(parents) - node.level + is_package] if node.level else []
        source = ".".join([*base, *([node.module] if node.module else [])])
        members = {f"{source}.{alias.name}" for alias in node.names}
        found |= (members & known) or {source}
    return found & known - {importer}


def module_graph() -> dict[str, set[str]]:
    files = {
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
        for file in PACKAGE.rglob("*.py")
    }
    known = {*files, "idempotency_manager._core"}
    return {
        name: imported_modules(ast.parse(file.read_text()), name, is_package=file.stem == "__init__", known=known)
        for name, file in files.items()
    }


def test_no_python_module_imports_one_that_imports_it() -> None:
    graph = module_graph()
    assert len(graph) > 1
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' <- '.join(error.args[1])}")


def test_nothing_that_everybody_imports_needs_what_users_opt_into() -> None:
    graph = module_graph()
    reached, to_visit = set(), ["idempotency_manager"]
    while to_visit:
        if (name := to_visit.pop()) not in reached:
            reached.add(name)
            to_visit += graph.get(name, set())
    assert len(reached) > 1
    assert not {name for name in reached if name.split(".")[1:2] and name.split(".")[1] in OUTERMOST}


# Modules that decide, and leave it to others to ask a store or to answer a client.
PURE = [f"middleware._{name}" for name in ("decision", "answer", "header", "policy", "problems")]
MANAGING = {"_async_manager", "_base", "_core", "_default", "_manager"}
WAITING = {"asyncio", "http", "io", "logging", "os", "select", "socket", "threading", "time", "urllib"}


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_nothing_that_waits_or_holds_a_store(name: str) -> None:
    reached, to_visit, graph = set(), [f"idempotency_manager.{name}"], module_graph()
    while to_visit:
        if (module := to_visit.pop()) not in reached:
            reached.add(module)
            to_visit += graph[module]
    assert not {module.removeprefix("idempotency_manager.") for module in reached} & MANAGING
    tree = ast.parse((PACKAGE / f"{name.replace('.', '/')}.py").read_text())
    named = {alias.name for node in imports(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in imports(tree) if isinstance(node, ast.ImportFrom)}
    assert not {module.partition(".")[0] for module in named} & WAITING


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from . import _a", {"p._a"}),
        ("from ._a import x", {"p._a"}),
        ("from .sub._b import x", {"p.sub._b"}),
        ("from p import _a", {"p._a"}),
        ("from p import other", {"p"}),
        ("import p.sub._b", {"p.sub._b"}),
        ("def f():\n    from . import _a", {"p._a"}),
        ("if TYPE_CHECKING:\n    from . import _a", set()),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from . import _a", {"p._a"}),
        ("import json", set()),
    ],
)
def test_an_import_in_any_form_is_seen(source: str, expected: set[str]) -> None:
    known = {"p", "p._a", "p.sub._b", "p._me"}
    assert imported_modules(ast.parse(source), "p._me", is_package=False, known=known) == expected


@pytest.mark.parametrize("file", sorted((ROOT / "src").rglob("*.rs")), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_rust_module_names_only_layers_below_its_own(file: Path) -> None:
    layer = file.relative_to(ROOT / "src").with_suffix("").parts[0]
    found = {match.group() for match in re.finditer(RUST_RULES[layer], rust_code(file.read_text()))}
    if "tests" in file.stem or "tests" in file.parent.name:
        found -= {"std::fs"}  # test vectors are read from files
    assert not found


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("core", "use crate::store::Store;"),
        ("core", "use super::super::store::Store;"),
        ("core", "use pyo3::prelude::*;"),
        ("core", "let file = std::fs::read(path);"),
        ("store", "use crate::py::codec;"),
        ("store", "impl From<E> for pyo3::PyErr {"),
    ],
)
def test_a_breach_of_the_rust_layers_is_seen(layer: str, line: str) -> None:
    assert re.search(RUST_RULES[layer], rust_code(line))
