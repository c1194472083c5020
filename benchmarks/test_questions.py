from __future__ import annotations

import pytest

from apart import measured_apart
from bench import Bench, seconds_of
from questions import QUESTIONS
from speed_table import Against, Bar, Row


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_over_many_runs(bench: Bench, question: str) -> None:
    store = str(bench.stores.finished_store(bench.sizes.finished))

    (asked,) = bench.in_turn(
        lambda: measured_apart("questions", "ask", {"store": store, "question": question})
    )

    name = f"{question} over {bench.sizes.finished:,} runs"
    bench.record(Row(name, Bar(Against.NOTHING), seconds_of(asked)))
    by_socket = [float(sample.facts["by_socket"]) for sample in asked]
    bench.record(Row(f"{question} by way of the socket", Bar(Against.NOTHING), by_socket))


def test_the_picture_of_an_engine_with_many_runs(bench: Bench) -> None:
    store = str(bench.stores.finished_store(bench.sizes.finished))

    (shown,) = bench.in_turn(lambda: measured_apart("questions", "show", {"store": store}))

    name = f"an engine's picture over {bench.sizes.finished:,} runs"
    bench.record(Row(name, Bar(Against.NOTHING), seconds_of(shown)))
