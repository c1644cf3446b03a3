"""What every command starts from: the store that is meant, and how to speak."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idempotency_manager import IdempotencyManager
from idempotency_manager._environment import config_from_environment
from idempotency_manager._settings import read_field

from ._exit import CommandError, Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idempotency_manager._store_url import StoreUrl

_NO_STORE = "say which store: --store sqlite:///path.db, or set IDEMPOTENCY_STORE"
_MOVE_BY_PROGRAM = "copy it in the program that has it, by idempotency_manager.moving.copy_records"
_MEMORY = "memory:// lives and dies with its process, so this command would find it empty and leave nothing behind"


class Session:
    """One run of the command line: its common options, and the store they lead to."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Start from the environment variables; the options are set as they are read."""
        self._environ = dict(os.environ if environ is None else environ)
        self.store: str | None = None
        self.namespace: str | None = None
        self.json = False
        self.debug = False
        self.command: str | None = None

    def settings(self) -> dict[str, Any]:
        """Give the settings that options and environment variables make, an option before its variable.

        Raises:
            ConfigurationError: One can't have its value.
        """
        environ = dict(self._environ)
        if self.store is not None:
            environ.pop("IDEMPOTENCY_STORE", None)
        if self.namespace is not None:
            environ.pop("IDEMPOTENCY_NAMESPACE", None)
        fields = config_from_environment(environ)
        if self.store is not None:
            fields["store"] = read_field("store", self.store, "--store")
        if self.namespace is not None:
            fields["namespace"] = read_field("namespace", self.namespace, "--namespace")
        return fields

    def open(
        self, store: str | None = None, argument: str = "", *, create: bool = False, **changes: Any
    ) -> IdempotencyManager:
        """Open the store.

        Args:
            store: Its URL; else the one that is meant.
            argument: What the URL was given as.
            create: Whether a store that is not there is made; a look must not leave one behind.
            **changes: Fields of `IdempotencyConfig` for this command; None leaves a namespace as it is.

        Raises:
            CommandError: No store is named, it is of no use here, or it is not there.
            ConfigurationError: A setting can't have its value.
        """
        fields = self.settings()
        url = fields.pop("store", None)
        if store is not None:
            url = read_field("store", store, argument)
        if changes.get("namespace", "") is None:
            del changes["namespace"]
        if url is None:
            raise CommandError(_NO_STORE, Exit.USAGE)
        if url.scheme == "memory":
            remedy = _NO_STORE if store is None else _MOVE_BY_PROGRAM
            raise CommandError(f"{_MEMORY}: {remedy}", Exit.USAGE)
        if url.scheme == "sqlite" and not create:
            _check_is_there(url)
        self._set_up_log()
        return IdempotencyManager(url.text, **{**fields, **changes, "enable_auto_cleanup": False})

    def _set_up_log(self) -> None:
        """Keep what is logged to those who debug: whatever a user must know, a command says in its own words."""
        logger = logging.getLogger("idempotency_manager")
        if self.debug:
            logging.basicConfig(format="idempotency: %(levelname)s: %(message)s")
            logger.setLevel(logging.DEBUG)
        elif not logger.handlers:
            logger.addHandler(logging.NullHandler())

    def rules(self) -> IdempotencyManager:
        """Give a manager that makes keys as the settings say, and touches no store."""
        fields = self.settings()
        kept = {name: fields[name] for name in ("include_params_in_key",) if name in fields}
        return IdempotencyManager("memory://", **kept, enable_auto_cleanup=False)


def _check_is_there(url: StoreUrl) -> None:
    """Refuse a path that leads nowhere, or to another database: opening would make a store of a slip of the pen.

    Raises:
        CommandError: There is no store.
    """
    file = Path(url.path)
    if file.is_file() and _holds_store(file):
        return
    found = "no store in" if file.is_file() else "no store at"
    raise CommandError(
        f"there is {found} {file.absolute()}, and a look makes none. Check --store and IDEMPOTENCY_STORE: "
        "sqlite:///path.db is relative to this folder, sqlite:////path.db is absolute",
        Exit.STORE,
    )


def _holds_store(file: Path) -> bool:
    """Look for the tables; what can't be read at all is left to the store, which says what is wrong with it.

    Only to be called while this process has not opened the file as a store: two SQLite libraries in one process break
    each other's locks.
    """
    import sqlite3  # noqa: PLC0415 - for this look only

    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'idempotency_meta'"
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as connection:
            return connection.execute(query).fetchone() is not None
    except sqlite3.Error:
        return True
