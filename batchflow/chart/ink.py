"""The colours of charts, which can be distinguished on light and on dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batchflow.definition.run_state import RunState

INK: Final = "#1f2328"
"""The colour of lines and text; in SVG it is replaced by the colour of the page's text."""

PAPER: Final = "#ffffff"

AMBER: Final = "#c77d1e"
BLUE: Final = "#4a86d8"
GREEN: Final = "#3f9d63"
GREY: Final = "#8b949e"
RED: Final = "#d1603d"
"""The colour of failures, which nothing else has."""

RUN_STATE_COLOURS: Final[Mapping[RunState, str]] = {
    RunState.INITIATED: "#9db7d5",
    RunState.RUNNING: BLUE,
    RunState.PAUSED: AMBER,
    RunState.CANCELLED: GREY,
    RunState.COMPLETED: GREEN,
    RunState.REQUESTED_DATA_DELETED: "#b58bd0",
    RunState.DATA_DELETED: "#7d5a96",
}

# Derived from the palette of Okabe and Ito, which colour-blind people can distinguish, without its
# black and yellow, which are hard to see on a dark and on a light page.
SERIES: Final = (
    "#4a86d8",
    "#e08a1e",
    "#2f9e77",
    "#cc6699",
    "#b3a125",
    "#56a9d6",
    "#8f7ac9",
)
