"""Pictures of what questions answer: one module for each, drawn by matplotlib."""

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
