"""Charts of query results, drawn by matplotlib: a module for each chart."""

from batchflow.chart.chart import Chart
from batchflow.chart.kinds import AGES, COUNTS, DURATIONS, FUNNEL, THROUGHPUT, TRANSITIONS
from batchflow.chart.plot import SUFFIXES, Plot

__all__ = [
    "AGES",
    "COUNTS",
    "DURATIONS",
    "FUNNEL",
    "SUFFIXES",
    "THROUGHPUT",
    "TRANSITIONS",
    "Chart",
    "Plot",
]
