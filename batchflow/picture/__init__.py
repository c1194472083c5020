"""What notebooks show: tables as HTML; nothing in it is executed."""

from batchflow.picture.markup import escaped
from batchflow.picture.table import Cell, html_table

__all__ = ["Cell", "escaped", "html_table"]
