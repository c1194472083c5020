"""The texts and marks that charts draw for rows."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from batchflow import chart
from batchflow.chart import Chart, Plot
from batchflow.chart.ink import RED, RUN_STATE_COLOURS, SERIES
from batchflow.chart.style import inches
from batchflow.chart.throughput import _outline
from batchflow.errors import PlotError

MINUTE = 60_000_000
NAMES = ["NEW", "PAID", "DONE"]

# The columns of each query, with texts that XML and matplotlib would interpret.
ROWS: dict[str, tuple[Chart, dict[str, list[object]]]] = {
    "counts": (
        chart.COUNTS,
        {
            "status": ["<$x$>", "<$x$>", "DONE"],
            "run_state": ["RUNNING", "PAUSED", "COMPLETED"],
            "runs": [1_200_000, 3, 8],
        },
    ),
    "throughput": (
        chart.THROUGHPUT,
        {
            "bucket": [0, MINUTE, 5 * MINUTE],
            "status": ["<$x$>", "PAID", "<$x$>"],
            "runs": [600, 60, 6],
            "failed": [0, 6, 0],
            "runs_per_second": [10.0, 1.0, 0.1],
        },
    ),
    "durations": (
        chart.DURATIONS,
        {
            "status": ["<$x$>", "PAID"],
            "p50_seconds": [0.0, 5.0],
            "p95_seconds": [1.0, 6.0],
            "p99_seconds": [2.0, 7.0],
            "max_seconds": [90.0, 7.5],
        },
    ),
    "transitions": (
        chart.TRANSITIONS,
        {
            "from_status": ["<$x$>", "<$x$>", "PAID"],
            "to_status": ["<$x$>", "PAID", "DONE"],
            "outcome": ["failed", "advanced", "advanced"],
            "runs": [3, 1_200_000, 8],
        },
    ),
    "funnel": (
        chart.FUNNEL,
        {"status": ["<$x$>", "DONE"], "reached": [10, 0], "here": [4, 0], "left": [6, 0]},
    ),
    "ages": (chart.AGES, {"status": ["<$x$>"], "runs": [12_000], "age_seconds": [5_400.0]}),
}


def plot_of(name: str) -> Plot:
    drawn_as, columns = ROWS[name]
    table = pa.table(columns)
    if "bucket" in columns:
        moments = table["bucket"].cast(pa.timestamp("us", tz="UTC"))
        table = table.set_column(0, "bucket", moments)
    return drawn_as.of("orders").plot(table)


def texts_in(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter() if each.text]


@pytest.mark.parametrize("name", ROWS)
def test_each_chart_names_its_workflow_and_its_statuses(name: str) -> None:
    shown = texts_in(plot_of(name).svg())

    assert any(text.startswith("orders: ") for text in shown)
    assert "<$x$>" in shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("counts", "1.2M running, 3 paused"),
        ("durations", "1 ms, at most 1.5 min"),
        ("transitions", "1.2M advanced"),
        ("funnel", "10 reached, 4 here"),
        ("ages", "1.5 h, 12k runs"),
    ],
)
def test_labels_state_the_numbers(name: str, shown: str) -> None:
    assert shown in texts_in(plot_of(name).svg())


@pytest.mark.parametrize("name", ROWS)
def test_a_chart_without_rows_says_that_there_is_no_data(name: str) -> None:
    drawn_as, columns = ROWS[name]
    nothing = pa.table({column: pa.array([], pa.string()) for column in columns})

    assert "No data yet" in texts_in(drawn_as.plot(nothing).svg())


@pytest.mark.parametrize("statuses", [1, 9], ids=["lines", "bands"])
@pytest.mark.parametrize("failed", [0, 5])
def test_failures_of_the_throughput_have_a_colour_of_their_own(statuses: int, failed: int) -> None:
    names = [f"S{number}" for number in range(statuses)]
    rows = pa.table(
        {
            "bucket": pa.array([0] * statuses, pa.timestamp("us", tz="UTC")),
            "status": names,
            "runs": [60] * statuses,
            "failed": [failed] * statuses,
            "runs_per_second": [1.0] * statuses,
        }
    )

    drawn = chart.THROUGHPUT.plot(rows).svg()
    assert ("failures" in " ".join(texts_in(drawn))) is bool(failed)
    assert (RED in drawn) is bool(failed)


@pytest.mark.parametrize("status", ["支払い済み", "😀", "_kept", "a_{b}$"])
def test_a_status_may_have_any_name(status: str) -> None:
    drawn_as, columns = ROWS["throughput"]
    moments = pa.array(columns["bucket"], pa.timestamp("us", tz="UTC"))
    table = pa.table({**columns, "bucket": moments, "status": [status] * 3})

    shown = texts_in(drawn_as.of(status).plot(table).svg())
    assert status in [text.strip() for text in shown]


def test_a_plot_has_the_colours_of_its_page_and_a_file_those_of_its_reader() -> None:
    drawn = plot_of("counts")

    assert "currentColor" in drawn.svg()
    assert "#1f2328" not in drawn.svg()
    assert "prefers-color-scheme" not in drawn.svg()
    assert "prefers-color-scheme:dark" in drawn.svg(standalone=True)
    assert "<script" not in drawn.svg(standalone=True)
    assert drawn._repr_html_().count("<svg") == 1


def test_equal_rows_make_equal_plots() -> None:
    assert plot_of("throughput").svg() == plot_of("throughput").svg()


def test_the_suffix_of_the_file_chooses_the_format(tmp_path: Path) -> None:
    drawn = plot_of("funnel")
    drawn.save(tmp_path / "funnel.svg")
    drawn.save(tmp_path / "funnel.png")

    assert (tmp_path / "funnel.svg").read_text().startswith("<svg")
    assert (tmp_path / "funnel.png").read_bytes().startswith(b"\x89PNG")


def test_another_suffix_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        PlotError, match=r"ends with '\.pdf'\. A plot can be written as \.svg or \.png"
    ):
        plot_of("funnel").save(tmp_path / "funnel.pdf")
    assert not list(tmp_path.iterdir())


def test_statuses_are_in_their_order_of_definition() -> None:
    in_order = pa.dictionary(pa.int8(), pa.string())
    statuses = pa.DictionaryArray.from_arrays(pa.array([2, 0], pa.int8()), pa.array(NAMES))
    assert statuses.type == in_order
    rows = pa.table({"status": statuses, "run_state": ["COMPLETED", "RUNNING"], "runs": [1, 2]})

    shown = texts_in(chart.COUNTS.plot(rows).svg())
    assert shown.index("NEW") < shown.index("DONE")


def test_throughput_is_zero_where_no_run_moved() -> None:
    begins = np.array([0, 10, 40])
    x, y = _outline(begins, np.array([5.0, 6.0, 7.0]), 10)

    assert x.tolist() == [0, 0, 10, 10, 20, 20, 40, 40, 50, 50]
    assert y.tolist() == [0, 5, 5, 6, 6, 0, 0, 7, 7, 0]


def nights(statuses: int) -> Plot:
    """Return the throughput of two hours, a day apart, in buckets of a minute."""
    begins = [(night * 24 * 60 + minute) * MINUTE for night in (0, 1) for minute in range(60)]
    rows = [(begin, f"STATUS_{at}") for begin in begins for at in range(statuses)]
    table = pa.table(
        {
            "bucket": pa.array([begin for begin, _ in rows], pa.timestamp("us", "UTC")),
            "status": [status for _, status in rows],
            "runs": [60] * len(rows),
            "failed": [0] * len(rows),
            "runs_per_second": [1.0] * len(rows),
        }
    )
    return chart.THROUGHPUT.of("orders").plot(table)


@pytest.mark.parametrize("statuses", [2, 30])
def test_two_nights_fill_the_time_axis_and_the_day_between_is_named(statuses: int) -> None:
    plot = nights(statuses)

    shown = texts_in(plot.svg())
    assert "23 h without transitions" in shown
    assert {"1970-01-01", "1970-01-02"} <= set(shown)
    low, high = plot.figure.axes[0].get_xlim()
    assert 120 * MINUTE < high - low < 130 * MINUTE


def test_many_statuses_have_a_band_each() -> None:
    figure = nights(30).figure

    assert len(figure.axes[0].get_yticks()) == 30
    assert not figure.legends
    assert figure.get_figheight() > 30 * 0.3


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("counts", ["runs"]),
        ("funnel", ["runs"]),
        ("throughput", ["time (UTC)", "runs per second"]),
        ("durations", ["time at the status, on a logarithmic scale"]),
        ("ages", ["time since its last change, on a logarithmic scale"]),
    ],
)
def test_axes_name_what_they_show(name: str, labels: list[str]) -> None:
    assert set(labels) <= set(texts_in(plot_of(name).svg()))


def test_bars_begin_at_zero_and_logarithmic_axes_have_none() -> None:
    for name in ("counts", "funnel"):
        assert plot_of(name).figure.axes[0].get_xlim()[0] == 0
    axes = plot_of("ages").figure.axes[0]
    assert (axes.get_xscale(), list(axes.patches)) == ("log", [])


def test_statuses_without_runs_are_counted_too() -> None:
    statuses = pa.DictionaryArray.from_arrays(pa.array([0, 2], pa.int8()), pa.array(NAMES))
    rows = pa.table({"status": statuses, "run_state": ["RUNNING", "COMPLETED"], "runs": [1, 2]})

    shown = texts_in(chart.COUNTS.plot(rows).svg())
    assert "PAID" in shown
    assert chart.COUNTS.size(rows)[1] > chart.FUNNEL.size(rows)[1]


def test_failures_have_a_colour_of_their_own() -> None:
    svg = plot_of("transitions").svg()

    assert RED in svg
    assert RED not in {*SERIES, *RUN_STATE_COLOURS.values()}
    assert all(RED not in plot_of(name).svg() for name in ("counts", "funnel", "durations"))


@pytest.mark.parametrize("name", ["a_long_name_" * 9, "待支付提供商确认付款状态" * 3])
def test_a_name_of_any_length_leaves_room_for_the_bars(name: str) -> None:
    rows = pa.table({"status": [name], "run_state": ["RUNNING"], "runs": [7]})
    plot = chart.COUNTS.plot(rows)
    plot.svg()
    figure, [axes] = plot.figure, plot.figure.axes

    left = axes.get_position().x0 * figure.get_figwidth()
    assert left > 0.9 * inches(name)
    assert axes.get_position().width * figure.get_figwidth() > 3


def test_a_chart_grows_with_the_number_of_statuses() -> None:
    many = pa.table({"status": [f"S{n}" for n in range(40)]})
    few = many.slice(0, 2)
    assert chart.FUNNEL.size(many)[1] > 4 * chart.FUNNEL.size(few)[1]


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PlotError, match="pip install matplotlib"):
        plot_of("counts")
