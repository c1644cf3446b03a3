"""The two values that a key is about: the action it names, and its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Action:
    """One side effect, named so that the same intent always gets the same key.

    Attributes:
        signal_id: The event that asks for the action: a webhook delivery, an invoice, a cron run.
        action: The action's type, such as "create_card".
        target: The platform it acts on, such as "trello".
        params: What it is done with; hashed into the key.
        context: Kept on the record and in logs; never part of the key.
    """

    signal_id: str
    action: str
    target: str
    params: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """The parts of a key, as they were before they were encoded.

    Attributes:
        signal_id: The event that asked for the action.
        action_type: The action's type.
        target: The platform it acts on.
        params_hash: The first 16 hex characters of the params' SHA-256; None for a key made without params.
    """

    signal_id: str
    action_type: str
    target: str
    params_hash: str | None


ActionLike = Action | Mapping[str, Any]
"""An action, or a mapping with its fields."""
