"""The tables of records in a user's own database: the same that a store makes there."""

from __future__ import annotations

import re
from sqlite3 import complete_statement

from ._core import postgres_schema, sqlite_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def statements() -> Iterator[str]:
    """Give the statements that make the tables, one by one: `executescript` would commit the caller's transaction."""
    statement = ""
    for line in sqlite_schema().splitlines(keepends=True):
        statement += line
        if complete_statement(statement):
            yield statement
            statement = ""


def postgres_statements() -> Iterator[str]:
    """Give the statements that make the tables in PostgreSQL, one by one: some drivers take no more at once."""
    return (found.group().strip() for found in _STATEMENT.finditer(postgres_schema()) if found["code"])


_STATEMENT = re.compile(
    r"""
    (?: \s+ | --[^\n]* )*                    # space and comments before it
    (?P<code> (?:
        \$(?P<tag>\w*)\$ .*? \$(?P=tag)\$   # the body of a function
        | '(?: [^'] | '' )*'
        | --[^\n]*
        | [^;]
    )* ) ;
    """,
    re.VERBOSE | re.DOTALL,
)
