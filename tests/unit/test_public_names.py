"""The package offers what its contract, tests/typing/contract.pyi, says: every name, member and parameter."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import idempotency_manager

CONTRACT = ast.parse((Path(__file__).parents[1] / "typing" / "contract.pyi").read_text())
# Type variables of the stub itself.
PRIVATE_TO_THE_STUB = {"P", "T"}
# What a module's own first lines leave in it.
PREAMBLE = {"annotations", "TYPE_CHECKING"}
# Checkers know it by no other name, and `typing` takes longer to import than the package.
WORD_FOR_CHECKERS = "TYPE_CHECKING"
# The asynchronous manager has no second asynchronous form of these.
ONLY_SYNCHRONOUS = {"aexecute", "aclaim"}


def name_of(node: ast.stmt) -> str | None:
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            return node.name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return None


def named(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    return ((name, node) for node in body if (name := name_of(node)) is not None)


PUBLIC = {name: node for name, node in named(CONTRACT.body) if name not in PRIVATE_TO_THE_STUB}
CLASSES = {name: node for name, node in PUBLIC.items() if isinstance(node, ast.ClassDef)}
MEMBERS = [(owner, name, node) for owner, tree in CLASSES.items() for name, node in named(tree.body)]
MEMBERS += [("AsyncIdempotencyManager", name, node) for owner, name, node in MEMBERS if owner == "IdempotencyManager"]
MEMBERS = [
    member
    for member in MEMBERS
    if member[1] != "__init__" and not (member[0] == "AsyncIdempotencyManager" and member[1] in ONLY_SYNCHRONOUS)
]
FUNCTIONS = [
    (name, node) for name, node in PUBLIC.items() if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
] + [
    (f"{owner}.{name}", node)
    for owner, name, node in MEMBERS
    if isinstance(node, ast.FunctionDef) and not node.decorator_list
]


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_name_of_the_contract_is_exported(name: str) -> None:
    assert hasattr(idempotency_manager, name)
    assert name in idempotency_manager.__all__


def test_all_names_everything_public_and_nothing_else() -> None:
    public = {
        name
        for name, value in vars(idempotency_manager).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != WORD_FOR_CHECKERS
    }
    listed = set(idempotency_manager.__all__)
    assert len(listed) == len(idempotency_manager.__all__)
    assert public - listed - PREAMBLE == set()
    assert {name for name in listed if not hasattr(idempotency_manager, name)} == set()
    assert listed <= set(dir(idempotency_manager))


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, name, _ in MEMBERS], ids=lambda part: part)
def test_a_class_of_the_contract_has_its_members(owner: str, name: str) -> None:
    cls = getattr(idempotency_manager, owner)
    annotated = {field for base in cls.__mro__ for field in vars(base).get("__annotations__", {})}
    assert hasattr(cls, name) or name in annotated


@pytest.mark.parametrize(("path", "node"), FUNCTIONS, ids=[path for path, _ in FUNCTIONS])
def test_a_function_takes_what_its_contract_says(path: str, node: ast.FunctionDef) -> None:
    function: object = idempotency_manager
    for part in path.split("."):
        function = getattr(function, part)
    signature = inspect.signature(function)  # type: ignore[arg-type]
    parameters = list(signature.parameters.values())
    takes_any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    in_order = [parameter for parameter in parameters if parameter.kind <= parameter.VAR_POSITIONAL]

    positional = node.args.posonlyargs + node.args.args
    for argument, parameter in zip(positional, in_order, strict=False):
        if argument in node.args.args:
            assert parameter.name == argument.arg
    assert len(in_order) >= len(positional)
    by_name = {argument.arg for argument in node.args.kwonlyargs}
    assert takes_any_name or by_name <= set(signature.parameters)

    required = len(positional) - len(node.args.defaults)
    added = [parameter for parameter in in_order[required:] if parameter.kind is not parameter.VAR_POSITIONAL]
    assert all(parameter.default is not parameter.empty for parameter in added)


@pytest.mark.parametrize(
    "name", sorted(name for name in CLASSES if name.endswith("Error") and name != "IdempotencyError")
)
def test_every_error_derives_from_the_one_root(name: str) -> None:
    bases = [ast.unparse(base) for base in CLASSES[name].bases]
    error = getattr(idempotency_manager, name)
    assert issubclass(error, idempotency_manager.IdempotencyError)
    assert {base.__name__ for base in error.__mro__} >= set(bases)
