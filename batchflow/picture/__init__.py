"""HTML tables, and SVG pictures of a workflow's graph and a run's history, for notebooks.

Neither contains scripts.
"""

from batchflow.picture.markup import escaped, shortened
from batchflow.picture.status_picture import Box, StatusPicture
from batchflow.picture.table import LONGEST_CELL, Cell, html_table
from batchflow.picture.timeline import Event, Gap, moment_of, timeline
from batchflow.picture.workflow_picture import Counts, picture_of

__all__ = [
    "LONGEST_CELL",
    "Box",
    "Cell",
    "Counts",
    "Event",
    "Gap",
    "StatusPicture",
    "escaped",
    "html_table",
    "moment_of",
    "picture_of",
    "shortened",
    "timeline",
]
