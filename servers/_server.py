"""What all servers here have in common: a folder, a process, a start that waits, and an end that leaves nothing."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
import time
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from servers import _keep, _keeper
from servers._errors import ServerError
from servers._lifetime import Lifetime
from servers._ports import HOST, HeldPort

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_SECONDS = 30.0
# The process begins only when its keeper knows of it; where its starter dies before, `read` fails and nothing begins.
_WHEN_TOLD = 'read -r told && exec "$@" </dev/null'


class Server(Lifetime):
    """One process with a folder and a port of its own, from `with` or `start` to the block's end or `close`.

    A class that derives from it says what is run, and when it answers.
    """

    host = HOST

    def __init__(self, name: str, *, second_port_above: int = 0) -> None:
        self.name, self._second_port_above = name, second_port_above
        self._process: subprocess.Popen[bytes] | None = None

    # ---------------------------------------------------------------- what a kind of server says

    @abstractmethod
    def _command(self) -> list[str]:
        """Write what it reads when it starts, and give what is run."""

    @abstractmethod
    def _answers(self) -> bool:
        """Tell whether it serves."""

    def _user(self) -> str | None:
        """Name the user that it runs as, where that is not this process's."""
        return None

    # ---------------------------------------------------------------- what can be done with it

    @cached_property
    def folder(self) -> Path:
        """Its files, in a temporary folder; made when first asked for."""
        made = Path(tempfile.mkdtemp(prefix=f"idempotency-{self.name}-"))
        _keep.keep("folder", made)
        if user := self._user():
            os.chown(made, *_ids(user))
        return made

    @cached_property
    def _held(self) -> HeldPort:
        return HeldPort(self._second_port_above)

    @property
    def port(self) -> int:
        """Its port, the same after every start."""
        return self._held.number

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        return self.host, self.port

    @property
    def log(self) -> str:
        """What it has printed."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def process_id(self) -> int:
        """The id of its process, the first one where it has several."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or start it again on the same port and folder, and wait until it answers.

        Raises:
            MissingServerError: It is not installed.
            ServerError: It ended, or didn't answer in time.
        """
        self.launch()
        self.wait_until_it_answers()

    def launch(self) -> None:
        """Start it without waiting."""
        if self.is_running:
            message = f"{self.name} runs already"
            raise ServerError(message)
        self._reap()
        self._process = self._popen(self._command())

    def wait_until_it_answers(self) -> None:
        """Wait until it serves."""
        self.wait_until(self._answers, "answers")

    def stop(self) -> None:
        """End it as its administrator would, and wait until it has ended."""
        process = self._running()
        process.send_signal(self._polite_signal)
        self._await_end()

    def kill(self) -> None:
        """Kill it with all its processes, at this instant, wherever they are in their work."""
        _keeper.kill(self._running().pid)
        self._await_end()

    def pause(self) -> None:
        """Stop all its processes with SIGSTOP: connections stay, nothing answers."""
        process = self._running().pid
        _keeper.send([process, *_keeper.descendants(process)], signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused one go on."""
        process = self._running().pid
        _keeper.send([*_keeper.descendants(process), process], signal.SIGCONT)

    def close(self) -> None:
        """End it at once and remove what it left; does nothing the second time."""
        if self.is_running:
            _keeper.end(self.process_id, self._last_signal)
            self._await_end()
        self._reap()
        if "_held" in self.__dict__:
            self._held.release()
            del self._held
        if "folder" in self.__dict__:
            _keeper.remove(str(self.folder))
            _keep.forget("folder", self.folder)
            del self.folder

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until something about this server is so.

        Raises:
            ServerError: It ended meanwhile, or the time is over; with the end of its log.
        """
        end, pause = time.monotonic() + seconds, 0.002
        while not ready():
            if not self.is_running:
                raise ServerError(self._trouble("has ended"))
            if time.monotonic() > end:
                raise ServerError(self._trouble(f"runs, but within {seconds:g} s it can't be said that it {what}"))
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    # ---------------------------------------------------------------- how

    _polite_signal = signal.SIGTERM
    _last_signal = signal.SIGKILL

    def _popen(self, command: list[str]) -> subprocess.Popen[bytes]:
        user = self._user()
        user_id, group_id = _ids(user) if user else (None, None)
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the servers' own commands
                ["/bin/sh", "-c", _WHEN_TOLD, "sh", *command],
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the starter
                user=user_id,
                group=group_id,
                extra_groups=[] if user else None,
            )
        _keep.keep("process", f"{process.pid} {self._last_signal:d}")
        if process.stdin is not None:
            process.stdin.write(b"go\n")
            process.stdin.close()
        return process

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise ServerError(self._trouble("is not running"))
        return self._process

    def _await_end(self) -> None:
        if self._process is not None:
            try:
                self._process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                raise ServerError(self._trouble("does not end")) from None
            self._reap()

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            _keep.forget("process", f"{self._process.pid} {self._last_signal:d}")
            self._process = None

    def _trouble(self, what: str) -> str:
        tail = "\n  ".join(self.log.splitlines()[-15:]) if "folder" in self.__dict__ else ""
        return f"{self.name} {what}" + (f"; its log ends\n  {tail}" if tail else "")


def unprivileged_user() -> str | None:
    """Name the user for servers that refuse to run as root, where this process is root's."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _ids(user: str) -> tuple[int, int]:
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def _environment() -> dict[str, str]:
    """Give this process's environment without what would lead a server or its tools to another one."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("PG", "REDISCLI_", "LC_"))} | {
        "LC_ALL": "C.UTF-8"
    }
