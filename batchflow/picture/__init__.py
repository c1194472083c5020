"""What notebooks show: tables as HTML, a workflow's graph and a run's life as SVG.

Nothing in it is executed.
"""

from batchflow.picture.graph import Box, StatusPicture
from batchflow.picture.markup import escaped
from batchflow.picture.table import Cell, html_table
from batchflow.picture.timeline import Gap, Happening, timeline
from batchflow.picture.workflow import Counts, picture_of

__all__ = [
    "Box",
    "Cell",
    "Counts",
    "Gap",
    "Happening",
    "StatusPicture",
    "escaped",
    "html_table",
    "picture_of",
    "timeline",
]
