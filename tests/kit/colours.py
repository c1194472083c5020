"""An enum for a field of an object."""

from __future__ import annotations

import enum


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"
