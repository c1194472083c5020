"""The operations on the runs of a store: one request and one method for each, and their reports.

`Operations` is the interface. An engine in this process, an engine in another process and a
closed file implement it. The requests are in ``operation/requests.py``.
"""

from __future__ import annotations

from batchflow.operation.load_report import InvalidColumn, LoadReport
from batchflow.operation.operations import Operations
from batchflow.operation.reports import ControlReport, ExportPart, ExportReport, PruneReport
from batchflow.operation.request import Request, ResultT

__all__ = [
    "ControlReport",
    "ExportPart",
    "ExportReport",
    "InvalidColumn",
    "LoadReport",
    "Operations",
    "PruneReport",
    "Request",
    "ResultT",
]
