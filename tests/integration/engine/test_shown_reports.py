"""The reports of operations as notebooks show them, and messages about their arguments."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

import batchflow as bf
from batchflow.engine.report import FailureReport, Report
from batchflow.testing import inline_engine
from kit.things import Thing, load, things


def cells(html: str) -> list[str]:
    return re.findall(r"<t[dh] [^>]*>(.*?)</t[dh]>", html)


def test_a_report_of_an_operation_is_shown_as_a_table() -> None:
    with inline_engine(things()) as engine:
        loaded = engine.trigger_many([Thing(1), Thing(2), Thing(2)], foreign_id="number")
        paused = engine.pause("number = 1")
        pruned = engine.prune(timedelta(days=1))

    assert cells(loaded._repr_html_()) == [
        *("things", "number", "runs loaded at NEW", "2"),
        *("rows left out: foreign id conflicts", "1"),
    ]
    assert cells(paused._repr_html_()) == ["", "runs", "paused", "1", "refused", "0"]
    assert cells(pruned._repr_html_())[:4] == ["removed", "number", "runs", "0"]


@pytest.mark.parametrize("owner", [bf.Engine, bf.StoreClient])
def test_an_error_about_arguments_names_the_method_alone(owner: Any) -> None:
    with pytest.raises(TypeError, match=r"^pause\(\) got an unexpected keyword argument 'raeson'"):
        owner.pause(None, "true", raeson="a slip")
    with pytest.raises(TypeError, match=r"^history\(\) missing 1 required"):
        owner.history(None)


def test_a_long_predicate_is_shortened_in_the_message() -> None:
    predicate = f"nmuber IN ({', '.join(map(str, range(10_000)))})"
    with inline_engine(things()) as engine:
        load(engine, 1)
        for refused in (lambda: engine.pause(predicate), lambda: engine.runs(predicate).fetchall()):
            with pytest.raises(bf.QueryError) as raised:
                refused()
            assert "nmuber IN (0, 1" in str(raised.value)
            assert len(str(raised.value)) < 1_000


def test_a_long_message_of_a_failure_is_cut_visibly_and_whole_as_text() -> None:
    message = "no price\nfor this country" + " at all" * 30
    failure = FailureReport("things", "0f", "ValueError", "finish, steps.py:7", 1, message)
    report = Report((), (), (failure,), 1.0, 0, "idle", 0, 0, 0)

    last = str(report).splitlines()[-1]
    assert last.endswith("…")
    assert "no price for this country at all" in last
    assert report.text().endswith(" ".join(message.split()))
