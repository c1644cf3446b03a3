"""The command line as a whole: help, errors, secrets, what it needs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from idempotency_manager.cli._app import cli
from tests.cli.conftest import Commands

COMMANDS = sorted(cli.commands)
EXPECTED = [
    "cleanup",
    "clear",
    "completion",
    "dashboard",
    "doubts",
    "explain",
    "export",
    "import",
    "key",
    "list",
    "migrate",
    "resolve",
    "run",
    "schema",
    "show",
    "stats",
    "top",
]


def test_every_command_is_there() -> None:
    assert COMMANDS == EXPECTED


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(idempotency: Commands, command: str) -> None:
    shown = idempotency(command, "--help")
    assert shown.code == 0
    assert f"  idempotency {command}" in shown.out.partition("Examples:")[2] or command == "completion"
    assert "--json" in shown.out


def test_the_help_lists_the_exit_codes(idempotency: Commands) -> None:
    shown = idempotency("--help").out
    assert re.findall(r"^ {4}(\d+) ", shown, re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "70", "130", "141"]


def test_no_command_is_a_request_for_help(idempotency: Commands) -> None:
    ended = idempotency()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: idempotency ")


def test_the_module_is_the_command_too(idempotency: Commands) -> None:
    asked = [sys.executable, "-m", "idempotency_manager.cli", "--version"]
    ran = subprocess.run(asked, env=idempotency.environ, capture_output=True, text=True, check=True)
    assert ran.stdout == idempotency("--version").out


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_the_command_says_what_to_install(missing: str, idempotency: Commands) -> None:
    blocked = f"import sys; sys.modules[{missing!r}] = None\nfrom idempotency_manager.cli import main\nsys.exit(main())"
    ran = subprocess.run([sys.executable, "-c", blocked], env=idempotency.environ, capture_output=True, check=False)
    assert ran.returncode == 2
    assert b"pip install 'idempotency-manager[cli]'" in ran.stderr
    assert ran.stderr.count(b"\n") == 1


def test_the_package_itself_imports_neither_click_nor_rich(idempotency: Commands) -> None:
    code = "import idempotency_manager, sys; print({'click', 'rich'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], env=idempotency.environ, capture_output=True, check=True)
    assert ran.stdout == b"set()\n"


def test_a_command_without_a_store_says_how_to_name_one(idempotency: Commands) -> None:
    ended = idempotency("stats", IDEMPOTENCY_STORE="")
    assert ended.code == 2
    assert ended.err == "idempotency: say which store: --store sqlite:///path.db, or set IDEMPOTENCY_STORE\n"


def test_a_store_that_dies_with_the_process_is_refused(idempotency: Commands) -> None:
    ended = idempotency.once("s1", "echo", "x", options=("--store", "memory://"))
    assert (ended.code, ended.out) == (122, "")
    assert "lives and dies with its process" in ended.err


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["stats", "--store", "redis://me:hunter2@nowhere"], {}),
        (["stats", "--store", "sqlite://me:hunter2@nowhere/x"], {}),
        (["stats", "--store", "nonsense://me:hunter2@nowhere"], {}),
        (["stats", "--debug", "--store", "postgresql://me:hunter2@nowhere/db"], {}),
        (["stats"], {"IDEMPOTENCY_STORE": "redis://me:hunter2@nowhere/x?y"}),
        (["stats", "redis://me:hunter2@nowhere"], {}),
        (["show", "redis://me:hunter2@nowhere"], {}),
        (["redis://me:hunter2@nowhere"], {}),
        (["stats", "--json", "--store", "redis://me:hunter2@nowhere"], {}),
    ],
)
def test_no_error_shows_a_password(idempotency: Commands, words: list[str], variables: dict[str, str]) -> None:
    ended = idempotency(*words, **variables)
    assert ended.code != 0
    assert ended.err
    assert "hunter2" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["frobnicate"], {}),
        (["list", "--state", "done"], {}),
        (["list", "--limit", "0"], {}),
        (["list", "--older-than", "yesterday"], {}),
        (["show"], {}),
        (["stats", "--namespace", ""], {"IDEMPOTENCY_NAMESPACE": " "}),
        (["stats"], {"IDEMPOTENCY_DEFAULT_TTL": "soon"}),
        (["completion", "tcsh"], {}),
        (["clear"], {}),
        (["clear", "k", "--all"], {}),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line_and_code_2(
    idempotency: Commands, words: list[str], variables: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "store.db").touch()
    ended = idempotency(*words, **variables)
    assert (ended.code, ended.out) == (2, "")
    assert re.fullmatch(r"idempotency: .+\n", ended.err)


@pytest.mark.parametrize(
    "content", [b"no database, but a letter to the editor" * 200, b"\0" * 9_999], ids=["text", "zeros"]
)
def test_a_file_that_is_no_store_is_an_error_and_stays_as_it_is(
    idempotency: Commands, content: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(content)
    ended = idempotency("stats")
    assert ended.code in (2, 5)
    assert str(file) in ended.err
    assert "Traceback" not in ended.err
    assert file.read_bytes() == content


def test_debug_shows_where_an_error_arose(idempotency: Commands) -> None:
    assert "Traceback" not in idempotency("show", "a:b:c:d").err
    assert "Traceback" in idempotency("show", "a:b:c:d", "--debug").err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_for_this_command(idempotency: Commands, shell: str) -> None:
    script = idempotency("completion", shell)
    assert script.code == 0
    assert f"_IDEMPOTENCY_COMPLETE={shell}_complete" in script.out
    assert idempotency("completion", shell, "--json").json == {"shell": shell, "script": script.out}


def test_a_shell_completes_commands_and_options(idempotency: Commands) -> None:
    asked = {"_IDEMPOTENCY_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    assert "plain,resolve" in idempotency(COMP_WORDS="idempotency re", **asked).out.split()
    asked["COMP_CWORD"] = "2"
    assert "plain,--older-than" in idempotency(COMP_WORDS="idempotency list --o", **asked).out.split()


def test_output_that_can_not_be_written_is_an_error(idempotency: Commands) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [str(idempotency.script), "key", "--signal", "s", "--action", "a", "--target", "t"]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=idempotency.environ, check=False)
    assert ran.returncode == 5
    assert os.strerror(28).encode() in ran.stderr


def test_json_is_json_in_any_locale(idempotency: Commands) -> None:
    words = ("key", "--signal", "Überfällig", "--action", "a", "--target", "t", "--json")
    told = idempotency(*words, LC_ALL="C", PYTHONIOENCODING="ascii").json
    assert told["signal_id"] == "Überfällig"
