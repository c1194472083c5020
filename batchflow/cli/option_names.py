"""Options in the messages of errors, under the names that the command line has for them."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = {
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            "again",
            "at",
            "bucket_seconds",
            "by",
            "cause",
            "finished_before",
            "format",
            "foreign_id",
            "limit",
            "on_conflict",
            "on_invalid",
            "once",
            "partition_by",
            "reason",
            "reset",
            "set",
            "shard",
            "since",
            "spreadsheet",
            "strict",
            "until",
            "where",
            "workflow",
        )
    },
    "replace": "--force",
    "run_ids": "--run-id",
    "stand_ins": "--stand-in",
    "table": "--into",
}
# Only as messages write them: name="value", name=True, or name= alone. SQL texts have 'value'.
_KNOWN: Final = "|".join(_NAMES)
_GIVEN: Final = re.compile(rf'\b({_KNOWN})=(?:"([\w/]+)"|True\b|(?=[\s,.;:)]|$))')
_FIRST: Final = re.compile(rf"^({_KNOWN})(?= (?:is|names|has|writes|hands) )")


def with_command_line_names(message: str) -> str:
    """Return a message with ``--on-conflict skip`` in place of ``on_conflict="skip"``."""
    message = _FIRST.sub(lambda found: _NAMES[found[1]], message)
    return _GIVEN.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    name, value = _NAMES[found[1]], found[2]
    return name if value is None else f"{name} {value}"
