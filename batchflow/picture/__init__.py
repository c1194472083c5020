"""What notebooks show: tables as HTML, a workflow's graph as SVG; nothing in it is executed."""

from batchflow.picture.graph import Box, StatusPicture
from batchflow.picture.markup import escaped
from batchflow.picture.table import Cell, html_table
from batchflow.picture.workflow import Counts, picture_of

__all__ = ["Box", "Cell", "Counts", "StatusPicture", "escaped", "html_table", "picture_of"]
