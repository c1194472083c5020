"""Enums whose members are shown by their names."""

from __future__ import annotations

import enum


class NamedEnum(enum.Enum):
    """An enum whose members are printed and formatted as their names, also if they are numbers."""

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name, spec)
