"""Runs a command with real servers to talk to: `python -m servers run redis postgres -- cargo test`.

Each server is private, on a free port of the loopback interface, and ends with the command. The command finds them by
their URLs, in environment variables. Without a command the variables are printed, and the servers run until Ctrl-C.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from threading import Lock

from servers import MissingServerError
from servers._known import KNOWN, variable

_SKIPPED_IN_CI, _INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Start what is asked for, run the command, and give its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    split = words.index("--") if "--" in words else len(words)
    asked, command = _parser().parse_args(words[:split]), words[split + 1 :]
    with suppress(KeyboardInterrupt), _interrupted_by(signal.SIGTERM, signal.SIGHUP), ExitStack() as stack:
        urls, missing = _started(asked.servers or list(KNOWN), stack)
        for error in sorted({str(error) for error in missing}):
            _say(f"NOT TESTED HERE: {error}")
        if missing and os.environ.get("CI"):
            _say("with CI in the environment that is a failure")
            return _SKIPPED_IN_CI
        return _run(command, urls) if command else _wait(urls)
    return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m servers", description=__doc__, usage="%(prog)s run [SERVER ...] [-- COMMAND ...]"
    )
    run = parser.add_subparsers(required=True).add_parser("run", usage=parser.usage, description=__doc__)
    run.add_argument("servers", nargs="*", metavar="SERVER", help=f"any of {', '.join(KNOWN)}; without any, all")
    return parser


def _started(names: Sequence[str], stack: ExitStack) -> tuple[dict[str, str], list[MissingServerError]]:
    """Start servers at the same time; the stack ends them."""
    missing, lock = [], Lock()

    def start(name: str) -> tuple[str, str] | None:
        try:
            server = KNOWN[name]()
            url = server.__enter__()
        except MissingServerError as error:
            missing.append(error)
            return None
        with lock:
            stack.push(server)
        return variable(name), url

    unknown = set(names) - set(KNOWN)
    if unknown:
        sys.exit(f"there is no {', '.join(sorted(unknown))}; known are {', '.join(KNOWN)}")
    with ThreadPoolExecutor() as pool:
        return dict(filter(None, pool.map(start, dict.fromkeys(names)))), missing


def _run(command: Sequence[str], urls: dict[str, str]) -> int:
    # Ctrl-C reaches the command by itself; the servers end after it.
    with subprocess.Popen(command, env=os.environ | urls) as process:  # noqa: S603 - what the user asks for
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt as interrupt:
                if interrupt.args:
                    process.send_signal(interrupt.args[0])
            else:
                return code if code >= 0 else 128 - code


def _wait(urls: dict[str, str]) -> int:
    for name, url in urls.items():
        print(f"export {name}='{url}'", flush=True)
    with suppress(KeyboardInterrupt):
        signal.pause()
    return 0


@contextmanager
def _interrupted_by(*numbers: signal.Signals) -> Iterator[None]:
    """Turn signals into KeyboardInterrupt, so that the servers end in order."""

    def interrupt(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
