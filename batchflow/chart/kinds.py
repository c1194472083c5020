"""The kinds of charts."""

from __future__ import annotations

from typing import Final

from batchflow.chart import ages, counts, durations, funnel, slices, throughput, transitions
from batchflow.chart.bars import bar_chart_size
from batchflow.chart.chart import Chart

COUNTS: Final = Chart("runs by status", counts.draw, counts.size)
THROUGHPUT: Final = Chart("runs per second by status", throughput.draw, throughput.size)
DURATIONS: Final = Chart("time at each status", durations.draw, bar_chart_size)
TRANSITIONS: Final = Chart("transitions from row to column", transitions.draw, transitions.size)
FUNNEL: Final = Chart("how far runs got", funnel.draw, bar_chart_size)
AGES: Final = Chart("oldest unfinished runs", ages.draw, bar_chart_size)
SLICES: Final = Chart("what these runs share", slices.draw, slices.size)
