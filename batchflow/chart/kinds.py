"""The questions whose answer a picture says more of."""

from __future__ import annotations

from typing import Final

from batchflow.chart import ages, counts, durations, funnel, throughput, transitions
from batchflow.chart.bars import a_bar_each
from batchflow.chart.chart import Chart

COUNTS: Final = Chart("runs by status", counts.draw, a_bar_each)
THROUGHPUT: Final = Chart("runs a second by status", throughput.draw, throughput.size)
DURATIONS: Final = Chart("time at each status", durations.draw, a_bar_each)
TRANSITIONS: Final = Chart("transitions, from row to column", transitions.draw, transitions.size)
FUNNEL: Final = Chart("how far runs got", funnel.draw, a_bar_each)
AGES: Final = Chart("the oldest unfinished runs", ages.draw, a_bar_each)
