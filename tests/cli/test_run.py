"""run: a command happens once, and a duplicate gets what it gave."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Commands

BOTH = "printf 'out\\n'; printf 'err\\n' >&2"


def test_a_duplicate_gets_stdout_stderr_and_the_exit_code_again(
    idempotency: Commands, effect: str, count: Callable[[], int]
) -> None:
    first = idempotency.once("s1", "sh", "-c", f"{effect}; {BOTH}")
    again = idempotency.once("s1", "sh", "-c", f"{effect}; {BOTH}")
    assert first == again
    assert (again.code, again.out, again.err) == (0, "out\n", "err\n")
    assert count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"signal": "s2"},
        {"command": ("sh", "-c", "printf x >> effects; :")},
        {"options": ("--param", "attempt=2")},
        {"options": ("--namespace", "other")},
    ],
    ids=["signal", "command line", "param", "namespace"],
)
def test_another_action_is_run(
    idempotency: Commands, other: dict[str, tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = {"signal": "s1", "command": ("sh", "-c", "printf x >> effects"), "options": ()}
    for one in (asked, asked | other, asked, asked | other):
        assert idempotency.once(str(one["signal"]), *one["command"], options=tuple(one["options"])).code == 0
    assert Path("effects").read_text() == "xx"


def test_a_failure_may_run_again(idempotency: Commands, effect: str, count: Callable[[], int]) -> None:
    for expected in (1, 2):
        ended = idempotency.once("s1", "sh", "-c", f"{effect}; echo no >&2; exit 7")
        assert (ended.code, ended.err, count()) == (7, "no\n", expected)
    assert idempotency("list", "--json").out == ""


def test_a_failure_is_final_where_that_is_asked_for(
    idempotency: Commands, effect: str, count: Callable[[], int]
) -> None:
    command = ("sh", "-c", f"{effect}; echo no >&2; exit 7")
    for options in (("--replay-failure",), ("--replay-failure",), ()):  # final for every later caller
        ended = idempotency.once("s1", *command, options=options)
        assert (ended.code, ended.err, count()) == (7, "no\n", 1)
    assert idempotency("list", "--json").json["state"] == "failed"


@pytest.mark.parametrize(
    ("how", "code", "reason"),
    [
        (("kill -KILL $$", "--wait"), 128 + signal.SIGKILL, "killed by SIGKILL"),
        (("kill -TERM $$", "--replay-failure"), 128 + signal.SIGTERM, "killed by SIGTERM"),
        (("exit 137", "--wait"), 137, "exit code 137, a shell's word for SIGKILL"),
        (("exit 28", "--in-doubt-on=28"), 28, "exit code 28"),
    ],
)
def test_a_command_that_was_cut_off_is_in_doubt_until_somebody_settles_it(
    idempotency: Commands, tmp_path: Path, how: tuple[str, str], code: int, reason: str
) -> None:
    end, option = how
    command = ("sh", "-c", f"printf x >> {tmp_path}/effects; {end}")
    first = idempotency.once("s1", *command, options=(option,))
    assert first.code == code
    assert f"idempotency: {reason}: in doubt. " in first.err
    refused = idempotency.once("s1", *command, options=(option,))
    assert refused.code == 123
    assert f"({reason})" in refused.err
    assert (tmp_path / "effects").read_text() == "x"
    assert idempotency("resolve", idempotency.key("s1", *command), "--not-executed").code == 0
    assert idempotency.once("s1", *command, options=(option,)).code == code
    assert (tmp_path / "effects").read_text() == "xx"


@pytest.mark.parametrize("code", ["129", "255"])
def test_only_the_codes_of_signals_are_doubt(idempotency: Commands, code: str) -> None:
    ended = idempotency.once("s1", "sh", "-c", f"exit {code}")
    assert ended.code == int(code)
    assert idempotency("doubts").code == (3 if code == "129" else 0)


def test_an_action_in_doubt_runs_again_where_its_sink_can_bear_that(
    idempotency: Commands, effect: str, count: Callable[[], int], tmp_path: Path
) -> None:
    command = ("sh", "-c", f"{effect}; test -e {tmp_path}/ok || kill -KILL $$")
    assert idempotency.once("s1", *command).code == 137
    (tmp_path / "ok").touch()
    assert idempotency.once("s1", *command, options=("--on-in-doubt", "retry")).code == 0
    assert idempotency.once("s1", *command).code == 0
    assert count() == 2


@pytest.mark.parametrize(
    ("result", "code", "out", "err"),
    [
        ('{"exit_code": 0}', 0, "", ""),
        ('{"exit_code": 3, "stdout": "o\\n", "stderr": {"$bytes": "/w=="}}', 3, "o\n", None),
        ("null", 0, "", ""),
        ('"done"', 0, "done", ""),
        ('{"id": "c1"}', 0, '{"id": "c1"}\n', ""),
    ],
)
def test_a_doubt_that_somebody_settled_is_replayed(
    idempotency: Commands, result: str, code: int, out: str, err: str | None
) -> None:
    command = ("sh", "-c", "kill -KILL $$")
    assert idempotency.once("s1", *command).code == 137
    assert idempotency("resolve", idempotency.key("s1", *command), "--result", result).code == 0
    if err is None:
        told = idempotency.once("s1", *command, options=("--json",)).json
        assert (told["exit_code"], told["stdout"], told["stderr"]) == (code, out, {"$bytes": "/w=="})
        return
    ended = idempotency.once("s1", *command)
    assert (ended.code, ended.out, ended.err) == (code, out, err)


def test_bytes_that_are_no_text_come_back_as_they_were(idempotency: Commands) -> None:
    first = idempotency.once("s1", "printf", "a\\377\\000b")
    again = idempotency.once("s1", "printf", "a\\377\\000b")
    assert os.fsencode(first.out) == os.fsencode(again.out) == b"a\xff\0b"


def test_a_word_that_is_no_text_is_a_word_like_any_other(idempotency: Commands) -> None:
    first, other = (idempotency.once("s1", "printf", "%s", word) for word in (b"\xff", b"\xfe"))
    assert (os.fsencode(first.out), os.fsencode(other.out)) == (b"\xff", b"\xfe")
    assert idempotency.once("s1", "printf", "%s", b"\xff") == first


def test_output_beyond_the_bound_is_shown_but_not_kept(idempotency: Commands) -> None:
    options = ("--max-output", "1KiB")
    command = ("sh", "-c", "head -c 1023 /dev/zero | tr '\\0' a; printf é; echo more")
    first = idempotency.once("s1", *command, options=options)
    assert (len(first.out), first.out[1020:], first.err) == (1029, "aaaémore\n", "")
    again = idempotency.once("s1", *command, options=options)
    assert again.out == "a" * 1023  # the é would have been cut in two
    assert again.err == "idempotency: 7 more bytes of stdout were not kept (--max-output)\n"
    told = idempotency.once("s1", *command, options=(*options, "--json")).json
    assert (told["stdout_dropped"], told["stderr_dropped"]) == (7, 0)


def test_much_output_in_both_streams_at_once_arrives_whole(idempotency: Commands) -> None:
    writes = "import os\nfor n in range(2000): os.write(1, b'o' * 1000); os.write(2, b'e' * 1000)"
    ended = idempotency.once("s1", "python3", "-c", writes)
    assert (ended.out, ended.err) == ("o" * 2_000_000, "e" * 2_000_000)


def test_output_is_shown_while_the_command_runs(idempotency: Commands) -> None:
    running = idempotency.start("s1", "sh", "-c", "echo first; echo problem >&2; read line; echo $line")
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline() == b"first\n"
    assert running.stderr.readline() == b"problem\n"
    assert running.communicate(b"second\n") == (b"second\n", b"")
    assert running.returncode == 0


def test_a_command_finishes_though_nobody_reads_its_output(
    idempotency: Commands, effect: str, count: Callable[[], int]
) -> None:
    command = ("sh", "-c", f"echo first; read line; yes | head -c 1000000; {effect}")
    running = idempotency.start("s1", *command)
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stdout.readline() == b"first\n"
    running.stdout.close()
    running.stdin.close()
    assert running.wait() == 0
    assert count() == 1
    assert len(idempotency.once("s1", *command).out) == 6 + 1_000_000


def test_a_process_left_in_the_background_is_not_waited_for(idempotency: Commands, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "end")
    ended = idempotency.once("s1", "sh", "-c", f"cat {tmp_path}/end & echo $!")
    assert ended.code == 0
    os.kill(int(ended.out), 0)  # still there
    (tmp_path / "end").write_text("")


def test_a_process_that_writes_for_ever_in_the_background_keeps_nobody(idempotency: Commands) -> None:
    ended = idempotency.once("s1", "sh", "-c", "yes & head -c 1 /dev/zero")
    assert ended.code == 0


def test_the_command_knows_its_key_and_uuid(idempotency: Commands) -> None:
    command = ("sh", "-c", "echo $IDEMPOTENCY_KEY $IDEMPOTENCY_UUID")
    key, uuid = idempotency.once("s1", *command).out.split()
    told = idempotency("key", "--action", "backup", "--target", "s3", "--signal", "s1", "--json", "--", *command).json
    assert (key, uuid) == (told["key"], told["uuid"])


def test_no_shell_reads_the_words(idempotency: Commands, tmp_path: Path) -> None:
    word = f"$(touch {tmp_path}/pwned); `touch {tmp_path}/pwned` *"
    assert idempotency.once("s1", "printf", "%s", word).out == word
    assert not (tmp_path / "pwned").exists()


def test_options_of_the_command_are_its_own(idempotency: Commands) -> None:
    ended = idempotency("run", "--action", "a", "--target", "t", "--signal", "s", "echo", "--json", "--help", "--")
    assert ended.out == "--json --help --\n"


def test_json_has_the_outcome_in_one_object(idempotency: Commands) -> None:
    command = ("sh", "-c", f"{BOTH}; exit 4")
    expected = {
        "key": idempotency.key("s1", *command),
        "recorded": True,
        "exit_code": 4,
        "stdout": "out\n",
        "stderr": "err\n",
        "stdout_dropped": 0,
        "stderr_dropped": 0,
    }
    for replayed in (False, True):
        ended = idempotency.once("s1", *command, options=("--json", "--replay-failure"))
        assert (ended.code, ended.err) == (4, "")
        told = ended.json
        assert told.pop("uuid")
        assert told == {**expected, "replayed": replayed}


@pytest.mark.parametrize(
    ("command", "code", "complaint"),
    [("no-such-command", 127, "there is no command no-such-command"), ("/etc/passwd", 126, "can't be executed")],
)
def test_a_command_that_can_not_be_started_has_not_happened(
    idempotency: Commands, command: str, code: int, complaint: str
) -> None:
    ended = idempotency.once("s1", command)
    assert ended.code == code
    assert complaint in ended.err
    assert idempotency("list", "--json").out == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--bogus"],
        ["--ttl", "5", "--", "true"],
        ["--ttl", "1s", "--", "true"],
        ["--max-output", "1MB", "--", "true"],
        [],
    ],
    ids=["option", "no unit", "shorter than the lease", "size", "no command"],
)
def test_wrong_options_run_nothing(idempotency: Commands, words: list[str]) -> None:
    assert idempotency("run", "--action", "a", "--target", "t", "--signal", "s", *words).code == 122


def test_a_run_beside_another_waits_for_it_and_gets_its_outcome(
    idempotency: Commands, effect: str, count: Callable[[], int]
) -> None:
    command = ("sh", "-c", f"echo started; {effect}; read line; echo $line")
    first = idempotency.start("s1", *command)
    assert first.stdout is not None
    assert first.stdout.readline() == b"started\n"
    second = idempotency.start("s1", *command)
    told_at_once = idempotency.once("s1", *command, options=("--no-wait",))
    assert (told_at_once.code, told_at_once.out) == (124, "")
    assert "in progress" in told_at_once.err
    assert idempotency.once("s1", *command, options=("--wait-timeout", "10ms")).code == 124
    assert first.communicate(b"done\n") == (b"done\n", b"")
    assert second.communicate() == (b"started\ndone\n", b"")
    assert (first.returncode, second.returncode, count()) == (0, 0, 1)


def test_an_outcome_is_forgotten_after_its_ttl(idempotency: Commands) -> None:
    idempotency.once("s1", "true", options=("--ttl", "90m"))
    record = idempotency("list", "--json").json
    assert record["expires_at"] > record["executed_at"]
    assert idempotency("list", "--json", "--expiring-within", "89m").out == ""
    assert idempotency("list", "--json", "--expiring-within", "91m").out != ""


def test_what_happened_in_secret_is_not_lost_when_the_claim_is(idempotency: Commands) -> None:
    command = ("sh", "-c", "echo started >&2; read line; echo $line; exec >&-")
    running = idempotency.start("s1", *command, options=())
    assert running.stderr is not None
    assert running.stderr.readline() == b"started\n"
    assert idempotency("clear", idempotency.key("s1", *command)).code == 0
    out, err = running.communicate(b"done\n")
    assert out == b"done\n"
    assert b"look for a second effect" in err
    assert running.returncode == 121


def test_the_same_is_told_in_json(idempotency: Commands, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "started")
    command = ("sh", "-c", f"echo > {tmp_path}/started; read line; echo $line")
    running = idempotency.start("s1", *command, options=("--json",))
    (tmp_path / "started").read_text()
    idempotency("clear", idempotency.key("s1", *command))
    out, _ = running.communicate(b"done\n")
    told = json.loads(out)
    assert (told["recorded"], told["stdout"], running.returncode) == (False, "done\n", 121)
