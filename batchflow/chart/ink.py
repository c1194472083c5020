"""The colours of pictures; each is told apart from its neighbours in light and in dark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

INK: Final = "#1f2328"
"""Lines and text; in SVG it becomes the colour of the page's own text."""

PAPER: Final = "#ffffff"

AMBER: Final = "#c77d1e"
BLUE: Final = "#4a86d8"
GREEN: Final = "#3f9d63"
GREY: Final = "#8b949e"

BY_RUN_STATE: Final[Mapping[str, str]] = {
    "INITIATED": "#9db7d5",
    "RUNNING": BLUE,
    "PAUSED": AMBER,
    "CANCELLED": GREY,
    "COMPLETED": GREEN,
    "REQUESTED_DATA_DELETED": "#b58bd0",
    "DATA_DELETED": "#7d5a96",
}

# After Okabe and Ito's palette, which people tell apart who don't see all colours; without its
# black and its yellow, which one of the two pages swallows.
IN_TURN: Final = ("#4a86d8", "#e08a1e", "#2f9e77", "#cc6699", "#d1603d", "#56a9d6", "#8f7ac9")
