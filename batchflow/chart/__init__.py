"""Charts of query results, drawn by matplotlib: a module for each chart."""

from batchflow.chart.chart import Chart
from batchflow.chart.kinds import (
    AGES,
    COUNTS,
    DURATIONS,
    FUNNEL,
    SLICES,
    THROUGHPUT,
    TRANSITIONS,
)
from batchflow.chart.plot import SUFFIXES, Plot

__all__ = [
    "AGES",
    "COUNTS",
    "DURATIONS",
    "FUNNEL",
    "SLICES",
    "SUFFIXES",
    "THROUGHPUT",
    "TRANSITIONS",
    "Chart",
    "Plot",
]
