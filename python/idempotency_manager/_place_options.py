"""What follows the question mark of a store URL: which options there are, and how a value is read."""

from __future__ import annotations

import os
from datetime import timedelta

from ._duration import parse_duration, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._store_url import StoreUrl
    from .exceptions import ConfigurationError

_MOST = 1_000_000
_MICROSECOND = timedelta(microseconds=1)
_NO_ALIASES: Mapping[str, str] = {}
_SECRETS = ("password", "sentinel_password")


class Options:
    """The options of a URL; each error shows the URL without its password, names the option, and says what to write."""

    __slots__ = ("_given", "_url")

    def __init__(self, url: StoreUrl, known: Iterable[str], aliases: Mapping[str, str] = _NO_ALIASES) -> None:
        """Take what a URL has.

        Args:
            url: The URL.
            known: The names that its scheme has.
            aliases: Other names for some of these, each with the name that it stands for.

        Raises:
            ConfigurationError: An option is unknown, or given twice.
        """
        self._url = url
        self._given: dict[str, tuple[str, str]] = {}
        names = tuple(known)
        # Nothing raises where a value, which may be a password, has a name that a traceback could show.
        for shown in [shown for shown, _ in url.options]:
            name = aliases.get(shown, shown)
            if name not in names:
                raise self._unknown(shown, names)
            self.reserve(name, shown)
        for shown, value in url.options:
            self.put(aliases.get(shown, shown), shown, value)

    def reserve(self, name: str, shown: str) -> None:
        """Say that an option is about to be given.

        Raises:
            ConfigurationError: It is given already.
        """
        if name in self._given:
            before = self._given[name][0]
            twice = (
                f"the option {shown!r} is given twice" if before == shown else f"{before} and {shown} are one option"
            )
            raise self.refuse(twice, "give it once")
        self._given[name] = (shown, "")

    def put(self, name: str, shown: str, value: str) -> None:
        """Give an option, and the name that an error has for it."""
        self._given[name] = (shown, value)

    def default(self, name: str, variable: str) -> None:
        """Take an environment variable for what the URL does not say; an empty one counts as not set."""
        value = os.environ.get(variable)
        if value and name not in self._given:
            self._given[name] = (variable, value)

    def drop(self, name: str) -> None:
        """Take an option as not given."""
        self._given.pop(name, None)

    def refuse(self, problem: str, remedy: str) -> ConfigurationError:
        """Word an error about the URL."""
        return refusal("store", self._url.masked, problem, remedy)

    def wrong(self, name: str, problem: str, remedy: str) -> ConfigurationError:
        """Word an error about an option that is given."""
        shown, value = self._given[name]
        text = "***" if name in _SECRETS else repr(value)
        return self.refuse(f"{shown}={text}: {problem}", remedy)

    def text(self, name: str) -> str | None:
        """Give an option as it stands, `None` where it is not given."""
        given = self._given.get(name)
        return None if given is None else given[1]

    def duration(self, name: str, default: str, *, positive: bool = True, bare_is_seconds: bool = False) -> int:
        """Read a duration as whole microseconds.

        Raises:
            ConfigurationError: It is no duration, or not positive where it must be.
        """
        text = self.text(name)
        text = default if text is None else text
        if bare_is_seconds and text.isascii() and text.isdecimal():
            text += "s"
        try:
            return parse_duration(text, positive=positive) // _MICROSECOND
        except ValueError as problem:
            raise self.wrong(name, str(problem), f"write a number and its unit: {name}=250ms, {name}=2s") from None

    def whole(self, name: str, default: int, least: int = 0) -> int:
        """Read a whole number.

        Raises:
            ConfigurationError: It is none, or less than `least`, or more than anybody has of anything.
        """
        text = self.text(name)
        if text is None:
            return default
        if text.isascii() and text.isdecimal() and len(text) < 8 and least <= int(text) <= _MOST:  # noqa: PLR2004
            return int(text)
        raise self.wrong(name, "out of range, or no whole number", f"write a whole number from {least} to {_MOST}")

    def choice(self, name: str, choices: Iterable[str], default: str, remedy: str = "") -> str:
        """Read one of some words, in any case.

        Raises:
            ConfigurationError: It is none of these.
        """
        text = self.text(name)
        word = default if text is None else text.lower()
        if word in choices:
            return word
        raise self.wrong(name, "no choice", remedy or f"write one of {', '.join(choices)}")

    def local_copies(self, tracking: str | None) -> str | int | None:
        """Read whether, and by what, a process's own copies of finished records are believed.

        Args:
            tracking: What tells of changes elsewhere where that is asked for; `None` where nothing can.

        Raises:
            ConfigurationError: It is neither a word nor an age, or nothing can tell of changes.
        """
        text = (self.text("local_copies") or "off").lower()
        if text == "off":
            return None
        if text == "on":
            if tracking is not None:
                return tracking
            raise self.wrong(
                "local_copies",
                f"nothing tells this process of changes on every server of {self._url.scheme}://",
                "write the age up to which a copy is believed: local_copies=10s",
            )
        try:
            return parse_duration(text, positive=True) // _MICROSECOND
        except ValueError as problem:
            remedy = "write off, on, or the age up to which a copy is believed: local_copies=10s"
            raise self.wrong("local_copies", str(problem), remedy) from None

    def file(self, name: str) -> str | None:
        """Read the name of a file, which must be there to be read.

        Returns:
            Its absolute path: a later chdir() does not lead to another file.

        Raises:
            ConfigurationError: It can't be read.
        """
        text = self.text(name)
        if text is None:
            return None
        path = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 - pathlib is dear to import
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - the same
                file.read(1)
        except OSError as error:
            remedy = f"name a file in PEM format that user {os.geteuid()} can read"
            raise self.wrong(name, f"can't read {path}: {error.strerror}", remedy) from None
        except ValueError:  # a NUL in it
            raise self.wrong(name, "no path", "name a file in PEM format") from None
        return path

    def certificate(self) -> dict[str, str | None]:
        """Read the files of TLS: whom to believe, and what to show.

        Raises:
            ConfigurationError: One can't be read, or a certificate stands without its key.
        """
        files = {name: self.file(name) for name in ("tls_ca", "tls_cert", "tls_key")}
        for one, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
            if files[one] is not None and files[other] is None:
                raise self.refuse(f"{one} without {other}", "give a client's certificate and its key together")
        return files

    def _unknown(self, shown: str, names: tuple[str, ...]) -> ConfigurationError:
        if not names:
            return self.refuse(f"there is no option {shown!r}", f"{self._url.scheme}:// takes none")
        from difflib import get_close_matches  # noqa: PLC0415 - dear, and needed for an error only

        close = get_close_matches(shown, names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return self.refuse(f"there is no option {shown!r}", f"{hint}known are {', '.join(names)}")
